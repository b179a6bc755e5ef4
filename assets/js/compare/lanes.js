/**
 * The comparison: the full answer and up to three methods, each with its settings, picture and
 * measurements.
 */

/** @import { Plan } from "../base/types.js" */

import { el, fill, partsOf } from "../base/dom.js";
import { figureForm } from "../base/figure_form.js";
import { BY_HAND, planKey, plansText } from "../base/links.js";
import { pageState } from "../base/page_state.js";
import { t, told } from "../base/translate.js";
import { hasRoom, missingBaselines } from "./baselines.js";
import { LaneColumn } from "./lane_column.js";

/** Equal for plans with the same answer: the layer of the picture does not matter. */
const answerKey = (plan) => planKey({ ...plan, layer: null, forcedText: null });

/** Pictures are sent with the full answer alone; lanes of the same pictures take them from there. */
const withPictures = (lane, full) => {
  const images = lane?.overlay?.images;
  if (!images?.some((image) => image.src === "")) return lane;
  const sent = full.overlay.images;
  const filled = images.map((image, i) => (image.src === "" ? sent[i] : image));
  return { ...lane, overlay: { ...lane.overlay, images: filled } };
};

export class Lanes {
  constructor(root, { trigger, server = {} }) {
    this.root = root;
    this.trigger = trigger;
    /** Functions of components/figures. @type {Record<string, (sent: object) => Promise<any>>} */
    this.server = server;
    this.parts = partsOf(root);
    /** The full answer and the lanes. @type {LaneColumn[]} */
    this.columns = [];
    /** @type {Plan[]} */
    this.plans = [];
    this.mitigations = [];
    this.models = [];
    /** Visual tokens of the picture by model. @type {Record<string, number>} */
    this.counts = {};
    this.opened = new Set();
    this.pictures = "fates";
    pageState.lanes.push(this);
    document.addEventListener("tv-layer", () => this.followLayer());
    document.addEventListener("tv-image", () => {
      for (const column of this.columns) column.picture.followImage();
    });
  }

  load(value) {
    if (!value?.lanes || !(value.catalogue || this.value)) return;
    const first = !this.value;
    const sent = value.plans?.map(planKey).join();
    const reset = sent && ![this.sent, this.plans.map(planKey).join()].includes(sent);
    const relimit = first || value.n !== this.value.n || value.model !== this.value.model;
    let grown = !first && !value.plans && this.value.n ? value.n / this.value.n : 1;
    if (grown !== 1 && this.linked) {
      this.linked = false;
      grown = 1;
    }
    this.value = {
      ...value,
      catalogue: value.catalogue || this.value.catalogue, // left out while a run writes
      lanes: value.lanes.map((lane) => withPictures(lane, value.full)),
    };
    if (value.mitigations) this.mitigations = value.mitigations;
    if (value.models) this.models = value.models;
    if (value.pictures) this.pictures = value.pictures;
    for (const lane of value.lanes) if (lane?.by && lane.n) this.counts[lane.by] = lane.n;
    for (const plan of this.plans)
      if (plan.method !== BY_HAND) plan.keep = Math.max(1, Math.round(plan.keep * grown));
    if (reset) {
      this.adopt(value.plans);
      this.sent = this.ran = null;
    }
    if (reset || relimit) this.rebuild();
    this.results();
    this.tellHand();
    document.dispatchEvent(new CustomEvent("tv-catalogue"));
    if (value.start) this.begin(value.start);
  }

  /** A link may need answers that are not stored: ask the model for them, once. */
  begin(start) {
    if (this.begun) return;
    this.begun = true;
    /** A link's budgets are for its own run, which may have other tokens than what is shown first. */
    this.linked = true;
    this.trigger("compare", {
      plans: start === "compare" ? this.plans : [],
      link: window.location.search,
    });
  }

  /** The comparison in the words of a link. */
  words() {
    return {
      compare: plansText(this.plans),
      pictures: this.pictures === "looked" ? "looked" : null,
    };
  }

  answered() {
    return this.value.lanes.some(Boolean);
  }

  /** Take over other settings; forms that are open stay open. */
  adopt(plans) {
    const open = this.plans.map((plan) => this.opened.has(plan));
    this.plans = plans.map((plan) => ({
      ...plan,
      options: { ...plan.options },
      mitigation_options: { ...plan.mitigation_options },
    }));
    this.opened = new Set(this.plans.filter((_, i) => open[i]));
  }

  /** Visual tokens of the picture in a lane's model; 0 until it has run once. */
  tokensOf(plan) {
    return plan.model && plan.model !== this.value.model
      ? this.counts[plan.model] || 0
      : this.value.n;
  }

  busy() {
    return this.value.phase === "running";
  }

  rebuild() {
    const lanes = [new LaneColumn(this, -1), ...this.plans.map((_, i) => new LaneColumn(this, i))];
    this.columns = lanes;
    fill(this.parts.grid, ...lanes.map((lane) => lane.node));
  }

  results() {
    const { full, lanes } = this.value;
    this.columns.forEach((column, i) => {
      column.show(i ? lanes[i - 1] || null : full, this.value.phase);
      if (i && this.ran && this.ran[i - 1] !== answerKey(this.plans[i - 1])) column.edited();
    });
    this.bar();
  }

  bar() {
    const room = hasRoom(this.plans, this.value.most);
    fill(
      this.parts.bar,
      this.busy()
        ? el(
            "button",
            { type: "button", class: "tv-primary tv-stop", onclick: () => this.stop() },
            t("Stop"),
          )
        : el(
            "button",
            {
              type: "button",
              class: "tv-primary",
              disabled: !this.value.ready,
              onclick: () => this.run(),
            },
            this.plans.length ? t("Compare") : t("Ask with all tokens"),
          ),
      room
        ? el(
            "button",
            { type: "button", class: "tv-tool", disabled: this.busy(), onclick: () => this.add() },
            t("+ Add a method"),
          )
        : null,
      this.baselines().length
        ? el(
            "button",
            {
              type: "button",
              class: "tv-tool",
              disabled: this.busy(),
              title: t(
                "A smaller picture with as few tokens, and no picture at all: what a method must beat.",
              ),
              onclick: () => this.addLanes(this.baselines()),
            },
            t("+ Add the baselines"),
          )
        : null,
      this.choice(),
      this.answered() && !this.busy() && this.server.save_figure ? this.figures() : null,
      el("span", { class: "tv-small" }, told(this.value.hint)),
    );
    this.parts.foot.textContent = told(this.value.foot);
  }

  /** Figures for a paper of the whole row, or a card for a message. */
  figures() {
    return figureForm(
      this.server,
      () => ({
        kind: "lanes",
        id: this.value.lanes.find((lane) => lane?.overlay)?.overlay.id,
        pictures: this.pictures,
        layer: pageState.explorers[0]?.view.layer ?? null,
      }),
      (text) => {
        this.parts.foot.textContent = told(text);
      },
    );
  }

  /** What the lanes' pictures show. */
  choice() {
    const select = el(
      "select",
      { "aria-label": t("What the pictures show"), onchange: () => this.show(select.value) },
      el("option", { value: "fates" }, t("what became of each token")),
      el("option", { value: "looked" }, t("where the model looked")),
    );
    select.value = this.pictures;
    return el("label", { class: "tv-shows" }, t("Pictures show "), select);
  }

  show(pictures) {
    this.pictures = pictures;
    this.bar();
    this.repaint();
  }

  /**
   * Pictures of attention follow the layer of the viewer. They are drawn a little later, so that the
   * viewer's own picture comes first.
   */
  followLayer() {
    clearTimeout(this.later);
    if (this.pictures === "looked") this.later = setTimeout(() => this.repaint(), 30);
  }

  /** Draw all lanes again, on one colour scale. */
  repaint() {
    const looks =
      this.pictures === "looked" ? this.columns.map((column) => column.picture.attention()) : [];
    this.high = Math.max(0, ...looks.filter(Boolean).map(({ high }) => high));
    for (const column of this.columns) column.picture.redraw();
  }

  run() {
    this.sent = this.plans.map(planKey).join();
    this.ran = this.plans.map(answerKey);
    document.dispatchEvent(new CustomEvent("tv-asked"));
    this.trigger("compare", { plans: this.plans });
  }

  stop() {
    document.dispatchEvent(new CustomEvent("tv-stopping"));
    this.trigger("halt", {});
  }

  /**
   * A lane with exactly these tokens, run at once; returns a sentence when that is not possible.
   */
  askByHand(tokens) {
    if (!this.value || this.busy())
      return t("Another answer is being written: ask again when it is done.");
    const plan = { method: BY_HAND, keep: tokens.length, tokens, n: this.value.n, options: {} };
    const there = this.plans.findIndex((one) => one.method === BY_HAND);
    if (there >= 0) this.plans[there] = plan;
    else this.plans.push(plan);
    if (there < 0) this.value.lanes.push(null);
    this.rebuild();
    this.results();
    this.run();
    return "";
  }

  /** Send the answer of the lane with tokens chosen by hand to the brush. */
  tellHand() {
    const index = this.plans.findIndex((plan) => plan.method === BY_HAND);
    const lane = this.value.lanes[index];
    if (lane && (lane.error || (lane.done && this.value.phase === "done")))
      document.dispatchEvent(
        new CustomEvent("tv-hand", { detail: { ...lane, keep: this.plans[index].keep } }),
      );
  }

  usable() {
    return this.value.catalogue.filter((method) => !method.missing);
  }

  add() {
    const taken = this.plans.map((plan) => plan.method);
    const free = this.usable();
    const method = free.find((one) => !taken.includes(one.name)) || free[0];
    if (!method) return;
    const keep = this.plans.length
      ? this.plans[this.plans.length - 1].keep
      : Math.max(1, Math.round(this.value.n / 4));
    this.addLanes([{ method: method.name, keep, options: {} }]);
  }

  baselines() {
    return missingBaselines(this.plans, this.value.n, this.value.catalogue, this.mitigations);
  }

  addLanes(plans) {
    this.plans.push(...plans);
    this.rebuild();
    this.results();
  }

  remove(index) {
    this.plans.splice(index, 1);
    this.ran = null;
    this.value.lanes.splice(index, 1);
    this.rebuild();
    this.results();
  }
}
