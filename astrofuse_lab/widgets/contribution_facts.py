"""Contributions, responses and interventions as the views get them: JSON values and arrays as bytes."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets.wire import LINES, plain

if TYPE_CHECKING:
    from astrofuse_lab.explain.coalitions import Contributions
    from astrofuse_lab.explain.interventions import Interventions
    from astrofuse_lab.explain.responses import Response
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.ensembles import Ensemble
    from astrofuse_lab.training.run import Run

Floats = NDArray[np.float64]
MOST_OPTIONS = 64
"""Choices of one list at most."""


def rows(values: Floats) -> list[Any]:
    """Numbers as JSON, however deep; NaN as None."""
    return [rows(one) if np.ndim(one) else plain(float(one)) for one in values]


def worth_payload(found: "Contributions") -> dict[str, Any]:
    """One sample's Shapley values and pairs, how far members of an ensemble differ or, where orders were sampled, their standard error."""
    spread, error, pair_error = (getattr(found, name, None) for name in ("spread", "standard_error", "interaction_error"))
    return {
        "modalities": list(found.modalities), "present": [bool(v) for v in found.present[0]], "explained": str(found.target[0]), "score_name": found.score_name,
        "shapley": rows(found.shapley[0]), "spread": None if spread is None else rows(spread[0]), "error": None if error is None else rows(error[0]),
        "interactions": rows(found.interactions[0]), "interaction_error": None if pair_error is None else rows(pair_error[0]),
        "base": plain(float(found.base[0])), "score": plain(float(found.score[0])), "notes": list(found.notes),
    }  # fmt: skip


def whole_payload(found: "Contributions", which: str, seen: int) -> dict[str, Any]:
    """What modalities are worth over many samples: totals, pairs, and the metric of every subset, with their intervals."""
    out: dict[str, Any] = {
        "which": which, "n": len(found.object_ids), "seen": seen, "modalities": list(found.modalities), "score_name": found.score_name, "notes": list(found.notes),
        "totals": [{"modality": str(row["modality"]), "present": int(row["present"]), "strength": plain(float(row["mean_abs_shapley"])), **_interval(row, "metric_shapley")} for row in found.total],
        "pairs": rows(_pair_means(found)), "subsets": [], "metric": "", "lower_is_better": False,
    }  # fmt: skip
    try:
        table = found.subsets
    except InputError:  # no known target: no subset can be measured
        return out
    names = [str(row["modalities"]).split(" + ") for row in table]
    out["subsets"] = [{"has": [m in inside for m in found.modalities], "n": int(row["n"]), **_interval(row, "value")} for inside, row in zip(names, table, strict=True)]
    out.update(metric=str(table["metric"][0]), lower_is_better=bool(table.meta["lower_is_better"]))
    return out


def _interval(row: Any, name: str) -> dict[str, Any]:
    known = {"value": row[name], "low": row["low"], "high": row["high"]}
    return {key: None if np.ma.is_masked(value) else plain(float(value)) for key, value in known.items()}


def _pair_means(found: "Contributions") -> Floats:
    """Mean interaction of each pair over the samples that have both; NaN where none has."""
    both = found.present[:, :, None] & found.present[:, None, :]
    count = both.sum(0)
    sums: Floats = np.where(both, found.interactions, 0.0).sum(0)
    return np.where(count > 0, sums / np.maximum(count, 1), np.nan)


def response_payload(found: "Response", k: int = 0) -> dict[str, Any]:
    """The score and probability (or number) of the sample in row `k` at each factor, by each member."""
    flips = found.predicted[:, k] != found.predicted_before[k] if found.task == "classification" else np.zeros(len(found.factors), dtype=bool)
    return {
        "name": found.name, "factors": rows(found.factors), "explained": str(found.target[k]), "score_name": found.score_name, "task": found.task, "unit": found.unit,
        "score": rows(found.score[:, k]), "score_spread": rows(found.spread[:, k]), "likely": rows(found.likely.mean(0)[:, k]), "likely_spread": rows(found.likely.std(0)[:, k]),
        "predicted": [_said(v) for v in found.predicted[:, k]], "flips": [bool(v) for v in flips], "changed": bool(found.changed[k]), "members": len(found.scores),
        "notes": list(found.notes),
    }  # fmt: skip


def change_payload(found: "Interventions") -> dict[str, Any]:
    """Before and after of one sample and one change."""
    likely = np.concatenate([found.likely_before[:, 0], found.likely_after[0, :, 0]]).reshape(2, -1)
    score = np.concatenate([found.score_before[:, 0], found.score_after[0, :, 0]]).reshape(2, -1)
    return {
        "name": found.names[0], "object_id": str(found.object_ids[0]), "explained": str(found.target[0]), "score_name": found.score_name, "task": found.task, "unit": found.unit,
        "changed": bool(found.changed[0, 0]), "flipped": bool(found.flipped[0, 0]), "difference": plain(float(found.difference[0, 0])), "spread": plain(float(found.spread[0, 0])),
        "likely": rows(likely), "score": rows(score.mean(1)), "predicted": [_said(found.predicted_before[0]), _said(found.predicted_after[0, 0])],
        "members": likely.shape[1], "notes": list(found.notes),
    }  # fmt: skip


def _said(value: Any) -> Any:
    return plain(value) if isinstance(value, float | np.floating) else str(value)


# ---- what may be asked ---------------------------------------------------------------------------------------------


def scalable(source: "Run | Ensemble", samples: "SampleSet") -> list[dict[str, Any]]:
    """What `respond` can scale: modalities with a flux, each of their bands, and columns; with the options it takes."""
    out = []
    for name in source.modalities:
        spec = samples.spec(name)
        if spec.kind in ("image", "spectrum", "light_curve", "series"):
            out.append({"label": name.replace("_", " "), "options": {"modality": name}})
            if spec.kind != "spectrum" and len(spec.channels) > 1:
                out += [{"label": f"{name.replace('_', ' ')}, {band}", "options": {"modality": name, "band": band}} for band in spec.channels]
        elif spec.kind == "table":
            out += [{"label": f"column {column}", "options": {"column": column}} for column in samples.inputs]
    return out[:MOST_OPTIONS]


def edits(source: "Run | Ensemble", samples: "SampleSet") -> list[dict[str, Any]]:
    """Edits that fit the run and the samples, each with its fields, for the view's form; names and options are those of `explain.edit`."""
    kinds = {name: samples.spec(name).kind for name in source.modalities}
    of = {kind: [name for name, one in kinds.items() if one == kind] for kind in ("spectrum", "image", "light_curve", "series", "table", "text")}
    out: list[dict[str, Any]] = []
    if of["spectrum"] and "redshift" in samples.roles:
        which = _modality(of["spectrum"])
        out.append(_edit("mask_line", "mask a line", [_choice("line", "line", [name for name, _ in LINES], "Hα"), _number("width", "km/s wide", 3000.0, 100.0), *which]))
        out.append(_edit("shift_redshift", "shift the redshift", [_number("by", "by", 0.05, 0.01), *which]))
    if of["spectrum"]:
        out.append(_edit("mask_window", "mask wavelengths", [_number("low", "from, Å", 6500.0, 10.0), _number("high", "to, Å", 6700.0, 10.0), *_modality(of["spectrum"])]))
    for name in (*of["image"], *of["light_curve"], *of["series"]):
        if samples.spec(name).channels:
            out.append(_edit("drop_band", f"drop a band of {name.replace('_', ' ')}", [_choice("band", "band", list(samples.spec(name).channels))], {"modality": name}))
    if of["light_curve"]:
        which = _modality(of["light_curve"])
        out.append(_edit("limit_time", "end the light curve early", [_number("days", "days after the first epoch", 30.0, 1.0), *which]))
        out.append(_edit("drop_epochs", "drop epochs", [_number("share", "share, 0 to 1", 0.5, 0.1), *which]))
    if of["table"] and samples.inputs:
        out.append(_edit("set_column", "set a column", [_choice("column", "column", list(samples.inputs)), _number("value", "to (empty: missing)", None, 0.1)]))
    if of["text"]:
        out.append(_edit("remove_words", "remove words", [{"name": "words", "kind": "words", "label": "words, with spaces between", "value": ""}, *_modality(of["text"])]))
    out.append(_edit("drop_modality", "drop a modality", [_choice("modality", "modality", list(kinds))]))
    return out


def _edit(name: str, label: str, fields: list[dict[str, Any]], fixed: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"name": name, "label": label, "fields": fields, "fixed": fixed or {}}


def _choice(name: str, label: str, options: list[str], value: str = "") -> dict[str, Any]:
    return {"name": name, "kind": "choice", "label": label, "options": options[:MOST_OPTIONS], "value": value or (options[0] if options else "")}


def _number(name: str, label: str, value: float | None, step: float) -> dict[str, Any]:
    return {"name": name, "kind": "number", "label": label, "value": value, "step": step}


def _modality(names: list[str]) -> list[dict[str, Any]]:
    """Which one, where there are several."""
    return [_choice("modality", "of", names)] if len(names) > 1 else []
