/** All that the documentation says of a method or a mitigation, below its first sentence. */

import { el } from "../base/dom.js";
import { withCode } from "../base/text.js";
import { told } from "../base/translate.js";

/** Names in these rows are those of code and repositories. */
const NAMES = ["Reads", "Variants"];

/** Published scores, "budget: benchmark score, ... (who measured)", in the reader's language. */
const publishedText = (text) =>
  text
    .split("; ")
    .map((row) => {
      const [, budget, scores, source] = /^(.*?): (.*?) \((.*)\)$/.exec(row) || [];
      return source ? `${told(budget)}: ${scores} (${told(source)})` : row;
    })
    .join("; ");

/** @param {string} what @param {string} text @returns {(string | Node)[]} */
const factNodes = (what, text) => {
  if (what === "Published") return [publishedText(text)];
  return NAMES.includes(what) && text !== "nothing" ? [text] : withCode(text);
};

/** Paragraphs of the notes, then a list of what is declared: [what, text] pairs. */
export function aboutNodes(entry) {
  const paragraphs = (entry.notes || "")
    .split(/\n\s*\n/)
    .map((text) => text.replaceAll(/\s+/g, " ").trim())
    .filter(Boolean);
  const facts = (entry.about || []).flatMap(([what, text]) => [
    el("dt", {}, told(what)),
    el("dd", {}, ...factNodes(what, text)),
  ]);
  return [
    ...paragraphs.map((text) => el("p", { class: "tv-small" }, ...withCode(text))),
    facts.length ? el("dl", { class: "tv-facts tv-small" }, ...facts) : null,
  ].filter(Boolean);
}
