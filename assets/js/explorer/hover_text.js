/** What is known about one token, as text: beside the pointer and in the table of its numbers. */

/** @import { Look, Numbers, View } from "../base/types.js" */
/** @import { Scene } from "./scene.js" */

import { formatNumber, plural } from "../base/text.js";
import { t } from "../base/translate.js";

/**
 * @typedef {{scene: Scene, view: View, look: Look, values: Numbers, ranks: Numbers}} Shown
 *   What the explorer shows now.
 */

export class HoverText {
  /** @param {Shown} shown */
  constructor(shown) {
    this.shown = shown;
  }

  place(token) {
    const { scene } = this.shown;
    const { panes } = scene.payload;
    const kind = scene.kind.values[token];
    if (kind) return kind === 1 ? t("line break between rows") : t("separator");
    const pane = panes[scene.pane.values[token]];
    const where = panes.length > 1 && pane ? `, ${scene.where(token)}` : "";
    return (
      t("row {row}, column {column}", {
        row: scene.row.values[token],
        column: scene.col.values[token],
      }) + where
    );
  }

  box(token) {
    const { scene } = this.shown;
    if (scene.kind.values[token]) return t("none");
    const [x0, y0, x1, y1] = Array.from(
      scene.box.values.subarray(4 * token, 4 * token + 4),
      Math.round,
    );
    return `x ${x0}–${x1}, y ${y0}–${y1}`;
  }

  value(token) {
    const { scene, view, values } = this.shown;
    const map = scene.map(view.map);
    if (!map?.has) return "–";
    const number = Number.isFinite(values[token])
      ? formatNumber(values[token])
      : t("no number here");
    return `${map.label} ${number}`;
  }

  rank(token) {
    const { scene, ranks } = this.shown;
    return t("{left} of {tokens}", { left: ranks[token], tokens: scene.n });
  }

  score(token) {
    const { scene } = this.shown;
    return scene.score ? formatNumber(scene.score.values[token]) : "–";
  }

  fate(token) {
    const { scene, look, view } = this.shown;
    if (look?.painted) return look.roles[token] === 0 ? t("painted in") : t("painted out");
    if (look?.preview) return look.roles[token] === 0 ? t("would be kept") : t("would be pruned");
    const fates = scene.fatesAt(view.stage);
    if (!fates) return t("kept (nothing was removed)");
    const cache = scene.headsThatKeep(view.stage, token);
    if (cache) return this.inCache(cache, fates[token]);
    if (fates[token] === 0) return t("kept");
    const stage = scene.payload.stages[scene.went.values[token]];
    const where = stage
      ? ` (${stage.title}, ${stage.layer === null ? t(stage.where) : t("layer {layer}", { layer: stage.layer })})`
      : "";
    return `${fates[token] === 1 ? t("merged") : t("pruned")}${where}`;
  }

  /** What a token's place in the KV cache of a layer is: its key heads may differ. */
  inCache({ count, heads }, fate) {
    const { scene, view } = this.shown;
    const { title, layer } = scene.payload.stages[scene.last(view.stage)];
    const what = fate === 1 ? t("merged in the KV cache") : t("left the KV cache");
    const text = count
      ? t("kept by {count} of {heads}", { count, heads: plural(heads, "key head") })
      : what;
    return `${text} (${title}, ${t("layer {layer}", { layer })})`;
  }

  /** Whether a token is shown as merged, which a painted or previewed one is not. */
  isMerged(token) {
    const { scene, look, view } = this.shown;
    return !look?.painted && !look?.preview && scene.fatesAt(view.stage)?.[token] === 1;
  }

  group(token) {
    const { scene, view } = this.shown;
    const groups = scene.groupsAt(view.stage);
    if (!groups || groups[token] < 0) return "–";
    const size = scene.membersAt(view.stage).get(groups[token]).length;
    return t("group {group}: {tokens}, represented by token {token}", {
      group: groups[token],
      tokens: plural(size, "token"),
      token: scene.placesAt(view.stage)[token],
    });
  }

  kind(token) {
    const { scene, view } = this.shown;
    const names = scene.roles
      .filter((role) => role.tokens.includes(token))
      .map((role) => role.name);
    if (scene.isSink(view, token)) names.unshift(t("attention sink in this layer"));
    if (scene.registers?.values[token]) names.unshift(t("register of the vision tower"));
    return names.join(", ") || "–";
  }

  /**
   * The words that used a token most.
   * @param {[number, number][]} users Word and how much it used the token, most first.
   */
  words(users) {
    const { words } = this.shown.scene;
    const names = users
      .filter(([i]) => !words[i].part)
      .slice(0, 3)
      .map(([i, value]) => `${words[i].special ? t("end") : words[i].text} ${formatNumber(value)}`);
    return names.join(", ") || "–";
  }

  /** The lines beside the pointer. */
  lines(token) {
    const { view, scene } = this.shown;
    const lines = [
      `${t("token {token}", { token })} · ${this.place(token)}`,
      `${this.value(token)} · ${t("rank {rank}", { rank: this.rank(token) })}`,
    ];
    if (view.map !== "score" && scene.score)
      lines.push(t("method's score {score}", { score: this.score(token) }));
    if (!scene.kind.values[token]) lines.push(t("pixels {box}", { box: this.box(token) }));
    const fate = this.fate(token);
    lines.push(this.isMerged(token) ? `${fate}, ${this.group(token)}` : fate);
    const kind = this.kind(token);
    return kind === "–" ? lines : [...lines, kind];
  }
}
