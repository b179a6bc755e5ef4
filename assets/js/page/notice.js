/* One line about what is going on: progress with its time, a warning, or what went wrong. While it is scrolled
   out of sight it is also said at the edge of the window, where whoever pressed a button further down sees it. */
(() => {
  const T = window.__tokviz;
  if (T.Notice) return;

  T.Notice = class {
    constructor(root) {
      this.box = root.querySelector("[data-part=box]");
      this.edge = T.el("div", { class: "tv tv-notice tv-edge", "aria-hidden": "true", hidden: true });
      document.body.append(this.edge);
      this.value = {};
      this.near = true;
      new IntersectionObserver((seen) => { this.near = seen.at(-1).isIntersecting; this.atEdge(); }).observe(root);
      document.addEventListener("tv-asked", () => this.load({ kind: "busy", text: "Waiting for the model …" }));
    }

    load(value) {
      const { kind = "", text = "" } = value || {};
      clearInterval(this.clock);
      this.value = { kind, text };
      this.atEdge();
      this.box.hidden = !text;
      this.box.className = `tv tv-notice tv-${kind}`;
      const time = T.el("span", { class: "tv-fine" });
      T.fill(this.box, kind === "busy" ? T.el("span", { class: "tv-spin", "aria-hidden": "true" }) : null, T.el("span", {}, text), time);
      if (kind !== "busy") return;
      const started = performance.now();
      this.clock = setInterval(() => { time.textContent = ` ${((performance.now() - started) / 1000).toFixed(0)} s`; }, 1000);
    }

    atEdge() {
      const { kind, text } = this.value;
      this.edge.hidden = this.near || !text || !kind;
      this.edge.className = this.edge.hidden ? "tv tv-edge" : `tv tv-notice tv-edge tv-${kind}`;
      T.fill(this.edge, ...(this.edge.hidden ? [] : [kind === "busy" ? T.el("span", { class: "tv-spin" }) : null, T.el("span", {}, text)]));
    }
  };
})();
