/** One lane of the comparison: its settings, its answer, its picture and its measurements. */

/** @import { LaneCard, Plan } from "../base/types.js" */
/** @import { Lanes } from "./lanes.js" */

import { el, fill, scrollToPart, writeText } from "../base/dom.js";
import { BY_HAND } from "../base/links.js";
import { pageState } from "../base/page_state.js";
import { plural } from "../base/text.js";
import { t, told } from "../base/translate.js";
import { factsLine } from "../explorer/run_facts.js";
import { LaneOwnSettings } from "./lane_own_settings.js";
import { LanePicture } from "./lane_picture.js";
import { markedWords } from "./marked_words.js";
import { PlanForm } from "./plan_form.js";

export class LaneColumn {
  /**
   * @param {Lanes} owner
   * @param {number} index Of the plan; -1 is the full answer.
   */
  constructor(owner, index) {
    this.owner = owner;
    this.index = index;
    /** @type {LaneCard | null} */
    this.lane = null;
    this.picture = new LanePicture(this);
    this.answer = el("p", { class: "tv-answer", "aria-live": "polite" });
    this.verdict = el("p", { class: "tv-verdict" });
    this.status = el("p", { class: "tv-small tv-status" });
    this.figures = el("table", { class: "tv-figures" });
    this.tools = el("div", { class: "tv-tools" });
    /** What the answer is about: model, what was seen of the picture, method, tokens, origin. */
    this.facts = el("p", { class: "tv-small tv-facts-line" });
    this.node = el(
      "article",
      { class: index < 0 ? "tv-lane tv-full" : "tv-lane" },
      el(
        "form",
        { class: "tv-lanehead", onsubmit: (event) => event.preventDefault() },
        ...(index < 0 ? this.fullHead() : this.head()),
      ),
      this.answer,
      this.verdict,
      this.status,
      this.picture.frame,
      this.picture.legend,
      this.figures,
      el("div", {}, this.facts, this.tools),
    );
  }

  /** What stands above the full answer. */
  fullHead() {
    this.asked = el("p", { class: "tv-question" });
    return [
      el("h3", {}, t("All tokens")),
      this.asked,
      el(
        "p",
        { class: "tv-small" },
        t("The full answer, with all {n} visual tokens. Everything else is measured against it.", {
          n: this.owner.value.n || "",
        }),
      ),
    ];
  }

  /** What is asked of this lane; undefined for the full answer. @returns {Plan | undefined} */
  get plan() {
    return this.owner.plans[this.index];
  }

  /** The settings of a lane. */
  head() {
    if (this.plan.method === BY_HAND)
      return [
        el("h3", {}, t("Chosen by hand")),
        el(
          "p",
          { class: "tv-small" },
          t("Exactly the tokens painted in above, at their own places: {tokens}.", {
            tokens: plural(this.plan.keep, "token"),
          }),
        ),
      ];
    this.form = new PlanForm(this.owner, this.index, () => this.edited());
    this.own = new LaneOwnSettings(this);
    return [...this.form.nodes, this.own.node, this.forced()];
  }

  /** Which words the answer is made to begin with, and a button that leaves them out. */
  forced() {
    const { plan } = this;
    if (!(plan.forced || []).length) return null;
    const drop = el(
      "button",
      {
        type: "button",
        class: "tv-tool tv-quiet",
        onclick: () => {
          plan.forced = plan.forcedText = null;
          this.owner.rebuild();
          this.owner.results();
        },
      },
      t("Let it choose"),
    );
    return el(
      "p",
      { class: "tv-small" },
      t("The answer is made to begin with “{text}”. ", { text: plan.forcedText || "…" }),
      drop,
    );
  }

  /** The settings are others than those of the answer shown. */
  edited() {
    if (!this.lane) return;
    this.node.classList.add("tv-stale");
    this.verdict.classList.add("tv-changed");
    this.verdict.textContent = t("Settings changed: press Compare to run them.");
  }

  /**
   * @param {LaneCard | null} lane
   * @param {string} phase "running" while answers are being written.
   */
  show(lane, phase) {
    const fresh = lane !== this.lane;
    if (lane?.by && this.form) this.form.keepLabel();
    if (this.asked) writeText(this.asked, lane?.prompt || "");
    this.lane = lane;
    if (fresh) this.node.classList.remove("tv-stale");
    this.node.classList.toggle("tv-waiting", phase === "running" && !lane?.done);
    this.showAnswer(phase);
    this.showMetrics();
    this.showButtons();
    const origin = pageState.explorers[0]?.scene?.payload.origin;
    writeText(this.facts, lane?.overlay ? factsLine({ facts: lane.overlay.facts, origin }) : "");
    this.picture.show(lane?.overlay);
  }

  /** The answer as far as it has come, and how it compares with the full one. */
  showAnswer(phase) {
    const { lane } = this;
    this.answer.classList.toggle("tv-typing", Boolean(lane && !lane.done && !lane.error));
    if (!lane) {
      const text = phase === "running" ? t("Waiting …") : t("Not asked yet: press Compare.");
      fill(this.answer, el("span", { class: "tv-small" }, text));
      this.verdict.textContent = this.status.textContent = "";
      return;
    }
    if (lane.error) fill(this.answer, el("span", { class: "tv-error" }, told(lane.error)));
    else if (lane.words.length) fill(this.answer, ...markedWords(lane.words));
    else this.answer.textContent = lane.text || "…";
    fill(
      this.verdict,
      lane.by
        ? el("span", { class: "tv-by" }, t("Answered by {model}. ", { model: lane.by }))
        : null,
      told(lane.verdict),
    );
    this.verdict.classList.toggle("tv-changed", lane.changed);
    this.status.textContent = (lane.status || []).map(told).join(" ");
  }

  /** The measured figures, and the row of next-word differences where there is one. */
  showMetrics() {
    const { lane } = this;
    const row = ({ title, name, value, trend, ratio }) =>
      el(
        "tr",
        { title: told(title) },
        el("th", { scope: "row" }, told(name)),
        el("td", {}, told(value)),
        el("td", { class: trend ? `tv-${trend}` : "" }, told(ratio)),
      );
    const rows = lane ? lane.metrics.map(row) : [];
    if (lane?.distances?.length) rows.push(...this.distances(lane.distances));
    fill(this.figures, el("tbody", {}, ...rows));
  }

  showButtons() {
    const name =
      this.index < 0 ? t("all tokens") : this.plan ? this.plan.method || t("all tokens again") : "";
    const open = {
      type: "button",
      class: "tv-tool",
      "aria-label": t("Open in the viewer: {name}", { name }),
      onclick: () => {
        this.owner.trigger("explore", { lane: this.index });
        scrollToPart("#tv-main");
      },
    };
    const remove = {
      type: "button",
      class: "tv-tool tv-quiet",
      "aria-label": t("Remove {name}", { name }),
      disabled: this.owner.busy(),
      onclick: () => this.owner.remove(this.index),
    };
    fill(
      this.tools,
      this.lane?.overlay ? el("button", open, t("Open in the viewer")) : null,
      this.index >= 0 ? el("button", remove, t("Remove")) : null,
    );
  }

  /** Two rows: each answer word with how far its next-word distribution is from the full run's. */
  distances(words) {
    const title = t(
      "Lower bound of the total variation distance between each next-word distribution and the full run's, from the most probable words of both, up to where the answers differ",
    );
    const word = ({ text, share }) =>
      el(
        "span",
        {
          style: `--share: ${share.replace(/[<\s]/g, "")}`,
          title: t("{text}: at least {share}", { text, share }),
        },
        text,
        /^[0<]/.test(share) ? "" : el("b", {}, ` ≥${share}`),
      );
    const all = words.flatMap((one) => [word(one), " "]);
    return [
      el("tr", { title }, el("th", { scope: "col", colSpan: 3 }, t("Next-word difference"))),
      el("tr", { title }, el("td", { colSpan: 3, class: "tv-difference" }, ...all)),
    ];
  }
}
