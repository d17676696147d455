"""Train and test ids that share no group, so that no object is on both sides."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet

WAYS = ("object", "sky", "time", "published")
SIDES = {"train": "train", "training": "train", "test": "test", "testing": "test", "validation": "validation", "validate": "validation", "val": "validation"}
"""What a column of role ``split`` may say; any other value is on no side."""
OVERSHOOT = 0.1
"""How much more than asked for a side may hold on account of one large group."""


@dataclass(frozen=True)
class Split:
    """Ids on each side, and how they were divided.

    Attributes
    ----------
    train, test : tuple of str
        Given as any sequence of ids.
    validation : tuple of str
        Empty: training takes a grouped part of `train`.
    by, group : str
    seed : int
    note : str
        What is wrong with it: of a published split, how many groups lie on both sides.

    Raises
    ------
    InputError
        If an id is on two sides.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    validation: tuple[str, ...] = ()
    by: str = "object"
    group: str | None = None
    seed: int = 0
    note: str = ""

    def __post_init__(self) -> None:
        where: dict[str, str] = {}
        for side in ("train", "test", "validation"):
            given = getattr(self, side)
            if isinstance(given, str):
                raise InputError(f"Split({side}={given!r}): a sequence of ids is expected, e.g. {side}=[{given!r}].")
            ids = tuple(map(str, given))
            for one in ids:
                if where.setdefault(one, side) != side:
                    raise InputError(f"Split: {one!r} is in {side} and already in {where[one]}; what is tested must not be trained on. Leave it out of one of them.")
            object.__setattr__(self, side, ids)

    def to_json(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold."""
        return {"train": list(self.train), "test": list(self.test), "validation": list(self.validation), "by": self.by, "group": self.group, "seed": self.seed, "note": self.note}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Split":
        """From such a dictionary."""
        return cls(tuple(data["train"]), tuple(data["test"]), tuple(data["validation"]), data["by"], data["group"], data["seed"], data.get("note", ""))

    def __repr__(self) -> str:
        part = f", validation {len(self.validation)}" if self.validation else ""
        drawn = "" if self.by == "published" else f", seed {self.seed}"
        return f"Split(train {len(self.train)}, test {len(self.test)}{part}, by {self.by}{drawn}{'; ' + self.note if self.note else ''})"


def group_column(samples: "SampleSet") -> str | None:
    """The first column with role ``group``; None where there is none."""
    return next((name for name, role in samples.roles.items() if role == "group"), None)


def group_codes(samples: "SampleSet", group: str | None = None) -> NDArray[np.int64]:
    """An integer per sample, equal within a group: the column named, else the column with role ``group``, else the object."""
    named = group or group_column(samples)
    if named is None:
        return np.arange(len(samples))
    column = samples.column(named)
    # a sample without a group is a group of its own, never one big group of the unknown
    keys = [f"g:{v}" if not missing else f"alone:{i}" for i, (v, missing) in enumerate(zip(column.data, np.ma.getmaskarray(column), strict=True))]
    return np.unique(np.array(keys, dtype=str), return_inverse=True)[1].astype(np.int64) if keys else np.zeros(0, dtype=np.int64)


def group_codes_as(split: Split, samples: "SampleSet", group: str | None = None) -> NDArray[np.int64]:
    """`group_codes` by the column named, else by the split's own where the samples have it, else by their own."""
    return group_codes(samples, group or (split.group if split.group in samples.roles else None))


def kept_together(samples: "SampleSet", by: str, group: str | None, nside: int, largest: float) -> NDArray[np.int64]:
    """An integer per sample, equal where samples must stay together; `largest`: the share of samples that one may hold."""
    groups = group_codes(samples, group)
    if by != "sky":
        return groups
    ra, dec = (np.ma.filled(samples.column(name).astype(float), np.nan) for name in ("ra", "dec"))
    # without a position, only the group counts
    cells = np.where(np.isfinite(ra) & np.isfinite(dec), _cells(ra, dec, nside), -1 - groups)
    joined = _joined(np.unique(cells, return_inverse=True)[1], groups)
    if np.bincount(joined).max(initial=0) <= largest * len(joined):
        return joined
    # groups that tile the sky, as pointings do, join all cells; then each goes whole to the cell of its centre
    lon, lat = np.radians(ra), np.radians(dec)
    x, y, z = (_mean_of_group(v, groups) for v in (np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)))
    centre = np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))
    return np.unique(np.where(np.isfinite(x), _cells(*centre, nside), -1 - groups), return_inverse=True)[1].astype(np.int64)


def _cells(ra: NDArray[np.float64], dec: NDArray[np.float64], nside: int) -> NDArray[np.int64]:
    """HEALPix cells of positions in deg; of an unknown position, any."""
    from astropy import units as u
    from astropy_healpix import HEALPix

    known = np.isfinite(ra) & np.isfinite(dec)
    cells = HEALPix(nside=nside, order="nested").lonlat_to_healpix(np.where(known, ra, 0) * u.deg, np.where(known, dec, 0) * u.deg)
    return np.asarray(cells, dtype=np.int64)


def _joined(cells: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cells and groups at once: a group seen in two cells joins them, else it could lie on both sides."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = cells.max(initial=-1) + 1
    size = int(n + groups.max(initial=-1) + 1)
    links = coo_array((np.ones(len(cells), dtype=bool), (cells, n + groups)), shape=(size, size))
    return np.asarray(connected_components(links, directed=False)[1][cells], dtype=np.int64)


def _mean_of_group(values: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each sample's value replaced by the mean of those its group knows; NaN where it knows none."""
    known = np.isfinite(values)
    count = np.bincount(groups, known)
    total = np.bincount(groups, np.where(known, values, 0.0))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)[groups]


def make_split(
    samples: "SampleSet", test: float = 0.2, group: str | None = None, seed: int = 0, by: str = "object",
    validation: float = 0.0, time: str = "time", nside: int = 64,
) -> Split:  # fmt: skip
    """Divide a set so that no group, sky cell or epoch is on both sides.

    Parameters
    ----------
    samples : SampleSet
    test, validation : float
        Shares of the samples, 0 to 1 (exclusive together).
    group : str, optional
        Column whose equal values stay together; None: the column with role ``group``, else each object alone.
    seed : int
    by : {"object", "sky", "time", "published"}
        ``sky``: whole HEALPix cells of `nside`, those that a group joins together; where groups tile the sky, as pointings
        do, and so join nearly everything, whole groups by the cell of their centre. ``time``: the latest samples by the
        column `time` are the test. ``published``: as the authors of the set divided it (its column of role ``split``), whatever the
        shares; `note` of the answer says what leaks.

    Returns
    -------
    Split

    Raises
    ------
    InputError
        If a side would be empty, or the set has no published split.
    """
    if by not in WAYS:
        raise InputError(f"split by={by!r}: choose one of {', '.join(WAYS)}.")
    if by == "published":
        return _published(samples, group)
    if not (0 < test < 1 and 0 <= validation < 1 and test + validation < 1):
        raise InputError(f"split test={test}, validation={validation}: shares between 0 and 1 that leave a train part, e.g. test=0.2.")
    codes = kept_together(samples, by, group, nside, 1 - test - validation)
    groups = np.unique(codes)
    if len(groups) < 2 + (validation > 0):
        finer = f"smaller cells than nside={nside}, e.g. nside={4 * nside}" if by == "sky" else "another group"
        raise InputError(f"{len(samples)} samples form {len(groups)} group(s) by {group or by}: too few to split. Use {finer}, or more samples.")
    if by == "time":
        order = groups_by_time(samples, codes, groups, time)
    else:
        order = np.random.default_rng(seed).permutation(groups)
    share = np.bincount(np.searchsorted(groups, codes))[np.searchsorted(groups, order)] / len(codes)
    tested = _fill(share, np.zeros(len(order), dtype=bool), test, 1 + (validation > 0), by == "time")
    taken = _fill(share, tested, test + validation, 1, by == "time") if validation else tested
    sides = {"test": order[tested], "validation": order[taken & ~tested], "train": order[~taken]}
    ids = samples.object_ids
    parts = {side: tuple(str(i) for i in ids[np.isin(codes, chosen)]) for side, chosen in sides.items()}
    return Split(parts["train"], parts["test"], parts["validation"], by, group, seed)


def _published(samples: "SampleSet", group: str | None) -> Split:
    """The split that the set's authors made, with what leaks between its sides."""
    columns = [name for name, role in samples.roles.items() if role == "split"]
    if not columns:
        raise InputError(f"{samples.card.name!r} has no published split: no column has the role 'split'. samples.split() makes one that keeps groups together.")
    said = [SIDES.get(str(value).lower(), "") for value in samples.column(columns[0]).filled("").tolist()]
    side = np.array(said, dtype="U10")
    parts = {name: tuple(str(i) for i in samples.object_ids[side == name]) for name in ("train", "test", "validation")}
    if not (parts["train"] and parts["test"]):
        raise InputError(f"the published split ({columns[0]!r}) puts {len(parts['train'])} of these samples in train and {len(parts['test'])} in test; both need some.")
    codes = group_codes(samples, group)
    named = group or group_column(samples) or "object_id"
    leaks = [
        f"{shared} of {len(parts[name])} {name} samples share their {named!r} with a training sample"
        for name in ("test", "validation") if (shared := int(np.isin(codes[side == name], codes[side == "train"]).sum()))
    ]  # fmt: skip
    return Split(parts["train"], parts["test"], parts["validation"], "published", named, note=f"leaks: {'; '.join(leaks)}" if leaks else "")


def _fill(share: NDArray[np.float64], taken: NDArray[np.bool_], goal: float, spare: int, in_order: bool) -> NDArray[np.bool_]:
    """Take more groups until they hold `goal` of the samples; at least one more, and `spare` are left.

    One that would lead far beyond the goal is passed over, unless the order (of time) must be kept.
    """
    taken, held, new = taken.copy(), float(share[taken].sum()), 0
    for i in np.flatnonzero(~taken):
        if (held >= goal and new) or (~taken).sum() <= spare:
            break
        if in_order or held + share[i] <= goal + OVERSHOOT:
            taken[i], held, new = True, held + float(share[i]), new + 1
    if not new:
        taken[np.argmin(np.where(taken, np.inf, share))] = True
    return taken


def groups_by_time(samples: "SampleSet", codes: NDArray[np.int64], groups: NDArray[np.int64], time: str) -> NDArray[np.int64]:
    """Groups, latest first; a group's time is its latest sample's."""
    times = np.ma.filled(samples.column(time).astype(float), -np.inf)
    latest = {int(g): times[codes == g].max() for g in groups}
    return np.array(sorted(latest, key=lambda g: -latest[g]), dtype=np.int64)
