/** Drawing: panes on a canvas, the heat map, and what became of every token. */

/** @import { Look } from "../base/types.js" */

import { pageState } from "../base/page_state.js";
import { Arrangement } from "./arrangement.js";
import { Mosaic } from "./mosaic.js";
import { palette } from "./palette.js";

const KEPT = 0;
const MERGED = 1;
const PRUNED = 2;

export class Painter extends Arrangement {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    super(canvas);
    /** Where drawing goes: the screen, a hidden canvas or an SVG file. @type {any} */
    this.pen = canvas.getContext("2d");
    /**
     * Hidden canvases of this size, by what is on them. @type {Record<string, HTMLCanvasElement>}
     */
    this.bases = {};
    /** @type {(HTMLImageElement | null)[]} */
    this.images = null;
    /** @type {(string | null)[]} */
    this.urls = null;
    /** One pixel per token: colours, and which tokens a pattern covers. @type {Mosaic | null} */
    this.heat = null;
    /** @type {Mosaic | null} */
    this.mask = null;
    /** What the heat map was last coloured for. @type {any[]} */
    this.heatOf = null;
    /** What the kept picture with its heat map was drawn for. @type {any[]} */
    this.heatedOf = [];
    /** The look of the last picture. @type {Look} */
    this.lookOf = null;
    /** Pixels of the outlines. @type {ImageData | null} */
    this.plate = null;
    /** Draw for print: every token by itself, nothing from a hidden canvas. */
    this.exact = false;
  }

  /** Load the pictures of a scene; resolves when they can be drawn. */
  async open(scene) {
    const urls = scene.payload.images.map((image) => image.src);
    const same =
      this.urls && urls.length === this.urls.length && urls.every((url, i) => url === this.urls[i]);
    Object.assign(this, { scene, heat: null, heatOf: null, mask: null, heatedOf: [] });
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

  /** Place everything in a width; the hidden canvases are of another size then. */
  arrange(width, tallest) {
    this.bases = {};
    return super.arrange(width, tallest);
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

  /**
   * Draw. The same look again, with another token under the pointer, costs one copy of the picture.
   * @param {Look} look
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

  /**
   * Everything with a given pen, nothing from a cache and every token by itself, as print and
   * vector files need it.
   */
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

  /** Whether a heat map is drawn: the picture below it is grey then. */
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

  /**
   * The heat map: shares of the colour scale, one colour per token, left out on sinks and marks.
   */
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

  /**
   * A pattern over all patches that pass a test. A canvas full of the pattern is kept: filling with
   * a pattern takes ten times as long as copying pixels.
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
    // source-in keeps of the pattern what lies on the mask.
    veil.globalCompositeOperation = "source-in";
    veil.drawImage(whole, 0, 0, this.width, this.height);
    veil.globalCompositeOperation = "source-over";
    pen.drawImage(this.bases.veil, 0, 0, this.width, this.height);
  }

  /** Pruned tokens hatched, merged ones dotted in the colour of their group, kept ones outlined. */
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
    /** @type {[number, number, number][]} */
    const strokes = [
      [0, 0.7, whole(width) + 2 / this.ratio],
      [255, alpha, whole(width)],
    ];
    if (this.exact) for (const stroke of strokes) this.rule(lines, ...stroke);
    else if (lines.length) this.etch(lines, strokes);
  }

  /**
   * Lines [k, 4] as rectangles of a thickness, longer by half of it at both ends so that corners
   * close.
   */
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

  /**
   * The same lines as `rule` draws, written as pixels: to fill thousands of small rectangles takes
   * longer than a frame, to set their pixels in an array does not.
   *
   * @param {number[]} lines [k, 4] flat: x, y, width, height in CSS pixels; one of the
   *   last two is 0.
   * @param {[number, number, number][]} strokes Grey, opacity, thickness in CSS pixels; a later
   *   one replaces what is under it, as the array cannot blend.
   */
  etch(lines, strokes) {
    const { width, height } = this.canvas; // in canvas pixels, as all below
    if (!this.plate || this.plate.width !== width || this.plate.height !== height)
      this.plate = new ImageData(width, height);
    // [height, width], one number for the four bytes of a pixel.
    const pixels = new Uint32Array(this.plate.data.buffer).fill(0);
    const pixel = (value, most) => Math.max(0, Math.min(most, Math.round(value * this.ratio)));
    for (const [grey, alpha, thick] of strokes) {
      // The bytes red, green, blue, alpha lie in memory from the lowest: 0xAABBGGRR on every
      // machine
      // that runs a browser. `>>> 0` makes the sum unsigned again.
      const colour = ((Math.round(255 * alpha) << 24) | (grey * 0x10101)) >>> 0;
      for (let k = 0; k < lines.length; k += 4) {
        const left = pixel(lines[k] - thick / 2, width);
        const right = pixel(lines[k] + lines[k + 2] + thick / 2, width);
        const top = pixel(lines[k + 1] - thick / 2, height);
        const bottom = pixel(lines[k + 1] + lines[k + 3] + thick / 2, height);
        for (let y = top; y < bottom; y++) pixels.fill(colour, y * width + left, y * width + right);
      }
    }
    // putImageData replaces instead of blending, so it goes to a canvas of its own first.
    this.sheet("lines").putImageData(this.plate, 0, 0);
    this.pen.drawImage(this.bases.lines, 0, 0, this.width, this.height);
  }

  /** Outlines between groups: 0 pruned, 1 kept, and from 2 on a number for each group. */
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

  /** Parts of the picture that the model does not see: cut off by its crop. */
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

  /** A frame around a token, dashed when it is held, and around its group. */
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
