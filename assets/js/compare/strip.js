/** How few tokens? What must hold, the methods, and one strip of budgets per method. */

import { el, fill, partsOf } from "../base/dom.js";
import { figureForm } from "../base/figure_form.js";
import { BY_HAND } from "../base/links.js";
import { pageState } from "../base/page_state.js";
import { markedTitle, plainText, plural } from "../base/text.js";
import { t, told } from "../base/translate.js";
import { baselineBoxes, SMALLER } from "./baselines.js";
import { HeldForm } from "./held_form.js";
import { markedWords } from "./marked_words.js";

const STATES = {
  holds: ["✓", t("holds")],
  changes: ["≠", t("breaks")],
  running: ["…", t("writing")],
  scoring: ["…", t("scoring")],
  waiting: ["·", t("waiting")],
  refused: ["!", t("cannot run")],
};
const MOST = 6;

/** A text that is equal for the same question about the same picture in the viewer. */
const about = () => {
  const { scene } = pageState.explorers[0] || {};
  const payload = scene?.payload;
  return payload
    ? JSON.stringify([payload.prompt, payload.images.map((image) => image.src?.length)])
    : "";
};

export class Strip {
  constructor(root, { trigger, server = {} }) {
    this.trigger = trigger;
    /** Functions of components/figures. @type {Record<string, (sent: object) => Promise<any>>} */
    this.server = server;
    this.parts = partsOf(root);
    /** Names of the methods. @type {string[]} */
    this.methods = [];
    /** @type {any} */
    this.shown = null;
    /** Which baselines are run beside the methods. */
    this.smaller = true;
    this.blind = true;
    this.held = new HeldForm(this);
    document.addEventListener("tv-catalogue", () => this.menu());
    document.addEventListener("tv-shown", () => {
      this.held.build();
      if (this.shown) this.showConclusions();
    });
  }

  load(value) {
    if (!value?.phase) return;
    this.shown = value;
    this.menu();
    this.held.take(value);
    this.bar();
    this.showConclusions();
    fill(this.parts.strips, ...value.methods.map((method) => this.strip(method)));
  }

  get busy() {
    return this.shown?.phase === "running";
  }

  get catalogue() {
    return (pageState.lanes[0]?.value?.catalogue || []).filter((one) => !one.missing);
  }

  /** The methods are those of the comparison on the same page; at first its lanes. */
  menu() {
    const known = this.catalogue.map((one) => one.name);
    if (!known.length) return;
    this.methods = this.methods.filter((name) => known.includes(name));
    if (!this.methods.length) {
      const lanes = pageState.lanes[0].plans.map((plan) => plan.method);
      const first = lanes.filter((name) => name && name !== BY_HAND && known.includes(name));
      this.methods = [...new Set(first)].slice(0, MOST);
      if (!this.methods.length) this.methods = known.slice(0, 1);
    }
    this.methodRow();
    fill(this.parts.baselines, ...baselineBoxes(this));
    if (this.shown) this.bar();
  }

  /** The methods that are run, the baseline last. */
  asked() {
    const offered = this.smaller && this.catalogue.some((one) => one.name === SMALLER);
    return [...new Set([...this.methods, ...(offered ? [SMALLER] : [])])];
  }

  methodRow() {
    const chip = (name, i) =>
      el(
        "span",
        { class: "tv-chosen-method" },
        this.select(name, i),
        this.methods.length > 1
          ? el(
              "button",
              {
                type: "button",
                class: "tv-tool",
                "aria-label": t("Leave {name} out", { name }),
                onclick: () => {
                  this.methods.splice(i, 1);
                  this.methodRow();
                },
              },
              "×",
            )
          : null,
      );
    const add = () => {
      const free = this.catalogue.find((one) => !this.methods.includes(one.name));
      if (free) this.methods.push(free.name);
      this.methodRow();
    };
    fill(
      this.parts.methods,
      ...this.methods.map(chip),
      this.methods.length < MOST
        ? el("button", { type: "button", class: "tv-tool", onclick: add }, t("+ Add a method"))
        : null,
    );
  }

  select(name, index) {
    const places = [...new Set(this.catalogue.map((one) => one.where))];
    const select = el(
      "select",
      {
        class: "tv-method",
        "aria-label": t("Method {number} of the sweep", { number: index + 1 }),
        onchange: () => {
          this.methods[index] = select.value;
        },
      },
      ...places.map((place) =>
        el(
          "optgroup",
          { label: t(place) },
          ...this.catalogue
            .filter((one) => one.where === place)
            .map((one) =>
              el("option", { value: one.name, title: plainText(one.summary) }, markedTitle(one)),
            ),
        ),
      ),
    );
    select.value = name;
    return select;
  }

  bar() {
    const button = (text, more, onclick) =>
      el("button", { type: "button", class: `tv-primary ${more}`, onclick }, text);
    fill(
      this.parts.bar,
      this.busy
        ? button(t("Stop"), "tv-stop", () => this.stop())
        : button(t("Run the sweep"), "", () => this.run()),
      this.busy ? el("span", { class: "tv-spin", "aria-hidden": "true" }) : null,
      el("span", { class: "tv-small" }, told(this.shown.progress)),
      this.shown.run && !this.busy ? this.figures() : null,
    );
  }

  /** Figures for a paper of the curves. */
  figures() {
    return figureForm(
      this.server,
      () => ({ kind: "chart", of: "sweep", run: this.shown.run }),
      (text, isError) => {
        this.parts.message.textContent = text;
        this.parts.message.classList.toggle("tv-error", isError);
      },
    );
  }

  run() {
    this.about = about();
    const methods = this.asked().map((method) => ({ method, options: {} }));
    this.trigger("sweep", { methods, held: this.held.value(), blind: this.blind });
  }

  /** Something else must hold: what was run is judged again, without the model. */
  judge() {
    if (this.busy || !this.shown?.run) return;
    this.trigger("judge", { run: this.shown.run, held: this.held.value() });
  }

  /** What is shown until the run's last update comes. */
  stop() {
    this.shown = { ...this.shown, progress: t("Stopping …") };
    this.bar();
    this.trigger("halt", {});
  }

  get old() {
    return this.shown.methods.length > 0 && this.about !== about();
  }

  showConclusions() {
    const { error, phase, methods, holds, blind } = this.shown;
    const { message, strips } = this.parts;
    strips.classList.toggle("tv-old", this.old);
    message.classList.toggle("tv-error", Boolean(error));
    const lines = methods.map(({ title, conclusion }) =>
      conclusion
        ? el("span", { class: "tv-line" }, el("b", {}, `${title}: `), told(conclusion))
        : null,
    );
    const done = phase === "done" && !error && methods.length;
    fill(
      message,
      told(error) || null,
      done && this.old ? t("About another picture or question. ") : null,
      done ? el("span", { class: "tv-line" }, `${t("What must hold: ")}${told(holds)}.`) : null,
      ...(done ? lines : []),
      done && blind ? this.blindLine(blind) : null,
    );
  }

  /** The answer without the picture, against which every budget is to be read. */
  blindLine({ state, words, lowest }) {
    const p = lowest === null ? "" : ` P ${lowest.toFixed(2)}`;
    const said = state === "same" ? [t("the same answer")] : markedWords(words);
    return el(
      "span",
      { class: "tv-line" },
      el("b", {}, `${t("Without the picture")}${p}: `),
      ...said,
    );
  }

  /** A method that cannot leave any of its budgets has no cells: its conclusion says why. */
  strip(row) {
    if (row.refused) return null;
    return el(
      "section",
      { "aria-label": t("Budgets of {method}", { method: row.title }) },
      el("h3", { class: "tv-strip-name" }, row.title),
      el("ol", { class: "tv-strip" }, ...row.cells.map((cell, i) => this.cell(cell, i))),
    );
  }

  cell(cell, index) {
    const [sign, name] = STATES[cell.state];
    const done = this.shown.phase === "done" && ["holds", "changes"].includes(cell.state);
    const words = cell.words.length ? markedWords(cell.words) : [told(cell.text) || " "];
    const p = cell.lowest === null || cell.lowest === undefined ? "" : cell.lowest.toFixed(2);
    return el(
      "li",
      {},
      el(
        "button",
        {
          type: "button",
          class: `tv-cell tv-cell-${cell.state}`,
          disabled: !done,
          "aria-label": `${plural(cell.keep, "token")}: ${name}. ${p ? `P ${p}. ` : ""}${cell.text}`,
          title: done ? t("Show this run in the viewer") : null,
          onclick: () => {
            this.trigger("open", { run: this.shown.run, lane: cell.lane });
            document.querySelector("#tv-show")?.scrollIntoView({ block: "start" });
          },
        },
        el("b", {}, index ? String(cell.keep) : t("all {n}", { n: cell.keep })),
        el("span", { class: "tv-small" }, p ? `${cell.share}, P ${p}` : cell.share),
        el(
          "span",
          { class: "tv-state" },
          `${sign} ${index || cell.state !== "holds" ? name : t("full answer")}`,
        ),
        el("span", { class: "tv-message" }, ...words),
      ),
    );
  }
}
