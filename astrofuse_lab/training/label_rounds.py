"""One round of label and learn: train on the labels there are, and judge on samples that were never offered."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, TrainingError
from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.samples.annotations import with_column
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import Split, group_codes
from astrofuse_lab.training import metrics as M
from astrofuse_lab.training.loop import OnEpoch, train
from astrofuse_lab.training.plan import choose_modalities
from astrofuse_lab.training.run import Run

Array = NDArray[Any]
GIVEN = "given_label"
"""The column that such a run predicts."""
LEAST = 2
"""Groups of a class that can be learned: one to train on and one to validate."""


@dataclass(frozen=True)
class Round:
    """What one round gave.

    Attributes
    ----------
    run : Run
        Trained on the labels.
    labels : int
        Samples with a label that were used, those held out to stop at included.
    metric : str
    value, low, high : float
        On the samples held out for judging, with a 95 % bootstrap interval over groups; NaN where none has a known label.
    tested : int
        How many those are.
    left_out : dict of str to int
        Classes of too few labels to be learned, and how many they have; in judging they count.
    """

    run: Run
    labels: int
    metric: str
    value: float
    low: float
    high: float
    tested: int
    left_out: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON holds them."""
        numbers = {name: None if not np.isfinite(v := getattr(self, name)) else float(v) for name in ("value", "low", "high")}
        return {"labels": self.labels, "metric": self.metric, **numbers, "tested": self.tested, "left_out": dict(self.left_out)}


def learnable(samples: SampleSet, labels: Mapping[str, str], group: str | None = None, modalities: Sequence[str] | None = None) -> tuple[dict[str, str], dict[str, int]]:
    """Labels of classes with two groups or more, of samples that have any of the modalities (None: of all); and the other classes with their numbers."""
    names = choose_modalities(samples, modalities)
    usable = np.any([samples.present(name) for name in names], axis=0)
    every, codes = list(map(str, samples.object_ids)), group_codes(samples, group).tolist()
    ids = [i for i, use in zip(every, usable, strict=True) if use and i in labels]
    of = dict(zip(every, codes, strict=True))
    groups: dict[str, set[int]] = {}
    for i in ids:
        groups.setdefault(labels[i], set()).add(of[i])
    few = {name for name in {labels[i] for i in every if i in labels} if len(groups.get(name, ())) < LEAST}
    return {i: labels[i] for i in ids if labels[i] not in few}, {name: sum(labels[i] == name for i in every if i in labels) for name in sorted(few)}


def learn_round(
    recipe: str | Recipe, samples: SampleSet, labels: Mapping[str, str], truth: Mapping[str, str], *, modalities: Sequence[str] | None = None, group: str | None = None,
    metric: str = "balanced_accuracy", seed: int = 0, epochs: int | None = None, device: str = "auto", out: str | Path | None = None, resamples: int = 1000,
    stop: threading.Event | None = None, on_epoch: OnEpoch | None = None,
) -> Round:  # fmt: skip
    """Train a recipe on some labels and judge it on others.

    Parameters
    ----------
    recipe : str or Recipe
    samples : SampleSet
    labels : mapping of id to label
        To train on; ids that the set lacks, and samples with none of the modalities, are passed over. Classes of one label only wait until they have two.
    truth : mapping of id to label
        Of the samples to judge on; none of them may be among `labels`, nor share a group with one.
    modalities, seed, epochs, device, out, stop, on_epoch
        As in ``af.train``.
    group : str, optional
        Column whose equal values belong together; None: the one with role ``group``, else each object alone.
    metric : str
        Of a classification. Classes that the model does not know yet count as wrong.
    resamples : int
        Of the bootstrap.

    Returns
    -------
    Round

    Raises
    ------
    InputError
        If a sample, or a group, is on both sides.
    TrainingError
        If there are not two classes of two labels each.
    """
    used, few = learnable(samples, labels, group, modalities)
    names = sorted(set(used.values()))
    if len(names) < 2:
        has = ", ".join(f"{sum(v == name for v in used.values())} of {name!r}" for name in names)
        wait = ", ".join(f"{count} of {name!r}" for name, count in few.items())
        raise TrainingError(f"two classes with {LEAST} labels each are needed to train; there are {', '.join(filter(None, (has, wait))) or 'no labels'}. Label some more.")
    tested = [i for i in map(str, samples.object_ids) if i in truth]
    _check_apart(samples, used, tested, group)
    said = {**used, **{i: truth[i] for i in tested}}
    asked = with_column(samples, GIVEN, pa.array([said.get(str(i)) for i in samples.object_ids], pa.string()), "target")
    # judged below, on all classes: the run itself would pass over those that it does not know
    run = train(recipe, asked, GIVEN, modalities, Split(tuple(used), (), group=group), seed, device, epochs, out, progress=False, stop=stop, on_epoch=on_epoch)
    value, low, high, count = judge(run, samples, {i: truth[i] for i in tested}, metric, group, resamples)
    return Round(run, len(used), metric, value, low, high, count, few)


def _check_apart(samples: SampleSet, used: Iterable[str], tested: Sequence[str], group: str | None) -> None:
    codes = group_codes(samples, group)
    place = {str(i): k for k, i in enumerate(samples.object_ids)}
    mine = {int(codes[place[i]]) for i in used}
    both = [i for i in tested if int(codes[place[i]]) in mine]
    if both:
        raise InputError(f"{both[0]!r} is to be judged on, and it or one of its group is trained on: {len(both)} such samples. Keep them apart with samples.split().")


def judge(
    runs: Run | tuple[Run, Run], samples: SampleSet, truth: Mapping[str, str], metric: str = "balanced_accuracy", group: str | None = None, resamples: int = 1000
) -> tuple[float, float, float, int]:
    """A metric, or what the first of two runs has more of it, with its 95 % bootstrap interval over groups, and the number of samples.

    Over all classes of `truth`, also those that a run does not know. Two runs are measured on the same resamples: their difference is
    paired. Samples of which a run has no modality take no part.
    """
    both = runs if isinstance(runs, tuple) else (runs,)
    places = np.array([k for k, i in enumerate(samples.object_ids) if str(i) in truth], dtype=np.int64)
    if not len(places):
        return np.nan, np.nan, np.nan, 0
    classes = sorted({*truth.values(), *(str(name) for run in both for name in run.classes)})
    said = [run.outputs(samples, places) for run in both]
    use = np.all([seen for _, seen in said], axis=0)
    if not use.any():
        return np.nan, np.nan, np.nan, 0
    codes = np.array([classes.index(truth[str(i)]) for i in samples.object_ids[places[use]]])
    groups, (_, measure) = group_codes(samples, group)[places[use]], M.metric_named("classification", metric)
    found = []
    for run, (shares, _) in zip(both, said, strict=True):
        wide = np.zeros((len(codes), len(classes)))
        wide[:, [classes.index(str(name)) for name in run.classes]] = shares[use]
        found.append((M.value(measure, codes, wide), M.resampled(measure, codes, wide, groups, resamples)))
    if len(found) == 1:
        return (found[0][0], *M.interval(found[0][1]), len(codes))
    return (found[0][0] - found[1][0], *M.interval(found[0][1] - found[1][1]), len(codes))


def random_labels(truth: Mapping[str, str], pool: Iterable[str], count: int, seed: int) -> dict[str, str]:
    """What labelling by chance would have given: `count` of the pool whose truth is known, and their truth."""
    known = sorted(i for i in pool if i in truth)
    chosen = np.random.default_rng([seed, 53]).permutation(len(known))[:count]
    return {known[k]: truth[known[k]] for k in chosen}


