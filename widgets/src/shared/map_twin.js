// A map in words and as a table: how its groups lie, how far they reach, and whether neighbours are alike.
import { label } from "./colours.js";
import { number } from "./columns.js";
import { gridOf } from "./point_grid.js";
import { listed, thinned } from "./twin.js";

const BINS = 5;
const NEAR = 5000; // points whose nearest neighbour is looked for, at most

/** Groups of samples: the classes of a column, fifths of a number, or all as one. @returns {{name: string, of: (i: number) => boolean}[]} */
function groupsOf(ink, column, n) {
  if (ink.kind === "category" && column?.ready) return ink.entries.map(({ name, code }) => ({ name, of: (i) => column.raw[i] === code }));
  if (ink.kind !== "number" || !column?.ready) return [{ name: "all", of: () => true }];
  const line = Float64Array.from(thinned(n, 50000).map((i) => column.raw[i]).filter(Number.isFinite)).sort();
  const edges = Array.from({ length: BINS + 1 }, (_, k) => line[Math.min(line.length - 1, Math.round((k * (line.length - 1)) / BINS))]);
  return edges.slice(1).map((top, k) => ({ name: `${number(edges[k], 3)} to ${number(top, 3)}`, of: (i) => column.raw[i] >= edges[k] && (k === BINS - 1 ? column.raw[i] <= top : column.raw[i] < top) }));
}

/** What each group is on the map; places and reaches in shares of the map's larger side. */
function measured({ xy, n, ink, column, mask }) {
  const grid = gridOf(xy);
  const [x0, y0, x1, y1] = grid.box;
  const side = Math.max(x1 - x0, y1 - y0) || 1;
  const there = (i) => xy[2 * i] - xy[2 * i] === 0;
  const groups = groupsOf(ink, column, n).map((g) => ({ ...g, count: 0, chosen: 0, x: 0, y: 0, spread: 0, asked: 0, alike: 0 }));
  const own = new Int16Array(n).fill(-1);
  for (let i = 0; i < n; i++) {
    if (!there(i)) continue;
    const k = groups.findIndex((g) => g.of(i));
    own[i] = k;
    if (k < 0) continue;
    const g = groups[k];
    g.count++;
    g.chosen += mask[i];
    g.x += xy[2 * i];
    g.y += xy[2 * i + 1];
  }
  for (const g of groups) if (g.count) [g.x, g.y] = [g.x / g.count, g.y / g.count];
  for (let i = 0; i < n; i++) if (own[i] >= 0) groups[own[i]].spread += (xy[2 * i] - groups[own[i]].x) ** 2 + (xy[2 * i + 1] - groups[own[i]].y) ** 2;
  for (const i of thinned(n, NEAR)) {
    if (own[i] < 0) continue;
    const next = grid.nearest(xy[2 * i], xy[2 * i + 1], side, (j) => j !== i && own[j] >= 0);
    if (next < 0) continue;
    groups[own[i]].asked++;
    groups[own[i]].alike += own[next] === own[i] ? 1 : 0;
  }
  const full = groups.filter((g) => g.count);
  const apart = (a, b) => Math.hypot(a.x - b.x, a.y - b.y) / side;
  return full.map((g) => {
    const others = full.filter((o) => o !== g).sort((a, b) => apart(a, g) - apart(b, g));
    return { name: g.name, count: g.count, chosen: g.chosen, x: (g.x - x0) / side, y: (g.y - y0) / side, at: [(g.x - x0) / (x1 - x0 || 1), (g.y - y0) / (y1 - y0 || 1)], reach: Math.sqrt(g.spread / g.count) / side, alike: g.asked ? g.alike / g.asked : NaN, next: others.length ? others[0].name : "", far: others.length ? apart(others[0], g) : NaN };
  });
}

const percent = (v) => (Number.isFinite(v) ? `${(100 * v).toFixed(0)} %` : "");
const sides = ({ at: [x, y] }) => `${y > 0.55 ? "top" : y < 0.45 ? "bottom" : "middle"} ${x > 0.55 ? "right" : x < 0.45 ? "left" : "centre"}`;

/** @param {{xy: Float32Array, n: number, ink: any, column: any, mask: Uint8Array, what: string, badges: string}} given @returns {import("./twin.js").Twin} */
export function mapTwin(given) {
  let rows = /** @type {any[] | null} */ (null);
  const groups = () => (rows ??= measured(given));
  const { ink, n, what, badges } = given;
  const by = ink.kind === "none" ? "samples" : label(ink.label);
  const says = () => {
    const all = groups();
    const placed = all.reduce((sum, g) => sum + g.count, 0);
    const chosen = all.reduce((sum, g) => sum + g.chosen, 0);
    const told = all.map((g) => `${g.name}, ${g.count} at the ${sides(g)}${Number.isFinite(g.alike) && all.length > 1 ? `, ${percent(g.alike)} of them next to one of their own` : ""}`);
    return `Map of ${n} samples (${what}), ${placed} with a place${ink.kind === "none" ? "" : ` and a ${by}`}${chosen ? `, ${chosen} selected` : ""}. ${all.length ? `By ${by}: ${listed(told.slice(0, 12))}.` : ""}${badges ? ` How far to trust it: ${badges}.` : ""} Distances between groups mean little on a map; who is next to whom does.`;
  };
  return {
    name: `the map, ${what}`, says, heads: [by, "samples", "selected", "across", "up", "reach", "next to one of its own", "nearest group", "how far"],
    rows: () => groups().map((g) => [g.name, g.count, g.chosen, g.x.toFixed(2), g.y.toFixed(2), g.reach.toFixed(2), percent(g.alike), g.next, Number.isFinite(g.far) ? g.far.toFixed(2) : ""]),
  };
}
