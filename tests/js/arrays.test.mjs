import assert from "node:assert/strict";
import { test } from "node:test";
import { unpack } from "../../assets/js/base/arrays.js";

/** Packs as tokviz/view/encode.py does. */
const packed = (numbers, dtype, shape = [numbers.length]) => ({
  data: Buffer.from(numbers.buffer).toString("base64"),
  dtype,
  shape,
});

test("half floats come back as the numbers that they stand for", () => {
  const bits = Uint16Array.from([0x0000, 0x3c00, 0xc000, 0x3555, 0x7bff, 0x0001, 0x7e00, 0xfc00]);
  const { values, shape } = unpack(packed(bits, "f2"));
  assert.deepEqual(shape, [8]);
  assert.equal(values[0], 0);
  assert.equal(values[1], 1);
  assert.equal(values[2], -2);
  assert.ok(Math.abs(values[3] - 1 / 3) < 1e-4);
  assert.equal(values[4], 65504);
  assert.ok(Math.abs(values[5] - 2 ** -24) < 1e-12, "the smallest one, not normal");
  assert.ok(Number.isNaN(values[6]));
  assert.equal(values[7], -Infinity);
});

test("bytes with a scale are shares of their own row's scale, and 255 is no number", () => {
  const scale = packed(Float32Array.from([2, 10]), "f4");
  const bytes = Uint8Array.from([0, 127, 254, 254, 255, 127]);
  const { values } = unpack({ ...packed(bytes, "u1", [2, 3]), scale });
  assert.deepEqual(Array.from(values), [0, 1, 2, 10, NaN, 5]);
});

test("whole numbers keep their sign, and what was not sent is null", () => {
  assert.deepEqual(Array.from(unpack(packed(Int16Array.from([-1, 7]), "i2")).values), [-1, 7]);
  assert.deepEqual(Array.from(unpack(packed(Int32Array.from([-70000]), "i4")).values), [-70000]);
  assert.equal(unpack(null), null);
});
