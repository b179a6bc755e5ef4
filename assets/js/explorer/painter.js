/** Drawing: panes on a canvas, the heat map, and what became of every token. */

import { pageState } from "../base/page_state.js";
import { Mosaic } from "./mosaic.js";
import { palette } from "./palette.js";

const KEPT = 0;
const MERGED = 1;
const PRUNED = 2;
const GAP = 10;

export class Painter {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.rects = [];
  }

  /** Load the pictures of a scene; resolves when they can be drawn. */
  async open(scene) {
    const urls = scene.payload.images.map((image) => image.src);
    const same =
      this.urls && urls.length === this.urls.length && urls.every((url, i) => url === this.urls[i]);
    Object.assign(this, { scene, heat: null, mask: null, heatedOf: [] });
    if (same) return;
    this.urls = urls;
    this.images = await Promise.all(
      urls.map(
        (url) =>
          new Promise((done) => {
            if (!url) return done(null);
            const image = new Image();
            image.onload = () => done(image);
            image.onerror = () => done(null);
            image.src = url;
          }),
      ),
    );
  }

  /** Place the panes in a width; returns the height in CSS pixels. */
  arrange(width, tallest) {
    const panes = this.scene.payload.panes;
    const count = panes.length;
    const across = count <= 1 ? 1 : count <= 4 ? 2 : Math.ceil(Math.sqrt(count));
    const cell = (width - GAP * (across - 1)) / across;
    this.rects = [];
    let top = 0;
    for (let start = 0; start < count; start += across) {
      let high = 0;
      panes.slice(start, start + across).forEach((pane, i) => {
        const [x0, y0, x1, y1] = pane.view;
        const ratio = Math.min(Math.max((y1 - y0) / (x1 - x0), 0.06), 12);
        const w = Math.min(cell, tallest / ratio);
        const h = w * ratio;
        this.rects.push({ x: i * (cell + GAP) + (cell - w) / 2, y: top, w, h });
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
    this.bases = {};
    this.placeTokens();
    return height;
  }

  /** The pictures alone, grey or in colour, drawn once per size. */
  base(grey) {
    return this.layer(grey ? "grey" : "colour", () => this.drawPanes(grey));
  }

  /** A canvas of this size, filled once by `fill` with the pen pointed at it. */
  layer(key, fill) {
    if (!this.bases[key]) this.onto(this.sheet(key), fill);
    return this.bases[key];
  }

  /** The pen of an empty canvas of this size; one per key. */
  sheet(key) {
    const canvas =
      this.bases[key] ||
      Object.assign(document.createElement("canvas"), {
        width: this.canvas.width,
        height: this.canvas.height,
      });
    const pen = canvas.getContext("2d");
    this.bases[key] = canvas;
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    return pen;
  }

  /** Draw with another pen: onto a hidden canvas, or into an SVG file. */
  onto(pen, act) {
    const screen = this.pen;
    this.pen = pen;
    try {
      act();
    } finally {
      this.pen = screen;
    }
  }

  drawPanes(grey) {
    this.pen.filter = grey ? "grayscale(0.8)" : "none";
    for (const [i, pane] of this.scene.payload.panes.entries()) this.drawPane(pane, this.rects[i]);
    this.pen.filter = "none";
  }

  /** Rectangles of all tokens in CSS pixels; newlines get a strip behind the token before them. */
  placeTokens() {
    const { scene } = this;
    const n = scene.n;
    const box = scene.box ? scene.box.values : [];
    this.cells = new Float32Array(4 * n);
    for (let i = 0; i < n; i++) {
      const number = scene.pane.values[i];
      const rect = this.rects[number];
      if (!rect) continue;
      if (scene.kind.values[i] !== 0) {
        this.placeMark(i, rect);
        continue;
      }
      const [x0, y0, x1, y1] = scene.payload.panes[number].view;
      const sx = rect.w / (x1 - x0);
      const sy = rect.h / (y1 - y0);
      const snap = (value) => Math.round(value * this.ratio) / this.ratio;
      const left = snap(rect.x + (box[4 * i] - x0) * sx);
      const top = snap(rect.y + (box[4 * i + 1] - y0) * sy);
      const right = snap(rect.x + (box[4 * i + 2] - x0) * sx);
      const bottom = snap(rect.y + (box[4 * i + 3] - y0) * sy);
      this.cells.set([left, top, right - left, bottom - top], 4 * i);
    }
  }

  placeMark(i, rect) {
    const before = 4 * (i - 1);
    const [x, y, w, h] = i
      ? this.cells.slice(before, before + 4)
      : [rect.x, rect.y, 0, rect.h / 20];
    this.cells.set([Math.min(x + w, rect.x + rect.w) - 3, y, 5, h], 4 * i);
  }

  cell(i) {
    const [x, y, w, h] = this.cells.subarray(4 * i, 4 * i + 4);
    return { x, y, w, h };
  }

  /** Token under a point in CSS pixels, or -1. */
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
   * look: {norm, opacity, roles, groups, places, members, sinks, sinksIncluded, registers, marks, hover, pinned}.
   * The same look again, with another token under the pointer, costs one copy of the picture.
   */
  draw(look) {
    const started = performance.now();
    const { pen } = this;
    if (this.lookOf !== look || !this.bases.still) {
      const heat = this.isGrey(look);
      const picture = heat && look.roles ? this.heated(look) : this.base(heat);
      this.lookOf = look;
      this.onto(this.sheet("still"), () => {
        this.pen.drawImage(picture, 0, 0, this.width, this.height);
        if (heat && !look.roles) this.drawHeat(look);
        this.drawSigns(look);
      });
    }
    const { still } = this.bases;
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    pen.drawImage(still, 0, 0, this.width, this.height);
    this.drawCursors(look);
    pageState.lastDrawMs = performance.now() - started;
    pageState.paints++;
  }

  /** Everything with a given pen, nothing from a cache and every token by itself, as print and vector files need it. */
  drawWith(pen, look) {
    this.exact = true;
    this.onto(pen, () => {
      this.drawPanes(this.isGrey(look));
      if (this.isGrey(look)) this.drawHeat(look);
      this.drawSigns(look);
      this.drawCursors(look);
    });
    this.exact = false;
  }

  isGrey(look) {
    return Boolean(look.norm) && look.opacity > 0;
  }

  /** Pictures and heat map, kept while only the tokens' fates change: the keep slider. */
  heated(look) {
    const key = [look.norm, look.sinks, look.sinksIncluded, look.opacity];
    const base = this.base(true);
    if (this.bases.heated && key.every((part, i) => part === this.heatedOf[i]))
      return this.bases.heated;
    this.heatedOf = key;
    this.onto(this.sheet("heated"), () => {
      this.pen.drawImage(base, 0, 0, this.width, this.height);
      this.drawHeat(look);
    });
    return this.bases.heated;
  }

  /** What became of the tokens, and the marks on them. */
  drawSigns(look) {
    if (look.roles) this.drawRoles(look);
    if (look.sinks) this.drawSinks(look);
    this.drawMarks(look);
    for (const [i, pane] of this.scene.payload.panes.entries())
      this.drawUnseen(pane, this.rects[i]);
    if (look.registers) this.drawGlyphs(look.registers, "plus");
    for (const [i, { tokens }] of (look.marks || []).entries())
      this.drawGlyphs(tokens, palette.glyphOf(i));
  }

  drawCursors(look) {
    if (look.pinned >= 0) this.drawCursor(look.pinned, look, true);
    if (look.hover >= 0) this.drawCursor(look.hover, look, false);
  }

  drawPane(pane, rect) {
    const { pen } = this;
    const image = this.images[pane.image];
    const [x0, y0, x1, y1] = pane.view;
    pen.fillStyle = "#8d9199";
    pen.fillRect(rect.x, rect.y, rect.w, rect.h);
    if (!image) return;
    const size = this.scene.payload.images[pane.image];
    const sx = rect.w / (x1 - x0);
    const sy = rect.h / (y1 - y0);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(image, rect.x - x0 * sx, rect.y - y0 * sy, size.width * sx, size.height * sy);
  }

  /** Where a box of the original image lies in CSS pixels, or null. */
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

  drawHeat(look) {
    const { pen, scene } = this;
    const { norm, sinks } = look;
    const { packed } = palette;
    const left = (i) => scene.kind.values[i] !== 0 || (sinks?.[i] && !look.sinksIncluded);
    pen.globalAlpha = look.opacity;
    if (this.exact) {
      this.eachCell(
        (i) => Number.isFinite(norm[i]) && !left(i),
        (i, x, y, w, h) => {
          pen.fillStyle = palette.colour(norm[i]);
          pen.fillRect(x, y, w, h);
        },
      );
    } else {
      const key = [norm, sinks, look.sinksIncluded];
      this.heat = this.heat || new Mosaic(scene);
      if (!this.heatOf || key.some((part, i) => part !== this.heatOf[i]))
        this.heat.fill((i) =>
          left(i) || !Number.isFinite(norm[i]) ? 0 : packed[palette.step(norm[i])],
        );
      this.heatOf = key;
      this.heat.draw(pen, (pane, box) => this.place(pane, box));
    }
    if (look.absent) this.hatch("absent", (i) => !Number.isFinite(norm[i]) && !left(i));
    pen.globalAlpha = 1;
  }

  eachCell(test, act) {
    const { cells } = this;
    for (let i = 0, at = 0; i < this.scene.n; i++, at += 4)
      if (test(i)) act(i, cells[at], cells[at + 1], cells[at + 2], cells[at + 3]);
  }

  /**
   * A pattern over all patches that pass a test. A canvas full of the pattern is kept: filling with a pattern takes
   * ten times as long as copying pixels.
   */
  hatch(name, test) {
    const { pen, scene } = this;
    const fill = () => {
      this.pen.fillStyle = palette.pattern(this.pen, name, this.ratio);
      this.pen.fillRect(0, 0, this.width, this.height);
    };
    const inside = (i) => scene.kind.values[i] === 0 && test(i);
    if (this.exact) {
      pen.fillStyle = palette.pattern(pen, name, this.ratio);
      this.eachCell(inside, (_i, x, y, w, h) => pen.fillRect(x, y, w, h));
      return;
    }
    const whole = this.layer(name, fill);
    const veil = this.sheet("veil");
    this.mask = this.mask || new Mosaic(scene);
    this.mask
      .fill((i) => (inside(i) ? 0xff000000 : 0))
      .draw(veil, (pane, box) => this.place(pane, box));
    veil.globalCompositeOperation = "source-in";
    veil.drawImage(whole, 0, 0, this.width, this.height);
    veil.globalCompositeOperation = "source-over";
    pen.drawImage(this.bases.veil, 0, 0, this.width, this.height);
  }

  drawRoles(look) {
    const { pen, scene } = this;
    const { roles, groups } = look;
    this.hatch("pruned", (i) => roles[i] === PRUNED);
    this.eachCell(
      (i) => roles[i] === MERGED && scene.kind.values[i] === 0,
      (i, x, y, w, h) => {
        pen.fillStyle = palette.dots(pen, groups[i] % 7, this.ratio);
        pen.fillRect(x, y, w, h);
      },
    );
    this.outline((i) => (roles[i] === KEPT ? 1 : 0), 0.95, 1.6);
    if (groups) this.outlineGroups(look);
  }

  /** White lines with dark edges where an area named by `area` (0 = none) ends, in whole pixels. */
  outline(area, alpha, width) {
    const { scene, cells } = this;
    const lines = [];
    const whole = (thick) => (2 * Math.max(1, Math.round((thick * this.ratio) / 2))) / this.ratio;
    for (let i = 0; i < scene.n; i++) {
      if (scene.kind.values[i] !== 0) continue;
      const right = scene.right[i];
      const down = scene.down[i];
      const here = area(i);
      const at = 4 * i;
      const x = cells[at];
      const y = cells[at + 1];
      const w = cells[at + 2];
      const h = cells[at + 3];
      if (right >= 0 && here !== area(right)) lines.push(x + w, y, 0, h);
      if (down >= 0 && here !== area(down)) lines.push(x, y + h, w, 0);
    }
    const strokes = [
      [0, 0.7, whole(width) + 2 / this.ratio],
      [255, alpha, whole(width)],
    ];
    if (this.exact) for (const stroke of strokes) this.rule(lines, ...stroke);
    else if (lines.length) this.etch(lines, strokes);
  }

  rule(lines, grey, alpha, thick) {
    this.pen.fillStyle = `rgba(${grey},${grey},${grey},${alpha})`;
    for (let k = 0; k < lines.length; k += 4)
      this.pen.fillRect(
        lines[k] - thick / 2,
        lines[k + 1] - thick / 2,
        lines[k + 2] + thick,
        lines[k + 3] + thick,
      );
  }

  /** The same lines written as pixels: drawing thousands of small rectangles takes longer than a frame. */
  etch(lines, strokes) {
    const { width, height } = this.canvas;
    if (!this.plate || this.plate.width !== width || this.plate.height !== height)
      this.plate = new ImageData(width, height);
    const pixels = new Uint32Array(this.plate.data.buffer).fill(0);
    const pixel = (value, most) => Math.max(0, Math.min(most, Math.round(value * this.ratio)));
    for (const [grey, alpha, thick] of strokes) {
      const ink = ((Math.round(255 * alpha) << 24) | (grey * 0x10101)) >>> 0;
      for (let k = 0; k < lines.length; k += 4) {
        const left = pixel(lines[k] - thick / 2, width);
        const right = pixel(lines[k] + lines[k + 2] + thick / 2, width);
        const bottom = pixel(lines[k + 1] + lines[k + 3] + thick / 2, height);
        for (let y = pixel(lines[k + 1] - thick / 2, height); y < bottom; y++)
          for (let x = left; x < right; x++) pixels[y * width + x] = ink;
      }
    }
    this.sheet("lines").putImageData(this.plate, 0, 0);
    this.pen.drawImage(this.bases.lines, 0, 0, this.width, this.height);
  }

  outlineGroups(look) {
    const shared = (i) =>
      look.roles[i] === MERGED ? look.groups[i] + 2 : look.roles[i] === KEPT ? 1 : 0;
    this.outline(shared, 0.9, 1.1);
  }

  /** A small sign in the corner of each token. */
  drawGlyphs(tokens, shape) {
    for (const i of tokens) {
      const { x, y, w, h } = this.cell(i);
      if (w)
        palette.glyph(
          this.pen,
          shape,
          x + w * 0.28,
          y + h * 0.28,
          Math.max(2, Math.min(w, h) * 0.19),
        );
    }
  }

  drawSinks(look) {
    const { pen } = this;
    this.eachCell(
      (i) => look.sinks[i],
      (_i, x, y, w, h) => {
        pen.fillStyle = palette.pattern(pen, "sink", this.ratio);
        pen.fillRect(x, y, w, h);
        pen.strokeStyle = "#000";
        pen.lineWidth = 1.5;
        pen.strokeRect(x + 0.75, y + 0.75, w - 1.5, h - 1.5);
      },
    );
  }

  /** Newlines and separators: thin bars, coloured by the same scale. */
  drawMarks(look) {
    const { pen } = this;
    for (const i of this.scene.markTokens) {
      const { x, y, w, h } = this.cell(i);
      pen.fillStyle = "#000";
      pen.fillRect(x - 1, y, w + 2, h);
      const gone = look.roles && look.roles[i] === PRUNED;
      pen.fillStyle = gone
        ? "#777"
        : look.norm && Number.isFinite(look.norm[i])
          ? palette.colour(look.norm[i])
          : "#fff";
      pen.fillRect(x, y + 1, w, h - 2);
    }
  }

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

  drawCursor(token, look, firm) {
    const { pen } = this;
    const group = look.groups ? look.groups[token] : -1;
    const members = group >= 0 && look.members ? look.members.get(group) || [] : [];
    if (members.length > 1) this.drawFamily(group, members, look.places ? look.places[token] : -1);
    const { x, y, w, h } = this.cell(token);
    pen.strokeStyle = "#000";
    pen.lineWidth = firm ? 5 : 4;
    pen.strokeRect(x, y, w, h);
    pen.strokeStyle = "#fff";
    pen.lineWidth = 2;
    if (firm) pen.setLineDash([4, 3]);
    pen.strokeRect(x, y, w, h);
    pen.setLineDash([]);
  }

  /** All sources of a merged token, with lines to the place where it stands. */
  drawFamily(group, members, home) {
    const { pen } = this;
    const middle = (i) => {
      const c = this.cell(i);
      return [c.x + c.w / 2, c.y + c.h / 2];
    };
    for (const [colour, width] of [
      ["#000", 4],
      [palette.group(group), 2],
    ]) {
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      for (const member of members) {
        const c = this.cell(member);
        pen.strokeRect(c.x + 1, c.y + 1, c.w - 2, c.h - 2);
        if (member === home || home < 0) continue;
        pen.beginPath();
        pen.moveTo(...middle(member));
        pen.lineTo(...middle(home));
        pen.stroke();
      }
    }
  }
}
