"""Train and test ids that share no group, so that no object is on both sides."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet

WAYS = ("object", "sky", "time")


@dataclass(frozen=True)
class Split:
    """Ids on each side, and how they were divided.

    Attributes
    ----------
    train, test : tuple of str
    validation : tuple of str
        Empty: training takes a grouped part of `train`.
    by, group : str
    seed : int
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    validation: tuple[str, ...] = ()
    by: str = "object"
    group: str | None = None
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold."""
        return {"train": list(self.train), "test": list(self.test), "validation": list(self.validation), "by": self.by, "group": self.group, "seed": self.seed}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Split":
        """From such a dictionary."""
        return cls(tuple(data["train"]), tuple(data["test"]), tuple(data["validation"]), data["by"], data["group"], data["seed"])

    def __repr__(self) -> str:
        part = f", validation {len(self.validation)}" if self.validation else ""
        return f"Split(train {len(self.train)}, test {len(self.test)}{part}, by {self.by}, seed {self.seed})"


def group_codes(samples: "SampleSet", group: str | None = None) -> NDArray[np.int64]:
    """An integer per sample, equal within a group: the column named, else the column with role ``group``, else the object."""
    names = [group] if group else [name for name, role in samples.roles.items() if role == "group"][:1]
    if not names:
        return np.arange(len(samples))
    column = samples.column(names[0])
    # a sample without a group is a group of its own, never one big group of the unknown
    keys = [f"g:{v}" if not missing else f"alone:{i}" for i, (v, missing) in enumerate(zip(column.data, np.ma.getmaskarray(column), strict=True))]
    return np.unique(np.array(keys, dtype=str), return_inverse=True)[1].astype(np.int64) if keys else np.zeros(0, dtype=np.int64)


def _codes(samples: "SampleSet", by: str, group: str | None, nside: int) -> NDArray[np.int64]:
    groups = group_codes(samples, group)
    if by != "sky":
        return groups
    from astropy import units as u
    from astropy_healpix import HEALPix
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ra, dec = (np.ma.filled(samples.column(name).astype(float), np.nan) for name in ("ra", "dec"))
    known = np.isfinite(ra) & np.isfinite(dec)
    cells = np.asarray(HEALPix(nside=nside, order="nested").lonlat_to_healpix(np.where(known, ra, 0) * u.deg, np.where(known, dec, 0) * u.deg), dtype=np.int64)
    # a group seen in two cells joins them, else it could lie on both sides; without a position, only the group counts
    cells = np.unique(np.where(known, cells, -1 - groups), return_inverse=True)[1]
    n = cells.max(initial=-1) + 1
    size = int(n + groups.max(initial=-1) + 1)
    links = coo_array((np.ones(len(cells), dtype=bool), (cells, n + groups)), shape=(size, size))
    return np.asarray(connected_components(links, directed=False)[1][cells], dtype=np.int64)


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
    by : {"object", "sky", "time"}
        ``sky``: whole HEALPix cells of `nside`; ``time``: the latest samples by the column `time` are the test.

    Returns
    -------
    Split

    Raises
    ------
    InputError
        If a side would be empty.
    """
    if by not in WAYS:
        raise InputError(f"split by={by!r}: choose one of {', '.join(WAYS)}.")
    if not (0 < test < 1 and 0 <= validation < 1 and test + validation < 1):
        raise InputError(f"split test={test}, validation={validation}: shares between 0 and 1 that leave a train part, e.g. test=0.2.")
    codes = _codes(samples, by, group, nside)
    groups = np.unique(codes)
    if len(groups) < 2 + (validation > 0):
        raise InputError(f"{len(samples)} samples form {len(groups)} group(s) by {group or by}: too few to split. Use another group, or more samples.")
    if by == "time":
        order = _groups_by_time(samples, codes, groups, time)
    else:
        order = np.random.default_rng(seed).permutation(groups)
    sizes = np.bincount(np.searchsorted(groups, codes))[np.searchsorted(groups, order)]
    share = np.cumsum(sizes) / sizes.sum()
    # at least one group a side, whatever the rounding
    n_test = int(np.clip(np.searchsorted(share, test) + 1, 1, len(order) - 1 - (validation > 0)))
    n_validation = int(np.clip(np.searchsorted(share, test + validation) + 1 - n_test, 1, len(order) - 1 - n_test)) if validation else 0
    sides = {"test": order[:n_test], "validation": order[n_test : n_test + n_validation], "train": order[n_test + n_validation :]}
    ids = samples.object_ids
    parts = {side: tuple(str(i) for i in ids[np.isin(codes, chosen)]) for side, chosen in sides.items()}
    return Split(parts["train"], parts["test"], parts["validation"], by, group, seed)


def _groups_by_time(samples: "SampleSet", codes: NDArray[np.int64], groups: NDArray[np.int64], time: str) -> NDArray[np.int64]:
    """Groups, latest first; a group's time is its latest sample's."""
    times = np.ma.filled(samples.column(time).astype(float), -np.inf)
    latest = {int(g): times[codes == g].max() for g in groups}
    return np.array(sorted(latest, key=lambda g: -latest[g]), dtype=np.int64)
