"""`compare`: the fused model beside each modality alone, trees and chance, on the same rows, with paired intervals."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab import jobs
from astrofuse_lab.errors import InputError
from astrofuse_lab.recipes.catalogue import get_recipe
from astrofuse_lab.recipes.schema import Part, Recipe
from astrofuse_lab.samples.represented import represented
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import Split, group_codes
from astrofuse_lab.training.entrants import CHANCE, Entrant, check_ablations, classical, entrants, variants
from astrofuse_lab.training.features import Features
from astrofuse_lab.training.folds import folds as make_folds
from astrofuse_lab.training.loop import train
from astrofuse_lab.training.metrics import metric_named
from astrofuse_lab.training.plan import choose_modalities, make_plan
from astrofuse_lab.training.problem import Problem, pose
from astrofuse_lab.training.report import make_table
from astrofuse_lab.training.run import Run
from astrofuse_lab.training.subsets import masked_outputs, subset_names
from astrofuse_lab.training.trees import chance_predictions, fit_baseline

if TYPE_CHECKING:
    from astropy.table import Table

OnProgress = Callable[[dict[str, Any]], None]


def compare(
    recipe: str | Recipe | Sequence[str | Recipe], samples: SampleSet, target: str | Sequence[str], modalities: Sequence[str] | None = None,
    seeds: int | Sequence[int] = 3, *, fusion: str | Part | Sequence[str | Part] | None = None, ablate: str | Sequence[str] = (),
    split: Split | Sequence[Split] | None = None, folds: int | None = None, by: str = "object", group: str | None = None, one_vote: bool = False,
    metric: str | None = None, epochs: int | None = None, subsets: bool = False, trees: str = "extra_trees", trees_each: bool = False, linear: bool = False,
    resamples: int = 1000, device: str = "auto", progress: bool = True, stop: threading.Event | None = None, fused: Run | None = None,
    on_progress: OnProgress | None = None,
) -> "Table":  # fmt: skip
    """Is the fused model better than its parts, than trees, than chance?

    Every row is trained and tested on the same samples. The value of a row is the mean over seeds of the metric on its test
    predictions, pooled over folds; the interval is that of a bootstrap over groups, and differences are taken within each
    resample, so they are paired.

    Parameters
    ----------
    recipe : str or Recipe, or a sequence of them
        Several stand side by side; the first is what the others are compared with.
    samples : SampleSet
    target : str, or sequence of str
        Several columns are learned together.
    modalities : sequence of str, optional
        None: all that the samples have.
    seeds : int or sequence of int
        So many trainings behind each row, or these seeds.
    fusion : str or Part, or a sequence of them, optional
        Operators to put in the recipe, all else fixed: ``["concatenation", "gated", "decision: average"]`` gives a row each. Names
        are those of ``af.list_parts()``: fusions, decisions and stacks; a level in front tells two of one name apart.
    ablate : {"modalities", "modules"} or both
        Also the first fused model trained without each of its modalities (of three or more), or without each of its modules: encoders and
        fusion made plain, adapters, stack, pre-training and augmentation taken out.
    split : Split or sequence of Split, optional
        Trains on ``train``, tests on ``test``. None, without `folds`: a quarter of the groups is the test part.
    folds : int, optional
        Grouped folds instead, every group tested once.
    by : {"object", "stratified", "sky", "time"}
        How folds are made; see `astrofuse_lab.training.folds.folds`. Classes are spread evenly over those by object, too.
    group : str, optional
        Column that holds together what is not independent. None: the split's, else the column with role ``group``, else each object.
    one_vote : bool
        Average the predictions of a group before measuring.
    metric : str, optional
        None: the first of the task, e.g. balanced accuracy, or root mean square error.
    epochs : int, optional
    subsets : bool
        Also test the first fused model on every subset of its modalities, the others masked: ``table.meta["subsets"]``.
    trees : {"extra_trees", "boosting", "both"}
        The tree baseline, on summary features of all modalities; see `astrofuse_lab.training.features`.
    trees_each : bool
        Also trees on each modality alone.
    linear : bool
        Also logistic or ridge regression on the same features.
    resamples : int
        Of the bootstrap.
    device : str
    progress : bool
    stop : threading.Event, optional
        Once set, the comparison ends with an InputError after the batch at hand.
    fused : Run, optional
        A finished run of this recipe on this split: taken as the (first) fused model of its seed instead of training it again.
    on_progress : callable, optional
        Called with dict(done, total, row, seed) after each training.

    Returns
    -------
    Table
        model, modalities, metric, value, low, high, and for all but the first row difference (the first row minus this one, positive
        where the first is better), difference_low, difference_high; parameters, seconds, milliseconds (to predict a sample).
        ``meta["verdict"]`` says in words what it shows; ``meta["operators"]`` how each fused model stands to the best single modality;
        ``meta["predictions"]`` holds what was measured, by row.

    Raises
    ------
    InputError, TrainingError
        As in `train`.
    """
    made, wanted = variants(recipe, fusion), check_ablations(ablate)
    base = get_recipe(recipe if isinstance(recipe, str | Recipe) else recipe[0])
    names = choose_modalities(samples, modalities)
    chosen = list(range(seeds)) if isinstance(seeds, int) else [int(s) for s in seeds]
    if not chosen:
        raise InputError(f"seeds={seeds!r}: at least one.")
    if target is None:
        raise InputError("compare measures predictions, so it needs a target=. af.evaluate(run, samples) measures what was learned without one.")
    problem = pose(samples, target, names, base.head)
    truth, known = problem.encode(samples)
    splits = _splits(samples, truth, split, folds, by, group)
    arena = Arena(samples, problem, target, truth, known, splits, epochs, device, stop or threading.Event(), resamples)
    measure = metric_named(problem.task, metric)
    rivals, plain = entrants(made, base, samples, names, wanted), classical(names, trees, trees_each, linear)
    if fused is not None:
        arena.given = _fitting(fused, arena, rivals[0], chosen)
    total = len(chosen) * len(rivals)
    features = Features(represented(samples, base.inputs), names)  # trees see what the networks see
    with jobs.running(f"Compare {total} trainings", arena.stop) as job:
        for number, seed in enumerate(chosen):
            for place, one in enumerate(rivals):
                arena.train(one, seed, first=place == 0, subsets=subsets and place == 0)
                done = number * len(rivals) + place + 1
                told = {"done": done, "total": total, "row": one.name, "seed": seed}
                job.tell(done / total, f"{done} of {total}: {one.name}, seed {seed}")
                if progress:
                    print(f"compared {done}/{total}: {one.name}, seed {seed}, {one.seconds:.0f} s", flush=True)
                if on_progress is not None:
                    on_progress(told)
            for one in plain:
                arena.classical(one, features, seed)
    codes = group_codes(samples, group or splits[0].group)
    return make_table(arena, rivals, plain, measure, codes, one_vote)


def _fitting(run: Run, arena: "Arena", row: Entrant, seeds: Sequence[int]) -> Run:
    """A run that is what training this row would give, by its fingerprint; else InputError says what differs."""
    words = {"recipe": "the recipe", "target": "the target", "modalities": "the modalities", "epochs": "its epochs", "split": "the split", "samples": "the samples"}
    differs = [] if run.state == "finished" else ["its state"]
    if len(arena.splits) != 1:
        differs.append("the split")
    else:
        assert row.recipe is not None
        plan = make_plan(row.recipe, arena.samples, arena.target, row.modalities, arena.splits[0], run.seed, arena.epochs)
        differs += [words[name] for name in words if plan.fingerprint[name] != run.record["fingerprint"].get(name)]
    if run.seed not in seeds:
        differs.append("its seed")
    if differs:
        raise InputError(f"fused=: this run differs in {', '.join(differs)} from what is compared. Leave it out to train anew, or give the run of this split.")
    return run


@dataclass
class Arena:
    """What all rows of a comparison share."""

    samples: SampleSet
    problem: Problem
    target: str | Sequence[str]
    truth: NDArray[Any]
    known: NDArray[np.bool_]
    splits: list[Split]
    epochs: int | None
    device: str
    stop: threading.Event
    resamples: int
    subsets: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    given: Run | None = None

    def train(self, one: Entrant, seed: int, first: bool, subsets: bool) -> None:
        """Train one row on every split with one seed, and test it."""
        assert one.recipe is not None
        predicted, begin, spent = self.problem.blank(len(self.samples)), time.monotonic(), 0.0
        parts = {name: self.problem.blank(len(self.samples)) for name in subset_names(one.modalities)} if subsets else {}
        for split in self.splits:
            run = self.given if first and self.given is not None and self.given.seed == seed else None
            spent += run.seconds if run else 0.0
            run = run or train(
                one.recipe, self.samples, self.target, one.modalities, split, seed, self.device, self.epochs, progress=False, stop=self.stop
            )
            if self.stop.is_set():
                raise InputError("the comparison was stopped before it was complete; nothing is returned.")
            test = self.samples.positions(split.test)
            asked = time.monotonic()
            predicted[test] = in_order(run, self.problem, run.outputs(self.samples, test)[0])
            one.milliseconds.append(1e3 * (time.monotonic() - asked) / max(1, len(test)))
            for name, kept in subset_names(one.modalities).items() if subsets else ():
                parts[name][test] = in_order(run, self.problem, masked_outputs(run, self.samples, test, kept))
            one.parameters = run.parameters
        one.predicted.append(predicted)
        one.seconds += time.monotonic() - begin + spent
        for name, made in parts.items():
            self.subsets.setdefault(name, []).append(made)

    def classical(self, one: Entrant, features: Features, seed: int) -> None:
        """A baseline on every split."""
        predicted, begin = self.problem.blank(len(self.samples)), time.monotonic()
        for split in self.splits:
            learn = self.samples.positions([*split.train, *split.validation])
            learn, test = learn[self.known[learn]], self.samples.positions(split.test)
            if one.kind == CHANCE:
                predicted[test] = chance_predictions(self.problem, self.truth, learn, test)
                continue
            fitted = fit_baseline(self.problem, features, one.modalities, self.truth, learn, seed=seed, kind=one.kind)
            asked = time.monotonic()
            predicted[test] = fitted(test)
            spent = sum(features.seconds[name] for name in one.modalities) / max(1, len(self.samples))
            one.milliseconds.append(1e3 * ((time.monotonic() - asked) / max(1, len(test)) + spent))
        one.predicted.append(predicted)
        one.seconds += time.monotonic() - begin

    def tested(self) -> NDArray[np.int64]:
        """Positions that are in a test part and have a target."""
        inside = np.zeros(len(self.samples), dtype=bool)
        for split in self.splits:
            inside[self.samples.positions(split.test)] = True
        return np.flatnonzero(inside & self.known)


def in_order(run: Run, problem: Problem, predicted: NDArray[Any]) -> NDArray[Any]:
    """Probabilities in the columns of `problem`, whose classes may be more than a fold's training part holds."""
    if run.classes == problem.classes:
        return predicted
    out = np.zeros((len(predicted), len(problem.classes)))
    out[:, [problem.classes.index(c) for c in run.classes]] = predicted
    return out


def _splits(
    samples: SampleSet, truth: NDArray[Any], split: Split | Sequence[Split] | None, folds: int | None, by: str, group: str | None
) -> list[Split]:
    if split is not None and folds is not None:
        raise InputError("split= and folds= exclude each other; give one of them.")
    if folds is None and by != "object":
        raise InputError(f"by={by!r} says how folds are made; give folds=5, or split=samples.split(by={by!r}).")
    if folds is not None:
        strata = truth if truth.dtype.kind == "i" else None
        if by == "stratified" and strata is None:
            first = truth if truth.ndim == 1 else truth[:, 0]
            strata = np.searchsorted(np.nanquantile(first, [0.2, 0.4, 0.6, 0.8]), first)
        return make_folds(samples, folds, group, strata=strata, by=by)
    given = [samples.split(test=0.25, group=group)] if split is None else [split] if isinstance(split, Split) else list(split)
    seen: set[str] = set()
    for one in given:
        if not one.test:
            raise InputError("a split to compare on needs test ids: samples.split(test=0.25) makes one.")
        if seen & set(one.test):
            raise InputError(f"the test part of one split is tested again in another, e.g. {min(seen & set(one.test))!r}. Each sample is tested once.")
        seen |= set(one.test)
    return given
