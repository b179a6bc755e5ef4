/** How a run is looked at when it is opened. */

/** @import { AskedView, View } from "../base/types.js" */
/** @import { Scene } from "./scene.js" */

/** The view when the page opens. @returns {View} */
export const defaultView = () => ({
  map: "attention",
  layer: 0,
  head: -1,
  words: new Set(),
  peek: null,
  keep: 0,
  opacity: 65,
  scaling: "linear",
  common: false,
  sinks: false,
  fates: true,
  tints: null,
  suggested: false,
  bare: "",
  stage: null,
  heat: false,
  hover: -1,
  pinned: -1,
});

/** What is about single words and tokens of the old run, and so cannot stay. */
const aboutThisRun = (n) => ({
  words: new Set(),
  peek: null,
  hover: -1,
  pinned: -1,
  suggested: false,
  bare: "",
  stage: null,
  heat: false,
  keep: n,
});

/**
 * Change a view for another run: what a link or a lesson asks for, else what the reader had chosen,
 * else the best that the run has.
 * @param {View} view
 * @param {Scene} scene
 * @param {Partial<AskedView>} asked
 * @param {boolean} keepLayer Whether the reader has chosen the layer.
 */
export const startView = (view, scene, asked, keepLayer) => {
  Object.assign(view, aboutThisRun(scene.n));
  const isThere = (id) => Boolean(id && scene.map(id)?.has);
  view.map = [asked.map, view.map, "attention", "tam", "tower"].find(isThere) || "attention";
  view.layer = startLayer(view, scene, asked.layer, keepLayer);
  view.fates = Boolean(scene.fates) && asked.fates !== false;
  view.tints = typeof asked.groups === "boolean" ? asked.groups : null;
  if (Number.isInteger(asked.head)) view.head = asked.head;
  if (asked.opacity >= 0 && asked.opacity <= 100) view.opacity = asked.opacity;
  if (asked.keep >= 1 && asked.keep < scene.n)
    Object.assign(view, { keep: asked.keep, fates: false });
  for (const name of ["scaling", "common", "sinks"])
    if (asked[name] !== undefined) view[name] = asked[name];
  if (scene.fates && Number.isInteger(asked.stage))
    view.stage = Math.min(asked.stage, scene.fates.shape[0] - 1);
  for (const word of asked.words || [])
    if (word >= 0 && word < scene.words.length) view.words.add(word);
  view.suggested = asked.suggested === true && view.words.size > 0;
  if (asked.token >= 0 && asked.token < scene.n) view.pinned = asked.token;
};

const startLayer = (view, scene, asked, keepLayer) => {
  const layers = scene.map(view.map)?.layers || 0;
  if (Number.isInteger(asked)) return Math.max(0, Math.min(asked, layers - 1));
  const isKept = keepLayer && view.layer < layers && !scene.gap(view.map, view.layer);
  if (isKept) return view.layer;
  // For attention the layer that puts most of it on the image; for other maps the layer before the
  // last, from which LLaVA takes the tower's features.
  if (view.map !== "attention" || !scene.meanShare) return Math.max(layers - 2, 0);
  const known = [...scene.meanShare].filter(Number.isFinite); // not so in layers without attention
  return Math.max(scene.meanShare.indexOf(Math.max(...known)), 0);
};
