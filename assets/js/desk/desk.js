/**
 * The hallucination desk: flagged words, candidates to force, tokens that it stands on,
 * mitigations.
 */

import { download, el, fill, partsOf, scrollToPart } from "../base/dom.js";
import { markedWords } from "../compare/marked_words.js";

export class Desk {
  constructor(root, { trigger, server }) {
    this.trigger = trigger;
    /**
     * Functions of components/desk/panel.py. @type {Record<string, (sent: object) => Promise<any>>}
     */
    this.server = server;
    this.parts = partsOf(root);
    this.at = 0;
    this.mapped = new Map();
  }

  load(value) {
    if (!value?.phase) return;
    const last = this.value?.case;
    const now = value.case;
    this.value = value;
    if (now && (!last || last.run !== now.run)) {
      this.at = Math.max(
        now.words.findIndex((word) => word.flagged),
        0,
      );
      this.mapped.clear();
    }
    this.bar();
    this.parts.body.hidden = !now;
    if (now) {
      this.words();
      this.word();
      this.tokens();
      this.remedies();
    }
  }

  get busy() {
    return this.value.phase === "running";
  }

  button(text, title, onclick, extra = "") {
    return el(
      "button",
      { type: "button", class: `tv-tool ${extra}`, title, disabled: this.busy, onclick },
      text,
    );
  }

  send(event, more = {}) {
    this.trigger(event, { run: this.value.case?.run, ...more });
  }

  bar() {
    const { progress, error } = this.value;
    const there = this.value.case;
    fill(
      this.parts.bar,
      this.busy
        ? el(
            "button",
            { type: "button", class: "tv-go tv-stop", onclick: () => this.send("halt") },
            "Stop",
          )
        : el(
            "button",
            { type: "button", class: "tv-go", onclick: () => this.send("examine") },
            "Examine this answer",
          ),
      there
        ? this.button(
            "Save this case",
            "One page that works offline, with everything found here",
            () => this.save("page"),
          )
        : null,
      there
        ? this.button("Save its trace", "The run itself; opens again with no model", () =>
            this.save("trace"),
          )
        : null,
      this.busy ? el("span", { class: "tv-spin", "aria-hidden": "true" }) : null,
      el("span", { class: "tv-fine" }, progress),
    );
    this.say(error, Boolean(error));
  }

  say(text, bad) {
    this.parts.said.textContent = text;
    this.parts.said.hidden = !text;
    this.parts.said.classList.toggle("tv-error", bad);
  }

  async save(kind) {
    const file = await this.server
      .save_case({ run: this.value.case.run, kind })
      .catch(() => ({ error: "The server did not answer. Try again." }));
    if (file.error) {
      this.say(file.error, true);
      return;
    }
    download(
      file.name,
      new Blob([Uint8Array.from(atob(file.data), (c) => c.charCodeAt(0))], { type: file.type }),
    );
  }

  words() {
    const { prompt, words, flags, how_often, note } = this.value.case;
    fill(
      this.parts.words,
      el("h2", {}, "The answer, word by word"),
      el("p", { class: "tv-q" }, prompt),
      el(
        "p",
        { class: "tv-deskwords" },
        ...words.flatMap((word, i) => [
          el(
            "button",
            {
              type: "button",
              class: word.flagged ? "tv-deskword tv-flagged" : "tv-deskword",
              title: word.reason,
              "aria-pressed": String(i === this.at),
              onclick: () => {
                this.at = i;
                this.words();
                this.word();
              },
            },
            word.flagged ? `⚑ ${word.text}` : word.text,
          ),
          " ",
        ]),
      ),
      el("p", {}, flags),
      el("p", { class: "tv-fine" }, how_often),
      note ? el("p", { class: "tv-fine" }, note) : null,
    );
  }

  word() {
    const there = this.value.case;
    const word = there.words[this.at];
    const rows = word.facts.map(([name, value, title]) =>
      el("tr", { title }, el("th", { scope: "row" }, name), el("td", {}, value)),
    );
    fill(
      this.parts.word,
      el("h2", {}, `“${word.text}”`),
      el("p", {}, `${word.flagged ? "Flagged" : "Not flagged"}: ${word.reason}.`),
      this.maps(word),
      el("table", { class: "tv-figures" }, el("tbody", {}, ...rows)),
      el("h2", {}, "What else it could have said here"),
      el(
        "ul",
        { class: "tv-candidates" },
        ...word.candidates.map((one) => this.candidate(one, word)),
      ),
      ...there.forced.map((one) => this.outcome(one)),
    );
  }

  /** Where the model looked for a word: drawn by the server, asked for once. */
  maps(word) {
    const place = el("div", { class: "tv-deskmaps" });
    const { run } = this.value.case;
    const key = `${run} ${this.at}`;
    if (!this.mapped.has(key))
      this.mapped.set(
        key,
        this.server.word_map({ run, word: this.at }).catch(() => ({})),
      );
    this.mapped
      .get(key)
      .then((answer) =>
        fill(
          place,
          ...(answer?.maps || []).map((one) =>
            el(
              "figure",
              {},
              el("img", { src: one.picture, alt: `${one.title} for “${word.text}”` }),
              el(
                "figcaption",
                {},
                el("b", {}, one.title),
                el("span", { class: "tv-fine" }, one.note),
              ),
            ),
          ),
        ),
      );
    return place;
  }

  candidate(one, word) {
    const name = one.text.trim() || "(space)";
    return el(
      "li",
      {},
      el("span", {}, name),
      el("span", { class: "tv-share", style: `--share: ${one.probability}` }),
      el("b", {}, one.probability.toFixed(3)),
      one.chosen
        ? el("span", { class: "tv-fine" }, "it said this")
        : this.button("Force", `Put “${name}” here and let the model go on`, () =>
            this.send("force", { at: word.at, token: one.id }),
          ),
    );
  }

  outcome(one) {
    return el(
      "div",
      { class: "tv-outcome" },
      el(
        "p",
        { title: one.summary || null },
        el("b", {}, one.title),
        " ",
        el("span", { class: one.changed ? "tv-state tv-changes" : "tv-fine" }, one.verdict),
        " ",
        el("span", { class: "tv-fine" }, one.cost || ""),
      ),
      el("p", { class: "tv-said" }, ...markedWords(one.words)),
      one.summary && one.changed ? el("p", { class: "tv-fine" }, one.summary) : null,
      this.opener(one.lane),
    );
  }

  opener(lane) {
    return lane === null
      ? null
      : this.button(
          "Open as a lane",
          "Show this run in Compare and in the viewer",
          () => {
            this.send("open", { lane });
            scrollToPart("#tv-compare");
          },
          "tv-quiet",
        );
  }

  tokens() {
    const kinds = [
      [
        "necessary",
        "What must be removed to change it?",
        "Find tokens whose removal changes the answer",
      ],
      ["sufficient", "What is enough on its own?", "Find tokens that keep the answer on their own"],
    ];
    fill(
      this.parts.tokens,
      el("h2", {}, "Which tokens the answer depends on"),
      el(
        "div",
        { class: "tv-sweepbar" },
        ...kinds.map(([kind, text, title]) =>
          this.button(text, title, () => this.send("search", { kind })),
        ),
      ),
      ...this.value.case.found.map((one) =>
        el(
          "div",
          { class: "tv-outcome" },
          el("p", {}, el("b", {}, one.said)),
          one.picture
            ? el("img", {
                src: one.picture,
                alt: "What was left of the picture; removed tokens are dark and hatched",
              })
            : null,
          el("p", { class: "tv-fine" }, [one.note, `${one.spent}.`].filter(Boolean).join(" ")),
          this.opener(one.lane),
        ),
      ),
    );
  }

  remedies() {
    const found = this.value.case.remedies;
    fill(
      this.parts.remedies,
      el("h2", {}, "Mitigations"),
      el(
        "div",
        { class: "tv-sweepbar" },
        this.button(
          "Try them all",
          "Answer again with every mitigation, at its published settings",
          () => this.send("mitigate"),
        ),
      ),
      found.length && !this.busy
        ? el("p", { class: "tv-remedied" }, this.value.case.remedied)
        : null,
      ...found.map((one) => this.outcome(one)),
    );
  }
}
