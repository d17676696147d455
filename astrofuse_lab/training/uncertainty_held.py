"""What a run knows from samples that its networks were not trained on: everything that calibration, conformal sets and shift scores need."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.training.stacking import fit_decision
from astrofuse_lab.training.uncertainty import in_units, speak
from astrofuse_lab.training.uncertainty_calibration import LABELS, fit_isotonic, fit_scale, fit_temperature
from astrofuse_lab.training.uncertainty_shift import distances, fit_gaussians

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.plan import Plan
    from astrofuse_lab.training.problem import Problem
    from astrofuse_lab.training.run import Run

WIDEST = 2048
"""Numbers of a vector of which a covariance is kept: of published networks that flatten an image it would be larger than the network."""
MOST_HELD, MOST_SEEN = 20_000, 4096
"""Validation samples that are kept, and training samples whose vectors are looked at."""
Array = NDArray[Any]


@dataclass(frozen=True)
class Held:
    """Predictions and truth of the validation part, and where training samples lie.

    Attributes
    ----------
    values : float64 array, (sample, output)
        Classes and labels as the model's `values`; numbers in the targets' own units. Of a decision that was fitted on these samples: by
        folds, each said without it.
    truth : float64 array, (sample,) or (sample, target)
        Class codes; labels or numbers, NaN where unknown. Empty without a target.
    variance, quantiles : float64 array, or None
        As in `Spoken`, (sample, output) and (sample, level).
    means, precision : float64 array, or None
        Of the training part's fused vectors; see `uncertainty_shift`.
    distances : float64 array, (sample,), or None
        Of the validation part, from these.
    numbers : mapping
        What was fitted, as JSON holds it: ``n``; ``temperature`` and ``isotonic``, or ``scale``.
    """

    values: Array
    truth: Array
    variance: Array | None = None
    quantiles: Array | None = None
    means: Array | None = None
    precision: Array | None = None
    distances: Array | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def tensors(self) -> dict[str, torch.Tensor]:
        """All arrays, to be written."""
        arrays = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "numbers"}
        return {name: torch.from_numpy(np.ascontiguousarray(value, dtype=np.float64)) for name, value in arrays.items() if value is not None}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, torch.Tensor], numbers: Mapping[str, Any], problem: "Problem") -> "Held":
        """The inverse of `tensors`.

        Raises
        ------
        ValueError
            Where they do not fit together.
        """
        known = {one.name for one in fields(cls)} - {"numbers"}
        if not {"values", "truth"} <= set(tensors) <= known:
            raise ValueError(f"the calibration holds {', '.join(sorted(tensors))}")
        arrays = {name: tensor.double().numpy() for name, tensor in tensors.items()}
        count, ends = len(arrays["values"]), {"values": 2, "truth": 2 if problem.several else 1, "variance": 2, "quantiles": 2, "distances": 1}
        for name, axes in ends.items():
            if name in arrays and (arrays[name].ndim != axes or len(arrays[name]) != count):
                raise ValueError(f"the calibration's {name!r} is {arrays[name].shape} for {count} samples")
        if arrays["values"].shape[1] != problem.outputs or ("means" in arrays) != ("precision" in arrays):
            raise ValueError(f"the calibration holds {arrays['values'].shape[1]} outputs, the run has {problem.outputs}")
        if "means" in arrays and arrays["precision"].shape != (arrays["means"].shape[-1],) * 2:
            raise ValueError(f"the calibration's precision is {arrays['precision'].shape} for means of {arrays['means'].shape}")
        return cls(**arrays, numbers=dict(numbers))


def fitted_numbers(problem: "Problem", values: Array, truth: Array, variance: Array | None) -> dict[str, Any]:
    """Calibration of held-out predictions, as JSON holds it."""
    told: dict[str, Any] = {"n": len(values)}
    if not len(values):
        return told
    if problem.task in LABELS:
        told["temperature"] = fit_temperature(problem.task, values, truth)
        told["isotonic"] = fit_isotonic(problem.task, values, truth)
    elif variance is not None:
        told["scale"] = fit_scale(values, variance, truth.reshape(values.shape))
    return told


def spaced(positions: Array, most: int) -> Array:
    """Evenly chosen ones of them, at most so many."""
    return positions if len(positions) <= most else positions[np.linspace(0, len(positions) - 1, most).astype(np.int64)]


def fit_held(run: "Run", plan: "Plan") -> tuple[Held | None, Array | None]:
    """All that is fitted after the networks: a decision that learns, calibration, and where training samples lie.

    Nothing of the test part is looked at.

    Returns
    -------
    Held or None
        None without a validation sample.
    array, (sample, output), or None
        Values of all validation samples with a known truth by folds, where the decision was fitted on them.
    """
    truth, known = plan.problem.encode(plan.samples)
    positions = plan.parts.validation[known[plan.parts.validation]]
    if not len(positions):
        return None, None
    by_folds = fit_decision(run, plan.samples, positions, truth[positions], plan.parts.groups[positions])
    return held_of(run, plan.samples, positions, truth, by_folds, _gaussians(run, plan, truth)), by_folds


def held_of(
    run: "Run", samples: "SampleSet", positions: Array, truth: Array, by_folds: Array | None = None, gaussians: tuple[Array, Array] | None = None
) -> Held:
    """What a run says of samples that it was not trained on, and what that calibrates.

    Parameters
    ----------
    run : Run
    samples : SampleSet
    positions : int array, (n,)
        Those with a known truth; of more than `MOST_HELD`, evenly spaced ones are taken.
    truth : array, (sample, ...)
        Of all samples, as `Problem.encode` gives it.
    by_folds : array, (n, output), optional
        In the place of what the model says now.
    gaussians : tuple of array, optional
        Means and precision of the training part's vectors.
    """
    problem, kept = run.problem, spaced(np.arange(len(positions)), MOST_HELD)
    spoken = speak(run, samples, positions[kept], quantiles=True)
    seen = spoken.seen
    values = (spoken.values[0] if by_folds is None else in_units(problem, by_folds)[kept])[seen]
    variance = None if spoken.variance is None else spoken.variance[0][seen]
    quantiles = None if spoken.quantiles is None else spoken.quantiles[seen]
    answers = truth[positions[kept]][seen].astype(np.float64)
    numbers = fitted_numbers(problem, values, answers, variance)
    if gaussians is None:
        return Held(values, answers, variance, quantiles, numbers=numbers)
    return Held(values, answers, variance, quantiles, *gaussians, distances(spoken.vectors[seen], *gaussians), numbers)


def calibrate(run: "Run", samples: "SampleSet") -> None:
    """See `Run.calibrate`."""
    trained = set(run.split.train) & set(map(str, samples.object_ids))
    if trained:
        raise InputError(f"{len(trained)} of these {len(samples)} samples were trained on, e.g. {min(trained)}: a run is surer of them than of others. Give others.")
    truth, known = run.problem.encode(samples)
    positions = np.flatnonzero(known & np.any([samples.present(name) for name in run.modalities], axis=0))
    if not len(positions):
        raise InputError(f"none of these {len(samples)} samples has both a value of {run.target!r} and a modality of the run.")
    before = run.held
    known_place = (before.means, before.precision) if before is not None and before.means is not None and before.precision is not None else None
    run.held = held_of(run, samples, positions, truth, None, known_place)
    run.record["calibration"] = dict(run.held.numbers)


def _gaussians(run: "Run", plan: "Plan", truth: Array) -> tuple[Array, Array] | None:
    """Where the training part's vectors lie."""
    positions = spaced(plan.parts.train, MOST_SEEN)
    trained = speak(run, plan.samples, positions)
    vectors = trained.vectors[trained.seen]
    if len(vectors) < 2 or vectors.shape[1] > WIDEST:
        return None
    classes = len(plan.problem.classes)
    codes = truth[positions][trained.seen].astype(np.int64) if classes else np.zeros(len(vectors), dtype=np.int64)
    return fit_gaussians(vectors, codes, max(1, classes))
