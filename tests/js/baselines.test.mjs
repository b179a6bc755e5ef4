/** The two baselines as lanes of the comparison: added once, and beside three methods. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { BY_HAND } from "../../assets/js/base/links.js";
import { baselineOf, hasRoom, missingBaselines } from "../../assets/js/compare/baselines.js";

const METHODS = [{ name: "fastv" }, { name: "downsample" }];
const MITIGATIONS = [{ name: "pai" }, { name: "blind" }];
const fastv = (keep) => ({ method: "fastv", keep, options: {} });

test("both baselines are added with the budget of the first method, and only once", () => {
  const added = missingBaselines([fastv(9)], 36, METHODS, MITIGATIONS);
  assert.deepEqual(added.map(baselineOf), ["downsample", "blind"]);
  assert.deepEqual(
    added.map((plan) => plan.keep),
    [9, 36],
  );
  assert.deepEqual(missingBaselines([fastv(9), ...added], 36, METHODS, MITIGATIONS), []);
  assert.deepEqual(missingBaselines([], 36, [{ name: "fastv" }], []), []);
});

test("baselines and a choice by hand take no room from the methods", () => {
  const added = missingBaselines([], 36, METHODS, MITIGATIONS);
  const hand = { method: BY_HAND, keep: 1, options: {}, tokens: [0], n: 36 };
  assert.equal(hasRoom([fastv(9), fastv(8), ...added, hand], 3), true);
  assert.equal(hasRoom([fastv(9), fastv(8), fastv(7), ...added, hand], 3), false);
  assert.equal(baselineOf({ ...added[1], mitigation: "pai" }), "");
});
