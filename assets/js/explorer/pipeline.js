/**
 * The way from the picture to the answer in one line, with the sizes of this run. A click on a part
 * shows its view and says what it does, with the lesson about it.
 */

/** @import { Explorer } from "./explorer.js" */

import { el, fill, writeAttribute } from "../base/dom.js";
import { key, t } from "../base/translate.js";
import { seenText } from "./run_facts.js";

const times = (...sizes) => sizes.join(" × ");

/** The size of each part as text; "" where it is not known. */
const SIZES = {
  picture: ({ pictures, frames, width, height }) => {
    if (frames) return t("{count} frames", { count: frames });
    return pictures > 1
      ? t("{count} pictures", { count: pictures })
      : width
        ? times(width, height)
        : "";
  },
  patches: ({ grid, patch, tiles }) => {
    if (!grid) return "";
    if (tiles > 1) return t("{count} tiles", { count: tiles });
    return patch ? t("{grid} of {patch} px", { grid: times(...grid), patch }) : times(...grid);
  },
  tower: ({ tower_layers: layers, tower_width: width }) =>
    width && layers
      ? t("{layers} layers, width {width}", { layers, width })
      : layers
        ? t("{layers} layers", { layers })
        : "",
  projector: ({ tokens, hidden }) =>
    hidden
      ? t("{tokens} tokens of {hidden}", { tokens, hidden })
      : t("{tokens} tokens", { tokens }),
  decoder: ({ layers, text, left, tokens }) => {
    const visual = left < tokens ? t("{left} of {tokens}", { left, tokens }) : tokens;
    const read = text ? t("{text} + {visual} tokens", { text, visual }) : "";
    return [layers ? t("{layers} layers", { layers }) : "", read].filter(Boolean).join(", ");
  },
  answer: ({ answer }) => t("{answer} tokens", { answer }),
};

/** Parts in order: id, name, what it does, and the lesson about it. */
const PARTS = [
  [
    "picture",
    key("Picture"),
    key("What you gave. Grey stripes mark what the processor cuts off before the model sees it."),
    "01-visual-tokens",
  ],
  [
    "patches",
    key("Patches"),
    key("The picture is cut into squares, the patches. Each frame is one visual token."),
    "01-visual-tokens",
  ],
  [
    "tower",
    key("Vision tower"),
    key(
      "It turns patches into numbers before any question is asked. The map shows which patches weigh most in it.",
    ),
    "03-cls-shortcut",
  ],
  [
    "projector",
    key("Projector"),
    key(
      "It translates patches into the language model's numbers. Most methods remove tokens here.",
    ),
    "06-prune-or-merge",
  ],
  [
    "decoder",
    key("Language model"),
    key(
      "It reads the visual tokens and the question together. The map shows where it looks in one layer.",
    ),
    "02-attention",
  ],
  [
    "answer",
    key("Answer"),
    key("Written one token at a time. Hold a word to see the patches behind it."),
    "05-tam",
  ],
];

export class Pipeline {
  /** @param {Explorer} owner */
  constructor(owner) {
    this.owner = owner;
    this.root = owner.parts.pipeline;
    /** Id of the part whose note is open; "" = none. */
    this.open = "";
    this.note = el("div", { class: "tv-partnote", role: "status", hidden: true });
    this.buttons = new Map();
    document.addEventListener("pointerdown", ({ target }) => {
      if (this.open && target instanceof Node && !this.root.contains(target)) this.close();
    });
    this.root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.open) return;
      event.stopPropagation();
      this.close();
    });
  }

  /** Once per payload. */
  build() {
    const { facts } = this.owner.scene.payload;
    this.root.hidden = !facts;
    if (!facts) return;
    const items = PARTS.map(([id, name]) => {
      const size = SIZES[id](facts.parts);
      const node = el(
        "button",
        {
          type: "button",
          class: "tv-part",
          "aria-expanded": "false",
          onclick: () => this.press(id),
        },
        el("b", {}, t(name)),
        size ? el("span", {}, size) : null,
      );
      this.buttons.set(id, node);
      return el("li", {}, node);
    });
    fill(this.root, el("ol", {}, ...items), this.note);
    this.close();
  }

  close() {
    this.open = "";
    this.note.hidden = true;
    for (const node of this.buttons.values()) writeAttribute(node, "aria-expanded", "false");
  }

  press(id) {
    if (this.open === id) return this.close();
    this.close();
    this.open = id;
    writeAttribute(this.buttons.get(id), "aria-expanded", "true");
    const [, , text, lesson] = PARTS.find(([name]) => name === id);
    const { facts } = this.owner.scene.payload;
    const seen = id === "picture" ? `${seenText(facts)}. ` : "";
    const crops = id === "picture" && facts.unseen > 0 && this.owner.canLetterbox;
    fill(
      this.note,
      el("p", {}, seen, t(text)),
      crops
        ? el(
            "button",
            { type: "button", class: "tv-tool", onclick: () => this.owner.letterbox() },
            t("Ask again with the whole picture (letterbox)"),
          )
        : null,
      this.owner.hasLessons
        ? el(
            "button",
            { type: "button", class: "tv-tool", onclick: () => this.lesson(lesson) },
            t("Lesson about this"),
          )
        : null,
    );
    this.note.hidden = false;
    this.place(this.buttons.get(id));
    this.owner.panel.set(() => this.view(id));
  }

  /** The note stands below its part, inside the line's width. */
  place(button) {
    const line = this.root.getBoundingClientRect();
    const part = button.getBoundingClientRect();
    const widest = line.width - this.note.offsetWidth;
    this.note.style.left = `${Math.max(0, Math.min(part.left - line.left, widest))}px`;
    this.note.style.top = `${part.bottom - line.top + 4}px`;
  }

  lesson(name) {
    this.close();
    this.owner.trigger("lesson", { lesson: name });
  }

  /** Show what a part is about. */
  view(id) {
    const { scene, view } = this.owner;
    const has = (map) => Boolean(scene.map(map)?.has);
    Object.assign(view, { bare: "", heat: false, peek: null, keep: scene.n });
    if (id === "picture") Object.assign(view, { bare: "picture", fates: false });
    if (id === "patches") Object.assign(view, { bare: "patches", fates: false });
    if (id === "tower" && has("tower")) Object.assign(view, { map: "tower", fates: false });
    if (id === "projector")
      Object.assign(
        view,
        scene.fates ? { fates: true, stage: null } : { bare: "patches", fates: false },
      );
    if (id === "decoder" && has("attention"))
      Object.assign(view, { map: "attention", fates: false, words: new Set(), suggested: false });
    if (id === "answer") this.owner.panel.words.focusLongest();
  }
}
