/**
 * One line of status: progress with its time, a warning, or an error. It lies over the page, so that
 * nothing moves when it comes or goes; what needs no answer goes by itself. While the line is scrolled
 * out of sight, a copy is shown at the lower edge of the window.
 */

import { el, fill } from "../base/dom.js";
import { t, told } from "../base/translate.js";

/** Milliseconds for which a message is shown that is neither progress nor a warning. */
const READING_MS = 12000;

export class Notice {
  constructor(root) {
    this.box = root.querySelector("[data-part=box]");
    this.edge = el("div", { class: "tv tv-notice tv-edge", "aria-hidden": "true", hidden: true });
    document.body.append(this.edge);
    this.value = {};
    this.near = true;
    new IntersectionObserver((seen) => {
      this.near = seen.at(-1).isIntersecting;
      this.atEdge();
    }).observe(root);
    document.addEventListener("tv-asked", () =>
      this.load({ kind: "busy", text: t("Waiting for the model …") }),
    );
    // Shown at the press, not by the server's reply, which may come after the run's last update.
    const stopping = () => this.load({ kind: "busy", text: t("Stopping …") });
    document.addEventListener("tv-stopping", stopping);
    document.addEventListener("click", ({ target }) => {
      if (target instanceof Element && target.closest("#tv-stop:enabled")) stopping();
    });
  }

  load(value) {
    const { kind = "", text: english = "" } = value || {};
    const text = told(english);
    clearInterval(this.clock);
    clearTimeout(this.end);
    this.value = { kind, text };
    this.atEdge();
    this.box.hidden = !text;
    this.box.className = `tv tv-notice tv-${kind}`;
    const time = el("span", { class: "tv-small" });
    fill(
      this.box,
      kind === "busy" ? el("span", { class: "tv-spin", "aria-hidden": "true" }) : null,
      el("span", {}, text),
      time,
      kind === "busy" ? null : this.closer(),
    );
    if (!kind && text) this.end = setTimeout(() => this.close(), READING_MS);
    if (kind !== "busy") return;
    const started = performance.now();
    this.clock = setInterval(() => {
      time.textContent = ` ${((performance.now() - started) / 1000).toFixed(0)} s`;
    }, 1000);
  }

  closer() {
    return el(
      "button",
      {
        type: "button",
        class: "tv-close",
        "aria-label": t("Close this message"),
        onclick: () => this.close(),
      },
      "×",
    );
  }

  /** The text stays where programs that read the page aloud find it, unseen. */
  close() {
    this.box.classList.add("tv-read");
    this.value = {};
    this.atEdge();
  }

  atEdge() {
    const { kind, text } = this.value;
    this.edge.hidden = this.near || !text || !kind;
    this.edge.className = this.edge.hidden ? "tv tv-edge" : `tv tv-notice tv-edge tv-${kind}`;
    fill(
      this.edge,
      ...(this.edge.hidden
        ? []
        : [kind === "busy" ? el("span", { class: "tv-spin" }) : null, el("span", {}, text)]),
    );
  }
}
