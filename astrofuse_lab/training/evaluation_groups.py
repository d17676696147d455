"""Who is served badly: a metric by subgroup of samples, against the rest, with paired intervals."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.training.metrics import Metric, goodness, group_weights, interval, value

if TYPE_CHECKING:
    from astropy.table import Table

Array = NDArray[Any]
By = str | tuple[Any, ...]
QUARTERS = 4
"""Bins of a number, with equally many samples each, where none are given."""
MOST = 30
"""Values of a column that make subgroups; of more, those with most samples."""
LEAST = 10
"""Samples below which nothing is said of a subgroup in words."""
SKY_NSIDE = 2


class Tested(NamedTuple):
    """What a run said of the samples that it is measured on.

    Attributes
    ----------
    samples : SampleSet
        Only these.
    task : str
    truth, predicted : array, (sample, ...)
    groups : int array, (sample,)
    classes : tuple
    modalities : tuple of str
    """

    samples: SampleSet
    task: str
    truth: Array
    predicted: Array
    groups: Array
    classes: tuple[Any, ...]
    modalities: tuple[str, ...]


def signal_to_noise(samples: SampleSet, modality: str) -> Array:
    """How well each object is seen in a modality: (sample,), NaN where it is not.

    The median S/N of a spectrum's pixels, the highest of a light curve's epochs, the 99th percentile of an image's pixels.

    Raises
    ------
    InputError
        For a modality without errors.
    """
    arrays = samples.arrays(modality)
    if "flux_err" in arrays:
        good = arrays["mask"] & (arrays["flux_err"] > 0) & np.isfinite(arrays["flux"])
        ratio = np.where(good, np.abs(arrays["flux"]) / np.where(good, arrays["flux_err"], 1.0), np.nan)
        rows, q = [ratio[b:e] for b, e in zip(arrays["offsets"][:-1], arrays["offsets"][1:], strict=True)], 100.0
    elif "ivar" in arrays:
        good = arrays["mask"] & (arrays["ivar"] > 0) & np.isfinite(arrays["flux"])
        ratio = np.where(good, arrays["flux"] * np.sqrt(np.where(good, arrays["ivar"], 0.0)), np.nan)
        rows, q = list(ratio.reshape(len(ratio), -1)), 50.0 if samples.spec(modality).kind == "spectrum" else 99.0
    else:
        raise InputError(f"{modality!r} has no errors, so no signal-to-noise ratio. Take a column instead, e.g. by=('magnitude', 4).")
    has = arrays["present"]
    return np.array([np.nanpercentile(row, q) if ok and np.isfinite(row).any() else np.nan for row, ok in zip(rows, has, strict=True)])


def subgroups(tested: Tested, by: By) -> tuple[str, list[tuple[str, NDArray[np.bool_]]]]:
    """What divides the samples, and each subgroup with who is in it.

    Parameters
    ----------
    tested : Tested
    by : str or tuple
        ``"class"``; ``"available"``, which modalities a sample has; ``"sky"`` or ``("sky", nside)``; ``("snr", modality)`` or ``("snr", modality,
        bins)``; a column, or ``(column, bins)`` with a number of equally full bins or their edges.

    Raises
    ------
    InputError
        For what cannot divide these samples.
    """
    name, *rest = (by,) if isinstance(by, str) else by
    samples = tested.samples
    if name == "class":
        if tested.task != "classification":
            raise InputError(f"by='class': these runs learn {tested.task.replace('_', ' ')}. Give a column, e.g. by=('{samples.inputs[0] if samples.inputs else 'magnitude'}', 4).")
        return name, [(str(c), tested.truth == i) for i, c in enumerate(tested.classes)]
    if name == "available":
        return name, list(_available(tested))
    if name == "sky":
        return name, list(_cells(samples, int(rest[0]) if rest else SKY_NSIDE))
    if name == "snr":
        if not rest:
            raise InputError(f"by='snr': of which modality? E.g. by=('snr', {next(iter(tested.modalities), 'spectrum')!r}).")
        return f"S/N of {rest[0]}", list(_bins(signal_to_noise(samples, rest[0]), rest[1] if len(rest) > 1 else QUARTERS))
    column = samples.column(str(name))
    if column.dtype.kind in "fiu" and (rest or len(np.unique(column.compressed())) > MOST):
        return str(name), list(_bins(np.ma.filled(column.astype(float), np.nan), rest[0] if rest else QUARTERS))
    return str(name), list(_values(column))


def _available(tested: Tested) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    there = np.stack([tested.samples.present(m) for m in tested.modalities], axis=1)
    kinds, which = np.unique(there, axis=0, return_inverse=True)
    for i in np.argsort(-np.bincount(which.ravel(), minlength=len(kinds)), kind="stable"):
        names = [m for m, has in zip(tested.modalities, kinds[i], strict=True) if has]
        yield " + ".join(names) or "none", which.ravel() == i


def _cells(samples: SampleSet, nside: int) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    from astropy import units as u
    from astropy_healpix import HEALPix

    ra, dec = (np.ma.filled(samples.column(n).astype(float), np.nan) for n in ("ra", "dec"))
    known = np.isfinite(ra) & np.isfinite(dec)
    grid = HEALPix(nside=nside, order="nested")
    cell = np.where(known, grid.lonlat_to_healpix(np.where(known, ra, 0) * u.deg, np.where(known, dec, 0) * u.deg), -1)
    for one in np.unique(cell[known]):
        lon, lat = grid.healpix_to_lonlat(one)
        yield f"RA {lon.to_value(u.deg):.0f}, Dec {lat.to_value(u.deg):+.0f} deg", cell == one


def _bins(values: Array, bins: Any) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    known = np.isfinite(values)
    if isinstance(bins, int | np.integer):
        if bins < 1 or not known.any():
            raise InputError(f"{bins} bins of {int(known.sum())} known values: at least one of each.")
        edges = np.unique(np.quantile(values[known], np.linspace(0, 1, int(bins) + 1)))
    else:
        edges = np.asarray(list(bins), dtype=np.float64)
        if len(edges) < 2 or (np.diff(edges) <= 0).any():
            raise InputError(f"bins={list(bins)}: a number of bins, or two and more ascending edges.")
    if len(edges) == 1:
        edges = np.array([edges[0], edges[0]])
    for i, (low, high) in enumerate(pairwise(edges)):
        last = i == len(edges) - 2
        yield f"{low:.4g} to {high:.4g}", known & (values >= low) & ((values <= high) if last else (values < high))
    if (~known).any():
        yield "unknown", ~known


def _values(column: Any) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    missing = np.ma.getmaskarray(column)
    names, counts = np.unique(column.data[~missing], return_counts=True)
    for name in names[np.argsort(-counts, kind="stable")][:MOST]:
        yield str(name), ~missing & (column.data == name)
    if missing.any():
        yield "unknown", missing


def by_subgroup(tested: Tested, by: By, name: str, metric: Metric, resamples: int, seed: int) -> "Table":
    """One row a subgroup: by, subgroup, metric, value, low, high, n, groups, difference (this less the rest, positive where it is served better),
    difference_low, difference_high."""
    from astropy.table import Table

    said, members = subgroups(tested, by)
    some = [(label, inside) for label, inside in members if inside.any()]
    drawn: dict[str, list[tuple[Array, Array]]] = {label: [] for label, _ in some}
    for weights in group_weights(tested.groups, resamples, seed):
        for label, inside in some:
            drawn[label].append((_within(metric, tested, inside, weights), _within(metric, tested, ~inside, weights)))
    rows = []
    for label, inside in some:
        mine, rest = (np.concatenate(part) for part in zip(*drawn[label], strict=True))
        both = goodness(name, mine) - goodness(name, rest)
        one, other = (value(metric, tested.truth[k], tested.predicted[k]) if k.any() else np.nan for k in (inside, ~inside))
        scores, gap = (one, *interval(mine)), (goodness(name, one) - goodness(name, other), *interval(both))
        rows.append({
            "by": said, "subgroup": label, "metric": name, **dict(zip(("value", "low", "high"), scores, strict=True)),
            "n": int(inside.sum()), "groups": len(np.unique(tested.groups[inside])),
            **dict(zip(("difference", "difference_low", "difference_high"), map(float, gap), strict=True)),
        })  # fmt: skip
    return Table(rows=rows)


def _within(metric: Metric, tested: Tested, inside: NDArray[np.bool_], weights: Array) -> Array:
    """The metric of some of the samples in each resample; NaN where a resample holds none of them."""
    out = np.full(len(weights), np.nan)
    some = weights[:, inside].sum(1) > 0
    if some.any():
        out[some] = metric(tested.truth[inside], tested.predicted[inside], weights[np.ix_(some, inside)])
    return out


def badly_served(tables: Sequence["Table"]) -> str:
    """Which subgroups are served worse than the rest, in words."""
    told = []
    for table in tables:
        for row in table:
            if row["n"] >= LEAST and row["difference_high"] < 0:
                span = f"{row['difference']:+.3f} [{row['difference_low']:+.3f}, {row['difference_high']:+.3f}]"
                told.append(f"{row['by']} {row['subgroup']} (n = {row['n']}): {str(row['metric']).replace('_', ' ')} {row['value']:.3f}, {span} against the rest")
    if not tables:
        return ""
    divided = ", ".join(dict.fromkeys(str(t["by"][0]) for t in tables if len(t)))
    return f"Served badly: {'; '.join(told)}." if told else f"By {divided}, no subgroup of {LEAST} or more samples is served worse than the rest as far as these samples can tell."
