// The sky without a pointer: from target to target by arrows, and the same in words and as a table.
import { number } from "./columns.js";
import { middle } from "./projection.js";

/** The nearest point that lies more in a direction than beside it; from none, that nearest to `start`. @param {number[][]} points on the screen @param {number} from @param {number[]} start */
export function toward(points, from, dx, dy, start) {
  const [x0, y0] = from >= 0 && points[from] ? points[from] : start;
  let [best, least] = [from, Infinity];
  points.forEach(([x, y], i) => {
    const [u, v] = [x - x0, y - y0];
    const along = u * dx + v * dy;
    const aside = Math.abs(u * dy) + Math.abs(v * dx);
    if (!Number.isFinite(x) || i === from || (from >= 0 && (along <= 0 || aside > along))) return;
    const cost = from >= 0 ? along + 2 * aside : Math.hypot(u, v);
    if (cost < least) [best, least] = [i, cost];
  });
  return best;
}

/** Targets on the sky. @param {any} all @param {(survey: any, ra: number, dec: number) => any} covers @returns {import("./twin.js").Twin} */
export function skyTwin(all, covers) {
  const { n, ra, dec, found, ids, asked, mask, surveys } = all;
  const places = [...Array(n).keys()].filter((i) => Number.isFinite(ra[i]));
  const around = places.length ? middle(places.map((i) => ra[i]), places.map((i) => dec[i])) : null;
  const count = (test) => places.filter(test).length;
  const chosen = mask.reduce((sum, v) => sum + v, 0);
  const states = asked ? ` Found in all of ${asked} ${asked === 1 ? "survey" : "surveys"}: ${count((i) => found[i] >= asked)}; in some: ${count((i) => found[i] > 0 && found[i] < asked)}; nothing yet: ${count((i) => !found[i])}.` : "";
  const outside = surveys.map((one) => [one.name, count((i) => !covers(one, ra[i], dec[i]))]).filter(([, k]) => k).map(([name, k]) => `${k} outside what ${name} saw`);
  return {
    name: "the sky", says: `${n} ${n === 1 ? "target" : "targets"}${around ? ` within ${number(around.reach, 3)}° of RA ${number(around.ra, 6)}°, Dec ${number(around.dec, 6)}°` : ", none with a position"}.${states}${outside.length ? ` ${outside.join("; ")}.` : ""}${chosen ? ` ${chosen} selected.` : ""}`,
    heads: ["target", "RA (deg)", "Dec (deg)", ...(asked ? [`found in, of ${asked}`] : []), "selected"],
    rows: () => [...Array(n).keys()].map((i) => [ids[i] ?? `target ${i}`, number(ra[i], 8), number(dec[i], 8), ...(asked ? [found[i]] : []), mask[i] ? "yes" : "no"]),
  };
}
