/** The exact numbers of one token: the one under the pointer, else the pinned one. */

/** @import { Explorer } from "./explorer.js" */

import { el, fill, holdHeight, writeText } from "../base/dom.js";
import { formatNumber, plural } from "../base/text.js";

const ROWS = [
  ["place", "Place"],
  ["box", "Pixels"],
  ["value", "This map"],
  ["rank", "Rank"],
  ["score", "Method's score"],
  ["fate", "Fate"],
  ["group", "Group"],
  ["kind", "Marked as"],
  ["words", "Used most by"],
];

export class Facts {
  /** @param {Explorer} owner */
  constructor(owner) {
    this.owner = owner;
    this.cells = Object.fromEntries(ROWS.map(([key]) => [key, el("td")]));
    this.head = el("h2", {}, "Token");
    const tall = ["fate", "group", "words"];
    const rows = ROWS.map(([key, name]) =>
      el(
        "tr",
        { class: tall.includes(key) ? "tv-tall" : null },
        el("th", { scope: "row" }, name),
        this.cells[key],
      ),
    );
    fill(
      owner.parts.facts,
      holdHeight(
        el(
          "div",
          { class: "tv-island" },
          el("div", {}, this.head, el("table", { class: "tv-figures" }, el("tbody", {}, ...rows))),
        ),
      ),
    );
  }

  show(token, users) {
    const { cells } = this;
    writeText(
      this.head,
      token < 0
        ? "Token: point at one, click to hold it"
        : `Token ${token}${token === this.owner.view.pinned ? " (held)" : ""}`,
    );
    for (const [key] of ROWS)
      writeText(
        cells[key],
        token < 0 ? "–" : key === "words" ? this.words(users) : this[key](token),
      );
  }

  words(users) {
    const { scene } = this.owner;
    return (
      users
        .filter(([i]) => !scene.words[i].part)
        .slice(0, 3)
        .map(
          ([i, value]) =>
            `${scene.words[i].special ? "end" : scene.words[i].text} ${formatNumber(value)}`,
        )
        .join(", ") || "–"
    );
  }

  place(token) {
    const { scene } = this.owner;
    const kind = scene.kind.values[token];
    const { panes } = scene.payload;
    const pane = panes[scene.pane.values[token]];
    if (kind) return kind === 1 ? "line break between rows" : "separator";
    const several = panes.length > 1 && pane ? `, ${scene.where(token)}` : "";
    return `row ${scene.row.values[token]}, column ${scene.col.values[token]}${several}`;
  }

  box(token) {
    const { scene } = this.owner;
    if (scene.kind.values[token]) return "none";
    const [x0, y0, x1, y1] = Array.from(
      scene.box.values.subarray(4 * token, 4 * token + 4),
      Math.round,
    );
    return `x ${x0}–${x1}, y ${y0}–${y1}`;
  }

  value(token) {
    const { owner } = this;
    const map = owner.scene.map(owner.view.map);
    const value = owner.values[token];
    if (!map?.has) return "–";
    const number = Number.isFinite(value) ? formatNumber(value) : "no number here";
    return `${map.label.toLowerCase()} ${number}`;
  }

  rank(token) {
    return `${this.owner.ranks[token]} of ${this.owner.scene.n}`;
  }

  score(token) {
    const { scene } = this.owner;
    return scene.score ? formatNumber(scene.score.values[token]) : "–";
  }

  fate(token) {
    const { scene, look, view } = this.owner;
    if (look?.painted) return look.roles[token] === 0 ? "painted in" : "painted out";
    if (look?.preview) return look.roles[token] === 0 ? "would be kept" : "would be pruned";
    const fates = scene.fatesAt(view.stage);
    if (!fates) return "kept (nothing was removed)";
    if (fates[token] === 0) return "kept";
    const stage = scene.payload.stages[scene.went.values[token]];
    const where = stage
      ? ` (${stage.title}, ${stage.layer === null ? stage.where : `layer ${stage.layer}`})`
      : "";
    return `${fates[token] === 1 ? "merged" : "pruned"}${where}`;
  }

  group(token) {
    const { scene, view } = this.owner;
    const groups = scene.groupsAt(view.stage);
    if (!groups || groups[token] < 0) return "–";
    const size = scene.membersAt(view.stage).get(groups[token]).length;
    return (
      `group ${groups[token]}: ${plural(size, "token")}, ` +
      `represented by token ${scene.placesAt(view.stage)[token]}`
    );
  }

  kind(token) {
    const { scene, view } = this.owner;
    const names = scene.roles
      .filter((role) => role.tokens.includes(token))
      .map((role) => role.name);
    if (scene.isSink(view, token)) names.unshift("attention sink in this layer");
    if (scene.registers?.values[token]) names.unshift("register of the vision tower");
    return names.join(", ") || "–";
  }

  /** Sentences for the tip at the pointer. */
  lines(token) {
    const { view, scene } = this.owner;
    const lines = [`token ${token} · ${this.place(token)}`];
    lines.push(`${this.value(token)} · rank ${this.rank(token)}`);
    if (view.map !== "score" && scene.score) lines.push(`method's score ${this.score(token)}`);
    if (!scene.kind.values[token]) lines.push(`pixels ${this.box(token)}`);
    const group = this.fate(token).startsWith("merged") ? `, ${this.group(token)}` : "";
    return [
      ...lines,
      this.fate(token) + group,
      ...(this.kind(token) === "–" ? [] : [this.kind(token)]),
    ];
  }
}
