import assert from "node:assert/strict";
import { test } from "node:test";
import { palette, scaled } from "../../assets/js/explorer/palette.js";

/** Perceived lightness of 8-bit sRGB, CIE L*. */
const lightness = (rgb) => {
  const [r, g, b] = rgb.map((c) => (c <= 10.3 ? c / 3294.6 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  const y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return y <= 0.008856 ? 903.3 * y : 116 * Math.cbrt(y) - 16;
};
const parts = (text) => text.match(/\d+/g).map(Number);

test("the ramp gets lighter at every step, so it reads without colour too", () => {
  const light = palette.ramp.map((colour) => lightness(parts(colour)));
  assert.equal(light.length, 256);
  for (let i = 1; i < light.length; i++) assert.ok(light[i] > light[i - 1] - 0.35, `step ${i}`);
  assert.ok(light[255] - light[0] > 70);
});

test("a colour as one number has the bytes of the same colour as text", () => {
  const bytes = new Uint8Array(palette.packed.buffer);
  for (const step of [0, 1, 100, 255]) {
    assert.deepEqual(Array.from(bytes.slice(4 * step, 4 * step + 3)), parts(palette.ramp[step]));
  }
});

test("where a map is low the picture shows through, and nothing of it where it is highest", () => {
  const bytes = new Uint8Array(palette.packed.buffer);
  const alphas = Array.from({ length: 256 }, (_, step) => bytes[4 * step + 3]);
  assert.equal(alphas[0], 0);
  assert.equal(alphas[255], 255);
  assert.ok(alphas.every((alpha, i) => !i || alpha >= alphas[i - 1]));
  assert.equal(palette.cover(0), 0);
  assert.ok(palette.cover(0.1) < 0.3);
});

test("shares outside 0 to 1 take the colours at the ends", () => {
  assert.equal(palette.colour(-3), palette.ramp[0]);
  assert.equal(palette.colour(2), palette.ramp[255]);
  assert.equal(palette.step(0.5), 128);
});

test("both scales go from 0 to 1 and the logarithmic one lifts small shares", () => {
  for (const scaling of ["linear", "log"]) {
    assert.equal(scaled(0, scaling), 0);
    assert.equal(scaled(1, scaling), 1);
    assert.equal(scaled(7, scaling), 1);
  }
  assert.equal(scaled(0.1, "linear"), 0.1);
  assert.ok(scaled(0.1, "log") > 0.4);
});

test("groups have seven colours and further ones, and the method's names six signs", () => {
  assert.equal(new Set([0, 1, 2, 3, 4, 5, 6].map(palette.group)).size, 7);
  assert.notEqual(palette.group(8), palette.group(1));
  assert.equal(new Set([0, 1, 2, 3, 4, 5].map(palette.glyphOf)).size, 6);
});
