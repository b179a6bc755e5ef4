/**
 * A larger picture in the same frame: zoom by buttons, by Ctrl and the wheel or by keys; move it by
 * scrolling, or by dragging with the middle button or with the space bar held; and the whole screen.
 */

/** @import { Explorer } from "./explorer.js" */

import { el, fill, writeAttribute } from "../base/dom.js";
import { t } from "../base/translate.js";

const STEP = 1.5;
const MAX = 6;
/** Widest canvas in pixels that every browser draws. */
const MAX_PIXELS = 8192;

export class Zoom {
  /** @param {Explorer} owner */
  constructor(owner) {
    this.owner = owner;
    this.parts = owner.parts;
    /** How many times wider than its frame the picture is. */
    this.factor = 1;
    /** Where a drag that moves the picture began. @type {{x: number, y: number, left: number, top: number} | null} */
    this.grip = null;
    this.spaceIsDown = false;
    this.build();
    this.listen();
  }

  build() {
    const button = (text, label, act) =>
      el(
        "button",
        { type: "button", class: "tv-tool", "aria-label": label, title: label, onclick: act },
        text,
      );
    this.out = button("−", t("Zoom out (−)"), () => this.by(1 / STEP));
    this.into = button("+", t("Zoom in (+)"), () => this.by(STEP));
    this.fit = button("1:1", t("Fit the picture to its frame (0)"), () => this.to(1));
    // Its sign is drawn in CSS: few fonts have U+26F6.
    this.whole = button("", t("Whole screen (F)"), () => this.fullscreen());
    this.whole.classList.add("tv-wholescreen");
    const fills = "requestFullscreen" in this.parts.frame; // not on an iPhone
    this.menu = el(
      "details",
      { class: "tv-zoom" },
      el(
        "summary",
        { class: "tv-tool", "aria-label": t("Zoom"), title: t("Zoom and whole screen") },
        "⤢",
      ),
      el(
        "div",
        { class: "tv-zoomtools" },
        this.out,
        this.into,
        this.fit,
        fills ? this.whole : null,
      ),
    );
    fill(this.parts.corner, this.menu);
    this.show();
  }

  show() {
    this.out.disabled = this.fit.disabled = this.factor <= 1;
    this.into.disabled = this.factor >= this.largest;
    this.parts.frame.classList.toggle("tv-large", this.factor > 1);
  }

  /** The largest factor at which the canvas can still be drawn. */
  get largest() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    return Math.max(1, Math.min(MAX, MAX_PIXELS / ratio / Math.max(1, this.owner.width || 1)));
  }

  by(step, spot) {
    this.to(this.factor * step, spot);
  }

  /**
   * @param {number} factor
   * @param {{x: number, y: number}} [spot] What stays in its place, in CSS pixels of the frame; its middle.
   */
  to(factor, spot) {
    const { scroll, zoomed } = this.parts;
    const next = Math.min(Math.max(factor, 1), this.largest);
    if (next === this.factor) return;
    const { x, y } = spot || { x: scroll.clientWidth / 2, y: scroll.clientHeight / 2 };
    const grown = next / this.factor;
    const left = (scroll.scrollLeft + x) * grown - x;
    const top = (scroll.scrollTop + y) * grown - y;
    if (this.factor === 1) scroll.style.maxHeight = `${scroll.clientHeight}px`;
    this.factor = next;
    if (next === 1) scroll.style.maxHeight = "";
    zoomed.style.width = next === 1 ? "" : `${100 * next}%`;
    this.owner.resize(true);
    scroll.scrollTo(left, top);
    this.show();
  }

  fullscreen() {
    const section = this.owner.root.querySelector(".tv-explorer");
    if (document.fullscreenElement) document.exitFullscreen();
    else section.requestFullscreen?.();
  }

  /** Whether a press moves the picture and does not paint. */
  grips(event) {
    return this.factor > 1 && (event.button === 1 || (event.button === 0 && this.spaceIsDown));
  }

  listen() {
    const { scroll, canvas } = this.parts;
    scroll.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        const box = scroll.getBoundingClientRect();
        const spot = { x: event.clientX - box.left, y: event.clientY - box.top };
        this.by(event.deltaY < 0 ? 1.2 : 1 / 1.2, spot);
      },
      { passive: false },
    );
    scroll.addEventListener("pointerdown", (event) => {
      if (!this.grips(event)) return;
      event.preventDefault();
      scroll.setPointerCapture?.(event.pointerId);
      const { clientX: x, clientY: y } = event;
      this.grip = { x, y, left: scroll.scrollLeft, top: scroll.scrollTop };
    });
    scroll.addEventListener("pointermove", (event) => {
      if (!this.grip) return;
      const { x, y, left, top } = this.grip;
      scroll.scrollTo(left + x - event.clientX, top + y - event.clientY);
    });
    for (const end of ["pointerup", "pointercancel"])
      scroll.addEventListener(end, () => {
        this.grip = null;
      });
    canvas.addEventListener("keyup", (event) => {
      if (event.key === " ") this.spaceIsDown = false;
    });
    document.addEventListener("fullscreenchange", () => {
      writeAttribute(this.whole, "aria-pressed", String(Boolean(document.fullscreenElement)));
      this.to(1);
      this.owner.resize(true);
    });
  }

  /** Keys on the picture; returns whether one was used. */
  key(event) {
    if (event.key === " " && this.factor > 1) {
      this.spaceIsDown = true;
      return true;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    if (event.key === "+" || event.key === "=") this.by(STEP);
    else if (event.key === "-") this.by(1 / STEP);
    else if (event.key === "0") this.to(1);
    else if (event.key === "f" || event.key === "F") this.fullscreen();
    else return false;
    return true;
  }
}
