/** What the answer depends on, by further runs: with tokens removed, and with each mitigation. */

/** @import { Desk } from "./desk.js" */

import { el, fill, scrollToPart } from "../base/dom.js";
import { formatChance, withCode } from "../base/text.js";
import { t, told } from "../base/translate.js";
import { markedWords } from "../compare/marked_words.js";

/** Kind of search, its button, and the button's title. */
const SEARCHES = [
  [
    "necessary",
    t("What must be removed to change it?"),
    t("Find tokens whose removal changes the answer"),
  ],
  [
    "sufficient",
    t("What is enough on its own?"),
    t("Find tokens that keep the answer on their own"),
  ],
];

export class FurtherRuns {
  /** @param {Desk} desk */
  constructor(desk) {
    this.desk = desk;
  }

  show() {
    this.showTokens();
    this.showMitigations();
  }

  showTokens() {
    const { desk } = this;
    const buttons = SEARCHES.map(([kind, text, title]) =>
      desk.button(text, title, () => desk.send("search", { kind })),
    );
    fill(
      desk.parts.tokens,
      el("h2", {}, t("Which tokens the answer depends on")),
      el("div", { class: "tv-button-row" }, ...buttons),
      ...desk.case.found.map((one) => this.found(one)),
    );
  }

  /** The result of one search. */
  found({ said: sentence, picture, note, spent, lane, changes }) {
    const alt = t("What was left of the picture; removed tokens are dark and hatched");
    return el(
      "div",
      { class: "tv-outcome" },
      el("p", {}, el("b", {}, told(sentence))),
      picture ? el("img", { src: picture, alt }) : null,
      this.chance(changes),
      el("p", { class: "tv-small" }, [told(note), `${told(spent)}.`].filter(Boolean).join(" ")),
      this.openButton(lane),
    );
  }

  showMitigations() {
    const { desk } = this;
    const { mitigations, mitigation_summary: summary } = desk.case;
    const button = desk.button(
      t("Try them all"),
      t("Answer again with every mitigation, at its published settings"),
      () => desk.send("mitigate"),
    );
    fill(
      desk.parts.mitigations,
      el("h2", {}, t("Mitigations")),
      el("div", { class: "tv-button-row" }, button),
      mitigations.length && !desk.busy
        ? el("p", { class: "tv-mitigation-summary" }, told(summary))
        : null,
      ...mitigations.map((run) => this.outcome(run)),
    );
  }

  /** How probable the chosen word is in the examined answer, and in another run. */
  chance(changes) {
    const { words } = this.desk.case;
    const at = this.desk.words.chosen;
    const change = changes?.[at];
    if (!change || !Number.isFinite(change.before)) return null;
    const known = change.after !== null;
    return el(
      "p",
      { class: "tv-chance" },
      `P(“${words[at].text}”) ${formatChance(change.before)} → `,
      el("b", {}, known ? formatChance(change.after) : t("not known")),
    );
  }

  /** What the forced word had, beside the word that the model chose. */
  forcedChance({ own, forced, at }) {
    const word = this.desk.case.words.find((one) => one.at === at);
    if (!Number.isFinite(own) || !Number.isFinite(forced)) return null;
    const name = word ? `“${word.text}”` : t("the model's own word");
    return el(
      "p",
      { class: "tv-chance" },
      `P(${name}) ${formatChance(own)}; ${t("the forced word had")} `,
      el("b", {}, formatChance(forced)),
    );
  }

  /** Whether an answer became right; nothing where the right answer is not known. */
  rightness({ right, changed }) {
    if (right === null || right === undefined) return null;
    if (right)
      return el("span", { class: "tv-right" }, changed ? t("✓ became right") : t("✓ right"));
    return el("span", { class: "tv-small" }, changed ? t("still wrong") : "");
  }

  /** One further answer, compared with the one that is examined. */
  outcome(run) {
    const { title, summary, changed, verdict, cost, words, lane } = run;
    return el(
      "div",
      {
        class:
          run.right && changed
            ? "tv-outcome tv-row-outcome tv-fixed-it"
            : "tv-outcome tv-row-outcome",
      },
      el(
        "div",
        {},
        el("p", {}, el("b", {}, told(title)), " ", this.rightness(run)),
        el("p", { class: changed ? "tv-state tv-changes" : "tv-small" }, told(verdict)),
        summary ? el("p", { class: "tv-small" }, ...withCode(summary)) : null,
      ),
      el("p", { class: "tv-message" }, ...markedWords(words)),
      el(
        "div",
        {},
        run.changes ? this.chance(run.changes) : this.forcedChance(run),
        el("p", { class: "tv-small" }, told(cost)),
        this.openButton(lane),
      ),
    );
  }

  openButton(lane) {
    if (lane === null) return null;
    const open = () => {
      this.desk.send("open", { lane });
      scrollToPart("#tv-compare");
    };
    const title = t("Show this run in Compare and in the viewer");
    return this.desk.button(t("Open as a lane"), title, open, "tv-quiet");
  }
}
