/** The keep sweep: one cell per budget of one method; a click opens the cell's run. */

import { el, fill, partsOf, scrollToPart } from "../base/dom.js";
import { BY_HAND } from "../base/links.js";
import { pageState } from "../base/page_state.js";
import { plural } from "../base/text.js";
import { markedWords } from "./marked_words.js";
import { PlanForm } from "./plan_form.js";

const STATES = {
  holds: ["✓", "stays"],
  changes: ["≠", "changes"],
  running: ["…", "writing"],
  waiting: ["·", "waiting"],
  refused: ["!", "cannot run"],
};

/** A text that is equal for the same question about the same picture in the viewer. */
const about = () => {
  const { scene } = pageState.explorers[0] || {};
  const payload = scene?.payload;
  return payload
    ? JSON.stringify([payload.prompt, payload.images.map((image) => image.src?.length)])
    : "";
};

export class Strip {
  constructor(root, { trigger }) {
    this.trigger = trigger;
    this.alone = true;
    this.parts = partsOf(root);
    this.plans = [{ method: "", keep: 1, options: {} }];
    document.addEventListener("tv-catalogue", () => this.menu());
    document.addEventListener("tv-shown", () => this.showConclusion());
  }

  load(value) {
    if (!value?.phase) return;
    this.shown = value;
    if (!this.form) this.menu();
    this.bar();
    this.showConclusion();
    fill(this.parts.cells, ...value.cells.map((cell, i) => this.cell(cell, i)));
  }

  /** The methods are those of the comparison on the same page. */
  menu() {
    const lanes = pageState.lanes[0];
    const catalogue = lanes?.value?.catalogue;
    if (!catalogue || (this.form && this.value.model === lanes.value.model)) return;
    this.value = lanes.value;
    const plan = this.plans[0];
    const there = catalogue.find((one) => one.name === plan.method && !one.missing);
    if (!there)
      Object.assign(plan, {
        method:
          (lanes.plans.find((one) => one.method !== BY_HAND) || lanes.usable()[0])?.method ||
          lanes.usable()[0].name,
        options: {},
      });
    this.form = new PlanForm(this, 0, () => {}, "the sweep");
    fill(this.parts.settings, this.form.badges, this.form.more);
    this.bar();
  }

  bar() {
    if (!this.form) return;
    const busy = this.shown.phase === "running";
    this.form.method.disabled = busy;
    fill(
      this.parts.bar,
      this.form.method,
      busy
        ? el(
            "button",
            { type: "button", class: "tv-primary tv-stop", onclick: () => this.stop() },
            "Stop",
          )
        : el(
            "button",
            { type: "button", class: "tv-primary", onclick: () => this.run() },
            "Run the sweep",
          ),
      busy ? el("span", { class: "tv-spin", "aria-hidden": "true" }) : null,
      el("span", { class: "tv-small" }, this.shown.progress),
    );
  }

  run() {
    const { method, options } = this.plans[0];
    this.about = about();
    this.trigger("sweep", { method, options });
  }

  /** What is shown until the run's last update comes. */
  stop() {
    this.shown = { ...this.shown, progress: "Stopping …" };
    this.bar();
    this.trigger("halt", {});
  }

  showConclusion() {
    const { error, conclusion, title, phase, cells } = this.shown;
    const old = cells.length > 0 && this.about !== about();
    this.parts.cells.classList.toggle("tv-old", old);
    this.parts.message.classList.toggle("tv-error", Boolean(error));
    this.parts.message.textContent =
      error ||
      (conclusion && phase === "done"
        ? `${old ? "About another picture or question. " : ""}${title}: ${conclusion}`
        : "");
  }

  cell(cell, index) {
    const [sign, name] = STATES[cell.state];
    const done = this.shown.phase === "done" && ["holds", "changes"].includes(cell.state);
    const words = cell.words.length ? markedWords(cell.words) : [cell.text || " "];
    return el(
      "li",
      {},
      el(
        "button",
        {
          type: "button",
          class: `tv-cell tv-cell-${cell.state}`,
          disabled: !done,
          "aria-label": `${plural(cell.keep, "token")}: ${name}. ${cell.text}`,
          title: done ? "Open this run" : null,
          onclick: () => {
            this.trigger("open", { run: this.shown.run, lane: cell.lane });
            scrollToPart("#tv-compare");
          },
        },
        el("b", {}, index ? String(cell.keep) : `all ${cell.keep}`),
        el("span", { class: "tv-small" }, cell.share),
        el(
          "span",
          { class: "tv-state" },
          `${sign} ${index || cell.state !== "holds" ? name : "full answer"}`,
        ),
        el("span", { class: "tv-message" }, ...words),
      ),
    );
  }
}
