/**
 * The walk: an animation through a run, from all tokens over each stage of removal to the layers of
 * the language model.
 */

/** @import { Explorer } from "./explorer.js" */

import { el, fill, writeText } from "../base/dom.js";
import { formatPercent } from "../base/text.js";
import { key, t } from "../base/translate.js";

const still = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Where the stages act that belong to a layer of the language model, as the server writes it. */
const IN_LAYERS = [key("inside the language model"), key("in the KV cache after the prefill")];

/**
 * One {stage, layer} per step; layer is null outside the language model, stage -1 means all tokens.
 */
export const walkFrames = (scene) => {
  const { stages } = scene.payload;
  const inside = (stage) => stage.layer !== null && IN_LAYERS.includes(stage.where);
  const frames = [{ stage: -1, layer: null }];
  let at = -1;
  stages.forEach((stage, i) => {
    if (inside(stage)) return;
    at = i;
    frames.push({ stage: at, layer: null });
  });
  for (let layer = 0; layer < (scene.attention ? scene.layers : 0); layer++) {
    if (scene.drawnLayer(layer) !== layer || scene.gaps[layer]) continue;
    stages.forEach((stage, i) => {
      if (inside(stage) && stage.layer <= layer) at = i;
    });
    frames.push({ stage: at, layer });
  }
  // Those of a run without attention, and those behind the last layer that has it.
  stages.forEach((stage, i) => {
    if (inside(stage) && (!scene.attention || i > at)) frames.push({ stage: i, layer: null });
  });
  return frames;
};

export const walkSentence = (scene, { stage, layer }, share) => {
  const fates = scene.fatesAt(stage);
  const left = stage < 0 ? scene.n : scene.payload.stages[stage].left;
  const at =
    layer === null
      ? stage < 0
        ? t("As the vision tower made them")
        : `${scene.payload.stages[stage].title}, ${t(scene.payload.stages[stage].where)}`
      : t("Layer {layer}", { layer });
  const merged = fates ? fates.filter((fate) => fate === 1).length : 0;
  const looks =
    share === null || layer === null
      ? ""
      : t("; {share} of the attention is on them", { share: formatPercent(share) });
  const represent = merged ? t(", some of which represent {merged} merged ones", { merged }) : "";
  return t("{at}: {left} of {n} tokens{represent}{looks}.", {
    at,
    left,
    n: scene.n,
    represent,
    looks,
  });
};

export class Walk {
  /** @param {Explorer} owner */
  constructor(owner) {
    this.owner = owner;
    this.at = -1;
    this.play = el("button", {
      type: "button",
      class: "tv-tool tv-play",
      onclick: () => this.press(),
    });
    this.slide = el("input", {
      type: "range",
      min: "0",
      value: "0",
      "aria-label": t("Step of the walk through stages and layers"),
      oninput: () => {
        this.stop();
        this.go(+this.slide.value);
      },
    });
    fill(owner.parts.walk, this.play, this.slide);
  }

  build() {
    const { scene } = this.owner;
    this.stop();
    this.at = -1;
    this.frames = walkFrames(scene);
    this.slide.max = String(this.frames.length - 1);
    this.slide.value = "0";
    this.owner.parts.walk.hidden = this.frames.length < 2 || !scene.n;
    this.label();
  }

  label() {
    const name = this.timer
      ? t("❚❚ Pause")
      : still()
        ? t("Next step ▸")
        : t("▶ Walk through the layers");
    writeText(this.play, name);
  }

  press() {
    if (this.timer) return this.stop();
    const next = this.at + 1 >= this.frames.length ? 0 : this.at + 1;
    this.go(next);
    if (!still())
      this.timer = setInterval(
        () => this.step(),
        Math.max(350, Math.min(900, 8000 / this.frames.length)),
      );
    this.label();
  }

  step() {
    if (this.at + 1 >= this.frames.length) return this.stop();
    this.go(this.at + 1);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.label();
  }

  go(number) {
    const { owner } = this;
    const frame = this.frames[number];
    this.at = number;
    const { scene, view } = owner;
    const map = frame.layer === null ? view.map : "attention";
    Object.assign(view, {
      map,
      layer: frame.layer === null ? view.layer : frame.layer,
      fates: true,
      stage: scene.fates ? frame.stage : null,
      heat: frame.layer !== null,
      peek: null,
      bare: "",
    });
    this.slide.value = String(number);
    this.slide.setAttribute("aria-valuetext", this.sentence());
    owner.update();
  }

  /** Whether the picture still shows this step, and not something chosen since. */
  current() {
    const { view, scene } = this.owner;
    const frame = this.frames?.[this.at];
    return Boolean(
      frame &&
        view.fates &&
        (!scene.fates || view.stage === frame.stage) &&
        view.heat === (frame.layer !== null) &&
        (frame.layer === null || frame.layer === view.layer),
    );
  }

  sentence() {
    const { scene, view } = this.owner;
    const frame = this.frames[this.at];
    const shares = scene.shares(view);
    return walkSentence(scene, frame, shares && frame.layer !== null ? shares[frame.layer] : null);
  }
}
