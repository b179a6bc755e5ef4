/** The methods and budgets of a board, and the filters by the surveys' taxonomies. */

import { el, fill } from "../base/dom.js";
import { pageState } from "../base/page_state.js";
import { markedTitle, plainText, plural } from "../base/text.js";
import { t } from "../base/translate.js";
import { baselineBoxes, SMALLER } from "../compare/baselines.js";

const WHERE = {
  picture: t("on the picture"),
  tower: t("inside the vision tower"),
  before: t("before the language model"),
  language_model: t("inside the language model"),
  cache: t("in the KV cache"),
};
const READS = {
  attention: t("attention"),
  features: t("features compared"),
  question: t("the question's text"),
  gradients: t("gradients"),
  layout: t("only the place"),
  nothing: t("nothing of the picture"),
};
const KINDS = { select: t("prunes"), merge: t("merges"), both: t("prunes and merges") };
const YES = { yes: t("yes"), no: t("no") };
/** Filter -> its label, and value -> text. @type {Record<string, [string, Record<string, string>]>} */
const FILTERS = {
  where: [t("Acts"), WHERE],
  reads: [t("Reads"), READS],
  kind: [t("Does"), KINDS],
  query_aware: [t("Question counts"), YES],
  training_free: [t("Training-free"), YES],
  frames: [t("For films"), YES],
};
const START = ["fastervlm", "visionzip", "divprune", "fastv", "prumerge", "tome"];
const BUDGETS = "50%, 25%, 11%, 6%";
/** Visual tokens of LLaVA-1.5, and the budgets for which most papers report that model. */
const PUBLISHED_FOR = 576;
const PUBLISHED = "192, 128, 64, 32";

export class BoardChoice {
  /** @param {any} owner the board */
  constructor(owner) {
    this.owner = owner;
    this.parts = owner.parts;
    /** @type {Set<string> | null} */
    this.methods = null;
    /** Filter -> value; "" lets everything through. @type {Record<string, string>} */
    this.filters = Object.fromEntries(Object.keys(FILTERS).map((name) => [name, ""]));
    this.search = "";
    /** What was typed; until then the budgets follow the picture. @type {string | null} */
    this.typed = null;
    this.smaller = true;
    this.blind = true;
  }

  get budgets() {
    if (this.typed !== null) return this.typed;
    return pageState.lanes[0]?.value?.n === PUBLISHED_FOR ? PUBLISHED : BUDGETS;
  }

  /** Methods that the model of the comparison can run. */
  usable() {
    return this.owner.catalogue.filter((one) => !one.missing && one.taxonomy);
  }

  build() {
    const usable = this.usable();
    if (!usable.length) return;
    const names = usable.map((one) => one.name);
    this.methods ||= new Set(START.filter((name) => names.includes(name)));
    this.buildFilters();
    this.buildMethods();
    this.buildBudgets();
    this.owner.bar();
  }

  /** Whether a method fits the filters. */
  fits(taxonomy) {
    return Object.entries(this.filters).every(([name, value]) => {
      if (!value) return true;
      const own = taxonomy[name];
      if (typeof own === "boolean") return (own ? "yes" : "no") === value;
      return Array.isArray(own) ? own.includes(value) : own === value;
    });
  }

  shown() {
    const text = this.search.toLowerCase();
    return this.usable().filter(
      (one) =>
        this.fits(one.taxonomy) && `${markedTitle(one)} ${one.name}`.toLowerCase().includes(text),
    );
  }

  refresh() {
    this.buildMethods();
    this.owner.bar();
    if (this.owner.board) this.owner.show();
  }

  buildFilters() {
    const select = (
      /** @type {[string, [string, Record<string, string>]]} */ [name, [label, values]],
    ) => {
      const node = el(
        "select",
        {
          "aria-label": label,
          onchange: () => {
            this.filters[name] = node.value;
            this.refresh();
          },
        },
        el("option", { value: "" }, t("any")),
        ...Object.entries(values).map(([value, text]) => el("option", { value }, text)),
      );
      node.value = this.filters[name];
      return el("label", { class: "tv-shows" }, `${label} `, node);
    };
    const search = el("input", {
      type: "text",
      placeholder: t("Search"),
      "aria-label": t("Search methods"),
      value: this.search,
      oninput: () => {
        this.search = search.value;
        this.buildMethods();
      },
    });
    fill(this.parts.filters, search, ...Object.entries(FILTERS).map(select));
  }

  buildMethods() {
    if (!this.methods) return;
    const shown = this.shown();
    const box = (method) => {
      const input = el("input", {
        type: "checkbox",
        checked: this.methods.has(method.name),
        onchange: () => {
          if (input.checked) this.methods.add(method.name);
          else this.methods.delete(method.name);
          this.owner.bar();
        },
      });
      return el(
        "label",
        { class: "tv-board-method", title: plainText(method.summary) },
        input,
        ` ${markedTitle(method)}`,
      );
    };
    const tool = (text, act) =>
      el(
        "button",
        {
          type: "button",
          class: "tv-tool",
          onclick: () => {
            act();
            this.buildMethods();
            this.owner.bar();
          },
        },
        text,
      );
    fill(
      this.parts.methods,
      tool(t("All {count} that fit", { count: shown.length }), () => {
        for (const one of shown) this.methods.add(one.name);
      }),
      tool(t("None"), () => this.methods.clear()),
      ...shown.map(box),
    );
  }

  buildBudgets() {
    const budgets = el("input", {
      type: "text",
      value: this.budgets,
      "aria-label": t("Budgets, as tokens or shares"),
      oninput: () => {
        this.typed = budgets.value;
        this.owner.bar();
      },
    });
    fill(
      this.parts.budgets,
      el("label", { class: "tv-shows" }, t("Budgets "), budgets),
      ...baselineBoxes(this, () => this.owner.bar()),
    );
  }

  list() {
    return this.budgets
      .split(/[,;\s]+/)
      .filter(Boolean)
      .map((text) => (/^[0-9]+$/.test(text) ? +text : text));
  }

  /** What the server is asked. */
  request() {
    const order = this.usable().map((one) => one.name);
    const methods = order.filter((name) => this.methods?.has(name));
    return { methods, budgets: this.list(), smaller: this.smaller, blind: this.blind };
  }

  /** How many answers a board takes, and about how long. */
  cost() {
    if (!this.methods) return "";
    const rows = this.methods.size + (this.smaller && !this.methods.has(SMALLER) ? 1 : 0);
    const columns = this.list().length;
    const cells = rows * columns;
    const seconds = pageState.lanes[0]?.value?.full?.seconds;
    const about = seconds
      ? t(", about {seconds} s", { seconds: Math.max(1, Math.round(1.7 * cells * seconds)) })
      : "";
    return `${rows} × ${columns}: ${plural(cells, "cell")}${about}`;
  }
}
