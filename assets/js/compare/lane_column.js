/** One lane of the comparison: its settings, answer, picture and figures. */

/** @import { LaneCard, Look, Plan } from "../base/types.js" */
/** @import { Lanes } from "./lanes.js" */

import { el, fill, scrollToPart, writeText } from "../base/dom.js";
import { BY_HAND } from "../base/links.js";
import { pageState } from "../base/page_state.js";
import { formatNumber, plural } from "../base/text.js";
import { swatch } from "../explorer/legend.js";
import { Painter } from "../explorer/painter.js";
import { palette } from "../explorer/palette.js";
import { Scene } from "../explorer/scene.js";
import { LaneMore } from "./lane_more.js";
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
    this.canvas = el("canvas", { class: "tv-mini", "aria-label": "What became of each token" });
    this.tip = el("div", { class: "tv-tip", hidden: true });
    this.frame = el("div", { class: "tv-frame" }, this.canvas, this.tip);
    this.answer = el("p", { class: "tv-answer", "aria-live": "polite" });
    this.verdict = el("p", { class: "tv-verdict" });
    this.status = el("p", { class: "tv-fine" });
    this.legend = el("ul", { class: "tv-legend" });
    this.figures = el("table", { class: "tv-figures" });
    this.tools = el("div", { class: "tv-tools" });
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
      this.frame,
      this.legend,
      this.figures,
      this.tools,
    );
    this.painter = new Painter(this.canvas);
    /** @type {Scene} */
    this.scene = null;
    /** @type {Look} */
    this.look = null;
    this.listen();
    new ResizeObserver(() => this.paint()).observe(this.frame);
  }

  fullHead() {
    this.asked = el("p", { class: "tv-q" });
    return [
      el("h3", {}, "All tokens"),
      this.asked,
      el(
        "p",
        { class: "tv-fine" },
        `The full answer, with all ${this.owner.value.n || ""} visual tokens. ` +
          `Everything else is measured against it.`,
      ),
    ];
  }

  get plan() {
    return this.owner.plans[this.index];
  }

  head() {
    if (this.plan.method === BY_HAND)
      return [
        el("h3", {}, "Chosen by hand"),
        el(
          "p",
          { class: "tv-fine" },
          `Exactly the ${plural(this.plan.keep, "token")} painted in above, at their own places.`,
        ),
      ];
    this.form = new PlanForm(this.owner, this.index, () => this.edited());
    this.more = new LaneMore(this);
    return [...this.form.nodes, this.more.node, this.forced()];
  }

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
      "Let it choose",
    );
    return el(
      "p",
      { class: "tv-fine" },
      `The answer is made to begin with “${plan.forcedText || "…"}”. `,
      drop,
    );
  }

  edited() {
    if (!this.lane) return;
    this.node.classList.add("tv-stale");
    this.verdict.classList.add("tv-changed");
    this.verdict.textContent = "Settings changed: press Compare to run them.";
  }

  show(lane, phase) {
    const fresh = lane !== this.lane;
    if (lane?.by && this.form) this.form.keepLabel();
    if (this.asked) writeText(this.asked, lane?.prompt || "");
    this.lane = lane;
    if (fresh) this.node.classList.remove("tv-stale");
    this.node.classList.toggle("tv-waiting", phase === "running" && !lane?.done);
    this.text(phase);
    this.numbers();
    const overlay = lane?.overlay;
    this.frame.style.visibility = this.legend.style.visibility = overlay ? "" : "hidden";
    if (!overlay) {
      this.overlay = null;
      return;
    }
    if (this.overlay !== overlay.id) {
      this.overlay = overlay.id;
      this.open(overlay);
    }
  }

  text(phase) {
    const { lane } = this;
    this.answer.classList.toggle("tv-typing", Boolean(lane && !lane.done && !lane.error));
    if (!lane) {
      fill(
        this.answer,
        el(
          "span",
          { class: "tv-fine" },
          phase === "running" ? "Waiting …" : "Not asked yet: press Compare.",
        ),
      );
      this.verdict.textContent = this.status.textContent = "";
      return;
    }
    if (lane.error) fill(this.answer, el("span", { class: "tv-error" }, lane.error));
    else if (lane.words.length) fill(this.answer, ...markedWords(lane.words));
    else this.answer.textContent = lane.text || "…";
    fill(
      this.verdict,
      lane.by ? el("span", { class: "tv-by" }, `Answered by ${lane.by}. `) : null,
      lane.verdict,
    );
    this.verdict.classList.toggle("tv-changed", lane.changed);
    this.status.textContent = (lane.status || []).join(" ");
  }

  numbers() {
    const { lane } = this;
    const rows = lane
      ? lane.metrics.map((row) =>
          el(
            "tr",
            { title: row.title },
            el("th", { scope: "row" }, row.name),
            el("td", {}, row.value),
            el("td", { class: row.trend ? `tv-${row.trend}` : "" }, row.ratio),
          ),
        )
      : [];
    if (lane && (lane.distances || []).length) rows.push(this.distances(lane.distances));
    fill(this.figures, el("tbody", {}, ...rows));
    const label =
      this.index < 0 ? "all tokens" : this.plan ? this.plan.method || "all tokens again" : "";
    fill(
      this.tools,
      lane?.overlay
        ? el(
            "button",
            {
              type: "button",
              class: "tv-tool",
              "aria-label": `Open in the viewer: ${label}`,
              onclick: () => {
                this.owner.trigger("explore", { lane: this.index });
                scrollToPart("#tv-main");
              },
            },
            "Open in the viewer",
          )
        : null,
      this.index >= 0
        ? el(
            "button",
            {
              type: "button",
              class: "tv-tool tv-quiet",
              "aria-label": `Remove ${label}`,
              disabled: this.owner.busy(),
              onclick: () => this.owner.remove(this.index),
            },
            "Remove",
          )
        : null,
    );
  }

  distances(words) {
    const title =
      "Lower bound of the total variation distance between each " +
      "next-word distribution and the full run's, " +
      "from the most probable words of both, up to where the answers differ";
    return el(
      "tr",
      { title },
      el("th", { scope: "row" }, "Next-word difference"),
      el(
        "td",
        { colSpan: 2, class: "tv-apart" },
        ...words.flatMap(({ text, share }) => [
          el(
            "span",
            { style: `--share: ${share}`, title: `${text}: at least ${share}` },
            text,
            share === "0%" ? "" : el("b", {}, ` ≥${share}`),
          ),
          " ",
        ]),
      ),
    );
  }

  async open(overlay) {
    const scene = new Scene(overlay);
    await this.painter.open(scene);
    if (this.overlay !== overlay.id) return;
    this.scene = scene;
    this.width = 0;
    if (this.more) this.more.layers(scene.layers);
    this.owner.repaint();
  }

  /** Attention of all words together in this lane's layer, or nothing when fates are shown. */
  looked() {
    const { scene, owner } = this;
    if (!scene || owner.pictures !== "looked" || !scene.attention) return null;
    const linked = pageState.explorers[0] ? pageState.explorers[0].view.layer : 0;
    const own = this.plan ? this.plan.layer : null;
    const view = {
      map: "attention",
      layer: Math.min(own ?? linked, scene.layers - 1),
      head: -1,
      words: new Set(),
      peek: null,
      sinks: false,
    };
    const values = scene.values(view);
    return { view, values, high: scene.range(values, view).high };
  }

  redraw() {
    if (!this.scene) return;
    this.lookOf = null;
    this.describeLegend();
    this.paint();
  }

  describeLegend() {
    const looked = this.looked();
    const { scene } = this;
    if (looked) {
      const stops = palette.ramp.filter((_, i) => i % 51 === 0).join(",");
      const from = this.plan && Number.isInteger(this.plan.layer) ? "its own" : "as above";
      fill(
        this.legend,
        el(
          "li",
          {},
          el("span", {
            class: "tv-ramp",
            style: `background: linear-gradient(to right, ${stops})`,
          }),
          `attention in layer ${looked.view.layer} (${from}): ` +
            `0 to ${formatNumber(this.owner.high)} in every lane`,
        ),
      );
      return;
    }
    const fates = scene.fatesAt(null);
    const totals = [0, 0, 0];
    for (let i = 0; i < scene.n; i++) totals[fates ? fates[i] : 0]++;
    const groups = new Set(
      fates
        ? Array.from(scene.group.values).filter((group, i) => group >= 0 && fates[i] === 1)
        : [],
    ).size;
    const entries = [
      ["kept", `kept ${totals[0]}`],
      ["merged", `merged ${totals[1]} into ${groups}`],
      ["pruned", `pruned ${totals[2]}`],
    ];
    fill(
      this.legend,
      ...entries
        .filter((_, i) => totals[i])
        .map(([name, text]) => el("li", {}, swatch(name), text)),
    );
  }

  paint(hover = -1) {
    const width = Math.floor(this.frame.clientWidth);
    if (!this.scene || !width || !this.painter.images) return;
    if (width !== this.width) {
      this.width = width;
      this.painter.arrange(width, 420);
    }
    const { scene } = this;
    if (this.lookOf !== scene) Object.assign(this, { lookOf: scene, look: this.compose() });
    this.painter.draw(Object.assign(this.look, { hover }));
  }

  compose() {
    const { scene, owner } = this;
    const looked = this.looked();
    if (!looked)
      return {
        norm: null,
        opacity: 0,
        roles: scene.fatesAt(null),
        groups: scene.groupsAt(null),
        places: scene.placesAt(null),
        members: scene.membersAt(null),
        sinks: null,
        pinned: -1,
      };
    const sinks = scene.anySink
      ? Uint8Array.from({ length: scene.n }, (_, i) => +scene.isSink(looked.view, i))
      : null;
    return {
      norm: looked.values.map((value) => (owner.high > 0 ? value / owner.high : 0)),
      opacity: 0.65,
      roles: null,
      groups: null,
      places: null,
      members: null,
      sinks,
      sinksIncluded: false,
      pinned: -1,
    };
  }

  listen() {
    this.canvas.addEventListener("pointermove", (event) => {
      if (!this.scene) return;
      const box = this.canvas.getBoundingClientRect();
      const x = event.clientX - box.left;
      const y = event.clientY - box.top;
      const token = this.painter.hit(x, y);
      this.tip.hidden = token < 0;
      if (token >= 0)
        fill(this.tip, ...this.lines(token).map((line, i) => el(i ? "span" : "b", {}, line)));
      const left = Math.max(0, Math.min(x + 12, box.width - this.tip.offsetWidth));
      this.tip.style.transform = `translate(${left}px, ${Math.max(0, y + 14)}px)`;
      if (token !== this.hovered) {
        this.hovered = token;
        this.paint(token);
      }
    });
    this.canvas.addEventListener("pointerleave", () => {
      this.tip.hidden = true;
      this.hovered = -1;
      this.paint();
    });
  }

  lines(token) {
    const { scene } = this;
    const fates = scene.fatesAt(null);
    const looked = this.looked();
    const lines = [
      `token ${token} · row ${scene.row.values[token]}, column ${scene.col.values[token]}`,
    ];
    if (looked)
      lines.push(
        Number.isFinite(looked.values[token])
          ? `attention ${formatNumber(looked.values[token])} in layer ${looked.view.layer}`
          : `no longer present in layer ${looked.view.layer}`,
      );
    if (!fates) return [...lines, "kept"];
    const group = scene.group.values[token];
    const size = (scene.members.get(group) || []).length;
    const stage = scene.payload.stages[scene.went.values[token]];
    const where = stage
      ? stage.layer === null
        ? stage.where
        : `${stage.where}, layer ${stage.layer}`
      : "";
    lines.push(
      fates[token] === 0
        ? "kept"
        : fates[token] === 2
          ? `pruned ${where}`
          : `merged into group ${group}: ${plural(size, "token")}, ` +
            `represented by token ${scene.place.values[token]}`,
    );
    if (scene.score && Number.isFinite(scene.score.values[token]))
      lines.push(`method's score ${formatNumber(scene.score.values[token])}`);
    return lines;
  }
}
