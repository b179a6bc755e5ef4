/** The board: methods x budgets as small multiples on one scale. */

import { el, fill, partsOf, writeText } from "../base/dom.js";
import { figureForm } from "../base/figure_form.js";
import { pageState } from "../base/page_state.js";
import { plural } from "../base/text.js";
import { t, told } from "../base/translate.js";
import { BoardCell } from "./board_cell.js";
import { BoardChoice } from "./board_choice.js";
import { SORTS, sortedRows } from "./board_order.js";
import { CellPair } from "./cell_pair.js";

/** Name under which a browser remembers its last board. */
const KEPT = "tokviz-board";

export class Board {
  constructor(root, { trigger, server }) {
    /** Sends an event to Gradio. @type {(event: string, sent?: object) => void} */
    this.trigger = trigger;
    /** Functions of components/board/panel.py. @type {Record<string, (sent: object) => Promise<any>>} */
    this.server = server;
    this.parts = partsOf(root);
    /** @type {any} */
    this.value = { phase: "empty", progress: "", error: "", board: null };
    this.pictures = "fates";
    /** The menu that saves figures. @type {HTMLElement | null} */
    this.figures = null;
    this.sort = "list";
    /** Numbers of the cells that are side by side. @type {number[]} */
    this.chosen = [];
    /** @type {Map<number, BoardCell>} */
    this.cells = new Map();
    this.choice = new BoardChoice(this);
    this.pair = new CellPair(this);
    this.parts.pair.append(this.pair.node);
    document.addEventListener("tv-catalogue", () => this.choice.build());
    this.wake(root);
  }

  /** The last board of this browser is asked for when the panel comes into sight. */
  wake(root) {
    const watcher = new IntersectionObserver((seen) => {
      if (!seen.some((one) => one.isIntersecting)) return;
      watcher.disconnect();
      const run = localStorage.getItem(KEPT);
      if (run && !this.board) this.trigger("reopen", { run });
    });
    watcher.observe(root);
  }

  get board() {
    return this.value.board;
  }

  get busy() {
    return this.value.phase === "running";
  }

  load(value) {
    if (!value?.phase) return;
    if (!this.choice.methods) this.choice.build(); // the comparison may have come before
    const before = this.board?.run;
    this.value = { ...value, board: value.board || this.value.board };
    if (value.board && value.board.run !== before) this.begin();
    this.bar();
    if (this.board) this.show();
  }

  /** A board that was not shown before. */
  begin() {
    this.cells.clear();
    this.chosen = [];
    this.words = new Set(this.board.chosen);
    this.parts.setup.open = false;
    if (this.value.phase !== "empty") localStorage.setItem(KEPT, this.board.run);
  }

  bar() {
    const { progress, error } = this.value;
    const main = (text, more, onclick) =>
      el("button", { type: "button", class: `tv-primary ${more}`, onclick }, text);
    fill(
      this.parts.bar,
      this.busy
        ? main(t("Stop"), "tv-stop", () => this.stop())
        : main(t("Fill the board"), "", () => this.run()),
      this.busy ? el("span", { class: "tv-spin", "aria-hidden": "true" }) : null,
      el("span", { class: "tv-small" }, told(progress) || (this.busy ? "" : this.choice.cost())),
    );
    const text = told(error || this.board?.note);
    writeText(this.parts.message, text);
    this.parts.message.classList.toggle("tv-error", Boolean(error));
  }

  run() {
    this.trigger("fill", this.choice.request());
  }

  /** What is shown until the run's last update comes. */
  stop() {
    this.value = { ...this.value, progress: t("Stopping …") };
    this.bar();
    this.trigger("halt", {});
  }

  /** Number of a cell in the rows as they were sent. */
  numberOf(row, column) {
    return row * this.board.budgets.length + column;
  }

  /** Mean of P(word) over the chosen words; null while it is not known. */
  score(cell) {
    const prob = cell?.prob;
    if (!prob?.length) return null;
    const words = [...this.words].filter((word) => word < prob.length);
    return words.length ? words.reduce((sum, word) => sum + prob[word], 0) / words.length : null;
  }

  /** Rows are made anew only when they change: while the board fills, only cells do. */
  show() {
    const { parts, board } = this;
    parts.scroll.hidden = parts.tools.hidden = false;
    if (!this.words.size && board.chosen.length) this.words = new Set(board.chosen);
    const rows = sortedRows(this).filter((number) => this.choice.fits(board.rows[number].taxonomy));
    const key = JSON.stringify([board.run, rows, [...this.words], board.words, board.full]);
    if (key !== this.shownRows) {
      this.shownRows = key;
      this.tools();
      fill(parts.grid, this.head(), el("tbody", {}, ...rows.map((number) => this.row(number))));
      this.base = el("tr", { class: "tv-board-base" });
      parts.grid.tBodies[0].prepend(this.base);
      requestAnimationFrame(() => this.repaint());
    } else for (const [number, cell] of this.cells) cell.update(board.cells[number]);
    fill(this.base, ...this.baselines());
  }

  head() {
    const { budgets, n } = this.board;
    const share = (keep) => (n ? ` ${Math.round((100 * keep) / n)} %` : "");
    const columns = budgets.map((keep) =>
      el(
        "th",
        { scope: "col" },
        el("b", {}, plural(keep, "token")),
        el("span", { class: "tv-small" }, share(keep)),
      ),
    );
    return el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("Method")), ...columns));
  }

  /** The full answer, and the answer without the picture. */
  baselines() {
    const { board } = this;
    const score = this.score(board.full);
    const blind = board.blind;
    const value = (one) => (one === null ? "" : ` P ${one.toFixed(2)}`);
    return [
      el("th", { scope: "row" }, t("Baselines")),
      el(
        "td",
        { colSpan: board.budgets.length },
        el(
          "p",
          {},
          el("b", {}, `${t("All {n} tokens", { n: board.n || "" })}${value(score)}: `),
          board.answer || "…",
        ),
        blind
          ? el(
              "p",
              { class: "tv-message" },
              el("b", {}, `${t("Without the picture")}${value(this.score(blind))}: `),
              ...(blind.state === "same" ? [t("the same answer")] : BoardCell.words(blind)),
            )
          : null,
      ),
    ];
  }

  row(number) {
    const row = this.board.rows[number];
    const title = el(
      "th",
      { scope: "row", class: row.baseline ? "tv-board-base" : null },
      row.title,
      row.verified ? null : el("span", { class: "tv-badge" }, t("stand-in")),
      el("span", { class: "tv-small" }, row.baseline ? t("baseline") : t(row.where)),
    );
    const cells = this.board.budgets.map((_, column) => {
      const at = this.numberOf(number, column);
      if (!this.cells.has(at)) this.cells.set(at, new BoardCell(this, at));
      return el("td", {}, this.cells.get(at).update(this.board.cells[at]));
    });
    return el("tr", {}, title, ...cells);
  }

  /** What the pictures show, the order of the rows, and the words that count. */
  tools() {
    const pictures = this.select(
      t("Pictures show "),
      [
        ["fates", t("what became of each token")],
        ["looked", t("where the model looked")],
      ],
      this.pictures,
      (value) => {
        this.pictures = value;
        this.repaint();
      },
    );
    const order = this.select(t("Order "), Object.entries(SORTS), this.sort, (value) => {
      this.sort = value;
      this.show();
    });
    const words = el(
      "span",
      { class: "tv-board-words", role: "group", "aria-label": t("Words that P is about") },
      el("span", { class: "tv-small" }, t("P of ")),
      ...this.board.words.map((word, number) => this.word(word, number)),
    );
    this.figures ||= figureForm(
      this.server,
      () => ({ kind: "board", ...this.state() }),
      (text, isError) => {
        writeText(this.parts.message, text);
        this.parts.message.classList.toggle("tv-error", isError);
      },
    );
    fill(this.parts.tools, pictures, order, this.figures, words);
  }

  word({ text }, number) {
    return el(
      "button",
      {
        type: "button",
        class: "tv-word",
        "aria-pressed": String(this.words.has(number)),
        onclick: () => {
          if (!this.words.delete(number)) this.words.add(number);
          this.show();
        },
      },
      el("span", {}, text),
    );
  }

  select(label, choices, value, act) {
    const select = el(
      "select",
      { "aria-label": label.trim(), onchange: () => act(select.value) },
      ...choices.map(([name, text]) => el("option", { value: name }, text)),
    );
    select.value = value;
    return el("label", { class: "tv-shows" }, label, select);
  }

  /** The picture of a cell has come: on the common scale of attention it may change all others. */
  arrived(cell) {
    if (this.pictures === "looked" && cell.high() > this.high) this.repaint();
    else cell.redraw();
    if (this.chosen.includes(cell.number)) this.pair.show();
  }

  /** Draw all cells again, on one colour scale. */
  repaint() {
    const cells = [...this.cells.values()];
    this.high = Math.max(0, ...cells.map((cell) => cell.high()));
    for (const cell of cells) cell.redraw();
    this.pair.show();
  }

  /** Put a cell beside another one, or take it away. */
  toggle(number) {
    const there = this.chosen.indexOf(number);
    if (there >= 0) this.chosen.splice(there, 1);
    else this.chosen = [...this.chosen, number].slice(-2);
    for (const cell of this.cells.values()) cell.mark();
    this.pair.show();
  }

  open(number) {
    this.trigger("open", { run: this.board.run, lane: number });
    document.querySelector("#tv-show")?.scrollIntoView({ block: "start" });
  }

  /** What a figure of this board needs: its run, and the rows and the order that are shown. */
  state() {
    return {
      run: this.board?.run,
      pictures: this.pictures,
      words: [...(this.words || [])],
      rows: this.board
        ? sortedRows(this).filter((i) => this.choice.fits(this.board.rows[i].taxonomy))
        : [],
    };
  }

  get catalogue() {
    return pageState.lanes[0]?.value?.catalogue || [];
  }
}
