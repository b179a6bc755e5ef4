/** The words of an answer, those that differ from the full answer marked. */

import { el } from "../base/dom.js";
import { t } from "../base/translate.js";

/** A word of an answer that is compared with the full one. */
export const markedWord = ({ text, mark }) => {
  if (mark === "added") return el("ins", { title: t("only in this answer") }, text);
  if (mark === "removed") return el("del", { title: t("only in the full answer") }, text);
  return text;
};

/** The words of a compared answer, spaced as text. */
export const markedWords = (words) =>
  words.flatMap((word, i) => {
    const apart = word.lead || word.mark === "removed" || words[i - 1]?.mark === "removed";
    return [i && apart ? " " : "", markedWord(word)];
  });
