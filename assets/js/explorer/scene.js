/** The numbers of a view as colours need them: their range, shares of the colour scale and ranks. */

/** @import { Numbers, Payload, Range, View } from "../base/types.js" */

import { scaled } from "./palette.js";
import { ranksOf } from "./ranks.js";
import { ViewNumbers } from "./view_numbers.js";

export class Scene extends ViewNumbers {
  /** @param {Payload} payload */
  constructor(payload) {
    super(payload);
    /** Ranks by the array that they are of. @type {WeakMap<Numbers, Int32Array>} */
    this.knownRanks = new WeakMap();
    // What was computed last, kept with what it was computed for.
    /** @type {any[]} */
    this.colourSharesKey = null;
    /** @type {Numbers} */
    this.lastColourShares = null;
    this.headKey = "";
    this.lastHeadMaps = null;
  }

  /** Whether a view colours sinks too: where it is asked to, and on the map of what makes them sinks. */
  coloursSinks(view) {
    return Boolean(view.sinks) || view.map === "phi";
  }

  /**
   * The range of a view's numbers, from 0 where none is negative. Sinks are left out unless the view
   * colours them: one sink would make everything else dark.
   * @param {Numbers} values [n]
   * @param {View} view
   * @returns {Range}
   */
  range(values, view) {
    const sinks = this.coloursSinks(view) ? null : this.sinkRow(view);
    let low = Infinity;
    let high = -Infinity;
    for (let i = 0; i < this.n; i++) {
      if (!Number.isFinite(values[i]) || sinks?.[i]) continue;
      low = Math.min(low, values[i]);
      high = Math.max(high, values[i]);
    }
    if (low > high) return { low: 0, high: 0 };
    return { low: Math.min(low, 0), high };
  }

  /**
   * The range of the colours: of this view alone, of all heads where one head is shown, or of all
   * layers where they share one scale.
   */
  scaleRange(values, view) {
    const map = this.map(view.map);
    if (view.common && map.layers > 1) return this.rangeOfAllLayers(view, map.layers);
    const isOneHead = view.head < map.heads && this.showsHead(view);
    const heads = isOneHead ? this.headMaps(view) : null;
    return heads ? heads.range : this.range(values, view);
  }

  rangeOfAllLayers(view, layers) {
    const words = view.map === "attention" ? this.chosen(view) : "";
    const { arrived } = this.late;
    return this.once(`range ${view.map} ${view.head} ${view.sinks} ${words} ${arrived}`, () => {
      const highs = Array.from({ length: layers }, (_, layer) => {
        const other = { ...view, layer };
        return this.range(this.values(other), other).high;
      });
      return { low: 0, high: Math.max(...highs) };
    });
  }

  /** Every head of the view's layer: its numbers [n], their sum, and one range for all of them. */
  headMaps(view) {
    const map = this.map(view.map);
    if (!map?.heads || !map.has || !this.late.hasHeads(view.map, view.layer)) return null;
    if (this.gap(view.map, view.layer)) return null;
    const words = view.map === "attention" ? this.chosen(view) : "";
    const key = `${view.map} ${view.layer} ${view.sinks} ${words}`;
    if (this.headKey === key) return this.lastHeadMaps;
    const heads = Array.from({ length: map.heads }, (_, head) => {
      const values = this.values({ ...view, head });
      let mass = 0;
      for (const value of values) if (Number.isFinite(value)) mass += value;
      return { head, values, mass };
    });
    const high = Math.max(...heads.map(({ values }) => this.range(values, view).high));
    heads.sort((a, b) => b.mass - a.mass || a.head - b.head);
    this.headKey = key;
    this.lastHeadMaps = { heads, range: { low: 0, high } };
    return this.lastHeadMaps;
  }

  /**
   * A view's numbers as shares of the colour scale, [n] from 0 to 1; NaN where there is no number.
   * The last result is kept, so that the painter gets the same array and need not draw anew.
   */
  colourShares(values, { low, high }, scaling) {
    const key = [values, low, high, scaling];
    if (this.colourSharesKey && key.every((part, i) => part === this.colourSharesKey[i]))
      return this.lastColourShares;
    const span = high - low;
    const lastRank = Math.max(this.n - 1, 1);
    const ranks = scaling === "rank" ? this.ranks(values) : null;
    this.colourSharesKey = key;
    this.lastColourShares = values.map((value, i) => {
      if (!Number.isFinite(value)) return NaN;
      return ranks
        ? 1 - (ranks[i] - 1) / lastRank
        : scaled(span > 0 ? (value - low) / span : 0, scaling);
    });
    return this.lastColourShares;
  }

  /** Rank of each token, [n], 1 = highest, computed once per array. */
  ranks(values) {
    if (!this.knownRanks.has(values)) this.knownRanks.set(values, ranksOf(values));
    return this.knownRanks.get(values);
  }
}
