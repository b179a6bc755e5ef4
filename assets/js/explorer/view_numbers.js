/** The numbers that one view of a run shows: a map, in a layer and head, for some answer words. */

/** @import { MapEntry, Numbers, Payload, View } from "../base/types.js" */

import { LateRows } from "./late_rows.js";
import { mapMenu } from "./map_menu.js";
import { RunArrays } from "./run_arrays.js";

export class ViewNumbers extends RunArrays {
  /** @param {Payload} payload */
  constructor(payload) {
    super(payload);
    /**
     * Layers whose attention was sent; null means all. For a long answer about many tokens, only
     * some are sent.
     */
    this.sentLayers = payload.attention_layers || null;
    /** Layers without attention -> what they have instead. @type {Record<string, string>} */
    this.gaps = payload.gaps || {};
    this.layers = this.countLayers();
    /** Heads that can be shown: those that were sent, or that the server still has. */
    const kept = (count) => (payload.savable ? count || 0 : 0);
    this.headCount = this.heads ? this.heads.shape[2] : kept(payload.head_count);
    this.towerHeadCount = this.tower_heads
      ? this.tower_heads.shape[1]
      : kept(payload.tower_head_count);
    this.late = new LateRows(this);
    /** Share of attention on the image per layer, mean over all words, [l]. */
    this.meanShare = this.shares(null);
    /** @type {MapEntry[]} */
    this.maps = mapMenu(this);
    // The numbers that were computed last, and for which view.
    this.shownKey = "";
    /** @type {Numbers} */
    this.shownValues = new Float32Array(0);
  }

  /** Layers of the language model that can be shown. */
  countLayers() {
    if (this.sentLayers) return this.share.shape[1]; // shares are sent for every layer
    if (this.attention) return this.attention.shape[1];
    return this.phi ? this.phi.shape[0] : 0;
  }

  /** @param {string} id */
  map(id) {
    return this.maps.find((map) => map.id === id);
  }

  /**
   * All tokens of one character, of which the page shows the first. (A character that no single token
   * spells has several; all but the first have `part`.)
   * @param {number} first
   * @returns {number[]}
   */
  tokensOfCharacter(first) {
    const all = [first];
    while (this.words[all.at(-1) + 1]?.part) all.push(all.at(-1) + 1);
    return all;
  }

  /** Whether a view is about some words, which are added up, and not about all, which are averaged. */
  hasChosenWords(view) {
    return view.words.size > 0 || view.peek !== null;
  }

  /**
   * The words that a view adds up; without a choice all words of text, the end of the answer left out.
   * @param {View} view
   * @returns {number[]}
   */
  chosen(view) {
    if (view.peek !== null && view.peek < this.words.length)
      return this.tokensOfCharacter(view.peek);
    if (view.words.size) {
      const there = [...view.words].filter((word) => word < this.words.length);
      return [...new Set(there.flatMap((word) => this.tokensOfCharacter(word)))];
    }
    const text = this.words.map((_, i) => i).filter((i) => !this.words[i].special);
    return text.length ? text : this.words.map((_, i) => i);
  }

  /**
   * `values` of a view, the last result kept: a slider that does not change the numbers must not add
   * them up again.
   */
  shown(view) {
    const key = `${view.map} ${view.layer} ${view.head} ${this.chosen(view)} ${this.hasChosenWords(view)} ${this.late.arrived}`;
    if (this.shownKey !== key)
      Object.assign(this, { shownKey: key, shownValues: this.values(view) });
    return this.shownValues;
  }

  /**
   * The numbers of a view, [n]; NaN where there is none. Chosen words are summed, all words averaged.
   * @param {View} view
   * @returns {Numbers}
   */
  values(view) {
    const { n } = this;
    const map = this.map(view.map);
    const layer = Math.min(view.layer, Math.max((map?.layers || 0) - 1, 0));
    if (!map?.has || !n || this.gap(view.map, layer)) return new Float32Array(n).fill(NaN);
    if (view.map === "attention" || view.map === "tam") return this.sumOverWords(view, layer);
    if (view.map === "tower") return this.towerRow(layer, view.head);
    // score [n] has one row, phi [l, n] one per layer.
    const start = view.map === "phi" ? layer * n : 0;
    return map.has.values.slice(start, start + n);
  }

  /** One row [n] of the vision tower's attention, of a head or (-1) of their mean. */
  towerRow(layer, wanted) {
    const { n } = this;
    const late = wanted >= 0 ? this.late.towerHead(layer, wanted) : null;
    if (late) return late.slice();
    const head = this.tower_heads && wanted < this.towerHeadCount ? wanted : -1;
    // tower [u, n]: `layer` rows lie before ours.
    if (head < 0) return this.tower.values.slice(layer * n, (layer + 1) * n);
    // tower_heads [u, g, n]: layer · g + head rows lie before ours.
    const start = (layer * this.towerHeadCount + head) * n;
    return this.tower_heads.values.slice(start, start + n);
  }

  /** What a layer has instead of attention; empty where a map has numbers in it. */
  gap(map, layer) {
    return (map === "attention" && this.gaps[layer]) || "";
  }

  /** The layer that is drawn for a layer: itself, or the nearest layer that was sent. */
  drawnLayer(layer) {
    if (!this.sentLayers || this.late.hasMean(layer) || this.gaps[layer]) return layer;
    return this.sentLayers.reduce((best, one) =>
      Math.abs(one - layer) < Math.abs(best - layer) ? one : best,
    );
  }

  /** The row [n] of a word in a layer, mean over heads. @returns {Numbers} */
  attentionRow(word, layer) {
    const late = this.late.mean(word, layer);
    if (late) return late;
    const place = this.sentLayers ? this.sentLayers.indexOf(this.drawnLayer(layer)) : layer;
    // attention [t, sent layers, n]
    const start = (word * this.attention.shape[1] + place) * this.n;
    return this.attention.values.subarray(start, start + this.n);
  }

  /** The row [n] of a word in a layer and head; null where it was not sent. @returns {Numbers | null} */
  headRow(word, layer, head) {
    if (!this.heads) return this.late.head(word, layer, head);
    // heads [t, l, h, n]
    const start = ((word * this.layers + layer) * this.headCount + head) * this.n;
    return this.heads.values.subarray(start, start + this.n);
  }

  /** Whether a view's numbers are those of its head: not so while the head's rows are on their way. */
  showsHead(view) {
    return view.head >= 0 && this.late.hasHeads(view.map, view.layer);
  }

  /** Add up the rows [n] of the chosen words in tam [t, n], attention [t, l, n] or heads. */
  sumOverWords(view, layer) {
    const { n } = this;
    const words = this.chosen(view);
    const weight = this.hasChosenWords(view) ? 1 : 1 / Math.max(words.length, 1);
    const head = view.head < this.headCount && this.showsHead(view) ? view.head : -1;
    const sum = new Float32Array(n);
    for (const word of words) {
      const row =
        view.map === "tam"
          ? this.tam.values.subarray(word * n, (word + 1) * n)
          : head < 0
            ? this.attentionRow(word, layer)
            : this.headRow(word, layer, head);
      for (let i = 0; i < n; i++) sum[i] += weight * row[i];
    }
    return sum;
  }

  /** How much each word used one token, [t], in the view's layer; null where nothing is known. */
  users(view, token) {
    const map = view.map === "tam" ? "tam" : "attention";
    if (!this.map(map).has) return null;
    const layer = Math.min(view.layer, Math.max(this.layers - 1, 0));
    if (this.gap(map, layer)) return null;
    return this.words.map((_, word) =>
      map === "tam"
        ? this.tam.values[word * this.n + token]
        : this.attentionRow(word, layer)[token],
    );
  }

  /**
   * A field [t, l] as its mean over the chosen words, [l]; by default the share of attention that is
   * on the image. `view` null means all words. NaN in layers without attention.
   */
  shares(view, field = this.share) {
    if (!field) return null;
    const [t, l] = field.shape;
    const mean = new Float32Array(l);
    const words = view ? this.chosen(view) : Array.from({ length: t }, (_, i) => i);
    for (const word of words)
      for (let i = 0; i < l; i++) mean[i] += field.values[word * l + i] / words.length;
    return mean;
  }

  /** Per layer, the share of the image's attention that falls on sinks, [l]. */
  sinkShares(view) {
    if (!this.sinks || !this.attention || !this.anySink) return null;
    return this.once(`sink shares ${this.chosen(view)} ${this.late.arrived}`, () =>
      Array.from({ length: this.layers }, (_, layer) => {
        const values = this.values({ ...view, map: "attention", layer, head: -1 });
        let total = 0;
        let onSinks = 0;
        for (let i = 0; i < this.n; i++) {
          if (!Number.isFinite(values[i])) continue;
          total += values[i];
          if (this.sinks.values[layer * this.n + i]) onSinks += values[i]; // sinks is [l, n]
        }
        return total ? onSinks / total : 0;
      }),
    );
  }

  /** u1 [n]: the sinks of the view's layer, or null where its map knows none. */
  sinkRow(view) {
    if (!this.anySink || (view.map !== "attention" && view.map !== "phi")) return null;
    const layer = Math.min(view.layer, this.sinks.shape[0] - 1);
    // One and the same array per layer: the painter compares it by identity.
    return this.once(`sinks ${layer}`, () =>
      this.sinks.values.subarray(layer * this.n, (layer + 1) * this.n),
    );
  }

  /** Which tokens are sinks in some layer, [n] of 0 and 1. */
  get sinksAnywhere() {
    return this.once("sinks anywhere", () => {
      const found = new Uint8Array(this.n);
      this.sinks?.values.forEach((value, i) => {
        if (value) found[i % this.n] = 1; // sinks is [l, n]
      });
      return found;
    });
  }

  isSink(view, token) {
    const row = this.sinkRow(view);
    return Boolean(row) && row[token] === 1;
  }

  /**
   * Fates as a view shows them: those of the key head that its head reads, where heads differ.
   * @param {View} view
   */
  fatesSeen(view) {
    const map = this.map(view.map);
    const heads = this.headFates?.shape[1];
    if (!heads || view.map !== "attention" || !map?.heads || view.head < 0)
      return this.fatesAt(view.stage);
    // query heads that read one key head are neighbours
    const keyHead = Math.floor((view.head * heads) / map.heads);
    return this.fatesInHead(view.stage, keyHead) || this.fatesAt(view.stage);
  }
}
