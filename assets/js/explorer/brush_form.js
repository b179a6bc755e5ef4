/** The form of the brush: its buttons and menus, and the texts that say what was painted. */

/** @import { LaneColumn } from "../compare/lane_column.js" */
/** @import { Brush } from "./brush.js" */

import { el, fill } from "../base/dom.js";
import { pageState } from "../base/page_state.js";
import { markedTitle, plural } from "../base/text.js";
import { t, told } from "../base/translate.js";

/** Sides of the square brush, in tokens. */
const SIDES = [1, 3, 5];
const BOX = "box";
const HINT = t("Rub a thing out: drag over it, then ask again without its tokens.");

/** Whether what was painted can be asked about here. */
const canAsk = () => pageState.lanes.length > 0 || pageState.isEarly;

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
      t("Paint tokens"),
      () => brush.toggle(),
      t("Choose by hand which tokens the model gets"),
    );
    this.undo = button(t("Undo"), () => brush.undo(), "Ctrl+Z");
    this.redo = button(t("Redo"), () => brush.redo(), "Ctrl+Shift+Z");
    this.invert = button(t("Invert"), () => brush.change((i) => 1 - brush.inside[i]));
    this.clear = button(t("Clear"), () => brush.change(() => 1), t("All tokens back in"));
    this.mode = el(
      "select",
      { "aria-label": t("What the brush does") },
      option(0, t("out")),
      option(1, t("in")),
    );
    this.size = el(
      "select",
      { "aria-label": t("Brush size in tokens") },
      ...SIDES.map((side) => option((side - 1) / 2, `${side} × ${side}`)),
      option(BOX, t("rectangle")),
    );
    this.size.value = "1";
    this.start = el("select", {
      class: "tv-start",
      "aria-label": t("Start from"),
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
      t("Ask again with exactly these"),
    );
    this.message = el("p", { class: "tv-brush-message", role: "status" });
    this.place();
  }

  place() {
    const label = (text, node) => el("label", {}, text, node);
    this.controls = el(
      "div",
      { class: "tv-brushbox" },
      el("h2", {}, t("Choose tokens by hand")),
      this.count,
      el(
        "div",
        { class: "tv-switches" },
        label(t("Paint "), this.mode),
        label(t("Brush "), this.size),
        label(t("Start from "), this.start),
      ),
      el("div", { class: "tv-toolrow" }, this.invert, this.clear, this.undo, this.redo),
      el(
        "p",
        { class: "tv-small" },
        t("Hatched tokens are left out. With Shift a drag paints a rectangle; Esc ends painting."),
      ),
    );
    fill(this.parts.paint, this.controls);
    const row = el("div", { class: "tv-handrow" }, this.toggle, this.ask);
    fill(this.parts.brush, row, this.message);
  }

  /** What the brush paints: 1 in, 0 out. */
  get paintsIn() {
    return +this.mode.value;
  }

  /** How many tokens beside the one under the pointer are painted, to each side. */
  get reach() {
    return this.isBox ? 0 : +this.size.value;
  }

  /** Whether a drag paints a rectangle. */
  get isBox() {
    return this.size.value === BOX;
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
      option("map", t("the top of this map")),
      this.brush.owner.scene.anySink ? option("sinks", t("all but the attention sinks")) : null,
      group(t("what a lane below kept"), kept),
      group(t("what a method would keep"), methods),
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
    this.toggle.textContent = active ? t("Stop painting") : t("Paint tokens");
    this.toggle.setAttribute("aria-pressed", String(active));
    this.toggle.disabled = !inside.length;
    this.undo.disabled = !brush.undone.length;
    this.redo.disabled = !brush.redone.length;
    const count = chosen
      ? t("{chosen} of {n} tokens are in.", { chosen, n: inside.length })
      : t("No token is in: paint at least one in.");
    this.count.textContent = active ? count : "";
    this.ask.hidden = !active || !pageState.lanes.length;
    this.ask.disabled = !chosen;
    if (!this.message.textContent && canAsk()) this.say("");
  }

  /** Say something below the buttons; nothing is the hint. */
  say(text) {
    this.message.textContent = text || (canAsk() ? HINT : "");
    this.message.classList.toggle("tv-hint", !text);
  }

  /** Show the answer of the lane that was asked with exactly the painted tokens. */
  showAnswer(lane) {
    if (lane.error) {
      this.message.classList.remove("tv-hint");
      fill(this.message, el("span", { class: "tv-error" }, told(lane.error)));
      return;
    }
    this.message.classList.remove("tv-hint");
    const verdict = lane.changed ? t("The answer changed.") : t("Same answer as with all tokens.");
    fill(
      this.message,
      el("b", {}, t("With {tokens}: ", { tokens: plural(lane.keep, "token") })),
      `“${lane.text}” `,
      el("span", { class: "tv-small" }, verdict),
    );
  }
}
