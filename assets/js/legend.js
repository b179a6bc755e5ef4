/* What the colours and patterns mean, and one sentence about what one sees. */
(() => {
  const T = window.__tokviz;
  if (T.legendEntries) return;
  const { el, fill } = T;

  /* [role, text] for everything that the picture shows now. */
  T.legendEntries = ({ scene, look, view }) => {
    const entries = [], count = (test) => { let total = 0; for (let i = 0; i < scene.n; i++) total += +test(i); return total; };
    if (look.roles) {
      const names = look.painted ? ["in", "", "out"] : ["kept", "merged", "pruned"].map((name) => (look.preview ? `would be ${name}` : name));
      ["kept", "merged", "pruned"].forEach((role, code) => {
        const total = count((i) => look.roles[i] === code);
        if (total) entries.push([role, `${names[code]} ${total}`]);
      });
    } else if (scene.n) entries.push(["kept", `all ${scene.n} tokens kept`]);
    const sinks = look.sinks ? count((i) => look.sinks[i]) : 0;
    if (sinks) entries.push(["sink", `${T.plural(sinks, "attention sink")}${view.sinks ? "" : ", left out of the colours"}`]);
    if (look.registers && look.registers.length) entries.push(["plus", T.plural(look.registers.length, "register")]);
    (look.marks || []).forEach((role, i) => entries.push([T.palette.glyphOf(i), `${role.name} ${role.tokens.length}`]));
    if (scene.payload.panes.some((pane) => pane.unseen.length)) entries.push(["unseen", "not seen by the model"]);
    if (count((i) => scene.kind.values[i] !== 0)) entries.push(["mark", "row ends and separators"]);
    if (look.norm && count((i) => !Number.isFinite(look.norm[i]))) entries.push(["absent", "no number here"]);
    return entries;
  };

  T.showLegend = (owner) => {
    const entries = T.legendEntries(owner), { legend } = owner.parts, key = entries.map(([name]) => name).join();
    if (legend.dataset.key !== key) fill(legend, ...entries.map(([name]) => el("li", {}, T.swatch(name), el("span"))));
    legend.dataset.key = key;
    entries.forEach(([, text], i) => T.say(legend.children[i].lastChild, text));
  };

  /* A small picture of a role for the legend: an image, since a browser keeps a layer for every canvas and goes through
     all layers at every move. */
  const swatches = new Map();
  T.swatch = (name) => {
    if (!swatches.has(name)) swatches.set(name, T.drawSwatch(name).toDataURL());
    return el("img", { src: swatches.get(name), class: "tv-swatch", alt: "", width: "20", height: "14" });
  };

  T.drawSwatch = (name) => {
    const canvas = el("canvas", { width: 40, height: 28 }), pen = canvas.getContext("2d");
    pen.scale(2, 2);
    pen.fillStyle = "#9fb6c9";
    pen.fillRect(0, 0, 20, 14);
    if (name === "merged") pen.fillStyle = T.palette.dots(pen, 0, 2);
    else if (name === "mark") { pen.fillStyle = "#000"; pen.fillRect(8, 0, 5, 14); pen.fillStyle = "#fff"; }
    else if (T.palette.has(name)) pen.fillStyle = T.palette.pattern(pen, name, 2);
    if (name === "mark") pen.fillRect(9, 1, 3, 12);
    else if (name === "merged" || T.palette.has(name)) pen.fillRect(0, 0, 20, 14);
    else if (name !== "kept") T.palette.glyph(pen, name, 10, 7, 4.5);
    pen.strokeStyle = "#000";
    pen.lineWidth = name === "kept" ? 3 : 1.5;
    pen.strokeRect(0, 0, 20, 14);
    if (name === "kept" || name === "merged") { pen.strokeStyle = "#fff"; pen.lineWidth = 1.5; pen.strokeRect(2.2, 2.2, 15.6, 9.6); }
    return canvas;
  };

  T.fateSentence = (scene, roles, stage) => {
    const count = (code) => roles.filter((role) => role === code).length;
    const groups = new Set(Array.from(scene.groupsAt(stage) || []).filter((group, i) => roles[i] === 1)).size;
    const parts = [`${count(0)} kept`];
    if (count(1)) parts.push(`${count(1)} merged into ${T.plural(groups, "group")}`);
    if (count(2)) parts.push(`${count(2)} pruned`);
    const hint = count(1) ? " Point at a merged token to see its whole group." : "";
    return `What became of the ${scene.n} visual tokens: ${parts.join(", ")}. The answer was written from what is left.${hint}`;
  };

  /* One sentence that says what one sees. */
  T.leadSentence = ({ scene, view, look }) => {
    if (!scene.n) return scene.payload.phase === "streaming" ? "The model is answering. Its maps appear when it is done." : "";
    const chosen = scene.chosen(view), names = chosen.map((i) => `“${scene.words[i].special ? "end" : scene.words[i].text}”`);
    const held = view.words.size || view.peek !== null;
    const words = held ? names.slice(0, 4).join(" + ") + (names.length > 4 ? " + …" : "") : "its answer";
    const head = view.head >= 0 ? `head ${view.head}` : "mean over heads";
    if (look.painted) return "Paint over what the model should not see. Hatched tokens are left out when you ask again.";
    if (look.preview) return `The ${view.keep} brightest of ${scene.n} tokens stay clear, the rest is hatched: a preview by this map. Compare below removes tokens for real.`;
    if (look.roles) return T.fateSentence(scene, look.roles, view.stage);
    if (view.map === "attention") {
      const share = scene.shares(view);
      const part = share ? `; ${T.percent(share[view.layer])} of its attention was on the image` : "";
      const drawn = scene.drawnLayer(view.layer);
      const near = drawn === view.layer ? "" : ` Drawn is layer ${drawn}: of so long an answer not every layer fits into a page.`;
      return `Bright patches are where the model looked while it wrote ${words} (layer ${view.layer}, ${head}${part}).${near}`;
    }
    if (view.map === "tam") return `Bright patches speak for ${words} by themselves, after what earlier words explain is taken off.`;
    if (view.map === "tower") return `Bright patches stand out to the vision tower (layer ${view.layer}, ${head}), before any question is asked.`;
    if (view.map === "phi") return `Bright tokens behave like attention sinks in layer ${view.layer}: they draw attention whatever they show.`;
    return "Bright tokens are those the method found important.";
  };
})();
