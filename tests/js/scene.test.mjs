import assert from "node:assert/strict";
import { test } from "node:test";
import { Scene } from "../../assets/js/explorer/scene.js";
import { ATTENTION, f4, reduced, run, u1, view } from "./payloads.mjs";

const near = (values, wanted) => {
  assert.equal(values.length, wanted.length);
  wanted.forEach((one, i) => {
    assert.ok(Math.abs(values[i] - one) < 1e-6, `${i}: ${values[i]} is not ${one}`);
  });
};

test("no word chosen averages all that are text, chosen words add up", () => {
  const scene = new Scene(run());
  near(
    scene.values(view()),
    ATTENTION[0].map((one, i) => (one + ATTENTION[2][i]) / 2),
  );
  near(scene.values(view({ words: new Set([1]), layer: 1 })), ATTENTION[3]);
  near(
    scene.values(view({ words: new Set([0, 1]) })),
    ATTENTION[0].map((one, i) => one + ATTENTION[2][i]),
  );
  near(scene.values(view({ words: new Set([0]), peek: 2 })), ATTENTION[4]);
});

test("a map that is not there has a reason and no numbers", () => {
  const scene = new Scene(run());
  assert.equal(scene.map("tam").why, "no map here");
  assert.ok(Array.from(scene.values(view({ map: "tam" }))).every(Number.isNaN));
});

test("a head of the vision tower is the row of its layer and head", () => {
  const heads = Array.from({ length: 2 * 3 * 6 }, (_, i) => i); // [u, g, n]
  const scene = new Scene(
    run({ tower: f4(heads.slice(0, 12), [2, 6]), tower_heads: f4(heads, [2, 3, 6]) }),
  );
  near(scene.values(view({ map: "tower", layer: 1, head: 2 })), [30, 31, 32, 33, 34, 35]);
  near(scene.values(view({ map: "tower", layer: 1 })), [6, 7, 8, 9, 10, 11]);
});

test("heads are in the order of their sums, of equal ones the lower head first", () => {
  const rows = [0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0];
  const scene = new Scene(
    run({ tower: f4(rows.slice(0, 6), [1, 6]), tower_heads: f4(rows, [1, 3, 6]) }),
  );
  const { heads, range } = scene.headMaps(view({ map: "tower" }));
  assert.deepEqual(
    heads.map(({ head, mass }) => [head, mass]),
    [
      [1, 12],
      [0, 4],
      [2, 4],
    ],
  );
  assert.deepEqual(range, { low: 0, high: 2 });
});

test("of a layer that was not sent the nearest one is drawn", () => {
  const share = f4(Array(15).fill(0.5), [3, 5]);
  const scene = new Scene(run({ attention_layers: [1, 4], share }));
  assert.equal(scene.layers, 5);
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((layer) => scene.drawnLayer(layer)),
    [1, 1, 1, 4, 4],
  );
  near(scene.values(view({ layer: 4, words: new Set([0]) })), ATTENTION[1]);
});

test("the range leaves sinks out unless they are asked for, and begins at 0", () => {
  const scene = new Scene(run({ sinks: u1([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [2, 6]) }));
  const values = Float32Array.from([9, 1, 2, NaN, 3, 0.5]);
  assert.deepEqual(scene.range(values, view()), { low: 0, high: 3 });
  assert.deepEqual(scene.range(values, view({ sinks: true })), { low: 0, high: 9 });
  // The map of what makes tokens sinks shows them as its highest, not as the only ones without colour.
  assert.deepEqual(scene.range(values, view({ map: "phi" })), { low: 0, high: 9 });
  assert.deepEqual(scene.range(Float32Array.from([NaN, NaN]), view()), { low: 0, high: 0 });
  assert.equal(scene.range(Float32Array.from([1, -2, 1, 1, 1, 1]), view()).low, -2);
});

test("shares of the colour scale follow the scale that was chosen", () => {
  const scene = new Scene(run());
  const values = Float32Array.from([0, 1, 2, 4, NaN, 3]);
  const range = { low: 0, high: 4 };
  near(scene.colourShares(values, range, "linear").slice(0, 4), [0, 0.25, 0.5, 1]);
  assert.ok(Number.isNaN(scene.colourShares(values, range, "linear")[4]));
  near(scene.colourShares(values, range, "rank").slice(0, 4), [0.2, 0.4, 0.6, 1]);
  const log = scene.colourShares(values, range, "log");
  assert.ok(log[1] > 0.25 && log[3] === 1);
});

test("fates, groups and members are those after the stage that is asked for", () => {
  const scene = new Scene(reduced());
  assert.deepEqual(Array.from(scene.fatesAt(null)), [0, 2, 0, 1, 1, 2]);
  assert.deepEqual(Array.from(scene.fatesAt(0)), [0, 2, 0, 1, 1, 0]);
  assert.deepEqual(Array.from(scene.fatesAt(-1)), [0, 0, 0, 0, 0, 0]);
  assert.deepEqual(scene.membersAt(0).get(2), [3, 4]);
  assert.equal(scene.membersAt(1).has(3), false);
  assert.equal(new Scene(run()).fatesAt(null), null);
});

test("neighbours are those to the right and below in the same tile", () => {
  const scene = new Scene(run());
  assert.deepEqual(Array.from(scene.right), [1, 2, -1, 4, 5, -1]);
  assert.deepEqual(Array.from(scene.down), [3, 4, 5, -1, -1, -1]);
});

test("share of attention per layer is the mean over the chosen words", () => {
  const scene = new Scene(run());
  near(scene.shares(view()), [0.625, 0.375]);
  near(scene.shares(view({ words: new Set([0]) })), [0.5, 0.25]);
});
