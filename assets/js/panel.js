/* Words, map menu, layer bars, sliders, legend and texts of the explorer. */
(() => {
  const T = window.__tokviz;
  if (T.ExplorerPanel) return;
  const { el, fill } = T;

  T.ExplorerPanel = class {
    constructor(owner) {
      this.owner = owner;
      this.parts = owner.parts;
      this.share = new T.Sharing(owner);
      this.drawBar();
      this.wire();
    }

    wire() {
      const { parts, owner } = this, view = () => owner.view;
      const set = (change) => { change(); owner.update(); };
      parts.keep.addEventListener("input", () => set(() => { view().keep = +parts.keep.value; view().fates = false; }));
      parts.opacity.addEventListener("input", () => set(() => Object.assign(view(), { opacity: +parts.opacity.value, fates: false })));
      parts.fates.addEventListener("change", () => set(() => { view().fates = parts.fates.checked; }));
      parts.sinks.addEventListener("change", () => set(() => { view().sinks = parts.sinks.checked; }));
      parts.stage.addEventListener("change", () => set(() => { view().stage = +parts.stage.value; view().fates = true; }));
      parts.scaling.addEventListener("change", () => set(() => { view().scaling = parts.scaling.value; }));
      parts.head.addEventListener("change", () => set(() => { view().head = +parts.head.value; }));
      parts.bars.addEventListener("click", (event) => {
        const bar = event.target.closest("[data-layer]");
        if (bar) set(() => owner.layer(+bar.dataset.layer));
      });
    }

    drawBar() {
      const pen = this.parts.bar.getContext("2d");
      T.palette.ramp.forEach((colour, x) => { pen.fillStyle = colour; pen.fillRect(x, 0, 1, 1); });
    }

    /* Once per payload. */
    build() {
      const { parts, owner } = this, { scene, view } = owner, { payload } = scene;
      parts.question.textContent = payload.prompt;
      this.buildWords();
      this.buildMaps();
      parts.keep.max = Math.max(scene.n, 1);
      parts.keep.disabled = !scene.n;
      const stages = payload.stages || [];
      fill(parts.stage, ...stages.map((stage, i) => el("option", { value: String(i) },
        `${stage.title}${stage.layer === null ? "" : `, layer ${stage.layer}`} (${stage.left} left)`)));
      parts.stageBox.hidden = stages.length < 2;
      parts.fatesBox.hidden = !scene.fates;
      parts.sinksBox.hidden = !(scene.sinks && scene.sinks.values.some(Boolean));
      parts.sinkNote.textContent = payload.sink_note || "";
      fill(parts.notes, ...payload.notes.map((note) => el("li", {}, note)));
      parts.canvas.setAttribute("aria-label", `${payload.title || "Image"} with ${scene.n} visual tokens. Arrow keys change the layer, Shift and arrow keys move over the tokens, Escape clears.`);
      if (view.stage === null && stages.length) parts.stage.value = String(stages.length - 1);
      this.share.build();
    }

    buildWords() {
      const { owner, parts } = this, { scene } = owner;
      this.wordNodes = scene.words.map((word, i) => {
        const peek = (on) => () => { owner.view.peek = on ? i : null; owner.update(); };
        const node = el("button", {
          type: "button", class: `tv-word${word.special ? " tv-special" : ""}`,
          onclick: () => this.toggle(i), onpointerenter: peek(true), onpointerleave: peek(false),
          onfocus: () => this.detail(i), "aria-pressed": "false",
        }, el("span", {}, word.special ? "end" : word.text), el("i", { class: "tv-use" }));
        if (Number.isFinite(word.prob)) node.style.setProperty("--prob", word.prob);
        if (word.prob < 0.5) node.classList.add("tv-unsure");
        return node;
      });
      const spaced = scene.words.flatMap((word, i) => (word.lead ? [" ", this.wordNodes[i]] : [this.wordNodes[i]]));
      fill(parts.words, ...spaced);
      if (!scene.words.length) fill(parts.words, el("span", { class: "tv-fine" }, "…"));
      parts.words.classList.toggle("tv-typing", scene.payload.phase === "streaming");
    }

    toggle(word) {
      const { words } = this.owner.view;
      if (!words.delete(word)) words.add(word);
      this.owner.view.fates = false;
      this.owner.view.peek = null;
      this.owner.update();
    }

    buildMaps() {
      const { owner, parts } = this, { scene, view } = owner;
      const choose = (map) => () => {
        Object.assign(view, { map: map.id, fates: false });
        if (map.layers) view.layer = Math.min(view.layer, map.layers - 1);
        owner.update();
      };
      const radios = scene.maps.map((map) => el("label", { class: `tv-map${map.has ? "" : " tv-off"}`, title: map.has ? map.help || "" : map.why || "" },
        el("input", { type: "radio", name: `map${T.explorers.length}`, value: map.id, disabled: !map.has, onchange: choose(map) }),
        el("span", {}, map.label)));
      fill(parts.maps, parts.maps.querySelector("legend"), ...radios);
    }

    /* After every change of the view. */
    refresh() {
      const { owner, parts } = this, { scene, view } = owner;
      if (!scene) return;
      owner.look = owner.compose();
      const map = scene.map(view.map);
      parts.maps.querySelectorAll("input").forEach((radio) => { radio.checked = radio.value === view.map; });
      parts.help.textContent = (map && (map.has ? map.help : map.why)) || "";
      this.refreshWords();
      this.refreshLayers(map);
      parts.keep.value = view.keep;
      parts.keepText.textContent = view.keep >= scene.n ? `all ${scene.n}` : `${view.keep} of ${scene.n}`;
      parts.opacity.value = view.opacity;
      parts.opacityText.textContent = `${view.opacity} %`;
      parts.fates.checked = view.fates;
      parts.sinks.checked = view.sinks;
      parts.scaling.value = view.scaling;
      this.refreshScale(map);
      this.legend();
      parts.lead.textContent = T.leadSentence(owner);
      this.users(view.hover);
      if (view.peek !== null) this.detail(view.peek);
      else if (view.words.size) this.detail([...view.words].pop());
      else parts.detail.textContent = scene.words.length ? "Hover a word to see its map, click to hold it, click more to add them up." : "";
    }

    refreshWords() {
      const { words } = this.owner.view;
      this.wordNodes.forEach((node, i) => {
        node.setAttribute("aria-pressed", String(words.has(i)));
        node.classList.toggle("tv-peek", this.owner.view.peek === i);
      });
    }

    refreshLayers(map) {
      const { owner, parts } = this, { scene, view } = owner, layers = map ? map.layers : 0;
      parts.layers.hidden = !layers;
      if (!layers) return;
      const shares = view.map === "attention" ? scene.shares(view) : null, sunk = shares && scene.sinkShares(view);
      const top = shares ? Math.max(...shares, 0.01) : 1;
      const bars = Array.from({ length: layers }, (_, i) => {
        const bar = el("span", { "data-layer": String(i), class: i === view.layer ? "tv-bar tv-now" : "tv-bar",
          title: shares ? `layer ${i}: ${T.percent(shares[i])} of the attention is on the image` : `layer ${i}` }, el("i"), el("b"));
        bar.firstChild.style.height = `${shares ? (100 * shares[i]) / top : 45}%`;
        bar.lastChild.style.height = sunk ? `${(100 * shares[i] * sunk[i]) / top}%` : "0";
        return bar;
      });
      fill(parts.bars, ...bars);
      for (const [name, value] of [["min", 0], ["max", layers - 1], ["now", view.layer]]) parts.bars.setAttribute(`aria-value${name}`, String(value));
      const where = view.map === "tower" ? "Vision tower layer" : "Layer";
      parts.bars.setAttribute("aria-valuetext", `${where} ${view.layer}`);
      fill(parts.layerLabel, `${where} `, el("b", {}, String(view.layer)), ` of 0–${layers - 1}`);
      parts.layerNote.textContent = shares
        ? `Bars: share of attention on the image, at most ${T.percent(top)}${sunk && sunk.some((s) => s > 0.005) ? "; striped: the part on sinks" : ""}.`
        : "";
      parts.layerNote.hidden = !shares;
      this.refreshHeads(map);
    }

    refreshHeads(map) {
      const { parts, owner } = this;
      parts.headLabel.hidden = !map.heads;
      if (+parts.head.dataset.count !== map.heads) {
        const choices = Array.from({ length: map.heads }, (_, head) => el("option", { value: String(head) }, String(head)));
        fill(parts.head, el("option", { value: "-1" }, `mean of ${map.heads}`), ...choices);
        parts.head.dataset.count = map.heads;
      }
      parts.head.value = String(owner.view.head < map.heads ? owner.view.head : -1);
    }

    refreshScale(map) {
      const { parts, owner } = this, { low, high } = owner.range, { scaling } = owner.view;
      const drawn = Boolean(owner.look.norm);
      parts.scale.classList.toggle("tv-blank", !drawn);
      const rank = scaling === "rank";
      parts.low.textContent = rank ? "lowest" : T.number(low);
      parts.high.textContent = rank ? "highest" : T.number(high);
      parts.unit.textContent = drawn ? `${map.label}${scaling === "log" ? ", log scale" : rank ? ", by rank" : ""}` : "";
    }

    legend() {
      const { owner, parts } = this, { scene, look } = owner, entries = [];
      const count = (test) => Array.from({ length: scene.n }, (_, i) => test(i)).filter(Boolean).length;
      if (look.roles) {
        const would = look.preview ? "would be " : "";
        [["kept", 0], ["merged", 1], ["pruned", 2]].forEach(([name, code]) => {
          const total = count((i) => look.roles[i] === code);
          if (total) entries.push([name, `${would}${name} ${total}`]);
        });
      } else if (scene.n) entries.push(["kept", `all ${scene.n} tokens kept`]);
      const sinks = look.sinks ? count((i) => look.sinks[i]) : 0;
      if (sinks) entries.push(["sink", `${T.plural(sinks, "attention sink")}${owner.view.sinks ? "" : ", left out of the colours"}`]);
      if (scene.payload.panes.some((pane) => pane.unseen.length)) entries.push(["unseen", "not seen by the model"]);
      if (count((i) => scene.kind.values[i] !== 0)) entries.push(["mark", "row ends and separators"]);
      if (look.norm && count((i) => !Number.isFinite(look.norm[i]))) entries.push(["absent", "no number here"]);
      fill(parts.legend, ...entries.map(([name, text]) => el("li", {}, T.swatch(name), text)));
    }

    detail(number) {
      const word = this.owner.scene.words[number];
      if (!word) return;
      const others = word.candidates.filter(([text]) => text.trim() !== word.text).slice(0, 4);
      const sure = Number.isFinite(word.prob) ? ` ${T.percent(word.prob)}` : "";
      fill(this.parts.detail, el("b", {}, `“${word.special ? "end of answer" : word.text}”`), sure,
        others.length ? " · instead: " : "", ...others.flatMap(([text, prob], i) => [i ? ", " : "", el("q", {}, text), ` ${T.percent(prob)}`]));
    }

    /* Underline each word by how much it used the token under the pointer. */
    users(token) {
      const { owner } = this, { scene, view } = owner, shown = token >= 0 ? token : view.pinned;
      const use = shown >= 0 && scene && scene.words.length ? scene.users(view, shown) : null;
      const top = use ? Math.max(...use.filter(Number.isFinite), 1e-9) : 1;
      (this.wordNodes || []).forEach((node, i) => { node.lastChild.style.opacity = use ? Math.max(use[i] || 0, 0) / top : 0; });
    }

    tip(token, event) {
      const { tip, frame } = this.parts;
      tip.hidden = token < 0;
      if (token < 0 || !event) return;
      const lines = this.owner.describe(token);
      fill(tip, ...lines.map((line, i) => el(i ? "span" : "b", {}, line)));
      const box = frame.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
      const left = x + 16 + tip.offsetWidth > box.width ? x - tip.offsetWidth - 12 : x + 16;
      const top = y + 16 + tip.offsetHeight > box.height ? y - tip.offsetHeight - 8 : y + 16;
      tip.style.transform = `translate(${Math.max(0, left)}px, ${Math.max(0, top)}px)`;
    }
  };

  /* A small picture of a role for the legend. */
  T.swatch = (name) => {
    const canvas = el("canvas", { width: 40, height: 28, class: "tv-swatch", "aria-hidden": "true" }), pen = canvas.getContext("2d");
    pen.scale(2, 2);
    pen.fillStyle = "#9fb6c9";
    pen.fillRect(0, 0, 20, 14);
    if (name === "merged") pen.fillStyle = T.palette.dots(pen, 0, 2);
    else if (name === "mark") { pen.fillStyle = "#000"; pen.fillRect(8, 0, 5, 14); pen.fillStyle = "#fff"; }
    else if (name !== "kept") pen.fillStyle = T.palette.pattern(pen, name, 2);
    if (name === "mark") pen.fillRect(9, 1, 3, 12);
    else if (name !== "kept") pen.fillRect(0, 0, 20, 14);
    pen.strokeStyle = "#000";
    pen.lineWidth = name === "kept" ? 3 : 1.5;
    pen.strokeRect(0, 0, 20, 14);
    if (name === "kept" || name === "merged") { pen.strokeStyle = "#fff"; pen.lineWidth = 1.5; pen.strokeRect(2.2, 2.2, 15.6, 9.6); }
    return canvas;
  };

  T.fateSentence = (scene, roles) => {
    const count = (code) => roles.filter((role) => role === code).length;
    const groups = new Set(Array.from(scene.group.values).filter((group, i) => roles[i] === 1)).size;
    const parts = [`${count(0)} kept`];
    if (count(1)) parts.push(`${count(1)} merged into ${T.plural(groups, "group")}`);
    if (count(2)) parts.push(`${count(2)} pruned`);
    return `What became of the ${scene.n} visual tokens: ${parts.join(", ")}. The answer was written from what is left.`;
  };

  /* One sentence that says what one sees. */
  T.leadSentence = ({ scene, view, look }) => {
    if (!scene.n) return scene.payload.phase === "streaming" ? "The model is answering. Its maps appear when it is done." : "";
    const chosen = scene.chosen(view), names = chosen.map((i) => `“${scene.words[i].special ? "end" : scene.words[i].text}”`);
    const held = view.words.size || view.peek !== null;
    const words = held ? names.slice(0, 4).join(" + ") + (names.length > 4 ? " + …" : "") : "its answer";
    const head = view.head >= 0 ? `head ${view.head}` : "mean over heads";
    if (look.preview) return `The ${view.keep} brightest of ${scene.n} tokens stay clear, the rest is hatched: a preview by this map. Compare below removes tokens for real.`;
    if (look.roles) return T.fateSentence(scene, look.roles);
    if (view.map === "attention") {
      const share = scene.shares(view);
      const part = share ? `; ${T.percent(share[view.layer])} of its attention was on the image` : "";
      return `Bright patches are where the model looked while it wrote ${words} (layer ${view.layer}, ${head}${part}).`;
    }
    if (view.map === "tam") return `Bright patches speak for ${words} by themselves, after what earlier words explain is taken off.`;
    if (view.map === "tower") return `Bright patches stand out to the vision tower (layer ${view.layer}, ${head}), before any question is asked.`;
    if (view.map === "phi") return `Bright tokens behave like attention sinks in layer ${view.layer}: they draw attention whatever they show.`;
    return "Bright tokens are those the method found important.";
  };
})();
