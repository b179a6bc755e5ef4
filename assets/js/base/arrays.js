/** Arrays from Python: base64 as tokviz/view/encode.py writes it, unpacked to {values, shape}. */

/** @import { Field, Numbers, Packed } from "./types.js" */

/**
 * The value of each of the 65536 16-bit floats, by its bits (1 sign, 5 exponent, 10 fraction).
 * JavaScript has no typed array for them.
 */
const float16 = new Float32Array(65536);
for (let bits = 0; bits < 65536; bits++) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) float16[bits] = fraction ? NaN : sign * Infinity;
  else
    float16[bits] =
      sign *
      (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
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
  if (field.dtype === "f2") values = Float32Array.from(values, (bits) => float16[bits]);
  if (field.scale) {
    // Bytes, as shares of one scale per row: scale is [rows], values [rows, length].
    const scale = unpack(field.scale).values;
    const length = field.shape[field.shape.length - 1];
    const real = new Float32Array(values.length);
    for (let i = 0; i < values.length; i++)
      real[i] = values[i] === 255 ? NaN : (values[i] / 254) * scale[Math.floor(i / length)];
    values = real;
  }
  return { values, shape: field.shape };
};
