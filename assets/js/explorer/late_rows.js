/**
 * Rows of single layers and heads that were too many to be sent with a run. They are asked for when a
 * view needs them; until then the view shows the nearest layer that was sent, and no single head.
 */

/** @import { Field, Numbers, View } from "../base/types.js" */
/** @import { ViewNumbers } from "./view_numbers.js" */

import { unpack } from "../base/arrays.js";
import { key, told } from "../base/translate.js";

const NO_SERVER = key("The server did not answer. Try again.");

/** @type {(map: string, layer: number, heads: boolean) => string} */
const nameOf = (map, layer, heads) => `${map} ${layer} ${heads}`;

export class LateRows {
  /** @param {ViewNumbers} scene */
  constructor(scene) {
    this.scene = scene;
    /** Counts the rows that have come: numbers that were made before are no longer those of the view. */
    this.arrived = 0;
    /** [t, n], [t, h, n] or (vision tower) [g, n]. @type {Map<string, Field>} */
    this.rows = new Map();
    /** Why rows did not come. @type {Map<string, string>} */
    this.refused = new Map();
    /** Rows that were asked for. @type {Set<string>} */
    this.asked = new Set();
  }

  /** Whether the run was sent without its single heads of a map, though the server has them. */
  lacksHeads(map) {
    const { scene } = this;
    if (map === "attention") return !scene.heads && scene.headCount > 0;
    return map === "tower" && !scene.tower_heads && scene.towerHeadCount > 0;
  }

  /** @returns {Numbers | null} The mean over heads [n] of a word in a layer. */
  mean(word, layer) {
    const rows = this.rows.get(nameOf("attention", layer, false));
    const { n } = this.scene;
    return rows ? rows.values.subarray(word * n, (word + 1) * n) : null;
  }

  /** @returns {Numbers | null} The row [n] of a word in a layer and head. */
  head(word, layer, head) {
    const rows = this.rows.get(nameOf("attention", layer, true)); // [t, h, n]
    const { n } = this.scene;
    if (!rows) return null;
    const start = (word * rows.shape[1] + head) * n;
    return rows.values.subarray(start, start + n);
  }

  /** @returns {Numbers | null} The row [n] of a head of the vision tower. */
  towerHead(layer, head) {
    const rows = this.rows.get(nameOf("tower", layer, true)); // [g, n]
    const { n } = this.scene;
    return rows ? rows.values.subarray(head * n, (head + 1) * n) : null;
  }

  hasHeads(map, layer) {
    return !this.lacksHeads(map) || this.rows.has(nameOf(map, layer, true));
  }

  hasMean(layer) {
    return this.rows.has(nameOf("attention", layer, false));
  }

  /** Why what a view needs did not come, as a sentence; empty: nothing was refused. */
  trouble(view) {
    const found = [true, false].map((heads) =>
      this.refused.get(nameOf(view.map, view.layer, heads)),
    );
    return told(found.find(Boolean) || "");
  }

  /**
   * What has to be asked for.
   * @param {View} view
   * @param {boolean} gallery Every head of the layer is to be shown.
   * @returns {{map: string, layer: number, heads: boolean}[]}
   */
  missing(view, gallery) {
    const { map, layer } = view;
    const needs = [];
    if (this.scene.gap(map, layer)) return needs;
    const sent = this.scene.sentLayers;
    if (map === "attention" && sent && !sent.includes(layer))
      needs.push({ map, layer, heads: false });
    if (this.lacksHeads(map) && (gallery || view.head >= 0))
      needs.push({ map, layer, heads: true });
    return needs.filter((need) => !this.asked.has(nameOf(map, layer, need.heads)));
  }

  /**
   * Ask the server for rows.
   * @param {Record<string, (sent: object) => Promise<any>>} server
   * @param {{map: string, layer: number, heads: boolean}} need
   */
  async ask(server, need) {
    const name = nameOf(need.map, need.layer, need.heads);
    this.asked.add(name);
    const answer = await server
      .read_layer({ id: this.scene.payload.id, ...need })
      .catch(() => ({ error: NO_SERVER }));
    if (answer.error) this.refused.set(name, answer.error);
    else this.rows.set(name, unpack(answer.rows));
    this.arrived++;
  }
}
