// Going from sample to sample: through those selected, or through all where none is.
import { positions, readSelection, tell } from "./link.js";

/** @param {any} model @param {number} n */
export function pager(model, n) {
  const list = () => {
    const chosen = positions(readSelection(model, n));
    return chosen.length ? chosen : null;
  };
  return {
    page(by) {
      const chosen = list();
      const focus = model.get("focus");
      if (!n) return;
      if (!chosen) return void tell(model, { focus: Math.min(n - 1, Math.max(0, focus + by)) });
      const at = chosen.indexOf(focus);
      const next = at < 0 ? (by > 0 ? chosen.find((i) => i > focus) ?? chosen[0] : chosen.findLast((i) => i < focus) ?? chosen.at(-1)) : chosen[Math.min(chosen.length - 1, Math.max(0, at + by))];
      tell(model, { focus: next });
    },
    place() {
      const chosen = list();
      return chosen ? [chosen.indexOf(model.get("focus")) + 1, chosen.length, "selected"] : [model.get("focus") + 1, n, ""];
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
