/**
 * Draws the viewer of the first example while Gradio is still loading its scripts and building the page,
 * which takes a second or more. The page's HTML holds all that it needs: Gradio's description of the
 * page with the viewer's value, and the templates of components/widgets/early.py.
 *
 * It is the page's own viewer, not a picture of it. It stands where Gradio will put it, on a sheet that
 * covers the page that is being built, and moves into that page once its place there is the same.
 */

import { keepsRun } from "../base/another_language.js";
import { el, nextFrame } from "../base/dom.js";
import { pageState } from "../base/page_state.js";
import { storedLoader } from "../base/stored.js";
import { translateFixed } from "../base/translate.js";
import { Explorer } from "../explorer/explorer.js";
import { startsDark } from "./display.js";

/** Frames for which the sheet waits for the page below it to be built as far as the question. */
const PATIENCE = 240;
/** Frames after that for which it waits for the viewer's place to be where it is drawn now. */
const REST = 20;
/** Pixels between two places that count as one. */
const NEAR = 1;
/** Gradio's message that it could not build the page. */
const FAILED = "gradio-app .error";

/** Whether this address opens the first example, as it is. Fields with __ are for Gradio and Spaces. */
const opensFirstExample = () => {
  const fields = [...new URL(window.location.href).searchParams.keys()];
  return fields.every((name) => name.startsWith("__")) && !keepsRun();
};

/** A copy of what is in a template of the page. @param {string} name @returns {DocumentFragment} */
const copyOf = (name) => {
  const template = document.querySelector(`template#tv-early-${name}`);
  return document.importNode(/** @type {HTMLTemplateElement} */ (template).content, true);
};

/**
 * A part of the page in Gradio's description.
 * @typedef {{props: {elem_id?: string, value?: any, server_fns?: string[]}}} Part
 */

class EarlyPage {
  /** @param {Part} viewer @param {(id: string) => any} initial The value of another part. */
  constructor(viewer, initial) {
    const functions = viewer.props.server_fns || [];
    this.root = el("div", {}, copyOf("viewer"));
    this.sheet = this.makeSheet(initial("tv-prompt"), initial("tv-left-out"));
    document.body.prepend(this.sheet);
    pageState.isEarly = true;
    /** What Gradio gives the viewer; calls made before that wait for it. */
    this.gradio = new Promise((resolve) => {
      this.give = resolve;
    });
    const call =
      (name) =>
      async (...sent) =>
        (await this.gradio).server[name](...sent);
    this.viewer = new Explorer(this.root, {
      server: Object.fromEntries(functions.map((name) => [name, call(name)])),
      trigger: async (...sent) => (await this.gradio).trigger(...sent),
    });
  }

  /**
   * The sheet: the header, the note about plugins, boxes for the left column, the viewer.
   * @param {string | undefined} question Makes its box as high as it will be.
   * @param {string | undefined} note HTML, if a plugin was left out.
   */
  makeSheet(question, note) {
    const head = el("div", { inert: true }, copyOf("header"));
    translateFixed(head);
    for (const node of head.querySelectorAll("[id]")) node.removeAttribute("id");
    const boxes = ["picture", "question", "row"].map((name) =>
      el("i", { class: `tv-early-${name}` }, name === "question" ? question || "" : ""),
    );
    const said = note && new DOMParser().parseFromString(note, "text/html").body.textContent;
    return el(
      "div",
      { class: `tv-early${startsDark() ? " dark" : ""}` },
      el(
        "div",
        { class: "tv-early-page" },
        head,
        said
          ? el("div", { class: "tv-early-left-out" }, el("p", { class: "tv-small" }, said))
          : null,
        el(
          "div",
          { class: "tv-early-main" },
          el("div", { class: "tv-early-ask", "aria-hidden": "true" }, ...boxes),
          el("div", { class: "tv-early-show" }, this.root),
        ),
      ),
    );
  }

  /**
   * Gradio has built the viewer's place. The viewer moves there once the page around has come to rest.
   * @param {HTMLElement} place
   * @param {{server: object, trigger: Function}} gradio
   * @returns {{load: (value: any) => void}} What gets the values from now on.
   */
  arrive(place, gradio) {
    place.replaceChildren();
    let frames = 0;
    let atRest = 0;
    const look = () => {
      const isBuilt = document.querySelector("#tv-ask-go") !== null; // what is above the viewer
      if (isBuilt) atRest++;
      if ((isBuilt && this.isInPlace(place)) || atRest > REST || ++frames > PATIENCE)
        this.move(place, gradio);
      else nextFrame(look);
    };
    nextFrame(look);
    let first = true;
    return {
      load: (value) => {
        const isDrawn = first && value?.id === this.viewer.newest?.id;
        first = false;
        if (!isDrawn) this.viewer.load(value);
      },
    };
  }

  /** Whether the viewer stays where it is when it moves into the page. */
  isInPlace(place) {
    const [here, there] = [this.root, place].map((node) => node.getBoundingClientRect());
    return ["left", "top", "width"].every((side) => Math.abs(here[side] - there[side]) < NEAR);
  }

  move(place, gradio) {
    const focused = this.root.contains(document.activeElement) ? document.activeElement : null;
    place.replaceChildren(this.root);
    this.sheet.remove();
    pageState.isEarly = false;
    /** @type {HTMLElement} */ (focused)?.focus({ preventScroll: true });
    this.give(gradio);
    this.viewer.arrive(gradio);
  }

  /** Leave the page to Gradio alone, as if nothing had been drawn. */
  drop() {
    this.sheet.remove();
    pageState.isEarly = false;
    pageState.explorers = pageState.explorers.filter((one) => one !== this.viewer);
  }
}

/** @type {EarlyPage | null} The one that waits for its place. */
let early = null;

/** @param {{components: Part[]}} config Gradio's description of the page. */
export const drawEarly = async (config) => {
  const part = (id) => config.components.find(({ props }) => props.elem_id === id);
  const viewer = part("tv-explorer");
  const value = viewer?.props.value;
  if (!(value?.panes || value?.stored) || !opensFirstExample()) return;
  const mine = new EarlyPage(viewer, (id) => part(id)?.props.value);
  early = mine;
  const drop = () => {
    if (early !== mine) return;
    early = null;
    mine.drop();
  };
  const failed = new MutationObserver(() => {
    if (document.querySelector(FAILED)) drop();
  });
  failed.observe(document, { childList: true, subtree: true });
  mine.gradio.then(() => failed.disconnect());
  const load = storedLoader((whole) => mine.viewer.load(whole));
  await load(value).catch(drop);
};

/** The viewer that waits for this place, if there is one. See `EarlyPage.arrive`. */
export const takeEarly = (place, gradio) => {
  const waiting = early;
  early = null;
  return waiting?.arrive(place, gradio) ?? null;
};
