"""How sure a prediction is, beside every prediction: what the data leave open, what the model does not know, and whether it has met the like."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.explain.adapter import some_samples
from astrofuse_lab.explain.priors import labels_of
from astrofuse_lab.training.members import runs_of
from astrofuse_lab.training.metrics import calibration_error, evaluate
from astrofuse_lab.training.predictions import check_passes
from astrofuse_lab.training.uncertainty import dropping, shares_of, speak
from astrofuse_lab.training.uncertainty_calibration import LABELS, fit_temperature
from astrofuse_lab.training.uncertainty_shift import share_beyond

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.explain.questioning import Source
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

Array = NDArray[Any]
FOLDS = 5
CALLED = {"uncertainty": "total", "data_uncertainty": "data", "model_uncertainty": "model"}
"""Columns of `Run.predict`, and what they are called here."""
ONE_SIGMA = 0.6827


def uncertainty(
    source: "Source", samples: "SampleSet", *, coverage: float = 0.9, conformal: str = "lac", mc: int = 20, calibrated: bool | str = False,
    training: "SampleSet | None" = None, neighbours: int = 10, resamples: int = 300, seed: int = 0,
) -> "Table":  # fmt: skip
    """Predictions with all that is known of their doubt, one row a sample, in order.

    Parameters
    ----------
    source : Run or Ensemble
    samples : SampleSet
    coverage, conformal : float, {"lac", "aps"}
        Of the conformal sets or intervals; see `Run.predict`.
    mc : int
        Passes of a single run with dropout on, which divide its doubt into parts; an ensemble's members do that by themselves. 0: undivided.
    calibrated : bool or {"temperature", "isotonic"}
        As in `Run.predict`: probabilities as right as they say.
    training : SampleSet, optional
        A set that holds the samples the run was trained on: the distance to their nearest `neighbours` in the fused space is told, too.
    neighbours : int
        The distance is that to the k-th nearest (Sun et al. 2022, arXiv:2204.06507), between vectors of length one.
    resamples, seed : int
        Of the bootstrap behind the calibration's intervals; of passes.

    Returns
    -------
    Table
        object_id; prediction and, of classes, its ``probability`` (of labels ``p_<label>``); ``total``, ``data`` and ``model``: entropies
        (0 to 1; data + model = total) or standard deviations (their squares add up); ``conformal_set``, or ``low`` and ``high``;
        ``ood_score``, the Mahalanobis distance to the training samples, and ``ood_percentile``, the share of validation samples that lie
        nearer, in per cent: above 95, be careful; with `training`, ``neighbour_distance`` and ``neighbour_percentile`` alike. Of several
        targets one of each, ``total_<target>``. What this run cannot say is left out, and ``meta["notes"]`` says why.

        ``meta["calibration"]`` is a list of rows (of, measure, value, low, high, expected, n): the calibration error of the probabilities on
        the validation part, as they are and with a temperature fitted on other folds; of numbers, the share of truths within one sigma; on
        the samples given, where their truth is known and the run has not met them, the same and how often the sets hold the truth.

    Raises
    ------
    InputError
        For a coverage that is none, an empty set, `training` without the run's samples, or a run without a target.
    """
    some_samples(samples)
    check_passes(mc)
    runs = runs_of(source)
    if runs[0].task == "self_supervised":
        raise InputError("this run was trained without a target: it predicts nothing that could be doubted. run.predict(samples, ood=True) tells of its samples.")
    asked, notes = _askable(source, runs, coverage, conformal, mc, calibrated)
    said = source.predict(samples, seed=seed, **asked)
    table = _renamed(said, runs[0])
    if training is not None:
        table["neighbour_distance"], table["neighbour_percentile"] = _neighbours(runs, samples, training, neighbours)
    table.meta.update(said.meta)
    table.meta.update(coverage=coverage, notes=notes, calibration=[*_held_calibration(source, resamples, seed), *_fresh(runs[0], samples, said, coverage, resamples, seed)])
    return table


def _askable(source: "Source", runs: "tuple[Run, ...]", coverage: float, conformal: str, mc: int, calibrated: bool | str) -> tuple[dict[str, Any], list[str]]:
    """What can be asked of a run or an ensemble, and why not the rest."""
    asked: dict[str, Any] = {"mc": mc if len(runs) == 1 else 0, "calibrated": calibrated, "coverage": coverage, "conformal": conformal, "ood": True}
    notes = ["data and model: by the members of the ensemble" if len(runs) > 1 else f"data and model: by {mc} passes with dropout"]
    if len(runs) == 1:
        try:
            if mc:
                dropping(runs[0].model)
        except InputError:
            asked["mc"] = 0
        if not asked["mc"]:
            notes = ["not divided into data and model: the run has no dropout, or mc=0. Train several with af.train_ensemble."]
    held = source.held
    if held is None or not len(held.values):
        asked.update(coverage=None, ood=False)
        notes.append("no sets, no distances: nothing was held out to fit them on; run.calibrate(samples) gives them")
        return asked, notes
    if runs[0].task == "multi_label":
        asked["coverage"] = None
        notes.append("no sets: they are of exclusive classes")
    if any(run.held is None or run.held.means is None for run in runs):
        asked["ood"] = False
        notes.append("no distances: where the training samples lie was not kept")
    return asked, notes


def _renamed(said: "Table", run: "Run") -> "Table":
    """Predictions with the columns of this module."""
    from astropy.table import Table

    table = Table({"object_id": said["object_id"]})
    kept = [name for name in said.colnames if not name.startswith("p_") or run.task == "multi_label"]
    for name in kept[1:]:
        old = next((one for one in sorted(CALLED, key=len, reverse=True) if name == one or name.startswith(f"{one}_")), "")
        if name == "ood_share":
            table["ood_percentile"] = 100 * (1 - said[name])
        else:
            table[CALLED[old] + name[len(old) :] if old else name] = said[name]
        if name == "prediction" and run.task == "classification":
            table["probability"] = np.ma.max(np.ma.stack([np.ma.asarray(said[f"p_{c}"]) for c in run.classes]), axis=0)
    if run.task == "multi_label" and "data" in table.colnames:
        table["total"] = table["data"] + table["model"]
    return table


# ---- distance to what it was trained on ------------------------------------------------------------------------------


def _neighbours(runs: "tuple[Run, ...]", samples: "SampleSet", training: "SampleSet", count: int) -> tuple[Array, Array]:
    """Distance to the k-th nearest training sample in the fused space, and the share of validation samples that are nearer (per cent), mean over runs."""
    distances, beyond = [], []
    for run in runs:
        ids = np.asarray(training.object_ids)
        trained, held = (training.take(np.isin(ids, part)) for part in (run.split.train, run.split.validation))
        if len(trained) <= count:
            raise InputError(f"training holds {len(trained)} of the {len(run.split.train)} samples the run was trained on; more than {count} are needed. Give the set that it was trained with.")
        base = _unit(run, trained)
        new = _kth(base, _unit(run, samples), count)
        # without a validation sample at hand: each training sample beside the others, which are a little nearer than new ones
        known = _kth(base, _unit(run, held), count) if len(held) else _kth(base, base, count + 1)
        distances.append(new)
        beyond.append(np.where(np.isfinite(new), 100 * (1 - share_beyond(new, known[np.isfinite(known)])), np.nan))
    return np.mean(distances, axis=0), np.mean(beyond, axis=0)


def _unit(run: "Run", samples: "SampleSet") -> Array:
    """Fused vectors of length one, of samples that have anything to go by (others: NaN)."""
    spoken = speak(run, samples)
    vectors = spoken.vectors / np.maximum(np.linalg.norm(spoken.vectors, axis=1, keepdims=True), 1e-12)
    return np.where(spoken.seen[:, None], vectors, np.nan)


def _kth(base: Array, vectors: Array, count: int) -> Array:
    from sklearn.neighbors import NearestNeighbors

    known = np.isfinite(vectors).all(1)
    out = np.full(len(vectors), np.nan)
    if known.any():
        out[known] = NearestNeighbors(n_neighbors=count).fit(base[np.isfinite(base).all(1)]).kneighbors(vectors[known])[0][:, -1]
    return out


# ---- calibration -------------------------------------------------------------------------------------------------------


def _row(of: str, measure: str, found: tuple[float, float, float], n: int, expected: float) -> dict[str, Any]:
    return {"of": of, "measure": measure, "value": found[0], "low": found[1], "high": found[2], "expected": expected, "n": n}


def _held_calibration(source: "Source", resamples: int, seed: int) -> list[dict[str, Any]]:
    """Of the validation part, which also chose the epoch."""
    held, task = source.held, runs_of(source)[0].task
    if held is None or not len(held.values):
        return []
    n, groups, where = len(held.values), np.arange(len(held.values)), "validation part"
    if task == "classification":
        truth = held.truth.astype(np.int64)
        rows = []
        for measure, shares in (("calibration error", shares_of(task, held.values)), ("calibration error, temperature of other folds", _cooled(held.values, truth, seed))):
            found = evaluate(task, truth, shares, groups, resamples, seed, {"ece": calibration_error})["ece"]
            rows.append(_row(where, measure, found, n, 0.0))
        return rows
    if task in LABELS:
        return []
    wide = np.sqrt(held.variance) if held.variance is not None else np.broadcast_to(source.residual_width, held.values.shape)
    inside = (np.abs(held.truth.reshape(held.values.shape) - held.values) <= wide).mean(1)
    return [_row(where, "share within one sigma", _share(inside, groups, resamples, seed), n, ONE_SIGMA)]


def _cooled(values: Array, truth: Array, seed: int) -> Array:
    """Probabilities at a temperature that was fitted without them."""
    fold = np.random.default_rng(seed).permutation(len(values)) % min(FOLDS, len(values))
    shares = shares_of("classification", values)
    for one in np.unique(fold):
        others = fold != one
        if others.any():
            shares[~others] = shares_of("classification", values[~others], fit_temperature("classification", values[others], truth[others]))
    return shares


def _share(inside: Array, groups: Array, resamples: int, seed: int) -> tuple[float, float, float]:
    """A share with its 95 % interval over groups."""
    return evaluate("regression", inside, inside, groups, resamples, seed, {"share": lambda _, hit, weights: (weights * hit).sum(1) / np.maximum(weights.sum(1), 1e-12)})["share"]


def _fresh(run: "Run", samples: "SampleSet", said: "Table", coverage: float, resamples: int, seed: int) -> list[dict[str, Any]]:
    """The same on the samples given: those with a truth that the run was neither trained nor validated on."""
    from astrofuse_lab.samples.split import group_codes_as

    truth, known = labels_of(run, samples)
    met = np.isin(samples.object_ids, [*run.split.train, *run.split.validation])
    use = known & ~met & ~np.ma.getmaskarray(np.ma.asarray(said[said.colnames[1]]))
    if run.task not in ("classification", "regression") or not use.any():
        return []
    groups = group_codes_as(run.split, samples)[use]
    n, where, rows = int(use.sum()), "these samples", []
    some = said[use]
    if run.task == "classification":
        shares = np.stack([np.asarray(some[f"p_{c}"]) for c in run.classes], 1)
        found = evaluate(run.task, truth[use].astype(np.int64), shares, groups, resamples, seed, {"ece": calibration_error})["ece"]
        rows.append(_row(where, "calibration error", found, n, 0.0))
        right = [str(run.classes[int(code)]) for code in truth[use]]
        held = [one in str(row).split(" | ") for one, row in zip(right, some["conformal_set"], strict=True)] if "conformal_set" in some.colnames else None
    else:
        inside = np.abs(truth[use] - np.asarray(some["prediction"])) <= np.asarray(some["uncertainty"])
        rows.append(_row(where, "share within one sigma", _share(inside.astype(float), groups, resamples, seed), n, ONE_SIGMA))
        held = [low <= one <= high for one, low, high in zip(truth[use], some["low"], some["high"], strict=True)] if "low" in some.colnames else None
    if held is not None:
        rows.append(_row(where, "share of sets that hold the truth", _share(np.array(held, dtype=float), groups, resamples, seed), n, coverage))
    return rows

