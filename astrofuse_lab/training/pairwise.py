"""A network for every two classes, trained on these two alone, and their vote (`astrofuse_lab.models.pairwise`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.pairwise import Vote, pairs_of, thresholds_of, vote
from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import Split
from astrofuse_lab.training.families import damaged, folder_of, open_family, save_family
from astrofuse_lab.training.run import Run

if TYPE_CHECKING:
    from astropy.table import Table

KIND = "pairwise"
Pair = tuple[str, str]


class PairwiseRuns:
    """Judges of all pairs of some classes.

    Parameters
    ----------
    runs : mapping of (class, class) to Run
        Each a run of these two classes; every pair once, either way round.
    classes : sequence of str
        In the order in which ties are decided.
    thresholds : sequence of (class, other, threshold)
        See `astrofuse_lab.models.pairwise.thresholds_of`.

    Raises
    ------
    InputError
        Where a pair lacks its run, or a run knows other classes.
    """

    def __init__(self, runs: Mapping[Pair, Run], classes: Sequence[str], thresholds: Sequence[Sequence[Any]] = ()) -> None:
        self.classes = tuple(map(str, classes))
        self.thresholds = thresholds_of(self.classes, thresholds)
        self.pairs = [(self.classes[i], self.classes[j]) for i, j in pairs_of(len(self.classes))]
        self.runs: dict[Pair, Run] = {}
        for pair in self.pairs:
            run = runs.get(pair) or runs.get((pair[1], pair[0]))
            if run is None:
                raise InputError(f"no run for the pair {pair[0]!r}, {pair[1]!r}; train_pairwise(recipe, samples, target) trains all.")
            if set(map(str, run.problem.classes)) != set(pair):
                raise InputError(f"the run of the pair {pair[0]!r}, {pair[1]!r} knows the classes {', '.join(map(str, run.problem.classes))}.")
            self.runs[pair] = run

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """A folder with each run in one of its own (`astrofuse_lab.training.families`)."""
        told = [[*self.pairs[k], float(self.thresholds[i, j])] for k, (i, j) in enumerate(pairs_of(len(self.classes)))]
        return save_family(path, KIND, {(first, second): run for (first, second), run in self.runs.items()}, {"classes": list(self.classes), "thresholds": told}, overwrite)

    @classmethod
    def open(cls, path: str | Path, device: str = "auto") -> "PairwiseRuns":
        """Open such a folder; RunError where it is none, or a run lacks."""
        runs, about = open_family(path, KIND, device)
        try:
            return cls({(first, second): run for (first, second), run in runs.items()}, about["classes"], about["thresholds"])
        except (KeyError, TypeError, ValueError, InputError) as error:
            raise damaged(path, error) from None

    def judge(self, samples: SampleSet) -> NDArray[np.float64]:
        """What the judges say: probability of each pair's second class, (sample, pair); NaN where one had nothing to go by."""
        said = []
        for pair, run in self.runs.items():
            values, seen = run.outputs(samples)
            second = [str(name) for name in run.problem.classes].index(pair[1])
            said.append(np.where(seen, np.asarray(values, dtype=np.float64)[:, second], np.nan))
        return np.stack(said, axis=1)

    def vote(self, samples: SampleSet) -> Vote:
        """The vote on each sample."""
        return vote(self.judge(samples), self.thresholds)

    def predict(self, samples: SampleSet) -> "Table":
        """One row a sample: object_id, the sum of evidence of each class, prediction (masked where no judge said anything), and whether it is tied.

        Returns
        -------
        Table
            object_id, sum_<class> of each class, prediction, tied.
        """
        from astropy.table import MaskedColumn, Table

        came = self.vote(samples)
        table = Table({"object_id": samples.object_ids})
        for k, name in enumerate(self.classes):
            table[f"sum_{name}"] = came.sums[:, k]
        table["prediction"] = MaskedColumn(np.array(self.classes)[came.winner], mask=came.winner < 0)
        table["tied"] = came.tied
        table.meta.update(classes=list(self.classes), simulated=samples.simulated)
        return table


def train_pairwise(
    recipe: "str | Recipe | Mapping[Pair, str | Recipe]", samples: SampleSet, target: str, classes: Sequence[str] = (), *, thresholds: Sequence[Sequence[Any]] = (),
    split: Split | None = None, seed: int = 0, out: str | Path | None = None, **options: Any,
) -> PairwiseRuns:  # fmt: skip
    """Train a network for every two classes on the samples of these two.

    Parameters
    ----------
    recipe : str or Recipe, or mapping of (class, class) to these
        One for all pairs, or each its own, either way round.
    samples : SampleSet
    target : str
        Column of classes.
    classes : sequence of str
        Which, in the order in which ties are decided; samples of others train nothing. (): all, as they are sorted.
    thresholds : sequence of (class, other, threshold)
        E.g. ``[("I", "II", 0.64)]``: type I has to be that sure against type II.
    split : Split, optional
        Its ``test`` is left alone. None: all samples train.
    seed : int
    out : path, optional
        A folder for the runs, ``I-II`` and so on, which `PairwiseRuns.open` opens; the same call goes on after a stop.
    **options
        Further arguments of `astrofuse_lab.training.loop.train`, e.g. ``epochs=5``, ``device="cpu"``.

    Returns
    -------
    PairwiseRuns

    Raises
    ------
    InputError, UnknownNameError
        For fewer than two classes, one that there is not, or a pair without a recipe.
    """
    from astrofuse_lab.training.loop import train

    column = np.ma.filled(samples.column(target).astype(str), "")
    known = sorted(set(column.tolist()) - {""})
    chosen = tuple(map(str, classes)) or tuple(known)
    for name in chosen:
        if name not in known:
            raise UnknownNameError(f"class of {target!r}", name, known)
    if len(set(chosen)) < 2 or len(set(chosen)) < len(chosen):
        raise InputError(f"classes={list(chosen)}: two or more, each once.")
    thresholds_of(chosen, thresholds)
    whole = split or Split(tuple(map(str, samples.object_ids)), ())
    ids = samples.object_ids.astype(str)
    runs: dict[Pair, Run] = {}
    for i, j in pairs_of(len(chosen)):
        pair = (chosen[i], chosen[j])
        one = recipe if isinstance(recipe, str | Recipe) else recipe.get(pair) or recipe.get((pair[1], pair[0]))
        if one is None:
            raise InputError(f"no recipe for the pair {pair[0]!r}, {pair[1]!r}; give one for each, or one for all.")
        inside = np.isin(column, pair)
        own = set(ids[inside].tolist())
        train_ids, held = (tuple(name for name in side if name in own) for side in (whole.train, whole.validation))
        folder = None if out is None else Path(out).expanduser() / folder_of(pair)
        runs[pair] = train(one, samples.take(inside), target, split=Split(train_ids, (), held, whole.by, whole.group, whole.seed), seed=seed, out=folder, **options)
    made = PairwiseRuns(runs, chosen, thresholds)
    if out is not None:
        made.save(out, overwrite=True)
    return made
