/**
 * What a lane may have of its own besides its method: a question, a mitigation, a model, and the layer
 * of its picture.
 */

/** @import { LaneColumn } from "./lane_column.js" */

import { el, fill } from "../base/dom.js";
import { markedTitle, plainText, withCode } from "../base/text.js";
import { t } from "../base/translate.js";
import { aboutNodes } from "./about.js";
import { optionField } from "./option_field.js";

export class LaneOwnSettings {
  /** @param {LaneColumn} column */
  constructor(column) {
    this.column = column;
    this.name = t("lane {number}", { number: column.index + 1 });
    this.summary = el("summary");
    this.mitigationOptions = el("div", { class: "tv-mitigation" });
    this.layer = el("select", {
      "aria-label": t("Layer of the picture in {lane}", { lane: this.name }),
      onchange: () => this.setLayer(),
    });
    this.node = el(
      "details",
      {
        class: "tv-options tv-lane-own",
        ontoggle: () => this.owner.opened[this.node.open ? "add" : "delete"](column.plan),
      },
      this.summary,
      this.question(),
      this.mitigation(),
      this.mitigationOptions,
      this.model(),
      el("label", { class: "tv-option" }, t("layer shown"), this.layer),
    );
    this.node.open = this.owner.opened.has(column.plan);
    this.fillMitigation();
    this.fillLayers(0);
    this.summarise();
  }

  get owner() {
    return this.column.owner;
  }

  get plan() {
    return this.column.plan;
  }

  changed() {
    this.summarise();
    this.column.edited();
  }

  /** The line that is seen while the form is closed says what is set. */
  summarise() {
    const { plan, owner } = this;
    const mitigation = owner.mitigations.find((one) => one.name === plan.mitigation);
    const set = [
      plan.prompt ? `“${plan.prompt.slice(0, 40)}”` : "",
      mitigation ? markedTitle(mitigation) : "",
      plan.model || "",
      plan.layer === null || plan.layer === undefined
        ? ""
        : t("layer {layer}", { layer: plan.layer }),
    ].filter(Boolean);
    const free = [
      t("question"),
      t("mitigation"),
      owner.models.length > 1 ? t("model") : "",
      t("layer"),
    ]
      .filter(Boolean)
      .join(", ");
    fill(
      this.summary,
      set.length ? el("b", {}, set.join(" · ")) : t("Own {settings} …", { settings: free }),
    );
  }

  /** A lane may have a question of its own, so that two questions stand side by side. */
  question() {
    const line = el("input", {
      type: "text",
      placeholder: t("same as above"),
      "aria-label": t("Question of {lane}", { lane: this.name }),
      oninput: () => {
        this.plan.prompt = line.value.trim() || null;
        this.changed();
      },
      onkeydown: (event) => {
        if (event.key === "Enter" && !this.owner.busy()) this.owner.run();
      },
    });
    line.value = this.plan.prompt || "";
    return el("label", { class: "tv-option" }, t("question"), line);
  }

  /** An attention edit or a contrast against hallucinations, on the tokens that the method leaves. */
  mitigation() {
    const option = (one) =>
      el("option", { value: one.name, title: plainText(one.summary) }, markedTitle(one));
    const select = el(
      "select",
      {
        "aria-label": t("Mitigation of {lane}", { lane: this.name }),
        onchange: () => {
          Object.assign(this.plan, { mitigation: select.value || null, mitigation_options: {} });
          this.fillMitigation();
          this.changed();
        },
      },
      el("option", { value: "" }, t("none")),
      ...this.owner.mitigations.map(option),
    );
    select.value = this.plan.mitigation || "";
    return el("label", { class: "tv-option" }, t("mitigation"), select);
  }

  /** The text and options of the chosen mitigation. */
  fillMitigation() {
    const entry = this.owner.mitigations.find((one) => one.name === this.plan.mitigation);
    this.plan.mitigation_options ||= {};
    fill(
      this.mitigationOptions,
      entry ? el("p", { class: "tv-small" }, ...withCode(entry.summary)) : null,
      ...(entry ? aboutNodes(entry) : []),
      ...(entry
        ? entry.options.map((option) =>
            optionField(option, this.plan.mitigation_options, () => this.changed()),
          )
        : []),
    );
    this.mitigationOptions.hidden = !entry;
  }

  model() {
    const { models, value } = this.owner;
    if (models.length < 2) return null;
    const select = el(
      "select",
      {
        "aria-label": t("Model of {lane}", { lane: this.name }),
        onchange: () => {
          this.plan.model = select.value || null;
          this.changed();
          this.owner.rebuild();
          this.owner.results();
        },
      },
      el("option", { value: "" }, t("same as above")),
      ...models.map((name) => el("option", { value: name }, name)),
    );
    select.value = this.plan.model || "";
    return el(
      "label",
      { class: "tv-option", title: t("Now: {model}", { model: value.model }) },
      t("model"),
      select,
    );
  }

  /** The lane's picture shows the layer of the viewer, or always the same. */
  fillLayers(count) {
    const { plan } = this;
    const most = Math.max(count, (plan.layer ?? -1) + 1);
    fill(
      this.layer,
      el("option", { value: "" }, t("as in the viewer")),
      ...Array.from({ length: most }, (_, i) => el("option", { value: String(i) }, String(i))),
    );
    this.layer.value = plan.layer === null || plan.layer === undefined ? "" : String(plan.layer);
    this.layer.disabled = !most;
  }

  setLayer() {
    this.plan.layer = this.layer.value === "" ? null : +this.layer.value;
    this.summarise();
    this.owner.show("looked");
  }
}
