/** The sentence above the picture, which says what it shows. */

import { formatPercent, plural } from "../base/text.js";
import { t, told } from "../base/translate.js";
import { seenText } from "./run_facts.js";

/** The sentence for a view of what became of the tokens. */
export const fateSentence = (scene, roles, stage) => {
  const count = (code) => roles.filter((role) => role === code).length;
  const groups = new Set(
    Array.from(scene.groupsAt(stage) || []).filter((_group, i) => roles[i] === 1),
  ).size;
  const parts = [t("{count} kept", { count: count(0) })];
  if (count(1))
    parts.push(
      t("{count} merged into {groups}", { count: count(1), groups: plural(groups, "group") }),
    );
  if (count(2)) parts.push(t("{count} pruned", { count: count(2) }));
  const written = scene.payload.answer ? t(" The answer was written from what is left.") : "";
  const hint = count(1) ? t(" Point at a merged token to see its whole group.") : "";
  return (
    t("What became of the {n} visual tokens: {parts}.", { n: scene.n, parts: parts.join(", ") }) +
    written +
    hint
  );
};

/**
 * The texts of some tokens of an answer; tokens side by side with no space between them are one.
 * @param {{text: string, lead: boolean, special: boolean, part: boolean}[]} words
 * @param {number[]} chosen
 * @returns {string[]}
 */
export const namesOf = (words, chosen) => {
  /** @type {string[]} */
  const names = [];
  let before = Number.NaN;
  for (const i of [...chosen].sort((a, b) => a - b)) {
    const { text, lead, special, part } = words[i];
    const joined = before === i - 1 && !special && !words[before].special && !lead;
    if (joined) names[names.length - 1] += part ? "" : text;
    else if (!part) names.push(special ? t("end") : text);
    before = i;
  }
  return names;
};

/** The sentence for any view. */
export const leadSentence = ({ scene, view, look }) => {
  if (!scene.n)
    return scene.payload.phase === "streaming"
      ? t("The model is answering. Its maps appear when it is done.")
      : "";
  const chosen = scene.chosen(view);
  const names = namesOf(scene.words, chosen).map((name) => `“${name}”`);
  const held = view.words.size || view.peek !== null;
  const words = held
    ? names.slice(0, 4).join(" + ") + (names.length > 4 ? " + …" : "")
    : t("its answer");
  const head = view.head >= 0 ? t("head {label}", { label: view.head }) : t("mean over heads");
  if (view.bare === "picture")
    return t("The picture as it was given: {seen}.", { seen: seenText(scene.payload.facts) });
  if (view.bare === "patches")
    return t("Each frame is one visual token: the language model reads {n} of them.", {
      n: scene.n,
    });
  if (look.painted)
    return t(
      "Paint over what the model should not see: hatched tokens are left out when you ask again.",
    );
  if (look.preview)
    return t(
      "The {keep} brightest of {n} tokens stay clear, the rest is hatched: a preview by this map. Compare below removes tokens for real.",
      { keep: view.keep, n: scene.n },
    );
  if (look.roles) return fateSentence(scene, look.roles, view.stage);
  const gap = scene.gap(view.map, view.layer);
  if (gap)
    return t("Layer {layer} is {kind}: it has no attention map. Layers that have one: {layers}.", {
      layer: view.layer,
      kind: told(gap),
      layers: Array.from({ length: scene.layers }, (_, i) => i)
        .filter((i) => !scene.gaps[i])
        .join(", "),
    });
  if (view.map === "attention") {
    const share = scene.shares(view);
    const part = share
      ? t("; {share} of its attention was on the image", {
          share: formatPercent(share[view.layer]),
        })
      : "";
    const drawn = scene.drawnLayer(view.layer);
    const near = [
      drawn === view.layer
        ? ""
        : t(
            " The picture shows layer {layer}: for an answer this long, only some layers are sent.",
            { layer: drawn },
          ),
      view.head >= 0 && !scene.showsHead(view)
        ? t(" The picture shows the mean of all heads until the head's numbers are here.")
        : "",
      scene.late.trouble(view) && ` ${scene.late.trouble(view)}`,
    ].join("");
    return (
      t(
        "Bright patches are where the model looked while it wrote {words} (layer {layer}, {head}{part}).",
        {
          words,
          layer: view.layer,
          head,
          part,
        },
      ) + near
    );
  }
  if (view.map === "tam")
    return t("Bright patches support {words} on their own, minus what earlier words explain.", {
      words,
    });
  if (view.map === "tower")
    return t(
      "Bright patches matter most to the vision tower (layer {layer}, {head}), before any question is asked.",
      {
        layer: scene.payload.tower_layers?.[view.layer] ?? view.layer,
        head,
      },
    );
  if (view.map === "phi")
    return t(
      "Bright tokens behave like attention sinks in layer {layer}: they draw attention whatever they show.",
      {
        layer: view.layer,
      },
    );
  return t("Bright tokens are those the method found important.");
};
