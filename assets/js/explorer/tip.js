/** The box beside the pointer. */

import { el, writeText } from "../base/dom.js";

export class Tip {
  /**
   * @param {HTMLElement} node
   * @param {() => {width: number, height: number}} area In which it stays, in CSS pixels.
   * @param {(token: number) => string[]} lines
   */
  constructor(node, area, lines) {
    this.node = node;
    this.area = area;
    this.lines = lines;
    /** Where the pointer is, in CSS pixels of the picture. */
    this.spot = { x: 0, y: 0 };
    /** Width and height of the box. */
    this.size = [0, 0];
    /** The token that the lines are about; null = they have to be written again. */
    this.token = null;
    this.watchSize();
  }

  /**
   * Where the box goes depends on its size. A ResizeObserver reports that; asking for it while the
   * pointer moves would make the browser lay out the page once more for each move.
   */
  watchSize() {
    const observer = new ResizeObserver(([{ borderBoxSize }]) => {
      if (this.node.hidden) return;
      this.size = [borderBoxSize[0].inlineSize, borderBoxSize[0].blockSize];
      this.place();
    });
    observer.observe(this.node);
  }

  /** Show a token at a point; -1 hides the box. */
  show(token, spot) {
    const { node } = this;
    if (node.hidden !== token < 0) node.hidden = token < 0;
    if (token < 0 || !spot) return;
    if (token !== this.token) this.write(this.lines(token));
    Object.assign(this, { token, spot });
    this.place();
  }

  /** The view has changed: what the lines say is no longer true. */
  invalidate() {
    this.token = null;
  }

  /**
   * Lines that are not needed stay, empty: where a node is added or removed, a browser checks every
   * :has() of the page again.
   */
  write(lines) {
    const { node } = this;
    while (node.childElementCount < lines.length)
      node.append(el(node.childElementCount ? "span" : "b"));
    Array.from(node.children, (line, i) => writeText(line, lines[i] || ""));
  }

  /** To the lower right of the pointer, or where there is no room, to the upper left. */
  place() {
    const { x, y } = this.spot;
    const [wide, high] = this.size;
    const { width, height } = this.area();
    const left = x + 16 + wide > width ? x - wide - 12 : x + 16;
    const top = y + 16 + high > height ? y - high - 8 : y + 16;
    this.node.style.transform = `translate(${Math.max(0, left)}px, ${Math.max(0, top)}px)`;
  }
}
