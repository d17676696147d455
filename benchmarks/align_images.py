"""5,000 cutouts of 128 px, half TAN and half TAN-SIP, turned at random all over the sky, onto 96 px: beside reproject, one at a time.

Interpolating beside `reproject_interp`; flux conserving beside `reproject_exact`, whose answer it is, and in speed also beside
`reproject_adaptive`. Flux conserving means here that reproject gets brightness (flux over the solid angle of each pixel, made
before the clock starts) and its answer is multiplied with the solid angle of the grid's pixels. A peer is run on the first
images only, and its time scaled to 5,000.
"""

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from reporting import Line, interleaved

N, SIDE, PIXEL = 5000, 128, 0.262
SIZE, SCALE = 96, PIXEL * 128 / 96
LOOPED = {True: (80, 2), False: (500, 5)}  # images of the peer, pairs; by --quick
DISTORTION = {
    "A_ORDER": 3, "B_ORDER": 3, "A_2_0": 2e-6, "A_1_1": -1e-6, "A_0_2": 5e-7, "A_3_0": 3e-10, "A_1_2": -2e-10,
    "B_2_0": -7e-7, "B_1_1": 2e-6, "B_0_2": -1e-6, "B_0_3": 4e-10, "B_2_1": 1e-10,
}  # fmt: skip


def header(i: int, rng: np.random.Generator) -> tuple[dict[str, Any], float, float]:
    """The WCS of one cutout, and the target at its middle (deg); every other one is cut far from the middle of a distorted frame."""
    ra, dec = rng.uniform(0, 360), math.degrees(math.asin(rng.uniform(-0.98, 0.98)))
    turn, step = rng.uniform(0, 2 * math.pi), PIXEL / 3600
    keys: dict[str, Any] = {
        "CUNIT1": "deg", "CUNIT2": "deg", "RADESYS": "ICRS", "CRVAL1": ra, "CRVAL2": dec, "CRPIX1": SIDE / 2 + rng.uniform(-2, 2), "CRPIX2": SIDE / 2 + rng.uniform(-2, 2),
        "CD1_1": -math.cos(turn) * step, "CD1_2": math.sin(turn) * step, "CD2_1": math.sin(turn) * step, "CD2_2": math.cos(turn) * step,
    }  # fmt: skip
    bent = "-SIP" if i % 2 else ""
    keys |= {"CTYPE1": f"RA---TAN{bent}", "CTYPE2": f"DEC--TAN{bent}"}
    if not bent:
        return keys, ra, dec
    from astropy.wcs import WCS

    keys |= DISTORTION | {"CRPIX1": SIDE / 2 + rng.uniform(-800, 800), "CRPIX2": SIDE / 2 + rng.uniform(-800, 800)}
    return keys, *map(float, WCS(keys).pixel_to_world_values((SIDE - 1) / 2, (SIDE - 1) / 2))


def cutouts(n: int) -> tuple[list[Any], np.ndarray, np.ndarray]:
    """Images of stars and noise, and their targets."""
    from astrofuse_lab.modalities import Image

    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    images, places = [], []
    for i in range(n):
        keys, ra, dec = header(i, rng)
        flux = rng.normal(2, 0.1, (SIDE, SIDE)).astype(np.float32)
        for a, b, height, width in rng.uniform((20, 20, 5, 1.5), (SIDE - 20, SIDE - 20, 50, 3), (4, 4)):
            flux += (height * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 2 / width**2)).astype(np.float32)
        images.append(Image(flux[None], np.ones((1, SIDE, SIDE), bool), ("r",), keys, PIXEL))
        places.append((ra, dec))
    return images, *np.array(places).T


def solid_angle(keys: dict[str, Any]) -> np.ndarray:
    """Of each input pixel, arcsec squared: what the distortion leaves of it."""
    from astropy.wcs import WCS

    y, x = np.mgrid[: SIDE + 1, : SIDE + 1] - 0.5
    sky = WCS(keys).all_pix2world(np.stack([x.ravel(), y.ravel()], 1), 0)
    lon, lat = np.radians(sky.T)
    xyz = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], -1).reshape(SIDE + 1, SIDE + 1, 3)
    area = np.linalg.norm(np.cross(xyz[1:, 1:] - xyz[:-1, :-1], xyz[1:, :-1] - xyz[:-1, 1:]), axis=-1) / 2
    return np.degrees(np.degrees(area)) * 3600**2


def lines(quick: bool) -> Iterator[Line]:
    """The rows of the issue's table."""
    import reproject
    import torch
    from astropy.wcs import WCS

    from astrofuse_lab.alignment.grids import PixelGrid
    from astrofuse_lab.alignment.images import resample

    images, ra, dec = cutouts(N)
    grid, (looped, pairs) = PixelGrid(SIZE, SCALE), LOOPED[quick]
    sources, goals = [i.wcs for i in images[:looped]], [grid.wcs(a, d) for a, d in zip(ra[:looped], dec[:looped], strict=True)]
    flux = [i.flux[0] for i in images[:looped]]
    per_area = [f / solid_angle(k) * PIXEL**2 for f, k in zip(flux, sources, strict=True)]
    scale = (SCALE / PIXEL) ** 2
    kept: dict[str, Any] = {}

    def ours(method: str, device: str = "cpu") -> None:
        kept["ours"] = resample(images, grid, ra, dec, method=method, samples=1, device=device)

    def peer(function: Any, planes: list[np.ndarray], **options: Any) -> None:
        # headers are read by both within the time
        kept["peer"] = [function((p, WCS(s)), WCS(g), shape_out=(SIZE, SIZE), **options) for p, s, g in zip(planes, sources, goals, strict=True)]

    def seconds(method: str, device: str, *peers: Any, **options: Any) -> tuple[float, float]:
        a, b = interleaved(lambda: ours(method, device), lambda: peer(*peers, **options), pairs)
        return a, b * N / looped

    def difference(total: bool) -> float:
        worst = 0.0
        for flux_, mask, (want, foot) in zip(kept["ours"].flux, kept["ours"].mask, kept["peer"], strict=False):
            inside = mask[0] & (foot > 1 - 1e-6) & np.isfinite(want)
            mine, theirs = flux_[0][inside].astype(float), want[inside] * scale
            worst = max(worst, abs(mine.sum() / theirs.sum() - 1) if total else np.abs(mine - theirs).max() / theirs.max())
        return worst

    what = f"{N} cutouts {SIDE} to {SIZE} px, half of them SIP"
    said = f", looped ({looped} run, scaled to {N})"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for work, method, name, function, options, total, tolerance, goal in (
            ("interpolating", "bilinear", "reproject_interp", reproject.reproject_interp, {}, False, 1e-3, 40.0),
            ("flux conserving", "exact", "reproject_exact", reproject.reproject_exact, {}, True, 1e-4, 60.0),
            ("flux conserving", "exact", "reproject_adaptive", reproject.reproject_adaptive, {"conserve_flux": False}, True, 1e-2, None),
        ):
            for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
                mine, theirs = seconds(method, device, function, per_area, **options)
                error = difference(total)
                yield Line(f"{what}, {work}{', on ' + device if device != 'cpu' else ''}", name + said, error <= tolerance, error, tolerance, mine, theirs, goal)
