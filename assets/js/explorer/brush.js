/** Choosing tokens by hand: paint them in or out, then ask again with exactly these. */

/** @import { Explorer } from "./explorer.js" */

import { el, fill } from "../base/dom.js";
import { pageState } from "../base/page_state.js";
import { plural } from "../base/text.js";

const MAX_UNDO = 100;

export class Brush {
  /** @param {Explorer} owner */
  constructor(owner) {
    this.owner = owner;
    this.active = false;
    /** [n], 1 = the model gets this token. */
    this.inside = new Uint8Array(0);
    /** What the choice is about: another picture forgets it. */
    this.source = "";
    /** Earlier and later choices. @type {Uint8Array[]} */
    this.undone = [];
    /** @type {Uint8Array[]} */
    this.redone = [];
    this.build();
    document.addEventListener("tv-hand", (/** @type {CustomEvent} */ event) =>
      this.answered(event.detail),
    );
  }

  build() {
    const button = (text, act, title) =>
      el(
        "button",
        { type: "button", class: "tv-tool", title, onclick: () => act.call(this) },
        text,
      );
    this.toggle = button("Paint tokens", this.turn, "Choose by hand which tokens the model gets");
    this.tool = el(
      "select",
      { "aria-label": "What the brush does" },
      el("option", { value: "0" }, "out"),
      el("option", { value: "1" }, "in"),
    );
    this.size = el(
      "select",
      { "aria-label": "Brush size in tokens" },
      ...[1, 3, 5].map((side) =>
        el("option", { value: String((side - 1) / 2) }, `${side} × ${side}`),
      ),
    );
    this.size.value = "0";
    this.start = el("select", { "aria-label": "Start from", onchange: () => this.startFrom() });
    this.undoButton = button("Undo", () => this.travel(this.undone, this.redone), "Ctrl+Z");
    this.redoButton = button("Redo", () => this.travel(this.redone, this.undone), "Ctrl+Shift+Z");
    this.count = el("p", { class: "tv-count", role: "status" });
    this.go = el(
      "button",
      { type: "button", class: "tv-go", onclick: () => this.ask() },
      "Ask again with exactly these",
    );
    this.said = el("p", { class: "tv-brushsaid", role: "status" });
    this.controls = el(
      "div",
      { class: "tv-brushbox", hidden: true },
      el(
        "div",
        { class: "tv-switches" },
        el("label", {}, "Paint ", this.tool),
        el("label", {}, "Brush ", this.size),
        el("label", {}, "Start from ", this.start),
      ),
      el(
        "div",
        { class: "tv-tools" },
        button("Invert", () => this.change((i) => 1 - this.inside[i])),
        button("Clear", () => this.change(() => 1), "All tokens back in"),
        this.undoButton,
        this.redoButton,
      ),
      this.count,
      this.go,
    );
    fill(
      this.owner.parts.brush,
      el("h2", {}, "Choose tokens by hand"),
      this.toggle,
      this.controls,
      this.said,
    );
  }

  /** Another run: what was painted is forgotten, unless the picture and its tokens are the same. */
  begin(asked) {
    const { scene } = this.owner;
    const { payload } = scene;
    if (!scene.n) return;
    const source = JSON.stringify([
      scene.n,
      payload.example || payload.images.map((image) => image.src?.length),
    ]);
    this.fillStart();
    if (source === this.source) return;
    Object.assign(this, {
      source,
      inside: new Uint8Array(scene.n).fill(1),
      undone: [],
      redone: [],
    });
    this.said.textContent = "";
    if (this.active) this.turn();
    if (!asked.hand) return this.refresh();
    this.inside.fill(0);
    for (const token of asked.hand) if (token < scene.n) this.inside[token] = 1;
    this.turn();
  }

  fillStart() {
    const lanes = pageState.lanes[0];
    const columns = lanes
      ? lanes.columns.filter(
          (column) => column.scene?.fates && column.scene.n === this.owner.scene.n,
        )
      : [];
    const catalogue = lanes?.value ? lanes.value.catalogue.filter((method) => !method.missing) : [];
    this.columns = columns;
    fill(
      this.start,
      el("option", { value: "" }, "…"),
      el("option", { value: "map" }, "the top of this map"),
      columns.length
        ? el(
            "optgroup",
            { label: "what a lane below kept" },
            ...columns.map((column, i) =>
              el(
                "option",
                { value: `lane ${i}` },
                column.scene.payload.stages.map((s) => s.title).join(" + "),
              ),
            ),
          )
        : null,
      catalogue.length
        ? el(
            "optgroup",
            { label: "what a method would keep" },
            ...catalogue.map((method) =>
              el("option", { value: `method ${method.name}` }, method.title),
            ),
          )
        : null,
    );
  }

  turn() {
    this.active = !this.active;
    if (this.active) {
      this.fillStart();
      Object.assign(this.owner.view, { fates: false, heat: false });
    }
    this.owner.parts.canvas.classList.toggle("tv-painting", this.active);
    this.owner.parts.brush.parentElement.classList.toggle("tv-byhand", this.active);
    this.refresh();
    this.owner.update();
  }

  refresh() {
    const { inside } = this;
    const total = inside.length;
    const chosen = this.total();
    this.toggle.textContent = this.active ? "Stop painting" : "Paint tokens";
    this.toggle.setAttribute("aria-pressed", String(this.active));
    this.toggle.disabled = !total;
    this.controls.hidden = !this.active;
    this.undoButton.disabled = !this.undone?.length;
    this.redoButton.disabled = !this.redone?.length;
    this.count.textContent = chosen
      ? `${chosen} of ${total} tokens are in.`
      : "No token is in: paint at least one in.";
    this.go.hidden = !pageState.lanes.length;
    this.go.disabled = !chosen;
  }

  total() {
    return this.inside.reduce((sum, bit) => sum + bit, 0);
  }

  tokens() {
    return Array.from(this.inside.keys()).filter((i) => this.inside[i]);
  }

  roles() {
    return this.active && this.inside.length === this.owner.scene.n
      ? this.inside.map((bit) => (bit ? 0 : 2))
      : null;
  }

  /** One step that can be undone: value(i) for every token. */
  change(value) {
    this.remember();
    this.inside = this.inside.map((_, i) => value(i));
    this.shown();
  }

  remember() {
    this.undone = [...this.undone.slice(1 - MAX_UNDO), this.inside.slice()];
    this.redone = [];
  }

  travel(from, to) {
    if (!from?.length) return;
    to.push(this.inside);
    this.inside = from.pop();
    this.shown();
  }

  shown() {
    this.refresh();
    this.owner.update();
  }

  press(token, event) {
    if (!this.active || token < 0 || event.button) return;
    event.preventDefault();
    this.owner.parts.canvas.setPointerCapture?.(event.pointerId);
    this.remember();
    this.painting = true;
    this.last = null;
    this.stroke(token, event);
  }

  /** From the last point to this one, so that a quick stroke has no holes. */
  stroke(token, event) {
    if (!this.painting) return;
    const { painter } = this.owner;
    const box = this.owner.parts.canvas.getBoundingClientRect();
    const to = [event.clientX - box.left, event.clientY - box.top];
    const from = this.last || to;
    const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) / 4));
    for (let i = 1; i <= steps; i++)
      this.dab(
        steps === 1
          ? token
          : painter.hit(
              from[0] + ((to[0] - from[0]) * i) / steps,
              from[1] + ((to[1] - from[1]) * i) / steps,
            ),
      );
    this.last = to;
    this.shown();
  }

  release() {
    this.painting = false;
  }

  dab(token) {
    const { scene } = this.owner;
    const value = +this.tool.value;
    const reach = +this.size.value;
    if (token < 0) return;
    this.inside[token] = value;
    if (!reach || scene.kind.values[token]) return;
    const near = (field, i) => Math.abs(field.values[i] - field.values[token]) <= reach;
    for (let i = 0; i < scene.n; i++)
      if (
        !scene.kind.values[i] &&
        scene.tile.values[i] === scene.tile.values[token] &&
        near(scene.row, i) &&
        near(scene.col, i)
      )
        this.inside[i] = value;
  }

  /** Keys on the picture while painting; returns whether one was used. */
  key(event) {
    if (!this.active) return false;
    const { pinned } = this.owner.view;
    const command = event.ctrlKey || event.metaKey;
    if (command && event.key.toLowerCase() === "z")
      event.shiftKey
        ? this.travel(this.redone, this.undone)
        : this.travel(this.undone, this.redone);
    else if ((event.key === " " || event.key === "Enter") && pinned >= 0) {
      this.remember();
      this.inside[pinned] = 1 - this.inside[pinned];
      this.shown();
    } else return false;
    return true;
  }

  startFrom() {
    const [kind, name] = this.start.value.split(" ");
    const { scene, view, ranks } = this.owner;
    const keep = view.keep < scene.n ? view.keep : Math.max(1, Math.round(scene.n / 4));
    if (kind === "map") this.change((i) => +(ranks[i] <= keep));
    if (kind === "lane") {
      const other = this.columns[+name].scene;
      const fates = other.fatesAt(null);
      const places = new Set(other.placesAt(null));
      this.change((i) => +(fates[i] === 0 || (fates[i] === 1 && places.has(i))));
    }
    if (kind === "method") {
      this.said.textContent = "Asking the method …";
      this.owner.trigger("choose", { method: name, keep });
    }
    this.start.value = "";
  }

  /** What a method chose, from the server. */
  receive({ kept, error, title }) {
    this.said.textContent = error || `Started from ${title}: ${plural(kept.length, "token")}.`;
    if (error || kept.some((token) => token >= this.inside.length)) return;
    const inside = new Set(kept);
    this.change((i) => +inside.has(i));
  }

  ask() {
    const problem = pageState.lanes[0].askByHand(this.tokens());
    this.said.textContent =
      problem || `Asking with exactly these ${plural(this.total(), "token")} …`;
  }

  /** The lane below has its answer. */
  answered(lane) {
    if (lane.error) {
      fill(this.said, el("span", { class: "tv-error" }, lane.error));
      return;
    }
    fill(
      this.said,
      el("b", {}, `With ${plural(lane.keep, "token")}: `),
      `“${lane.text}” `,
      el(
        "span",
        { class: "tv-fine" },
        lane.changed ? "The answer changed." : "Same answer as with all tokens.",
      ),
    );
  }
}
