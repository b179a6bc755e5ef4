/* The big picture with its words and controls. Everything here happens in the browser. */
(() => {
  const T = window.__tokviz;
  if (T.Explorer) return;

  const fresh = () => ({ map: "attention", layer: 0, head: -1, words: new Set(), peek: null, keep: 0,
    opacity: 65, scaling: "linear", sinks: false, fates: true, stage: null, hover: -1, pinned: -1 });

  T.Explorer = class {
    constructor(root, { server }) {
      this.root = root;
      this.server = server;
      this.parts = {};
      root.querySelectorAll("[data-part]").forEach((node) => { this.parts[node.dataset.part] = node; });
      this.painter = new T.Painter(this.parts.canvas);
      this.view = fresh();
      this.panel = new T.ExplorerPanel(this);
      this.listen();
      new ResizeObserver(() => this.resize()).observe(this.parts.frame);
      T.explorers.push(this);
    }

    /* A new payload: another run, the same run with more words, or nothing. */
    async load(payload) {
      if (!payload || !payload.panes) return;
      const before = this.scene && this.scene.payload;
      this.ticket = (this.ticket || 0) + 1;
      const ticket = this.ticket, scene = new T.Scene(payload);
      await this.painter.open(scene);
      if (ticket !== this.ticket) return;
      this.scene = scene;
      this.root.querySelector(".tv-explorer").classList.remove("tv-empty");
      const key = (one) => JSON.stringify([one.id, one.n, one.view]);
      if (!before || key(before) !== key(payload)) this.begin(payload);
      this.resize(true);
      this.panel.build();
      this.update();
    }

    /* Starting view of a run: what it asks for, else what the reader had chosen, else the best layer. */
    begin(payload) {
      const { scene, view } = this, asked = payload.view || {};
      const usable = (id) => { const map = scene.map(id); return map && map.has; };
      Object.assign(view, { words: new Set(), peek: null, hover: -1, pinned: -1, stage: null, keep: scene.n });
      const wanted = [asked.map, view.map, "attention", "tam", "tower"].find((id) => id && usable(id));
      view.map = wanted || "attention";
      view.layer = this.pickLayer(asked.layer);
      view.fates = Boolean(scene.fates) && asked.fates !== false;
      if (Number.isInteger(asked.head)) view.head = asked.head;
      if (asked.opacity >= 0 && asked.opacity <= 100) view.opacity = asked.opacity;
      if (asked.keep >= 1 && asked.keep < scene.n) Object.assign(view, { keep: asked.keep, fates: false });
      for (const word of asked.words || []) if (word >= 0 && word < scene.words.length) view.words.add(word);
      if (asked.token >= 0 && asked.token < scene.n) view.pinned = asked.token;
    }

    pickLayer(asked) {
      const map = this.scene.map(this.view.map), layers = map ? map.layers : 0;
      if (Number.isInteger(asked)) return Math.max(0, Math.min(asked, layers - 1));
      if (this.touchedLayer && this.view.layer < layers) return this.view.layer;
      if (this.view.map !== "attention" || !this.scene.meanShare) return Math.max(layers - 2, 0);
      return this.scene.meanShare.indexOf(Math.max(...this.scene.meanShare));
    }

    resize(force) {
      const width = Math.floor(this.parts.frame.clientWidth);
      if (!this.scene || !width || (!force && width === this.width)) return;
      this.width = width;
      this.painter.arrange(width, Math.max(260, Math.min(900, window.innerHeight * 0.8)));
      this.paint();
    }

    /* Something was chosen: texts follow at once, the picture in the next frame. */
    update() {
      this.asked = performance.now();
      this.look = null;
      this.panel.refresh();
      if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.paint(); });
    }

    /* Only the pointer moved. */
    point(token) {
      if (token === this.view.hover) return;
      this.view.hover = token;
      this.asked = performance.now();
      this.panel.users(token);
      if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.paint(); });
    }

    paint() {
      if (!this.scene || !this.painter.rects.length || !this.painter.images) return;
      if (!this.look) this.look = this.compose();
      Object.assign(this.look, { hover: this.view.hover, pinned: this.view.pinned });
      this.painter.draw(this.look);
      if (this.asked) T.lastPaintMs = performance.now() - this.asked;
      this.asked = 0;
    }

    /* What to draw for the current view. */
    compose() {
      const { scene, view } = this, values = scene.values(view), map = scene.map(view.map);
      const shown = map && map.has && scene.n, range = scene.range(values, view);
      const ranks = scene.ranks(values);
      const sinks = shown && scene.sinks ? Uint8Array.from({ length: scene.n }, (_, i) => +scene.isSink(view, i)) : null;
      const fates = view.fates ? scene.fatesAt(view.stage) : null;
      const preview = !fates && view.keep < scene.n ? ranks.map((rank) => (rank <= view.keep ? 0 : 2)) : null;
      this.values = values;
      this.ranks = ranks;
      this.range = range;
      return {
        norm: shown && !fates ? this.normal(values, range, ranks) : null, opacity: view.opacity / 100,
        roles: fates || preview, groups: fates ? scene.group.values : null,
        sinks, sinksIncluded: view.sinks, preview: Boolean(preview),
      };
    }

    normal(values, range, ranks) {
      const span = range.high - range.low, { scaling } = this.view, last = Math.max(this.scene.n - 1, 1);
      return values.map((value, i) => {
        if (!Number.isFinite(value)) return NaN;
        if (scaling === "rank") return 1 - (ranks[i] - 1) / last;
        const share = span > 0 ? Math.min(Math.max((value - range.low) / span, 0), 1) : 0;
        return scaling === "log" ? Math.log1p(99 * share) / Math.log(100) : share;
      });
    }

    /* Sentences about one token, for the tip. */
    describe(token) {
      const { scene, view } = this, lines = [];
      const kind = scene.kind.values[token];
      if (kind !== 0) lines.push(kind === 1 ? `token ${token}: line break between rows` : `token ${token}: separator`);
      else lines.push(`token ${token} · row ${scene.row.values[token]}, column ${scene.col.values[token]}`);
      const map = scene.map(view.map), value = this.values[token];
      if (map && map.has) lines.push(Number.isFinite(value)
        ? `${map.label.toLowerCase()} ${T.number(value)} · rank ${this.ranks[token]} of ${scene.n}`
        : `${map.label.toLowerCase()}: no number here`);
      if (view.map !== "score" && scene.score) lines.push(`method's score ${T.number(scene.score.values[token])}`);
      if (kind === 0) {
        const [x0, y0, x1, y1] = Array.from(scene.box.values.subarray(4 * token, 4 * token + 4), Math.round);
        lines.push(`pixels x ${x0}–${x1}, y ${y0}–${y1}`);
      }
      const fate = this.fate(token);
      if (fate) lines.push(fate);
      if (scene.isSink(view, token)) lines.push("attention sink in this layer");
      return lines;
    }

    fate(token) {
      const { scene, look } = this;
      if (look && look.preview) return look.roles[token] === 0 ? "would be kept" : "would be pruned";
      const fates = scene.fatesAt(this.view.stage);
      if (!fates) return "kept (nothing was removed)";
      const went = scene.went.values[token], stage = scene.payload.stages[went];
      const where = stage ? `${stage.title}, ${stage.layer === null ? stage.where : `layer ${stage.layer}`}` : "";
      if (fates[token] === 0) return "kept";
      if (fates[token] === 2) return `pruned (${where})`;
      const group = scene.group.values[token], size = (scene.members.get(group) || []).length;
      return `merged into group ${group} (${T.plural(size, "token")}, stands at token ${scene.place.values[token]}; ${where})`;
    }

    listen() {
      const { canvas } = this.parts;
      const at = (event) => {
        const box = canvas.getBoundingClientRect();
        return this.scene ? this.painter.hit(event.clientX - box.left, event.clientY - box.top) : -1;
      };
      canvas.addEventListener("pointermove", (event) => { const token = at(event); this.point(token); this.panel.tip(token, event); });
      canvas.addEventListener("pointerleave", () => { this.point(-1); this.panel.tip(-1); });
      canvas.addEventListener("click", (event) => {
        const token = at(event);
        this.view.pinned = token === this.view.pinned ? -1 : token;
        this.update();
      });
      this.root.addEventListener("keydown", (event) => this.key(event));
    }

    key(event) {
      const { view } = this, onCanvas = event.target === this.parts.canvas;
      const plain = onCanvas || event.target === this.parts.bars || event.target.closest(".tv-words");
      const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
      if (event.key === "Escape") {
        Object.assign(view, { words: new Set(), peek: null, pinned: -1, hover: -1, keep: this.scene.n });
        this.panel.tip(-1);
      } else if (step && onCanvas && event.shiftKey) this.walk(event.key);
      else if (step && plain && this.scene.map(view.map).layers) this.layer(view.layer + step);
      else return;
      event.preventDefault();
      this.update();
    }

    layer(number) {
      this.view.layer = Math.max(0, Math.min(number, this.scene.map(this.view.map).layers - 1));
      this.view.fates = false;
      this.touchedLayer = true;
    }

    /* Shift and arrows move the pinned token over the picture. */
    walk(key) {
      const { scene, view } = this, from = Math.max(view.pinned, 0);
      const back = (links) => links.indexOf(from);
      const to = view.pinned < 0 ? 0 : { ArrowRight: scene.right[from], ArrowDown: scene.down[from],
        ArrowLeft: back(scene.right), ArrowUp: back(scene.down) }[key];
      if (to >= 0) view.pinned = to;
    }
  };
})();
