/** The view as a figure for print: the picture with its sentence, colour bar and legend. */

/** @import { Explorer } from "./explorer.js" */

import { formatNumber } from "../base/text.js";
import { t } from "../base/translate.js";
import { drawSwatch, legendEntries, unitText } from "./legend.js";
import { Painter } from "./painter.js";
import { palette } from "./palette.js";
import { factsLine } from "./run_facts.js";
import { SvgPen } from "./svg.js";

const WIDTH = 1200;
const EDGE = 30;
const INNER = WIDTH - 2 * EDGE;
const RATIO = 2;
const MAX_LINES = 8;
const INK = "#1b2129";
const SOFT = "#56606c";

export class Figure {
  /** @param {Explorer} owner */
  constructor(owner) {
    this.owner = owner;
    this.canvas = document.createElement("canvas");
    this.painter = new Painter(this.canvas);
  }

  /** Place everything with a pen that only measures; returns {height, draw(pen)}. */
  async plan() {
    const { owner, painter } = this;
    const { scene } = owner;
    await painter.open(scene);
    const high = painter.arrange(INNER, 1400);
    const measure = new SvgPen(WIDTH, 10);
    measure.font = "600 24px system-ui, sans-serif";
    const title = this.wrap(measure, `“${scene.payload.answer}”`, INNER);
    measure.font = "19px system-ui, sans-serif";
    const asked = this.wrap(
      measure,
      [
        t("Asked: {question}", { question: scene.payload.prompt }),
        scene.payload.model,
        this.shownText(),
      ]
        .filter(Boolean)
        .join("   "),
      INNER,
    ).concat(this.wrap(measure, factsLine(scene.payload), INNER));
    const entries = this.entries(measure);
    const top = EDGE + 32 * title.length + 27 * asked.length + 12;
    const scale = owner.look.norm ? 44 : 0;
    const height = top + high + 24 + scale + 34 * (entries.at(-1)?.row + 1 || 0) + EDGE;
    return {
      height,
      draw: (pen) => this.draw(pen, { title, asked, entries, top, high, scale, height }),
    };
  }

  /** What the picture shows, in a few words: the map, its layer, or how many tokens are left. */
  shownText() {
    const { scene, view, look } = this.owner;
    const map = scene.map(view.map);
    if (look.norm)
      return `${map.label}${map.layers ? `, ${t("layer {layer}", { layer: view.layer })}` : ""}`;
    const stages = scene.payload.stages || [];
    const last = stages[scene.fates ? scene.last(view.stage) : -1];
    return last
      ? t("{method}, {keep} of {n} tokens", { method: last.title, keep: last.left, n: scene.n })
      : t("all {n} tokens", { n: scene.n });
  }

  /**
   * Break a text into lines that fit. A word that is longer than a line is broken anywhere; after
   * MAX_LINES lines the rest is replaced by "…".
   */
  wrap(pen, text, width) {
    const lines = [""];
    const fits = (line) => pen.measureText(line).width <= width;
    const put = (piece) => {
      lines[lines.length - 1] += piece;
    };
    for (const word of text.split(/\s+/)) {
      if (fits(`${lines.at(-1)} ${word}`.trimStart())) {
        put(lines.at(-1) ? ` ${word}` : word);
        continue;
      }
      if (lines.at(-1)) lines.push("");
      if (fits(word)) {
        put(word);
        continue;
      }
      for (const character of word) {
        if (lines.at(-1) && !fits(lines.at(-1) + character)) lines.push("");
        put(character);
      }
    }
    if (lines.length <= MAX_LINES) return lines;
    let last = lines[MAX_LINES - 1];
    while (last && !fits(`${last} …`)) last = last.slice(0, -1);
    return [...lines.slice(0, MAX_LINES - 1), `${last} …`];
  }

  entries(pen) {
    let x = 0;
    let row = 0;
    return legendEntries(this.owner).map(([name, text]) => {
      const wide = 46 + pen.measureText(text).width + 26;
      if (x && x + wide > INNER) {
        x = 0;
        row++;
      }
      const entry = { name, text, x: EDGE + x, row };
      x += wide;
      return entry;
    });
  }

  draw(pen, { title, asked, entries, top, high, scale, height }) {
    const { painter, owner } = this;
    Object.assign(pen, { fillStyle: "#fff" });
    pen.fillRect(0, 0, WIDTH, height);
    Object.assign(pen, { fillStyle: INK, font: "600 24px system-ui, sans-serif" });
    for (const [i, line] of title.entries()) pen.fillText(line, EDGE, EDGE + 22 + 32 * i);
    Object.assign(pen, { fillStyle: SOFT, font: "19px system-ui, sans-serif" });
    for (const [i, line] of asked.entries())
      pen.fillText(line, EDGE, EDGE + 32 * title.length + 19 + 27 * i);
    this.shift(EDGE, top);
    painter.ratio = RATIO;
    painter.drawWith(pen, { ...owner.look, hover: -1 });
    if (scale) this.bar(pen, top + high + 30);
    Object.assign(pen, { fillStyle: INK, font: "19px system-ui, sans-serif" });
    const below = top + high + 24 + scale;
    for (const { name, text, x, row } of entries) {
      pen.drawImage(drawSwatch(name), x, below + 34 * row, 36, 25);
      pen.fillStyle = INK;
      pen.fillText(text, x + 46, below + 34 * row + 19);
    }
  }

  /** Move the rectangles of panes and tokens from the corner to their place in the figure. */
  shift(dx, dy) {
    const { painter } = this;
    const { cells } = painter;
    painter.rects = painter.rects.map(
      (rect) => rect && { ...rect, x: rect.x + dx, y: rect.y + dy },
    );
    for (let i = 0; i < cells.length; i += 4) {
      cells[i] += dx;
      cells[i + 1] += dy;
    }
  }

  bar(pen, y) {
    const { range, view, scene } = this.owner;
    const long = 340;
    const steps = palette.onGrey.length;
    const map = scene.map(view.map);
    palette.onGrey.forEach((colour, i) => {
      pen.fillStyle = colour;
      pen.fillRect(EDGE + (long * i) / steps, y, long / steps + 0.6, 16);
    });
    Object.assign(pen, { fillStyle: INK, font: "19px system-ui, sans-serif" });
    const [low, high] =
      view.scaling === "rank"
        ? ["lowest", "highest"]
        : [formatNumber(range.low), formatNumber(range.high)];
    pen.fillText(`${low} to ${high}   ${unitText(map, view.scaling)}`, EDGE + long + 14, y + 15);
  }

  async png() {
    const { height, draw } = await this.plan();
    const sheet = document.createElement("canvas");
    Object.assign(sheet, { width: WIDTH * RATIO, height: Math.round(height * RATIO) });
    const pen = sheet.getContext("2d");
    pen.scale(RATIO, RATIO);
    draw(pen);
    return new Promise((done) => {
      sheet.toBlob(done);
    });
  }

  async svg() {
    const { height, draw } = await this.plan();
    const pen = new SvgPen(WIDTH, height);
    draw(pen);
    return new Blob([pen.toString()], { type: "image/svg+xml" });
  }
}
