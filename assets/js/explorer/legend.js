/** The legend: what the colours and patterns mean. */

import { el, fill, writeText } from "../base/dom.js";
import { plural } from "../base/text.js";
import { t } from "../base/translate.js";
import { palette } from "./palette.js";

/** [name of the swatch, text] for everything that the picture shows now. */
export const legendEntries = ({ scene, look }) => {
  const entries = [];
  const count = (test) => {
    let total = 0;
    for (let i = 0; i < scene.n; i++) total += +test(i);
    return total;
  };
  if (look.roles) {
    const names = look.painted
      ? [t("in"), "", t("out")]
      : [t("kept"), t("merged"), t("pruned")].map((name) =>
          look.preview ? t("would be {name}", { name }) : name,
        );
    ["kept", "merged", "pruned"].forEach((role, code) => {
      const total = count((i) => look.roles[i] === code);
      const swatchName = role === "merged" && look.tints ? "tinted" : role;
      if (total) entries.push([swatchName, `${names[code]} ${total}`]);
    });
  } else if (scene.n) entries.push(["kept", t("all {n} tokens kept", { n: scene.n })]);
  const sinks = look.sinks ? count((i) => look.sinks[i]) : 0;
  if (sinks)
    entries.push([
      "sink",
      `${plural(sinks, "attention sink")}${look.sinksIncluded ? "" : t(", left out of the colours")}`,
    ]);
  if (look.registers?.length) entries.push(["plus", plural(look.registers.length, "register")]);
  for (const [i, role] of (look.marks || []).entries())
    entries.push([palette.glyphOf(i), `${role.name} ${role.tokens.length}`]);
  if (scene.payload.panes.some((pane) => pane.unseen.length))
    entries.push(["unseen", t("not seen by the model")]);
  if (count((i) => scene.kind.values[i] !== 0))
    entries.push(["mark", t("row ends and separators")]);
  if (look.norm && count((i) => !Number.isFinite(look.norm[i])))
    entries.push(["absent", t("no number here")]);
  return entries;
};

export const showLegend = (owner) => {
  const entries = legendEntries(owner);
  const { legend } = owner.parts;
  const key = entries.map(([name]) => name).join();
  if (legend.dataset.key !== key)
    fill(legend, ...entries.map(([name]) => el("li", {}, swatch(name), el("span"))));
  legend.dataset.key = key;
  for (const [i, [, text]] of entries.entries()) writeText(legend.children[i].lastChild, text);
};

/**
 * A small picture for the legend. It is an image, because a browser has a layer for every canvas and
 * checks all layers at every move of the pointer.
 */
const swatches = new Map();
export const swatch = (name) => {
  if (!swatches.has(name)) swatches.set(name, drawSwatch(name).toDataURL());
  return el("img", {
    src: swatches.get(name),
    class: "tv-swatch",
    alt: "",
    width: "20",
    height: "14",
  });
};

export const drawSwatch = (name) => {
  const canvas = el("canvas", { width: 40, height: 28 });
  const pen = canvas.getContext("2d");
  pen.scale(2, 2);
  pen.fillStyle = "#9fb6c9";
  pen.fillRect(0, 0, 20, 14);
  if (name === "tinted") pen.fillStyle = palette.dots(pen, 0, 2);
  else if (name === "mark") {
    pen.fillStyle = "#000";
    pen.fillRect(8, 0, 5, 14);
    pen.fillStyle = "#fff";
  } else if (palette.has(name)) pen.fillStyle = palette.pattern(pen, name, 2);
  if (name === "mark") pen.fillRect(9, 1, 3, 12);
  else if (name === "tinted" || palette.has(name)) pen.fillRect(0, 0, 20, 14);
  else if (name !== "kept") palette.glyph(pen, name, 10, 7, 4.5);
  pen.strokeStyle = "#000";
  pen.lineWidth = name === "kept" ? 3 : 1.5;
  pen.strokeRect(0, 0, 20, 14);
  if (["kept", "merged", "tinted"].includes(name)) {
    pen.strokeStyle = "#fff";
    pen.lineWidth = 1.5;
    pen.strokeRect(2.2, 2.2, 15.6, 9.6);
  }
  return canvas;
};

const UNITS = { attention: t("share of attention"), tower: t("share of attention") };
export const unitText = (map, scaling) =>
  `${UNITS[map.id] || map.label}${{ log: t(", log scale"), rank: t(", by rank") }[scaling] || ""}`;
