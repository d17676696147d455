"""Objects that are, or nearly are, the same: within a set, across its groups, across a split."""

import hashlib
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.samples.split import Split, group_codes

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.sample_set import SampleSet

NEAR = 0.9995
"""Correlation of two products from which they count as the same but for noise or rounding."""
SAME_PLACE = 1.0
"""arcsec: objects so near on the sky are one."""
SAME_WORDS = 0.95
"""Share of common word pairs (Jaccard) from which two texts are one."""
MOST, MOST_PAIRS, CHUNK = 20_000, 5_000, 1024
FEWEST_COLUMNS, FEWEST_VALUES, FEWEST_WORDS = 3, 8, 8
"""Below these, equality means nothing: flags agree, and so do stubs of text."""
DIGITS, PROJECTED = 6, 16
CROWD = 5
"""Groups at exactly one place from which that is nobody's position."""


def duplicates(samples: "SampleSet", split: Split | None = None) -> "Table":
    """Pairs of objects that share a place on the sky or whose products are (nearly) equal.

    Parameters
    ----------
    samples : SampleSet
        Of more than 20,000 objects, so many evenly spaced ones are looked at; ``meta["looked"]`` says how many.
    split : Split, optional

    Returns
    -------
    Table
        One row a pair and way: ``one``, ``other`` (ids), ``by`` (``position`` or a modality), ``likeness`` (1: equal; for positions the separation in arcsec is in ``away``),
        ``same_group``, ``across`` (the sides of the split, where they differ; else empty). At most 5,000 pairs a way; ``meta["pairs"]`` has the counts.
        Places that five groups or more share to the last digit are nobody's position and make no pair; ``meta["stand_ins"]`` counts their objects.
    """
    from astropy.table import Table

    looked = np.arange(len(samples)) if len(samples) <= MOST else np.linspace(0, len(samples) - 1, MOST).astype(int)
    some = samples.take(looked)
    groups, sides, ids = group_codes(some), _sides(some, split), some.object_ids
    rows, counts, cut = [], {}, []
    for by, pairs in _every_way(some):
        kept = list(pairs)
        counts[by] = len(kept)
        if len(kept) > MOST_PAIRS:
            cut.append(by)
            # those that a split could part come first
            kept = sorted(kept, key=lambda pair: groups[pair[0]] == groups[pair[1]])[:MOST_PAIRS]
        for a, b, likeness, away in kept:
            across = " and ".join(sorted({sides[a], sides[b]})) if sides[a] and sides[b] and sides[a] != sides[b] else ""
            rows.append((ids[a], ids[b], by, likeness, away, bool(groups[a] == groups[b]), across))
    names = ("one", "other", "by", "likeness", "away", "same_group", "across")
    table = Table(rows=rows, names=names) if rows else Table(names=names, dtype=("U8", "U8", "U8", float, float, bool, "U8"))
    table["away"].unit = "arcsec"
    table["likeness"].format, table["away"].format = ".5f", ".3f"
    table.meta.update({"looked": len(some), "pairs": counts, "cut": cut, "stand_ins": int(stand_ins(some).sum())})
    return table


Pair = tuple[int, int, float, float]


def _every_way(samples: "SampleSet") -> Iterable[tuple[str, Iterable[Pair]]]:
    yield "position", _by_position(samples)
    for name, spec in samples.modalities.items():
        way = {"table": _by_columns, "text": _by_words, "light_curve": _by_bytes}.get(spec.kind, _by_likeness)
        yield name, way(samples, name)


def _sides(samples: "SampleSet", split: Split | None) -> list[str]:
    where = {one: side for side in ("train", "validation", "test") for one in getattr(split, side)} if split else {}
    return [where.get(str(one), "") for one in samples.object_ids]


def _places(samples: "SampleSet") -> NDArray[np.float64]:
    """Longitude and latitude in radians, (object, 2); NaN where unknown."""
    if not {"ra", "dec"} <= set(samples.roles) or any(samples.column(name).dtype.kind not in "fi" for name in ("ra", "dec")):
        return np.full((len(samples), 2), np.nan)
    return np.radians(np.stack([np.ma.filled(samples.column(name).astype(float), np.nan) for name in ("ra", "dec")], axis=1))


def stand_ins(samples: "SampleSet") -> NDArray[np.bool_]:
    """Objects at a place that five groups or more share to the last digit: no position, but something written in its stead."""
    places, groups = _places(samples), group_codes(samples)
    out = np.zeros(len(samples), dtype=bool)
    known = np.flatnonzero(np.isfinite(places).all(axis=1))
    if len(known):
        place = np.unique(places[known], axis=0, return_inverse=True)[1].ravel()
        shared = np.bincount(np.unique(np.stack([place, groups[known]], axis=1), axis=0)[:, 0])
        out[known] = shared[place] >= CROWD
    return out


def _by_position(samples: "SampleSet") -> list[Pair]:
    from scipy.spatial import cKDTree

    places = _places(samples)
    known = np.flatnonzero(np.isfinite(places).all(axis=1) & ~stand_ins(samples))
    lon, lat = places[known].T
    if len(known) < 2:
        return []
    points = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
    pairs = cKDTree(points).query_pairs(2 * np.sin(np.radians(SAME_PLACE / 3600) / 2), output_type="ndarray")
    away = np.degrees(2 * np.arcsin(np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1) / 2)) * 3600
    return [(int(known[a]), int(known[b]), np.nan, float(d)) for (a, b), d in zip(pairs, away, strict=True)]


def _equal(keys: dict[int, bytes]) -> list[Pair]:
    """Every object with the first of the same key: chains, not squares."""
    first: dict[bytes, int] = {}
    pairs = []
    for i, key in keys.items():
        if (seen := first.setdefault(key, i)) != i:
            pairs.append((seen, i, 1.0, np.nan))
    return pairs


def _by_columns(samples: "SampleSet", name: str) -> list[Pair]:
    """Rows that agree in every input to six digits, where these are measurements rather than flags."""
    got = samples.arrays(name)
    values, mask = got["values"], got["mask"]
    many = np.array([len(np.unique(values[mask[:, c], c])) > FEWEST_VALUES for c in range(values.shape[1])], dtype=bool)
    keys = {}
    for i in np.flatnonzero((mask & many).sum(axis=1) >= FEWEST_COLUMNS):
        keys[int(i)] = ",".join(f"{v:.{DIGITS}g}" if m else "" for v, m in zip(values[i], mask[i], strict=True)).encode()
    return _equal(keys)


def _by_bytes(samples: "SampleSet", name: str) -> list[Pair]:
    """Light curves with the same epochs and fluxes."""
    got = samples.arrays(name)
    keys = {}
    for i in np.flatnonzero(got["present"]):
        part = slice(int(got["offsets"][i]), int(got["offsets"][i + 1]))
        if part.stop - part.start >= FEWEST_COLUMNS:
            keys[int(i)] = hashlib.sha256(b"".join(np.ascontiguousarray(got[f][part]).tobytes() for f in ("time", "flux", "band"))).digest()
    return _equal(keys)


def _by_words(samples: "SampleSet", name: str) -> list[Pair]:
    """Texts with nearly the same word pairs, by MinHash bands (Broder 1997), each candidate counted out."""
    from astrofuse_lab.alignment.text import words

    got = samples.arrays(name)
    content = got["utf8"].tobytes()
    shingles: dict[int, set[int]] = {}
    for i in map(int, np.flatnonzero(got["present"])):
        seen = words(content[int(got["offsets"][i]) : int(got["offsets"][i + 1])].decode("utf-8", "replace"))
        if len(seen) >= FEWEST_WORDS:
            pairs = {f"{a} {b}" for a, b in pairwise(seen)}
            shingles[i] = {int.from_bytes(hashlib.blake2b(p.encode(), digest_size=8).digest()) for p in pairs}
    rng = np.random.default_rng(0)
    factors = rng.integers(1, 2**63, 16, dtype=np.uint64) | np.uint64(1)
    buckets: dict[tuple[int, bytes], list[int]] = {}
    for owner, pairs_of in shingles.items():
        hashes = np.array(sorted(pairs_of), dtype=np.uint64)
        low = np.min(hashes[:, None] * factors, axis=0)
        for band in range(8):
            buckets.setdefault((band, low[2 * band : 2 * band + 2].tobytes()), []).append(owner)
    found: dict[tuple[int, int], float] = {}
    for members in buckets.values():
        for other in members[1:]:
            a, b = members[0], other
            if (a, b) not in found:
                found[a, b] = len(shingles[a] & shingles[b]) / len(shingles[a] | shingles[b])
    return [(a, b, likeness, np.nan) for (a, b), likeness in found.items() if likeness >= SAME_WORDS]


def _by_likeness(samples: "SampleSet", name: str) -> list[Pair]:
    """Products of one shape (images, spectra, series) that correlate: found near in a random projection, then compared whole."""
    from scipy.spatial import cKDTree

    has = np.flatnonzero(samples.present(name))
    if len(has) < 2:
        return []
    direction: NDArray[Any] | None = None
    shadow = np.zeros((len(has), PROJECTED))
    flat = np.zeros(len(has), dtype=bool)
    for begin in range(0, len(has), CHUNK):
        unit, flat[begin : begin + CHUNK] = _unit(samples, name, has[begin : begin + CHUNK])
        if direction is None:
            direction = np.random.default_rng(0).normal(size=(unit.shape[1], PROJECTED)) / np.sqrt(PROJECTED)
        shadow[begin : begin + CHUNK] = unit @ direction
    useful = np.flatnonzero(~flat)
    # two unit vectors of correlation r are sqrt(2 - 2r) apart, and their shadows hardly ever more than twice that
    pairs = cKDTree(shadow[useful]).query_pairs(2 * np.sqrt(2 - 2 * NEAR), output_type="ndarray")
    return _compared(lambda rows: _unit(samples, name, has[rows])[0], useful[pairs], has)


def _compared(read: Callable[[NDArray[np.int64]], NDArray[Any]], pairs: NDArray[np.int64], has: NDArray[np.int64]) -> list[Pair]:
    out: list[Pair] = []
    for begin in range(0, min(len(pairs), 20 * MOST_PAIRS), CHUNK):
        some = pairs[begin : begin + CHUNK]
        rows, place = np.unique(some, return_inverse=True)
        unit, place = read(rows), place.reshape(some.shape)
        alike = np.einsum("ij,ij->i", unit[place[:, 0]], unit[place[:, 1]])
        out += [(int(has[a]), int(has[b]), float(min(r, 1.0)), np.nan) for (a, b), r in zip(some, alike, strict=True) if r >= NEAR]
    return out


def _unit(samples: "SampleSet", name: str, positions: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Values about their mean, of length one, masked ones at the mean; and which have no variation to compare."""
    got = samples.arrays(name, positions)
    mask = got["mask"].reshape(len(positions), -1)
    raw = np.asarray(got["values"] if "values" in got else got["flux"]).reshape(len(positions), -1)
    mask = mask & np.isfinite(raw)
    middle = _median(raw, mask)
    width = _median(np.abs(raw - middle), mask)
    # stretched, else two stamps with one saturated pixel each were the same
    values = np.where(mask, np.arcsinh((raw - middle) / np.maximum(3 * width, 1e-30)), 0.0)
    values -= values.sum(axis=1, keepdims=True) / np.maximum(mask.sum(axis=1, keepdims=True), 1)
    values = np.where(mask, values, 0.0)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.maximum(length, 1e-30), (length[:, 0] <= 1e-20) | (mask.sum(axis=1) < FEWEST_VALUES)


def _median(values: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Median of the good values of each row, (object, 1); 0 where there are none."""
    if mask.all():
        return np.median(values, axis=1, keepdims=True).astype(np.float64)
    return np.ma.filled(np.ma.median(np.ma.MaskedArray(values.astype(np.float64), ~mask), axis=1), 0.0)[:, None]
