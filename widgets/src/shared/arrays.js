// Arrays as the wire has them, {dtype, shape, data}, to typed arrays that know their shape.

const TYPES = { float32: Float32Array, float64: Float64Array, int32: Int32Array, uint8: Uint8Array, uint16: Uint16Array };
const UNKNOWN = 65535; // of coordinates kept in two bytes

/** The bytes behind whatever a front end hands over as binary. */
export function bytesOf(data) {
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (data?.buffer instanceof ArrayBuffer) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return new Uint8Array(0);
}

/** @param {any} packed @param {Uint8Array} [bytes] those of an array that came in parts */
export function typed(packed, bytes = bytesOf(packed.data).slice()) {
  const Type = TYPES[packed.dtype];
  const values = new Type(bytes.buffer);
  return Object.assign(packed.step ? stepped(values, packed) : values, { shape: packed.shape });
}

/** Numbers that a saved page keeps as steps between the ends of their axes, or of their column. */
function stepped(codes, { low, step }) {
  const out = new Float32Array(codes.length);
  for (let k = 0; k < codes.length; k++) out[k] = codes[k] === UNKNOWN ? NaN : low[k % low.length] + codes[k] * step[k % step.length];
  return out;
}

/** A payload with every array in it unpacked, however deep. @param {any} value @returns {any} */
export function unpack(value) {
  if (Array.isArray(value)) return value.map(unpack);
  if (!value || typeof value !== "object" || ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value;
  if (value.dtype in TYPES && Array.isArray(value.shape)) return typed(value);
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, unpack(v)]));
}

/** Put buffers back where `paths` says they were. */
export function withBuffers(payload, paths, buffers) {
  paths.forEach((path, i) => {
    const owner = path.slice(0, -1).reduce((node, step) => node[step], payload);
    owner[path.at(-1)] = buffers[i];
  });
  return payload;
}

/** Lines of text from UTF-8 bytes. */
export const lines = (data) => new TextDecoder().decode(bytesOf(data)).split("\n");

/** Smallest and largest finite value where `ok`. @returns {[number, number]} */
export function extent(values, ok = (_i) => true) {
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < values.length; i++) {
    const v = values[i];
    if (!Number.isFinite(v) || !ok(i)) continue;
    if (v < low) low = v;
    if (v > high) high = v;
  }
  return low <= high ? [low, high] : [0, 1];
}

/** The range that holds all but a share of the values at each end, so that one wild pixel does not flatten a plot; of many values, by every so many. @returns {[number, number]} */
export function robust(values, ok = (_i) => true, share = 0.005) {
  const stride = Math.max(1, Math.floor(values.length / 200000));
  const kept = new Float64Array(Math.ceil(values.length / stride));
  let n = 0;
  for (let i = 0; i < values.length; i += stride) if (Number.isFinite(values[i]) && ok(i)) kept[n++] = values[i];
  if (!n) return [0, 1];
  const line = kept.subarray(0, n).sort();
  const at = (q) => line[Math.min(n - 1, Math.max(0, Math.round(q * (n - 1))))];
  return [at(share), at(1 - share)];
}

/** Largest absolute finite value. */
export function peak(values) {
  let top = 0;
  for (const v of values) if (Number.isFinite(v) && Math.abs(v) > top) top = Math.abs(v);
  return top;
}
