"""`active_curve`: what a strategy of labelling would have been worth, replayed on labels that are known already."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain.suggestions import WAYS, suggest
from astrofuse_lab.recipes.catalogue import get_recipe
from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import Split, group_codes
from astrofuse_lab.training import metrics as M
from astrofuse_lab.training.comparison import in_order
from astrofuse_lab.training.loop import train
from astrofuse_lab.training.plan import choose_modalities
from astrofuse_lab.training.problem import Problem, pose
from astrofuse_lab.training.run import Run

if TYPE_CHECKING:
    from astropy.table import Table

Array = NDArray[Any]
RANDOM = "random"
LEAST = 2
"""Groups of a class that the first labels hold: one to train on and one to validate."""


@dataclass(frozen=True)
class Trial:
    """What one strategy with one seed predicts of the test part after so many labels."""

    by: str
    seed: int
    labels: int
    predicted: Array


@dataclass
class Stage:
    """What all trials share."""

    recipe: Recipe
    samples: SampleSet
    target: str
    modalities: tuple[str, ...]
    problem: Problem
    truth: Array
    known: NDArray[np.bool_]
    groups: Array
    pool: Array
    test: Array
    options: dict[str, Any]
    stop: threading.Event

    def first(self, start: int, seed: int) -> list[int]:
        """The labels to begin with: by chance, but of each class at least two groups, since a model needs those; the same for all strategies."""
        order = np.random.default_rng([seed, 61]).permutation(self.pool)
        if self.problem.task != "classification":
            return [int(p) for p in order[:start]]
        chosen: list[int] = []
        for code in np.unique(self.truth[self.pool]):
            mine = order[self.truth[order] == code]
            _, firsts = np.unique(self.groups[mine], return_index=True)
            chosen += [int(p) for p in mine[np.sort(firsts)[:LEAST]]]
        return (chosen + [int(p) for p in order if int(p) not in set(chosen)])[: max(start, len(chosen))]

    def fit(self, labelled: Sequence[int], seed: int) -> Run:
        """A run trained on these labels."""
        ids = tuple(map(str, self.samples.object_ids[np.asarray(labelled)]))
        run = train(self.recipe, self.samples, self.target, list(self.modalities), Split(ids, ()), seed, progress=False, stop=self.stop, **self.options)
        if self.stop.is_set():
            raise InputError("the curve was stopped before it was complete; nothing is returned.")
        return run

    def ask(self, run: Run) -> Array:
        """What it predicts of the test part, in the columns of all classes."""
        return in_order(run, self.problem, run.outputs(self.samples, self.test)[0])


def active_curve(
    recipe: str | Recipe, samples: SampleSet, target: str, by: str | Sequence[str] = ("entropy",), modalities: Sequence[str] | None = None, *,
    start: int = 20, batch: int = 20, rounds: int = 4, seeds: int | Sequence[int] = 3, split: Split | None = None, metric: str | None = None,
    diverse: bool = False, mc: int | None = None, resamples: int = 1000, on_progress: Callable[[dict[str, Any]], None] | None = None,
    stop: threading.Event | None = None, **options: Any,
) -> "Table":  # fmt: skip
    """Pretend that labels are unknown, ask for them by a strategy, and see how a score grows with them, beside labelling by chance.

    All strategies begin with the same labels and are tested on the same samples, which are never asked for.

    Parameters
    ----------
    recipe : str or Recipe
    samples : SampleSet
    target : str
        Its known values play the person.
    by : str or sequence of str
        Strategies of ``af.explain.suggest``; ``random`` is always tried too.
    modalities : sequence of str, optional
    start, batch, rounds : int
        Labels to begin with, labels a round, and rounds after the first training.
    seeds : int or sequence of int
        Each draws other first labels and other weights.
    split : Split, optional
        Its test part judges, the rest can be labelled. None: a quarter of the groups judges.
    metric : str, optional
        None: the task's first, e.g. balanced accuracy.
    diverse, mc
        As in ``af.explain.suggest``.
    resamples : int
        Of the bootstrap over test groups and seeds.
    on_progress : callable, optional
        Called with ``{"done": ..., "total": ..., "by": ..., "seed": ...}`` after each training.
    stop : threading.Event, optional
    **options
        Of ``af.train``: epochs, device, precision.

    Returns
    -------
    Table
        by, labels, metric, value (mean over seeds), low, high (95 %), and but for ``random`` difference (positive where better than random
        after as many labels), difference_low, difference_high, paired. ``meta``: ``verdict``, which says of each strategy whether it is
        better than random on average over the curve; ``gain``, those averages; seeds, test_samples, simulated.

    Raises
    ------
    InputError
        For an unknown strategy, too few samples to ask for, or when stopped.
    """
    names = tuple(dict.fromkeys([*([by] if isinstance(by, str) else by), RANDOM]))
    for name in names:
        if name not in WAYS:
            raise UnknownNameError("strategy", name, WAYS)
    for what, number, least in (("start", start, 2), ("batch", batch, 1), ("rounds", rounds, 1)):
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise InputError(f"{what}={number!r}: a whole number, {least} or more.")
    chosen = list(range(seeds)) if isinstance(seeds, int) else [int(s) for s in seeds]
    if not chosen:
        raise InputError(f"seeds={seeds!r}: at least one.")
    if unknown := sorted(set(options) - {"epochs", "device", "precision"}):
        raise InputError(f"active_curve has no option {', '.join(unknown)}; it hands epochs, device and precision to af.train.")
    stage = _stage(get_recipe(recipe), samples, target, modalities, split, options, stop or threading.Event())
    if len(stage.pool) < start + batch:
        raise InputError(f"{len(stage.pool)} samples outside of the test part have a known {target!r}; start={start} and batch={batch} need {start + batch}.")
    trials, total = [], len(chosen) * (1 + rounds * len(names))
    for seed in chosen:
        first = stage.first(start, seed)
        run = stage.fit(first, seed)  # the same for all strategies
        for name in names:
            for trial in _follow(stage, name, run, first, seed, batch, rounds, {"diverse": diverse, "mc": mc if WAYS[name].model else None}):
                trials.append(trial)
                if on_progress is not None:
                    done = len({(t.by if t.labels > len(first) else "", t.seed, t.labels) for t in trials})
                    on_progress({"done": done, "total": total, "by": name, "seed": seed})
    table = summary(trials, stage.problem.task, stage.truth[stage.test], stage.groups[stage.test], metric, resamples)
    table.meta.update(seeds=chosen, test_samples=len(stage.test), simulated=samples.simulated, recipe=stage.recipe.name, target=target)
    return table


def _stage(
    recipe: Recipe, samples: SampleSet, target: str, modalities: Sequence[str] | None, split: Split | None, options: dict[str, Any], stop: threading.Event
) -> Stage:
    names = choose_modalities(samples, modalities)
    problem = pose(samples, target, names, recipe.head)
    if problem.several or problem.task == "self_supervised":
        raise InputError(f"active_curve takes one target of classes or numbers; {target!r} is {problem.task.replace('_', ' ')}.")
    whole = split or samples.split(test=0.25)
    truth, known = problem.encode(samples)
    known = known & np.any([samples.present(name) for name in names], axis=0)
    pool, test = (samples.positions(ids) for ids in ([*whole.train, *whole.validation], whole.test))
    pool, test = pool[known[pool]], test[known[test]]
    groups = group_codes(samples, whole.group)
    if problem.task == "classification" and len(pool):  # a class that cannot be learned and validated is not asked for
        counts = {code: len(np.unique(groups[pool[truth[pool] == code]])) for code in np.unique(truth[pool])}
        pool = pool[np.array([counts[code] >= LEAST for code in truth[pool]])]
    if not len(test):
        raise InputError(f"no sample of the test part has a known {target!r} and any of {', '.join(names)}. Give split=samples.split(test=0.25).")
    return Stage(recipe, samples, target, names, problem, truth, known, groups, pool, test, options, stop)


def _follow(stage: Stage, by: str, run: Run, first: list[int], seed: int, batch: int, rounds: int, asked: dict[str, Any]) -> list[Trial]:
    """One strategy with one seed, round by round."""
    labelled, ids = list(first), stage.samples.object_ids
    pool = ids[stage.pool].tolist()
    trials = [Trial(by, seed, len(labelled), stage.ask(run))]
    for number in range(rounds):
        wanted = suggest(run, stage.samples, batch, by, labelled=ids[labelled].tolist(), among=pool, seed=seed * 1000 + number, stop=stage.stop, **asked)
        if not len(wanted):
            break
        labelled += [int(p) for p in stage.samples.positions(wanted["object_id"].tolist())]
        run = stage.fit(labelled, seed)
        trials.append(Trial(by, seed, len(labelled), stage.ask(run)))
    return trials


# ---- what came of it ---------------------------------------------------------------------------------------------------


def summary(trials: Sequence[Trial], task: str, truth: Array, groups: Array, metric: str | None = None, resamples: int = 1000) -> "Table":
    """Trials as the table of `active_curve`.

    The interval is a bootstrap over test groups and, at the same time, over seeds; strategies share each resample, so that differences
    are paired.
    """
    from astropy.table import MaskedColumn, Table

    name, measure = M.metric_named(task, metric)
    ways, seeds = tuple(dict.fromkeys(t.by for t in trials)), sorted({t.seed for t in trials})
    steps = sorted({t.labels for t in trials})
    value = np.full((len(ways), len(steps), len(seeds)), np.nan)
    drawn = np.full((*value.shape, resamples), np.nan)
    for t in trials:
        at = ways.index(t.by), steps.index(t.labels), seeds.index(t.seed)
        value[at] = M.value(measure, truth, t.predicted)
        drawn[at] = M.resampled(measure, truth, t.predicted, groups, resamples)
    lots = np.random.default_rng(7).integers(0, len(seeds), (resamples, len(seeds)))

    def over_seeds(each: Array) -> Array:
        """The mean over as many seeds, drawn anew for each resample: (way, step, resample)."""
        return np.asarray(np.stack([each[..., lots[:, k], np.arange(resamples)] for k in range(len(seeds))]).mean(0))

    shown, together = over_seeds(drawn), over_seeds(M.goodness(name, drawn))
    centre, chance = M.goodness(name, value).mean(2), ways.index(RANDOM)
    rows: list[tuple[Any, ...]] = []
    for w, way in enumerate(ways):
        for s, labels in enumerate(steps):
            apart = (np.nan,) * 3 if w == chance else (centre[w, s] - centre[chance, s], *M.interval(together[w, s] - together[chance, s]))
            rows.append((way, labels, name, value[w, s].mean(), *M.interval(shown[w, s]), *apart))
    names = ("by", "labels", "metric", "value", "low", "high", "difference", "difference_low", "difference_high")
    table = Table(rows=rows, names=names)
    for column in names[3:]:
        table[column] = MaskedColumn(table[column], mask=np.isnan(np.asarray(table[column], dtype=float)), format=".3f")
    gain = _gains(ways, centre, together, chance)
    table.meta["gain"] = {way: dict(zip(("gain", "low", "high"), one, strict=True)) for way, one in gain.items()}
    table.meta["verdict"] = _verdict(gain, name, steps, len(seeds), len(truth))
    return table


def _gains(ways: Sequence[str], centre: Array, together: Array, chance: int) -> dict[str, tuple[float, float, float]]:
    """By how much each strategy is better than random, on average over the rounds after the first, with its interval."""
    out = {}
    for w, way in enumerate(ways):
        if w != chance and centre.shape[1] > 1:
            each = (together[w, 1:] - together[chance, 1:]).mean(0)
            out[way] = (float((centre[w, 1:] - centre[chance, 1:]).mean()), *M.interval(each))
    return out


def _verdict(gain: dict[str, tuple[float, float, float]], metric: str, steps: Sequence[int], seeds: int, tested: int) -> str:
    """One sentence a strategy, and what it rests on."""
    words, said = metric.replace("_", " "), []
    for way, (mean, low, high) in gain.items():
        figures = f"{mean:+.3f} [{low:+.3f}, {high:+.3f}] {words}"
        said.append(
            f"{way} is better than random: {figures}." if low > 0 else f"{way} is worse than random: {figures}." if high < 0
            else f"{way} is not better than random as far as this shows: {figures}."
        )  # fmt: skip
    about = f"On average from {steps[min(1, len(steps) - 1)]} to {steps[-1]} labels; {seeds} seed(s), {tested} test samples."
    return " ".join([*said, about]) if said else f"Only random was tried. {about}"
