import assert from "node:assert/strict";
import { test } from "node:test";
import { Scene } from "../../assets/js/explorer/scene.js";
import { leadSentence } from "../../assets/js/explorer/sentences.js";
import { defaultView, startView } from "../../assets/js/explorer/starting_view.js";
import { walkFrames } from "../../assets/js/explorer/walk.js";
import { ATTENTION, f4, run, view } from "./payloads.mjs";

// Of three layers the first two were sent as the middle and the last; layer 0 has no attention.
const share = f4([NaN, 0.25, 0.75, NaN, 0.5, 0.1, NaN, 0.1, 0.1], [3, 3]);
const hybrid = { attention_layers: [1, 2], gaps: { 0: "linear attention" }, share };

test("a layer without attention shows no numbers, not those of a neighbour", () => {
  const scene = new Scene(run({ ...hybrid, savable: true, head_count: 2 }));
  const gap = view({ layer: 0 });
  assert.ok(Array.from(scene.values(gap)).every(Number.isNaN));
  assert.equal(scene.drawnLayer(0), 0);
  assert.equal(scene.users(gap, 1), null);
  assert.equal(scene.headMaps(gap), null);
  assert.deepEqual(scene.late.missing(gap, true), []);
  const said = leadSentence({ scene, view: gap, look: {} });
  assert.match(said, /^Layer 0 is linear attention: it has no attention map\./);
  assert.match(said, /Layers that have one: 1, 2\.$/);
  assert.deepEqual(
    Array.from(scene.values(view({ layer: 2, words: new Set([0]) }))),
    Array.from(Float32Array.from(ATTENTION[1])),
  );
});

test("a view opens on a layer with attention, and the walk passes by the others", () => {
  const scene = new Scene(run(hybrid));
  const opened = defaultView();
  startView(opened, scene, {}, false);
  assert.equal(opened.layer, 2);
  const kept = { ...defaultView(), layer: 0 }; // as it is while the answer is written
  startView(kept, scene, {}, true);
  assert.equal(kept.layer, 2);
  assert.deepEqual(
    walkFrames(scene).map((frame) => frame.layer),
    [null, 1, 2],
  );
});
