// Elements for the side panel and the cards; text never becomes markup.

/** An element with text and attributes. @param {string} tag @param {string} className @param {string} text @param {Record<string, any>} attributes @returns {any} */
export function element(tag, className, text = '', attributes = {}) {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) {
    node.setAttribute(name, value);
  }
  return node;
}

/** An element around others; what is null is left out. @param {string} tag @param {string} className @param {any[]} children @param {Record<string, any>} attributes */
export function around(tag, className, children, attributes = {}) {
  const node = element(tag, className, '', attributes);
  node.append(...children.filter(child => child !== null && child !== undefined && child !== ''));
  return node;
}

/** A button. @param {string} className @param {string} label @param {() => any} act @param {Record<string, any>} attributes */
export function button(className, label, act, attributes = {}) {
  const node = element('button', `jp-Button ${className}`, label, { type: 'button', ...attributes });
  node.onclick = act;
  return node;
}

/** What a row is made of; two of the same make differ in their words alone. */
const make = node => [node, ...node.querySelectorAll('*')].map(one => `${one.tagName} ${one.className} ${one.getAttribute('aria-label') ?? ''} ${one.hasAttribute('disabled')}`).join();

/** Show these rows in a list; those that are there already, by their data-key, are told the new words and keep their buttons. @param {any} list @param {any[]} rows */
export function renew(list, rows) {
  const shown = [...list.children];
  const known = rows.length === shown.length && rows.every((row, i) => row.dataset.key && row.dataset.key === shown[i].dataset.key && make(row) === make(shown[i]));
  if (!known) {
    list.replaceChildren(...rows);
    return;
  }
  rows.forEach((row, i) => {
    const [now, next] = [shown[i], row].map(one => [...one.querySelectorAll('*')]);
    now.forEach((node, k) => {
      if (!node.children.length && node.textContent !== next[k].textContent) {
        node.textContent = next[k].textContent;
      }
      if (node.tagName === 'PROGRESS' && next[k].hasAttribute('value')) {
        node.value = next[k].value;
      }
    });
  });
}

/** Bytes as a person reads them. @param {number} bytes */
export function size(bytes) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)));
  const value = bytes / 1000 ** power;
  return `${value >= 100 || power === 0 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}

/** Seconds as a person reads them. @param {number} seconds */
export function duration(seconds) {
  const whole = Math.round(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h} h ${m} min` : m ? `${m} min ${s} s` : `${s} s`;
}

/** A number with at most this many significant digits. @param {any} value @param {number} digits */
export const figure = (value, digits = 3) => (typeof value === 'number' && Number.isFinite(value) ? String(Number(value.toPrecision(digits))) : '–');
