/* The comparison: the full answer and up to three methods, each with its settings, picture and figures. */
(() => {
  const T = window.__tokviz;
  if (T.Lanes) return;
  const { el, fill } = T;

  /* Name of a lane whose tokens were chosen by hand, as in components/runs/lane_request.py. */
  T.BY_HAND = "by hand";

  /* A word of an answer that is compared with the full one. */
  T.markedWord = ({ text, mark }) => {
    if (mark === "added") return el("ins", { title: "only in this answer" }, text);
    if (mark === "removed") return el("del", { title: "only in the full answer" }, text);
    return text;
  };

  /* The words of a compared answer, spaced as text. */
  T.markedWords = (words) => words.flatMap((word, i) => {
    const apart = word.lead || word.mark === "removed" || (words[i - 1] || {}).mark === "removed";
    return [i && apart ? " " : "", T.markedWord(word)];
  });

  /* What an answer depends on; the layer of its picture is not part of that. */
  const answerKey = (plan) => T.planKey({ ...plan, layer: null, forcedText: null });

  T.Lanes = class {
    constructor(root, { trigger }) {
      this.root = root;
      this.trigger = trigger;
      this.parts = {};
      root.querySelectorAll("[data-part]").forEach((node) => { this.parts[node.dataset.part] = node; });
      this.columns = [];
      this.plans = [];
      this.mitigations = [];
      this.models = [];
      this.counts = {};
      this.opened = new Set();
      this.pictures = "fates";
      T.lanes.push(this);
      document.addEventListener("tv-layer", () => this.followLayer());
    }

    load(value) {
      if (!value || !value.catalogue) return;
      const first = !this.value;
      const sent = value.plans && value.plans.map(T.planKey).join(), reset = sent && ![this.sent, this.plans.map(T.planKey).join()].includes(sent);
      const relimit = first || value.n !== this.value.n || value.model !== this.value.model;
      const grown = !first && !value.plans && this.value.n ? value.n / this.value.n : 1;
      this.value = { ...value, lanes: [...value.lanes] };
      this.mitigations = value.mitigations || [];
      if (value.models) this.models = value.models;
      if (value.pictures) this.pictures = value.pictures;
      for (const [i, lane] of value.lanes.entries()) if (lane && lane.by && lane.n) this.counts[lane.by] = lane.n;
      for (const plan of this.plans) if (plan.method !== T.BY_HAND) plan.keep = Math.max(1, Math.round(plan.keep * grown));
      if (reset) { this.adopt(value.plans); this.sent = this.ran = null; }
      if (reset || relimit) this.rebuild();
      this.results();
      this.tellHand();
      document.dispatchEvent(new CustomEvent("tv-catalogue"));
      if (value.start) this.begin(value.start);
    }

    /* A link that was opened shows answers which only the model can give: ask for them, once. */
    begin(start) {
      if (this.begun) return;
      this.begun = true;
      this.trigger("compare", { plans: start === "compare" ? this.plans : [], link: window.location.search });
    }

    /* The comparison in the words of a link. */
    words() { return { compare: T.plansText(this.plans), pictures: this.pictures === "looked" ? "looked" : null }; }

    answered() { return this.value.lanes.some(Boolean); }

    /* Other settings; forms that were open stay so. */
    adopt(plans) {
      const open = this.plans.map((plan) => this.opened.has(plan));
      this.plans = plans.map((plan) => ({ ...plan, options: { ...plan.options }, mitigation_options: { ...plan.mitigation_options } }));
      this.opened = new Set(this.plans.filter((_, i) => open[i]));
    }

    /* Visual tokens of the picture in a lane's model; 0 until it has run once. */
    tokensOf(plan) { return plan.model && plan.model !== this.value.model ? this.counts[plan.model] || 0 : this.value.n; }

    busy() { return this.value.phase === "running"; }

    rebuild() {
      const lanes = [new T.LaneColumn(this, -1), ...this.plans.map((_, i) => new T.LaneColumn(this, i))];
      this.columns = lanes;
      fill(this.parts.grid, ...lanes.map((lane) => lane.node));
    }

    results() {
      const { full, lanes } = this.value;
      this.columns.forEach((column, i) => {
        column.show(i ? lanes[i - 1] || null : full, this.value.phase);
        if (i && this.ran && this.ran[i - 1] !== answerKey(this.plans[i - 1])) column.edited();
      });
      this.bar();
    }

    bar() {
      const room = this.plans.filter((plan) => plan.method !== T.BY_HAND).length < this.value.most;
      fill(this.parts.bar,
        this.busy() ? el("button", { type: "button", class: "tv-go tv-stop", onclick: () => this.trigger("halt", {}) }, "Stop")
          : el("button", { type: "button", class: "tv-go", disabled: !this.value.ready, onclick: () => this.run() }, this.plans.length ? "Compare" : "Ask with all tokens"),
        room ? el("button", { type: "button", class: "tv-tool", disabled: this.busy(), onclick: () => this.add() }, "+ Add a method") : null,
        this.choice(), el("span", { class: "tv-fine" }, this.value.hint || ""));
      this.parts.foot.textContent = this.value.foot || "";
    }

    /* What the lanes' pictures show. */
    choice() {
      const select = el("select", { "aria-label": "What the pictures show", onchange: () => this.show(select.value) },
        el("option", { value: "fates" }, "what became of each token"), el("option", { value: "looked" }, "where the model looked"));
      select.value = this.pictures;
      return el("label", { class: "tv-shows" }, "Pictures show ", select);
    }

    show(pictures) {
      this.pictures = pictures;
      this.bar();
      this.repaint();
    }

    /* Where the model looked depends on the big picture's layer, what became of tokens does not. Soon:
       the lanes must never hold up the picture whose layer is being changed. */
    followLayer() {
      clearTimeout(this.later);
      if (this.pictures === "looked") this.later = setTimeout(() => this.repaint(), 30);
    }

    /* After a change of what is shown: one colour scale for all lanes. */
    repaint() {
      const looks = this.pictures === "looked" ? this.columns.map((column) => column.looked()) : [];
      this.high = Math.max(0, ...looks.filter(Boolean).map(({ high }) => high));
      for (const column of this.columns) column.redraw();
    }

    run() {
      this.sent = this.plans.map(T.planKey).join();
      this.ran = this.plans.map(answerKey);
      document.dispatchEvent(new CustomEvent("tv-asked"));
      this.trigger("compare", { plans: this.plans });
    }

    /* A lane with exactly these tokens, run at once; returns a sentence when that is not possible. */
    askByHand(tokens) {
      if (!this.value || this.busy()) return "Another answer is being written: ask again when it is done.";
      const plan = { method: T.BY_HAND, keep: tokens.length, tokens, n: this.value.n, options: {} };
      const there = this.plans.findIndex((one) => one.method === T.BY_HAND);
      if (there >= 0) this.plans[there] = plan;
      else this.plans.push(plan);
      if (there < 0) this.value.lanes.push(null);
      this.rebuild();
      this.results();
      this.run();
      return "";
    }

    /* Tell whoever asked by hand what came of it. */
    tellHand() {
      const index = this.plans.findIndex((plan) => plan.method === T.BY_HAND), lane = this.value.lanes[index];
      if (lane && (lane.error || (lane.done && this.value.phase === "done")))
        document.dispatchEvent(new CustomEvent("tv-hand", { detail: { ...lane, keep: this.plans[index].keep } }));
    }

    usable() { return this.value.catalogue.filter((method) => !method.missing); }

    add() {
      const taken = this.plans.map((plan) => plan.method), free = this.usable();
      const method = free.find((one) => !taken.includes(one.name)) || free[0];
      if (!method) return;
      const keep = this.plans.length ? this.plans[this.plans.length - 1].keep : Math.max(1, Math.round(this.value.n / 4));
      this.plans.push({ method: method.name, keep, options: {} });
      this.rebuild();
      this.results();
    }

    remove(index) {
      this.plans.splice(index, 1);
      this.ran = null;
      this.value.lanes.splice(index, 1);
      this.rebuild();
      this.results();
    }
  };

  T.LaneColumn = class {
    constructor(owner, index) {
      this.owner = owner;
      this.index = index;
      this.canvas = el("canvas", { class: "tv-mini", "aria-label": "What became of each token" });
      this.tip = el("div", { class: "tv-tip", hidden: true });
      this.frame = el("div", { class: "tv-frame" }, this.canvas, this.tip);
      this.answer = el("p", { class: "tv-answer", "aria-live": "polite" });
      this.verdict = el("p", { class: "tv-verdict" });
      this.legend = el("ul", { class: "tv-legend" });
      this.figures = el("table", { class: "tv-figures" });
      this.tools = el("div", { class: "tv-tools" });
      this.node = el("article", { class: index < 0 ? "tv-lane tv-full" : "tv-lane" },
        el("form", { class: "tv-lanehead", onsubmit: (event) => event.preventDefault() }, ...(index < 0 ? this.fullHead() : this.head())),
        this.answer, this.verdict, this.frame, this.legend, this.figures, this.tools);
      this.painter = new T.Painter(this.canvas);
      this.listen();
      new ResizeObserver(() => this.paint()).observe(this.frame);
    }

    fullHead() {
      this.asked = el("p", { class: "tv-q" });
      return [el("h3", {}, "All tokens"), this.asked, el("p", { class: "tv-fine" }, `The full answer, with all ${this.owner.value.n || ""} visual tokens. Everything else is measured against it.`)];
    }

    get plan() { return this.owner.plans[this.index]; }

    head() {
      if (this.plan.method === T.BY_HAND)
        return [el("h3", {}, "Chosen by hand"), el("p", { class: "tv-fine" }, `Exactly the ${T.plural(this.plan.keep, "token")} painted in above, at their own places.`)];
      this.form = new T.PlanForm(this.owner, this.index, () => this.edited());
      this.more = new T.LaneMore(this);
      return [...this.form.nodes, this.more.node, this.forced()];
    }

    forced() {
      const { plan } = this;
      if (!(plan.forced || []).length) return null;
      const drop = el("button", { type: "button", class: "tv-tool tv-quiet", onclick: () => {
        plan.forced = plan.forcedText = null;
        this.owner.rebuild();
        this.owner.results();
      } }, "Let it choose");
      return el("p", { class: "tv-fine" }, `The answer is made to begin with “${plan.forcedText || "…"}”. `, drop);
    }

    edited() {
      if (!this.lane) return;
      this.node.classList.add("tv-stale");
      this.verdict.classList.add("tv-changed");
      this.verdict.textContent = "Settings changed: press Compare to run them.";
    }

    show(lane, phase) {
      const fresh = lane !== this.lane;
      if (lane && lane.by && this.form) this.form.keepLabel();
      if (this.asked) T.say(this.asked, (lane && lane.prompt) || "");
      this.lane = lane;
      if (fresh) this.node.classList.remove("tv-stale");
      this.node.classList.toggle("tv-waiting", phase === "running" && !(lane && lane.done));
      this.text(phase);
      this.numbers();
      const overlay = lane && lane.overlay;
      this.frame.style.visibility = this.legend.style.visibility = overlay ? "" : "hidden";
      if (!overlay) { this.overlay = null; return; }
      if (this.overlay !== overlay.id) { this.overlay = overlay.id; this.open(overlay); }
    }

    text(phase) {
      const { lane } = this;
      this.answer.classList.toggle("tv-typing", Boolean(lane && !lane.done && !lane.error));
      if (!lane) {
        fill(this.answer, el("span", { class: "tv-fine" }, phase === "running" ? "Waiting …" : "Not asked yet: press Compare."));
        this.verdict.textContent = "";
        return;
      }
      if (lane.error) fill(this.answer, el("span", { class: "tv-error" }, lane.error));
      else if (lane.words.length) fill(this.answer, ...T.markedWords(lane.words));
      else this.answer.textContent = lane.text || "…";
      fill(this.verdict, lane.by ? el("span", { class: "tv-by" }, `Answered by ${lane.by}. `) : null, lane.verdict);
      this.verdict.classList.toggle("tv-changed", lane.changed);
    }

    numbers() {
      const { lane } = this;
      const rows = lane ? lane.metrics.map((row) => el("tr", { title: row.title }, el("th", { scope: "row" }, row.name),
        el("td", {}, row.value), el("td", { class: row.trend ? `tv-${row.trend}` : "" }, row.ratio))) : [];
      if (lane && (lane.distances || []).length) rows.push(this.distances(lane.distances));
      fill(this.figures, el("tbody", {}, ...rows));
      const label = this.index < 0 ? "all tokens" : this.plan ? this.plan.method || "all tokens again" : "";
      fill(this.tools,
        lane && lane.overlay ? el("button", { type: "button", class: "tv-tool", "aria-label": `Explore ${label}`, onclick: () => { this.owner.trigger("explore", { lane: this.index }); T.bring("#tv-main"); } }, "Open in the viewer") : null,
        this.index >= 0 ? el("button", { type: "button", class: "tv-tool tv-quiet", "aria-label": `Remove ${label}`, disabled: this.owner.busy(), onclick: () => this.owner.remove(this.index) }, "Remove") : null);
    }

    distances(words) {
      const title = "Total variation distance of each next-word distribution from the full run's, at least: proven by the most probable words of both, up to where the answers part";
      return el("tr", { title }, el("th", { scope: "row" }, "next-word difference"),
        el("td", { colSpan: 2, class: "tv-apart" }, ...words.flatMap(({ text, share }) => [el("span", { style: `--share: ${share}`, title: `${text}: at least ${share}` }, text, share === "0%" ? "" : el("b", {}, ` ≥${share}`)), " "])));
    }

    async open(overlay) {
      const scene = new T.Scene(overlay);
      await this.painter.open(scene);
      if (this.overlay !== overlay.id) return;
      this.scene = scene;
      this.width = 0;
      if (this.more) this.more.layers(scene.layers);
      this.owner.repaint();
    }

    /* Attention of all words together in this lane's layer, or nothing when fates are shown. */
    looked() {
      const { scene, owner } = this;
      if (!scene || owner.pictures !== "looked" || !scene.attention) return null;
      const linked = T.explorers[0] ? T.explorers[0].view.layer : 0, own = this.plan ? this.plan.layer : null;
      const view = { map: "attention", layer: Math.min(own ?? linked, scene.layers - 1), head: -1, words: new Set(), peek: null, sinks: false };
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
      const looked = this.looked(), { scene } = this;
      if (looked) {
        const from = this.plan && Number.isInteger(this.plan.layer) ? "its own" : "as above";
        fill(this.legend, el("li", {}, el("span", { class: "tv-ramp", style: `background: linear-gradient(to right, ${T.palette.ramp.filter((_, i) => i % 51 === 0).join(",")})` }),
          `attention in layer ${looked.view.layer} (${from}): 0 to ${T.number(this.owner.high)} in every lane`));
        return;
      }
      const fates = scene.fatesAt(null), totals = [0, 0, 0];
      for (let i = 0; i < scene.n; i++) totals[fates ? fates[i] : 0]++;
      const groups = new Set(fates ? Array.from(scene.group.values).filter((group, i) => group >= 0 && fates[i] === 1) : []).size;
      const entries = [["kept", `kept ${totals[0]}`], ["merged", `merged ${totals[1]} into ${groups}`], ["pruned", `pruned ${totals[2]}`]];
      fill(this.legend, ...entries.filter((_, i) => totals[i]).map(([name, text]) => el("li", {}, T.swatch(name), text)));
    }

    paint(hover = -1) {
      const width = Math.floor(this.frame.clientWidth);
      if (!this.scene || !width || !this.painter.images) return;
      if (width !== this.width) { this.width = width; this.painter.arrange(width, 420); }
      const { scene } = this;
      if (this.lookOf !== scene) Object.assign(this, { lookOf: scene, look: this.compose() });
      this.painter.draw(Object.assign(this.look, { hover }));
    }

    compose() {
      const { scene, owner } = this, looked = this.looked();
      if (!looked) return { norm: null, opacity: 0, roles: scene.fatesAt(null), groups: scene.groupsAt(null), places: scene.placesAt(null), members: scene.membersAt(null), sinks: null, pinned: -1 };
      const sinks = scene.anySink ? Uint8Array.from({ length: scene.n }, (_, i) => +scene.isSink(looked.view, i)) : null;
      return { norm: looked.values.map((value) => (owner.high > 0 ? value / owner.high : 0)), opacity: 0.65, roles: null, groups: null, places: null, members: null, sinks, sinksIncluded: false, pinned: -1 };
    }

    listen() {
      this.canvas.addEventListener("pointermove", (event) => {
        if (!this.scene) return;
        const box = this.canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
        const token = this.painter.hit(x, y);
        this.tip.hidden = token < 0;
        if (token >= 0) fill(this.tip, ...this.lines(token).map((line, i) => el(i ? "span" : "b", {}, line)));
        this.tip.style.transform = `translate(${Math.max(0, Math.min(x + 12, box.width - this.tip.offsetWidth))}px, ${Math.max(0, y + 14)}px)`;
        if (token !== this.hovered) { this.hovered = token; this.paint(token); }
      });
      this.canvas.addEventListener("pointerleave", () => { this.tip.hidden = true; this.hovered = -1; this.paint(); });
    }

    lines(token) {
      const { scene } = this, fates = scene.fatesAt(null), looked = this.looked();
      const lines = [`token ${token} · row ${scene.row.values[token]}, column ${scene.col.values[token]}`];
      if (looked) lines.push(Number.isFinite(looked.values[token]) ? `attention ${T.number(looked.values[token])} in layer ${looked.view.layer}` : `not there in layer ${looked.view.layer}`);
      if (!fates) return [...lines, "kept"];
      const group = scene.group.values[token], size = (scene.members.get(group) || []).length;
      const stage = scene.payload.stages[scene.went.values[token]];
      const where = stage ? (stage.layer === null ? stage.where : `${stage.where}, layer ${stage.layer}`) : "";
      lines.push(fates[token] === 0 ? "kept" : fates[token] === 2 ? `pruned ${where}` : `merged into group ${group}: ${T.plural(size, "token")}, represented by token ${scene.place.values[token]}`);
      if (scene.score && Number.isFinite(scene.score.values[token])) lines.push(`method's score ${T.number(scene.score.values[token])}`);
      return lines;
    }
  };
})();
