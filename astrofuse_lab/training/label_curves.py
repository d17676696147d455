"""`label_curve`: how a score grows with the number of labels, for the fused model, each modality alone and trees."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.recipes.catalogue import get_recipe
from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import Split, group_codes
from astrofuse_lab.training.comparison import compare
from astrofuse_lab.training.plan import choose_modalities
from astrofuse_lab.training.problem import pose

if TYPE_CHECKING:
    from astropy.table import Table

SHARES = (0.1, 0.3, 1.0)
LEAST = 2
"""Groups of a class that are kept however small the share: one to train on and one to validate."""


def label_curve(
    recipe: str | Recipe, samples: SampleSet, target: str | Sequence[str], modalities: Sequence[str] | None = None, shares: Sequence[float] = SHARES,
    seeds: int | Sequence[int] = 3, *, split: Split | None = None, draw: int = 0, **options: Any,
) -> "Table":  # fmt: skip
    """Train with a share of the labels, and test all on the same part.

    Parts of the training set are drawn by group and class, each inside the next larger one.

    Parameters
    ----------
    recipe : str or Recipe
    samples : SampleSet
    target : str, or sequence of str
    modalities : sequence of str, optional
    shares : sequence of float
        Of the training part's groups, above 0 and at most 1. Of each class at least two groups are kept.
    seeds : int or sequence of int
    split : Split, optional
        None: a quarter of the groups is the test part.
    draw : int
        Another number draws other parts.
    **options
        As of ``af.compare``: metric, epochs, trees, linear, fusion, resamples, device ...

    Returns
    -------
    Table
        One row a share and model: share, labels (training samples), and the columns of ``af.compare``. ``meta["verdict"]`` says
        from how many labels on the fused model is better than the best single modality, and than the trees.

    Raises
    ------
    InputError
        For shares that are none, or options that `compare` does not know or that would change the split.
    """
    from astropy.table import Table

    wanted = sorted(float(share) for share in shares)
    if not wanted or not all(0 < share <= 1 for share in wanted) or len(set(wanted)) < len(wanted):
        raise InputError(f"shares={list(shares)}: different numbers above 0 and at most 1, e.g. (0.1, 0.3, 1.0).")
    if {"folds", "by", "fused"} & set(options):
        raise InputError("label_curve tests every share on one part: give split=, not folds=, by= or fused=.")
    whole = split or samples.split(test=0.25, group=options.get("group"))
    names = choose_modalities(samples, modalities)
    truth, known = pose(samples, target, names, get_recipe(recipe).head).encode(samples)
    rows, told = [], {}
    for share in wanted:
        thin = _thinned(samples, truth, known, whole, share, draw)
        table = compare(recipe, samples, target, names, seeds, split=thin, **options)
        labels = int(known[samples.positions([*thin.train, *thin.validation])].sum())
        told[labels] = {str(row["model"]): row for row in table}
        rows += [{"share": share, "labels": labels, **{name: row[name] for name in table.colnames}} for row in table]
    out = Table(rows=rows)
    for name in table.colnames:
        out[name].info.format = table[name].info.format
    out.meta.update({name: table.meta[name] for name in ("recipe", "target", "classes", "test_samples", "test_groups", "seeds", "simulated", "trees")})
    out.meta["verdict"] = _verdict(told)
    return out


def _thinned(samples: SampleSet, truth: NDArray[Any], known: NDArray[np.bool_], split: Split, share: float, draw: int) -> Split:
    """The same split with a share of its training (and validation) groups, class by class."""
    codes, rng = group_codes(samples, split.group), np.random.default_rng([draw, 31])
    order = rng.permutation(int(codes.max(initial=0)) + 1)
    kept = {}
    for side in ("train", "validation"):
        rows = samples.positions(getattr(split, side))
        rows = rows[known[rows]]
        groups, first = np.unique(codes[rows], return_index=True)
        strata = truth[rows][first] if truth.dtype.kind == "i" else np.zeros(len(groups), dtype=int)
        chosen = []
        for one in np.unique(strata):
            mine = groups[strata == one]
            mine = mine[np.argsort(order[mine])]  # one order for all shares, so that each part lies in the next
            chosen.append(mine[: max(LEAST, round(share * len(mine)))])
        inside = np.isin(codes[rows], np.concatenate(chosen)) if chosen else np.zeros(len(rows), dtype=bool)
        kept[side] = tuple(map(str, samples.object_ids[rows[inside]]))
    return Split(kept["train"], split.test, kept["validation"], split.by, split.group, split.seed, split.note)


def _verdict(told: dict[int, dict[str, Any]]) -> str:
    """From how many labels on fused is better, in words."""
    said = []
    models = next(iter(told.values()))
    singles = [name for name, row in models.items() if name == str(row["modalities"])]
    for what, names in (("the best single modality", singles), ("the trees", ["trees"])):
        if not names:
            continue
        worst = {labels: min((rows[n] for n in names), key=lambda row: float(row["difference"])) for labels, rows in told.items()}
        better = [labels for labels, row in worst.items() if row["difference_low"] > 0]
        worse = [labels for labels, row in worst.items() if row["difference_high"] < 0]
        part = f"better than {what} with {', '.join(map(str, better))} labels" if better else f"never better than {what}"
        said.append(part + (f", worse with {', '.join(map(str, worse))}" if worse else ""))
    return f"Fused is {'; '.join(said)} (of {', '.join(map(str, told))} labels tried)."
