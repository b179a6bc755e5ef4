/** One run as a view of it shows it: the numbers of a map, their range and their ranks. */

/** @import { Field, MapEntry, Numbers, Payload, Range, View } from "../base/types.js" */

import { scaled } from "./palette.js";
import { RunArrays } from "./run_arrays.js";

export class Scene extends RunArrays {
  /** @param {Payload} payload */
  constructor(payload) {
    super(payload);
    /** Ranks by the array that they are of. @type {WeakMap<Numbers, Int32Array>} */
    this.rankMemory = new WeakMap();
    /**
     * Layers whose attention was sent; null means all. A long answer about many tokens sends some.
     */
    this.sent = payload.attention_layers || null;
    this.layers = this.countLayers();
    this.headCount = this.heads ? this.heads.shape[2] : 0;
    this.towerHeads = this.tower_heads ? this.tower_heads.shape[1] : 0;
    this.meanShare = this.shares(null);
    this.maps = this.menu();
    // What was computed last, kept with what it was computed for.
    this.shownKey = "";
    /** @type {Numbers} */
    this.shownValues = new Float32Array(0);
    /** @type {any[]} */
    this.normalKey = null;
    /** @type {Numbers} */
    this.normalShares = null;
    this.headKey = "";
    this.headCache = null;
  }

  /** Layers of the language model that can be shown. */
  countLayers() {
    if (this.sent) return this.share.shape[1]; // the shares are there for every layer
    if (this.attention) return this.attention.shape[1];
    return this.phi ? this.phi.shape[0] : 0;
  }

  /**
   * The maps to choose from, those that this run lacks with the reason why. @returns {MapEntry[]}
   */
  menu() {
    const lost = this.payload.missing || {};
    const cls = this.payload.tower_kind !== "received";
    return [
      {
        id: "attention",
        label: "Attention",
        has: this.attention,
        layers: this.layers,
        heads: this.headCount,
        help: "How much of its attention each answer word put on each patch.",
        why: lost.attention,
      },
      {
        id: "tam",
        label: "Token map",
        has: this.tam,
        layers: 0,
        heads: 0,
        why: lost.tam,
        help:
          "Token Activation Map: how strongly each patch on its own supports the word, " +
          "minus what earlier words explain.",
      },
      {
        id: "tower",
        label: cls ? "[CLS]" : "Received",
        has: this.tower,
        heads: this.towerHeads,
        why: lost.tower,
        layers: this.tower ? this.tower.shape[0] : 0,
        help: cls
          ? "What the vision tower's [CLS] token attends to, before any question is asked."
          : lost.cls,
      },
      {
        id: "phi",
        label: "Sinks",
        has: this.phi,
        layers: this.phi ? this.phi.shape[0] : 0,
        heads: 0,
        why: lost.phi,
        help: this.payload.sink_note || "Sink statistic: large where a token is an attention sink.",
      },
      ...(this.score
        ? [
            {
              id: "score",
              label: "Method's score",
              has: this.score,
              layers: 0,
              heads: 0,
              help: "The importance by which the method decided.",
            },
          ]
        : []),
    ];
  }

  /** @param {string} id */
  map(id) {
    return this.maps.find((map) => map.id === id);
  }

  /**
   * A token with the further tokens of its character: they are one chip on the page.
   * @param {number} first
   * @returns {number[]}
   */
  chip(first) {
    const all = [first];
    while (this.words[all[all.length - 1] + 1]?.part) all.push(all[all.length - 1] + 1);
    return all;
  }

  /**
   * Which words a view adds up; none chosen means all that are text.
   * @param {View} view
   * @returns {number[]}
   */
  chosen(view) {
    if (view.peek !== null && view.peek < this.words.length) return this.chip(view.peek);
    if (view.words.size) {
      const there = [...view.words].filter((word) => word < this.words.length);
      return [...new Set(there.flatMap((word) => this.chip(word)))];
    }
    const text = this.words.map((_, i) => i).filter((i) => !this.words[i].special);
    return text.length ? text : this.words.map((_, i) => i);
  }

  /**
   * The numbers of a view, the last one's kept: moving another slider must not add them up again.
   */
  shown(view) {
    const held = view.words.size || view.peek !== null;
    const key = `${view.map} ${view.layer} ${view.head} ${this.chosen(view)} ${held}`;
    if (this.shownKey !== key)
      Object.assign(this, { shownKey: key, shownValues: this.values(view) });
    return this.shownValues;
  }

  /** The same numbers as shares of the colour scale, 0 to 1; NaN where there is none. */
  normal(values, { low, high }, scaling) {
    const key = [values, low, high, scaling];
    if (this.normalKey && key.every((part, i) => part === this.normalKey[i]))
      return this.normalShares;
    const span = high - low;
    const last = Math.max(this.n - 1, 1);
    const ranks = scaling === "rank" ? this.ranks(values) : null;
    this.normalKey = key;
    this.normalShares = values.map((value, i) => {
      if (!Number.isFinite(value)) return NaN;
      return ranks
        ? 1 - (ranks[i] - 1) / last
        : scaled(span > 0 ? (value - low) / span : 0, scaling);
    });
    return this.normalShares;
  }

  /**
   * The numbers of a view, [n]. Chosen words are summed; all words are averaged.
   * @param {View} view
   * @returns {Numbers}
   */
  values(view) {
    const out = new Float32Array(this.n).fill(NaN);
    const map = this.map(view.map);
    if (!map?.has || !this.n) return out;
    const layer = Math.min(view.layer, Math.max(map.layers - 1, 0));
    if (view.map === "score" || view.map === "phi") {
      const start = view.map === "phi" ? layer * this.n : 0;
      return map.has.values.slice(start, start + this.n);
    }
    if (view.map === "tower") {
      // [u, n], or [u, g, n] for one head: row-major, so a head's row begins after (layer · g +
      // head) rows.
      const head = view.head < this.towerHeads ? view.head : -1;
      const n = this.n;
      const start = head < 0 ? layer * n : (layer * this.towerHeads + head) * n;
      return (head < 0 ? this.tower : this.tower_heads).values.slice(start, start + n);
    }
    return this.sum(view, layer, out);
  }

  /**
   * Where a word's attention in a layer begins; of a layer that was not sent, in the nearest that
   * was.
   */
  attentionAt(word, layer) {
    const place = this.sent ? this.sent.indexOf(this.drawnLayer(layer)) : layer;
    return (word * this.attention.shape[1] + place) * this.n;
  }

  /** The layer that is drawn for a layer: itself, or the nearest that was sent. */
  drawnLayer(layer) {
    if (!this.sent) return layer;
    return this.sent.reduce((best, one) =>
      Math.abs(one - layer) < Math.abs(best - layer) ? one : best,
    );
  }

  /**
   * Add up [n] rows of tam [t, n], attention [t, l, n] or heads [t, l, h, n] over the chosen words.
   */
  sum(view, layer, out) {
    const words = this.chosen(view);
    const n = this.n;
    const weight = view.words.size || view.peek !== null ? 1 : 1 / Math.max(words.length, 1);
    const head = view.head < this.headCount ? view.head : -1;
    out.fill(0);
    for (const word of words) {
      const [source, start] =
        view.map === "tam"
          ? [this.tam, word * n]
          : head < 0
            ? [this.attention, this.attentionAt(word, layer)]
            : [this.heads, ((word * this.layers + layer) * this.headCount + head) * n];
      for (let i = 0; i < n; i++) out[i] += weight * source.values[start + i];
    }
    return out;
  }

  /** For one token: how much each word used it, in the current layer and map. */
  users(view, token) {
    const one = { ...view, words: new Set(), peek: null };
    if (view.map !== "attention" && view.map !== "tam") one.map = "attention";
    if (!this.map(one.map).has) return null;
    return this.words.map((_, word) => {
      const layer = Math.min(view.layer, Math.max(this.layers - 1, 0));
      const start = one.map === "tam" ? word * this.n : this.attentionAt(word, layer);
      return (one.map === "tam" ? this.tam : this.attention).values[start + token];
    });
  }

  /**
   * Share of attention on the image per layer, mean over the chosen words; or another field [t, l].
   */
  shares(view, field = this.share) {
    if (!field) return null;
    const [t, l] = field.shape;
    const out = new Float32Array(l);
    const words = view ? this.chosen(view) : Array.from({ length: t }, (_, i) => i);
    for (const word of words)
      for (let i = 0; i < l; i++) out[i] += field.values[word * l + i] / words.length;
    return out;
  }

  /** What share of the shown image attention falls on sinks, per layer. */
  sinkShares(view) {
    if (!this.sinks || !this.attention || !this.anySink) return null;
    return this.once(`sunk${this.chosen(view)}`, () =>
      Array.from({ length: this.layers }, (_, layer) => {
        const values = this.values({ ...view, map: "attention", layer, head: -1 });
        let all = 0;
        let sunk = 0;
        for (let i = 0; i < this.n; i++) {
          if (!Number.isFinite(values[i])) continue;
          all += values[i];
          if (this.sinks.values[layer * this.n + i]) sunk += values[i];
        }
        return all ? sunk / all : 0;
      }),
    );
  }

  /** Every head of the view's layer: its numbers, their sum, and one range for all of them. */
  headMaps(view) {
    const map = this.map(view.map);
    if (!map?.heads || !map.has) return null;
    const words = view.map === "attention" ? this.chosen(view) : "";
    const key = `heads ${view.map} ${view.layer} ${view.sinks} ${words}`;
    if (this.headKey === key) return this.headCache;
    const heads = Array.from({ length: map.heads }, (_, head) => {
      const values = this.values({ ...view, head });
      let mass = 0;
      for (const value of values) if (Number.isFinite(value)) mass += value;
      return { head, values, mass };
    });
    const range = {
      low: 0,
      high: Math.max(...heads.map(({ values }) => this.range(values, view).high)),
    };
    this.headKey = key;
    this.headCache = {
      heads: [...heads].sort((a, b) => b.mass - a.mass || a.head - b.head),
      range,
    };
    return this.headCache;
  }

  /**
   * The range of the colours: of this view, of all heads when one is looked at, or of all layers.
   */
  scaleRange(values, view) {
    const map = this.map(view.map);
    const heads = view.head >= 0 && view.head < map.heads ? this.headMaps(view) : null;
    if (view.common && map.layers > 1) {
      const words = view.map === "attention" ? this.chosen(view) : "";
      return this.once(`range ${view.map} ${view.head} ${view.sinks} ${words}`, () => {
        const highs = Array.from(
          { length: map.layers },
          (_, layer) => this.range(this.values({ ...view, layer }), { ...view, layer }).high,
        );
        return { low: 0, high: Math.max(...highs) };
      });
    }
    return heads ? heads.range : this.range(values, view);
  }

  /** u1 [n]: the sinks of the view's layer, or null where its map knows none. */
  sinkRow(view) {
    if (!this.anySink || (view.map !== "attention" && view.map !== "phi")) return null;
    const layer = Math.min(view.layer, this.sinks.shape[0] - 1);
    return this.once(`sinks${layer}`, () =>
      this.sinks.values.subarray(layer * this.n, (layer + 1) * this.n),
    );
  }

  isSink(view, token) {
    const row = this.sinkRow(view);
    return Boolean(row) && row[token] === 1;
  }

  /**
   * Range of a view's numbers, from 0 where none is negative; sinks are left out unless asked for.
   * @param {Numbers} values
   * @param {View} view
   * @returns {Range}
   */
  range(values, view) {
    const sinks = view.sinks ? null : this.sinkRow(view);
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
   * Rank of each token, 1 = highest; ties go to the lower index; tokens without a number come last.
   */
  ranks(values) {
    if (!this.rankMemory.has(values)) this.rankMemory.set(values, this.rank(values));
    return this.rankMemory.get(values);
  }

  /**
   * The ranks by one sort of plain numbers: a typed array without a comparison function sorts in a
   * tenth of the time. So value and token have to fit into one number, whose order is the order
   * wanted.
   *
   * The bits of a 32-bit float, read as an integer, already grow with the size of the value; the
   * sign is a bit of its own. A value >= 0 becomes minus its bits, so larger ones come first; a
   * value < 0 becomes its bits without the sign, so those nearer to 0 come first. Both times n plus
   * the token keeps equal values in the tokens' order, and stays exact: 2^31 · n is below 2^53 for
   * n < 4 million.
   *
   * @param {Numbers} values [n]; what is no finite number counts as minus infinity.
   * @returns {Int32Array} [n]
   */
  rank(values) {
    const { n } = this;
    // `+ 0` turns -0, whose bits are those of a negative number, into 0.
    const floats = Float32Array.from(values, (value) =>
      Number.isFinite(value) ? value + 0 : -Infinity,
    );
    const bits = new Int32Array(floats.buffer); // the same memory, not a conversion
    const keys = Float64Array.from(
      bits,
      (bit, token) => (bit < 0 ? bit & 0x7fffffff : -bit) * n + token,
    ).sort();
    const ranks = new Int32Array(n);
    keys.forEach((key, place) => {
      // Not `key % n`, which is negative for a negative key.
      ranks[key - n * Math.floor(key / n)] = place + 1;
    });
    return ranks;
  }
}
