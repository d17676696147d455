"""What a run says of samples, as columns and as one object's card."""

from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.widgets.wire import column_payload, plain

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.ensembles import Ensemble
    from astrofuse_lab.training.run import Run


def prediction_columns(run: "Run", samples: "SampleSet") -> list[dict[str, Any]]:
    """The prediction, its uncertainty and, where the truth is known, whether it is right (classes) or how far off (numbers)."""
    table = run.predict(samples)
    if "prediction" not in table.colnames:  # several targets, or none
        return [column_payload(name, np.ma.asarray(table[name]), "prediction") for name in table.colnames[1:] if table[name].dtype.kind == "f"]
    predicted, uncertainty = np.ma.asarray(table["prediction"]), np.ma.asarray(table["uncertainty"])
    out = [column_payload("prediction", predicted, "prediction"), column_payload("uncertainty", uncertainty, "prediction")]
    if run.target not in samples.roles:
        return out
    truth = samples.column(run.target)
    if run.task == "classification":
        known = ~(np.ma.getmaskarray(truth) | np.ma.getmaskarray(predicted))
        right = np.ma.MaskedArray(np.where(truth.data.astype(str) == predicted.data.astype(str), "right", "wrong"), ~known)
        out.append(column_payload("correct", right, "prediction"))
    else:
        out.append(column_payload("error", predicted - truth, "prediction"))
    return out


def prediction_card(run: "Run | Ensemble", sample: "SampleSet") -> dict[str, Any]:
    """Prediction, probabilities and truth of one sample (a set of one)."""
    table = run.predict(sample)
    row = table[0]
    if "prediction" not in table.colnames:
        said = ", ".join(f"{name} {row[name]:.3g}" for name in table.colnames[1:] if table[name].dtype.kind == "f" and not np.ma.is_masked(row[name]))
        return {"task": run.task, "target": run.target, "unit": "", "classes": [], "p": None, "prediction": said or None, "uncertainty": None, "truth": None}
    truth = sample.column(run.target)[0] if run.target in sample.roles else np.ma.masked
    masked = bool(np.ma.is_masked(row["prediction"]))
    return {
        "task": run.task, "target": run.target, "unit": sample.units.get(run.target, ""),
        "classes": [str(c) for c in run.classes], "p": None if masked else [plain(row[f"p_{c}"]) for c in run.classes],
        "prediction": None if masked else _said(row["prediction"]), "uncertainty": None if masked else plain(row["uncertainty"]),
        "truth": None if truth is np.ma.masked else _said(truth),
    }  # fmt: skip


def _said(value: Any) -> Any:
    """Numbers as numbers, all else as text."""
    number = isinstance(value, float | np.floating)
    return plain(value) if number else str(value)
