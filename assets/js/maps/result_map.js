/** A map of an analysis over the picture: its rows (words, layers) to choose from, and a legend. */

/** @import { Look } from "../base/types.js" */

import { unpack } from "../base/arrays.js";
import { el, fill, writeText } from "../base/dom.js";
import { formatNumber } from "../base/text.js";
import { t } from "../base/translate.js";
import { Painter } from "../explorer/painter.js";
import { palette } from "../explorer/palette.js";
import { Scene } from "../explorer/scene.js";

const MAX_HEIGHT = 520;
/** More rows than these are chosen with a slider, not as words. */
const MAX_CHIPS = 80;

export class ResultMap {
  constructor() {
    this.canvas = el("canvas", { class: "tv-lane-picture", role: "img" });
    this.tip = el("div", { class: "tv-tip", hidden: true });
    this.frame = el("div", { class: "tv-frame" }, this.canvas, this.tip);
    this.scale = el("p", { class: "tv-scale" });
    this.rows = el("div", { class: "tv-words tv-result-rows", role: "group" });
    this.node = el("div", { hidden: true }, this.rows, this.frame, this.scale);
    this.painter = new Painter(this.canvas);
    /** @type {any} */
    this.map = null;
    /** @type {Scene} */
    this.scene = null;
    /** Chosen rows; none means the mean of all. @type {Set<number>} */
    this.chosen = new Set();
    /** @type {Look | null} */
    this.look = null;
    this.width = 0;
    this.listen();
    new ResizeObserver(() => this.paint()).observe(this.frame);
  }

  async show(map) {
    this.node.hidden = !map;
    this.map = map;
    if (!map) return;
    this.values = unpack(map.values);
    this.chosen = new Set();
    const scene = new Scene(map.overlay);
    await this.painter.open(scene);
    if (this.map !== map) return; // another one has come while this one's picture was loading
    this.scene = scene;
    this.width = 0;
    this.buildRows();
    this.change();
  }

  get n() {
    return this.scene.n;
  }

  /** The words or layers that the map has a row for. */
  buildRows() {
    const names = this.map.rows;
    this.rows.hidden = names.length < 2;
    this.rows.setAttribute(
      "aria-label",
      t("Choose rows of the map ({axis}); none means the mean of all", { axis: t(this.map.axis) }),
    );
    const words = names.length <= MAX_CHIPS;
    fill(this.rows, ...(words ? names.map((name, i) => this.chip(name, i)) : [this.slider(names)]));
  }

  chip(name, row) {
    const number = this.map.axis.includes("layer") ? t("layer {layer}", { layer: name }) : name;
    const button = el(
      "button",
      {
        type: "button",
        class: "tv-word",
        "aria-pressed": "false",
        onclick: () => {
          if (!this.chosen.delete(row)) this.chosen.add(row);
          button.setAttribute("aria-pressed", String(this.chosen.has(row)));
          this.change();
        },
      },
      el("span", {}, number || "␣"),
    );
    return button;
  }

  slider(names) {
    const shown = el("b", {}, t("mean of all"));
    const input = el("input", {
      type: "range",
      min: "-1",
      max: String(names.length - 1),
      value: "-1",
      "aria-label": t(this.map.axis),
      oninput: () => {
        const row = +input.value;
        this.chosen = new Set(row < 0 ? [] : [row]);
        writeText(shown, row < 0 ? t("mean of all") : names[row]);
        this.change();
      },
    });
    return el("label", { class: "tv-slide" }, `${t(this.map.axis)} `, shown, input);
  }

  /** The numbers that are shown, [n]: the mean of the chosen rows, or of all. @returns {Float32Array} */
  numbers() {
    const { n } = this;
    const count = this.values.shape[0];
    const rows = this.chosen.size ? [...this.chosen] : Array.from({ length: count }, (_, i) => i);
    const sum = new Float32Array(n);
    const there = new Int32Array(n);
    for (const row of rows)
      for (let i = 0; i < n; i++) {
        const value = this.values.values[row * n + i];
        if (!Number.isFinite(value)) continue;
        sum[i] += value;
        there[i]++;
      }
    return sum.map((value, i) => (there[i] ? value / there[i] : NaN));
  }

  change() {
    this.shown = this.numbers();
    const finite = this.shown.filter(Number.isFinite);
    this.low = Math.min(0, ...finite);
    this.high = Math.max(this.low, ...finite);
    const span = this.high - this.low || 1;
    this.look = {
      norm: this.shown.map((value) => (value - this.low) / span),
      absent: this.n - finite.length,
      opacity: 0.75,
      roles: null,
      groups: null,
      places: null,
      members: null,
      sinks: null,
      hover: -1,
      pinned: -1,
    };
    this.describe();
    this.paint();
  }

  describe() {
    const colours = palette.onGrey.filter((_, i) => i % 51 === 0).join(",");
    const style = `background: linear-gradient(to right, ${colours})`;
    const of = this.chosen.size ? "" : this.map.rows.length > 1 ? `, ${t("mean of all")}` : "";
    fill(
      this.scale,
      formatNumber(this.low),
      el("span", { class: "tv-ramp", style }),
      `${formatNumber(this.high)}${of}`,
    );
    const best = this.shown.indexOf(this.high);
    this.canvas.setAttribute(
      "aria-label",
      t("Map over {n} visual tokens, {low} to {high}", {
        n: this.n,
        low: formatNumber(this.low),
        high: formatNumber(this.high),
      }) +
        (best >= 0 ? t(", highest at token {token}", { token: best }) : "") +
        of,
    );
  }

  paint(hover = -1) {
    const width = Math.min(Math.floor(this.frame.clientWidth), 760);
    if (!this.scene || !this.look || !width || !this.painter.images) return;
    if (width !== this.width) {
      this.width = width;
      this.painter.arrange(width, MAX_HEIGHT);
    }
    this.painter.draw(Object.assign(this.look, { hover }));
  }

  listen() {
    this.canvas.addEventListener("pointermove", (event) => {
      if (!this.scene || !this.look) return;
      const box = this.canvas.getBoundingClientRect();
      const x = event.clientX - box.left;
      const y = event.clientY - box.top;
      const token = this.painter.hit(x, y);
      this.tip.hidden = token < 0;
      if (token >= 0) this.tell(token, x, y, box.width);
      if (token !== this.look.hover) this.paint(token);
    });
    this.canvas.addEventListener("pointerleave", () => {
      this.tip.hidden = true;
      this.paint();
    });
  }

  tell(token, x, y, width) {
    const read = this.map.tokens[token];
    const lines = [
      `${t("Token {token}", { token })}, ${this.scene.where(token)}`,
      formatNumber(this.shown[token]),
      ...(read ? [t("read as “{word}”", { word: read })] : []),
    ];
    fill(this.tip, ...lines.map((line, i) => el(i ? "span" : "b", {}, line)));
    const left = Math.max(0, Math.min(x + 12, width - this.tip.offsetWidth));
    this.tip.style.transform = `translate(${left}px, ${Math.max(0, y + 14)}px)`;
  }
}
