import assert from "node:assert/strict";
import { test } from "node:test";
import { groupColours, touchingGroups } from "../../assets/js/explorer/group_colours.js";
import { palette } from "../../assets/js/explorer/palette.js";
import { Scene } from "../../assets/js/explorer/scene.js";
import { f4, i2, run, u1 } from "./payloads.mjs";

/** A grid of tokens in one tile, as much of a scene as the colouring reads. */
const grid = (rows, cols) => {
  const n = rows * cols;
  const link = (test, step) => Int32Array.from({ length: n }, (_, i) => (test(i) ? i + step : -1));
  return {
    n,
    right: link((i) => (i + 1) % cols, 1),
    down: link((i) => i + cols < n, cols),
  };
};

const assertApart = (scene, groups) => {
  const colours = groupColours(scene, groups);
  for (const [group, others] of touchingGroups(scene, groups))
    for (const other of others)
      assert.notEqual(
        palette.group(colours.get(group)),
        palette.group(colours.get(other)),
        `groups ${group} and ${other} touch`,
      );
  return Math.max(...colours.values()) + 1;
};

test("groups 0 and 7 touch, and once had one colour because there are seven", () => {
  const colours = groupColours(grid(1, 2), Int32Array.from([0, 7]));
  assert.notEqual(palette.group(colours.get(0)), palette.group(colours.get(7)));
});

test("a corner is a touch too", () => {
  const beside = touchingGroups(grid(2, 2), Int32Array.from([0, -1, -1, 1]));
  assert.ok(beside.get(0).has(1));
});

test("no two groups that touch share a colour, however they are scattered", () => {
  let seed = 7;
  const random = () => {
    seed = (seed * 16807) % 2147483647;
    return seed / 2147483647;
  };
  for (const [rows, cols, count] of [
    [12, 12, 6],
    [12, 12, 30],
    [24, 24, 12],
    [24, 24, 288],
    [3, 40, 90],
  ]) {
    const groups = Int32Array.from({ length: rows * cols }, () => Math.floor(random() * count) - 1);
    assertApart(grid(rows, cols), groups);
  }
});

test("compact groups need no more than the seven colours that are told apart best", () => {
  const groups = Int32Array.from({ length: 144 }, (_, i) => {
    const [row, col] = [Math.floor(i / 12), i % 12];
    return Math.floor(row / 3) * 4 + Math.floor((col + (Math.floor(row / 3) % 2)) / 4);
  });
  assert.ok(assertApart(grid(12, 12), groups) <= 7);
});

test("tokens of two tiles that lie side by side touch", () => {
  const box = [0, 1, 2].flatMap((i) => [10 * i, 0, 10 * i + 10, 10]);
  const scene = new Scene(
    run({
      n: 3,
      box: f4([...box], [3, 4]),
      pane: i2([0, 0, 0]),
      tile: i2([0, 1, 2]),
      row: i2([0, 0, 0]),
      col: i2([0, 0, 0]),
      kind: u1([0, 0, 0]),
      attention: null,
      share: null,
      words: [],
    }),
  );
  const beside = touchingGroups(scene, Int32Array.from([0, 1, 2]));
  assert.deepEqual([...beside.get(1)].sort(), [0, 2]);
  assert.ok(!beside.get(0).has(2));
});

test("beyond seven every group still has a colour of its own", () => {
  const all = Array.from({ length: 60 }, (_, number) => palette.group(number));
  assert.equal(new Set(all).size, 60);
});
