// The sphere on the plane and back: the whole sky in Aitoff's projection, or a tangent plane; north up, east left.

export const RAD = Math.PI / 180;

/** Direction in the middle of some positions, and how far the farthest lies, in deg. */
export function middle(ra, dec) {
  let [x, y, z] = [0, 0, 0];
  let n = 0;
  for (let i = 0; i < ra.length; i++) {
    if (!Number.isFinite(ra[i])) continue;
    x += Math.cos(dec[i] * RAD) * Math.cos(ra[i] * RAD);
    y += Math.cos(dec[i] * RAD) * Math.sin(ra[i] * RAD);
    z += Math.sin(dec[i] * RAD);
    n++;
  }
  const length = Math.hypot(x, y, z);
  if (length < 1e-6 * n || !n) return { ra: 180, dec: 0, reach: 180 };
  const at = { ra: (Math.atan2(y, x) / RAD + 360) % 360, dec: Math.asin(z / length) / RAD, reach: 0 };
  for (let i = 0; i < ra.length; i++) if (Number.isFinite(ra[i])) at.reach = Math.max(at.reach, separation(at.ra, at.dec, ra[i], dec[i]));
  return at;
}

/** deg between two directions (haversine, exact also where they are close). */
export function separation(ra, dec, ra2, dec2) {
  const [a, b] = [Math.sin(((dec2 - dec) * RAD) / 2), Math.sin(((ra2 - ra) * RAD) / 2)];
  return (2 * Math.asin(Math.min(1, Math.sqrt(a * a + Math.cos(dec * RAD) * Math.cos(dec2 * RAD) * b * b)))) / RAD;
}

/** Galactic latitude in deg; the pole is at RA 192.85948, Dec 27.12825 (Hipparcos and Tycho Catalogues, ESA SP-1200, vol. 1, sec. 1.5.3). */
export const galacticLatitude = (ra, dec) =>
  Math.asin(Math.sin(dec * RAD) * Math.sin(27.12825 * RAD) + Math.cos(dec * RAD) * Math.cos(27.12825 * RAD) * Math.cos((ra - 192.85948) * RAD)) / RAD;

/** A point at galactic longitude l on the galactic plane, as ICRS degrees; the ascending node is at l = 32.93192. */
export function galacticPlane(l) {
  const t = (l - 32.93192) * RAD;
  const tilt = (90 - 27.12825) * RAD;
  const [x, y, z] = [Math.cos(t), Math.sin(t) * Math.cos(tilt), Math.sin(t) * Math.sin(tilt)];
  return [(Math.atan2(y, x) / RAD + 192.85948 + 90 + 360) % 360, Math.asin(z) / RAD];
}

/** A circle on the sky, in steps. */
export function circlePoints(ra, dec, radius, steps = 72) {
  const [sin0, cos0, sinR, cosR] = [Math.sin(dec * RAD), Math.cos(dec * RAD), Math.sin(radius * RAD), Math.cos(radius * RAD)];
  return Array.from({ length: steps + 1 }, (_, i) => {
    const t = (2 * Math.PI * i) / steps;
    const sin = sin0 * cosR + cos0 * sinR * Math.cos(t);
    return [(ra + Math.atan2(Math.sin(t) * sinR * cos0, cosR - sin0 * sin) / RAD + 360) % 360, Math.asin(Math.max(-1, Math.min(1, sin))) / RAD];
  });
}

/** The whole sky, RA 180 in the middle. @returns {{to: (ra: number, dec: number) => number[], from: (x: number, y: number) => number[] | null, k: number}} */
export function aitoff(width, height) {
  const k = Math.min(width / 4.3, height / 2.12);
  const [cx, cy] = [width / 2, height / 2];
  const half = 2 / Math.PI;
  return {
    k,
    to(ra, dec) {
      const turn = ((180 - ra) * RAD) / 2;
      const alpha = Math.acos(Math.cos(dec * RAD) * Math.cos(turn));
      const sinc = alpha < 1e-9 ? 1 : Math.sin(alpha) / alpha;
      return [cx + (k * half * 2 * Math.cos(dec * RAD) * Math.sin(turn)) / sinc, cy - (k * half * Math.sin(dec * RAD)) / sinc];
    },
    from(x, y) {
      // half of Aitoff's x with its y is the azimuthal equidistant projection of half the longitude
      const [u, v] = [(x - cx) / k / half / 2, (cy - y) / k / half];
      const rho = Math.hypot(u, v);
      if (rho > Math.PI / 2) return null;
      const sinc = rho < 1e-9 ? 1 : Math.sin(rho) / rho;
      return [(180 - (2 * Math.atan2(u * sinc, Math.cos(rho))) / RAD + 360) % 360, Math.asin(Math.max(-1, Math.min(1, v * sinc))) / RAD];
    },
  };
}

/** A tangent plane that holds `reach` deg around a centre; margins leave room for labels. */
export function tangent(center, width, height) {
  const [sin0, cos0] = [Math.sin(center.dec * RAD), Math.cos(center.dec * RAD)];
  const k = Math.min(width - 88, height - 44) / 2 / Math.max(Math.tan(Math.min(center.reach, 60) * RAD) / RAD, 1e-4) / 1.12;
  const [cx, cy] = [36 + width / 2, (height - 24) / 2];
  return {
    k,
    to(ra, dec) {
      const d = (ra - center.ra) * RAD;
      const [sin, cos] = [Math.sin(dec * RAD), Math.cos(dec * RAD)];
      const c = sin0 * sin + cos0 * cos * Math.cos(d);
      return c <= 0.05 ? [NaN, NaN] : [cx - (k * cos * Math.sin(d)) / c / RAD, cy - (k * (cos0 * sin - sin0 * cos * Math.cos(d))) / c / RAD];
    },
    from(x, y) {
      const [u, v] = [((cx - x) / k) * RAD, ((cy - y) / k) * RAD];
      const c = Math.atan(Math.hypot(u, v));
      const s = Math.hypot(u, v) < 1e-12 ? 1 : Math.sin(c) / Math.hypot(u, v);
      return [(center.ra + Math.atan2(u * s, cos0 * Math.cos(c) - v * s * sin0) / RAD + 360) % 360, Math.asin(Math.max(-1, Math.min(1, Math.cos(c) * sin0 + v * s * cos0))) / RAD];
    },
  };
}
