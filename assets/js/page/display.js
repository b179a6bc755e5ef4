/**
 * The box behind "Display": light or dark, the language of the page, and the sheet of keys, which `?`
 * opens too.
 */

import { loadAgain } from "../base/another_language.js";
import { el, fill } from "../base/dom.js";
import { key, t } from "../base/translate.js";

/** Under which name the browser keeps the chosen theme. */
const THEME = "tokviz-theme";

/** Where keys work, and [keys, what they do]. @type {[string, [string, string][]][]} */
const SHEET = [
  [
    key("Everywhere"),
    [
      ["?", key("Open and close this sheet")],
      [key("Tab"), key("Go on to the next control")],
      [key("Esc"), key("Close, clear, or end painting")],
    ],
  ],
  [
    key("On the picture"),
    [
      ["← →", key("Another layer")],
      [key("Shift + arrows"), key("Move over the tokens")],
      [key("drag"), key("Rub tokens out, to ask again without them")],
      [key("Shift + drag"), key("Paint a rectangle while painting")],
      [key("Space, Enter"), key("Paint the token you are on")],
      [key("Ctrl + Z"), key("Undo a stroke")],
      ["+ − 0", key("Zoom in, out, fit")],
      [key("Space + drag"), key("Move the large picture")],
      ["F", key("Whole screen")],
    ],
  ],
  [
    key("On the answer"),
    [
      ["← →", key("The next word")],
      [key("Enter"), key("Hold a word, or let it go")],
    ],
  ],
];

const isTyping = (node) =>
  node instanceof HTMLElement &&
  (node.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(node.tagName));

const store = (value, name = THEME) => {
  try {
    window.localStorage.setItem(name, value);
  } catch {
    // a browser that keeps nothing: the choice lasts until the page is left
  }
};

const stored = () => {
  try {
    return window.localStorage.getItem(THEME);
  } catch {
    return null;
  }
};

/** The theme is a class of the body, as Gradio sets it. */
const setTheme = (dark) => {
  document.body.classList.toggle("dark", dark);
  window.dispatchEvent(new Event("resize"));
};

/** The theme that the address asks for; null = none. */
const askedTheme = () => new URL(window.location.href).searchParams.get("__theme");

/** Whether the page will be dark, before Gradio has set it. */
export const startsDark = () => {
  const theme = askedTheme() || stored();
  if (theme === "dark" || theme === "light") return theme === "dark";
  return window.matchMedia("(prefers-color-scheme: dark)").matches;
};

/** A theme in the address comes before the one that was chosen earlier. */
export const useStoredTheme = () => {
  const asked = askedTheme();
  const kept = stored();
  if (!asked && kept) setTheme(kept === "dark");
};

const radio = (name, text, checked, act) =>
  el(
    "label",
    { class: "tv-map" },
    el("input", { type: "radio", name, checked, onchange: act }),
    el("span", {}, text),
  );

const themeField = () => {
  const dark = document.body.classList.contains("dark");
  const choose = (isDark) => () => {
    setTheme(isDark);
    store(isDark ? "dark" : "light");
  };
  return el(
    "fieldset",
    {},
    el("legend", {}, t("Theme")),
    radio("tv-theme", t("light"), !dark, choose(false)),
    radio("tv-theme", t("dark"), dark, choose(true)),
  );
};

/** Another language loads the page again: Gradio reads it only at its start. */
const languageField = () => {
  const { names, language, kept } = globalThis.__tokvizLanguages || { names: {} };
  const choose = (code) => () => {
    store(code, kept);
    loadAgain();
  };
  return el(
    "fieldset",
    {},
    el("legend", {}, t("Language")),
    ...Object.entries(names).map(([code, name]) =>
      radio("tv-language", name, code === language, choose(code)),
    ),
  );
};

/** @param {[string, [string, string][]]} part */
const keysOf = ([place, rows]) => [
  el("h3", {}, t(place)),
  el(
    "dl",
    {},
    ...rows.flatMap(([keys, text]) => [
      el("dt", {}, el("kbd", {}, t(keys))),
      el("dd", {}, t(text)),
    ]),
  ),
];

export class DisplayBox {
  constructor() {
    this.box = el("dialog", { class: "tv tv-display", "aria-label": t("Display and keys") });
    document.body.append(this.box);
    this.box.addEventListener("close", () => this.tell());
    this.box.addEventListener("click", ({ target }) => {
      if (target === this.box) this.box.close(); // beside the box, on its backdrop
    });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "?" || event.ctrlKey || event.metaKey || isTyping(event.target)) return;
      event.preventDefault();
      this.toggle();
    });
  }

  tell() {
    document.querySelector("#tv-display")?.setAttribute("aria-expanded", String(this.box.open));
  }

  toggle() {
    if (this.box.open) return this.box.close();
    fill(
      this.box,
      el(
        "form",
        { method: "dialog" },
        el("button", { class: "tv-tool", "aria-label": t("Close") }, "×"),
      ),
      themeField(),
      languageField(),
      el("h2", {}, t("Keys")),
      ...SHEET.flatMap(keysOf),
    );
    this.box.showModal();
    this.tell();
  }
}
