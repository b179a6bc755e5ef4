/** The form of the brush: its buttons and menus, and the texts that say what was painted. */

/** @import { LaneColumn } from "../compare/lane_column.js" */
/** @import { Brush } from "./brush.js" */

import { el, fill } from "../base/dom.js";
import { pageState } from "../base/page_state.js";
import { markedTitle, plural } from "../base/text.js";

/** Sides of the square brush, in tokens. */
const SIDES = [1, 3, 5];

const option = (value, text) => el("option", { value: String(value) }, text);

export class BrushForm {
  /** @param {Brush} brush */
  constructor(brush) {
    this.brush = brush;
    this.parts = brush.owner.parts;
    /** Lanes that one can start from. @type {LaneColumn[]} */
    this.columns = [];
    const button = (text, act, title) =>
      el("button", { type: "button", class: "tv-tool", title, onclick: act }, text);
    this.toggle = button(
      "Paint tokens",
      () => brush.toggle(),
      "Choose by hand which tokens the model gets",
    );
    this.undo = button("Undo", () => brush.undo(), "Ctrl+Z");
    this.redo = button("Redo", () => brush.redo(), "Ctrl+Shift+Z");
    this.invert = button("Invert", () => brush.change((i) => 1 - brush.inside[i]));
    this.clear = button("Clear", () => brush.change(() => 1), "All tokens back in");
    this.mode = el(
      "select",
      { "aria-label": "What the brush does" },
      option(0, "out"),
      option(1, "in"),
    );
    this.size = el(
      "select",
      { "aria-label": "Brush size in tokens" },
      ...SIDES.map((side) => option((side - 1) / 2, `${side} × ${side}`)),
    );
    this.start = el("select", {
      "aria-label": "Start from",
      onchange: () => {
        const [kind, name] = this.start.value.split(" ");
        this.start.value = "";
        brush.startFrom(kind, name);
      },
    });
    this.count = el("p", { class: "tv-count", role: "status" });
    this.ask = el(
      "button",
      { type: "button", class: "tv-primary", onclick: () => brush.ask() },
      "Ask again with exactly these",
    );
    this.message = el("p", { class: "tv-brush-message", role: "status" });
    this.place();
  }

  place() {
    const label = (text, node) => el("label", {}, text, node);
    this.controls = el(
      "div",
      { class: "tv-brushbox", hidden: true },
      el(
        "div",
        { class: "tv-switches" },
        label("Paint ", this.mode),
        label("Brush ", this.size),
        label("Start from ", this.start),
      ),
      el("div", { class: "tv-tools" }, this.invert, this.clear, this.undo, this.redo),
      this.count,
      this.ask,
    );
    const title = el("h2", {}, "Choose tokens by hand");
    fill(this.parts.brush, title, this.toggle, this.controls, this.message);
  }

  /** What the brush paints: 1 in, 0 out. */
  get paintsIn() {
    return +this.mode.value;
  }

  /** How many tokens beside the one under the pointer are painted, to each side. */
  get reach() {
    return +this.size.value;
  }

  /** What one can start from, of the lanes and methods that are on the page now. */
  fillStart() {
    const lanes = pageState.lanes[0];
    this.columns = lanes ? lanes.columns.filter((column) => this.fits(column.picture.scene)) : [];
    const catalogue = lanes?.value?.catalogue || [];
    const kept = this.columns.map((column, i) =>
      option(
        `lane ${i}`,
        column.picture.scene.payload.stages.map((stage) => stage.title).join(" + "),
      ),
    );
    const methods = catalogue
      .filter((method) => !method.missing)
      .map((method) => option(`method ${method.name}`, markedTitle(method)));
    const group = (label, options) =>
      options.length ? el("optgroup", { label }, ...options) : null;
    fill(
      this.start,
      option("", "…"),
      option("map", "the top of this map"),
      group("what a lane below kept", kept),
      group("what a method would keep", methods),
    );
  }

  /** Whether a lane's tokens are those of the picture. */
  fits(scene) {
    return Boolean(scene?.fates) && scene.n === this.brush.owner.scene.n;
  }

  refresh() {
    const { brush, parts } = this;
    const { active, inside } = brush;
    const chosen = brush.tokens().length;
    parts.canvas.classList.toggle("tv-painting", active);
    parts.brush.parentElement.classList.toggle("tv-byhand", active);
    this.toggle.textContent = active ? "Stop painting" : "Paint tokens";
    this.toggle.setAttribute("aria-pressed", String(active));
    this.toggle.disabled = !inside.length;
    this.controls.hidden = !active;
    this.undo.disabled = !brush.undone.length;
    this.redo.disabled = !brush.redone.length;
    this.count.textContent = chosen
      ? `${chosen} of ${inside.length} tokens are in.`
      : "No token is in: paint at least one in.";
    this.ask.hidden = !pageState.lanes.length;
    this.ask.disabled = !chosen;
  }

  say(text) {
    this.message.textContent = text;
  }

  /** Show the answer of the lane that was asked with exactly the painted tokens. */
  showAnswer(lane) {
    if (lane.error) {
      fill(this.message, el("span", { class: "tv-error" }, lane.error));
      return;
    }
    const verdict = lane.changed ? "The answer changed." : "Same answer as with all tokens.";
    fill(
      this.message,
      el("b", {}, `With ${plural(lane.keep, "token")}: `),
      `“${lane.text}” `,
      el("span", { class: "tv-small" }, verdict),
    );
  }
}
