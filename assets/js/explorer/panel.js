/** Map menu, layer bars, sliders and texts of the explorer, and its smaller parts. */

/** @import { Explorer } from "./explorer.js" */

import { el, fill, writeAttribute, writeText } from "../base/dom.js";
import { pageState } from "../base/page_state.js";
import { formatNumber, formatPercent } from "../base/text.js";
import { Brush } from "./brush.js";
import { Facts } from "./facts.js";
import { HeadGallery } from "./heads.js";
import { showLegend, unitText } from "./legend.js";
import { palette } from "./palette.js";
import { leadSentence } from "./sentences.js";
import { Sharing } from "./sharing.js";
import { Walk } from "./walk.js";
import { WordList } from "./words.js";

export class ExplorerPanel {
  /** @param {Explorer} owner */
  constructor(owner) {
    this.owner = owner;
    this.parts = owner.parts;
    this.words = new WordList(owner);
    this.facts = new Facts(owner);
    this.gallery = new HeadGallery(owner);
    this.brush = new Brush(owner);
    this.walk = new Walk(owner);
    this.share = new Sharing(owner);
    /** Where the pointer is, in CSS pixels of the picture. */
    this.spot = { x: 0, y: 0 };
    this.drawBar();
    this.wire();
    this.watchTip();
  }

  /**
   * The sliders are a form of their own: a browser looks through the whole form at every change, in
   * case it is one to be filled in, and without one through the page.
   */
  wire() {
    const { parts, owner } = this;
    const view = () => owner.view;
    const map = { fates: false, heat: false };
    const set = (change) => {
      this.walk.stop();
      change();
      owner.update();
    };
    const on = (name, kind, change) =>
      parts[name].addEventListener(kind, () =>
        set(() => Object.assign(view(), change(parts[name]))),
      );
    parts.sliders.addEventListener("submit", (event) => event.preventDefault());
    on("keep", "input", (node) => ({ keep: +node.value, ...map }));
    on("opacity", "input", (node) => ({ opacity: +node.value }));
    on("fates", "change", (node) => ({ fates: node.checked, heat: false }));
    on("sinks", "change", (node) => ({ sinks: node.checked }));
    on("common", "change", (node) => ({ common: node.checked }));
    on("stage", "change", (node) => ({ stage: +node.value, fates: true, heat: false }));
    on("scaling", "change", (node) => ({ scaling: node.value }));
    on("head", "change", (node) => ({ head: +node.value, ...map }));
    const pick = (event) => {
      /** @type {HTMLElement} */
      const bar = document.elementFromPoint(event.clientX, event.clientY)?.closest("[data-layer]");
      if (bar && parts.bars.contains(bar) && +bar.dataset.layer !== view().layer)
        set(() => owner.layer(+bar.dataset.layer));
      else if (bar && view().fates) set(() => owner.layer(+bar.dataset.layer));
    };
    parts.bars.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      parts.bars.focus();
      pick(event);
    });
    parts.bars.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) pick(event);
    });
  }

  watchTip() {
    const { tip } = this.parts;
    this.size = [0, 0];
    new ResizeObserver(
      ([
        {
          borderBoxSize: [box],
        },
      ]) => {
        if (tip.hidden) return;
        this.size = [box.inlineSize, box.blockSize];
        this.placeTip();
      },
    ).observe(tip);
  }

  drawBar() {
    const pen = this.parts.bar.getContext("2d");
    palette.ramp.forEach((colour, x) => {
      pen.fillStyle = colour;
      pen.fillRect(x, 0, 1, 1);
    });
  }

  /** A run that was not shown before. */
  begin(asked) {
    this.brush.begin(asked);
  }

  /** Once per payload. */
  build() {
    const { parts, owner } = this;
    const { scene, view } = owner;
    const { payload } = scene;
    parts.question.textContent = payload.prompt;
    this.words.build();
    this.buildMaps();
    parts.keep.max = Math.max(scene.n, 1);
    parts.keep.disabled = !scene.n;
    const stages = payload.stages || [];
    fill(
      parts.stage,
      ...stages.map((stage, i) =>
        el(
          "option",
          { value: String(i) },
          `${stage.title}${stage.layer === null ? "" : `, layer ${stage.layer}`} (${stage.left} left)`,
        ),
      ),
    );
    parts.stageBox.hidden = stages.length < 2;
    parts.fatesBox.hidden = !scene.fates;
    parts.sinksBox.hidden = !scene.anySink;
    parts.sinkNote.textContent = payload.sink_note || "";
    fill(parts.notes, ...payload.notes.map((note) => el("li", {}, note)));
    parts.canvas.setAttribute(
      "aria-label",
      `${payload.title || "Image"} with ${scene.n} visual tokens. ` +
        `Arrow keys change the layer, Shift and arrow keys move over the tokens, ` +
        `Tab goes on to the words, Escape clears.`,
    );
    if (view.stage === null && stages.length) parts.stage.value = String(stages.length - 1);
    this.walk.build();
    this.share.build();
  }

  buildMaps() {
    const { owner, parts } = this;
    const { scene, view } = owner;
    const choose = (map) => () => {
      Object.assign(view, { map: map.id, fates: false, heat: false });
      if (map.layers) view.layer = Math.min(view.layer, map.layers - 1);
      owner.update();
    };
    const radios = scene.maps.map((map) =>
      el(
        "label",
        {
          class: `tv-map${map.has ? "" : " tv-off"}`,
          title: map.has ? map.help || "" : map.why || "",
        },
        el("input", {
          type: "radio",
          name: `map${pageState.explorers.length}`,
          value: map.id,
          disabled: !map.has,
          onchange: choose(map),
        }),
        el("span", {}, map.label),
      ),
    );
    fill(parts.maps, parts.maps.querySelector("legend"), ...radios);
  }

  /** After every change of the view. */
  refresh() {
    const { owner, parts } = this;
    const { scene, view } = owner;
    if (!scene) return;
    this.tipped = null;
    owner.look = owner.compose();
    const map = scene.map(view.map);
    parts.maps.querySelectorAll("input").forEach((radio) => {
      radio.checked = radio.value === view.map;
    });
    writeText(parts.help, (map && (map.has ? map.help : map.why)) || "");
    this.words.refresh();
    this.refreshLayers(map);
    parts.keep.value = view.keep;
    writeText(
      parts.keepText,
      view.keep >= scene.n ? `all ${scene.n}` : `the top ${view.keep} of ${scene.n}`,
    );
    parts.opacity.value = view.opacity;
    writeText(parts.opacityText, `${view.opacity} %`);
    parts.fates.checked = view.fates;
    parts.sinks.checked = view.sinks;
    parts.common.checked = view.common;
    parts.commonBox.hidden = !(map && map.layers > 1);
    parts.scaling.value = view.scaling;
    if (view.stage !== null && view.stage >= 0) parts.stage.value = String(view.stage);
    this.refreshScale(map);
    showLegend(owner);
    writeText(parts.lead, this.walk.current() ? this.walk.sentence() : leadSentence(owner));
    this.follow();
    this.gallery.refresh();
  }

  /** The token under the pointer, or the pinned one, and the words that used it. */
  follow() {
    const { view, scene } = this.owner;
    const token = view.hover >= 0 ? view.hover : view.pinned;
    if (!scene || !this.owner.values) return;
    this.facts.show(token, this.words.light(token));
  }

  clear() {
    this.walk.stop();
    this.tip(-1);
    if (this.brush.active) this.brush.turn();
  }

  refreshLayers(map) {
    const { owner, parts } = this;
    const { scene, view } = owner;
    const layers = map ? map.layers : 0;
    parts.layers.hidden = !layers;
    if (!layers) return;
    const shares = view.map === "attention" ? scene.shares(view) : null;
    const sunk = shares && scene.sinkShares(view);
    const top = shares ? Math.max(...shares, 0.01) : 1;
    this.drawBars(layers, shares, sunk, top);
    for (const [name, value] of [
      ["min", 0],
      ["max", layers - 1],
      ["now", view.layer],
    ])
      writeAttribute(parts.bars, `aria-value${name}`, value);
    const where = view.map === "tower" ? "Vision tower layer" : "Layer";
    writeAttribute(
      parts.bars,
      "aria-valuetext",
      `${where} ${view.layer}` +
        (shares ? `, ${formatPercent(shares[view.layer])} of the attention on the image` : ""),
    );
    this.layerText(where, view.layer, layers - 1);
    const striped = sunk?.some((s) => s > 0.005) ? "; striped: the part on sinks" : "";
    writeText(
      parts.layerNote,
      shares
        ? `Bars: share of attention on the image, at most ${formatPercent(top)}${striped}.` +
            this.beforeImage(view, scene)
        : "",
    );
    parts.layerNote.hidden = !shares;
    this.refreshHeads(map);
  }

  /** What rests on the first tokens of the prompt: the sink that is not in the picture. */
  beforeImage(view, scene) {
    const before = scene.shares(view, scene.before);
    return before
      ? ` Layer ${view.layer} puts ${formatPercent(before[view.layer])} on the tokens before the image.`
      : "";
  }

  layerText(where, layer, last) {
    const { layerLabel } = this.parts;
    if (layerLabel.childNodes.length !== 3)
      fill(layerLabel, document.createTextNode(""), el("b"), document.createTextNode(""));
    const [before, number, after] = layerLabel.childNodes;
    before.data = `${where} `;
    writeText(number, layer);
    after.data = ` of 0–${last}`;
  }

  /** Heights and titles follow the words; a step to another layer only moves a class. */
  drawBars(layers, shares, sunk, top) {
    const { parts, owner } = this;
    const now = parts.bars.querySelector(".tv-now");
    const key = JSON.stringify([layers, shares && Array.from(shares), sunk]);
    if (parts.bars.childElementCount !== layers)
      fill(
        parts.bars,
        ...Array.from({ length: layers }, (_, i) =>
          el("span", { class: "tv-bar", "data-layer": String(i) }, el("i"), el("b")),
        ),
      );
    const bars = parts.bars.children;
    if (now && now !== bars[owner.view.layer]) now.classList.remove("tv-now");
    if (bars[owner.view.layer]) bars[owner.view.layer].classList.add("tv-now");
    if (this.barKey === key) return;
    this.barKey = key;
    Array.from(bars).forEach((bar, i) => {
      bar.title = shares
        ? `layer ${i}: ${formatPercent(shares[i])} of the attention is on the image`
        : `layer ${i}`;
      bar.firstChild.style.height = `${shares ? (100 * shares[i]) / top : 45}%`;
      bar.lastChild.style.height = sunk ? `${(100 * shares[i] * sunk[i]) / top}%` : "0";
    });
  }

  refreshHeads(map) {
    const { parts, owner } = this;
    if (parts.headLabel.hidden !== !map.heads) parts.headLabel.hidden = !map.heads;
    if (+parts.head.dataset.count !== map.heads) {
      const choices = Array.from({ length: map.heads }, (_, head) =>
        el("option", { value: String(head) }, String(head)),
      );
      fill(parts.head, el("option", { value: "-1" }, `mean of ${map.heads}`), ...choices);
      parts.head.dataset.count = map.heads;
    }
    parts.head.value = String(owner.view.head < map.heads ? owner.view.head : -1);
  }

  refreshScale(map) {
    const { parts, owner } = this;
    const { low, high } = owner.range;
    const { scaling } = owner.view;
    const drawn = Boolean(owner.look.norm);
    const rank = scaling === "rank";
    parts.scale.classList.toggle("tv-blank", !drawn);
    writeText(parts.low, rank ? "lowest" : formatNumber(low));
    writeText(parts.high, rank ? "highest" : formatNumber(high));
    writeText(parts.unit, drawn ? unitText(map, scaling) : "");
  }

  /**
   * What the pointer is on, beside it. Where it goes follows from its size, which a ResizeObserver
   * tells: to ask for it here would lay the page out once more for every move.
   */
  tip(token, spot) {
    const { tip } = this.parts;
    if (tip.hidden !== token < 0) tip.hidden = token < 0;
    if (token < 0 || !spot) return;
    if (token !== this.tipped) this.tell(this.facts.lines(token));
    Object.assign(this, { tipped: token, spot });
    this.placeTip();
  }

  /**
   * Into lines that stay: where a node comes or goes, a browser asks every :has() of the page
   * again.
   */
  tell(lines) {
    const { tip } = this.parts;
    while (tip.childElementCount < lines.length)
      tip.append(el(tip.childElementCount ? "span" : "b"));
    Array.from(tip.children, (node, i) => writeText(node, lines[i] || ""));
  }

  placeTip() {
    const {
      spot: { x, y },
      size: [wide, high],
    } = this;
    const { width, height } = this.owner.painter;
    const left = x + 16 + wide > width ? x - wide - 12 : x + 16;
    const top = y + 16 + high > height ? y - high - 8 : y + 16;
    this.parts.tip.style.transform = `translate(${Math.max(0, left)}px, ${Math.max(0, top)}px)`;
  }
}
