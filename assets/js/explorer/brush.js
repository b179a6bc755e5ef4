/** Choosing tokens by hand: paint them in or out, then ask again with exactly these. */

/** @import { Explorer } from "./explorer.js" */

import { pageState } from "../base/page_state.js";
import { plural } from "../base/text.js";
import { t } from "../base/translate.js";
import { BrushForm } from "./brush_form.js";

const MAX_UNDO = 100;
/** A press that moves so many CSS pixels is a drag, not a click. */
const RUB_PX = 6;

export class Brush {
  /** @param {Explorer} owner */
  constructor(owner) {
    this.owner = owner;
    this.active = false;
    /** [n], 1 = the model gets this token. */
    this.inside = new Uint8Array(0);
    /** Which picture the choice is about. */
    this.source = "";
    /** Earlier choices, the newest last. @type {Uint8Array[]} */
    this.undone = [];
    /** Choices that were undone, likewise. @type {Uint8Array[]} */
    this.redone = [];
    /** Whether a button is pressed, and where the stroke was last, in CSS pixels. */
    this.painting = false;
    /** @type {number[] | null} */
    this.last = null;
    /** A rectangle that is being drawn: its first corner and the choice before it. @type {{corner: number[], inside: Uint8Array} | null} */
    this.box = null;
    /** A press on the picture while nothing is painted: a drag from here begins to rub out. @type {PointerEvent | null} */
    this.pressed = null;
    this.form = new BrushForm(this);
    document.addEventListener("tv-hand", (event) =>
      this.form.showAnswer(/** @type {CustomEvent} */ (event).detail),
    );
  }

  /** Another run: the choice is dropped, unless the picture and its tokens are the same. */
  begin(asked) {
    const { n, payload } = this.owner.scene;
    if (!n) return;
    const picture = payload.example || payload.images.map((image) => image.src?.length);
    const source = JSON.stringify([n, picture]);
    this.form.fillStart();
    if (source === this.source) return;
    Object.assign(this, { source, inside: new Uint8Array(n).fill(1), undone: [], redone: [] });
    this.form.say("");
    if (this.active) this.toggle();
    if (!asked.hand) return this.form.refresh();
    this.inside.fill(0);
    for (const token of asked.hand) if (token < n) this.inside[token] = 1;
    this.toggle();
  }

  /** Begin or end painting. */
  toggle() {
    this.active = !this.active;
    if (this.active) {
      this.form.fillStart();
      Object.assign(this.owner.view, { fates: false, heat: false, bare: "" });
    }
    this.show();
  }

  show() {
    this.form.refresh();
    this.owner.update();
  }

  /** The tokens that are in, ascending. */
  tokens() {
    return Array.from(this.inside.keys()).filter((i) => this.inside[i]);
  }

  /** The choice as fates, [n] 0 kept or 2 pruned; null while nothing is painted. */
  roles() {
    if (!this.active || this.inside.length !== this.owner.scene.n) return null;
    return this.inside.map((bit) => (bit ? 0 : 2));
  }

  /** Set every token to value(i), as one step that can be undone. */
  change(value) {
    this.remember();
    this.inside = this.inside.map((_, i) => value(i));
    this.show();
  }

  /** Keep the choice as it is now for `undo`. */
  remember() {
    this.undone = [...this.undone.slice(1 - MAX_UNDO), this.inside.slice()];
    this.redone = [];
  }

  undo() {
    this.goBack(this.undone, this.redone);
  }

  redo() {
    this.goBack(this.redone, this.undone);
  }

  /** Take the last choice from one list and put the present one on the other. */
  goBack(from, to) {
    if (!from.length) return;
    to.push(this.inside);
    this.inside = from.pop();
    this.show();
  }

  /** A button was pressed on a token. */
  press(token, event) {
    if (token < 0 || event.button) return;
    if (!this.active) {
      // A finger scrolls the page; it paints after "Paint tokens".
      this.pressed = event.pointerType === "touch" || !pageState.lanes.length ? null : event;
      return;
    }
    event.preventDefault();
    this.owner.parts.canvas.setPointerCapture?.(event.pointerId);
    this.remember();
    this.painting = true;
    this.last = null;
    const isBox = event.shiftKey || this.form.isBox;
    this.box = isBox ? { corner: this.spot(event), inside: this.inside.slice() } : null;
    this.stroke(token, event);
  }

  /** A drag over the picture begins to rub tokens out, with no button pressed before. */
  startRub(event) {
    const from = this.pressed;
    if (!from || !(event.buttons & 1)) return;
    const [dx, dy] = [event.clientX - from.clientX, event.clientY - from.clientY];
    if (Math.hypot(dx, dy) < RUB_PX) return;
    this.pressed = null;
    this.form.mode.value = "0";
    this.toggle();
    const [x, y] = this.spot(from);
    this.press(this.owner.painter.hit(x, y), from);
  }

  /** Where an event is, in CSS pixels of the picture. @returns {[number, number]} */
  spot(event) {
    const box = this.owner.parts.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /** Paint from the last point to this one in steps of 4 pixels: a quick stroke skips no token. */
  stroke(token, event) {
    if (!this.painting) return;
    const { painter } = this.owner;
    const to = this.spot(event);
    if (this.box) return this.paintBox(to);
    const [x, y] = this.last || to;
    const [dx, dy] = [to[0] - x, to[1] - y];
    const steps = Math.max(1, Math.ceil(Math.hypot(dx, dy) / 4));
    if (steps === 1) this.paint(token);
    else
      for (let i = 1; i <= steps; i++)
        this.paint(painter.hit(x + (dx * i) / steps, y + (dy * i) / steps));
    this.last = to;
    this.show();
  }

  release() {
    this.painting = false;
    this.pressed = this.box = null;
  }

  /** Paint every token whose place meets the rectangle from its first corner to a point. */
  paintBox([x1, y1]) {
    const [x0, y0] = this.box.corner;
    const [left, right] = [Math.min(x0, x1), Math.max(x0, x1)];
    const [top, bottom] = [Math.min(y0, y1), Math.max(y0, y1)];
    const { paintsIn } = this.form;
    this.inside = this.box.inside.slice();
    this.owner.painter.eachCell(
      () => true,
      (i, x, y, w, h) => {
        if (x <= right && x + w >= left && y <= bottom && y + h >= top) this.inside[i] = paintsIn;
      },
    );
    this.show();
  }

  /** Paint a token and, with a larger brush, its neighbours in the same tile. */
  paint(token) {
    const { kind, tile, row, col, n } = this.owner.scene;
    const { paintsIn, reach } = this.form;
    if (token < 0) return;
    this.inside[token] = paintsIn;
    if (!reach || kind.values[token]) return;
    const isNear = ({ values }, i) => Math.abs(values[i] - values[token]) <= reach;
    for (let i = 0; i < n; i++)
      if (
        !kind.values[i] &&
        tile.values[i] === tile.values[token] &&
        isNear(row, i) &&
        isNear(col, i)
      )
        this.inside[i] = paintsIn;
  }

  /** Keys on the picture while painting; returns whether one was used. */
  key(event) {
    if (!this.active) return false;
    const { pinned } = this.owner.view;
    const isCommand = event.ctrlKey || event.metaKey;
    if (isCommand && event.key.toLowerCase() === "z") {
      if (event.shiftKey) this.redo();
      else this.undo();
    } else if ((event.key === " " || event.key === "Enter") && pinned >= 0) {
      this.remember();
      this.inside[pinned] = 1 - this.inside[pinned];
      this.show();
    } else return false;
    return true;
  }

  /**
   * Start from the top of the map, from what a lane kept, or from what a method would keep.
   * @param {string} kind "map", "lane" or "method".
   * @param {string} [name] Number of the column, or name of the method.
   */
  startFrom(kind, name) {
    const { scene, view, ranks } = this.owner;
    const keep = view.keep < scene.n ? view.keep : Math.max(1, Math.round(scene.n / 4));
    if (kind === "map") this.change((i) => +(ranks[i] <= keep));
    if (kind === "sinks") this.change((i) => +!scene.sinksAnywhere[i]);
    if (kind === "lane") {
      const other = this.form.columns[+name].picture.scene;
      const fates = other.fatesAt(null);
      // Of merged tokens only the one that represents its group is in.
      const places = new Set(other.placesAt(null));
      this.change((i) => +(fates[i] === 0 || (fates[i] === 1 && places.has(i))));
    }
    if (kind === "method") {
      this.form.say(t("Asking the method …"));
      this.owner.trigger("choose", { method: name, keep });
    }
  }

  /** Take over what a method chose; the server's answer to "choose". */
  receive({ kept, error, title }) {
    this.form.say(
      error ||
        t("Started from {title}: {tokens}.", { title, tokens: plural(kept.length, "token") }),
    );
    if (error || kept.some((token) => token >= this.inside.length)) return;
    const chosen = new Set(kept);
    this.change((i) => +chosen.has(i));
  }

  ask() {
    const tokens = this.tokens();
    const problem = pageState.lanes[0].askByHand(tokens);
    this.form.say(
      problem ||
        t("Asking with exactly these: {tokens} …", { tokens: plural(tokens.length, "token") }),
    );
  }
}
