/**
 * The viewer: one run as a big picture with its words and controls. After a run has been sent,
 * everything here happens in the browser.
 */

/** @import { Look, Numbers, Payload, Range } from "../base/types.js" */

import { holdHeight, nextFrame, partsOf } from "../base/dom.js";
import { pageState } from "../base/page_state.js";
import { Painter } from "./painter.js";
import { ExplorerPanel } from "./panel.js";
import { Scene } from "./scene.js";
import { defaultView, startView } from "./starting_view.js";
import { Zoom } from "./zoom.js";

/** While an answer is written, its pictures are sent once: later payloads leave them out. */
const keepPictures = (payload, before) => {
  if (payload.phase !== "streaming") return;
  for (const [i, image] of payload.images.entries())
    if (image.src === undefined) image.src = before?.images[i]?.src ?? null;
};

/** How long a view rests before numbers are asked for. */
const ASKING_PAUSE_MS = 120;

export class Explorer {
  constructor(root, { server = {}, trigger = () => {} } = {}) {
    this.root = root;
    /**
     * Functions of components/widgets/explorer.py. @type {Record<string, (sent: object) => Promise<any>>}
     */
    this.server = server;
    /** Sends an event to Gradio. @type {(event: string, sent?: object) => void} */
    this.trigger = trigger;
    this.parts = partsOf(root);
    this.painter = new Painter(this.parts.canvas);
    this.view = defaultView();
    /** @type {Scene} */
    this.scene = null;
    /** Numbers of the view, [n]. @type {Numbers} */
    this.values = null;
    /** @type {Range} */
    this.range = null;
    /** @type {Look} */
    this.look = null;
    /** Whether the reader has chosen a layer, which then stays for other runs. */
    this.layerWasChosen = false;
    /** Number of the newest payload: an older one that is still loading is dropped. */
    this.ticket = 0;
    /** The newest payload, perhaps still loading. @type {Payload} */
    this.newest = null;
    /** When the change was made that the next frame draws; 0 = none. */
    this.changedAt = 0;
    /** Whether the reader has asked for every head of a layer, where they are sent on demand. */
    this.wantsHeads = false;
    /** The layer that other parts of the page were told of last. */
    this.announcedLayer = -1;
    this.panel = new ExplorerPanel(this);
    this.zoom = new Zoom(this);
    this.listen();
    root.querySelectorAll(".tv-contained").forEach(holdHeight);
    new ResizeObserver(() => this.resize()).observe(this.parts.frame);
    pageState.explorers.push(this);
  }

  /**
   * A new payload: another run, the same run with more words, a choice of tokens to paint on, or
   * nothing.
   */
  async load(/** @type {Payload} */ payload) {
    if (payload?.choice) return this.panel.brush.receive(payload.choice);
    if (!payload?.panes) return;
    const before = this.scene?.payload;
    keepPictures(payload, this.newest);
    this.newest = payload;
    const ticket = ++this.ticket;
    const scene = new Scene(payload);
    await this.painter.open(scene);
    if (ticket !== this.ticket) return;
    this.scene = scene;
    this.root.querySelector(".tv-explorer").classList.remove("tv-empty");
    const key = (one) => JSON.stringify([one.id, one.n, one.view]);
    if (!before || key(before) !== key(payload)) this.begin(payload);
    this.resize(true);
    this.panel.build();
    this.update();
    this.announce();
  }

  /** Tell other parts of the page what is shown. */
  announce() {
    const { payload } = this.scene;
    document.dispatchEvent(
      new CustomEvent("tv-shown", { detail: { example: payload.example || "", payload } }),
    );
  }

  /** Gradio has built the page around what is drawn already, see page/early.js. */
  arrive({ server, trigger }) {
    Object.assign(this, { server, trigger, announcedLayer: -1 });
    if (!this.scene) return;
    this.panel.brush.form.refresh();
    this.resize();
    this.update();
    this.announce();
  }

  /** A run that was not shown before. */
  begin(payload) {
    const asked = payload.view || {};
    startView(this.view, this.scene, asked, this.layerWasChosen);
    this.panel.begin(asked);
  }

  resize(force) {
    const width = Math.floor(this.parts.frame.clientWidth);
    if (!this.scene || !width || (!force && width === this.width)) return;
    this.width = width;
    const { factor } = this.zoom;
    this.painter.arrange(Math.floor(width * factor), this.tallest * factor);
    this.paint();
  }

  /** Largest height of the picture, in CSS pixels: what is about it stays in sight. */
  get tallest() {
    const share = document.fullscreenElement ? 0.84 : window.innerWidth < 720 ? 0.46 : 0.72;
    return Math.max(240, Math.min(1200, window.innerHeight * share));
  }

  /** Something was chosen: texts follow at once, the picture in the next frame. */
  update() {
    this.changedAt ||= performance.now();
    this.look = null;
    this.panel.refresh();
    this.paintSoon();
    this.askSoon();
    if (this.announcedLayer === this.view.layer) return;
    this.announcedLayer = this.view.layer;
    document.dispatchEvent(new CustomEvent("tv-layer"));
  }

  /**
   * Ask the server for what the view needs and was not sent, once the view rests: a slider passes
   * through many layers.
   */
  askSoon() {
    clearTimeout(this.asking);
    const { scene } = this;
    if (!this.server.read_layer || !scene?.payload.savable) return;
    if (!scene.late.missing(this.view, this.wantsHeads).length) return;
    this.asking = setTimeout(async () => {
      for (const need of scene.late.missing(this.view, this.wantsHeads))
        await scene.late.ask(this.server, need);
      if (this.scene === scene) this.update();
    }, ASKING_PAUSE_MS);
  }

  /** Only the pointer moved. */
  point(token) {
    if (token === this.view.hover) return;
    this.view.hover = token;
    this.changedAt ||= performance.now();
    this.panel.follow();
    this.paintSoon();
  }

  paintSoon() {
    if (!this.frame)
      this.frame = nextFrame(() => {
        this.frame = 0;
        this.paint();
      });
  }

  paint() {
    if (!this.scene || !this.painter.rects.length || !this.painter.images) return;
    if (!this.look) this.look = this.compose();
    Object.assign(this.look, { hover: this.view.hover, pinned: this.view.pinned });
    this.painter.draw(this.look);
    if (this.changedAt) pageState.lastPaintMs = performance.now() - this.changedAt;
    this.changedAt = 0;
  }

  /** What to draw for the current view. @returns {Look} */
  compose() {
    const { scene, view } = this;
    const values = scene.shown(view);
    const map = scene.map(view.map);
    const shown = map?.has && scene.n && !view.bare;
    const range = scene.scaleRange(values, view);
    Object.assign(this, { values, range });
    const painted = this.panel.brush.roles();
    const fates = !painted && view.fates ? scene.fatesSeen(view) : null;
    const tints = fates && this.message === "groups" ? scene.tintsAt(view.stage) : null;
    const preview =
      !painted && !fates && view.keep < scene.n
        ? this.ranks.map((rank) => (rank <= view.keep ? 0 : 2))
        : null;
    const norm =
      shown && !painted && (!fates || view.heat)
        ? scene.colourShares(values, range, view.scaling)
        : null;
    return {
      norm,
      absent: norm ? Array.from(norm).filter((share) => !Number.isFinite(share)).length : 0,
      opacity: view.opacity / 100,
      roles: painted || fates || preview,
      painted: Boolean(painted),
      preview: Boolean(preview),
      groups: fates ? scene.groupsAt(view.stage) : null,
      tints,
      places: fates ? scene.placesAt(view.stage) : null,
      members: fates ? scene.membersAt(view.stage) : null,
      marks: fates ? scene.roles : null,
      patches: view.bare === "patches",
      registers: scene.registerTokens,
      sinks: shown ? scene.sinkRow(view) : null,
      sinksIncluded: scene.coloursSinks(view),
    };
  }

  /** What the picture is about: "map", "fates" or "groups". */
  get message() {
    const { scene, view } = this;
    if (!scene.fates || !view.fates || view.heat) return "map";
    return (view.tints ?? true) && scene.hasGroups(view.stage) ? "groups" : "fates";
  }

  /** Rank of each token in the view's numbers. */
  get ranks() {
    return this.scene.ranks(this.values);
  }

  listen() {
    const { canvas } = this.parts;
    const on = (event) => {
      const box = canvas.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    const at = (event, { x, y } = on(event)) => (this.scene ? this.painter.hit(x, y) : -1);
    canvas.addEventListener("pointermove", (event) => {
      const spot = on(event);
      const token = at(event, spot);
      this.panel.brush.startRub(event);
      this.panel.brush.stroke(token, event);
      this.point(token);
      this.panel.tip.show(token, spot);
    });
    canvas.addEventListener("pointerleave", () => {
      this.point(-1);
      this.panel.tip.show(-1);
    });
    canvas.addEventListener("pointerdown", (event) => {
      if (!this.zoom.grips(event)) this.panel.brush.press(at(event), event);
    });
    for (const end of ["pointerup", "pointercancel"])
      canvas.addEventListener(end, () => this.panel.brush.release());
    canvas.addEventListener("click", (event) => {
      if (!this.panel.brush.active) this.pin(at(event));
    });
    this.root.addEventListener("keydown", (event) => this.key(event));
  }

  /** Whether the page can ask again about a padded picture. */
  get canLetterbox() {
    return Boolean(this.scene?.payload.letterbox);
  }

  /** Whether the page around the viewer has lessons. */
  get hasLessons() {
    return Boolean(document.querySelector("#tv-lessons"));
  }

  /** Ask again about the picture with grey bars, of which nothing is cut off. */
  letterbox() {
    document.dispatchEvent(new CustomEvent("tv-asked"));
    this.trigger("letterbox", {});
  }

  pin(token) {
    this.view.pinned = token === this.view.pinned ? -1 : token;
    this.update();
  }

  key(event) {
    if (!this.scene || event.defaultPrevented) return;
    const { view } = this;
    const onCanvas = event.target === this.parts.canvas;
    const plain = onCanvas || event.target === this.parts.bars || event.target.closest(".tv-words");
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (event.key === "Escape") this.clear();
    else if (step && onCanvas && event.shiftKey) this.walk(event.key);
    else if (step && plain && this.scene.map(view.map).layers) this.layer(view.layer + step);
    else if (onCanvas && this.panel.brush.key(event)) event.stopPropagation();
    else if (onCanvas && this.zoom.key(event)) event.stopPropagation();
    else return;
    event.preventDefault();
    this.update();
  }

  clear() {
    Object.assign(this.view, {
      words: new Set(),
      peek: null,
      pinned: -1,
      hover: -1,
      keep: this.scene.n,
      suggested: false,
      bare: "",
    });
    this.panel.clear();
  }

  layer(number) {
    this.view.layer = Math.max(0, Math.min(number, this.scene.map(this.view.map).layers - 1));
    Object.assign(this.view, { fates: false, heat: false, bare: "" });
    this.layerWasChosen = true;
  }

  /** Shift and arrows move the pinned token over the picture. */
  walk(key) {
    const { scene, view } = this;
    const from = Math.max(view.pinned, 0);
    const back = (links) => links.indexOf(from);
    const to =
      view.pinned < 0
        ? 0
        : {
            ArrowRight: scene.right[from],
            ArrowDown: scene.down[from],
            ArrowLeft: back(scene.right),
            ArrowUp: back(scene.down),
          }[key];
    if (to >= 0) view.pinned = to;
  }
}
