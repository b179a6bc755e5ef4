/**
 * The uploaded pictures in the order in which the model gets them: moved by dragging, or by the buttons
 * below each; or the frames of a film, in the order of time, with the form that chooses them. Of a film
 * that is an example the form stands alone, until other frames are chosen.
 */

import { el, fill, partsOf } from "../base/dom.js";
import { t } from "../base/translate.js";
import { FrameChoice } from "./frame_choice.js";

export class Gallery {
  constructor(root, { trigger }) {
    this.trigger = trigger;
    this.box = partsOf(root).box;
    /** The picture that is dragged; -1 = none. */
    this.dragged = -1;
    this.choice = new FrameChoice((asked) => this.trigger("sample", asked));
  }

  load(value) {
    if (!value?.items) return;
    const { items, film } = value;
    this.count = items.length;
    this.box.hidden = !items.length && !film;
    if (film) this.choice.load(value);
    fill(
      this.box,
      film ? this.choice.node : null,
      ...items.map((item, i) => (film ? this.frame(item) : this.picture(item, i))),
      items.length
        ? el(
            "button",
            { type: "button", class: "tv-tool", onclick: () => this.send([]) },
            film ? t("Remove the film") : t("Remove all"),
          )
        : null,
    );
  }

  frame({ src, name }) {
    return el("figure", {}, el("img", { src, alt: "" }), el("figcaption", {}, name));
  }

  picture({ src, name }, i) {
    const button = (text, label, order, off = false) =>
      el(
        "button",
        {
          type: "button",
          disabled: off,
          "aria-label": t("{label} picture {number}", { label, number: i + 1 }),
          onclick: () => this.send(order()),
        },
        text,
      );
    const last = i === this.count - 1;
    return el(
      "figure",
      {
        draggable: true,
        ondragstart: () => {
          this.dragged = i;
        },
        ondragover: (event) => event.preventDefault(),
        ondrop: (event) => {
          event.preventDefault();
          if (this.dragged >= 0 && this.dragged !== i) this.send(this.moved(this.dragged, i));
          this.dragged = -1;
        },
      },
      el("img", { src, alt: name, draggable: false }),
      el("figcaption", { title: name }, `${i + 1}. ${name}`),
      el(
        "span",
        {},
        button("◂", t("Move forward"), () => this.moved(i, i - 1), i === 0),
        button("▸", t("Move back"), () => this.moved(i, i + 1), last),
        button("×", t("Remove"), () => this.moved(i, i).filter((one) => one !== i)),
      ),
    );
  }

  /** The order after one picture has gone to another place. */
  moved(from, to) {
    const order = Array.from({ length: this.count }, (_, i) => i);
    order.splice(to, 0, ...order.splice(from, 1));
    return order;
  }

  send(order) {
    this.trigger("arrange", { order });
  }
}
