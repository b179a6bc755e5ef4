/**
 * The form of one lane: method, budget and the method's own options, made from the registry.
 */

import { el, fill } from "../base/dom.js";
import { markedTitle, plainText, plural, withCode } from "../base/text.js";
import { t, told } from "../base/translate.js";
import { aboutNodes } from "./about.js";
import { optionField } from "./option_field.js";

export class PlanForm {
  constructor(owner, index, changed, name = t("lane {number}", { number: index + 1 })) {
    this.name = name;
    this.owner = owner;
    this.index = index;
    this.changed = changed;
    this.method = this.methodSelect();
    this.keepText = el("b");
    this.keep = el("input", {
      type: "range",
      min: "1",
      max: String(Math.max(this.total || this.plan.keep, 1)),
      "aria-label": t("Tokens to keep in {lane}", { lane: name }),
      oninput: () => {
        this.plan.keep = +this.keep.value;
        this.keepLabel();
        changed();
      },
    });
    this.keep.value = this.plan.keep = Math.min(
      this.plan.keep,
      Math.max(this.total || this.plan.keep, 1),
    );
    this.badges = el("p", { class: "tv-badges" });
    this.more = el("details", { class: "tv-options" });
    this.slide = el(
      "label",
      { class: "tv-slide" },
      el("span", { class: "tv-label" }, t("Keep "), this.keepText),
      this.keep,
    );
    this.nodes = [this.method, this.slide, this.badges, this.more];
    this.keepLabel();
    this.describe();
  }

  get plan() {
    return this.owner.plans[this.index];
  }

  get entry() {
    return this.owner.value.catalogue.find((method) => method.name === this.plan.method);
  }

  /** Visual tokens that this lane's model makes of the picture; 0 until it is known. */
  get total() {
    return this.owner.tokensOf ? this.owner.tokensOf(this.plan) : this.owner.value.n;
  }

  keepLabel() {
    const n = this.total;
    this.keep.max = String(Math.max(n || this.owner.value.n, this.plan.keep, 1));
    this.keep.value = String(this.plan.keep);
    this.keepText.textContent = n
      ? t("{keep} of {n} ({percent} %)", {
          keep: this.plan.keep,
          n,
          percent: Math.round((100 * this.plan.keep) / n),
        })
      : t("{keep} (the total is known after the first run)", { keep: this.plan.keep });
  }

  methodSelect() {
    const places = [...new Set(this.owner.value.catalogue.map((method) => method.where))];
    const option = (method) =>
      el(
        "option",
        {
          value: method.name,
          disabled: Boolean(method.missing),
          title: told(method.missing) || plainText(method.summary),
        },
        markedTitle(method) + (method.missing ? ` – ${told(method.missing)}` : ""),
      );
    const groups = places.map((place) =>
      el(
        "optgroup",
        { label: t(place) },
        ...this.owner.value.catalogue.filter((method) => method.where === place).map(option),
      ),
    );
    const select = el(
      "select",
      {
        class: "tv-method",
        "aria-label": t("Method of {lane}", { lane: this.name }),
        onchange: () => this.choose(select.value),
      },
      this.owner.alone ? null : el("option", { value: "" }, t("All tokens (nothing removed)")),
      ...groups,
    );
    select.value = this.plan.method;
    return select;
  }

  choose(name) {
    this.plan.method = name;
    this.plan.options = {};
    this.plan.positions = null;
    this.describe();
    this.changed();
  }

  describe() {
    const { entry } = this;
    this.slide.hidden = this.badges.hidden = this.more.hidden = !entry;
    if (!entry) return;
    const badge = (text, title) => el("span", { class: "tv-badge", title }, text);
    fill(
      this.badges,
      badge(
        entry.query_aware ? t("reads the question") : t("ignores the question"),
        entry.query_aware
          ? t("What it keeps depends on the prompt.")
          : t("It keeps the same tokens whatever you ask."),
      ),
      badge(
        { select: t("prunes"), merge: t("merges"), both: t("prunes and merges") }[entry.kind] ||
          entry.kind,
        plainText(entry.summary),
      ),
      badge(t(entry.where), t("Where it acts")),
      entry.verified
        ? null
        : badge(
            t("stand-in"),
            t("Built from secondary sources: a stand-in for the published method."),
          ),
      entry.left_out ? badge(...entry.left_out.map(told)) : null,
    );
    this.badges.title = plainText(entry.summary);
    const paper = /^https:\/\//.test(entry.paper)
      ? el(
          "a",
          { href: entry.paper, target: "_blank", rel: "noopener noreferrer" },
          entry.year ? t("paper, {year}", { year: entry.year }) : t("paper"),
        )
      : null;
    fill(
      this.more,
      el(
        "summary",
        {},
        t("About and {options}", { options: plural(entry.options.length + 1, "option") }),
      ),
      el("p", { class: "tv-small" }, ...withCode(entry.summary), " ", paper),
      ...aboutNodes(entry),
      this.positions(entry),
      ...entry.options.map((option) => optionField(option, this.plan.options, this.changed)),
    );
  }

  /** The policies that the method takes, where there is a choice. */
  positions(entry) {
    if (entry.position_choices.length < 2) return null;
    const names = { keep: t("keep"), repack: t("renumber"), mean: t("average") };
    const select = el(
      "select",
      {
        title: t(
          "Do the tokens that are left keep their position ids, are they numbered anew without gaps, or does a merged token get its members' mean?",
        ),
        onchange: () => {
          this.plan.positions = select.value || null;
          this.changed();
        },
      },
      el("option", { value: "" }, t("as published: {choice}", { choice: names[entry.positions] })),
      ...entry.position_choices.map((value) => el("option", { value }, names[value])),
    );
    select.value = this.plan.positions || "";
    return el("label", { class: "tv-option" }, t("position ids"), select);
  }
}
