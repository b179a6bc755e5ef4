/** All that the documentation says of a method or a mitigation, below its first sentence. */

import { el } from "../base/dom.js";
import { withCode } from "../base/text.js";
import { told } from "../base/translate.js";

/** Paragraphs of the notes, then a list of what is declared: [what, text] pairs. */
export function aboutNodes(entry) {
  const paragraphs = (entry.notes || "").split(/\n\s*\n/).filter(Boolean);
  const facts = (entry.about || []).flatMap(([what, text]) => [
    el("dt", {}, told(what)),
    el("dd", {}, ...withCode(text)),
  ]);
  return [
    ...paragraphs.map((text) => el("p", { class: "tv-small" }, ...withCode(text))),
    facts.length ? el("dl", { class: "tv-facts tv-small" }, ...facts) : null,
  ].filter(Boolean);
}
