/** Where the pictures of a run and its tokens lie on a canvas. */

/** @import { Box } from "../base/types.js" */
/** @import { Scene } from "./scene.js" */

/** CSS pixels between two pictures. */
const GAP = 10;
/** Where tokens of pictures that are not shown lie: off the canvas, so that no mark of theirs shows. */
const FAR = -10000;

/** @typedef {{x: number, y: number, w: number, h: number}} Rect In CSS pixels. */

export class TokenPlaces {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    /** @type {Scene} */
    this.scene = null;
    /** Place of each pane; null = it is not shown. @type {(Rect | null)[]} */
    this.rects = [];
    /** Places of the tokens, [n, 4]: x, y, width, height in CSS pixels. */
    this.cells = new Float32Array(0);
    /** The image that is shown alone; -1 = all of them. */
    this.only = -1;
    /** Pixels of the canvas per CSS pixel. */
    this.ratio = 1;
    this.width = 0;
    this.height = 0;
  }

  /**
   * Place the panes in rows and size the canvas.
   * @param {number} width In CSS pixels.
   * @param {number} tallest Largest height of a pane, in CSS pixels.
   * @returns {number} Height of all rows, in CSS pixels.
   */
  arrange(width, tallest) {
    const panes = this.scene.payload.panes;
    const shown = [...panes.keys()].filter((i) => this.only < 0 || panes[i].image === this.only);
    const count = shown.length;
    const across = count <= 1 ? 1 : count <= 4 ? 2 : Math.ceil(Math.sqrt(count));
    const cell = (width - GAP * (across - 1)) / across;
    this.rects = panes.map(() => null);
    let top = 0;
    for (let start = 0; start < count; start += across) {
      let high = 0;
      shown.slice(start, start + across).forEach((number, i) => {
        const [x0, y0, x1, y1] = panes[number].view;
        // A picture that is one pixel high still gets a visible row, one that is one pixel wide does
        // not fill the page.
        const ratio = Math.min(Math.max((y1 - y0) / (x1 - x0), 0.06), 12);
        const w = Math.min(cell, tallest / ratio);
        const h = w * ratio;
        this.rects[number] = { x: i * (cell + GAP) + (cell - w) / 2, y: top, w, h };
        high = Math.max(high, h);
      });
      top += high + GAP;
    }
    const height = Math.max(top - GAP, 40);
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    this.ratio = ratio;
    if (
      this.canvas.width !== Math.round(width * ratio) ||
      this.canvas.height !== Math.round(height * ratio)
    ) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.canvas.style.height = `${height}px`;
    }
    this.width = width;
    this.height = height;
    this.placeTokens();
    return height;
  }

  /** Rectangles of all tokens in CSS pixels; newlines get a strip behind the token before them. */
  placeTokens() {
    const { scene } = this;
    const { n } = scene;
    const box = scene.box ? scene.box.values : []; // [n, 4] flat, pixels of the original image
    this.cells = new Float32Array(4 * n);
    for (let i = 0; i < n; i++) {
      const number = scene.pane.values[i];
      const rect = this.rects[number];
      if (!rect) {
        this.cells.set([FAR, FAR, 0, 0], 4 * i);
        continue;
      }
      if (scene.kind.values[i] !== 0) {
        this.placeMark(i, rect);
        continue;
      }
      const [x0, y0, x1, y1] = scene.payload.panes[number].view;
      const sx = rect.w / (x1 - x0);
      const sy = rect.h / (y1 - y0);
      // Round to whole canvas pixels: otherwise a thin line shows between neighbouring cells.
      const snap = (value) => Math.round(value * this.ratio) / this.ratio;
      const left = snap(rect.x + (box[4 * i] - x0) * sx);
      const top = snap(rect.y + (box[4 * i + 1] - y0) * sy);
      const right = snap(rect.x + (box[4 * i + 2] - x0) * sx);
      const bottom = snap(rect.y + (box[4 * i + 3] - y0) * sy);
      this.cells.set([left, top, right - left, bottom - top], 4 * i);
    }
  }

  /**
   * A newline or separator has no place in the image: a strip at the right edge of the token
   * before.
   */
  placeMark(i, rect) {
    const before = 4 * (i - 1);
    const [x, y, w, h] = i
      ? this.cells.slice(before, before + 4)
      : [rect.x, rect.y, 0, rect.h / 20];
    this.cells.set([Math.min(x + w, rect.x + rect.w) - 3, y, 5, h], 4 * i);
  }

  /** @returns {Rect} of a token */
  cell(i) {
    const [x, y, w, h] = this.cells.subarray(4 * i, 4 * i + 4);
    return { x, y, w, h };
  }

  /** Token under a point in CSS pixels, or -1; a newline's strip lies over the patch before it. */
  hit(x, y) {
    let found = -1;
    for (let i = 0; i < this.scene.n; i++) {
      const at = 4 * i;
      const dx = x - this.cells[at];
      const dy = y - this.cells[at + 1];
      if (dx < 0 || dy < 0 || dx >= this.cells[at + 2] || dy >= this.cells[at + 3]) continue;
      if (this.scene.kind.values[i] !== 0) return i;
      found = i;
    }
    return found;
  }

  /**
   * Where a box of the original image lies in CSS pixels, or null.
   * @param {number} pane
   * @param {Box} box
   * @returns {Rect | null}
   */
  place(pane, [left, top, right, bottom]) {
    const rect = this.rects[pane];
    if (!rect) return null;
    const [x0, y0, x1, y1] = this.scene.payload.panes[pane].view;
    const sx = rect.w / (x1 - x0);
    const sy = rect.h / (y1 - y0);
    return {
      x: rect.x + (left - x0) * sx,
      y: rect.y + (top - y0) * sy,
      w: (right - left) * sx,
      h: (bottom - top) * sy,
    };
  }

  /** Call act(token, x, y, width, height) for every token that passes a test. */
  eachCell(test, act) {
    const { cells } = this;
    for (let i = 0, at = 0; i < this.scene.n; i++, at += 4)
      if (test(i)) act(i, cells[at], cells[at + 1], cells[at + 2], cells[at + 3]);
  }
}
