/** One cell of the board: a small picture, what changed in the answer, P(word). */

/** @import { Look } from "../base/types.js" */

import { el, fill } from "../base/dom.js";
import { t, told } from "../base/translate.js";
import { markedWords } from "../compare/marked_words.js";
import { Painter } from "../explorer/painter.js";
import { Scene } from "../explorer/scene.js";

const HEIGHT = 150;
const STATES = {
  waiting: ["·", t("waiting")],
  running: ["…", t("writing")],
  same: ["✓", t("same answer")],
  changed: ["≠", t("changed")],
  refused: ["!", t("cannot run")],
};

export class BoardCell {
  /**
   * @param {any} owner the board
   * @param {number} number of the cell, and of its lane
   */
  constructor(owner, number) {
    this.owner = owner;
    this.number = number;
    this.canvas = el("canvas", {
      class: "tv-board-canvas",
      role: "img",
      "aria-label": t("no picture yet"),
    });
    this.text = el("div", { class: "tv-board-text" });
    this.box = el("input", {
      type: "checkbox",
      "aria-label": t("Put beside another cell"),
      onchange: () => owner.toggle(number),
    });
    this.openButton = el(
      "button",
      {
        type: "button",
        class: "tv-tool",
        title: t("Show this run in the viewer"),
        onclick: () => owner.open(number),
      },
      t("Open"),
    );
    this.foot = el(
      "div",
      { class: "tv-board-foot" },
      el("label", {}, this.box, ` ${t("side by side")}`),
      this.openButton,
    );
    this.node = el("div", { class: "tv-board-cell" }, this.canvas, this.text, this.foot);
    this.painter = new Painter(this.canvas);
    /** @type {Scene | null} */
    this.scene = null;
    this.asked = false;
    /** @type {any} */
    this.cell = { state: "waiting" };
    this.key = "";
  }

  /** The words of an answer, with what changed; a run of unchanged words becomes "…". */
  static words(cell) {
    const short = [];
    for (const word of cell.words) {
      const gap = word.mark === "same";
      if (gap && short.at(-1)?.gap) continue;
      short.push(gap ? { text: "…", mark: "same", lead: true, gap: true } : word);
    }
    return markedWords(cell.words.length > 12 ? short : cell.words);
  }

  update(cell) {
    this.cell = cell;
    const score = this.owner.score(cell);
    const key = JSON.stringify([cell, score]);
    if (key !== this.key) {
      this.key = key;
      this.write(score);
    }
    const done = cell.state === "same" || cell.state === "changed";
    this.foot.hidden = !done;
    this.canvas.hidden = cell.state === "refused";
    this.node.className = `tv-board-cell tv-cell-${cell.state}`;
    if (done && !this.asked) this.fetch();
    return this.node;
  }

  write(score) {
    const { cell } = this;
    const [sign, name] = STATES[cell.state];
    const left = Number.isInteger(cell.left) ? t(", {left} left", { left: cell.left }) : "";
    fill(
      this.text,
      el(
        "p",
        { class: "tv-state" },
        `${sign} ${name}${left}`,
        score === null ? null : el("span", { class: "tv-board-p" }, `P ${score.toFixed(2)}`),
      ),
      score === null ? null : el("span", { class: "tv-share", style: `--share: ${score}` }),
      cell.state === "changed" ? el("p", { class: "tv-message" }, ...BoardCell.words(cell)) : null,
      cell.state === "refused" ? el("p", { class: "tv-message" }, told(cell.text)) : null,
    );
  }

  /** Ask for the picture of a cell that is done. */
  async fetch() {
    this.asked = true;
    const { run } = this.owner.board;
    const found = await this.owner.server
      .board_cell({ run, lane: this.number })
      .catch(() => ({ error: "no answer" }));
    if (!found.overlay) {
      this.asked = false;
      return;
    }
    const scene = new Scene(found.overlay);
    await this.painter.open(scene);
    this.scene = scene;
    this.canvas.setAttribute("aria-label", this.described());
    this.owner.arrived(this);
  }

  described() {
    const fates = this.scene.fatesAt(null);
    const counts = [0, 0, 0];
    for (let i = 0; i < this.scene.n; i++) counts[fates ? fates[i] : 0]++;
    return t("kept {kept}, merged {merged}, pruned {pruned} of {n} tokens", {
      kept: counts[0],
      merged: counts[1],
      pruned: counts[2],
      n: this.scene.n,
    });
  }

  /** Mean attention of every token, [n]; null where it was not recorded. */
  attention() {
    return this.scene?.attention ? this.scene.attention.values : null;
  }

  /** The largest number that a picture of attention shows. */
  high() {
    const values = this.attention();
    if (!values || this.owner.pictures !== "looked") return 0;
    let most = 0;
    for (const value of values) most = Math.max(most, value);
    return most;
  }

  /** @returns {Look} */
  look() {
    const { scene } = this;
    const values = this.owner.pictures === "looked" ? this.attention() : null;
    const high = this.owner.high || 1;
    return {
      norm: values ? Float32Array.from(values, (value) => value / high) : null,
      opacity: 0.7,
      roles: values ? null : scene.fatesAt(null),
      groups: values ? null : scene.groupsAt(null),
      places: values ? null : scene.placesAt(null),
      members: values ? null : scene.membersAt(null),
      sinks: null,
      hover: -1,
      pinned: -1,
    };
  }

  redraw() {
    this.mark();
    if (!this.scene || !this.painter.images) return;
    const width = Math.floor(this.node.clientWidth) - 16;
    if (width < 20) return;
    this.painter.arrange(width, HEIGHT);
    this.painter.draw(this.look());
  }

  mark() {
    const chosen = this.owner.chosen.includes(this.number);
    this.box.checked = chosen;
    this.node.classList.toggle("tv-chosen", chosen);
  }
}
