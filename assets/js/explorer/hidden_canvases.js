/**
 * Canvases of the picture's size that are not on the page. What changes seldom is drawn on one of
 * them once and copied from there.
 */

import { TokenPlaces } from "./token_places.js";

export class HiddenCanvases extends TokenPlaces {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    super(canvas);
    /** Where drawing goes: the screen, a hidden canvas or an SVG file. @type {any} */
    this.pen = canvas.getContext("2d");
    /** The canvases by what is on them. @type {Record<string, HTMLCanvasElement>} */
    this.hidden = {};
  }

  /** Place everything in a width. The canvases had the old size, so they are dropped. @override */
  arrange(width, tallest) {
    this.hidden = {};
    return super.arrange(width, tallest);
  }

  /** The canvas of this name; drawn by `draw`, with the pen pointed at it, when there is none yet. */
  drawnOnce(name, draw) {
    if (!this.hidden[name]) this.drawOn(this.emptyCanvas(name), draw);
    return this.hidden[name];
  }

  /** The pen of the canvas of this name, cleared. */
  emptyCanvas(name) {
    const { width, height } = this.canvas;
    this.hidden[name] ??= Object.assign(document.createElement("canvas"), { width, height });
    const pen = this.hidden[name].getContext("2d");
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0); // from here on in CSS pixels
    pen.clearRect(0, 0, this.width, this.height);
    return pen;
  }

  /** Call `draw` with the pen pointed at another canvas or at an SVG file. */
  drawOn(pen, draw) {
    const before = this.pen;
    this.pen = pen;
    try {
      draw();
    } finally {
      this.pen = before;
    }
  }

  /** Copy the canvas of this name to where the pen is. */
  copy(name) {
    this.pen.drawImage(this.hidden[name], 0, 0, this.width, this.height);
  }
}
