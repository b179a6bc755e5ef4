/**
 * The pictures of a prompt in a row, or the frames of a film along its time: how many tokens each one
 * keeps, and how much of the map lies on it. One of them can be shown alone, in the viewer and in every
 * lane of the comparison.
 */

/** @import { Explorer } from "./explorer.js" */
/** @import { Picture } from "../base/types.js" */

import { el, fill, writeText } from "../base/dom.js";
import { pageState } from "../base/page_state.js";
import { formatPercent } from "../base/text.js";
import { t } from "../base/translate.js";
import { palette } from "./palette.js";

const still = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;
/** Milliseconds that a frame is shown while the film plays. */
const FRAME_MS = 600;
/** Most words in the chart of words over pictures. */
const MAX_WORDS = 60;

const seconds = (value) => String(+value.toFixed(value < 10 ? 1 : 0));

/** The name of a picture or frame: its number, and of a frame its time. */
export const imageName = (/** @type {Picture} */ image, /** @type {number} */ number) => {
  if (!image.time) return t("Picture {number}", { number: number + 1 });
  const [first, last] = image.time.map(seconds);
  return first === last ? `${first} s` : `${first}–${last} s`;
};

/** The sum of a map's numbers over the tokens of each image, as shares of all; [images]. */
export const imageShares = (scene, values) => {
  const sums = new Array(scene.payload.images.length).fill(0);
  for (let i = 0; i < scene.n; i++)
    if (Number.isFinite(values[i]) && values[i] > 0) sums[scene.imageOf(i)] += values[i];
  const all = sums.reduce((sum, one) => sum + one, 0);
  return sums.map((sum) => (all > 0 ? sum / all : NaN));
};

/** {kept, merged, all} tokens of each image after a stage. */
export const imageFates = (scene, fates) => {
  const counts = scene.payload.images.map(() => ({ kept: 0, merged: 0, all: 0 }));
  for (let i = 0; i < scene.n; i++) {
    const count = counts[scene.imageOf(i)];
    count.all++;
    if (!fates || fates[i] === 0) count.kept++;
    else if (fates[i] === 1) count.merged++;
  }
  return counts;
};

export class ImageStrip {
  /** @param {Explorer} owner */
  constructor(owner) {
    this.owner = owner;
    this.root = owner.parts.images;
    /** @type {any[]} */
    this.items = [];
    this.timer = null;
    this.chartKey = "";
    this.play = el("button", {
      type: "button",
      class: "tv-tool tv-play",
      onclick: () => this.press(),
    });
    this.slide = el("input", {
      type: "range",
      min: "0",
      value: "0",
      oninput: () => {
        this.stop();
        this.show(+this.slide.value);
      },
    });
    this.all = el("button", {
      type: "button",
      class: "tv-tool",
      onclick: () => {
        this.stop();
        this.show(-1);
      },
    });
    this.row = el("div", { class: "tv-images-row", role: "group" });
    this.chart = el("div", { class: "tv-images-chart" });
    this.details = el(
      "details",
      { ontoggle: () => this.refreshChart() },
      el("summary", {}),
      this.chart,
    );
    fill(
      this.root,
      el("div", { class: "tv-images-bar" }, this.play, this.slide, this.all),
      this.row,
      this.details,
    );
    document.addEventListener("tv-image", () => this.follow());
  }

  get images() {
    return this.owner.scene.payload.images;
  }

  /** Once per payload. */
  build() {
    const { images } = this;
    this.stop();
    this.root.hidden = images.length < 2;
    if (pageState.image >= images.length || images.length < 2) this.show(-1);
    if (images.length < 2) return;
    const film = images.every((image) => image.time);
    this.root.setAttribute(
      "aria-label",
      film ? t("Frames of the film") : t("Pictures of the prompt"),
    );
    this.row.setAttribute("aria-label", film ? t("One frame alone") : t("One picture alone"));
    this.slide.setAttribute("aria-label", film ? t("Frame") : t("Picture"));
    this.slide.max = String(images.length - 1);
    const { length } = images;
    writeText(
      this.all,
      film
        ? t("All {count} frames", { count: length })
        : t("All {count} pictures", { count: length }),
    );
    const title = film ? t("Attention over time, by word") : t("Attention by word and picture");
    writeText(this.details.querySelector("summary"), title);
    this.items = images.map((image, i) => this.item(image, i));
    fill(this.row, ...this.items.map(({ node }) => node));
    this.chartKey = "";
    this.label();
    this.follow();
  }

  item(image, number) {
    const bar = el("span", { class: "tv-images-share" });
    const text = el("span", { class: "tv-images-text" });
    const node = el(
      "button",
      { type: "button", class: "tv-images-item", onclick: () => this.choose(number) },
      image.src ? el("img", { src: image.src, alt: "" }) : el("span", { class: "tv-images-none" }),
      el("b", {}, imageName(image, number)),
      el("span", { class: "tv-images-track" }, bar),
      text,
    );
    return { node, bar, text };
  }

  choose(number) {
    this.stop();
    this.show(pageState.image === number ? -1 : number);
  }

  /** Show one picture alone (-1: all), here and in the lanes. */
  show(number) {
    if (pageState.image === number) return;
    pageState.image = number;
    document.dispatchEvent(new CustomEvent("tv-image"));
  }

  /** After every change of the view. */
  refresh() {
    if (this.root.hidden) return;
    const { scene, view, values } = this.owner;
    const shares = imageShares(scene, values);
    const most = Math.max(...shares.filter(Number.isFinite), 0);
    const counts = imageFates(scene, scene.fates ? scene.fatesSeen(view) : null);
    this.items.forEach(({ node, bar, text }, i) => {
      const { kept, merged, all } = counts[i];
      bar.style.width = `${most > 0 ? (100 * shares[i]) / most : 0}%`;
      const left = scene.fates
        ? t("{kept} of {all} kept", { kept, all })
        : t("{answer} tokens", { answer: all });
      const joined = merged ? t(", {merged} merged", { merged }) : "";
      writeText(text, `${formatPercent(shares[i])}, ${left}${joined}`);
      const share = formatPercent(shares[i]);
      node.title = `${t("{share} of this map lies on it", { share })}; ${left}${joined}`;
    });
    this.refreshChart();
  }

  /** Mark the pictures that hold members of a token's group. */
  light(token) {
    if (this.root.hidden) return;
    const { scene, view } = this.owner;
    const groups = token >= 0 && scene.fates ? scene.groupsAt(view.stage) : null;
    const members = groups && groups[token] >= 0 ? scene.membersAt(view.stage) : null;
    const lit = new Set((members?.get(groups[token]) ?? []).map((i) => scene.imageOf(i)));
    this.items.forEach(({ node }, i) => {
      node.classList.toggle("tv-lit", lit.has(i));
    });
  }

  /** Words by pictures: how the attention of each word on the prompt's pictures is spread. */
  refreshChart() {
    const { owner } = this;
    const { scene, view } = owner;
    if (this.root.hidden || !this.details.open || !scene.attention) return;
    const key = `${owner.scene.payload.id} ${scene.n} ${scene.words.length} ${view.layer} ${view.head} ${scene.late.arrived}`;
    if (this.chartKey === key) return;
    this.chartKey = key;
    const chosen = scene.words.map((_, i) => i).filter((i) => !scene.words[i].special);
    const rows = chosen.slice(0, MAX_WORDS).map((word) => {
      const asked = { ...view, map: "attention", words: new Set([word]), peek: null };
      return { word, shares: imageShares(scene, scene.values(asked)) };
    });
    const most = Math.max(...rows.flatMap(({ shares }) => shares.filter(Number.isFinite)), 0);
    const cell = (share, i, word) =>
      el("td", {
        style: `background: ${palette.colour(most > 0 && Number.isFinite(share) ? share / most : 0)}`,
        title: `“${word}”, ${imageName(this.images[i], i)}: ${formatPercent(share)}`,
        onclick: () => this.choose(i),
      });
    const heads = this.images.map((image, i) => el("th", { scope: "col" }, imageName(image, i)));
    fill(
      this.chart,
      el(
        "table",
        {},
        el("thead", {}, el("tr", {}, el("th", {}), ...heads)),
        el(
          "tbody",
          {},
          ...rows.map(({ word, shares }) => {
            const text = scene.words[word].text.trim() || "␣";
            const cells = shares.map((share, i) => cell(share, i, text));
            return el("tr", {}, el("th", { scope: "row" }, text), ...cells);
          }),
        ),
      ),
      el(
        "p",
        { class: "tv-small" },
        t(
          "Each row: how a word's attention on the pictures is spread over them, in layer {layer}. Darkest 0 %, brightest {most}.",
          { layer: view.layer, most: formatPercent(most) },
        ),
      ),
    );
  }

  /** Another picture was chosen, here or elsewhere. */
  follow() {
    const { owner } = this;
    owner.painter.only = pageState.image;
    owner.resize(true);
    this.items.forEach(({ node }, i) => {
      node.setAttribute("aria-pressed", String(i === pageState.image));
    });
    this.slide.value = String(Math.max(pageState.image, 0));
    const image = this.images?.[pageState.image];
    this.slide.setAttribute("aria-valuetext", image ? imageName(image, pageState.image) : "all");
    this.all.disabled = pageState.image < 0;
    this.items[pageState.image]?.node.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  label() {
    const film = this.owner.scene.payload.images.every((image) => image.time);
    const next = film ? t("Next frame ▸") : t("Next picture ▸");
    writeText(this.play, this.timer ? t("❚❚ Pause") : still() || !film ? next : t("▶ Play"));
  }

  press() {
    if (this.timer) return this.stop();
    this.step();
    const film = this.images.every((image) => image.time);
    if (film && !still()) this.timer = setInterval(() => this.step(), FRAME_MS);
    this.label();
  }

  step() {
    this.show((pageState.image + 1) % this.images.length);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    if (this.owner.scene) this.label();
  }
}
