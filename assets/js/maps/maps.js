/** More maps: the menu of analyses, what each costs, and one result. */

import { el, fill, partsOf, writeText } from "../base/dom.js";
import { figureForm } from "../base/figure_form.js";
import { pageState } from "../base/page_state.js";
import { t, told } from "../base/translate.js";
import { optionField } from "../compare/option_field.js";
import { ResultMap } from "./result_map.js";

const EXACTNESS = {
  exact: t("exact: the numbers are what is said here"),
  sampled: t("sampled: the numbers estimate what is said here"),
  heuristic: t("heuristic: a reading, not a measurement"),
};
/** The name of an array and its axes, each in the reader's language: "share: layer × head". */
const arrayText = (text) =>
  text
    .split(": ")
    .map((part) => part.split(" × ").map(told).join(" × "))
    .join(": ");

export class Maps {
  constructor(root, { trigger, server }) {
    /** Sends an event to Gradio. @type {(event: string, sent?: object) => void} */
    this.trigger = trigger;
    /** Functions of components/maps/panel.py. @type {Record<string, (sent: object) => Promise<any>>} */
    this.server = server;
    this.parts = partsOf(root);
    /** @type {any} */
    this.value = { phase: "empty", progress: "", error: "", result: null };
    /** The menu's entries for the run that is shown. @type {any[]} */
    this.entries = [];
    /** Options that were set, by analysis. @type {Record<string, Record<string, any>>} */
    this.options = {};
    this.name = "";
    this.run = "";
    this.map = new ResultMap();
    this.parts.map.append(this.map.node);
    this.parts.choice.addEventListener("change", () => this.choose(this.parts.choice.value));
    document.addEventListener("tv-shown", () => this.readSoon());
    this.watch(root);
  }

  /** The menu is asked for when the panel comes into sight: most visitors never see it. */
  watch(root) {
    this.seen = false;
    new IntersectionObserver((seen) => {
      this.seen = seen.some((one) => one.isIntersecting);
      if (this.seen) this.readSoon();
    }).observe(root);
  }

  get busy() {
    return this.value.phase === "running";
  }

  get entry() {
    return this.entries.find((one) => one.name === this.name);
  }

  /** Id of the run in the viewer; "" while an answer is being written. */
  get shownRun() {
    const payload = pageState.explorers[0]?.scene?.payload;
    return payload?.n ? payload.id : "";
  }

  readSoon() {
    clearTimeout(this.later);
    this.later = setTimeout(() => this.read(), 60);
  }

  /** Ask for the menu of the run in the viewer. */
  async read() {
    const id = this.shownRun;
    if (!this.seen || !id || id === this.run) return;
    this.run = id;
    const found = await this.server.list_analyses({ id }).catch(() => ({ entries: [] }));
    if (id !== this.run) return;
    this.entries = found.entries || [];
    this.buildMenu();
    this.say(found.error || "", Boolean(found.error));
  }

  buildMenu() {
    const groups = [...new Set(this.entries.map((one) => one.group))];
    const option = (entry) =>
      el(
        "option",
        {
          value: entry.name,
          disabled: Boolean(entry.why_not),
          title: told(entry.why_not || entry.summary),
        },
        told(entry.title) + (entry.why_not ? t(" (not here)") : ""),
      );
    fill(
      this.parts.choice,
      ...groups.map((group) =>
        el(
          "optgroup",
          { label: t(group) },
          ...this.entries.filter((one) => one.group === group).map(option),
        ),
      ),
    );
    const usable = this.entries.filter((one) => !one.why_not);
    const stays = usable.some((one) => one.name === this.name);
    this.choose(stays ? this.name : usable[0]?.name || "");
  }

  choose(name) {
    this.name = name;
    this.parts.choice.value = name;
    const { entry } = this;
    if (!entry) return;
    this.options[name] ||= {};
    fill(this.parts.about, told(entry.summary), ...this.paper(entry));
    fill(
      this.parts.meaning,
      el("b", {}, t("What it means: ")),
      told(entry.meaning),
      el("br"),
      el("b", {}, t("What it does not mean: ")),
      told(entry.not_meaning),
    );
    fill(
      this.parts.options,
      ...entry.options.map((option) =>
        optionField(option, this.options[name], () => this.costSoon()),
      ),
    );
    this.tellCost(entry.cost);
    this.bar();
  }

  paper(entry) {
    if (!/^https:\/\//.test(entry.paper)) return [];
    const text = entry.year ? t("paper, {year}", { year: entry.year }) : t("paper");
    return [
      " ",
      el("a", { href: entry.paper, target: "_blank", rel: "noopener noreferrer" }, text),
    ];
  }

  tellCost(text) {
    writeText(this.parts.cost, text ? t("Cost: {text}.", { text: told(text) }) : "");
  }

  /** Options change what an analysis costs. */
  costSoon() {
    clearTimeout(this.costLater);
    this.costLater = setTimeout(async () => {
      const { name, run } = this;
      const asked = { id: run, name, options: this.options[name] };
      const { cost } = await this.server.cost_of(asked).catch(() => ({ cost: "" }));
      if (name === this.name) this.tellCost(cost.replace(/\.$/, ""));
    }, 200);
  }

  bar() {
    const main = (text, more, onclick) =>
      el(
        "button",
        { type: "button", class: `tv-primary ${more}`, disabled: !this.entry, onclick },
        text,
      );
    fill(
      this.parts.bar,
      this.busy
        ? main(t("Stop"), "tv-stop", () => this.stop())
        : main(t("Make this map"), "", () => this.make()),
      this.busy ? el("span", { class: "tv-spin", "aria-hidden": "true" }) : null,
      el("span", { class: "tv-small", "aria-live": "polite" }, told(this.value.progress)),
    );
    this.parts.choice.disabled = this.busy;
  }

  make() {
    this.trigger("make", { id: this.run, name: this.name, options: this.options[this.name] });
  }

  /** What is shown until the run's last update comes. */
  stop() {
    this.value = { ...this.value, progress: t("Stopping …") };
    this.bar();
    this.trigger("halt", {});
  }

  say(text, isError) {
    writeText(this.parts.message, told(text));
    this.parts.message.classList.toggle("tv-error", isError);
  }

  load(value) {
    if (!value?.phase) return;
    this.value = { ...value, result: value.result || this.value.result };
    this.bar();
    this.say(value.error, Boolean(value.error));
    if (value.result) this.showResult(value.result);
  }

  showResult(result) {
    const { parts } = this;
    parts.result.hidden = false;
    writeText(parts.title, told(result.title));
    fill(
      parts.said,
      el("b", {}, told(result.meaning)),
      ` ${t("Not:")} ${told(result.not_meaning)} (${EXACTNESS[result.exactness] || result.exactness})`,
    );
    fill(parts.arrays, this.arrayChoice(result), this.pageChoice(result), this.figures());
    const array = result.arrays.find((one) => one.name === result.array);
    writeText(
      parts.arrayMeaning,
      array?.meaning && array.name !== "result" ? told(array.meaning) : "",
    );
    this.map.show(result.map);
    fill(
      parts.numbers,
      ...result.numbers.map(([name, value, meaning]) =>
        el("tr", { title: told(meaning) }, el("th", {}, told(name)), el("td", {}, value)),
      ),
    );
    parts.numbers.hidden = !result.numbers.length;
    fill(parts.notes, ...result.notes.map((note) => el("li", {}, told(note))));
    if (result.chart) requestAnimationFrame(() => window.dispatchEvent(new Event("resize")));
  }

  arrayChoice(result) {
    if (result.arrays.length < 2) return null;
    const select = el(
      "select",
      { "aria-label": t("What is shown of the result"), onchange: () => this.ask(select.value, 0) },
      ...result.arrays.map((one) => el("option", { value: one.name }, arrayText(one.text))),
    );
    select.value = result.array;
    return el("label", { class: "tv-shows" }, t("Show "), select);
  }

  pageChoice(result) {
    const array = result.arrays.find((one) => one.name === result.array);
    if (!array?.pages.length) return null;
    const select = el(
      "select",
      { "aria-label": t("Place"), onchange: () => this.ask(result.array, +select.value) },
      ...array.pages.map((name, i) => el("option", { value: String(i) }, told(name))),
    );
    select.value = String(result.page);
    return el("label", { class: "tv-shows" }, t("of "), select);
  }

  /** Figures for a paper of the map or the chart that is shown. */
  figures() {
    return figureForm(
      this.server,
      () => {
        const { id, array, page, map } = this.value.result;
        const what = { result: id, array, page };
        return map
          ? { kind: "map", ...what, rows: [...this.map.chosen] }
          : { kind: "chart", of: "analysis", ...what };
      },
      (text, isError) => this.say(text, isError),
    );
  }

  ask(name, page) {
    this.trigger("show", { result: this.value.result.id, name, page });
  }
}
