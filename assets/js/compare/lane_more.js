/**
 * What a lane may have of its own besides its method: question, mitigation, model, and the layer of
 * its picture.
 */

/** @import { LaneColumn } from "./lane_column.js" */

import { el, fill } from "../base/dom.js";
import { aboutNodes } from "./about.js";
import { optionField } from "./option_field.js";

export class LaneMore {
  /** @param {LaneColumn} column */
  constructor(column) {
    this.column = column;
    this.name = `lane ${column.index + 1}`;
    this.summary = el("summary");
    this.remedy = el("div", { class: "tv-remedy" });
    this.layer = el("select", {
      "aria-label": `Layer of the picture in ${this.name}`,
      onchange: () => this.setLayer(),
    });
    this.node = el(
      "details",
      {
        class: "tv-options tv-lanemore",
        ontoggle: () => this.owner.opened[this.node.open ? "add" : "delete"](column.plan),
      },
      this.summary,
      this.question(),
      this.mitigation(),
      this.remedy,
      this.model(),
      el("label", { class: "tv-option" }, "layer shown", this.layer),
    );
    this.node.open = this.owner.opened.has(column.plan);
    this.options();
    this.layers(0);
    this.say();
  }

  get owner() {
    return this.column.owner;
  }

  get plan() {
    return this.column.plan;
  }

  changed() {
    this.say();
    this.column.edited();
  }

  /** The closed form still says what is set. */
  say() {
    const { plan, owner } = this;
    const remedy = owner.mitigations.find((one) => one.name === plan.mitigation);
    const set = [
      plan.prompt ? `“${plan.prompt.slice(0, 40)}”` : "",
      remedy ? remedy.title : "",
      plan.model || "",
      plan.layer === null || plan.layer === undefined ? "" : `layer ${plan.layer}`,
    ].filter(Boolean);
    const free = ["question", "mitigation", owner.models.length > 1 ? "model" : "", "layer"]
      .filter(Boolean)
      .join(", ");
    fill(this.summary, set.length ? el("b", {}, set.join(" · ")) : `Own ${free} …`);
  }

  /** Two questions side by side: a lane may have its own. */
  question() {
    const line = el("input", {
      type: "text",
      placeholder: "same as above",
      "aria-label": `Question of ${this.name}`,
      oninput: () => {
        this.plan.prompt = line.value.trim() || null;
        this.changed();
      },
      onkeydown: (event) => {
        if (event.key === "Enter" && !this.owner.busy()) this.owner.run();
      },
    });
    line.value = this.plan.prompt || "";
    return el("label", { class: "tv-option" }, "question", line);
  }

  /**
   * Answering back at a hallucination: an attention edit or a contrast, on what the method leaves.
   */
  mitigation() {
    const option = (one) =>
      el(
        "option",
        { value: one.name, title: one.summary },
        one.title + (one.verified ? "" : " (stand-in)"),
      );
    const select = el(
      "select",
      {
        "aria-label": `Mitigation of ${this.name}`,
        onchange: () => {
          Object.assign(this.plan, { mitigation: select.value || null, mitigation_options: {} });
          this.options();
          this.changed();
        },
      },
      el("option", { value: "" }, "none"),
      ...this.owner.mitigations.map(option),
    );
    select.value = this.plan.mitigation || "";
    return el("label", { class: "tv-option" }, "mitigation", select);
  }

  options() {
    const entry = this.owner.mitigations.find((one) => one.name === this.plan.mitigation);
    this.plan.mitigation_options ||= {};
    fill(
      this.remedy,
      entry ? el("p", { class: "tv-fine" }, entry.summary) : null,
      ...(entry ? aboutNodes(entry) : []),
      ...(entry
        ? entry.options.map((option) =>
            optionField(option, this.plan.mitigation_options, () => this.changed()),
          )
        : []),
    );
    this.remedy.hidden = !entry;
  }

  model() {
    const { models, value } = this.owner;
    if (models.length < 2) return null;
    const select = el(
      "select",
      {
        "aria-label": `Model of ${this.name}`,
        onchange: () => {
          this.plan.model = select.value || null;
          this.changed();
          this.owner.rebuild();
          this.owner.results();
        },
      },
      el("option", { value: "" }, "same as above"),
      ...models.map((name) => el("option", { value: name }, name)),
    );
    select.value = this.plan.model || "";
    return el("label", { class: "tv-option", title: `Now: ${value.model}` }, "model", select);
  }

  /** The lane's picture shows the layer of the big one, or always the same. */
  layers(count) {
    const { plan } = this;
    const most = Math.max(count, (plan.layer ?? -1) + 1);
    fill(
      this.layer,
      el("option", { value: "" }, "as in the viewer"),
      ...Array.from({ length: most }, (_, i) => el("option", { value: String(i) }, String(i))),
    );
    this.layer.value = plan.layer === null || plan.layer === undefined ? "" : String(plan.layer);
    this.layer.disabled = !most;
  }

  setLayer() {
    this.plan.layer = this.layer.value === "" ? null : +this.layer.value;
    this.say();
    this.owner.show("looked");
  }
}
