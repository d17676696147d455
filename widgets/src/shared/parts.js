// Arrays too large for one message: Python keeps them on a shelf (widgets/shelf.py) and gives them in parts.
import { bytesOf, typed } from "./arrays.js";
import { forget, want } from "./link.js";

/** An array that lies on Python's shelf, asked for in parts, one after the other; `told` hears how much of it is here. @param {any} model @param {any} packed @param {(share: number) => void} [told] @returns {Promise<any>} */
export async function whole(model, packed, told = () => {}) {
  if (packed.parts === undefined) return typed(packed);
  const pieces = [];
  for (let k = 0; k < packed.parts; k++) {
    pieces.push(bytesOf((await want(model, `part/${packed.part}/${k}`)).data));
    told((k + 1) / packed.parts);
  }
  forget(model, `part/${packed.part}/`);
  const bytes = new Uint8Array(pieces.reduce((sum, one) => sum + one.length, 0));
  let at = 0;
  for (const one of pieces) {
    bytes.set(one, at);
    at += one.length;
  }
  return typed(packed, bytes);
}
