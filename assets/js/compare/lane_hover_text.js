/** What the box beside the pointer says about a token of a lane's picture. */

/** @import { Scene } from "../explorer/scene.js" */
/** @import { AttentionShown } from "./lane_picture.js" */

import { formatNumber, plural } from "../base/text.js";
import { t } from "../base/translate.js";

/**
 * @param {Scene} scene
 * @param {AttentionShown | null} attention The attention that is drawn; null = fates are drawn.
 * @param {number} token
 * @returns {string[]} Lines.
 */
export const laneHoverText = (scene, attention, token) => {
  const place = t("row {row}, column {column}", {
    row: scene.row.values[token],
    column: scene.col.values[token],
  });
  const lines = [`${t("token {token}", { token })} · ${place}`];
  if (attention) lines.push(attentionLine(attention, token));
  lines.push(fateLine(scene, token));
  const score = scene.score ? scene.score.values[token] : NaN;
  if (scene.fates && Number.isFinite(score))
    lines.push(t("method's score {score}", { score: formatNumber(score) }));
  return lines;
};

const attentionLine = ({ values, view }, token) =>
  Number.isFinite(values[token])
    ? t("attention {value} in layer {layer}", {
        value: formatNumber(values[token]),
        layer: view.layer,
      })
    : t("no longer present in layer {layer}", { layer: view.layer });

const fateLine = (scene, token) => {
  const fates = scene.fatesAt(null);
  if (!fates || fates[token] === 0) return t("kept");
  if (fates[token] === 2) return `${t("pruned")} ${stageText(scene, token)}`;
  const group = scene.groupsAt(null)[token];
  const size = (scene.membersAt(null).get(group) || []).length;
  return t("merged into group {group}: {tokens}, represented by token {token}", {
    group,
    tokens: plural(size, "token"),
    token: scene.placesAt(null)[token],
  });
};

const stageText = (scene, token) => {
  const stage = scene.payload.stages[scene.went.values[token]];
  if (!stage) return "";
  const where = t(stage.where);
  return stage.layer === null ? where : `${where}, ${t("layer {layer}", { layer: stage.layer })}`;
};
