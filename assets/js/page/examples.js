/** Examples as small pictures with their question; one click opens one. */

import { el, fill, scrollToPart } from "../base/dom.js";
import { t, told } from "../base/translate.js";

export class Examples {
  constructor(root, { trigger }) {
    this.trigger = trigger;
    this.head = root.querySelector("[data-part=head]");
    this.cards = root.querySelector("[data-part=cards]");
    document.addEventListener("tv-shown", (event) =>
      this.mark(/** @type {CustomEvent} */ (event).detail.example),
    );
  }

  load(value) {
    if (!value) return;
    this.head.textContent = value.items.length ? t("Examples: one click, already answered") : "";
    fill(
      this.cards,
      ...value.items.map((item) => {
        const card = el(
          "button",
          {
            type: "button",
            class: "tv-card",
            title: told(item.note) || item.prompt,
            onclick: () => this.open(item),
          },
          el("img", { src: item.src, alt: "" }),
          el("span", {}, item.prompt),
          item.tag ? el("span", { class: "tv-tag" }, told(item.tag)) : null,
        );
        card.dataset.example = item.id;
        return item.addable ? el("div", { class: "tv-cardbox" }, card, this.adding(item)) : card;
      }),
    );
    this.mark(value.current);
  }

  /** A button that puts an example behind the pictures of the next question. */
  adding(item) {
    const label = t("Ask about this picture too: {prompt}", { prompt: item.prompt });
    return el(
      "button",
      {
        type: "button",
        class: "tv-tool tv-addcard",
        title: t("Ask about this picture together with others"),
        "aria-label": label,
        onclick: () => this.trigger("beside", { example: item.id }),
      },
      "+",
    );
  }

  /** The one that is shown; none when it is the visitor's own picture. */
  mark(name) {
    for (const card of this.cards.querySelectorAll(".tv-card")) {
      if (name && card.dataset.example === name) card.setAttribute("aria-current", "true");
      else card.removeAttribute("aria-current");
    }
  }

  open(item) {
    this.mark(item.id);
    this.trigger("pick", { example: item.id });
    scrollToPart("#tv-main");
  }
}
