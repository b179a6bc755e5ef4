/** The order of a board's rows. */

import { t } from "../base/translate.js";

export const SORTS = {
  list: t("as chosen"),
  score: t("P, highest first"),
  changed: t("fewest changed answers"),
  where: t("where it acts"),
  reads: t("what it reads"),
  kind: t("prunes or merges"),
  year: t("newest first"),
};

const PLACES = ["picture", "tower", "before", "language_model", "cache"];

/** Row numbers in the order that is chosen; the baseline stays first. */
export const sortedRows = (owner) => {
  const { board } = owner;
  const cells = (row) => board.budgets.map((_, column) => board.cells[owner.numberOf(row, column)]);
  const mean = (row) => {
    const scores = cells(row)
      .map((cell) => owner.score(cell))
      .filter((one) => one !== null);
    return scores.length ? scores.reduce((sum, one) => sum + one, 0) / scores.length : -1;
  };
  const text = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  const by = {
    list: () => 0,
    score: (a, b) => mean(b) - mean(a),
    changed: (a, b) => changed(cells(a)) - changed(cells(b)),
    where: (a, b) => place(board.rows[a]) - place(board.rows[b]),
    reads: (a, b) => text(board.rows[a].taxonomy.reads.join(), board.rows[b].taxonomy.reads.join()),
    kind: (a, b) => text(board.rows[a].taxonomy.kind, board.rows[b].taxonomy.kind),
    year: (a, b) => (board.rows[b].year || 0) - (board.rows[a].year || 0),
  }[owner.sort];
  const first = (row) => (board.rows[row].baseline ? 0 : 1);
  return [...board.rows.keys()].sort((a, b) => first(a) - first(b) || by(a, b) || a - b);
};

const changed = (cells) => cells.filter((cell) => cell.state === "changed").length;
const place = (row) => PLACES.indexOf(row.taxonomy.where);
