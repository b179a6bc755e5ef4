/** Marks on single tokens: sinks, signs, tokens without a place, and the frame at the pointer. */

/** @import { Look } from "../base/types.js" */
/** @import { Painter } from "./painter.js" */

import { palette } from "./palette.js";
import { PRUNED } from "./token_fates.js";

/**
 * A small sign in the corner of each token.
 * @param {Painter} painter
 * @param {number[]} tokens
 * @param {string} shape Of palette.glyph.
 */
export const drawGlyphs = (painter, tokens, shape) => {
  for (const i of tokens) {
    const { x, y, w, h } = painter.cell(i);
    const size = Math.max(2, Math.min(w, h) * 0.19);
    if (w) palette.glyph(painter.pen, shape, x + w * 0.28, y + h * 0.28, size);
  }
};

/** @param {Painter} painter @param {Look} look With sinks [n]. */
export const drawSinks = (painter, look) => {
  const { pen } = painter;
  painter.eachCell(
    (i) => look.sinks[i] === 1,
    (_i, x, y, w, h) => {
      pen.fillStyle = palette.pattern(pen, "sink", painter.ratio);
      pen.fillRect(x, y, w, h);
      pen.strokeStyle = "rgba(0,0,0,0.45)";
      pen.lineWidth = 1;
      pen.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1); // inside, not across, the cell's border
    },
  );
};

/**
 * Newlines and separators have no place in the image: thin bars, coloured by the same scale.
 * @param {Painter} painter
 * @param {Look} look
 */
export const drawTokensWithoutPlace = (painter, look) => {
  const { pen } = painter;
  for (const i of painter.scene.markTokens) {
    const { x, y, w, h } = painter.cell(i);
    const isPruned = look.roles && look.roles[i] === PRUNED;
    const hasColour = look.norm && Number.isFinite(look.norm[i]);
    pen.fillStyle = "#000";
    pen.fillRect(x - 1, y, w + 2, h);
    pen.fillStyle = isPruned ? "#777" : hasColour ? palette.colour(look.norm[i]) : "#fff";
    pen.fillRect(x, y + 1, w, h - 2);
  }
};

/**
 * A frame around a token, dashed where it is pinned, and around the tokens that it is merged with.
 * @param {Painter} painter
 * @param {Look} look
 * @param {number} token
 * @param {boolean} pinned
 */
export const drawCursor = (painter, look, token, pinned) => {
  const { pen } = painter;
  const group = look.groups ? look.groups[token] : -1;
  const members = group >= 0 && look.members ? look.members.get(group) || [] : [];
  const place = look.places ? look.places[token] : -1;
  const colour = look.tints?.get(group) ?? 0;
  if (members.length > 1) drawGroup(painter, colour, members, place);
  const { x, y, w, h } = painter.cell(token);
  pen.strokeStyle = "#000";
  pen.lineWidth = pinned ? 5 : 4;
  pen.strokeRect(x, y, w, h);
  pen.strokeStyle = "#fff";
  pen.lineWidth = 2;
  if (pinned) pen.setLineDash([4, 3]);
  pen.strokeRect(x, y, w, h);
  pen.setLineDash([]);
};

/** Frames around all tokens of a group, with lines to the token that represents it (-1 = none). */
const drawGroup = (painter, colour, members, representative) => {
  const { pen } = painter;
  const middle = (i) => {
    const { x, y, w, h } = painter.cell(i);
    return [x + w / 2, y + h / 2];
  };
  for (const [ink, width] of [
    ["#000", 4],
    [palette.group(colour), 2],
  ]) {
    pen.strokeStyle = ink;
    pen.lineWidth = width;
    for (const member of members) {
      const { x, y, w, h } = painter.cell(member);
      pen.strokeRect(x + 1, y + 1, w - 2, h - 2);
      if (member === representative || representative < 0) continue;
      pen.beginPath();
      pen.moveTo(...middle(member));
      pen.lineTo(...middle(representative));
      pen.stroke();
    }
  }
};
