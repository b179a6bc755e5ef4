/** The explorer's controls: map buttons, layers, head, sliders, switches, and the texts beside them. */

/** @import { Explorer } from "./explorer.js" */

import { el, fill, writeText } from "../base/dom.js";
import { pageState } from "../base/page_state.js";
import { formatNumber } from "../base/text.js";
import { t, told } from "../base/translate.js";
import { Brush } from "./brush.js";
import { HeadGallery } from "./heads.js";
import { HoverText } from "./hover_text.js";
import { ImageStrip } from "./image_strip.js";
import { LayerBars } from "./layer_bars.js";
import { showLegend, unitText } from "./legend.js";
import { palette } from "./palette.js";
import { Pipeline } from "./pipeline.js";
import { factsLine } from "./run_facts.js";
import { leadSentence } from "./sentences.js";
import { Sharing } from "./sharing.js";
import { Tip } from "./tip.js";
import { TokenTable } from "./token_table.js";
import { Walk } from "./walk.js";
import { WordList } from "./words.js";

export class ExplorerPanel {
  /** @param {Explorer} owner */
  constructor(owner) {
    this.owner = owner;
    this.parts = owner.parts;
    this.words = new WordList(owner);
    this.table = new TokenTable(owner);
    this.gallery = new HeadGallery(owner);
    this.images = new ImageStrip(owner);
    this.brush = new Brush(owner);
    this.walk = new Walk(owner);
    this.pipeline = new Pipeline(owner);
    this.share = new Sharing(owner);
    this.bars = new LayerBars(owner, (layer) => this.set(() => owner.layer(layer)));
    const text = new HoverText(owner);
    this.tip = new Tip(
      this.parts.tip,
      () => owner.painter,
      (token) => text.lines(token),
    );
    this.drawColourBar();
    this.wire();
  }

  /** Change the view by hand: a walk that is going on stops. */
  set(change) {
    this.walk.stop();
    change();
    this.owner.update();
  }

  /**
   * The sliders are in a form of their own: at every change a browser searches the whole form for
   * fields to fill in, and without a form the whole page.
   */
  wire() {
    const { parts, owner } = this;
    const mapAlone = { fates: false, heat: false, bare: "" };
    const on = (name, kind, change) =>
      parts[name].addEventListener(kind, () =>
        this.set(() => Object.assign(owner.view, change(parts[name]))),
      );
    parts.letterbox.addEventListener("click", () => owner.letterbox());
    parts.sliders.addEventListener("submit", (event) => event.preventDefault());
    on("keep", "input", (node) => ({ keep: +node.value, ...mapAlone }));
    on("opacity", "input", (node) => ({ opacity: +node.value }));
    on("sinks", "change", (node) => ({ sinks: node.checked }));
    on("common", "change", (node) => ({ common: node.checked }));
    on("stage", "change", (node) => ({ stage: +node.value, fates: true, heat: false, bare: "" }));
    on("scaling", "change", (node) => ({ scaling: node.value }));
    on("head", "change", (node) => ({ head: +node.value, ...mapAlone }));
  }

  drawColourBar() {
    const pen = this.parts.bar.getContext("2d");
    palette.onGrey.forEach((colour, x) => {
      pen.fillStyle = colour;
      pen.fillRect(x, 0, 1, 1); // the canvas is 256 pixels by 1; CSS stretches it
    });
  }

  /** A run that was not shown before. */
  begin(asked) {
    this.brush.begin(asked);
  }

  /** Once per payload. */
  build() {
    const { parts, owner } = this;
    const { scene } = owner;
    const { payload } = scene;
    parts.question.textContent = payload.prompt;
    this.words.build();
    this.buildMaps();
    parts.keep.max = Math.max(scene.n, 1);
    parts.keep.disabled = !scene.n;
    this.buildStages(payload.stages || []);
    this.buildMessages();
    parts.sinksBox.hidden = !scene.anySink;
    parts.sinkNote.textContent = told(payload.sink_note);
    fill(parts.notes, ...payload.notes.map((note) => el("li", {}, told(note))));
    parts.canvas.setAttribute(
      "aria-label",
      t(
        "{title} with {n} visual tokens. Arrow keys change the layer, Shift and arrow keys move over the tokens, Tab goes on to the words, Escape clears.",
        { title: payload.title || t("Picture"), n: scene.n },
      ),
    );
    this.walk.build();
    this.pipeline.build();
    writeText(parts.facts, factsLine(payload));
    parts.letterbox.hidden = !owner.canLetterbox;
    writeText(
      parts.truth,
      payload.truth ? t("The right answer is “{truth}”.", { truth: payload.truth }) : "",
    );
    parts.truth.hidden = !payload.truth;
    this.images.build();
    this.share.build();
  }

  /** What the picture can be about; one of them at a time. */
  buildMessages() {
    const { parts, owner } = this;
    const { scene } = owner;
    parts.messages.hidden = !scene.fates;
    const choose = (more) => () =>
      this.set(() => Object.assign(owner.view, { heat: false, bare: "", ...more }));
    const radio = (value, text, more) =>
      el(
        "label",
        { class: "tv-map" },
        el("input", {
          type: "radio",
          name: `message${pageState.explorers.length}`,
          value,
          onchange: choose(more),
        }),
        el("span", {}, text),
      );
    fill(
      parts.messages,
      parts.messages.querySelector("legend"),
      radio("map", t("Map"), { fates: false }),
      radio("fates", t("Kept, merged, pruned"), { fates: true, tints: false }),
      scene.fates && scene.hasGroups(null)
        ? radio("groups", t("Merged groups"), { fates: true, tints: true })
        : null,
    );
  }

  /** The stages of removal to choose from; the last one is shown at first. */
  buildStages(stages) {
    const { parts, owner } = this;
    const option = ({ title, layer, left }, i) =>
      el(
        "option",
        { value: String(i) },
        title +
          (layer === null ? "" : `, ${t("layer {layer}", { layer })}`) +
          t(" ({left} left)", { left }),
      );
    fill(parts.stage, ...stages.map(option));
    parts.stageBox.hidden = stages.length < 2;
    if (owner.view.stage === null && stages.length) parts.stage.value = String(stages.length - 1);
  }

  buildMaps() {
    const { owner, parts } = this;
    const { scene, view } = owner;
    const choose = (map) => () => {
      Object.assign(view, { map: map.id, fates: false, heat: false, bare: "" });
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
    this.tip.invalidate();
    owner.look = owner.compose();
    const map = scene.map(view.map);
    parts.maps.querySelectorAll("input").forEach((radio) => {
      radio.checked = radio.value === view.map;
    });
    writeText(parts.help, (map && (map.has ? map.help : map.why)) || "");
    this.words.refresh();
    this.bars.refresh(map);
    this.refreshHeads(map);
    parts.keep.value = view.keep;
    writeText(
      parts.keepText,
      view.keep >= scene.n
        ? t("all {n}", { n: scene.n })
        : t("the top {keep} of {n}", { keep: view.keep, n: scene.n }),
    );
    parts.opacity.value = view.opacity;
    writeText(parts.opacityText, `${view.opacity} %`);
    parts.messages.querySelectorAll("input").forEach((radio) => {
      radio.checked = radio.value === owner.message;
    });
    parts.sinks.checked = view.sinks;
    parts.common.checked = view.common;
    parts.commonBox.hidden = !(map && map.layers > 1);
    parts.scaling.value = view.scaling;
    if (view.stage !== null && view.stage >= 0) parts.stage.value = String(view.stage);
    this.refreshScale(map);
    showLegend(owner);
    writeText(parts.lead, this.walk.current() ? this.walk.sentence() : leadSentence(owner));
    this.follow();
    this.images.refresh();
    this.gallery.refresh();
  }

  /** The token under the pointer, or the pinned one, and the words that used it. */
  follow() {
    const { view, scene } = this.owner;
    const token = view.hover >= 0 ? view.hover : view.pinned;
    if (!scene || !this.owner.values) return;
    this.table.show(token, this.words.light(token));
    this.images.light(token);
  }

  clear() {
    this.walk.stop();
    this.tip.show(-1);
    if (this.brush.active) this.brush.toggle();
  }

  refreshHeads(map) {
    const { parts, owner } = this;
    parts.headBox.hidden = !(map?.layers && map.heads);
    if (!map?.layers) return;
    if (+parts.head.dataset.count !== map.heads) {
      const choices = Array.from({ length: map.heads }, (_, head) =>
        el("option", { value: String(head) }, String(head)),
      );
      fill(
        parts.head,
        el("option", { value: "-1" }, t("mean of {heads}", { heads: map.heads })),
        ...choices,
      );
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
    writeText(parts.low, rank ? t("lowest") : formatNumber(low));
    writeText(parts.high, rank ? t("highest") : formatNumber(high));
    writeText(parts.unit, drawn ? unitText(map, scaling) : "");
  }
}
