/**
 * The form that chooses the frames of a film: so many, so many per second, or those at given seconds.
 * A change is sent at once; the page then shows the frames, or says why they cannot be had.
 */

import { el } from "../base/dom.js";
import { t } from "../base/translate.js";

export class FrameChoice {
  /** @param {(asked: {how: string, text: string}) => void} send */
  constructor(send) {
    this.send = send;
    this.how = el(
      "select",
      { "aria-label": t("How frames are chosen"), onchange: () => this.turn() },
      el("option", { value: "frames" }, t("so many, evenly spread")),
      el("option", { value: "rate" }, t("so many per second")),
      el("option", { value: "times" }, t("at these seconds")),
    );
    this.field = el("input", { "aria-label": t("Which frames"), onchange: () => this.ask() });
    this.node = el(
      "div",
      { class: "tv-framechoice" },
      el("b", {}, t("Frames of the film")),
      this.how,
      this.field,
    );
  }

  /**
   * Show how the frames were chosen; what is being typed stays.
   * @param {{choice: [string, string], others: Record<string, string>, most: number}} value `others`:
   *   what each of the ways would begin with.
   */
  load({ choice, others, most }) {
    this.others = others;
    this.most = most;
    const typing = document.activeElement === this.field && this.field.value !== this.asked;
    if (!typing) this.begin(...choice);
  }

  /** Make the field one of a way to choose. */
  begin(how, text) {
    const { field } = this;
    this.how.value = how;
    field.type = how === "times" ? "text" : "number";
    field.min = how === "frames" ? "1" : "0";
    field.max = how === "frames" ? String(this.most) : "";
    field.step = how === "frames" ? "1" : "any";
    field.value = text;
    this.asked = text;
  }

  turn() {
    this.begin(this.how.value, this.others[this.how.value]);
    this.ask();
  }

  ask() {
    this.asked = this.field.value;
    this.send({ how: this.how.value, text: this.asked });
  }
}
