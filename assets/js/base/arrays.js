/** Base64 arrays as packed by tokviz/view/encode.py -> {values, shape}. */

/** @import { Field, Numbers, Packed } from "./types.js" */

/**
 * Value of each 16-bit float by its bits: sign 1, power 5, fraction 10; browsers read none
 * themselves.
 */
const halves = new Float32Array(65536);
for (let bits = 0; bits < 65536; bits++) {
  const sign = bits & 0x8000 ? -1 : 1;
  const power = (bits >> 10) & 31;
  const part = bits & 1023;
  if (power === 31) halves[bits] = part ? NaN : sign * Infinity;
  else
    halves[bits] =
      sign * (power ? 2 ** (power - 15) * (1 + part / 1024) : 2 ** -14 * (part / 1024));
}

const kinds = { f2: Uint16Array, f4: Float32Array, u1: Uint8Array, i2: Int16Array, i4: Int32Array };

/**
 * @param {Packed | null} field
 * @returns {Field | null}
 */
export const unpack = (field) => {
  if (!field) return null;
  const bytes = Uint8Array.from(atob(field.data), (c) => c.charCodeAt(0));
  /** @type {Numbers} */
  let values = new kinds[field.dtype](bytes.buffer);
  if (field.dtype === "f2") values = Float32Array.from(values, (bits) => halves[bits]);
  if (field.scale) {
    const scale = unpack(field.scale).values;
    const length = field.shape[field.shape.length - 1];
    const real = new Float32Array(values.length);
    for (let i = 0; i < values.length; i++)
      real[i] = values[i] === 255 ? NaN : (values[i] / 254) * scale[Math.floor(i / length)];
    values = real;
  }
  return { values, shape: field.shape };
};
