import assert from "node:assert/strict";
import { test } from "node:test";
import { Scene } from "../../assets/js/explorer/scene.js";
import { leadSentence } from "../../assets/js/explorer/sentences.js";
import { ATTENTION, f4, run, view } from "./payloads.mjs";

const share = f4(Array(15).fill(0.5), [3, 5]);
const large = { attention_layers: [1, 4], share, savable: true, head_count: 2 };
const numbers = (count) => Array.from({ length: count }, (_, i) => i);

test("a run that the server keeps has its heads, though they were not sent", () => {
  assert.equal(new Scene(run(large)).map("attention").heads, 2);
  assert.equal(new Scene(run({ ...large, savable: false })).map("attention").heads, 0);
});

test("what a view needs is asked for once, and then shown", async () => {
  const asked = [];
  const server = {
    read_layer: async (sent) => {
      asked.push(sent);
      return sent.heads
        ? { rows: f4(numbers(36), [3, 2, 6]) }
        : { rows: f4(ATTENTION.slice(0, 3).flat(), [3, 6]) };
    },
  };
  const scene = new Scene(run(large));
  const one = view({ layer: 3, head: 1, words: new Set([2]) });
  assert.deepEqual(Array.from(scene.shown(one)), Array.from(scene.values({ ...one, head: -1 })));
  assert.equal(scene.drawnLayer(3), 4);
  assert.equal(scene.headMaps(one), null);
  const needs = scene.late.missing(one, false);
  assert.deepEqual(needs, [
    { map: "attention", layer: 3, heads: false },
    { map: "attention", layer: 3, heads: true },
  ]);
  for (const need of needs) await scene.late.ask(server, need);
  assert.deepEqual(asked[0], { id: "one", map: "attention", layer: 3, heads: false });
  assert.deepEqual(scene.late.missing(one, true), []);
  assert.equal(scene.drawnLayer(3), 3);
  // word 2 of [t, h, n]: rows 4 and 5 of six numbers
  assert.deepEqual(Array.from(scene.shown(one)), [30, 31, 32, 33, 34, 35]);
  assert.equal(scene.headMaps(one).heads.length, 2);
  assert.deepEqual(
    Array.from(scene.values({ ...one, head: -1 })),
    Array.from(Float32Array.from(ATTENTION[2])),
  );
});

test("without a head or the gallery no heads are asked for", () => {
  const scene = new Scene(run({ ...large, attention_layers: undefined, share: undefined }));
  assert.deepEqual(scene.late.missing(view(), false), []);
  assert.equal(scene.late.missing(view(), true).length, 1);
});

test("heads of the vision tower come by layer", async () => {
  const server = { read_layer: async () => ({ rows: f4(numbers(18), [3, 6]) }) };
  const tower = f4(numbers(12), [2, 6]);
  const scene = new Scene(run({ savable: true, tower, tower_head_count: 3 }));
  const one = view({ map: "tower", layer: 1, head: 2 });
  assert.deepEqual(Array.from(scene.values(one)), [6, 7, 8, 9, 10, 11]); // the mean, meanwhile
  await scene.late.ask(server, scene.late.missing(one, false)[0]);
  assert.deepEqual(Array.from(scene.values(one)), [12, 13, 14, 15, 16, 17]);
});

test("a refusal is told and not asked for again", async () => {
  const server = { read_layer: async () => ({ error: "This run is no longer kept." }) };
  const scene = new Scene(run(large));
  const one = view({ layer: 4, head: 0 });
  await scene.late.ask(server, scene.late.missing(one, false)[0]);
  assert.deepEqual(scene.late.missing(one, false), []);
  assert.match(
    leadSentence({ scene, view: one, look: {} }),
    /mean of all heads .* This run is no longer kept\./,
  );
});
