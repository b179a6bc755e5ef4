/** The layers as bars: as high as each layer's share of attention on the image; a click chooses one. */

/** @import { MapEntry, View } from "../base/types.js" */
/** @import { Explorer } from "./explorer.js" */
/** @import { Scene } from "./scene.js" */

import { el, fill, writeAttribute, writeText } from "../base/dom.js";
import { formatPercent } from "../base/text.js";
import { t, told } from "../base/translate.js";

export class LayerBars {
  /**
   * @param {Explorer} owner
   * @param {(layer: number) => void} choose
   */
  constructor(owner, choose) {
    this.owner = owner;
    this.parts = owner.parts;
    this.choose = choose;
    this.drawnKey = "";
    this.listen();
  }

  /** Press on a bar, or draw over several. */
  listen() {
    const { bars } = this.parts;
    const pick = (event) => {
      /** @type {HTMLElement} */
      const bar = document.elementFromPoint(event.clientX, event.clientY)?.closest("[data-layer]");
      if (!bar || !bars.contains(bar)) return;
      const { view } = this.owner;
      const layer = +bar.dataset.layer;
      if (layer !== view.layer || view.fates) this.choose(layer);
    };
    bars.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      bars.focus();
      pick(event);
    });
    bars.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) pick(event);
    });
  }

  /** @param {MapEntry | undefined} map */
  refresh(map) {
    const { parts } = this;
    const { scene, view } = this.owner;
    const layers = map ? map.layers : 0;
    parts.layers.hidden = !layers;
    if (!layers) return;
    const shares = view.map === "attention" ? scene.shares(view) : null; // [l]
    const onSinks = shares && scene.sinkShares(view); // [l], of what is on the image
    const highest = shares ? Math.max(...[...shares].filter(Number.isFinite), 0.01) : 1;
    this.draw(layers, shares, onSinks, highest);
    const name = view.map === "tower" ? t("Vision tower layer") : t("Layer");
    const numbers = view.map === "tower" ? scene.payload.tower_layers : null;
    this.describe(name, view.layer, layers - 1, shares, numbers);
    const striped = onSinks?.some((share) => share > 0.005)
      ? t("; striped: the part on sinks")
      : "";
    const note = shares
      ? t("Bars: share of attention on the image, at most {highest}{striped}.", {
          highest: formatPercent(highest),
          striped,
        }) + this.beforeImage(view, scene)
      : "";
    writeText(parts.layerNote, note);
    parts.layerNote.hidden = !shares;
  }

  /**
   * The attention on the first tokens of the prompt: the sink that is not in the picture.
   * @param {View} view
   * @param {Scene} scene
   */
  beforeImage(view, scene) {
    const before = scene.shares(view, scene.before);
    return before && Number.isFinite(before[view.layer])
      ? t(" Layer {layer} puts {share} on the tokens before the image.", {
          layer: view.layer,
          share: formatPercent(before[view.layer]),
        })
      : "";
  }

  /** The layer above the bars, and the same for screen readers. */
  describe(name, layer, last, shares, numbers) {
    const { bars, layerLabel } = this.parts;
    const share =
      shares && Number.isFinite(shares[layer])
        ? t(", {share} of the attention on the image", { share: formatPercent(shares[layer]) })
        : "";
    writeAttribute(bars, "aria-valuemin", 0);
    writeAttribute(bars, "aria-valuemax", last);
    writeAttribute(bars, "aria-valuenow", layer);
    writeAttribute(bars, "aria-valuetext", `${name} ${numbers ? numbers[layer] : layer}${share}`);
    if (layerLabel.childNodes.length !== 3)
      fill(layerLabel, document.createTextNode(""), el("b"), document.createTextNode(""));
    const [before, number, after] = layerLabel.childNodes;
    before.data = `${name} `;
    writeText(number, numbers ? numbers[layer] : layer);
    after.data =
      numbers?.length === 1
        ? ""
        : t(" of {range}", { range: numbers ? numbers.join(", ") : `0–${last}` });
  }

  /** Heights and titles depend on the chosen words alone; another layer only moves a class. */
  draw(layers, shares, onSinks, highest) {
    const { bars } = this.parts;
    const { layer } = this.owner.view;
    if (bars.childElementCount !== layers)
      fill(
        bars,
        ...Array.from({ length: layers }, (_, i) =>
          el("span", { class: "tv-bar", "data-layer": String(i) }, el("i"), el("b")),
        ),
      );
    const old = bars.querySelector(".tv-now");
    const now = bars.children[layer];
    if (old && old !== now) old.classList.remove("tv-now");
    if (now) now.classList.add("tv-now");
    const key = JSON.stringify([layers, shares && Array.from(shares), onSinks]);
    if (this.drawnKey === key) return;
    this.drawnKey = key;
    const { scene, view } = this.owner;
    Array.from(bars.children).forEach((bar, i) => {
      const gap = scene.gap(view.map, i);
      const height = gap ? 0 : shares ? (100 * shares[i]) / highest : 45;
      bar.classList.toggle("tv-gap", Boolean(gap));
      if (gap)
        bar.title = t("layer {layer} is {kind}: it has no attention map", {
          layer: i,
          kind: told(gap),
        });
      else
        bar.title = shares
          ? t("layer {layer}: {share} of the attention is on the image", {
              layer: i,
              share: formatPercent(shares[i]),
            })
          : t("layer {layer}", { layer: i });
      bar.firstChild.style.height = `${height}%`;
      bar.lastChild.style.height = onSinks ? `${height * onSinks[i]}%` : "0";
    });
  }
}
