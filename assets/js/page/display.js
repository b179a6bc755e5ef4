/**
 * The box behind "Display": light or dark, the language of the page, and the sheet of keys, which `?`
 * opens too.
 */

import { el, fill } from "../base/dom.js";
import { t } from "../base/translate.js";

/** Under which name the browser keeps the chosen theme. */
const THEME = "tokviz-theme";

/** Where keys work, and [keys, what they do]. @type {[string, [string, string][]][]} */
const SHEET = [
  [
    "Everywhere",
    [
      ["?", "Open and close this sheet"],
      ["Tab", "Go on to the next control"],
      ["Esc", "Close, clear, or end painting"],
    ],
  ],
  [
    "On the picture",
    [
      ["← →", "Another layer"],
      ["Shift + arrows", "Move over the tokens"],
      ["drag", "Rub tokens out, to ask again without them"],
      ["Shift + drag", "Paint a rectangle while painting"],
      ["Space, Enter", "Paint the token you are on"],
      ["Ctrl + Z", "Undo a stroke"],
      ["+ − 0", "Zoom in, out, fit"],
      ["Space + drag", "Move the large picture"],
      ["F", "Whole screen"],
    ],
  ],
  [
    "On the answer",
    [
      ["← →", "The next word"],
      ["Enter", "Hold a word, or let it go"],
    ],
  ],
];

const isTyping = (node) =>
  node instanceof HTMLElement &&
  (node.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(node.tagName));

const store = (theme) => {
  try {
    window.localStorage.setItem(THEME, theme);
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

/** A theme in the address comes before the one that was chosen earlier. */
export const useStoredTheme = () => {
  const asked = new URL(window.location.href).searchParams.get("__theme");
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
  /** @param {(() => Node)[]} more Further fields, such as the language. */
  constructor(more = []) {
    this.more = more;
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
      ...this.more.map((make) => make()),
      el("h2", {}, t("Keys")),
      ...SHEET.flatMap(keysOf),
    );
    this.box.showModal();
    this.tell();
  }
}
