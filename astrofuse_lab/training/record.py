"""What a run says of itself: cost, versions, metrics, where its samples came from."""

import math
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from astrofuse_lab.provenance import citations
from astrofuse_lab.training.devices import peak_memory
from astrofuse_lab.training.metrics import METRICS, evaluate
from astrofuse_lab.training.plan import Plan
from astrofuse_lab.training.run import Run

if TYPE_CHECKING:
    from lightning_fabric import Fabric

PACKAGES = ("astrofuse-lab", "torch", "lightning-fabric", "numpy", "safetensors", "astropy")


def versions() -> dict[str, str]:
    """Versions of what a training depends on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def make_record(run: Run, plan: Plan, state: dict[str, Any], fabric: "Fabric") -> dict[str, Any]:
    """The record of a run that has just been trained; measures it on its validation and test parts."""
    from astrofuse_lab.training.uncertainty_held import fit_held

    run.held, by_folds = fit_held(run, plan)
    validation, metrics = _measured(run, plan, "validation", plan.parts.validation, by_folds)
    _, on_test = _measured(run, plan, "test", plan.parts.test)
    width: float | list[float] = 0.0
    if run.task == "regression":
        width = _width(validation[1] - validation[0])
    elif run.task == "multi_regression":
        width = [_width(column[np.isfinite(column)]) for column in (validation[1] - validation[0]).T]
    samples = plan.samples
    sources = [spec.provenance for name, spec in samples.modalities.items() if name in plan.modalities]
    return {
        "state": "stopped" if state["ended"] == "stopped" else "finished", "ended": state["ended"], "best_epoch": state["best_epoch"],
        "seed": plan.seed, "epochs": plan.schedule.epochs, "seconds": state["seconds"], "peak_memory": peak_memory(), "parameters": run.parameters,
        "device": str(fabric.device), "precision": str(fabric._precision.precision), "processes": fabric.world_size,
        "metric": next(iter(m["metric"] for m in metrics), "validation_loss"), "metrics": [*metrics, *on_test], "residual_width": width,
        "calibration": dict(run.held.numbers) if run.held is not None else {},
        "left_out": plan.parts.left_out, "versions": versions(), "fingerprint": plan.fingerprint,
        "samples": {"card": samples.card.to_json(), "objects": len(samples), "citations": citations(sources)},
    }  # fmt: skip


def _width(error: np.ndarray) -> float:
    """Width of errors that outliers leave alone: 1.4826 MAD; 0 where there are none."""
    return (float(1.4826 * np.median(np.abs(error - np.median(error)))) or float(np.std(error))) if len(error) else 0.0


def _measured(run: Run, plan: Plan, part: str, positions: np.ndarray, values: np.ndarray | None = None) -> tuple[tuple[np.ndarray, np.ndarray], list[dict[str, Any]]]:
    """Truth and prediction on a part, and its metrics with intervals over groups; of `values` where something was fitted on the part itself."""
    truth, known = plan.problem.encode(plan.samples)
    positions = positions[known[positions]]
    predicted, seen = run.outputs(plan.samples, positions)
    if values is not None:
        predicted = run.decode(torch.from_numpy(values))
    truth, predicted, groups = truth[positions][seen], predicted[seen], plan.parts.groups[positions][seen]
    rows = [
        {"part": part, "metric": name, "value": _or_none(value), "low": _or_none(low), "high": _or_none(high), "n": len(truth)}
        for name, (value, low, high) in (evaluate(run.task, truth, predicted, groups) if METRICS.get(run.task) else {}).items()
    ]
    return (truth, predicted), rows


def _or_none(number: float) -> float | None:
    """JSON has no NaN."""
    return number if math.isfinite(number) else None
