/**
 * What became of every token: pruned ones hatched, merged ones dotted, kept ones outlined. Groups get
 * colours only where they are what the picture is about: one message at a time.
 */

/** @import { Look } from "../base/types.js" */
/** @import { Painter } from "./painter.js" */

import { drawPattern } from "./heat_map.js";
import { palette } from "./palette.js";

const KEPT = 0;
const MERGED = 1;
export const PRUNED = 2;

/**
 * @param {Painter} painter
 * @param {Look} look With roles [n] and, where tokens were merged, groups [n] and tints.
 */
export const drawFates = (painter, look) => {
  const { roles, groups } = look;
  drawPattern(painter, "pruned", (i) => roles[i] === PRUNED);
  if (look.norm && !look.preview) return; // the map is the message; tokens that are gone have no place in it
  if (look.tints) drawTints(painter, look);
  else drawPattern(painter, "merged", (i) => roles[i] === MERGED);
  drawOutlines(painter, (i) => (roles[i] === KEPT ? 1 : 0), 0.95, 1.6);
  if (!groups || !look.tints) return;
  // Areas: 0 pruned, 1 kept, from 2 on one for each group.
  const area = (i) => (roles[i] === MERGED ? groups[i] + 2 : roles[i] === KEPT ? 1 : 0);
  drawOutlines(painter, area, 0.9, 1.1);
};

/** A thin line between all tokens. */
export const drawPatches = (painter) => drawOutlines(painter, (i) => i, 0.55, 1);

/**
 * The dots of merged tokens in the colour of their group.
 * @param {Painter} painter
 * @param {Look} look With tints.
 */
const drawTints = (painter, { roles, groups, tints }) => {
  const { pen, scene, ratio } = painter;
  painter.eachCell(
    (i) => roles[i] === MERGED && scene.kind.values[i] === 0,
    (i, x, y, w, h) => {
      pen.fillStyle = palette.dots(pen, tints.get(groups[i]) ?? 0, ratio);
      pen.fillRect(x, y, w, h);
    },
  );
};

/**
 * White lines with dark edges between tokens of different areas.
 * @param {Painter} painter
 * @param {(token: number) => number} area Number of the area that a token is in.
 * @param {number} opacity Of the white line.
 * @param {number} thickness In CSS pixels, rounded so that both halves are whole canvas pixels.
 */
const drawOutlines = (painter, area, opacity, thickness) => {
  const { ratio } = painter;
  const lines = borderLines(painter, area);
  const whole = (2 * Math.max(1, Math.round((thickness * ratio) / 2))) / ratio;
  /** @type {Stroke[]} */
  const strokes = [
    { grey: 0, opacity: 0.7, thickness: whole + 2 / ratio },
    { grey: 255, opacity, thickness: whole },
  ];
  if (painter.exact) for (const stroke of strokes) fillLines(painter.pen, lines, stroke);
  else if (lines.length) writeLinePixels(painter, lines, strokes);
};

/** @typedef {{grey: number, opacity: number, thickness: number}} Stroke */

/** The borders between areas, [k, 4] flat: x, y, width, height in CSS pixels, one of the last two 0. */
const borderLines = ({ scene, cells }, area) => {
  const lines = [];
  for (let i = 0; i < scene.n; i++) {
    if (scene.kind.values[i] !== 0) continue;
    // cells is [n, 4] flat. Read by index: a slice per token would make thousands of small arrays.
    const at = 4 * i;
    const x = cells[at];
    const y = cells[at + 1];
    const w = cells[at + 2];
    const h = cells[at + 3];
    const right = scene.right[i];
    const down = scene.down[i];
    const here = area(i);
    if (right >= 0 && here !== area(right)) lines.push(x + w, y, 0, h);
    if (down >= 0 && here !== area(down)) lines.push(x, y + h, w, 0);
  }
  return lines;
};

/** Fill lines as rectangles, longer by half their thickness at both ends so that corners close. */
const fillLines = (pen, lines, { grey, opacity, thickness }) => {
  pen.fillStyle = `rgba(${grey},${grey},${grey},${opacity})`;
  for (let k = 0; k < lines.length; k += 4)
    pen.fillRect(
      lines[k] - thickness / 2,
      lines[k + 1] - thickness / 2,
      lines[k + 2] + thickness,
      lines[k + 3] + thickness,
    );
};

/**
 * The same lines as `fillLines`, written as pixels: filling thousands of small rectangles takes longer
 * than a frame, setting their pixels in an array does not. A later stroke replaces what is under it,
 * because the array cannot blend.
 * @param {Painter} painter
 * @param {number[]} lines [k, 4] flat.
 * @param {Stroke[]} strokes
 */
const writeLinePixels = (painter, lines, strokes) => {
  const { ratio } = painter;
  const { width, height } = painter.canvas; // in canvas pixels, like everything below
  const old = painter.outlinePixels;
  const fits = old && old.width === width && old.height === height;
  const image = fits ? old : new ImageData(width, height);
  painter.outlinePixels = image;
  // [height, width], one number for the four bytes of a pixel.
  const pixels = new Uint32Array(image.data.buffer).fill(0);
  const toPixel = (value, largest) => Math.max(0, Math.min(largest, Math.round(value * ratio)));
  for (const { grey, opacity, thickness } of strokes) {
    const half = thickness / 2;
    // Memory holds the bytes red, green, blue, alpha, the lowest first: 0xAABBGGRR on every machine
    // that runs a browser. `>>> 0` makes the result of `|` unsigned again.
    const colour = ((Math.round(255 * opacity) << 24) | (grey * 0x10101)) >>> 0;
    for (let k = 0; k < lines.length; k += 4) {
      const left = toPixel(lines[k] - half, width);
      const right = toPixel(lines[k] + lines[k + 2] + half, width);
      const top = toPixel(lines[k + 1] - half, height);
      const bottom = toPixel(lines[k + 1] + lines[k + 3] + half, height);
      for (let y = top; y < bottom; y++) pixels.fill(colour, y * width + left, y * width + right);
    }
  }
  // putImageData replaces what is there instead of blending, so it needs a canvas of its own.
  painter.emptyCanvas("lines").putImageData(image, 0, 0);
  painter.copy("lines");
};
