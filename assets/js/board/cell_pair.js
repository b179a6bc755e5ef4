/** Two cells of the board on top of each other, with a line to drag between them. */

import { el, fill, writeText } from "../base/dom.js";
import { plural } from "../base/text.js";
import { t, told } from "../base/translate.js";
import { Painter } from "../explorer/painter.js";
import { BoardCell } from "./board_cell.js";

const HEIGHT = 640;

export class CellPair {
  /** @param {any} owner the board */
  constructor(owner) {
    this.owner = owner;
    this.sides = [0, 1].map(() => {
      const canvas = el("canvas", {});
      return { canvas, painter: new Painter(canvas), text: el("div", { class: "tv-pair-text" }) };
    });
    this.line = el("div", { class: "tv-pair-line", "aria-hidden": "true" });
    this.slider = el("input", {
      type: "range",
      min: "0",
      max: "100",
      value: "50",
      "aria-label": t("Where the first picture ends and the second begins"),
      oninput: () => this.cut(),
    });
    const [left, right] = this.sides;
    this.frame = el("div", { class: "tv-pair-frame" }, left.canvas, right.canvas, this.line);
    this.frame.addEventListener("pointerdown", (event) => {
      this.frame.setPointerCapture(event.pointerId);
      this.drag(event);
    });
    this.frame.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) this.drag(event);
    });
    this.node = el(
      "section",
      { class: "tv-panel tv-pair", hidden: true, "aria-label": t("Two cells side by side") },
      el("div", { class: "tv-pair-texts" }, left.text, right.text),
      this.frame,
      this.slider,
    );
    new ResizeObserver(() => this.paint()).observe(this.node);
  }

  drag(event) {
    const box = this.frame.getBoundingClientRect();
    this.slider.value = String(Math.round((100 * (event.clientX - box.left)) / box.width));
    this.cut();
  }

  /** Show the first picture left of the line and the second one right of it. */
  cut() {
    const at = +this.slider.value;
    this.sides[1].canvas.style.clipPath = `inset(0 0 0 ${at}%)`;
    this.line.style.left = `${at}%`;
  }

  async show() {
    const cells = this.owner.chosen.map((number) => this.owner.cells.get(number));
    const ready = cells.length === 2 && cells.every((cell) => cell?.scene);
    this.node.hidden = !ready;
    if (!ready) return;
    this.cells = cells;
    for (const [i, cell] of cells.entries()) {
      this.describe(this.sides[i].text, cell, i);
      await this.sides[i].painter.open(cell.scene);
    }
    this.paint();
  }

  describe(node, cell, side) {
    const { board } = this.owner;
    const row = board.rows[Math.floor(cell.number / board.budgets.length)];
    const keep = board.budgets[cell.number % board.budgets.length];
    const score = this.owner.score(cell.cell);
    fill(
      node,
      el("b", {}, `${side ? t("Right") : t("Left")}: ${row.title}, ${plural(keep, "token")}`),
      score === null ? null : el("span", { class: "tv-board-p" }, ` P ${score.toFixed(2)}`),
      el(
        "p",
        { class: "tv-message" },
        ...(cell.cell.words.length ? BoardCell.words(cell.cell) : [told(cell.cell.text)]),
      ),
    );
  }

  paint() {
    if (this.node.hidden || !this.cells) return;
    const width = Math.min(Math.floor(this.node.clientWidth) - 30, 760);
    if (width < 40) return;
    let high = 0;
    for (const [i, cell] of this.cells.entries()) {
      const { painter } = this.sides[i];
      if (!painter.images || painter.scene !== cell.scene) return;
      high = Math.max(high, painter.arrange(width, HEIGHT));
      painter.draw(cell.look());
    }
    this.frame.style.width = `${width}px`;
    this.frame.style.height = `${high}px`;
    writeText(this.line, "");
    this.cut();
  }
}
