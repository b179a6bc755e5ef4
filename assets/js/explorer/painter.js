/**
 * The picture of the explorer and of each lane: panes, heat map, what became of every token, marks.
 * This file says what is drawn in which order and what need not be drawn again; how each part is drawn
 * is in heat_map.js, token_fates.js and token_marks.js.
 */

/** @import { Look } from "../base/types.js" */
/** @import { Mosaic } from "./mosaic.js" */

import { pageState } from "../base/page_state.js";
import { drawHeat, isHeatDrawn } from "./heat_map.js";
import { HiddenCanvases } from "./hidden_canvases.js";
import { palette } from "./palette.js";
import { SvgPen } from "./svg.js";
import { drawFates, drawPatches } from "./token_fates.js";
import { drawCursor, drawGlyphs, drawSinks, drawTokensWithoutPlace } from "./token_marks.js";

export class Painter extends HiddenCanvases {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    super(canvas);
    /** @type {(HTMLImageElement | null)[]} */
    this.images = null;
    /** @type {(string | null)[]} */
    this.urls = null;
    /** One pixel per token: the colours of the heat map. @type {Mosaic | null} */
    this.heat = null;
    /** One pixel per token: which tokens a pattern covers. @type {Mosaic | null} */
    this.mask = null;
    /** What the heat map was last coloured for. @type {any[]} */
    this.heatKey = null;
    /** What the hidden canvas "heated" was drawn for. @type {any[]} */
    this.heatedKey = [];
    /** The look that the hidden canvas "still" shows. @type {Look} */
    this.stillLook = null;
    /** Pixels of the outlines, see token_fates.js. @type {ImageData | null} */
    this.outlinePixels = null;
    /** Draw for a file: every token by itself, nothing from a hidden canvas. */
    this.exact = false;
  }

  /** Load the pictures of a scene; resolves when they can be drawn. */
  async open(scene) {
    const urls = scene.payload.images.map((image) => image.src);
    const same =
      this.urls && urls.length === this.urls.length && urls.every((url, i) => url === this.urls[i]);
    Object.assign(this, { scene, heat: null, heatKey: null, mask: null, heatedKey: [] });
    if (same) return;
    this.urls = urls;
    this.images = await Promise.all(urls.map(loadedImage));
  }

  /**
   * Draw on the screen. The same look again, with another token under the pointer, costs one copy of
   * the picture.
   * @param {Look} look
   */
  draw(look) {
    const started = performance.now();
    const { pen } = this;
    if (this.stillLook !== look || !this.hidden.still) this.drawStill(look);
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    this.copy("still");
    this.drawCursors(look);
    pageState.lastDrawMs = performance.now() - started;
    pageState.paints++;
  }

  /** Everything but the frame at the pointer, on the hidden canvas "still". */
  drawStill(look) {
    const heat = isHeatDrawn(look);
    // With fates, the heat map is kept below them: the keep slider changes the fates alone.
    const below = heat && look.roles ? this.heated(look) : this.pictures(heat);
    this.stillLook = look;
    this.drawOn(this.emptyCanvas("still"), () => {
      this.pen.drawImage(below, 0, 0, this.width, this.height);
      if (heat && !look.roles) drawHeat(this, look);
      this.drawSigns(look);
    });
  }

  /** Everything with a given pen, as files for print need it. */
  drawWith(pen, look) {
    this.exact = true;
    this.drawOn(pen, () => {
      this.drawPanes(isHeatDrawn(look));
      if (isHeatDrawn(look)) drawHeat(this, look);
      this.drawSigns(look);
      this.drawCursors(look);
    });
    this.exact = false;
  }

  /** The pictures alone, in colour or grey. */
  pictures(grey) {
    return this.drawnOnce(grey ? "grey" : "colour", () => this.drawPanes(grey));
  }

  /** Pictures and heat map, drawn again only when the heat map changes. */
  heated(look) {
    const key = [look.norm, look.sinks, look.sinksIncluded, look.opacity];
    const pictures = this.pictures(true);
    if (this.hidden.heated && key.every((part, i) => part === this.heatedKey[i]))
      return this.hidden.heated;
    this.heatedKey = key;
    this.drawOn(this.emptyCanvas("heated"), () => {
      this.pen.drawImage(pictures, 0, 0, this.width, this.height);
      drawHeat(this, look);
    });
    return this.hidden.heated;
  }

  /** What became of the tokens, and the marks on them. */
  drawSigns(look) {
    if (look.patches) drawPatches(this);
    if (look.roles) drawFates(this, look);
    if (look.sinks) drawSinks(this, look);
    drawTokensWithoutPlace(this, look);
    for (const [i, pane] of this.scene.payload.panes.entries())
      if (this.rects[i]) this.drawUnseen(pane, this.rects[i]);
    if (look.registers) drawGlyphs(this, look.registers, "plus");
    for (const [i, { tokens }] of (look.marks || []).entries())
      drawGlyphs(this, tokens, palette.glyphOf(i));
  }

  drawCursors(look) {
    if (look.pinned >= 0) drawCursor(this, look, look.pinned, true);
    if (look.hover >= 0) drawCursor(this, look, look.hover, false);
  }

  drawPanes(grey) {
    const { pen } = this;
    const greysItself = pen instanceof SvgPen;
    if (greysItself) pen.grey = grey;
    for (const [i, pane] of this.scene.payload.panes.entries()) {
      if (!this.rects[i]) continue;
      this.drawPane(pane, this.rects[i]);
      if (grey && !greysItself) this.fade(this.rects[i]);
    }
    if (greysItself) pen.grey = false;
  }

  /** Take 60 % of the colour out of a rectangle. Not by the pen's `filter`: Safari has none. */
  fade({ x, y, w, h }) {
    const { pen } = this;
    Object.assign(pen, { globalCompositeOperation: "saturation", globalAlpha: 0.6 });
    pen.fillStyle = "#808080";
    pen.fillRect(x, y, w, h);
    Object.assign(pen, { globalCompositeOperation: "source-over", globalAlpha: 1 });
  }

  /** The part `view` of an image, stretched over a rectangle of CSS pixels. */
  drawPane(pane, rect) {
    const { pen } = this;
    const image = this.images[pane.image];
    const [x0, y0, x1, y1] = pane.view;
    pen.fillStyle = "#8d9199"; // seen where a crop reaches beyond its image
    pen.fillRect(rect.x, rect.y, rect.w, rect.h);
    if (!image) return;
    const size = this.scene.payload.images[pane.image];
    const sx = rect.w / (x1 - x0); // CSS pixels per image pixel
    const sy = rect.h / (y1 - y0);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(image, rect.x - x0 * sx, rect.y - y0 * sy, size.width * sx, size.height * sy);
  }

  /** Parts of the picture that the model does not see, because its crop leaves them out. */
  drawUnseen(pane, rect) {
    const { pen } = this;
    const [x0, y0, x1, y1] = pane.view;
    const sx = rect.w / (x1 - x0);
    const sy = rect.h / (y1 - y0);
    for (const [a, b, c, d] of pane.unseen) {
      pen.fillStyle = palette.pattern(pen, "unseen", this.ratio);
      pen.fillRect(rect.x + (a - x0) * sx, rect.y + (b - y0) * sy, (c - a) * sx, (d - b) * sy);
    }
  }
}

/** @param {string | null} url @returns {Promise<HTMLImageElement | null>} null if it cannot be read */
const loadedImage = (url) =>
  new Promise((done) => {
    if (!url) return done(null);
    const image = new Image();
    image.onload = () => done(image);
    image.onerror = () => done(null);
    image.src = url;
  });
