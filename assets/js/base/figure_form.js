/** "Figure": what is shown as a file for a paper, at the width of a column or of a page. */

import { told } from "../base/translate.js";
import { download, el } from "./dom.js";
import { t } from "./translate.js";

const FORMATS = { pdf: "PDF", svg: "SVG", png: "PNG" };
const WIDTHS = { column: t("column, 3.3 in"), page: t("page, 6.9 in") };
/** What was chosen last, for all forms of the page. */
const chosen = { width: "column", caption: false };

/**
 * A menu that saves figures.
 * @param {Record<string, (sent: object) => Promise<any>>} server with `save_figure` of components/figures
 * @param {(choice: string) => object} what Says what is drawn when a button is pressed: {kind, ...}.
 * @param {(text: string, isError: boolean) => void} say
 * @param {[string, string][]} [choices] Several things that can be drawn, as [name, text].
 * @returns {HTMLElement}
 */
export const figureForm = (server, what, say, choices = []) => {
  const choice = el(
    "select",
    { "aria-label": t("What the figure shows") },
    ...choices.map(([value, text]) => el("option", { value }, text)),
  );
  const width = el(
    "select",
    { "aria-label": t("Width of the figure"), onchange: () => (chosen.width = width.value) },
    ...Object.entries(WIDTHS).map(([value, text]) => el("option", { value }, text)),
  );
  width.value = chosen.width;
  const caption = el("input", {
    type: "checkbox",
    checked: chosen.caption,
    onchange: () => (chosen.caption = caption.checked),
  });
  const save = async (format) => {
    menu.open = false;
    say(t("Drawing the figure …"), false);
    const asked = { ...what(choice.value), format, width: width.value, caption: caption.checked };
    const file = await server
      .save_figure(asked)
      .catch(() => ({ error: t("The server did not answer. Try again.") }));
    if (file.error) return say(told(file.error), true);
    const bytes = Uint8Array.from(atob(file.data), (sign) => sign.charCodeAt(0));
    download(file.name, new Blob([bytes], { type: file.type }));
    say(t("Saved as {name}.", { name: file.name }), false);
  };
  const menu = el(
    "details",
    {
      class: "tv-figure-menu",
      onkeydown: (event) => {
        if (event.key !== "Escape" || !menu.open) return;
        menu.open = false;
        menu.firstChild.focus();
        event.stopPropagation();
      },
    },
    el(
      "summary",
      { class: "tv-tool", title: t("For a paper: vectors, 7 to 8 point text") },
      t("Figure …"),
    ),
    el(
      "div",
      { class: "tv-menubox" },
      choices.length ? choice : null,
      el("label", { class: "tv-shows" }, t("Width "), width),
      el("label", { class: "tv-shows" }, caption, ` ${t("caption below")}`),
      ...Object.entries(FORMATS).map(([format, text]) =>
        el("button", { type: "button", class: "tv-tool", onclick: () => save(format) }, text),
      ),
    ),
  );
  return menu;
};

/** Numbers as base64 of little-endian values, as components/figures/asked.py reads them. */
export const packed = (values, Kind) => {
  if (!values) return null;
  const bytes = new Uint8Array(Kind.from(values).buffer);
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
};
