/* Link, picture, numbers and trace of what is on the screen. */
(() => {
  const T = window.__tokviz;
  if (T.Sharing) return;
  const { el, fill } = T;

  T.Sharing = class {
    constructor(owner) { this.owner = owner; }

    build() {
      const { payload } = this.owner.scene, ready = payload.n > 0;
      const button = (text, title, act) => el("button", { type: "button", class: "tv-tool", title, disabled: !ready, onclick: () => act.call(this) }, text);
      fill(this.owner.parts.tools,
        button("Copy link", "An address that opens exactly this view", this.link),
        button("Picture", "Save what you see as PNG", this.picture),
        button("Numbers", "Save every token's numbers as CSV", this.numbers),
        payload.savable ? button("Trace", "Save the whole run; it opens again without a model", this.trace) : null);
    }

    say(text) { this.owner.parts.said.textContent = text; }

    address() {
      const { scene, view } = this.owner, url = new URL(window.location.href);
      url.search = "";
      url.hash = "";
      const theme = new URL(window.location.href).searchParams.get("__theme");
      const all = { example: scene.payload.example, lane: scene.payload.lane || null, map: view.map, layer: view.layer,
        head: view.head >= 0 ? view.head : null, words: view.words.size ? [...view.words].join(",") : null,
        keep: view.keep < scene.n ? view.keep : null, opacity: view.opacity, fates: scene.fates && !view.fates ? 0 : null,
        token: view.pinned >= 0 ? view.pinned : null, __theme: theme };
      for (const [name, value] of Object.entries(all)) if (value !== null && value !== undefined) url.searchParams.set(name, value);
      return url.href;
    }

    async link() {
      if (!this.owner.scene.payload.example)
        return this.say("Your own picture stays with you, so a link cannot show it. Save the trace and send that file instead.");
      const address = this.address();
      try {
        await navigator.clipboard.writeText(address);
        this.say("Link copied.");
      } catch {
        const box = el("input", { readonly: "", value: address, "aria-label": "Link", class: "tv-link" });
        fill(this.owner.parts.said, box);
        box.select();
      }
      history.replaceState(null, "", address);
    }

    picture() {
      this.owner.parts.canvas.toBlob((blob) => T.download(`tokviz-${this.owner.view.map}.png`, blob));
    }

    numbers() {
      const { scene, view, values, ranks } = this.owner, rows = [];
      const fates = scene.fatesAt(view.stage), names = ["kept", "merged", "pruned"];
      rows.push(["token", "kind", "tile", "row", "column", "x0", "y0", "x1", "y1", view.map, "rank", "fate", "group", "sink"]);
      for (let i = 0; i < scene.n; i++) {
        const box = scene.kind.values[i] ? ["", "", "", ""] : Array.from(scene.box.values.subarray(4 * i, 4 * i + 4));
        rows.push([i, ["patch", "newline", "separator"][scene.kind.values[i]], scene.tile.values[i], scene.row.values[i], scene.col.values[i],
          ...box, Number.isFinite(values[i]) ? values[i] : "", ranks[i], fates ? names[fates[i]] : "kept",
          scene.group ? scene.group.values[i] : "", scene.isSink(view, i) ? 1 : 0]);
      }
      T.download("tokviz-tokens.csv", new Blob([rows.map((row) => row.join(",")).join("\n") + "\n"], { type: "text/csv" }));
    }

    async trace() {
      this.say("Preparing the trace …");
      const answer = await this.owner.server.fetch_trace(this.owner.scene.payload.id).catch(() => ({ error: "The server did not answer. Try again." }));
      if (answer.error) return this.say(answer.error);
      const bytes = Uint8Array.from(atob(answer.data), (c) => c.charCodeAt(0));
      T.download(answer.name, new Blob([bytes], { type: "application/octet-stream" }));
      this.say("Trace saved. “Open a trace” shows it again, without a model.");
    }
  };
})();
