"""What the products of a set are worth: separations, signal to noise, masks, balance of classes. Each a table."""

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.samples.leakage import is_number
from astrofuse_lab.samples.split import Split, group_codes

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.sample_set import SampleSet

LOOKED_AT = 2_000
"""Objects whose arrays are read for an estimate; of a larger set evenly spaced ones."""
FAINT = 3.0
"""Signal to noise below which a product shows nothing by itself."""
SEPARATION = re.compile(r"(^|_)(separation|sep|distance_arcsec|match_distance)$")
CLASSES = 100


def separations(samples: "SampleSet") -> "Table":
    """How far matched sources lie from their objects.

    Returns
    -------
    Table
        A row a column of separations (named so): has, median, p95, most (in its unit), ``outlying``: the share beyond five times the median.
    """
    rows = []
    for name in samples.roles:
        values = samples.column(name)
        if not SEPARATION.search(name.lower()) or values.dtype.kind not in "fi" or not len(values.compressed()):
            continue
        known = np.asarray(values.compressed(), dtype=np.float64)
        known = known[np.isfinite(known)]
        low, high = np.percentile(known, (50, 95)) if len(known) else (np.nan, np.nan)
        rows.append((name, samples.units.get(name, ""), len(known), float(low), float(high), float(known.max(initial=0)), float((known > 5 * low).mean()) if len(known) else 0.0))
    return _table(rows, ("column", "unit", "has", "median", "p95", "most", "outlying"), ("U", "U", int, float, float, float, float))


def signal(samples: "SampleSet") -> "Table":
    """Signal to noise of each modality that has errors or, for images, a sky.

    Returns
    -------
    Table
        A row a modality: ``of`` (what is divided by what), the 5th, 50th and 95th percentile over objects, ``faint``: the share below 3.
    """
    rows = []
    for name, spec in samples.modalities.items():
        has = _some(np.flatnonzero(samples.present(name)))
        one = {"image": _of_image, "spectrum": _of_spectrum, "light_curve": _of_curve}.get(spec.kind)
        if one is None or not len(has):
            continue
        words, values = one(samples.arrays(name, has))
        values = values[np.isfinite(values)]
        if len(values):
            rows.append((name, words, len(values), *(float(v) for v in np.percentile(values, (5, 50, 95))), float((values < FAINT).mean())))
    return _table(rows, ("modality", "of", "looked", "p5", "median", "p95", "faint"), ("U", "U", int, float, float, float, float))


def masks(samples: "SampleSet") -> "Table":
    """What is missing: objects without a modality or column, and within what is there.

    Returns
    -------
    Table
        A row a modality or column of numbers: ``kind``, ``missing`` (share of objects without it), ``masked`` (median share of its values that are masked; of
        modalities), ``hollow`` (share of objects with more than half masked), ``constant`` (every value equal), ``role``.
    """
    rows: list[Any] = []
    for name, spec in samples.modalities.items():
        present = samples.present(name)
        gone = _masked(samples, name, _some(np.flatnonzero(present)))
        middle, hollow = (float(np.median(gone)), float((gone > 0.5).mean())) if len(gone) else (np.nan, np.nan)
        rows.append((name, spec.kind, "input", float(1 - present.mean()) if len(present) else 0.0, middle, hollow, False))
    for name, role in samples.roles.items():
        column = samples.column(name)
        known = column.compressed()
        constant = len(samples) > 1 and len(known) > 0 and bool((known == known[0]).all())
        rows.append((name, "column", role, float(np.ma.getmaskarray(column).mean()) if len(samples) else 0.0, np.nan, np.nan, constant))
    return _table(rows, ("name", "kind", "role", "missing", "masked", "hollow", "constant"), ("U", "U", "U", float, float, float, bool))


def balance(samples: "SampleSet", target: str, split: Split | None = None) -> "Table":
    """Classes of a target, or bins of a number: how many objects and groups, on each side of a split.

    Returns
    -------
    Table
        ``class``, ``objects``, ``groups``, ``share``, and with a split ``train``, ``validation``, ``test``; the unlabelled last. At most 100 classes.
    """
    column, codes = samples.column(target), group_codes(samples)
    known = ~np.ma.getmaskarray(column)
    names: NDArray[Any] = np.full(len(samples), "(none)", dtype=object)
    if is_number(samples, target) and known.any():
        edges = np.unique(np.quantile(column[known].astype(float), np.linspace(0, 1, 6)))
        place = np.clip(np.searchsorted(edges, column.filled(0).astype(float), side="right") - 1, 0, max(0, len(edges) - 2))
        labels = [f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges)] or [f"{edges[0]:.4g}"]
        names[known] = np.array(labels, dtype=object)[place[known]]
        order = labels
    else:
        names[known] = column.data[known].astype(str)
        found, counts = np.unique(names[known].astype(str), return_counts=True)
        order = [str(n) for n in found[np.argsort(-counts, kind="stable")]][:CLASSES]
    sides = {side: np.isin(samples.object_ids, getattr(split, side)) for side in ("train", "validation", "test") if getattr(split, side, ())}
    rows = []
    for name in [*order, *(["(none)"] if not known.all() else [])]:
        mine = names == name
        rows.append((name, int(mine.sum()), len(np.unique(codes[mine])), float(mine.mean()), *(int((mine & side).sum()) for side in sides.values())))
    return _table(rows, ("class", "objects", "groups", "share", *sides), ("U", int, int, float, *[int] * len(sides)))


def _some(positions: NDArray[np.int64]) -> NDArray[np.int64]:
    return positions if len(positions) <= LOOKED_AT else positions[np.linspace(0, len(positions) - 1, LOOKED_AT).astype(int)]


def _masked(samples: "SampleSet", name: str, positions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of each object's values that are masked."""
    got = samples.arrays(name, positions)
    if "mask" not in got:
        return np.zeros(len(positions))
    if "offsets" not in got:
        return np.asarray(1 - got["mask"].reshape(len(positions), -1).mean(axis=1))
    count = np.diff(got["offsets"])
    owner = np.repeat(np.arange(len(positions)), count)
    good = np.bincount(owner, weights=got["mask"], minlength=len(positions))
    return np.where(count > 0, 1 - good / np.maximum(count, 1), 1.0)


def _of_image(got: dict[str, NDArray[Any]]) -> tuple[str, NDArray[np.float64]]:
    flux = got["flux"].reshape(len(got["flux"]), -1).astype(np.float64)
    mask = got["mask"].reshape(flux.shape) & np.isfinite(flux)
    if "ivar" in got:
        noise = np.sqrt(np.clip(np.nan_to_num(got["ivar"].reshape(flux.shape)), 0, None))
        return "brightest pixel by its error", np.max(np.where(mask, flux * noise, -np.inf), axis=1, initial=-np.inf)
    flux = np.where(mask, flux, np.nan)
    flux = flux[mask.any(axis=1)]
    sky = np.nanmedian(flux, axis=1, keepdims=True)
    noise = 1.4826 * np.nanmedian(np.abs(flux - sky), axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return "brightest pixel above the sky by the sky's scatter", (np.nanmax(flux, axis=1) - sky[:, 0]) / noise


def _of_spectrum(got: dict[str, NDArray[Any]]) -> tuple[str, NDArray[np.float64]]:
    good = got["mask"] & (got["ivar"] > 0) & np.isfinite(got["flux"])
    each = np.where(good, np.abs(got["flux"]) * np.sqrt(np.clip(got["ivar"], 0, None)), np.nan)
    return "median pixel by its error", np.nanmedian(each[good.any(axis=1)].astype(np.float64), axis=1)


def _of_curve(got: dict[str, NDArray[Any]]) -> tuple[str, NDArray[np.float64]]:
    """The brightest epoch of each: what was seen at all."""
    good = got["mask"] & (got["flux_err"] > 0) & np.isfinite(got["flux"]) & ~got.get("limit", np.zeros(len(got["mask"]), dtype=bool))
    owner = np.repeat(np.arange(len(got["offsets"]) - 1), np.diff(got["offsets"]))[good]
    best = np.full(len(got["offsets"]) - 1, -np.inf)
    np.maximum.at(best, owner, np.abs(got["flux"][good] / got["flux_err"][good]).astype(np.float64))
    return "best epoch by its error", best


def _table(rows: list[Any], names: tuple[str, ...], dtypes: tuple[Any, ...]) -> "Table":
    from astropy.table import Table

    table = Table(rows=rows, names=names) if rows else Table(names=names, dtype=["U8" if d == "U" else d for d in dtypes])
    for name, kind in zip(names, dtypes, strict=True):
        if kind is float:
            table[name].format = ".4g"
    return table
