/**
 * The runs of this visit as cards: open one again, put several side by side, name one, delete one, and
 * undo that. Cards are the browser's alone; the server keeps the runs for a while.
 */

/** @import { Payload } from "../base/types.js" */

import { restoreAddress, takeKept } from "../base/another_language.js";
import { el, fill, partsOf, scrollToPart } from "../base/dom.js";
import { t } from "../base/translate.js";

/**
 * @typedef {{id: string, run: string, lane: number, prompt: string, answer: string, text: string,
 *   src: string | null, name: string, chosen: boolean}} Card `text`: method and tokens that are left.
 */

const MAX_CARDS = 60;

/** @param {Payload} payload @returns {Card} */
export const cardOf = (payload) => {
  const cut = payload.id.lastIndexOf(":");
  const { methods, keep, n } = payload.facts;
  const method = methods.join(" + ");
  return {
    id: payload.id,
    run: payload.id.slice(0, cut),
    lane: Number(payload.id.slice(cut + 1)),
    prompt: payload.prompt,
    answer: payload.answer,
    text: method
      ? t("{method}, {keep} of {n} tokens", { method, keep, n })
      : t("all {n} tokens", { n }),
    src: payload.images[0]?.src ?? null,
    name: "",
    chosen: false,
  };
};

export class History {
  constructor(root, { trigger }) {
    this.trigger = trigger;
    this.box = partsOf(root).box;
    /** Whether Compare is watched. */
    this.keeps = false;
    /** Newest first. @type {Card[]} */
    this.cards = [];
    /** What undo brings back: the cards before the last change. @type {Card[][]} */
    this.before = [];
    this.current = "";
    this.takeOver();
    document.addEventListener("tv-leaving", (event) =>
      this.leave(/** @type {CustomEvent} */ (event).detail),
    );
    document.addEventListener("tv-shown", (event) =>
      this.shown(/** @type {CustomEvent} */ (event).detail.payload),
    );
  }

  load() {
    this.draw();
  }

  /** Hand the cards, and the shown run where it is one of them, to the page in another language. */
  leave(kept) {
    kept.cards = this.cards;
    const shown = this.cards.find((card) => card.run === this.current);
    if (shown) kept.shown = { run: shown.run, lane: shown.lane };
  }

  /** Take over what the page in another language left, and show its run when the page is there. */
  takeOver() {
    const kept = takeKept();
    if (!kept) return;
    this.cards = kept.cards || [];
    const arrived = () => {
      if (kept.lesson) restoreAddress(kept);
      if (kept.shown) setTimeout(() => this.trigger("open", kept.shown));
    };
    document.addEventListener(kept.lesson ? "tv-lesson" : "tv-shown", arrived, { once: true });
  }

  /** The viewer shows a run: one of this visit becomes a card, or its card is marked. */
  shown(/** @type {Payload} */ payload) {
    this.keepCompareInPlace();
    if (!payload?.facts || !payload.n) return;
    const card = cardOf(payload);
    this.current = card.run;
    const known = this.cards.some((one) => one.run === card.run);
    if (!known && (payload.origin === "here" || payload.origin === "file"))
      this.cards = [card, ...this.cards].slice(0, MAX_CARDS);
    this.draw();
  }

  /**
   * While Compare is in the upper half of the window, what changes above it does not move it: a card
   * that comes when a run ends, an answer that is shorter. The browser keeps the first thing in sight
   * in its place, and then takes it from Compare (assets/css/page.css).
   */
  keepCompareInPlace() {
    if (this.keeps) return;
    const compare = document.querySelector("#tv-compare");
    this.keeps = Boolean(compare);
    if (!compare) return;
    const upper = new IntersectionObserver(
      (seen) => document.documentElement.classList.toggle("tv-below", seen.at(-1).isIntersecting),
      { rootMargin: "0px 0px -50% 0px" },
    );
    upper.observe(compare);
  }

  /** Change the cards so that it can be undone. */
  change(cards) {
    this.before = [...this.before.slice(-19), this.cards];
    this.cards = cards;
    this.draw();
  }

  undo() {
    const before = this.before.pop();
    if (!before) return;
    // runs that were made since then stay
    const known = new Set(before.map((card) => card.id));
    this.cards = [...this.cards.filter((card) => !known.has(card.id)), ...before];
    this.draw();
  }

  rename(card, name) {
    if (name === card.name) return;
    this.change(
      this.cards.map((one) => (one === card ? { ...card, name: name.slice(0, 80) } : one)),
    );
  }

  choose(card) {
    this.cards = this.cards.map((one) => (one === card ? { ...card, chosen: !card.chosen } : one));
    this.draw();
  }

  compare() {
    const runs = this.cards.filter((card) => card.chosen).reverse();
    this.trigger("compare", { runs: runs.map(({ run, lane }) => ({ run, lane })) });
    this.cards = this.cards.map((card) => ({ ...card, chosen: false }));
    this.draw();
    scrollToPart("#tv-compare");
  }

  open(card) {
    this.trigger("open", { run: card.run, lane: card.lane });
    scrollToPart("#tv-main");
  }

  draw() {
    this.box.hidden = !this.cards.length && !this.before.length;
    if (this.box.hidden) return;
    const chosen = this.cards.filter((card) => card.chosen).length;
    const button = (text, act, more = {}) =>
      el("button", { type: "button", class: "tv-tool", onclick: act, ...more }, text);
    fill(
      this.box,
      el("h2", {}, t("Runs of this visit")),
      el(
        "div",
        { class: "tv-button-row" },
        button(t("Compare the chosen"), () => this.compare(), {
          disabled: chosen < 2 || chosen > 4,
        }),
        button(t("Undo the last change"), () => this.undo(), { disabled: !this.before.length }),
        el("span", { class: "tv-small" }, t("Tick two to four runs to see them side by side.")),
      ),
      el("ul", { class: "tv-historycards" }, ...this.cards.map((card) => this.card(card))),
    );
  }

  card(card) {
    const title = card.name || card.prompt;
    const name = el("input", {
      type: "text",
      value: card.name,
      placeholder: t("name"),
      "aria-label": t("Name of the run “{title}”", { title }),
      onchange: () => this.rename(card, name.value.trim()),
    });
    return el(
      "li",
      { class: card.run === this.current ? "tv-nowshown" : null },
      el(
        "button",
        {
          type: "button",
          class: "tv-historyopen",
          title: t("Open this run again"),
          "aria-current": card.run === this.current ? "true" : null,
          onclick: () => this.open(card),
        },
        card.src ? el("img", { src: card.src, alt: "" }) : null,
        el("span", { class: "tv-question" }, title),
        el("b", {}, card.answer || "…"),
        el("span", { class: "tv-small" }, card.text),
      ),
      el(
        "div",
        { class: "tv-historyrow" },
        el("input", {
          type: "checkbox",
          checked: card.chosen,
          "aria-label": t("Compare the run “{title}”", { title }),
          onchange: () => this.choose(card),
        }),
        name,
        el(
          "button",
          {
            type: "button",
            class: "tv-tool tv-quiet",
            "aria-label": t("Delete the run “{title}”", { title }),
            title: t("Delete"),
            onclick: () => this.change(this.cards.filter((one) => one !== card)),
          },
          "×",
        ),
      ),
    );
  }
}
