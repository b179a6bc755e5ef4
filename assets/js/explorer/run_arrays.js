/** The arrays of one run, decoded, and what became of its tokens. */

/** @import { Field, Numbers, Payload } from "../base/types.js" */

import { unpack } from "../base/arrays.js";
import { t } from "../base/translate.js";
import { groupColours } from "./group_colours.js";

export class RunArrays {
  /** @param {Payload} payload */
  constructor(payload) {
    /** @type {(name: string) => Field | null} */
    const field = (name) => unpack(payload[name]);
    this.payload = payload;
    /** Visual tokens before any reduction; all arrays of [n] are about these. */
    this.n = payload.n;
    this.words = payload.words || [];
    this.roles = payload.roles || [];
    this.box = field("box"); // [n, 4], pixels of the original image
    this.pane = field("pane"); // [n], which picture shows the token
    this.tile = field("tile"); // [n]
    this.row = field("row"); // [n], in its tile
    this.col = field("col"); // [n], likewise
    this.kind = field("kind"); // [n], 0 patch, 1 newline, 2 separator
    this.attention = field("attention"); // [t, l, n], mean over heads
    this.heads = field("heads"); // [t, l, h, n]
    this.share = field("share"); // [t, l], on all visual tokens together
    this.before = field("before"); // [t, l], on the prompt before the image
    this.tower = field("tower"); // [u, n]
    this.tower_heads = field("tower_heads"); // [u, g, n]
    this.tam = field("tam"); // [t, n]
    this.phi = field("phi"); // [l, n]
    this.sinks = field("sinks"); // [l, n]
    this.fates = field("fates"); // [k, n], 0 kept, 1 merged, 2 pruned
    this.groups = field("group"); // [k, n], output token, -1 = pruned
    this.places = field("place"); // [k, n], token that represents the group, -1 = pruned
    this.headFates = field("head_fates"); // [k, j, n], the same in each key head
    this.went = field("went"); // [n], stage that merged or pruned the token, -1 = none
    this.score = field("score"); // [n]
    this.registers = field("registers"); // [n]
    /** Results that are made once, by key. @type {Map<string, any>} */
    this.memory = new Map();
    this.link();
  }

  /** Right and lower neighbour of each token in its tile, for group outlines. */
  link() {
    const at = new Map();
    const key = (tile, row, col) => `${tile},${row},${col}`;
    this.right = new Int32Array(this.n).fill(-1);
    this.down = new Int32Array(this.n).fill(-1);
    for (let i = 0; i < this.n; i++)
      if (this.kind.values[i] === 0)
        at.set(key(this.tile.values[i], this.row.values[i], this.col.values[i]), i);
    for (const i of at.values()) {
      const [tile, row, col] = [this.tile.values[i], this.row.values[i], this.col.values[i]];
      this.right[i] = at.get(key(tile, row, col + 1)) ?? -1;
      this.down[i] = at.get(key(tile, row + 1, col)) ?? -1;
    }
  }

  /**
   * Compute once per key.
   * @template T
   * @param {string} key
   * @param {() => T} make
   * @returns {T}
   */
  once(key, make) {
    if (!this.memory.has(key)) this.memory.set(key, make());
    return this.memory.get(key);
  }

  /** Number of a stage: null means the last one; -1 (before the first) stays -1. */
  last(stage) {
    const final = this.fates.shape[0] - 1;
    return stage === null || stage === undefined ? final : Math.min(stage, final);
  }

  /** A stage's row [n] of a field [k, n]. @returns {Numbers | null} */
  stageRow(field, stage) {
    const at = this.last(stage);
    return at < 0 ? null : field.values.subarray(at * this.n, (at + 1) * this.n);
  }

  /**
   * Fates after a stage (default: the last, -1: before the first), or null when this run kept
   * everything.
   */
  fatesAt(stage) {
    if (!this.fates) return null;
    return this.stageRow(this.fates, stage) || this.once("all", () => new Uint8Array(this.n));
  }

  /**
   * Fates in one key head after a stage that shortens KV caches; null where heads do not differ.
   * @returns {Numbers | null}
   */
  fatesInHead(stage, keyHead) {
    const at = this.fates ? this.last(stage) : -1;
    const heads = this.headFates && at >= 0 ? this.payload.stages[at].heads : 0;
    if (!heads) return null;
    const row = at * heads + keyHead;
    return this.headFates.values.subarray(row * this.n, (row + 1) * this.n);
  }

  /** In how many key heads a token has an entry of its own after a stage; null: heads don't differ. */
  headsThatKeep(stage, token) {
    if (!this.fatesInHead(stage, 0)) return null;
    let count = 0;
    const heads = this.headFates.shape[1];
    for (let head = 0; head < heads; head++)
      if (this.fatesInHead(stage, head)[token] === 0) count++;
    return { count, heads };
  }

  /** Group of each token, [n], -1 = pruned, after a stage. */
  groupsAt(stage) {
    return this.fates ? this.stageRow(this.groups, stage) : null;
  }

  /** Token that represents the group of each token, [n], -1 = pruned, after a stage. */
  placesAt(stage) {
    return this.fates ? this.stageRow(this.places, stage) : null;
  }

  /** group -> its source tokens, after a stage. */
  membersAt(stage) {
    const groups = this.groupsAt(stage);
    if (!groups) return new Map();
    return this.once(`members${this.last(stage)}`, () => {
      /** @type {Map<number, number[]>} */
      const members = new Map();
      groups.forEach((group, i) => {
        if (group < 0) return;
        if (!members.has(group)) members.set(group, []);
        members.get(group).push(i);
      });
      return members;
    });
  }

  /** Group -> number of its colour, of the groups that tokens were merged into after a stage. */
  tintsAt(stage) {
    const groups = this.groupsAt(stage);
    if (!groups) return null;
    return this.once(`tints${this.last(stage)}`, () => {
      const fates = this.fatesAt(stage);
      return groupColours(
        this,
        groups.map((group, i) => (fates[i] === 1 ? group : -1)),
      );
    });
  }

  /** Whether a stage merges tokens. */
  hasGroups(stage) {
    return Boolean(this.tintsAt(stage)?.size);
  }

  get group() {
    return this.fates ? { values: this.groupsAt(null) } : null;
  }

  get place() {
    return this.fates ? { values: this.placesAt(null) } : null;
  }

  get members() {
    return this.membersAt(null);
  }

  get registerTokens() {
    return this.once("registers", () =>
      this.registers
        ? Array.from(this.registers.values.keys()).filter((i) => this.registers.values[i])
        : [],
    );
  }

  /** Number of the image that a token belongs to. */
  imageOf(token) {
    return this.imagesOfTokens[token];
  }

  /** [n], the image of each token. */
  get imagesOfTokens() {
    return this.once("images", () =>
      Array.from(this.pane.values, (pane) => this.payload.panes[pane]?.image ?? 0),
    );
  }

  /** Which picture and which of its tiles a token belongs to, as text. */
  where(token) {
    const { panes, images } = this.payload;
    const number = this.pane.values[token];
    const pane = panes[number];
    const image = pane.image + 1;
    if (pane.role === "frame") return t("frame {image}", { image });
    if (pane.role === "whole") return t("image {image}", { image });
    const tile = t("tile {tile}", { tile: this.tile.values[token] });
    const part = pane.role === "thumbnail" ? t("thumbnail") : tile;
    return images.length > 1 ? t("{part} of image {image}", { part, image }) : part;
  }

  /** Tokens that are not patches: row ends and separators. */
  get markTokens() {
    return this.once("marks", () =>
      Array.from(this.kind.values.keys()).filter((i) => this.kind.values[i] !== 0),
    );
  }

  get anySink() {
    return this.once("anySink", () => Boolean(this.sinks?.values.some(Boolean)));
  }
}
