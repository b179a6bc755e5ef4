/**
 * Which colour each merged group gets, so that groups that touch never share one: greedy colouring in
 * the order of DSATUR (Brélaz 1979): the group with the most colours around it is next.
 */

/** @import { Numbers } from "../base/types.js" */

/** Corners of boxes that differ by less are the same point; in pixels of the original image. */
const NEAR = 0.25;

/**
 * Pairs of tokens that touch, also at a corner: neighbours in a tile, and tokens of two tiles of one
 * picture whose boxes share a corner.
 * @param {{n: number, right: Int32Array, down: Int32Array, box?: any, pane?: any, kind?: any}} scene
 * @param {(first: number, second: number) => void} act
 */
const eachTouching = (scene, act) => {
  const { n, right, down } = scene;
  const at = new Map();
  for (let i = 0; i < n; i++) {
    if (scene.kind?.values[i]) continue; // a row end has no place
    const below = down[i];
    const beside = right[i];
    if (beside >= 0) act(i, beside);
    if (below >= 0) act(i, below);
    if (beside >= 0 && down[beside] >= 0) act(i, down[beside]);
    if (beside >= 0 && below >= 0) act(beside, below);
    if (!scene.box) continue;
    const [x0, y0, x1, y1] = scene.box.values.subarray(4 * i, 4 * i + 4);
    for (const x of [x0, x1])
      for (const y of [y0, y1]) {
        const key = `${scene.pane.values[i]} ${Math.round(x / NEAR)} ${Math.round(y / NEAR)}`;
        for (const other of at.get(key) || []) act(i, other);
        if (!at.has(key)) at.set(key, []);
        at.get(key).push(i);
      }
  }
};

/** Group -> the groups that it touches. @returns {Map<number, Set<number>>} */
export const touchingGroups = (scene, groups) => {
  /** @type {Map<number, Set<number>>} */
  const beside = new Map();
  for (const group of groups) if (group >= 0 && !beside.has(group)) beside.set(group, new Set());
  eachTouching(scene, (first, second) => {
    const [one, other] = [groups[first], groups[second]];
    if (one < 0 || other < 0 || one === other) return;
    beside.get(one).add(other);
    beside.get(other).add(one);
  });
  return beside;
};

/**
 * Group -> number of its colour, 0 the first of the palette.
 * @param {any} scene
 * @param {Numbers} groups [n], -1 = in no group.
 * @returns {Map<number, number>}
 */
export const groupColours = (scene, groups) => {
  const beside = touchingGroups(scene, groups);
  const around = new Map([...beside.keys()].map((group) => [group, new Set()]));
  const colours = new Map();
  const isBefore = (one, other) =>
    around.get(one).size - around.get(other).size ||
    beside.get(one).size - beside.get(other).size ||
    other - one;
  const left = new Set(beside.keys());
  while (left.size) {
    const next = [...left].reduce((best, one) => (isBefore(one, best) > 0 ? one : best));
    let colour = 0;
    while (around.get(next).has(colour)) colour++;
    colours.set(next, colour);
    for (const other of beside.get(next)) around.get(other).add(colour);
    left.delete(next);
  }
  return colours;
};
