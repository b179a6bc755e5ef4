import assert from "node:assert/strict";
import { test } from "node:test";
import { imageFates, imageName, imageShares } from "../../assets/js/explorer/image_strip.js";
import { Scene } from "../../assets/js/explorer/scene.js";
import { i2, reduced, run } from "./payloads.mjs";

const FRAMES = {
  images: [
    { src: null, width: 30, height: 10, time: [0, 0.5] },
    { src: null, width: 30, height: 10, time: [1, 1] },
  ],
  panes: [0, 1].map((image) => ({ image, role: "frame", view: [0, 0, 30, 10], unseen: [] })),
  pane: i2([0, 0, 0, 1, 1, 1]),
};

test("a frame is named by its time, a picture by its number", () => {
  assert.equal(imageName(FRAMES.images[0], 0), "0–0.5 s");
  assert.equal(imageName(FRAMES.images[1], 1), "1 s");
  assert.equal(imageName({ src: null, width: 1, height: 1, time: null }, 2), "Picture 3");
});

test("shares of the pictures add up to one and leave out what is no number", () => {
  const scene = new Scene(run(FRAMES));
  assert.deepEqual(imageShares(scene, Float32Array.of(1, 1, Number.NaN, 4, 2, 0)), [0.25, 0.75]);
  assert.ok(imageShares(scene, new Float32Array(6)).every(Number.isNaN));
  assert.equal(scene.where(4), "frame 2");
});

test("each picture has its own count of kept and merged tokens", () => {
  const scene = new Scene({ ...reduced(), ...FRAMES });
  const counts = imageFates(scene, [0, 1, 2, 0, 0, 1]);
  assert.deepEqual(counts, [
    { kept: 1, merged: 1, all: 3 },
    { kept: 2, merged: 1, all: 3 },
  ]);
  assert.equal(imageFates(scene, null)[1].kept, 3);
});
