/* One run as the browser sees it: decoded arrays, and the numbers that a view of them shows. */
(() => {
  const T = window.__tokviz;
  if (T.Scene) return;

  const arrays = ["box", "pane", "tile", "row", "col", "kind", "attention", "heads", "share", "before", "tower",
    "tower_heads", "tam", "phi", "sinks", "fates", "groups", "places", "went", "score", "registers"];

  T.Scene = class {
    constructor(payload) {
      this.payload = payload;
      this.n = payload.n;
      this.words = payload.words || [];
      for (const name of arrays) this[name] = T.unpack(payload[{ groups: "group", places: "place" }[name] || name]);
      this.roles = payload.roles || [];
      this.memory = new Map();
      this.rankMemory = new WeakMap();
      this.sent = payload.attention_layers || null; // a long answer about many tokens: not every layer
      this.layers = this.sent ? this.share.shape[1] : this.attention ? this.attention.shape[1] : this.phi ? this.phi.shape[0] : 0;
      this.headCount = this.heads ? this.heads.shape[2] : 0;
      this.towerHeads = this.tower_heads ? this.tower_heads.shape[1] : 0;
      this.meanShare = this.shares(null);
      this.link();
      this.maps = this.menu();
    }

    /* Right and lower neighbour of each token in its tile, for group outlines. */
    link() {
      const at = new Map();
      const key = (tile, row, col) => `${tile},${row},${col}`;
      this.right = new Int32Array(this.n).fill(-1);
      this.down = new Int32Array(this.n).fill(-1);
      for (let i = 0; i < this.n; i++)
        if (this.kind.values[i] === 0) at.set(key(this.tile.values[i], this.row.values[i], this.col.values[i]), i);
      for (const i of at.values()) {
        const [tile, row, col] = [this.tile.values[i], this.row.values[i], this.col.values[i]];
        this.right[i] = at.get(key(tile, row, col + 1)) ?? -1;
        this.down[i] = at.get(key(tile, row + 1, col)) ?? -1;
      }
    }

    /* Compute once per key. */
    once(key, make) {
      if (!this.memory.has(key)) this.memory.set(key, make());
      return this.memory.get(key);
    }

    last(stage) {
      const final = this.fates.shape[0] - 1;
      return stage === null || stage === undefined ? final : Math.min(stage, final);
    }

    stageRow(field, stage) {
      const at = this.last(stage);
      return at < 0 ? null : field.values.subarray(at * this.n, (at + 1) * this.n);
    }

    /* Fates after a stage (default: the last, -1: before the first), or null when this run kept everything. */
    fatesAt(stage) {
      if (!this.fates) return null;
      return this.stageRow(this.fates, stage) || this.once("all", () => new Uint8Array(this.n));
    }

    /* Output token of each token, and the token at whose place that one stands. */
    groupsAt(stage) { return this.fates ? this.stageRow(this.groups, stage) : null; }

    placesAt(stage) { return this.fates ? this.stageRow(this.places, stage) : null; }

    /* group -> its source tokens, after a stage. */
    membersAt(stage) {
      const groups = this.groupsAt(stage);
      if (!groups) return new Map();
      return this.once(`members${this.last(stage)}`, () => {
        const members = new Map();
        groups.forEach((group, i) => {
          if (group < 0) return;
          if (!members.has(group)) members.set(group, []);
          members.get(group).push(i);
        });
        return members;
      });
    }

    get group() { return this.fates ? { values: this.groupsAt(null) } : null; }

    get place() { return this.fates ? { values: this.placesAt(null) } : null; }

    get members() { return this.membersAt(null); }

    menu() {
      const lost = this.payload.missing || {};
      const cls = this.payload.tower_kind !== "received";
      return [
        { id: "attention", label: "Attention", has: this.attention, layers: this.layers, heads: this.headCount,
          help: "How much of its attention each answer word put on each patch.", why: lost.attention },
        { id: "tam", label: "Token map", has: this.tam, layers: 0, heads: 0, why: lost.tam,
          help: "Token Activation Map: how strongly each patch by itself speaks for the word, with what earlier words explain taken off." },
        { id: "tower", label: cls ? "[CLS]" : "Received", has: this.tower, heads: this.towerHeads, why: lost.tower,
          layers: this.tower ? this.tower.shape[0] : 0,
          help: cls ? "What the vision tower's [CLS] token attends to, before any question is asked." : lost.cls },
        { id: "phi", label: "Sinks", has: this.phi, layers: this.phi ? this.phi.shape[0] : 0, heads: 0, why: lost.phi,
          help: this.payload.sink_note || "Sink statistic: large where a token is an attention sink." },
        ...(this.score ? [{ id: "score", label: "Method's score", has: this.score, layers: 0, heads: 0,
          help: "The importance by which the method decided." }] : []),
      ];
    }

    map(id) { return this.maps.find((map) => map.id === id); }

    /* A token with the further tokens of its character. */
    chip(first) {
      const all = [first];
      while (this.words[all[all.length - 1] + 1]?.part) all.push(all[all.length - 1] + 1);
      return all;
    }

    /* Which words a view adds up; none chosen means all that are text. */
    chosen(view) {
      if (view.peek !== null && view.peek < this.words.length) return this.chip(view.peek);
      if (view.words.size) return [...new Set([...view.words].filter((word) => word < this.words.length).flatMap((word) => this.chip(word)))];
      const text = this.words.map((_, i) => i).filter((i) => !this.words[i].special);
      return text.length ? text : this.words.map((_, i) => i);
    }

    /* The numbers of a view, the last one's kept: moving another slider must not add them up again. */
    shown(view) {
      const key = `${view.map} ${view.layer} ${view.head} ${this.chosen(view)} ${view.words.size || view.peek !== null}`;
      if (this.shownKey !== key) Object.assign(this, { shownKey: key, shownValues: this.values(view) });
      return this.shownValues;
    }

    /* The same numbers as shares of the colour scale, 0 to 1; NaN where there is none. */
    normal(values, { low, high }, scaling) {
      const key = [values, low, high, scaling];
      if (this.normalKey && key.every((part, i) => part === this.normalKey[i])) return this.normalShares;
      const span = high - low, last = Math.max(this.n - 1, 1), ranks = scaling === "rank" ? this.ranks(values) : null;
      this.normalKey = key;
      this.normalShares = values.map((value, i) => {
        if (!Number.isFinite(value)) return NaN;
        return ranks ? 1 - (ranks[i] - 1) / last : T.scaled(span > 0 ? (value - low) / span : 0, scaling);
      });
      return this.normalShares;
    }

    /* The numbers of a view, one per token. Chosen words are summed; all words are averaged. */
    values(view) {
      const out = new Float32Array(this.n).fill(NaN);
      const map = this.map(view.map);
      if (!map || !map.has || !this.n) return out;
      const layer = Math.min(view.layer, Math.max(map.layers - 1, 0));
      if (view.map === "score" || view.map === "phi") {
        const start = view.map === "phi" ? layer * this.n : 0;
        return map.has.values.slice(start, start + this.n);
      }
      if (view.map === "tower") {
        const head = view.head < this.towerHeads ? view.head : -1, n = this.n;
        const start = head < 0 ? layer * n : (layer * this.towerHeads + head) * n;
        return (head < 0 ? this.tower : this.tower_heads).values.slice(start, start + n);
      }
      return this.sum(view, layer, out);
    }

    /* Where a word's attention in a layer begins; of a layer that was not sent, in the nearest that was. */
    attentionAt(word, layer) {
      const place = this.sent ? this.sent.indexOf(this.drawnLayer(layer)) : layer;
      return (word * this.attention.shape[1] + place) * this.n;
    }

    drawnLayer(layer) {
      if (!this.sent) return layer;
      return this.sent.reduce((best, one) => (Math.abs(one - layer) < Math.abs(best - layer) ? one : best));
    }

    sum(view, layer, out) {
      const words = this.chosen(view), n = this.n;
      const weight = view.words.size || view.peek !== null ? 1 : 1 / Math.max(words.length, 1);
      const head = view.head < this.headCount ? view.head : -1;
      out.fill(0);
      for (const word of words) {
        const [source, start] = view.map === "tam" ? [this.tam, word * n]
          : head < 0 ? [this.attention, this.attentionAt(word, layer)]
            : [this.heads, ((word * this.layers + layer) * this.headCount + head) * n];
        for (let i = 0; i < n; i++) out[i] += weight * source.values[start + i];
      }
      return out;
    }

    /* For one token: how much each word used it, in the current layer and map. */
    users(view, token) {
      const one = { ...view, words: new Set(), peek: null };
      if (view.map !== "attention" && view.map !== "tam") one.map = "attention";
      if (!this.map(one.map).has) return null;
      return this.words.map((_, word) => {
        const layer = Math.min(view.layer, Math.max(this.layers - 1, 0));
        const start = one.map === "tam" ? word * this.n : this.attentionAt(word, layer);
        return (one.map === "tam" ? this.tam : this.attention).values[start + token];
      });
    }

    /* Share of attention on the image per layer, mean over the chosen words; or another field [t, l]. */
    shares(view, field = this.share) {
      if (!field) return null;
      const [t, l] = field.shape, out = new Float32Array(l);
      const words = view ? this.chosen(view) : Array.from({ length: t }, (_, i) => i);
      for (const word of words) for (let i = 0; i < l; i++) out[i] += field.values[word * l + i] / words.length;
      return out;
    }

    /* What share of the shown image attention falls on sinks, per layer. */
    sinkShares(view) {
      if (!this.sinks || !this.attention || !this.anySink) return null;
      return this.once(`sunk${this.chosen(view)}`, () => Array.from({ length: this.layers }, (_, layer) => {
        const values = this.values({ ...view, map: "attention", layer, head: -1 });
        let all = 0, sunk = 0;
        for (let i = 0; i < this.n; i++) {
          if (!Number.isFinite(values[i])) continue;
          all += values[i];
          if (this.sinks.values[layer * this.n + i]) sunk += values[i];
        }
        return all ? sunk / all : 0;
      }));
    }

    get registerTokens() {
      return this.once("registers", () => (this.registers ? Array.from(this.registers.values.keys()).filter((i) => this.registers.values[i]) : []));
    }

    /* In words, which picture and which of its tiles a token belongs to. */
    where(token) {
      const { panes, images } = this.payload, number = this.pane.values[token], pane = panes[number];
      const of = images.length > 1 ? ` of image ${pane.image + 1}` : "";
      if (pane.role === "whole") return `image ${pane.image + 1}`;
      return pane.role === "thumbnail" ? `small view${of}` : `tile ${this.tile.values[token]}${of}`;
    }

    /* Tokens that are no patches: row ends and separators. */
    get markTokens() {
      return this.once("marks", () => Array.from(this.kind.values.keys()).filter((i) => this.kind.values[i] !== 0));
    }

    get anySink() { return this.once("anySink", () => Boolean(this.sinks && this.sinks.values.some(Boolean))); }

    /* Every head of the view's layer: its numbers, their sum, and one range for all of them. */
    headMaps(view) {
      const map = this.map(view.map);
      if (!map || !map.heads || !map.has) return null;
      const key = `heads ${view.map} ${view.layer} ${view.sinks} ${view.map === "attention" ? this.chosen(view) : ""}`;
      if (this.headKey === key) return this.headCache;
      const heads = Array.from({ length: map.heads }, (_, head) => {
        const values = this.values({ ...view, head });
        return { head, values, mass: values.reduce((sum, value) => sum + (Number.isFinite(value) ? value : 0), 0) };
      });
      const range = { low: 0, high: Math.max(...heads.map(({ values }) => this.range(values, view).high)) };
      this.headKey = key;
      this.headCache = { heads: [...heads].sort((a, b) => b.mass - a.mass || a.head - b.head), range };
      return this.headCache;
    }

    /* The range of the colours: of this view, of all heads when one is looked at, or of all layers. */
    scaleRange(values, view) {
      const map = this.map(view.map), heads = view.head >= 0 && view.head < map.heads ? this.headMaps(view) : null;
      if (view.common && map.layers > 1) {
        return this.once(`range ${view.map} ${view.head} ${view.sinks} ${view.map === "attention" ? this.chosen(view) : ""}`, () => {
          const highs = Array.from({ length: map.layers }, (_, layer) => this.range(this.values({ ...view, layer }), { ...view, layer }).high);
          return { low: 0, high: Math.max(...highs) };
        });
      }
      return heads ? heads.range : this.range(values, view);
    }

    /* u1 [n]: the sinks of the view's layer, or null where its map knows none. */
    sinkRow(view) {
      if (!this.anySink || (view.map !== "attention" && view.map !== "phi")) return null;
      const layer = Math.min(view.layer, this.sinks.shape[0] - 1);
      return this.once(`sinks${layer}`, () => this.sinks.values.subarray(layer * this.n, (layer + 1) * this.n));
    }

    isSink(view, token) {
      const row = this.sinkRow(view);
      return Boolean(row) && row[token] === 1;
    }

    /* Range of a view's numbers; sinks are left out unless asked for. */
    range(values, view) {
      const sinks = view.sinks ? null : this.sinkRow(view);
      let low = Infinity, high = -Infinity;
      for (let i = 0; i < this.n; i++) {
        if (!Number.isFinite(values[i]) || (sinks && sinks[i])) continue;
        low = Math.min(low, values[i]);
        high = Math.max(high, values[i]);
      }
      if (low > high) return { low: 0, high: 0 };
      return { low: low >= 0 ? 0 : low, high };
    }

    /* Rank of each token, 1 = highest; ties go to the lower index; tokens without a number come last. */
    ranks(values) {
      if (!this.rankMemory.has(values)) this.rankMemory.set(values, this.rank(values));
      return this.rankMemory.get(values);
    }

    /* Sorted as plain numbers, which takes a tenth of the time that a comparison in a function takes: the bits of a
       32-bit float, turned so that larger values come first, then the token's index. */
    rank(values) {
      const bits = new Int32Array(Float32Array.from(values, (value) => (Number.isFinite(value) ? value + 0 : -Infinity)).buffer);
      const keys = Float64Array.from(bits, (bit, i) => (bit < 0 ? bit & 0x7fffffff : -bit) * this.n + i).sort();
      const ranks = new Int32Array(this.n);
      keys.forEach((key, place) => { ranks[key - this.n * Math.floor(key / this.n)] = place + 1; });
      return ranks;
    }
  };
})();
