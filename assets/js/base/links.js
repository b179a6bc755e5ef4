/** The state of the page as the query of an address; components/answering/links.py reads it. */

/** @import { Plan, View } from "./types.js" */

/** Method name of a lane whose tokens were chosen by hand, as in components/runs/lane_request.py. */
export const BY_HAND = "by hand";

/**
 * How the viewer shows one run, as fields of a query; null where a field has its default.
 * @param {View} view
 * @param {{n: number, fates: boolean, hand: Uint8Array | null}} of What the run has.
 */
export const viewWords = (view, of) => ({
  map: view.map,
  layer: view.layer,
  head: view.head >= 0 ? view.head : null,
  words: view.words.size ? [...view.words].join(",") : null,
  keep: view.keep < of.n ? view.keep : null,
  opacity: view.opacity,
  fates: of.fates && !view.fates ? 0 : null,
  groups: of.fates && view.fates && view.tints !== null ? Number(view.tints) : null,
  stage: view.fates && view.stage !== null && view.stage >= 0 ? view.stage : null,
  token: view.pinned >= 0 ? view.pinned : null,
  scaling: view.scaling === "linear" ? null : view.scaling,
  common: view.common ? 1 : null,
  sinks: view.sinks ? 1 : null,
  hand: of.hand ? packBits(of.hand) : null,
});

/** Chosen tokens [n] as hexadecimal digits: four tokens each, the first in the highest bit. */
export const packBits = (bits) => {
  let text = "";
  for (let i = 0; i < bits.length; i += 4)
    text += (
      bits[i] * 8 +
      (bits[i + 1] || 0) * 4 +
      (bits[i + 2] || 0) * 2 +
      (bits[i + 3] || 0)
    ).toString(16);
  return text;
};

const OWN = ["prompt", "model", "mitigation", "forced", "forcedText", "layer"];
const isSet = (value) =>
  value !== null && value !== undefined && value !== "" && !(Array.isArray(value) && !value.length);

/**
 * The fields of a lane in a link: those of the lane begin with a dot, options of the method have their
 * plain names.
 * @param {Plan} plan
 * @returns {any[][]} Names and values.
 */
const planWords = (plan) => {
  const own = OWN.filter((name) => isSet(plan[name])).map((name) => [`.${name}`, plan[name]]);
  const mitigationOptions = plan.mitigation
    ? Object.entries(plan.mitigation_options || {}).map(([name, value]) => [
        `.mitigation.${name}`,
        value,
      ])
    : [];
  if (plan.method !== BY_HAND)
    return [
      ...Object.entries(plan.options || {}),
      ...(plan.positions ? [["positions", plan.positions]] : []),
      ...own,
      ...mitigationOptions,
    ];
  const bits = new Uint8Array(plan.n);
  for (const token of plan.tokens) bits[token] = 1;
  return [[".tokens", packBits(bits)], [".n", plan.n], ...own, ...mitigationOptions];
};

const planHead = (plan) => (plan.method === BY_HAND ? "hand" : plan.method || "all");

/**
 * @param {Plan[]} plans @returns {string} Lanes as
 * "fastervlm:36,fastv:36;layer=3;.mitigation=%22pai%22".
 */
export const plansText = (plans) =>
  plans
    .map((plan) =>
      [
        `${planHead(plan)}:${plan.keep}`,
        ...planWords(plan).map(
          ([name, value]) => `${name}=${encodeURIComponent(JSON.stringify(value))}`,
        ),
      ].join(";"),
    )
    .join(",");

/**
 * @param {Plan} plan @returns {string} Equal for equal plans: the order of their fields and empty fields
 * do not matter.
 */
export const planKey = (plan) => {
  const options = Object.entries(plan.options || {})
    .sort()
    .map(([name, value]) => [name, value]);
  return JSON.stringify([
    plan.method,
    plan.keep,
    plan.positions || null,
    options,
    plan.n || null,
    plan.tokens || null,
    planWords({ ...plan, options: {}, positions: null }).sort(),
  ]);
};
