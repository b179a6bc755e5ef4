import assert from "node:assert/strict";
import { test } from "node:test";
import { HoverText } from "../../assets/js/explorer/hover_text.js";
import { Scene } from "../../assets/js/explorer/scene.js";
import { f4, i2, i4, reduced, run, u1, view } from "./payloads.mjs";

const texts = (payload, seen = view(), look = {}) => {
  const scene = new Scene(payload);
  const values = scene.values(seen);
  return new HoverText({ scene, view: seen, look, values, ranks: scene.ranks(values) });
};

test("a token's place, pixels, value and rank", () => {
  const one = texts(run(), view({ words: new Set([0]) }));
  assert.equal(one.place(4), "row 1, column 1");
  assert.equal(one.box(4), "x 10–20, y 10–20");
  assert.equal(one.value(2), "Attention 0.3");
  assert.equal(one.rank(2), "1 of 6");
});

test("a merged token says which token represents its group", () => {
  const one = texts(reduced());
  assert.equal(one.fate(4), "merged (First, before the language model)");
  assert.equal(one.group(4), "group 2: 2 tokens, represented by token 3");
  assert.equal(one.fate(5), "pruned (Second, layer 1)");
  assert.equal(one.group(5), "–");
  assert.equal(one.fate(0), "kept");
});

test("before the stage that removed it a token is kept", () => {
  assert.equal(texts(reduced(), view({ stage: 0 })).fate(5), "kept");
  assert.equal(texts(run()).fate(5), "kept (nothing was removed)");
});

test("what is painted or previewed is said as such", () => {
  const roles = Uint8Array.from([0, 2, 0, 0, 0, 0]);
  assert.equal(texts(run(), view(), { painted: true, roles }).fate(1), "painted out");
  assert.equal(texts(run(), view(), { preview: true, roles }).fate(1), "would be pruned");
});

test("sinks, registers and the method's own names are marks of a token", () => {
  const sinks = u1([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [2, 6]);
  const more = {
    sinks,
    registers: u1([1, 0, 0, 0, 0, 0]),
    roles: [{ name: "anchor", tokens: [0] }],
  };
  const one = texts(run(more), view({ words: new Set([0]) }));
  assert.equal(one.kind(0), "register of the vision tower, attention sink in this layer, anchor");
  assert.equal(one.kind(1), "–");
  assert.deepEqual(one.lines(1).slice(0, 2), [
    "token 1 · row 0, column 1",
    "Attention 0.2 · rank 2 of 6",
  ]);
});

/** The caches of two layers; in the second one key head keeps tokens 0 and 1, the other 0 and 2. */
const cached = () =>
  run({
    fates: u1([0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2], [2, 6]),
    head_fates: u1(
      [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 1, 2, 0, 2, 0, 2, 1, 2],
      [2, 2, 6],
    ),
    group: i4([0, 1, 2, 3, 4, 5, 0, 1, 2, -1, 0, -1], [2, 6]),
    place: i4([0, 1, 2, 3, 4, 5, 0, 1, 2, -1, 0, -1], [2, 6]),
    went: i2([-1, -1, -1, 1, 1, 1]),
    heads: f4(Array(3 * 2 * 4 * 6).fill(0.1), [3, 2, 4, 6]),
    stages: [0, 1].map((layer) => ({
      title: "SnapKV",
      where: "in the KV cache after the prefill",
      layer,
      left: 2,
      removes: false,
      heads: 2,
    })),
  });

test("a token in a KV cache says how many key heads keep it", () => {
  const one = texts(cached());
  assert.equal(one.fate(0), "kept by 2 of 2 key heads (SnapKV, layer 1)");
  assert.equal(one.fate(1), "kept by 1 of 2 key heads (SnapKV, layer 1)");
  assert.equal(one.fate(3), "left the KV cache (SnapKV, layer 1)");
  assert.equal(one.fate(4), "merged in the KV cache (SnapKV, layer 1)");
  assert.equal(
    texts(cached(), view({ stage: 0 })).fate(5),
    "kept by 2 of 2 key heads (SnapKV, layer 0)",
  );
});

test("fates are those of the key head that the view's head reads", () => {
  const scene = new Scene(cached());
  assert.deepEqual(Array.from(scene.fatesSeen(view())), [0, 0, 0, 2, 1, 2]);
  assert.deepEqual(Array.from(scene.fatesSeen(view({ head: 1 }))), [0, 0, 2, 2, 1, 2]);
  assert.deepEqual(Array.from(scene.fatesSeen(view({ head: 2 }))), [0, 2, 0, 2, 1, 2]);
  assert.deepEqual(Array.from(scene.fatesSeen(view({ head: 2, stage: -1 }))), [0, 0, 0, 0, 0, 0]);
});
