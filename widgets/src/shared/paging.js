// Going from sample to sample: through those selected, or through all where none is.
import { readSelection, tell } from "./link.js";

/** @param {any} model @param {number} n */
export function pager(model, n) {
  const chosen = () => {
    const mask = readSelection(model, n);
    return mask.includes(1) ? mask : null;
  };
  return {
    page(by) {
      const mask = chosen();
      const focus = model.get("focus");
      if (!n) return;
      if (!mask) return void tell(model, { focus: Math.min(n - 1, Math.max(0, focus + by)) });
      const after = mask.indexOf(1, focus + 1);
      const before = focus > 0 ? mask.lastIndexOf(1, focus - 1) : -1;
      const next = by > 0 ? after : before;
      // at an end it stays; one that is not selected goes to the other end
      tell(model, { focus: next >= 0 ? next : mask[focus] ? focus : by > 0 ? mask.indexOf(1) : mask.lastIndexOf(1) });
    },
    place() {
      const mask = chosen();
      const focus = model.get("focus");
      if (!mask) return [focus + 1, n, ""];
      let [at, of] = [0, 0];
      for (let i = 0; i < n; i++) if (mask[i] && ++of && i === focus) at = of;
      return [at, of, "selected"];
    },
  };
}

/** Type an id to go to it. @param {any} model @param {any[]} columns @param {number} n */
export function goTo(model, columns, n, word) {
  const low = word.trim().toLowerCase();
  if (!low) return false;
  for (const test of [(id) => id === low, (id) => id.includes(low)])
    for (let i = 0; i < n; i++)
      if (test(columns[0].text(i).toLowerCase())) {
        tell(model, { focus: i });
        return true;
      }
  return false;
}
