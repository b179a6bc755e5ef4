/** What must hold in the search for the fewest tokens: words, their probability, or the whole answer. */

import { el, fill } from "../base/dom.js";
import { pageState } from "../base/page_state.js";
import { t } from "../base/translate.js";

const MODES = {
  words: t("these words stay the first choice"),
  probability: t("the probability of these words"),
  answer: t("the whole answer stays the same"),
};

export class HeldForm {
  /** @param {any} owner the strip */
  constructor(owner) {
    this.owner = owner;
    this.mode = "words";
    this.threshold = 0.5;
    /** Chosen words of the full answer; null = those that carry content. @type {Set<number> | null} */
    this.chosen = null;
    /** @type {{text: string, content: boolean}[]} */
    this.words = [];
    this.about = "";
  }

  /** The words of a sweep, or of the answer that the viewer shows before one has run. */
  take(value) {
    if (value.words.length) this.words = value.words;
    this.build();
  }

  /** Words of another answer: nothing of them is chosen yet. */
  fresh() {
    const payload = pageState.explorers[0]?.scene?.payload;
    const key = JSON.stringify([payload?.prompt, payload?.images?.map((one) => one.src?.length)]);
    if (key === this.about) return;
    this.about = key;
    this.chosen = null;
    if (payload?.whole_words?.length) this.words = payload.whole_words;
  }

  build() {
    this.fresh();
    const select = el(
      "select",
      {
        "aria-label": t("What must hold"),
        onchange: () => {
          this.mode = select.value;
          this.changed();
        },
      },
      ...Object.entries(MODES).map(([value, text]) => el("option", { value }, text)),
    );
    select.value = this.mode;
    fill(
      this.owner.parts.held,
      el("label", { class: "tv-shows" }, t("What must hold: "), select),
      this.mode === "probability" ? this.slider() : null,
      this.mode === "answer" ? null : this.wordList(),
    );
  }

  slider() {
    const shown = el("b", {}, this.threshold.toFixed(2));
    const input = el("input", {
      type: "range",
      min: "0.01",
      max: "0.99",
      step: "0.01",
      value: String(this.threshold),
      "aria-label": t("Least probability"),
      oninput: () => {
        this.threshold = +input.value;
        shown.textContent = this.threshold.toFixed(2);
      },
      onchange: () => this.owner.judge(),
    });
    return el("label", { class: "tv-shows" }, t("at least "), shown, input);
  }

  wordList() {
    if (!this.words.length)
      return el(
        "span",
        { class: "tv-small" },
        t("the words that carry content (choose after a run)"),
      );
    const chosen = this.numbers();
    return el(
      "span",
      { class: "tv-board-words", role: "group", "aria-label": t("Words that must hold") },
      ...this.words.map(({ text }, number) =>
        el(
          "button",
          {
            type: "button",
            class: "tv-word",
            "aria-pressed": String(chosen.has(number)),
            onclick: () => this.toggle(number),
          },
          el("span", {}, text),
        ),
      ),
    );
  }

  /** Numbers of the words that are chosen. */
  numbers() {
    if (this.chosen) return this.chosen;
    const content = this.words.flatMap(({ content }, number) => (content ? [number] : []));
    return new Set(content.length ? content : this.words.keys());
  }

  toggle(number) {
    this.chosen = new Set(this.numbers());
    if (!this.chosen.delete(number)) this.chosen.add(number);
    this.changed();
  }

  changed() {
    this.build();
    this.owner.judge();
  }

  /** As components/compare/keep_sweep.py reads it. */
  value() {
    const words = this.words.length && this.chosen ? [...this.chosen].sort((a, b) => a - b) : [];
    return { mode: this.mode, words, threshold: this.threshold };
  }
}
