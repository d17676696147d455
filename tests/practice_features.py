"""What an astronomer would measure on each product of the practice sky: a few dozen numbers, none of them learned."""

from itertools import pairwise

import numpy as np

from astrofuse_lab.alignment.text import words

NOTHING = -99.0


def image(one):
    """Growth curves, colours, moments, offset of the brightest pixel, asymmetry."""
    flux, half = np.where(one.mask, one.flux, 0), one.flux.shape[-1] // 2
    y, x = np.mgrid[: flux.shape[1], : flux.shape[2]] - half
    radius = np.hypot(x, y) * one.scale
    out = []
    for plane in flux:
        grown = [plane[radius < r].sum() for r in (0.6, 1.2, 2, 3, 4.5, 7)]
        out += [np.arcsinh(grown[3])] + [g / (abs(grown[3]) + 0.3) for g in grown]
    bright = np.arcsinh([plane[radius < 3].sum() for plane in flux])
    red = flux[1]
    top = np.unravel_index(np.argmax(np.where(radius < 6, red, -9)), red.shape)
    out += [bright[0] - bright[1], bright[1] - bright[2], red.max(), np.hypot(top[0] - half, top[1] - half)]
    for reach in (2.0, 4.5):
        weight = np.where(radius < reach, np.clip(red, 0, None), 0)
        mx, my = ((weight * v).sum() / (weight.sum() + 1e-6) for v in (x, y))
        xx, yy, xy = ((weight * v).sum() / (weight.sum() + 1e-6) for v in ((x - mx) ** 2, (y - my) ** 2, (x - mx) * (y - my)))
        out += [np.hypot(mx, my), np.sqrt(xx + yy), np.hypot(xx - yy, 2 * xy) / (xx + yy + 1e-6)]
    near = radius < 4
    return [*out, np.abs(red - red[::-1, ::-1])[near].sum() / (np.abs(red)[near].sum() + 1e-6)]


def spectrum(one):
    """Flux in 60 bins relative to its level, and relative to its smooth continuum."""
    where = np.digitize(one.wavelength, np.geomspace(3700, 9500, 61))
    good = [(where == k) & one.mask for k in range(1, 61)]
    mean = np.array([np.average(one.flux[g], weights=one.ivar[g]) if g.any() else 0 for g in good])
    level = np.median(np.abs(mean)) + 0.05
    smooth = np.convolve(np.pad(mean, 4, "edge"), np.ones(9) / 9, "valid")
    return [level, *(mean / level)[::2], *((mean - smooth) / level)]


def light_curve(one):
    """By band: brightness, scatter beyond errors, extremes, share and span of detections, von Neumann ratio."""
    out = []
    for band in "gr":
        keep = (one.band == band) & one.mask
        flux, error, time = one.flux[keep], one.flux_err[keep], one.time[keep]
        if len(flux) < 3:
            out += [NOTHING] * 12
            continue
        weight, middle, seen = 1 / error**2, np.median(flux), flux > 3 * error
        mean = (weight * flux).sum() / weight.sum()
        out += [np.arcsinh(middle / 3), ((flux - mean) ** 2 * weight).mean(), flux.std() / (abs(middle) + 3), (flux.max() - middle) / (abs(middle) + 4)]
        out += [(middle - flux.min()) / (abs(middle) + 4), seen.mean(), np.ptp(time[seen]) if seen.any() else -1, (np.diff(flux) ** 2).mean() / (2 * flux.var() + 1e-6)]
        out += [(flux > middle + 5 * error).mean(), flux.max(), time[np.argmax(flux)] - time[0], ((flux - middle) ** 3).mean() / (flux.std() ** 3 + 1e-6)]
    return [*out, len(one.time)]


def table(one):
    """The input columns and three colours."""
    values = {k: NOTHING if v is None else v for k, v in one.values.items() if one.roles.get(k, "input") == "input"}
    mags = [values[f"mag_{b}"] for b in "griz"]
    return [*values.values(), *(a - b if NOTHING not in (a, b) else NOTHING for a, b in pairwise(mags))]


def texts(reports):
    """Which of the commoner words occur."""
    said = [set(words(r.text)) for r in reports]
    known = sorted({w for s in said for w in s})
    known = [w for w in known if sum(w in s for s in said) >= 6]
    return [[w in s for w in known] for s in said]


def matrix(name, products):
    """Features of many products of one survey of the practice sky, (object, feature)."""
    kind = name.removeprefix("practice/")
    rows = texts(products) if kind == "text" else [globals()[kind](one) for one in products]
    return np.nan_to_num(np.array(rows, dtype=float), nan=NOTHING)
