/** The heat map: one colour per token; and patterns over many tokens at once. */

/** @import { Look } from "../base/types.js" */
/** @import { Painter } from "./painter.js" */

import { Mosaic } from "./mosaic.js";
import { palette } from "./palette.js";

/** Whether a look has a heat map; the picture below it is grey then. @param {Look} look */
export const isHeatDrawn = (look) => Boolean(look.norm) && look.opacity > 0;

/**
 * Colour every token by its share of the colour scale, the less the lower it is. Sinks (unless they are included) and tokens
 * without a place get no colour, tokens without a number a pattern.
 * @param {Painter} painter
 * @param {Look} look
 */
export const drawHeat = (painter, look) => {
  const { pen, scene } = painter;
  const { norm, sinks, sinksIncluded } = look; // norm [n], sinks [n]
  const isLeftOut = (i) => scene.kind.values[i] !== 0 || (sinks?.[i] && !sinksIncluded);
  const hasColour = (i) => !isLeftOut(i) && Number.isFinite(norm[i]);
  pen.globalAlpha = look.opacity;
  if (painter.exact)
    painter.eachCell(hasColour, (i, x, y, w, h) => {
      pen.globalAlpha = look.opacity * palette.cover(norm[i]);
      pen.fillStyle = palette.colour(norm[i]);
      pen.fillRect(x, y, w, h);
    });
  else drawMosaic(painter, look, (i) => (hasColour(i) ? palette.packedColour(norm[i]) : 0));
  pen.globalAlpha = look.opacity;
  if (look.absent) drawPattern(painter, "absent", (i) => !isLeftOut(i) && !hasColour(i));
  pen.globalAlpha = 1;
};

/**
 * The colours as one pixel per token, filled again only when one of them may have changed.
 * @param {Painter} painter
 * @param {Look} look
 * @param {(token: number) => number} colour
 */
const drawMosaic = (painter, { norm, sinks, sinksIncluded }, colour) => {
  const key = [norm, sinks, sinksIncluded];
  painter.heat ??= new Mosaic(painter.scene);
  if (!painter.heatKey || key.some((part, i) => part !== painter.heatKey[i]))
    painter.heat.fill(colour);
  painter.heatKey = key;
  painter.heat.draw(painter.pen, (pane, box) => painter.place(pane, box));
};

/**
 * A pattern over all patches that pass a test. Filling many cells with a pattern takes ten times as
 * long as copying pixels, so the screen gets it from a canvas full of the pattern, through a mask.
 * @param {Painter} painter
 * @param {string} name Of the pattern in palette.js.
 * @param {(token: number) => boolean} test
 */
export const drawPattern = (painter, name, test) => {
  const { pen, scene } = painter;
  const isCovered = (i) => scene.kind.values[i] === 0 && test(i);
  if (painter.exact) {
    pen.fillStyle = palette.pattern(pen, name, painter.ratio);
    painter.eachCell(isCovered, (_i, x, y, w, h) => pen.fillRect(x, y, w, h));
    return;
  }
  const full = painter.drawnOnce(name, () => {
    painter.pen.fillStyle = palette.pattern(painter.pen, name, painter.ratio);
    painter.pen.fillRect(0, 0, painter.width, painter.height);
  });
  const masked = painter.emptyCanvas("masked");
  painter.mask ??= new Mosaic(scene);
  painter.mask
    .fill((i) => (isCovered(i) ? 0xff000000 : 0)) // opaque black or nothing, as 0xAABBGGRR
    .draw(masked, (pane, box) => painter.place(pane, box));
  // "source-in" draws the pattern only where the mask is opaque.
  masked.globalCompositeOperation = "source-in";
  masked.drawImage(full, 0, 0, painter.width, painter.height);
  masked.globalCompositeOperation = "source-over";
  painter.copy("masked");
};
