"""Which samples to label next: those the model is unsure of, those unlike what is labelled, or those unlike everything."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain import suggestion_scores as S
from astrofuse_lab.explain.adapter import Pace, explaining
from astrofuse_lab.samples.annotations_book import LabelBook
from astrofuse_lab.training.ensembles import Ensemble
from astrofuse_lab.training.features import Features
from astrofuse_lab.training.members import runs_of
from astrofuse_lab.training.uncertainty import entropies, shares_of, speak, split_entropy, split_variance

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

Array = NDArray[Any]
PASSES = 20
"""Passes with dropout on for BALD of a single run."""
SPREAD = 5
"""With ``diverse=True``, a batch of n is chosen among so many times n samples of the highest score."""
ROWS = 1024
OnProgress = Callable[[dict[str, Any]], None]


class Way(NamedTuple):
    """One strategy: what it goes by, and a row's reason, with {score:...} and {rest:...} (one minus it)."""

    what: str
    why: str
    model: bool
    chance: bool = False


WAYS: dict[str, Way] = {
    "entropy": Way("the probabilities are nearest to even", "entropy {score:.2f}; 1 would be undecided among all classes", True),
    "margin": Way("the two likeliest classes are nearest to each other", "the two likeliest classes are {rest:.2f} apart", True),
    "least_confidence": Way("the likeliest class is the least likely", "the likeliest class has a probability of {rest:.2f}", True),
    "bald": Way("members of an ensemble, or passes with dropout, contradict each other", "mutual information {score:.3f}: the model contradicts itself", True),
    "coreset": Way("far from all that is labelled, and from each other (k-centre greedy)", "{score:.3g} from the nearest that is labelled or chosen", False),
    "diverse": Way("spread over the whole set (k-means++)", "{score:.3g} from the nearest that is labelled or chosen", False),
    "badge": Way("would change the model most, each in another way (BADGE)", "its gradient has a length of {score:.3g}", True),
    "anomaly": Way("easily told apart from all others (isolation forest)", "isolation score {score:.2f}; above 0.5 is unlike the rest", False),
    "neighbours": Way("far from its nearest neighbours", "mean distance to its nearest neighbours {score:.3g}", False),
    "random": Way("by chance", "by chance", False, True),
}
"""All strategies. Those with `model` need a run that predicts; the others do without."""


@dataclass(frozen=True)
class Known:
    """What a model, or the data alone, say of the samples in question.

    Attributes
    ----------
    vectors : float64 array, (sample, width)
        Fused vectors; of an ensemble side by side, each member's divided by its spread. Without a run: summary features.
    values : float64 array, (member, sample, output), or None
    variance : float64 array, (member, sample, output), or None
    seen : bool array, (sample,)
        False where a sample has nothing to go by.
    """

    vectors: Array
    values: Array | None
    variance: Array | None
    seen: Array


def suggest(
    run: "Run | Ensemble | None", samples: "SampleSet", n: int = 10, by: str = "entropy", *, labelled: Iterable[str] | LabelBook = (),
    among: Iterable[str] | None = None, diverse: bool = False, mc: int | None = None, seed: int = 0, on_progress: OnProgress | None = None,
    stop: threading.Event | None = None,
) -> "Table":  # fmt: skip
    """Samples to label next, the most wanted first.

    Parameters
    ----------
    run : Run, Ensemble or None
        None, before there is one: distances are then taken between summary features of the data (those that trees are given), and only
        strategies that need no prediction can be used.
    samples : SampleSet
    n : int
        At most so many.
    by : str
        ``entropy``, ``margin``, ``least_confidence`` (doubt of the mean prediction); ``bald`` (mutual information between prediction and
        model, Houlsby et al. 2011, arXiv:1112.5745; of numbers, the variance between members in units of the errors' width); ``coreset``,
        ``diverse``, ``badge`` (batches); ``anomaly``, ``neighbours`` (unlike the rest); ``random``.
    labelled : iterable of ids, or LabelBook
        Not suggested again; ``coreset`` and ``diverse`` keep away from them.
    among : iterable of ids, optional
        Only these are suggested. None: all.
    diverse : bool
        Of strategies that score single samples: choose the n by k-centre greedy among the 5 n of the highest score, so that a batch
        does not ask the same thing n times (after Zhdanov 2019, arXiv:1901.05954).
    mc : int, optional
        Passes with dropout on. None: 20 for ``bald`` of a single run, else none.
    seed : int
        The same seed, run and samples give the same answer.
    on_progress : callable, optional
        Called with ``{"done": ..., "total": ...}``.
    stop : threading.Event, optional
        Set it to end early: samples that were not looked at are not suggested.

    Returns
    -------
    Table
        object_id, score (higher: more wanted, as `by` says), rank (from 1), why (in words; no class is named, so that it can be shown to
        who labels). ``meta``: by, pool (how many could be suggested), space, seed, notes.

    Raises
    ------
    UnknownNameError
        For another strategy.
    InputError
        If the strategy needs what this run cannot say, n is not positive, or an id is unknown.
    """
    if by not in WAYS:
        raise UnknownNameError("strategy", by, WAYS)
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise InputError(f"n={n!r}: how many samples to suggest, 1 or more.")
    _can(run, by)
    ids = _ids(labelled)
    done = np.isin(samples.object_ids, ids) if ids else np.zeros(len(samples), dtype=bool)
    pool = ~done if among is None else ~done & np.isin(np.arange(len(samples)), samples.positions(among))
    looked = pool | done if not WAYS[by].model else pool
    notes = [f"{len(ids) - int(done.sum())} labelled ids are not in this set"] if len(ids) > done.sum() else []
    places = np.flatnonzero(looked)
    rng = np.random.default_rng([seed, 47])
    if by == "random":
        chosen = rng.permutation(np.flatnonzero(pool))[:n]
        return _table(samples, chosen, np.zeros(len(chosen)), by, int(pool.sum()), "", seed, notes)
    known = _known(run, samples, places, _passes(run, by, mc), seed, Pace(ROWS, on_progress, stop))
    places = places[: len(known.seen)]
    if (blind := int((~known.seen & pool[places]).sum())):
        notes.append(f"{blind} samples have nothing to go by and are not suggested")
    use = known.seen & pool[places]
    space = "the fused space" if run is not None else "summary features of the data"
    if not use.any():
        return _table(samples, places[:0], np.zeros(0), by, 0, space, seed, notes)
    order, score = _chosen(run, known, use, done[places] & known.seen, int(n), by, diverse, rng, seed)
    return _table(samples, places[np.flatnonzero(use)[order]], score, by, int(use.sum()), space, seed, notes)


def _ids(labelled: Iterable[str] | LabelBook) -> list[str]:
    if isinstance(labelled, LabelBook):
        return labelled.ids()
    return [labelled] if isinstance(labelled, str) else [str(i) for i in labelled]


def _can(run: "Run | Ensemble | None", by: str) -> None:
    """Raise InputError unless the strategy can be followed."""
    way = WAYS[by]
    if run is None:
        if way.model:
            without = ", ".join(name for name, one in WAYS.items() if not one.model)
            raise InputError(f"by={by!r} asks a model, and there is none yet: train one, or begin with one of {without}.")
        return
    if way.model and run.task == "self_supervised":
        raise InputError(f"by={by!r}: this run was trained without a target, so it predicts nothing. Use by='coreset', 'diverse' or 'anomaly'.")
    if by in ("entropy", "margin", "least_confidence") and run.task not in ("classification", "multi_label"):
        raise InputError(f"by={by!r} asks for probabilities, and this run predicts {run.task.replace('_', ' ')}. Use by='bald', 'coreset' or 'anomaly'.")
    if by == "badge" and run.task != "classification":
        raise InputError(f"by='badge' asks for classes, and this run predicts {run.task.replace('_', ' ')}. Use by='bald' or 'coreset'.")


def _passes(run: "Run | Ensemble | None", by: str, mc: int | None) -> int:
    if mc is not None:
        if isinstance(mc, bool) or not isinstance(mc, int | np.integer) or mc < 0 or mc == 1:
            raise InputError(f"mc={mc!r}: passes with dropout on, 2 or more, or 0 for none.")
        if mc == 0 and by == "bald" and not isinstance(run, Ensemble):
            raise InputError("by='bald' of a single run goes by passes with dropout on: mc=20; or give an af.Ensemble.")
        return int(mc)
    return PASSES if by == "bald" and not isinstance(run, Ensemble) else 0


# ---- what the model says -----------------------------------------------------------------------------------------------


def _known(run: "Run | Ensemble | None", samples: "SampleSet", places: Array, passes: int, seed: int, pace: Pace) -> Known:
    if run is None:
        return _plain(samples, places, seed)
    runs = runs_of(run)
    pieces = []
    for number, index in enumerate(pace.chunks(len(places))):
        part = places[index.numpy()]
        spoken = []
        for one in runs:
            with explaining(one.model):
                spoken.append(speak(one, samples, part, passes, seed + number))
        pieces.append(spoken)
    if not pieces:
        return Known(np.zeros((0, 1)), None, None, np.zeros(0, dtype=bool))
    vectors, values, variances = [], [], []
    for member in range(len(runs)):
        mine = [piece[member] for piece in pieces]
        own = np.concatenate([one.vectors for one in mine])
        vectors.append(own / max(float(own.std()), 1e-12) if len(runs) > 1 else own)
        values.append(np.concatenate([one.values for one in mine], axis=1))
        given = [one.variance for one in mine if one.variance is not None]
        variances.append(np.concatenate(given, axis=1) if len(given) == len(mine) else np.zeros_like(values[-1]))
    seen = np.concatenate([np.all([one.seen for one in piece], axis=0) for piece in pieces])
    together = np.hstack(vectors)
    return Known(together, np.concatenate(values), np.concatenate(variances), seen & np.isfinite(together).all(1))


def _plain(samples: "SampleSet", places: Array, seed: int) -> Known:
    """Summary features, each modality's block of the same weight; what is missing is the mean."""
    names = tuple(samples.modalities)
    seen = np.any([samples.present(name) for name in names], axis=0)[places] if names else np.zeros(len(places), dtype=bool)
    part, blocks = samples.take(places), []
    for name in names if seen.any() else ():
        if part.present(name).sum() < 2:
            continue
        block = Features(part, (name,)).of((name,), np.arange(len(part)), seed)
        known = np.isfinite(block)
        count = np.maximum(known.sum(0), 1)
        centre = np.where(known, block, 0.0).sum(0) / count
        width = np.sqrt(np.where(known, (block - centre) ** 2, 0.0).sum(0) / count)
        blocks.append(np.where(known, (block - centre) / np.where(width > 0, width, 1.0), 0.0) / np.sqrt(block.shape[1]))
    return Known(np.hstack(blocks) if blocks else np.zeros((len(places), 1)), None, None, seen)


# ---- what is chosen ----------------------------------------------------------------------------------------------------


def _chosen(run: Any, known: Known, use: Array, done: Array, n: int, by: str, diverse: bool, rng: np.random.Generator, seed: int) -> tuple[Array, Array]:
    """Positions among those that may be suggested, in order, and their scores."""
    vectors = known.vectors[use]
    if by == "coreset":
        order, score = S.k_centre(vectors, known.vectors[done], n)
        return order, _finite(score)
    if by == "diverse":
        order, score = S.diverse(vectors, known.vectors[done], n, rng)
        return order, _finite(score)
    if by == "badge":
        return S.badge(_shares(run, known)[use], vectors, n, rng)
    if by == "anomaly":
        score = S.isolation(known.vectors[use | done], seed)[use[use | done]]
    elif by == "neighbours":
        score = S.neighbour_distance(known.vectors[use | done])[use[use | done]]
    else:
        score = _doubt(run, known, by)[use]
    order = S.highest(score, SPREAD * n if diverse else n)
    if diverse and len(order) > n:
        order = order[S.k_centre(vectors[order], np.zeros((0, vectors.shape[1])), n, first=0)[0]]
    return order, score[order]


def _finite(score: Array) -> Array:
    """The first of a batch has no distance to anything: it is given the largest of the others."""
    rest = score[np.isfinite(score)]
    return np.where(np.isfinite(score), score, rest.max(initial=0.0))


def _shares(run: Any, known: Known) -> Array:
    """Probabilities, the mean over members: (sample, output)."""
    assert known.values is not None
    return np.asarray(shares_of(run.task, known.values).mean(0))


def _doubt(run: Any, known: Known, by: str) -> Array:
    """Scores that go by predictions: (sample,)."""
    assert known.values is not None
    labels = run.task == "multi_label"
    if by == "margin":
        return S.label_margin(_shares(run, known)) if labels else S.margin(_shares(run, known))
    if by == "least_confidence":
        return S.label_least_confidence(_shares(run, known)) if labels else S.least_confidence(_shares(run, known))
    if by == "entropy":
        return entropies(run.task, _shares(run, known))
    if run.task in ("classification", "multi_label"):
        return split_entropy(run.task, shares_of(run.task, known.values))[1]
    assert known.variance is not None
    model = split_variance(known.values, known.variance)[1]
    return np.asarray((model / np.maximum(np.asarray(run.residual_width), 1e-300) ** 2).sum(1))


def _table(samples: "SampleSet", chosen: Array, score: Array, by: str, pool: int, space: str, seed: int, notes: list[str]) -> "Table":
    from astropy.table import Table

    table = Table({
        "object_id": samples.object_ids[chosen].astype(str) if len(chosen) else np.zeros(0, dtype="U1"), "score": np.asarray(score, dtype=float),
        "rank": np.arange(1, len(chosen) + 1), "why": np.array([WAYS[by].why.format(score=s, rest=1 - s) for s in score], dtype=str),
    })  # fmt: skip
    table["score"].info.format = ".4g"
    table.meta.update(by=by, pool=pool, space=space, seed=int(seed), notes=notes)
    return table
