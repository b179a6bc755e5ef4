/**
 * The two honest baselines as lanes: a smaller picture, and no picture at all. The names are those of
 * components/runs/lane_request.py.
 */

/** @import { Plan } from "../base/types.js" */

import { el } from "../base/dom.js";
import { BY_HAND } from "../base/links.js";
import { t } from "../base/translate.js";

export const SMALLER = "downsample";
export const BLIND = "blind";

/** @param {Plan} plan @returns {string} Which baseline a lane is; "" for any other lane. */
export const baselineOf = (plan) => {
  if (plan.method === SMALLER && !plan.mitigation) return SMALLER;
  return plan.method === "" && plan.mitigation === BLIND ? BLIND : "";
};

/** Whether another lane with a method fits: baselines and a choice by hand come on top. */
export const hasRoom = (plans, most) => {
  const onTop = new Set(plans.map((plan) => baselineOf(plan) || plan.method));
  const extra = [SMALLER, BLIND, BY_HAND].filter((name) => onTop.has(name)).length;
  return plans.length - extra < most;
};

/**
 * The baselines that are not there yet, as lanes.
 * @param {Plan[]} plans
 * @param {number} n Visual tokens of the picture.
 * @param {{name: string, missing?: string}[]} catalogue Methods.
 * @param {{name: string}[]} mitigations
 * @returns {Plan[]}
 */
export const missingBaselines = (plans, n, catalogue, mitigations) => {
  const there = new Set(plans.map(baselineOf));
  const keep = plans.find((plan) => plan.method && plan.method !== BY_HAND)?.keep;
  const found = [];
  if (!there.has(SMALLER) && catalogue.some((one) => one.name === SMALLER && !one.missing))
    found.push({ method: SMALLER, keep: keep || Math.max(1, Math.round(n / 4)), options: {} });
  if (!there.has(BLIND) && mitigations.some((one) => one.name === BLIND))
    found.push({
      method: "",
      keep: Math.max(1, n),
      options: {},
      mitigation: BLIND,
      mitigation_options: {},
    });
  return found;
};

/**
 * Two boxes that set an owner's `smaller` and `blind`.
 * @param {{smaller: boolean, blind: boolean}} owner
 * @param {() => void} [changed]
 */
export const baselineBoxes = (owner, changed = () => {}) => {
  const check = (name, text) => {
    const box = el("input", {
      type: "checkbox",
      checked: owner[name],
      onchange: () => {
        owner[name] = box.checked;
        changed();
      },
    });
    return el("label", {}, box, ` ${text}`);
  };
  return [
    check("smaller", t("baseline: a smaller picture")),
    check("blind", t("baseline: without the picture")),
  ];
};
