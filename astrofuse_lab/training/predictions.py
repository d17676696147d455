"""Tables of predictions, with as much of what is known of their uncertainty as is asked for."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.training.uncertainty import Spoken, entropies, shares_of, speak, split_entropy, split_variance
from astrofuse_lab.training.uncertainty_calibration import LABELS, apply_isotonic
from astrofuse_lab.training.uncertainty_conformal import class_sets, interval, quantile_interval
from astrofuse_lab.training.uncertainty_shift import distances, energy, share_beyond

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.problem import Problem
    from astrofuse_lab.training.run import Run
    from astrofuse_lab.training.uncertainty_held import Held

Array = NDArray[Any]
Columns = dict[str, Array]


class Asked(NamedTuple):
    """What of the uncertainty is wanted; see `Run.predict`."""

    calibrated: bool | str = False
    coverage: float | None = None
    conformal: str = "lac"
    ood: bool = False


class Source(Protocol):
    """A run, or an ensemble of runs."""

    @property
    def problem(self) -> "Problem":
        """What it predicts."""

    @property
    def held(self) -> "Held | None":
        """What it knows from held-out samples."""

    @property
    def residual_width(self) -> Array:
        """Width of its errors there, (target,)."""


def predict(run: "Run", samples: "SampleSet", asked: Asked, mc: int, seed: int) -> "Table":
    """See `Run.predict`."""
    check_passes(mc)
    if run.task == "self_supervised":
        extra = run.extras(samples)
        spoken = speak(run, samples)
        columns = {"anomaly_score": extra["score"]} if "score" in extra else {}
        if asked.calibrated or asked.coverage is not None or mc:
            raise InputError("this run was trained without a target: there is nothing to calibrate or to cover. Only ood=True tells of its samples.")
        return as_table(samples, run, {**columns, **_shift(run, spoken, asked, lambda: _apart(run, spoken))}, spoken.seen)
    covering = asked.coverage is not None
    spoken = speak(run, samples, None, mc, seed, covering)
    # conformal sets and shift are promised for the run as it is: that is what held-out samples were asked
    plain = speak(run, samples, quantiles=covering) if mc and (covering or asked.ood) else spoken
    return as_table(samples, run, columns_of(run, spoken, plain, asked, lambda: _apart(run, plain)), spoken.seen)


def check_passes(mc: int) -> None:
    """InputError unless it is a number of passes."""
    if isinstance(mc, bool) or not isinstance(mc, int | np.integer) or mc < 0:
        raise InputError(f"mc={mc!r}: a number of passes with dropout on, e.g. 30; 0 for none.")


def as_table(samples: "SampleSet", source: Any, columns: Columns, seen: NDArray[np.bool_]) -> "Table":
    """One row a sample, masked where it had nothing to go by."""
    from astropy.table import MaskedColumn, Table

    table = Table({"object_id": samples.object_ids})
    for name, values in columns.items():
        table[name] = values if seen.all() else MaskedColumn(values, mask=~seen)
    table.meta.update(target=source.target, recipe=source.recipe.name, simulated=samples.simulated)
    return table


def columns_of(source: Source, spoken: Spoken, plain: Spoken, asked: Asked, apart: Callable[[], tuple[Array, Array]]) -> Columns:
    """All columns but the ids.

    Parameters
    ----------
    source : Run or Ensemble
    spoken, plain : Spoken
        With and without dropout.
    asked : Asked
    apart : callable
        Gives the distances of the samples, and of held-out ones, to the training part.
    """
    columns = {**(_labels(source, spoken, asked) if source.problem.task in LABELS else _numbers(source, spoken, asked)), **spoken.beliefs}
    if asked.coverage is not None:
        columns.update(_covering(source, plain, asked))
    return {**columns, **_shift(source, plain, asked, apart)}


def what_is_held(source: Source, what: str) -> "Held":
    """What a source knows from held-out samples.

    Raises
    ------
    InputError
        Where it knows nothing.
    """
    if source.held is None or not len(source.held.values):
        raise InputError(
            f"{what}: nothing was held out to fit it on. The run was saved by an earlier version or had no validation part: run.calibrate(samples), with samples "
            "that it was not trained on, or train it again. Or the members of an ensemble were validated on different samples: af.train_ensemble gives all the same."
        )
    return source.held


# ---- classes and labels --------------------------------------------------------------------------------------------


def _labels(source: Source, spoken: Spoken, asked: Asked) -> Columns:
    problem, task = source.problem, source.problem.task
    shares = _calibrated(source, spoken.values, asked.calibrated)
    mean = shares.mean(0)
    if task == "classification":
        columns = {f"p_{name}": mean[:, i] for i, name in enumerate(problem.classes)}
        columns["prediction"] = np.array(problem.classes)[mean.argmax(1)]
        columns["uncertainty"] = entropies(task, mean)
    else:
        columns = {f"p_{name}": mean[:, i] for i, name in enumerate(problem.targets)}
    if len(shares) > 1:
        columns["data_uncertainty"], columns["model_uncertainty"] = split_entropy(task, shares)
    return columns


def _calibrated(source: Source, values: Array, how: bool | str) -> Array:
    """Members' probabilities (member, sample, output)."""
    task = source.problem.task
    if how is False:
        return shares_of(task, values)
    _check_calibrated(how)
    numbers = what_is_held(source, f"calibrated={how!r}").numbers
    if how != "isotonic":
        return shares_of(task, values, float(numbers["temperature"]))
    return np.stack([apply_isotonic(task, one, numbers["isotonic"]) for one in shares_of(task, values)])


def _check_calibrated(how: bool | str) -> None:
    if how not in (True, "temperature", "isotonic"):
        raise InputError(f"calibrated={how!r}: choose True, 'temperature' or 'isotonic'.")


# ---- numbers -------------------------------------------------------------------------------------------------------


def _numbers(source: Source, spoken: Spoken, asked: Asked) -> Columns:
    problem = source.problem
    told = spoken.variance
    variance = np.broadcast_to(source.residual_width**2, spoken.values.shape) if told is None else told
    data, model = split_variance(spoken.values, variance)
    if asked.calibrated is not False:
        _check_calibrated(asked.calibrated)
        numbers = what_is_held(source, f"calibrated={asked.calibrated!r}").numbers
        if asked.calibrated == "isotonic" or "scale" not in numbers:
            raise InputError(
                f"calibrated={asked.calibrated!r}: of numbers, the width of a predicted distribution can be scaled (calibrated=True, with the head 'quantiles' or "
                "'mixture_density', or an ensemble). Here the uncertainty is the width of held-out errors already; coverage=0.9 gives intervals."
            )
        data, model = data * numbers["scale"] ** 2, model * numbers["scale"] ** 2
    parts = {"uncertainty": np.sqrt(data + model)}
    if len(spoken.values) > 1:
        parts.update(data_uncertainty=np.sqrt(data), model_uncertainty=np.sqrt(model))
    columns = {"prediction": spoken.values.mean(0), **parts}
    if not problem.several:
        return {name: column[:, 0] for name, column in columns.items()}
    if len(spoken.values) == 1 and told is None:
        del columns["uncertainty"]  # the same for all, as the record says
    return {f"{name}_{target}": column[:, i] for name, column in columns.items() for i, target in enumerate(problem.targets)}


# ---- sets, intervals, shift ----------------------------------------------------------------------------------------


def _covering(source: Source, plain: Spoken, asked: Asked) -> Columns:
    problem, held, coverage = source.problem, what_is_held(source, f"coverage={asked.coverage}"), float(asked.coverage or 0.0)
    if problem.task == "multi_label":
        raise InputError("coverage: sets are of exclusive classes, and this run predicts labels. calibrated=True makes their probabilities right as often as they say.")
    if problem.task == "classification":
        shares = shares_of(problem.task, plain.values).mean(0)
        inside = class_sets(shares, shares_of(problem.task, held.values), held.truth, coverage, asked.conformal)
        names = np.array([str(name) for name in problem.classes])
        return {"conformal_set": np.array([" | ".join(names[row]) for row in inside], dtype=str)}
    columns: Columns = {}
    truth, values = held.truth.reshape(held.values.shape), plain.values.mean(0)
    scale = None if plain.variance is None or held.variance is None else np.sqrt(np.sum(split_variance(plain.values, plain.variance), axis=0))
    for i, target in enumerate(problem.targets):
        if held.quantiles is not None and plain.quantiles is not None:
            low, high = quantile_interval(plain.quantiles, held.quantiles, truth[:, i], coverage)
        elif scale is not None and held.variance is not None:
            low, high = interval(values[:, i], held.values[:, i], truth[:, i], coverage, scale[:, i], np.sqrt(held.variance[:, i]))
        else:
            low, high = interval(values[:, i], held.values[:, i], truth[:, i], coverage)
        end = f"_{target}" if problem.several else ""
        columns.update({f"low{end}": low, f"high{end}": high})
    return columns


def _apart(run: "Run", spoken: Spoken) -> tuple[Array, Array]:
    """Distances of samples, and of held-out ones, to what a run was trained on."""
    held = what_is_held(run, "ood=True")
    if held.means is None or held.precision is None or held.distances is None:
        raise InputError("ood=True: where this run's training samples lie was not kept: before, or because its fused vector is too wide. Train it with a narrower one.")
    return distances(spoken.vectors, held.means, held.precision), held.distances


def _shift(source: Source, plain: Spoken, asked: Asked, apart: Callable[[], tuple[Array, Array]]) -> Columns:
    if not asked.ood:
        return {}
    score, known = apart()
    columns = {"ood_score": score, "ood_share": share_beyond(score, known)}
    held = source.held
    # of log-probabilities the energy is zero: only logits have one
    if source.problem.task == "classification" and held is not None and np.abs(energy(held.values)).max() > 1e-3:
        columns["ood_energy"] = energy(plain.values).mean(0)
    return columns
