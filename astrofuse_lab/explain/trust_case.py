"""What the trust checks share: the samples looked at, their maps, what is explained, and intervals over samples."""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.explain.adapter import device_of, explaining, score_of, target_index
from astrofuse_lab.explain.attribution import attribute
from astrofuse_lab.explain.attribution_result import Attribution
from astrofuse_lab.explain.baselines import make
from astrofuse_lab.explain.priors import labels_of
from astrofuse_lab.samples.preparation import Batch
from astrofuse_lab.samples.split import group_codes_as
from astrofuse_lab.training import metrics as M
from astrofuse_lab.training.members import runs_of
from astrofuse_lab.training.run import Run

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet

Array = NDArray[Any]
MEASURED = {"classification": "balanced_accuracy", "multi_label": "roc_auc", "regression": "r2", "multi_regression": "r2"}
"""The metric of each task that is the same for anything that does not look at the samples."""
FEWEST = 20
"""Labelled samples below which no score is compared."""
ROWS = 64


class Check(NamedTuple):
    """One check.

    Attributes
    ----------
    check : str
    value, reference : float
        What was measured, and what it is compared with; NaN where it was not done.
    low, high : float
        95 % interval of `value`, by bootstrap over samples.
    passed : bool or None
        None: not done.
    says : str
        In words: what it means, or why it was not done.
    about : {"map", "run", ""}
        What a failure speaks against: the map, or the run that it is a true map of; "": neither, it is told.
    """

    check: str
    value: float
    reference: float
    low: float
    high: float
    passed: bool | None
    says: str
    about: str = "map"


def not_done(check: str, why: str, about: str = "map") -> Check:
    """A check that could not be made."""
    return Check(check, np.nan, np.nan, np.nan, np.nan, None, f"not done: {why}", about)


class Stopped(Exception):
    """The caller wants to end."""


class Changed(Run):
    """The same run with another model, or with inputs changed once they are prepared. Nothing of the run itself is touched.

    Parameters
    ----------
    run : Run
    model : FusionModel, optional
    change : callable, optional
        Batch to Batch.
    """

    def __init__(self, run: Run, model: Any = None, change: Callable[[Batch], Batch] | None = None) -> None:
        super().__init__(run.recipe, run.problem, run.preparation, run.model if model is None else model, run.split, [], run.record)
        self.change = change

    def batch(self, samples: "SampleSet", positions: Sequence[int] | NDArray[np.int64] | None = None) -> Batch:
        """As of the run, then changed."""
        made = super().batch(samples, positions)
        return made if self.change is None else self.change(made)


class Case:
    """One call of `check`.

    Parameters
    ----------
    run : Run or Ensemble
    samples : SampleSet
    method : str
    target : as in `attribute`
    options : mapping
        Further arguments of `attribute`.
    most : int
        Samples whose maps are made; drawn with the seed where there are more.
    probed : int
        Samples that shortcut probes learn from and are judged on, at most.
    resamples, seed : int
    stop : threading.Event, optional
    members : sequence of Run
        Beside those of `run`.
    control : callable
        Gives a run trained on shuffled labels, or None.
    """

    def __init__(
        self, run: Any, samples: "SampleSet", method: str, target: Any, options: Mapping[str, Any], most: int, probed: int, resamples: int, seed: int,
        stop: threading.Event | None, members: Sequence[Run] = (), control: Callable[[], Run | None] = lambda: None,
    ) -> None:  # fmt: skip
        self.runs = (*runs_of(run), *members)
        self.control = control
        self.run: Run = self.runs[0]
        self.method, self.options, self.resamples, self.seed, self.stop = method, dict(options), resamples, seed, stop
        rng = np.random.default_rng(seed)
        held = ~np.isin(samples.object_ids, self.run.split.train)
        #: maps are made of samples that it was not trained on, where there are some
        pool = np.flatnonzero(held) if held.any() else np.arange(len(samples))
        self.few = samples.take(np.sort(rng.permutation(pool)[: int(most)]))
        self.many = samples.take(np.sort(rng.permutation(len(samples))[: int(probed)]))
        self._target = target

    # ---- maps --------------------------------------------------------------------------------------------------------

    @cached_property
    def goal(self) -> Any:
        """The output explained, one a sample: of all models the same, or the maps could not be compared."""
        return target_index(self.run, self._target, forward(self.run, self.batch)).numpy()

    def map_of(self, run: Run) -> Attribution:
        """The map of `few` that another run gives, of the same outputs.

        Raises
        ------
        Stopped
            If it was stopped before all samples were done: maps of some samples are not compared.
        """
        found = attribute(run, self.few, self.method, target=self.goal, stop=self.stop, **self.options)
        if len(found.object_ids) < len(self.few):
            raise Stopped
        return found

    @cached_property
    def map(self) -> Attribution:
        """The map that is checked."""
        return self.map_of(self.run)

    def stake(self, run: Run) -> NDArray[np.float64]:
        """Score less that of the baseline, of the outputs explained: what there is to attribute, (n,)."""
        return self.scores(run, {}, self.map.score_name) - self.scores(run, self.start, self.map.score_name)

    @cached_property
    def start(self) -> Mapping[str, Tensor]:
        """The baseline of each modality that is explained, as the model takes it: made once, running medians are slow."""
        explained = {name: self.batch.values[name] for name in self.map.baselines}
        return make(self.map.baselines, explained, self.batch.masks, self.run.preparation.scalings)

    def scores(self, run: Run, values: Mapping[str, Tensor], name: str) -> NDArray[np.float64]:
        """What a run's outputs explained say of `few` with some inputs replaced, as the score of this name where the task has several: (n,)."""
        score = score_of(run, None if run.task in ("regression", "multi_regression") else name)[1]
        said = forward(run, Batch({**self.batch.values, **values}, self.batch.masks, self.batch.present))
        return np.asarray(score(said, torch.from_numpy(np.asarray(self.goal))).double().numpy())

    @cached_property
    def batch(self) -> Batch:
        """`few` as the model takes them."""
        return self.run.batch(self.few)

    # ---- scores ------------------------------------------------------------------------------------------------------

    @cached_property
    def labels(self) -> tuple[Array, NDArray[np.bool_]]:
        """Truth of `many`, and of which it is known."""
        return labels_of(self.run, self.many)

    @cached_property
    def judged(self) -> NDArray[np.int64]:
        """Positions in `many` on which scores are compared: labelled, and not trained on where there are enough such."""
        known = self.labels[1]
        held = known & ~np.isin(self.many.object_ids, self.run.split.train)
        return np.flatnonzero(held if held.sum() >= FEWEST else known)

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """Of `many`: what belongs together."""
        return group_codes_as(self.run.split, self.many)

    @cached_property
    def chance(self) -> float:
        """What a score is without looking: of balanced accuracy one over the classes there are."""
        truth = self.labels[0][self.judged]
        return {"classification": 1 / max(1, len(np.unique(truth))), "multi_label": 0.5}.get(self.run.task, 0.0)

    @property
    def measured(self) -> str:
        """Name of the metric."""
        return MEASURED[self.run.task]

    def drawn(self, predicted: Array) -> tuple[float, Array]:
        """The score of predictions of the `judged`, and in each resample; of all predictions the same resamples."""
        metric = M.metric_named(self.run.task, self.measured)[1]
        truth, groups = self.labels[0][self.judged], self.groups[self.judged]
        return M.value(metric, truth, predicted), M.resampled(metric, truth, predicted, groups, self.resamples, self.seed)

    def said(self, change: Callable[[Batch], Batch] | None = None) -> Array:
        """Decoded predictions of the `judged`, whose inputs are changed."""
        part = self.run.batch(self.many, self.judged)
        return self.said_of(part if change is None else change(part))

    def said_of(self, part: Batch) -> Array:
        """Decoded predictions of a batch."""
        return self.run.decode(forward(self.run, part))

    @cached_property
    def own(self) -> tuple[float, Array]:
        """The run's own score."""
        return self.drawn(self.said())

    @property
    def knows(self) -> bool:
        """Whether the run's own score is above chance."""
        return M.interval(self.own[1])[0] > self.chance

    # ---- intervals ---------------------------------------------------------------------------------------------------

    def over_samples(self, values: Array) -> tuple[float, float, float]:
        """Mean of one number a sample and its 95 % interval; NaN where nothing is finite."""
        values = np.asarray(values, dtype=float)
        values = values[np.isfinite(values)]
        if len(values) < 2:
            return (float(values.mean()) if len(values) else np.nan), np.nan, np.nan
        rng = np.random.default_rng(self.seed)
        means = values[rng.integers(len(values), size=(self.resamples, len(values)))].mean(1)
        return float(values.mean()), *M.interval(means)


def forward(run: Run, part: Batch) -> Tensor:
    """The model's own values of a batch, some rows at a time: (n, output), on the CPU."""
    with explaining(run.model) as model, torch.no_grad():
        found = []
        for index in torch.arange(len(part)).split(ROWS):
            one = part.take(index).to(device_of(model))
            found.append(model(one.values, one.masks, one.present).values.cpu())
    return torch.cat(found)


def channels_of(value: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The mask in the shape of the values, and mean and width over all samples of each channel of a light curve or text: times stay times.

    Inputs whose mask has their own shape have one mean and width.
    """
    whole = mask.view(*mask.shape, *[1] * (value.ndim - mask.ndim)).expand_as(value)
    channel = value.ndim - 1 if value.ndim > mask.ndim else None
    over = tuple(axis for axis in range(value.ndim) if axis != channel)
    count = whole.sum(over, keepdim=True).clamp(min=1)
    mean = (value * whole).sum(over, keepdim=True) / count
    return whole, mean, (((value - mean) * whole) ** 2).sum(over, keepdim=True).div(count).sqrt()


# ---- how alike two maps are ------------------------------------------------------------------------------------------


def alike(one: Attribution, other: Attribution) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How alike two maps of the same samples are, over the real places of each sample, mean over its modalities: (n,) each.

    Returns
    -------
    correlation : array
        Pearson's, of the values with their sign: where the large ones are.
    ranks : array
        Spearman's, of absolute values, as Adebayo et al. 2018 (arXiv:1810.03292, section 3) compare maps. Places where nothing happens count as
        much as those where all does, and of gradients times inputs the inputs decide there.

    NaN where no modality of a sample has three places that differ.
    """
    from scipy.stats import rankdata

    found = np.full((2, len(one.modalities), min(len(one.object_ids), len(other.object_ids))), np.nan)
    for m, name in enumerate(one.modalities):
        a, b, real = one.per_place(name), other.per_place(name), one.place_mask(name)
        for i in range(found.shape[2]):
            mine, theirs = a[i][real[i]].astype(float), b[i][real[i]].astype(float)
            found[0, m, i] = correlation(mine, theirs)
            found[1, m, i] = correlation(rankdata(np.abs(mine)), rankdata(np.abs(theirs))) if len(mine) else np.nan
    counted = np.isfinite(found).sum(1)
    mean = np.where(counted > 0, np.nansum(found, 1) / np.maximum(counted, 1), np.nan)
    return mean[0], mean[1]


def correlation(a: Array, b: Array) -> float:
    """Pearson's; NaN where there are fewer than three places or one side is all the same."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
