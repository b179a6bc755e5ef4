/** What the box beside the pointer says about a token of a lane's picture. */

/** @import { Scene } from "../explorer/scene.js" */
/** @import { AttentionShown } from "./lane_picture.js" */

import { formatNumber, plural } from "../base/text.js";

/**
 * @param {Scene} scene
 * @param {AttentionShown | null} attention The attention that is drawn; null = fates are drawn.
 * @param {number} token
 * @returns {string[]} Lines.
 */
export const laneHoverText = (scene, attention, token) => {
  const place = `row ${scene.row.values[token]}, column ${scene.col.values[token]}`;
  const lines = [`token ${token} · ${place}`];
  if (attention) lines.push(attentionLine(attention, token));
  lines.push(fateLine(scene, token));
  const score = scene.score ? scene.score.values[token] : NaN;
  if (scene.fates && Number.isFinite(score)) lines.push(`method's score ${formatNumber(score)}`);
  return lines;
};

const attentionLine = ({ values, view }, token) =>
  Number.isFinite(values[token])
    ? `attention ${formatNumber(values[token])} in layer ${view.layer}`
    : `no longer present in layer ${view.layer}`;

const fateLine = (scene, token) => {
  const fates = scene.fatesAt(null);
  if (!fates || fates[token] === 0) return "kept";
  if (fates[token] === 2) return `pruned ${stageText(scene, token)}`;
  const group = scene.groupsAt(null)[token];
  const size = (scene.membersAt(null).get(group) || []).length;
  return (
    `merged into group ${group}: ${plural(size, "token")}, ` +
    `represented by token ${scene.placesAt(null)[token]}`
  );
};

const stageText = (scene, token) => {
  const stage = scene.payload.stages[scene.went.values[token]];
  if (!stage) return "";
  return stage.layer === null ? stage.where : `${stage.where}, layer ${stage.layer}`;
};
