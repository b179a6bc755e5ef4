/**
 * Every head of a layer as a small map, on one colour scale; the head with most attention on the image
 * comes first.
 */

/** @import { Explorer } from "./explorer.js" */

import { el, fill, writeAttribute, writeText } from "../base/dom.js";
import { formatNumber, formatPercent } from "../base/text.js";
import { t } from "../base/translate.js";
import { palette, scaled } from "./palette.js";

/** Longest side of a small map in pixels. */
const SIDE = 72;

export class HeadGallery {
  /** @param {Explorer} owner */
  constructor(owner) {
    this.owner = owner;
    this.title = el("h2");
    this.grid = el("div", {
      class: "tv-heads",
      role: "group",
      "aria-label": t("Heads of this layer"),
    });
    this.note = el("p", { class: "tv-small" });
    this.offer = el("button", {
      type: "button",
      class: "tv-tool",
      hidden: true,
      onclick: () => {
        owner.wantsHeads = true;
        owner.update();
      },
    });
    fill(owner.parts.gallery, this.title, this.offer, this.grid, this.note);
    this.tiles = [];
    // Which token each pixel of a small map shows, and for which arrangement that is.
    this.spotKey = "";
    this.spotScene = null;
    this.spotCache = null;
  }

  /** Draw a little later, so that the picture of the viewer is painted first. */
  refresh() {
    clearTimeout(this.later);
    this.later = setTimeout(() => this.draw(), 30);
  }

  draw() {
    const { owner } = this;
    const { scene, view } = owner;
    const maps = scene?.n && owner.painter.cells ? scene.headMaps(view) : null;
    const map = scene?.map(view.map);
    const isGap = Boolean(scene?.gap(view.map, view.layer));
    const isLate = Boolean(map?.has) && !isGap && !scene.late.hasHeads(view.map, view.layer);
    owner.parts.gallery.style.visibility = maps || isLate ? "" : "hidden";
    this.grid.hidden = this.note.hidden = !maps;
    this.offer.hidden = !isLate;
    if (!maps && !isLate) return;
    const { layer } = view;
    writeText(
      this.title,
      view.map === "tower"
        ? t("Heads of vision tower layer {layer}", { layer })
        : t("Heads of layer {layer}", { layer }),
    );
    if (isLate) return this.describeOffer(map);
    const order = view.map === "attention" ? t("Most attention on the image") : t("Highest sum");
    const high = formatNumber(maps.range.high);
    writeText(this.note, t("{order} first. One colour scale: 0 to {high}.", { order, high }));
    if (this.tiles.length !== map.heads) this.build(map.heads);
    const spots = this.spots();
    for (const [place, head] of maps.heads.entries())
      this.tile(this.tiles[place], head, maps.range.high, spots);
  }

  /** The heads of this layer were too many to be sent: they come when they are asked for. */
  describeOffer(map) {
    const { view, scene, wantsHeads } = this.owner;
    const trouble = scene.late.trouble(view);
    this.offer.disabled = wantsHeads;
    writeText(
      this.offer,
      trouble || (wantsHeads ? t("Loading …") : t("Show all {heads} heads", { heads: map.heads })),
    );
  }

  build(count) {
    this.tiles = Array.from({ length: count }, () => {
      const canvas = el("canvas", { "aria-hidden": "true" });
      const text = el("span");
      const tile = { canvas, text, head: -1 };
      tile.node = el(
        "button",
        { type: "button", class: "tv-head", onclick: () => this.choose(tile.head) },
        canvas,
        text,
      );
      return tile;
    });
    fill(this.grid, ...this.tiles.map((tile) => tile.node));
  }

  choose(head) {
    const { view } = this.owner;
    Object.assign(view, {
      head: view.head === head ? -1 : head,
      fates: false,
      heat: false,
      bare: "",
    });
    this.owner.update();
  }

  /** Which token each pixel of a small map shows, [height, width], -1 = none; once per arrangement. */
  spots() {
    const { painter } = this.owner;
    const key = `${painter.width} ${painter.height}`;
    if (this.spotKey === key && this.spotScene === this.owner.scene) return this.spotCache;
    const scale = SIDE / Math.max(painter.width, painter.height);
    const width = Math.max(1, Math.round(painter.width * scale));
    const height = Math.max(1, Math.round(painter.height * scale));
    const tokens = new Int32Array(width * height).fill(-1);
    const { cells } = painter;
    for (let i = 0; i < this.owner.scene.n; i++) {
      if (this.owner.scene.kind.values[i]) continue;
      const [x, y, w, h] = cells.subarray(4 * i, 4 * i + 4).map((v) => v * scale);
      for (let py = Math.ceil(y - 0.5); py < y + h - 0.5; py++)
        for (let px = Math.ceil(x - 0.5); px < x + w - 0.5; px++)
          if (px >= 0 && py >= 0 && px < width && py < height) tokens[py * width + px] = i;
    }
    const spotCache = { width, height, tokens };
    Object.assign(this, { spotKey: key, spotScene: this.owner.scene, spotCache });
    return spotCache;
  }

  tile(tile, { head, values, mass }, high, { width, height, tokens }) {
    const { view } = this.owner;
    const { canvas } = tile;
    Object.assign(tile, { head });
    if (canvas.width !== width || canvas.height !== height)
      Object.assign(canvas, { width, height });
    const pen = canvas.getContext("2d");
    const image = pen.createImageData(width, height);
    const drawn = new Uint32Array(image.data.buffer);
    for (let spot = 0; spot < tokens.length; spot++) {
      const value = tokens[spot] < 0 ? NaN : values[tokens[spot]];
      if (Number.isFinite(value))
        drawn[spot] = palette.packedColour(scaled(high > 0 ? value / high : 0, view.scaling));
    }
    pen.putImageData(image, 0, 0);
    const label = `${head} · ${view.map === "attention" ? formatPercent(mass) : formatNumber(mass)}`;
    writeText(tile.text, t("head {label}", { label }));
    writeAttribute(tile.node, "aria-pressed", view.head === head);
    writeAttribute(
      tile.node,
      "aria-label",
      t("head {label}", { label }) + (view.map === "attention" ? t(" on the image") : ""),
    );
  }
}
