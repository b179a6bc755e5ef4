/** What a run is about in one line: model, what it saw of the picture, method, tokens, origin. */

/** @import { Payload } from "../base/types.js" */

import { formatPercent } from "../base/text.js";
import { t } from "../base/translate.js";

/** What the model saw of the picture. */
export const seenText = ({ unseen, parts }) => {
  const one = parts.pictures === 1;
  if (parts.frames)
    return unseen
      ? t("{percent} of the frames was cropped away", { percent: formatPercent(unseen) })
      : t("saw all of the frames");
  if (!unseen) return one ? t("saw the whole picture") : t("saw all of the pictures");
  const percent = formatPercent(unseen);
  return one
    ? t("{percent} of this picture was cropped away", { percent })
    : t("{percent} of these pictures was cropped away", { percent });
};

/** Where the run comes from. */
const originText = (origin, date) => {
  if (origin === "stored") return t("stored example");
  if (origin === "file") return date ? t("from a file, run on {date}", { date }) : t("from a file");
  if (origin === "here") return t("run here");
  return date ? t("run on {date}", { date }) : "";
};

/** @param {Pick<Payload, "facts" | "origin">} payload @returns {string} One line; "" while an answer is being written. */
export const factsLine = ({ facts, origin }) => {
  if (!facts) return "";
  const { model, methods, mitigation, keep, n, date } = facts;
  const method = methods.length ? methods.join(" + ") : t("nothing removed");
  return [
    model ? t("model: {model}", { model }) : t("a model without a name"),
    seenText(facts),
    t("{method}, {keep} of {n} tokens", { method, keep, n }),
    mitigation ? t("with {mitigation}", { mitigation }) : "",
    originText(origin, date),
  ]
    .filter(Boolean)
    .join(" · ");
};
