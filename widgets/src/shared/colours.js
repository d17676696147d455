// One colour and one icon for each modality, one colour for each class and band; astrofuse_lab/widgets/colours.py holds the same.
import { s } from "./dom.js";

export const CLASS_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#7F7F7F"];
export const MODALITY_COLOURS = { image: "#0077BB", spectrum: "#EE7733", light_curve: "#009988", series: "#33BBEE", table: "#AA4499", text: "#BB9922" };
export const BAND_COLOURS = { u: "#0c71ff", g: "#49be61", r: "#c61c00", i: "#ffc200", z: "#f341a2", y: "#5d0000" };
export const STATE_COLOURS = { found: "#009E73", empty: "#7F7F7F", failed: "#D55E00", pending: "#56B4E9" };

const ICONS = {
  image: "M2 3h12v10H2zM5 7.2a1.2 1.2 0 1 0 0-.1M2.5 12l4-4 3 3 2-2 2.5 2.5",
  spectrum: "M1.5 12.5h2l1.2-3 1.3 3h1.6L9 3l1.4 9.5h1.2l1-2 .9 2h1",
  light_curve: "M2 9.5h.1M4.500 6h.1M7 3.500h.1M9.500 6.500h.1M12 10.500h.1M14 12h.1",
  series: "M1.5 6h4.500l2 6 2-6h4.500",
  table: "M2 3h12v10H2zM2 6.500h12M2 9.700h12M6.500 3v10",
  text: "M3 4h10M3 7h10M3 10h10M3 13h6",
};

/** A modality's icon in its colour. @param {string} kind */
export function icon(kind, size = 16) {
  const dots = kind === "light_curve";
  return s(
    "svg",
    { viewBox: "0 0 16 16", width: size, height: size, "aria-hidden": "true", class: "af-icon" },
    s("path", { d: ICONS[kind] || "M3 8h10", fill: "none", stroke: modalityColour(kind), "stroke-width": dots ? 2.6 : 1.5, "stroke-linecap": "round", "stroke-linejoin": "round" }),
  );
}

export const modalityColour = (kind) => MODALITY_COLOURS[kind] || "#7F7F7F";
export const classColour = (index) => CLASS_COLOURS[Math.min(index < 0 ? 7 : index, 7)];
export const label = (name) => name.replaceAll("_", " ");

/** A band's colour, by the last of ugrizy in its name, else by its index. */
export function bandColour(band, index = 0) {
  const letter = [...band].reverse().find((c) => c in BAND_COLOURS);
  return letter ? BAND_COLOURS[letter] : CLASS_COLOURS[index % 8];
}

export const BAND_ON_DARK = { r: "#d62b10", y: "#f2e6e0" }; // on a dark page; put there by style.css

const VIRIDIS = [[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121], [110, 206, 88], [181, 222, 43], [253, 231, 37]];
const NEGATIVE = [47, 127, 216];
const POSITIVE = [232, 101, 10];
const NEUTRAL = [139, 139, 139];

const mix = (a, b, t) => a.map((v, i) => Math.round(v + (b[i] - v) * t));
const clamp = (t) => Math.min(1, Math.max(0, t || 0));

/** Viridis (van der Walt and Smith 2015) at 0 to 1, as [r, g, b]. */
export function viridis(t) {
  const x = clamp(t) * (VIRIDIS.length - 1);
  const i = Math.min(Math.floor(x), VIRIDIS.length - 2);
  return mix(VIRIDIS[i], VIRIDIS[i + 1], x - i);
}

/** Blue below zero, orange above, grey at zero; legible on white and black. @param {number} t -1 to 1 */
export const diverging = (t) => mix(NEUTRAL, t < 0 ? NEGATIVE : POSITIVE, Math.sqrt(clamp(Math.abs(t))));
export const css = ([r, g, b], alpha = 1) => (alpha < 1 ? `rgba(${r},${g},${b},${alpha})` : `rgb(${r},${g},${b})`);

const linear = (v) => (v <= 10 ? v / 3294 : ((v / 255 + 0.055) / 1.055) ** 2.4);

/** Black or white, whichever reads better on a colour: at least 4.5 to 1 on any (WCAG 2, relative luminance). */
export const ink = ([r, g, b]) => (0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b) > 0.18 ? "#000" : "#fff");
