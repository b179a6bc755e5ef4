/** The table with the numbers of one token: the one under the pointer, else the pinned one. */

/** @import { Explorer } from "./explorer.js" */

import { el, fill, holdHeight, writeText } from "../base/dom.js";
import { t } from "../base/translate.js";
import { HoverText } from "./hover_text.js";

/** Method of HoverText that gives the text, and the name of the row. */
const ROWS = [
  ["place", t("Place")],
  ["box", t("Pixels")],
  ["value", t("This map")],
  ["rank", t("Rank")],
  ["score", t("Method's score")],
  ["fate", t("Fate")],
  ["group", t("Group")],
  ["kind", t("Marked as")],
  ["words", t("Used most by")],
];
/** Rows whose text may need two lines. */
const TALL = ["fate", "group", "words"];

export class TokenTable {
  /** @param {Explorer} owner */
  constructor(owner) {
    this.owner = owner;
    this.text = new HoverText(owner);
    this.cells = Object.fromEntries(ROWS.map(([key]) => [key, el("td")]));
    this.head = el("h2", {}, t("Token"));
    const rows = ROWS.map(([key, name]) =>
      el(
        "tr",
        { class: TALL.includes(key) ? "tv-tall" : null },
        el("th", { scope: "row" }, name),
        this.cells[key],
      ),
    );
    const table = el("table", { class: "tv-figures" }, el("tbody", {}, ...rows));
    const box = el("div", { class: "tv-contained" }, el("div", {}, this.head, table));
    fill(owner.parts.token, holdHeight(box));
  }

  /** Show a token, -1 for none, and the words that used it ([word, amount], most first). */
  show(token, users) {
    const { view } = this.owner;
    const held = token === view.pinned ? t(" (held)") : "";
    writeText(
      this.head,
      token < 0 ? t("Token: point at one, click to hold it") : t("Token {token}", { token }) + held,
    );
    for (const [key] of ROWS) {
      const text = key === "words" ? () => this.text.words(users) : () => this.text[key](token);
      writeText(this.cells[key], token < 0 ? "–" : text());
    }
  }
}
