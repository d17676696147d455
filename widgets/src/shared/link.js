// What a view asks of Python, and the selection as bits; works without a kernel from what the page has stored.
import { bytesOf, unpack, withBuffers } from "./arrays.js";

const KEPT = 48;
const PATIENCE = 6000; // milliseconds
const books = new WeakMap();

function bookOf(model) {
  if (!books.has(model)) {
    const book = { answers: new Map(), waiting: new Map(), lost: null };
    books.set(model, book);
    model.on("change:live", () => {
      if (model.get("live")) return;
      for (const key of [...book.waiting.keys()]) settle(book, { key, error: "Python is gone. Run the cell again." }, []);
    });
    model.on("msg:custom", (message, buffers) => message?.type === "answer" && settle(book, message, buffers));
  }
  return books.get(model);
}

function settle(book, message, buffers) {
  const waiting = book.waiting.get(message.key);
  if (!waiting) return;
  if (message.partial) { // coarse; a finer one follows
    waiting.coarse = unpack(withBuffers(message.payload, message.paths, buffers));
    return void waiting.part?.(waiting.coarse);
  }
  book.waiting.delete(message.key);
  if (message.error) {
    book.answers.delete(message.key);
    waiting.reject(new Error(message.error));
  } else waiting.resolve(unpack(withBuffers(message.payload, message.paths, buffers)));
}

/** A message to Python. Where the line is closed (the kernel was restarted, or has ended) the view hears of it by `onLoss`. @param {any} model @param {any} message */
function send(model, message) {
  try {
    model.send(message);
  } catch (/** @type {any} */ error) {
    bookOf(model).lost?.();
    throw error;
  }
}

/** What to call when nothing can be sent any more. @param {any} model @param {() => void} call */
export const onLoss = (model, call) => void (bookOf(model).lost = call);

/** The answer to a key, asked for once; @param {any} model @param {string} key @param {(coarse: any) => void} [part] gets a coarse answer, where there is one before the fine one @returns {Promise<any>} */
export function want(model, key, part) {
  const book = bookOf(model);
  const under = book.waiting.get(key);
  if (under && part) {
    under.part = part;
    if (under.coarse) part(under.coarse);
  }
  if (book.answers.has(key)) return book.answers.get(key);
  const saved = model.get("saved") || {};
  let answer;
  if (key in saved) answer = Promise.resolve(unpack(saved[key]));
  else if (!model.get("live")) return Promise.reject(new Error("This page has no kernel, and this sample was not stored with it. Open it in a notebook to see it."));
  else {
    answer = new Promise((resolve, reject) => book.waiting.set(key, { resolve, reject, part, coarse: null, since: performance.now() }));
    answer.catch(() => {});
    try {
      send(model, { type: "want", key });
    } catch (/** @type {any} */ error) { // the line to the kernel is closed
      settle(book, { key, error: `Python is gone (${error.message}). Run the cell again.` }, []);
    }
  }
  book.answers.set(key, answer);
  for (const old of book.answers.keys()) {
    if (book.answers.size <= KEPT) break;
    if (!book.waiting.has(old)) book.answers.delete(old);
  }
  return answer;
}

/** Hear when Python owes an answer for long, though it does not say that it is busy, and when it has answered; gives what ends that. @param {any} model @param {(silent: boolean) => void} call */
export function onSilence(model, call) {
  let silent = false;
  const look = () => {
    const late = !model.get("busy") && [...bookOf(model).waiting.values()].some((one) => performance.now() - one.since > PATIENCE);
    if (late !== silent) call((silent = late));
  };
  const timer = setInterval(look, 1000);
  return () => clearInterval(timer);
}

/** Forget answers, because what they were made of changed. @param {any} model @param {string} [prefix] */
export function forget(model, prefix = "") {
  const book = bookOf(model);
  for (const key of [...book.answers.keys()]) if (key.startsWith(prefix)) book.answers.delete(key);
}

/** Run a verb of the widget. @param {any} model @param {string} verb @param {any} [values] */
export const act = (model, verb, values = {}) => {
  try {
    send(model, { type: "do", verb, ...values });
  } catch (/** @type {any} */ error) {
    console.warn(`${verb} was not sent: ${error.message}`); // the view says that Python is gone
  }
};

/** Set traits and tell Python. @param {any} model @param {Record<string, any>} values */
export function tell(model, values) {
  for (const [name, value] of Object.entries(values)) model.set(name, value);
  model.save_changes();
}

/** The selection as one byte a position. @param {any} model @param {number} n */
export function readSelection(model, n) {
  const bits = bytesOf(model.get("selected"));
  const mask = new Uint8Array(n);
  if (!bits.length) return mask;
  for (let i = 0; i < n; i++) mask[i] = ((bits[i >> 3] || 0) >> (i & 7)) & 1;
  return mask;
}

/** @param {any} model @param {ArrayLike<number>} mask */
export function writeSelection(model, mask) {
  const bits = new Uint8Array(mask.length ? (mask.length + 7) >> 3 : 0);
  let any = 0;
  for (let i = 0; i < mask.length; i++) {
    if (!mask[i]) continue;
    bits[i >> 3] |= 1 << (i & 7);
    any = 1;
  }
  tell(model, { selected: new DataView(any ? bits.buffer : new ArrayBuffer(0)) });
}

export function positions(mask) {
  const out = [];
  for (let i = 0; i < mask.length; i++) if (mask[i]) out.push(i);
  return out;
}
