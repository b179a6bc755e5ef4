import assert from "node:assert/strict";
import { test } from "node:test";
import { ranksOf } from "../../assets/js/explorer/ranks.js";

/** Ranks as one would write them down: sort by value, then by token. */
const plainRanks = (values) => {
  const order = Array.from(values.keys()).sort((a, b) => {
    const [x, y] = [a, b].map((i) => (Number.isFinite(values[i]) ? values[i] : -Infinity));
    return x === y ? a - b : y - x;
  });
  const ranks = [];
  order.forEach((token, place) => {
    ranks[token] = place + 1;
  });
  return ranks;
};

test("ranks are those of a plain sort: ties to the lower token, no number last", () => {
  const rows = [
    [0.5, 0.5, 0.1, 0.9, 0.5, 0],
    [NaN, -1, 0, -0, 1, -2],
    [NaN, NaN, 3, 3, -Infinity, 1e-45],
    [-0.25, -0.5, -0.125, 1e38, -1e38, 0],
  ];
  for (const row of rows) {
    const values = Float32Array.from(row);
    assert.deepEqual(Array.from(ranksOf(values)), plainRanks(values), String(row));
  }
});

test("ranks of many random numbers are those of a plain sort", () => {
  let seed = 7;
  const random = () => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed / 2147483648 - 0.5;
  };
  const values = Float32Array.from({ length: 3000 }, (_, i) =>
    i % 9 ? random() : Math.round(random() * 4),
  );
  assert.deepEqual(Array.from(ranksOf(values)), plainRanks(values));
});
