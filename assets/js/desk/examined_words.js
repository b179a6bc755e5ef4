/** The answer word by word, and what was found out about one of them. */

/** @import { Desk } from "./desk.js" */

import { el, fill } from "../base/dom.js";
import { t, told } from "../base/translate.js";

export class ExaminedWords {
  /** @param {Desk} desk */
  constructor(desk) {
    this.desk = desk;
    /** Number of the word that is shown. */
    this.chosen = 0;
    /** Maps of words, by run and word: each is asked for once. @type {Map<string, Promise<any>>} */
    this.maps = new Map();
  }

  /** Another case: show its first flagged word. */
  begin(words) {
    const flagged = words.findIndex((word) => word.flagged);
    this.chosen = Math.max(flagged, 0);
    this.maps.clear();
  }

  show() {
    this.showWords();
    this.showWord();
  }

  showWords() {
    const { prompt, words, flags, how_often, note } = this.desk.case;
    const button = (word, i) =>
      el(
        "button",
        {
          type: "button",
          class: word.flagged ? "tv-deskword tv-flagged" : "tv-deskword",
          title: told(word.reason),
          "aria-pressed": String(i === this.chosen),
          onclick: () => {
            this.chosen = i;
            this.show();
            this.desk.runs.show(); // their P(word) is about the chosen word
          },
        },
        word.flagged ? `⚑ ${word.text}` : word.text,
      );
    fill(
      this.desk.parts.words,
      el("h2", {}, t("The answer, word by word")),
      el("p", { class: "tv-question" }, prompt),
      el("p", { class: "tv-deskwords" }, ...words.flatMap((word, i) => [button(word, i), " "])),
      el("p", {}, told(flags)),
      el("p", { class: "tv-small" }, told(how_often)),
      note ? el("p", { class: "tv-small" }, told(note)) : null,
    );
  }

  showWord() {
    const { words, forced } = this.desk.case;
    const word = words[this.chosen];
    const rows = word.facts.map(([name, value, title]) =>
      el(
        "tr",
        { title: told(title) },
        el("th", { scope: "row" }, told(name)),
        el("td", {}, told(value)),
      ),
    );
    const candidates = word.candidates.map((one) => this.candidate(one, word));
    fill(
      this.desk.parts.word,
      el("h2", {}, `“${word.text}”`),
      el("p", {}, `${word.flagged ? t("Flagged") : t("Not flagged")}: ${told(word.reason)}.`),
      this.mapsOf(word),
      el("table", { class: "tv-figures" }, el("tbody", {}, ...rows)),
      el("h2", {}, t("What else it could have said here")),
      el("ul", { class: "tv-candidates" }, ...candidates),
      ...forced.map((run) => this.desk.runs.outcome(run)),
    );
  }

  /** Where the model looked for a word, drawn by the server; the box is filled when they come. */
  mapsOf(word) {
    const box = el("div", { class: "tv-deskmaps" });
    const request = { run: this.desk.case.run, word: this.chosen };
    const key = JSON.stringify(request);
    if (!this.maps.has(key))
      this.maps.set(
        key,
        this.desk.server.word_map(request).catch(() => ({})),
      );
    const figure = ({ title, note, picture }) =>
      el(
        "figure",
        {},
        el("img", {
          src: picture,
          alt: t("{title} for “{word}”", { title: told(title), word: word.text }),
        }),
        el(
          "figcaption",
          {},
          el("b", {}, told(title)),
          el("span", { class: "tv-small" }, told(note)),
        ),
      );
    this.maps.get(key).then((answer) => fill(box, ...(answer?.maps || []).map(figure)));
    return box;
  }

  /** A word that the model could have written instead, with its probability. */
  candidate({ text, probability, chosen, id }, word) {
    const name = text.trim() || t("(space)");
    const force = () => this.desk.send("force", { at: word.at, token: id });
    return el(
      "li",
      {},
      el("span", {}, name),
      el("span", { class: "tv-share", style: `--share: ${probability}` }),
      el("b", {}, probability.toFixed(3)),
      chosen
        ? el("span", { class: "tv-small" }, t("it said this"))
        : this.desk.button(
            t("Force"),
            t("Put “{name}” here and let the model go on", { name }),
            force,
          ),
    );
  }
}
