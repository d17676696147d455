"""k-fold splits: by object or group, stratified, by sky cell, and forward in time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import Split, group_codes, groups_by_time, kept_together

WAYS = ("object", "stratified", "sky", "time")


def folds(
    samples: SampleSet, count: int, group: str | None = None, seed: int = 0, strata: NDArray[Any] | None = None,
    by: str = "object", nside: int = 16, time: str = "time",
) -> list[Split]:  # fmt: skip
    """Grouped k-fold splits: no group is on both sides of any, and none is tested twice.

    Parameters
    ----------
    samples : SampleSet
    count : int
    group : str, optional
        Column whose equal values stay together.
    seed : int
    strata : int array, (sample,), optional
        Classes to spread evenly over the folds.
    by : {"object", "stratified", "sky", "time"}
        ``object``: groups are dealt round, class by class where `strata` are given. ``stratified``: the same, and `strata` must be given.
        ``sky``: whole HEALPix cells of `nside` (3.7 degrees at 16), so that no field is on both sides. ``time``: forward in time by the
        column `time`: `count` tests, each on the next stretch and trained on all before it; what is earliest is never tested.
    nside : int
    time : str

    Returns
    -------
    list of Split

    Raises
    ------
    InputError
        For fewer than two folds, or more than there are groups, cells or moments.
    """
    if by not in WAYS:
        raise InputError(f"folds by={by!r}: choose one of {', '.join(WAYS)}.")
    if by == "stratified" and strata is None:
        raise InputError("folds by='stratified' needs strata=, a class for each sample.")
    codes = kept_together(samples, "sky", group, nside, 1 - 1 / max(count, 1)) if by == "sky" else group_codes(samples, group)
    names, first = np.unique(codes, return_index=True)
    most = len(names) - (by == "time")
    if not 2 <= count <= most:
        what = {"sky": f"sky cells of nside={nside}", "time": "groups less one"}.get(by, "groups")
        raise InputError(f"folds={count}: between 2 and the number of {what}, {most}.")
    if by == "time":
        return _forward(samples, codes, groups_by_time(samples, codes, names, time)[::-1], count, group, seed)
    shuffled = np.random.default_rng([seed, 5]).permutation(len(names))
    fold_of = np.empty(len(names), dtype=int)
    if by == "sky":
        fold_of[shuffled] = _evenly(np.bincount(np.searchsorted(names, codes))[shuffled], count)
    else:
        of_group = np.zeros(len(names), dtype=int) if strata is None else np.asarray(strata)[first]
        dealt = shuffled[np.argsort(of_group[shuffled], kind="stable")]  # class by class, so that dealing round is even
        fold_of[dealt] = np.arange(len(names)) % count
    fold, ids = fold_of[np.searchsorted(names, codes)], samples.object_ids
    return [Split(tuple(map(str, ids[fold != k])), tuple(map(str, ids[fold == k])), (), "sky" if by == "sky" else "object", group, seed) for k in range(count)]


def _evenly(sizes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """A fold for each cell, the emptiest as each comes, the largest cells first: cells differ a thousandfold in what they hold."""
    held, fold = np.zeros(count), np.empty(len(sizes), dtype=np.int64)
    for cell in np.argsort(-sizes, kind="stable"):
        fold[cell] = held.argmin()
        held[fold[cell]] += sizes[cell]
    return fold


def _forward(samples: SampleSet, codes: NDArray[np.int64], order: NDArray[np.int64], count: int, group: str | None, seed: int) -> list[Split]:
    """Each stretch of groups tested after training on all before it; the stretches hold about as many samples each."""
    size = np.array([(codes == one).sum() for one in order])
    stretch = np.minimum((np.cumsum(size) - size) * (count + 1) // size.sum(), count)
    # a large group may leave a stretch empty; then count groups instead
    if len(np.unique(stretch)) <= count:
        stretch = np.arange(len(order)) * (count + 1) // len(order)
    of_sample = stretch[np.argsort(order)][np.searchsorted(np.sort(order), codes)]
    ids = samples.object_ids
    return [Split(tuple(map(str, ids[of_sample < k])), tuple(map(str, ids[of_sample == k])), (), "time", group, seed) for k in range(1, count + 1)]
