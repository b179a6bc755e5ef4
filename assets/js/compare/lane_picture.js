/** The small picture of a lane: what became of each token, or where the model looked. */

/** @import { Look, Numbers, View } from "../base/types.js" */
/** @import { LaneColumn } from "./lane_column.js" */

import { el, fill } from "../base/dom.js";
import { pageState } from "../base/page_state.js";
import { formatNumber } from "../base/text.js";
import { t } from "../base/translate.js";
import { swatch } from "../explorer/legend.js";
import { Painter } from "../explorer/painter.js";
import { palette } from "../explorer/palette.js";
import { Scene } from "../explorer/scene.js";
import { laneHoverText } from "./lane_hover_text.js";

/** Largest height of a picture, in CSS pixels. */
const MAX_HEIGHT = 420;

/**
 * @typedef {{view: View, values: Numbers, high: number}} AttentionShown
 *   The attention of a lane's layer: its numbers [n] and the largest of them.
 */

export class LanePicture {
  /** @param {LaneColumn} column */
  constructor(column) {
    this.column = column;
    this.canvas = el("canvas", {
      class: "tv-lane-picture",
      "aria-label": t("What became of each token"),
    });
    this.tip = el("div", { class: "tv-tip", hidden: true });
    this.frame = el("div", { class: "tv-frame" }, this.canvas, this.tip);
    this.legend = el("ul", { class: "tv-legend" });
    this.painter = new Painter(this.canvas);
    /** @type {Scene} */
    this.scene = null;
    /** @type {Look | null} What is drawn; null = it has to be made anew. */
    this.look = null;
    /** Id of the payload that is shown. @type {string | null} */
    this.id = null;
    this.width = 0;
    this.hovered = -1;
    this.listen();
    new ResizeObserver(() => this.paint()).observe(this.frame);
  }

  get owner() {
    return this.column.owner;
  }

  /** Show a payload; none hides the picture, which keeps its place. */
  show(payload) {
    this.frame.style.visibility = this.legend.style.visibility = payload ? "" : "hidden";
    const id = payload ? payload.id : null;
    if (this.id === id) return;
    this.id = id;
    if (payload) this.open(payload);
  }

  async open(payload) {
    const scene = new Scene(payload);
    await this.painter.open(scene);
    if (this.id !== payload.id) return; // another one has come while this one's picture was loading
    this.scene = scene;
    this.painter.only = pageState.image < payload.images.length ? pageState.image : -1;
    this.width = 0;
    if (this.column.own) this.column.own.fillLayers(scene.layers);
    this.owner.repaint();
  }

  /**
   * The attention of all words together in this lane's layer; null where the fates are shown.
   * @returns {AttentionShown | null}
   */
  attention() {
    const { scene, owner } = this;
    if (!scene || owner.pictures !== "looked" || !scene.attention) return null;
    const layerInViewer = pageState.explorers[0] ? pageState.explorers[0].view.layer : 0;
    const layer = this.column.plan?.layer ?? layerInViewer;
    const view = {
      map: "attention",
      layer: Math.min(layer, scene.layers - 1),
      head: -1,
      words: new Set(),
      peek: null,
      sinks: false,
    };
    const values = scene.values(view);
    return { view, values, high: scene.range(values, view).high };
  }

  /** Another picture of the prompt is shown alone, or all are. */
  followImage() {
    const { painter, scene } = this;
    painter.only = scene && pageState.image < scene.payload.images.length ? pageState.image : -1;
    this.width = 0;
    this.paint();
  }

  /** Something else is to be shown. */
  redraw() {
    if (!this.scene) return;
    this.look = null;
    this.describe();
    this.paint();
  }

  paint(hover = -1) {
    const width = Math.floor(this.frame.clientWidth);
    if (!this.scene || !width || !this.painter.images) return;
    if (width !== this.width) {
      this.width = width;
      this.painter.arrange(width, MAX_HEIGHT);
    }
    const attention = this.look ? null : this.attention();
    this.look ||= attention ? this.attentionLook(attention) : this.fatesLook();
    this.painter.draw(Object.assign(this.look, { hover }));
  }

  /** @returns {Look} */
  fatesLook() {
    const { scene } = this;
    return {
      norm: null,
      opacity: 0,
      roles: scene.fatesAt(null),
      groups: scene.groupsAt(null),
      tints: scene.hasGroups(null) ? scene.tintsAt(null) : null,
      places: scene.placesAt(null),
      members: scene.membersAt(null),
      sinks: null,
      pinned: -1,
    };
  }

  /** @param {AttentionShown} attention @returns {Look} */
  attentionLook({ view, values }) {
    const { scene } = this;
    const { high } = this.owner; // of all lanes
    return {
      norm: values.map((value) => (high > 0 ? value / high : 0)),
      opacity: 0.65,
      roles: null,
      groups: null,
      places: null,
      members: null,
      sinks: scene.sinkRow(view),
      sinksIncluded: false,
      pinned: -1,
    };
  }

  describe() {
    const attention = this.attention();
    const entries = attention ? [this.attentionEntry(attention)] : this.fateEntries();
    fill(this.legend, ...entries.map((parts) => el("li", {}, ...parts)));
  }

  /** @param {AttentionShown} attention */
  attentionEntry({ view }) {
    const colours = palette.onGrey.filter((_, i) => i % 51 === 0).join(",");
    const style = `background: linear-gradient(to right, ${colours})`;
    const whose = Number.isInteger(this.column.plan?.layer) ? t("its own") : t("as in the viewer");
    const high = formatNumber(this.owner.high);
    return [
      el("span", { class: "tv-ramp", style }),
      t("attention in layer {layer} ({whose}): 0 to {high} in every lane", {
        layer: view.layer,
        whose,
        high,
      }),
    ];
  }

  fateEntries() {
    const { scene } = this;
    const fates = scene.fatesAt(null);
    const counts = [0, 0, 0];
    for (let i = 0; i < scene.n; i++) counts[fates ? fates[i] : 0]++;
    const merged = (i) => fates[i] === 1;
    const groups = fates ? new Set(scene.groupsAt(null).filter((_, i) => merged(i))).size : 0;
    // in a cache that is shortened head by head, more tokens are left than each head keeps
    const inHeads = scene.fatesInHead(null, 0) ? t(" in at least one head") : "";
    const texts = [
      ["kept", t("kept {count}", { count: counts[0] }) + inHeads],
      ["tinted", t("merged {count} into {groups}", { count: counts[1], groups })],
      ["pruned", t("pruned {count}", { count: counts[2] })],
    ];
    return texts.filter((_, i) => counts[i]).map(([name, text]) => [swatch(name), text]);
  }

  listen() {
    this.canvas.addEventListener("pointermove", (event) => {
      if (!this.scene) return;
      const box = this.canvas.getBoundingClientRect();
      const x = event.clientX - box.left;
      const y = event.clientY - box.top;
      const token = this.painter.hit(x, y);
      this.showTip(token, x, y, box.width);
      if (token === this.hovered) return;
      this.hovered = token;
      this.paint(token);
    });
    this.canvas.addEventListener("pointerleave", () => {
      this.tip.hidden = true;
      this.hovered = -1;
      this.paint();
    });
  }

  showTip(token, x, y, width) {
    const { tip } = this;
    tip.hidden = token < 0;
    if (token < 0) return;
    const lines = laneHoverText(this.scene, this.attention(), token);
    fill(tip, ...lines.map((line, i) => el(i ? "span" : "b", {}, line)));
    const left = Math.max(0, Math.min(x + 12, width - tip.offsetWidth));
    tip.style.transform = `translate(${left}px, ${Math.max(0, y + 14)}px)`;
  }
}
