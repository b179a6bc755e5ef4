/** A run of six tokens on two rows of three, as the page gets it: small enough to do in the head. */

const pack = (numbers, dtype, shape) => ({
  data: Buffer.from(numbers.buffer).toString("base64"),
  dtype,
  shape,
});
export const f4 = (numbers, shape = [numbers.length]) =>
  pack(Float32Array.from(numbers), "f4", shape);
export const u1 = (numbers, shape = [numbers.length]) =>
  pack(Uint8Array.from(numbers), "u1", shape);
export const i2 = (numbers, shape = [numbers.length]) =>
  pack(Int16Array.from(numbers), "i2", shape);
export const i4 = (numbers, shape = [numbers.length]) =>
  pack(Int32Array.from(numbers), "i4", shape);

const word = (text, special = false) => ({ text, lead: true, special, prob: 0.9, candidates: [] });

/** Two words and the end of the answer; two layers. Attention of word w in layer l on token i. */
export const ATTENTION = [
  [0.1, 0.2, 0.3, 0.1, 0.1, 0.2],
  [0.6, 0.1, 0.1, 0.1, 0.05, 0.05],
  [0.3, 0.2, 0.1, 0.1, 0.1, 0.2],
  [0.2, 0.1, 0.1, 0.1, 0.05, 0.45],
  [0, 0, 0, 0, 0, 1],
  [1, 0, 0, 0, 0, 0],
];

export const run = (more = {}) => ({
  id: "one",
  title: "",
  model: "tiny",
  prompt: "what is it ?",
  answer: "a cat",
  n: 6,
  images: [{ src: null, width: 30, height: 20 }],
  panes: [{ image: 0, role: "whole", view: [0, 0, 30, 20], unseen: [] }],
  box: f4(
    [0, 1, 2, 3, 4, 5].flatMap((i) => boxOf(i)),
    [6, 4],
  ),
  pane: i2([0, 0, 0, 0, 0, 0]),
  tile: i2([0, 0, 0, 0, 0, 0]),
  row: i2([0, 0, 0, 1, 1, 1]),
  col: i2([0, 1, 2, 0, 1, 2]),
  kind: u1([0, 0, 0, 0, 0, 0]),
  words: [word("a"), word("cat"), word("</s>", true)],
  attention: f4(ATTENTION.flat(), [3, 2, 6]),
  share: f4([0.5, 0.25, 0.75, 0.5, 0.1, 0.1], [3, 2]),
  stages: [],
  notes: [],
  missing: { tam: "no map here" },
  ...more,
});

const boxOf = (i) => [
  10 * (i % 3),
  10 * Math.floor(i / 3),
  10 * (i % 3) + 10,
  10 * Math.floor(i / 3) + 10,
];

/** Token 1 was pruned, tokens 3 and 4 were merged into one that stands at 3; then 5 was pruned. */
export const reduced = () =>
  run({
    fates: u1([0, 2, 0, 1, 1, 0, 0, 2, 0, 1, 1, 2], [2, 6]),
    group: i4([0, -1, 1, 2, 2, 3, 0, -1, 1, 2, 2, -1], [2, 6]),
    place: i4([0, -1, 2, 3, 3, 5, 0, -1, 2, 3, 3, -1], [2, 6]),
    went: i2([-1, 0, -1, 0, 0, 1]),
    score: f4([6, 1, 5, 4, 3, 2]),
    stages: [
      { title: "First", where: "before the language model", layer: null, left: 4, removes: true },
      { title: "Second", where: "inside the language model", layer: 1, left: 3, removes: true },
    ],
  });

export const view = (more = {}) => ({
  map: "attention",
  layer: 0,
  head: -1,
  words: new Set(),
  peek: null,
  keep: 6,
  opacity: 65,
  scaling: "linear",
  common: false,
  sinks: false,
  fates: false,
  stage: null,
  heat: false,
  hover: -1,
  pinned: -1,
  ...more,
});
