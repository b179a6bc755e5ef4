/** The maps that a visitor can choose from. */

/** @import { MapEntry } from "../base/types.js" */
/** @import { ViewNumbers } from "./view_numbers.js" */

import { t, told } from "../base/translate.js";

/**
 * The maps of a run in the order of the buttons. A map that the run does not have is listed too, with
 * the reason in `why`; the method's score is listed only where the run has one.
 * @param {ViewNumbers} scene
 * @returns {MapEntry[]}
 */
export const mapMenu = (scene) => {
  const missing = scene.payload.missing || {};
  const isCls = scene.payload.tower_kind !== "received";
  return [
    {
      id: "attention",
      label: t("Attention"),
      has: scene.attention,
      layers: scene.layers,
      heads: scene.headCount,
      help: t("How much of its attention each answer word put on each patch."),
      why: told(missing.attention),
    },
    {
      id: "tam",
      label: t("Token map"),
      has: scene.tam,
      layers: 0,
      heads: 0,
      why: told(missing.tam),
      help: t(
        "Token Activation Map: how strongly each patch on its own supports the word, minus what earlier words explain.",
      ),
    },
    {
      id: "tower",
      label: isCls ? t("[CLS]") : t("Received"),
      has: scene.tower,
      heads: scene.towerHeadCount,
      why: told(missing.tower),
      layers: scene.tower ? scene.tower.shape[0] : 0,
      help: isCls
        ? t("What the vision tower's [CLS] token attends to, before any question is asked.")
        : told(missing.cls),
    },
    {
      id: "phi",
      label: t("Sinks"),
      has: scene.phi,
      layers: scene.phi ? scene.phi.shape[0] : 0,
      heads: 0,
      why: told(missing.phi),
      help:
        told(scene.payload.sink_note) ||
        t("Sink statistic: large where a token is an attention sink."),
    },
    ...(scene.score
      ? [
          {
            id: "score",
            label: t("Method's score"),
            has: scene.score,
            layers: 0,
            heads: 0,
            help: t("The importance by which the method decided."),
          },
        ]
      : []),
  ];
};
