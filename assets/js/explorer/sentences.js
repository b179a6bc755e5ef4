/** The sentence above the picture, which says what it shows. */

import { formatPercent, plural } from "../base/text.js";
import { seenText } from "./run_facts.js";

/** The sentence for a view of what became of the tokens. */
export const fateSentence = (scene, roles, stage) => {
  const count = (code) => roles.filter((role) => role === code).length;
  const groups = new Set(
    Array.from(scene.groupsAt(stage) || []).filter((_group, i) => roles[i] === 1),
  ).size;
  const parts = [`${count(0)} kept`];
  if (count(1)) parts.push(`${count(1)} merged into ${plural(groups, "group")}`);
  if (count(2)) parts.push(`${count(2)} pruned`);
  const written = scene.payload.answer ? " The answer was written from what is left." : "";
  const hint = count(1) ? " Point at a merged token to see its whole group." : "";
  return `What became of the ${scene.n} visual tokens: ${parts.join(", ")}.${written}${hint}`;
};

/** The sentence for any view. */
export const leadSentence = ({ scene, view, look }) => {
  if (!scene.n)
    return scene.payload.phase === "streaming"
      ? "The model is answering. Its maps appear when it is done."
      : "";
  const chosen = scene.chosen(view);
  const firsts = chosen.filter((i) => !scene.words[i].part); // one name per character
  const names = firsts.map((i) => `“${scene.words[i].special ? "end" : scene.words[i].text}”`);
  const held = view.words.size || view.peek !== null;
  const words = held
    ? names.slice(0, 4).join(" + ") + (names.length > 4 ? " + …" : "")
    : "its answer";
  const head = view.head >= 0 ? `head ${view.head}` : "mean over heads";
  if (view.bare === "picture")
    return `The picture as it was given, ${seenText(scene.payload.facts)}.`;
  if (view.bare === "patches")
    return `Each frame is one visual token: the language model reads ${scene.n} of them.`;
  if (look.painted)
    return (
      "Paint over what the model should not see: " +
      "hatched tokens are left out when you ask again."
    );
  if (look.preview)
    return (
      `The ${view.keep} brightest of ${scene.n} tokens stay clear, the rest is hatched: ` +
      `a preview by this map. ` +
      `Compare below removes tokens for real.`
    );
  if (look.roles) return fateSentence(scene, look.roles, view.stage);
  if (view.map === "attention") {
    const share = scene.shares(view);
    const part = share
      ? `; ${formatPercent(share[view.layer])} of its attention was on the image`
      : "";
    const drawn = scene.drawnLayer(view.layer);
    const near =
      drawn === view.layer
        ? ""
        : ` The picture shows layer ${drawn}: for an answer this long, only some layers are sent.`;
    return (
      `Bright patches are where the model looked while it wrote ${words} ` +
      `(layer ${view.layer}, ${head}${part}).${near}`
    );
  }
  if (view.map === "tam")
    return `Bright patches support ${words} on their own, minus what earlier words explain.`;
  if (view.map === "tower")
    return (
      `Bright patches matter most to the vision tower ` +
      `(layer ${scene.payload.tower_layers?.[view.layer] ?? view.layer}, ${head}), before any question is asked.`
    );
  if (view.map === "phi")
    return (
      `Bright tokens behave like attention sinks in layer ${view.layer}: ` +
      `they draw attention whatever they show.`
    );
  return "Bright tokens are those the method found important.";
};
