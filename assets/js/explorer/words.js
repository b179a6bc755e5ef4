/**
 * The answer's words. Hovering a word shows its map, a click keeps it, several words add up. While the
 * pointer is on a patch, each word is coloured by how much it used that patch.
 */

/** @import { Explorer } from "./explorer.js" */

import { el, fill, writeAttribute, writeText } from "../base/dom.js";
import { formatPercent } from "../base/text.js";
import { t } from "../base/translate.js";

/** Letters of tokens that no line end parts: more than the longest word, less than a phone's line. */
const MAX_UNBROKEN = 18;

export class WordList {
  /** @param {Explorer} owner */
  constructor(owner) {
    this.owner = owner;
    this.nodes = [];
    owner.parts.words.addEventListener("keydown", (event) => this.key(event));
  }

  build() {
    const { owner } = this;
    const { scene, parts } = owner;
    this.nodes = scene.words.map((word, i) => this.word(word, i));
    this.nodes.forEach((node, i) => {
      node.tabIndex = i ? -1 : 0;
    });
    fill(parts.words, ...this.unbroken());
    if (!scene.words.length) fill(parts.words, el("span", { class: "tv-small" }, "…"));
    parts.words.classList.toggle("tv-typing", scene.payload.phase === "streaming");
  }

  /** Tokens with no space between them, side by side on one line; in long runs a line may end. */
  unbroken() {
    /** @type {(string | HTMLElement)[]} */
    const shown = [];
    /** @type {HTMLElement | null} */
    let group = null;
    let letters = 0;
    this.owner.scene.words.forEach((word, i) => {
      if (word.part) return; // a further token of the same character
      const joined = group && !word.lead && !word.special;
      this.nodes[i].classList.toggle("tv-joined", Boolean(joined));
      letters += word.text.length;
      if (group && joined && letters <= MAX_UNBROKEN) {
        group.append(this.nodes[i]);
        return;
      }
      letters = word.text.length;
      group = el("span", { class: "tv-unbroken" }, this.nodes[i]);
      shown.push(...(word.lead ? [" ", group] : [group]));
    });
    return shown;
  }

  word(word, i) {
    const { owner } = this;
    const peek = (on) => {
      owner.view.peek = on ? i : null;
      if (on) owner.view.bare = "";
      owner.update();
    };
    const node = el(
      "button",
      {
        type: "button",
        class: `tv-word${word.special ? " tv-special" : ""}${word.prob < 0.5 ? " tv-unsure" : ""}`,
        "aria-pressed": "false",
        onclick: () => this.toggle(i),
        onpointerenter: () => peek(true),
        onpointerleave: () => peek(false),
        onfocus: () => {
          this.rove(i);
          if (node.matches(":focus-visible")) peek(true);
        },
        onblur: () => {
          if (owner.view.peek === i) peek(false);
        },
      },
      el("span", {}, this.text(word)),
    );
    return node;
  }

  text(word) {
    return word.special ? t("end") : word.text;
  }

  /** Only one word can be reached by the Tab key; arrow keys move between the words. */
  rove(to) {
    this.nodes.forEach((node, i) => {
      node.tabIndex = i === to ? 0 : -1;
    });
  }

  key(event) {
    const shown = this.nodes.filter((_, i) => !this.owner.scene.words[i].part);
    const from = shown.indexOf(event.target);
    const last = shown.length - 1;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last }[event.key];
    if (from < 0 || to === undefined) return;
    event.preventDefault();
    shown[Math.max(0, Math.min(to, last))].focus();
  }

  toggle(word) {
    const { view } = this.owner;
    if (view.suggested) view.words.clear(); // the example held these, not the reader
    if (!view.words.delete(word)) view.words.add(word);
    Object.assign(view, { fates: false, heat: false, peek: null, suggested: false, bare: "" });
    this.owner.update();
  }

  /** Hold the word with most letters: in most answers the name of a thing. */
  focusLongest() {
    const { scene, view } = this.owner;
    if (!scene.words.length) return;
    const length = (word) => (word.special ? 0 : word.text.length);
    const longest = scene.words.reduce(
      (best, word, i) => (length(word) > length(scene.words[best]) ? i : best),
      0,
    );
    const map = scene.map("attention")?.has ? "attention" : "tam";
    Object.assign(view, { map, words: new Set([longest]), suggested: true, fates: false });
  }

  refresh() {
    const { view } = this.owner;
    this.nodes.forEach((node, i) => {
      writeAttribute(node, "aria-pressed", view.words.has(i));
      node.classList.toggle("tv-peek", view.peek === i);
    });
    this.detail(view.peek !== null ? view.peek : [...view.words].pop());
  }

  /** The probability of a word, and of the words that could have stood there instead. */
  detail(number) {
    const { scene, parts } = this.owner;
    const word = scene.words[number];
    if (!word) {
      writeText(
        parts.detail,
        scene.words.length
          ? t("Hover a word to see its map, click to hold it, click more to add them up.")
          : "",
      );
      return;
    }
    const others = word.candidates.filter(([text]) => text.trim() !== word.text).slice(0, 4);
    const sure = Number.isFinite(word.prob)
      ? t(" {percent} sure", { percent: formatPercent(word.prob) })
      : "";
    fill(
      parts.detail,
      el("b", {}, `“${word.special ? t("end of answer") : word.text}”`),
      sure,
      others.length ? t(" · instead: ") : "",
      ...others.flatMap(([text, prob], i) => [
        i ? ", " : "",
        el("q", {}, text),
        ` ${formatPercent(prob)}`,
      ]),
    );
  }

  /** Colour each word by how much it used a token; returns [word, amount], most first. */
  light(token) {
    const { scene, view } = this.owner;
    const use = token >= 0 && scene.words.length ? scene.users(view, token) : null;
    const top = use ? Math.max(...use.filter(Number.isFinite), 1e-9) : 1;
    this.nodes.forEach((node, i) => {
      const share = use ? Math.round((100 * Math.max(use[i] || 0, 0)) / top) / 100 : 0;
      if (node.use !== share) {
        node.use = share;
        node.style.setProperty("--use", share);
      }
      node.classList.toggle("tv-lit", Boolean(use) && use[i] === top);
    });
    if (!use) return [];
    return use
      .map((value, i) => [i, value])
      .filter(([, value]) => value > 0)
      .sort((a, b) => b[1] - a[1]);
  }
}
