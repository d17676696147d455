"""Classes in layers, a yes-or-no network each, that vote with their doubt: CCSNscore's way (Sharma et al. 2024, arXiv:2412.08601).

Within a layer every class has a network of its own, asked several times with dropout on: its score is the mean of the passes, its error their
standard deviation. The highest score wins, unless the next one comes within the errors of both; what wins decides which layer is asked next.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.samples.annotations import with_column
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import Split
from astrofuse_lab.training.families import damaged, folder_of, open_family, save_family
from astrofuse_lab.training.loop import train
from astrofuse_lab.training.run import Run
from astrofuse_lab.training.uncertainty import shares_of, speak

if TYPE_CHECKING:
    from astropy.table import Table

Hierarchy = Mapping[str, tuple[str, Sequence[str]]]
"""Below each class (``""``: the first layer) the column that holds the next classes, and which they are."""
PASSES = 20
"""Of the released call; the function's own default is 100."""
MARGIN = 0.01
AMBIGUOUS = -1
LEAST_SCORE, MOST_ERROR = 0.8, 0.05
TARGET = "is_{}"
KIND = "votes"


class Scores(NamedTuple):
    """What the networks of one layer say.

    Attributes
    ----------
    classes : tuple of str
    score, error : float64 array, (sample, class)
    """

    classes: tuple[str, ...]
    score: NDArray[np.float64]
    error: NDArray[np.float64]


def vote(score: NDArray[Any], error: NDArray[Any], margin: float = MARGIN) -> NDArray[np.int64]:
    """Which class wins: the highest score p1, unless (p1 - s1) - (p2 + s2) < margin, p2 being the next and s their errors.

    Parameters
    ----------
    score, error : array, (sample, class)
    margin : float

    Returns
    -------
    int64 array, (sample,)
        Place of the class; `AMBIGUOUS` where none wins.

    Raises
    ------
    InputError
        For fewer than two classes, arrays of different shapes, or errors below zero.
    """
    p, s = np.asarray(score, dtype=np.float64), np.asarray(error, dtype=np.float64)
    if p.ndim != 2 or p.shape != s.shape or p.shape[1] < 2 or not (s >= 0).all():
        raise InputError(f"scores of shape {p.shape} and errors of shape {s.shape}: (sample, class) each, two classes or more, no error below 0.")
    order = np.argsort(-p, axis=1, kind="stable")[:, :2]
    (p1, p2), (s1, s2) = (np.take_along_axis(one, order, 1).T for one in (p, s))
    return np.where((p1 - s1) - (p2 + s2) < margin, AMBIGUOUS, order[:, 0]).astype(np.int64)


def confident(scores: Scores, won: NDArray[np.int64], least: float = LEAST_SCORE, most: float = MOST_ERROR) -> NDArray[np.bool_]:
    """Where the winner's score is at least `least` and its error below `most`: the published cut for what is reported by itself."""
    row = np.arange(len(won))
    place = np.maximum(won, 0)
    return np.asarray((won != AMBIGUOUS) & (scores.score[row, place] >= least) & (scores.error[row, place] < most))


@dataclass(frozen=True)
class Votes:
    """Trained networks of all layers.

    Attributes
    ----------
    hierarchy : mapping
        See `Hierarchy`.
    runs : mapping of str to mapping of str to Run
        By the class above and the class.
    """

    hierarchy: Hierarchy
    runs: Mapping[str, Mapping[str, Run]]

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """A folder with each run in one of its own (`astrofuse_lab.training.families`)."""
        layers = [[above, column, list(classes)] for above, (column, classes) in self.hierarchy.items()]
        return save_family(path, KIND, {(above, name): run for above, layer in self.runs.items() for name, run in layer.items()}, {"hierarchy": layers}, overwrite)

    @classmethod
    def open(cls, path: str | Path, device: str = "auto") -> "Votes":
        """Open such a folder; RunError where it is none, or a run lacks."""
        runs, about = open_family(path, KIND, device)
        try:
            hierarchy = {str(above): (str(column), tuple(map(str, classes))) for above, column, classes in about["hierarchy"]}
            return cls(hierarchy, {above: {name: runs[above, name] for name in classes} for above, (_, classes) in hierarchy.items()})
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(path, error) from None

    def scores(self, samples: SampleSet, above: str = "", mc: int = PASSES, seed: int = 0) -> Scores:
        """What the networks below a class say of samples, in `mc` passes; one pass without dropout, and errors of zero, for 0.

        Raises
        ------
        InputError
            If nothing was trained below that class.
        """
        if above not in self.runs:
            raise InputError(f"no layer below {above!r} was trained; there are those below {', '.join(map(repr, self.runs))}.")
        said = [scored(run, samples, mc, seed) for run in self.runs[above].values()]
        return Scores(tuple(self.runs[above]), np.stack([p for p, _ in said], 1), np.stack([s for _, s in said], 1))

    def predict(self, samples: SampleSet, mc: int = PASSES, margin: float = MARGIN, seed: int = 0) -> "Table":
        """Layer by layer: each sample goes on below the class that won it.

        Returns
        -------
        Table
            object_id, and of each layer ``layer_1``, ``layer_1_score``, ``layer_1_error`` (the winner's), ``layer_1_confident``; masked where it was
            ambiguous or not asked.
        """
        from astropy.table import MaskedColumn, Table

        table, above = Table({"object_id": samples.object_ids}), np.full(len(samples), "", dtype=object)
        asked, depth = np.ones(len(samples), dtype=bool), 0
        while any((above[asked] == name).any() for name in self.runs):
            depth += 1
            name, score, error, sure = np.full(len(samples), "", dtype=object), np.zeros(len(samples)), np.zeros(len(samples)), np.zeros(len(samples), dtype=bool)
            for parent in self.runs:
                rows = np.flatnonzero(asked & (above == parent))
                if not len(rows):
                    continue
                got = self.scores(samples.take(rows), parent, mc, seed)
                won = vote(got.score, got.error, margin)
                clear = won != AMBIGUOUS
                name[rows[clear]] = np.array(got.classes, dtype=object)[won[clear]]
                place = np.arange(len(rows)), np.maximum(won, 0)
                score[rows], error[rows], sure[rows] = got.score[place], got.error[place], confident(got, won)
            asked = name != ""
            columns = {"": np.array([str(one) for one in name], dtype=str), "_score": score, "_error": error, "_confident": sure}
            for ending, values in columns.items():
                table[f"layer_{depth}{ending}"] = MaskedColumn(values, mask=~asked)
            above = name
        table.meta.update(mc=mc, margin=margin, simulated=samples.simulated)
        return table


def scored(run: Run, samples: SampleSet, mc: int = PASSES, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score and error of a run that answers yes or no: mean and standard deviation of the probability of True over passes with dropout, (sample,) each.

    Raises
    ------
    InputError
        For a run that answers something else, or that has no dropout.
    """
    if run.classes != (False, True):
        raise InputError(f"this run tells {', '.join(map(str, run.classes)) or run.task} apart, not False and True: train it on a column of booleans.")
    said = shares_of("classification", speak(run, samples, None, mc, seed).values)[..., run.classes.index(True)]
    return said.mean(0), said.std(0)


def train_votes(
    recipe: str | Recipe, samples: SampleSet, hierarchy: Hierarchy, *, modalities: Sequence[str] | None = None, split: Split | None = None, balance: bool = True,
    seed: int = 0, out: str | Path | None = None, **options: Any,
) -> Votes:  # fmt: skip
    """Train a network a class of each layer.

    Parameters
    ----------
    recipe, samples, modalities, seed
        As in `train`; the head must be of two classes.
    hierarchy : mapping
        ``{"": ("hydrogen", ("Hrich", "Hpoor")), "Hrich": ("layer_2", ("II", "IIb-H", "IIn"))}``.
    split : Split, optional
        Whose training part (and validation part) is used; None: all samples.
    balance : bool
        Of what is not of the class, as many as are, drawn once a network; where there are fewer, all.
    out : path, optional
        A folder for the runs, which `Votes.open` opens; the same call goes on after a stop.
    **options
        Further arguments of `train`, e.g. ``epochs=10``.

    Raises
    ------
    InputError
        For a layer of fewer than two classes, or a class that no training sample has.
    """
    rng, runs = np.random.default_rng([seed, 47]), {}
    given = split or Split(tuple(map(str, samples.object_ids)), ())
    for above, (column, classes) in hierarchy.items():
        truth = samples.column(column).filled("").astype(str)
        if len(classes) < 2:
            raise InputError(f"the layer below {above!r} has {len(classes)} class; two are needed to vote.")
        sides = [np.array([i for i in samples.positions(ids) if truth[i] in classes], dtype=np.int64) for ids in (given.train, given.validation)]
        layer = {}
        for name in classes:
            if not (truth[sides[0]] == name).any():
                raise InputError(f"no training sample has {column}={name!r}; there are {', '.join(sorted(set(truth[sides[0]])))}.")
            target = TARGET.format(name)
            told = with_column(samples, target, pa.array(truth == name), "target")
            ids = [tuple(map(str, samples.object_ids[_balanced(side, truth == name, rng) if balance else side])) for side in sides]
            folder = None if out is None else Path(out).expanduser() / folder_of((above, name))
            layer[name] = train(recipe, told, target, modalities, Split(ids[0], (), ids[1], given.by, given.group, given.seed), seed, out=folder, **{"progress": False, **options})
        runs[above] = layer
    made = Votes(dict(hierarchy), runs)
    if out is not None:
        made.save(out, overwrite=True)
    return made


def _balanced(rows: NDArray[np.int64], holds: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    """All rows of the class, and at most as many others."""
    yes, no = rows[holds[rows]], rows[~holds[rows]]
    return np.sort(np.concatenate([yes, rng.permutation(no)[: len(yes)]]))
