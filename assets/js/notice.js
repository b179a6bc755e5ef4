/* One line about what is going on: progress with its time, a warning, or what went wrong. */
(() => {
  const T = window.__tokviz;
  if (T.Notice) return;

  T.Notice = class {
    constructor(root) { this.box = root.querySelector("[data-part=box]"); }

    load(value) {
      const { kind = "", text = "" } = value || {};
      clearInterval(this.clock);
      this.box.hidden = !text;
      this.box.className = `tv tv-notice tv-${kind}`;
      const time = T.el("span", { class: "tv-fine" });
      T.fill(this.box, kind === "busy" ? T.el("span", { class: "tv-spin", "aria-hidden": "true" }) : null, T.el("span", {}, text), time);
      if (kind !== "busy") return;
      const started = performance.now();
      this.clock = setInterval(() => { time.textContent = ` ${((performance.now() - started) / 1000).toFixed(0)} s`; }, 1000);
    }
  };
})();
