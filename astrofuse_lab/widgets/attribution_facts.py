"""Attributions, and what is known of how far to trust them, as the view gets them."""

from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.training.members import runs_of
from astrofuse_lab.widgets.places import on_places
from astrofuse_lab.widgets.wire import array, plain

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.explain.attribution_result import Attribution
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.ensembles import Ensemble
    from astrofuse_lab.training.run import Run

CONVERGED = 0.05
"""Relative convergence delta up to which the numbers are shown without a warning, as in `explain.attribution`."""
CHECKED = 16
"""Samples whose maps are made where a map is checked from the view."""
PROBED = 1000
"""Samples that the probes for shortcuts look at there."""
SHOWN = ("check", "passed", "value", "reference", "says")
"""Columns of the table of checks that the view shows."""


def why_not(name: str, source: "Run | Ensemble", samples: "SampleSet") -> str:
    """Why a method does not apply to a run, "" where it does."""
    from astrofuse_lab.explain.methods import METHODS

    method = METHODS[name]
    for run in runs_of(source):
        if method.gradients and not getattr(run.model, "differentiable", True):
            return f"it follows gradients, and the decision {run.recipe.decision.name if run.recipe.decision else ''!r} of this run has none"
        refused = getattr(method, "refuses", None)
        if refused is not None and (reason := refused(run)):
            return str(reason)
    return ""


def method_rows(source: "Run | Ensemble", samples: "SampleSet") -> list[dict[str, Any]]:
    """Each method of the table: what it says and does not say, what it costs, and why it does not apply where it does not."""
    from astrofuse_lab.explain.methods import METHODS

    return [
        {"name": name, "signed": one.signed, "complete": one.complete, "says": one.says, "says_not": one.says_not, "cost": one.cost, "reason": why_not(name, source, samples)}
        for name, one in METHODS.items()
    ]  # fmt: skip


def attribution_payload(found: "Attribution", signed: bool, long: dict[str, Any]) -> dict[str, Any]:
    """One sample's map: a value a place, its uncertainty where it is known, sums by modality, and how well it adds up."""
    doubt, kind = (found.spread, "between members") if found.spread is not None else (found.standard_error, "standard error")
    values, spread, totals = {}, {}, []
    for name in found.modalities:
        real = found.place_mask(name)[0]
        kept = 0 if real.ndim > 1 else np.nan

        def laid(numbers: Any, name: str = name, real: Any = real, kept: float = kept) -> dict[str, Any]:
            return array(on_places(np.where(real, numbers, kept), found.kinds[name], long.get(name, 0)))

        values[name] = laid(found.per_place(name)[0])
        if doubt is not None:
            spread[name] = laid(doubt[name][0])
        about = None if found.total_spread is None else plain(float(found.total_spread[name][0]))
        totals.append([name, plain(float(found.total(name)[0])), about])
    relative = found.relative_delta
    return {
        "explained": str(found.target[0]), "method": found.method, "signed": signed, "score_name": found.score_name, "score": plain(float(found.score[0])),
        "difference": plain(float(found.difference[0])), "values": values, "spread": spread, "spread_kind": kind if spread else "", "totals": totals,
        "baselines": dict(found.baselines), "notes": list(found.notes), "passes": None if found.passes is None else int(found.passes[0]),
        "delta": None if found.convergence_delta is None else plain(float(found.convergence_delta[0])), "relative": None if relative is None else plain(float(relative[0])), "limit": CONVERGED,
    }  # fmt: skip


def likeness(one: "Attribution", other: "Attribution") -> list[list[Any]]:
    """Spearman's rank correlation of two maps of one sample, over the places that are real in both, by modality; None where there are too few."""
    from scipy.stats import spearmanr

    out = []
    for name in one.modalities:
        if name not in other.values or one.per_place(name).shape != other.per_place(name).shape:
            continue
        real = one.place_mask(name)[0] & other.place_mask(name)[0]
        a, b = one.per_place(name)[0][real], other.per_place(name)[0][real]
        varied = len(a) > 2 and np.ptp(a) > 0 and np.ptp(b) > 0
        out.append([name, plain(float(spearmanr(a, b).statistic)) if varied else None])
    return out


# ---- checks and doubts ---------------------------------------------------------------------------------------------


def check_rows(table: "Table") -> dict[str, Any]:
    """The table of checks as names and cells that JSON can hold."""
    names = [name for name in SHOWN if name in table.colnames]
    return {"columns": names, "rows": [[_cell(row[name]) for name in names] for row in table]}


def _cell(value: Any) -> Any:
    if value is None or np.ma.is_masked(value):
        return None
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, float | np.floating | int | np.integer):
        return plain(value)
    return ", ".join(str(v) for v in value) if isinstance(value, list | tuple | set | frozenset | np.ndarray) else str(value)


def doubt_payload(table: "Table") -> dict[str, Any]:
    """What `explain.uncertainty` says of one sample: each column by name, and how well it is calibrated."""
    row = table[0]
    known = {str(name): _cell(row[name]) for name in table.colnames if name not in ("object_id", "prediction", "probability")}
    calibration = [
        {str(k): _cell(v) for k, v in one.items() if k in ("of", "measure", "value", "low", "high", "expected", "n")} for one in table.meta.get("calibration", ()) if isinstance(one, dict)
    ]  # fmt: skip
    return {
        "values": known, "units": {str(name): str(table[name].unit or "") for name in table.colnames}, "coverage": plain(table.meta.get("coverage")),
        "calibration": calibration, "notes": [str(note) for note in table.meta.get("notes", ())],
    }  # fmt: skip
