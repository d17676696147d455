"""Images from spectra, and images by their own length: what published networks are given."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from astrofuse_lab.alignment.representations.common import Arrays, Columns, Layout, Options, choice
from astrofuse_lab.errors import InputError

STYLES = ("fold", "plot")
ALONG = ("rows", "whole")
SPECTRUM: Mapping[str, Any] = {"style": "fold", "rows": 64, "columns": 64, "clip": 1.0}
L2: Mapping[str, Any] = {"along": "whole", "side": 0, "pad": 0.0}
LARGEST_SIDE = 4096
OVERFLOWS = float(np.sqrt(np.finfo(np.float32).max))
"""Larger values have no square in float32."""


def spectrum_layout(given: Layout, options: Options) -> Layout:
    """One channel: (1, row, column)."""
    rows, columns = int(options["rows"]), int(options["columns"])
    if rows < 2 or columns < 2 or not 0 <= options["clip"] < 50:
        raise InputError(f"rows={rows}, columns={columns}, clip={options['clip']!r}: 2 or more each, and a percentage below 50.")
    if choice("style of a spectrum as image", options["style"], STYLES) == "fold" and rows * columns > 4 * given.shape[-1]:
        raise InputError(f"{rows} x {columns} pixels for a spectrum of {given.shape[-1]}: give fewer rows or columns.")
    return Layout("image", ("flux",), (1, rows, columns), given.unit if options["style"] == "fold" else "")


def spectrum_run(arrays: Arrays, given: Layout, options: Options, columns: Columns) -> Arrays:
    """``fold``: the spectrum cut into rows, one under the other, in order of wavelength; ``plot``: drawn, bright where its line runs.

    The spectrum is brought to ``rows x columns`` pixels (folded) or ``columns`` (drawn) as means of its good pixels. Drawn, the flux runs from
    the `clip` percentile at the bottom (row 0) to 100 less `clip` at the top; a column without a good pixel is masked.
    """
    rows, wide = int(options["rows"]), int(options["columns"])
    flux = np.asarray(arrays["flux"], dtype=np.float64)
    mask = arrays["mask"] & np.isfinite(flux)
    fold = options["style"] == "fold"
    mean, seen = _means(np.where(mask, flux, 0.0), mask, rows * wide if fold else wide)
    if fold:
        values, good = mean.reshape(-1, 1, rows, wide), seen.reshape(-1, 1, rows, wide)
    else:
        filled = np.where(mask, flux, np.nan)
        filled[~mask.any(axis=1)] = 0.0
        low, high = (np.nanpercentile(filled, p, axis=1) for p in (options["clip"], 100 - options["clip"]))
        place = (mean - low[:, None]) / np.maximum(high - low, 1e-30)[:, None] * (rows - 1)
        # the line reaches from one column's height to the next one's, halfway
        before, after = np.concatenate([place[:, :1], place[:, :-1]], axis=1), np.concatenate([place[:, 1:], place[:, -1:]], axis=1)
        bottom = np.minimum(np.minimum((place + before) / 2, (place + after) / 2), place)
        top = np.maximum(np.maximum((place + before) / 2, (place + after) / 2), place)
        row = np.arange(rows)[:, None]
        values = np.clip(np.minimum(row + 0.5, top[:, None] + 0.5) - np.maximum(row - 0.5, bottom[:, None] - 0.5), 0, 1)[:, None]
        good = np.broadcast_to(seen[:, None, None], values.shape)
    return {"flux": np.where(good, values, 0.0).astype(np.float32), "mask": good.copy(), "present": arrays["present"] & good.any(axis=(1, 2, 3))}


def _means(flux: Any, mask: Any, bins: int) -> tuple[Any, Any]:
    """Means of good pixels in bins along the axis; each pixel counts where its middle lies, a bin between pixels takes the nearest."""
    pixels = flux.shape[1]
    edges = np.linspace(0, pixels, bins + 1)
    begin = np.minimum(np.floor(edges[:-1] + 0.5 * (pixels < bins)).astype(int), pixels - 1)
    end = np.maximum(np.floor(edges[1:]).astype(int), begin + 1)
    sums, counts = (np.concatenate([np.zeros((len(flux), 1)), np.cumsum(v, axis=1)], axis=1) for v in (flux, mask.astype(np.float64)))
    total, count = sums[:, end] - sums[:, begin], counts[:, end] - counts[:, begin]
    return total / np.maximum(count, 1), count > 0


def l2_layout(given: Layout, options: Options) -> Layout:
    """As it was, without a unit; not less than `side` pixels either way."""
    choice("way of the L2 norm", options["along"], ALONG)
    side = int(options["side"])
    if not 0 <= side <= LARGEST_SIDE or not np.isfinite(options["pad"]):
        raise InputError(f"side={side}, pad={options['pad']!r}: a whole number up to {LARGEST_SIDE} (0: as the image is), and a finite number.")
    return given._replace(unit="", shape=(given.shape[0], *(max(side, one) for one in given.shape[1:])))


def l2_run(arrays: Arrays, given: Layout, options: Options, columns: Columns) -> Arrays:
    """Each plane, or each of its rows, divided by its own L2 norm; masked pixels count as zero, and a norm of zero as one.

    Duev et al. 2019 (arXiv:1907.11259): braai's published weights d6_m9 take whole cutouts, d6_m7, whose scores are in ZTF's packets, rows.
    Both were made in float32, where the square of ZTF's sentinel (-3.4e38, outside the reference image) is infinite, and so is the norm: a row (or plane) that
    a masked pixel of such a raw value lies in is zero as a whole. A stamp at the edge of the detector is smaller than the others: what lies beyond its last row or
    column with a pixel, at the bottom and right, is `pad` after the norm (1e-9 in braai), and so is what is lacking to `side` pixels.
    """
    raw = arrays["flux"]
    mask = arrays["mask"] & np.isfinite(raw)
    axes = (-1,) if options["along"] == "rows" else (-1, -2)
    flux = np.where(mask, raw, 0.0).astype(np.float64)
    norm = np.sqrt((flux**2).sum(axis=axes, keepdims=True))
    overflows = np.any(np.isfinite(raw) & (np.abs(raw) > OVERFLOWS), axis=axes, keepdims=True)
    flux = np.where(overflows, 0.0, flux / np.where(norm > 0, norm, 1.0))
    if options["side"] or options["pad"]:
        shape = l2_layout(given, options).shape
        beyond = [(0, 0), (0, 0), *((0, after - before) for after, before in zip(shape[1:], flux.shape[2:], strict=True))]
        flux, mask = np.pad(flux, beyond), np.pad(mask, beyond)
        beside = ~(_upto(mask.any(axis=(1, 3)))[:, None, :, None] & _upto(mask.any(axis=(1, 2)))[:, None, None, :]) & mask.any(axis=(1, 2, 3), keepdims=True)
        # what was added counts as seen, so that encoders are given the number and not zero
        flux, mask = np.where(beside, options["pad"], flux), mask | beside
    return {"flux": flux.astype(np.float32), "mask": mask, "present": arrays["present"].copy()}


def _upto(there: Any) -> Any:
    """True up to the last True of each row."""
    return np.flip(np.logical_or.accumulate(np.flip(there, -1), axis=-1), -1)
