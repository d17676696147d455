// The first rows of a NumPy file, over the server's own files address: of a set of gigabytes only what is drawn is asked for.

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

const HEAD = 1024; // bytes that hold the header of the files that are written here
const MOST = 8 * 1024 * 1024; // bytes taken at most, also from a server that knows no ranges
const READ = { '<f4': [Float32Array, 4], '<f8': [Float64Array, 8], '|b1': [Uint8Array, 1], '|u1': [Uint8Array, 1], '|i1': [Int8Array, 1], '<i4': [Int32Array, 4], '<i8': [BigInt64Array, 8], '<u8': [BigUint64Array, 8] };

/** Some bytes of a file, or null where the server does not give them. @param {any} settings @param {string} path @param {number} from @param {number} count */
export async function bytes(settings, path, from, count) {
  if (count > MOST) {
    return null;
  }
  const address = URLExt.join(settings.baseUrl, 'files', URLExt.encodeParts(path));
  const answer = await ServerConnection.makeRequest(address, { method: 'GET', headers: { Range: `bytes=${from}-${from + count - 1}` } }, settings);
  if (answer.status === 206) {
    return answer.arrayBuffer();
  }
  if (answer.status !== 200 || !(Number(answer.headers.get('Content-Length')) <= MOST)) {
    void answer.body?.cancel();
    return null;
  }
  return (await answer.arrayBuffer()).slice(from, from + count);
}

/** What the header of a NumPy file says; null where this is none that can be drawn. @param {ArrayBuffer} buffer */
export function header(buffer) {
  const view = new DataView(buffer);
  const text = new TextDecoder('latin1').decode(buffer);
  if (buffer.byteLength < 12 || view.getUint8(0) !== 0x93 || !text.startsWith('NUMPY', 1)) {
    return null;
  }
  const [length, start] = view.getUint8(6) === 1 ? [view.getUint16(8, true), 10] : [view.getUint32(8, true), 12];
  const said = text.slice(start, start + length);
  const dtype = /'descr':\s*'([^']+)'/.exec(said)?.[1];
  const shape = /'shape':\s*\(([\d,\s]*)\)/.exec(said)?.[1].split(',').filter(part => part.trim()).map(Number);
  if (!(dtype in READ) || !shape?.length || !/'fortran_order':\s*False/.test(said) || start + length > buffer.byteLength) {
    return null;
  }
  return { dtype, shape, start: start + length };
}

/**
 * Rows `first` to `first + count` of a file, as one array of numbers.
 * @returns {Promise<{shape: number[], values: Float64Array} | null>} shape of one row
 */
export async function rows(settings, path, first, count) {
  const head = await bytes(settings, path, 0, HEAD);
  const known = head && header(head);
  if (!known) {
    return null;
  }
  const [kind, width] = READ[known.dtype];
  const [all, ...shape] = known.shape;
  const each = shape.reduce((a, b) => a * b, 1);
  const taken = Math.max(0, Math.min(count, all - first));
  if (!taken || !each) {
    return null;
  }
  const data = await bytes(settings, path, known.start + first * each * width, taken * each * width);
  return data && data.byteLength === taken * each * width ? { shape, values: Float64Array.from(new kind(data), Number) } : null;
}
