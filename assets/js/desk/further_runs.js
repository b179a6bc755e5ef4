/** What the answer depends on, by further runs: with tokens removed, and with each mitigation. */

/** @import { Desk } from "./desk.js" */

import { el, fill, scrollToPart } from "../base/dom.js";
import { markedWords } from "../compare/marked_words.js";

/** Kind of search, its button, and the button's title. */
const SEARCHES = [
  [
    "necessary",
    "What must be removed to change it?",
    "Find tokens whose removal changes the answer",
  ],
  ["sufficient", "What is enough on its own?", "Find tokens that keep the answer on their own"],
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
      el("h2", {}, "Which tokens the answer depends on"),
      el("div", { class: "tv-button-row" }, ...buttons),
      ...desk.case.found.map((one) => this.found(one)),
    );
  }

  /** The result of one search. */
  found({ said: sentence, picture, note, spent, lane }) {
    const alt = "What was left of the picture; removed tokens are dark and hatched";
    return el(
      "div",
      { class: "tv-outcome" },
      el("p", {}, el("b", {}, sentence)),
      picture ? el("img", { src: picture, alt }) : null,
      el("p", { class: "tv-small" }, [note, `${spent}.`].filter(Boolean).join(" ")),
      this.openButton(lane),
    );
  }

  showMitigations() {
    const { desk } = this;
    const { mitigations, mitigation_summary: summary } = desk.case;
    const button = desk.button(
      "Try them all",
      "Answer again with every mitigation, at its published settings",
      () => desk.send("mitigate"),
    );
    fill(
      desk.parts.mitigations,
      el("h2", {}, "Mitigations"),
      el("div", { class: "tv-button-row" }, button),
      mitigations.length && !desk.busy
        ? el("p", { class: "tv-mitigation-summary" }, summary)
        : null,
      ...mitigations.map((run) => this.outcome(run)),
    );
  }

  /** One further answer, compared with the one that is examined. */
  outcome({ title, summary, changed, verdict, cost, words, lane }) {
    return el(
      "div",
      { class: "tv-outcome" },
      el(
        "p",
        { title: summary || null },
        el("b", {}, title),
        " ",
        el("span", { class: changed ? "tv-state tv-changes" : "tv-small" }, verdict),
        " ",
        el("span", { class: "tv-small" }, cost || ""),
      ),
      el("p", { class: "tv-message" }, ...markedWords(words)),
      summary && changed ? el("p", { class: "tv-small" }, summary) : null,
      this.openButton(lane),
    );
  }

  openButton(lane) {
    if (lane === null) return null;
    const open = () => {
      this.desk.send("open", { lane });
      scrollToPart("#tv-compare");
    };
    const title = "Show this run in Compare and in the viewer";
    return this.desk.button("Open as a lane", title, open, "tv-quiet");
  }
}
