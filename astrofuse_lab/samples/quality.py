"""What a set holds and what it lacks, as tables."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.samples.sample_set import SampleSet

if TYPE_CHECKING:
    from astropy.table import Table

CLASSES_SHOWN = 8


def coverage(samples: SampleSet) -> "Table":
    """Which objects have which modalities.

    Returns
    -------
    Table
        One row a combination that occurs, the most frequent first: ``modalities`` (in words), one boolean column a
        modality, ``count`` and ``share``.
    """
    from astropy.table import Table

    names = list(samples.modalities)
    has = np.stack([samples.present(name) for name in names], axis=1) if names else np.zeros((len(samples), 0), dtype=bool)
    combinations, counts = np.unique(has, axis=0, return_counts=True) if len(samples) else (has, np.zeros(0, dtype=np.int64))
    order = np.lexsort((-combinations.sum(axis=1), -counts))
    combinations, counts = combinations[order], counts[order]
    words = [" + ".join(n for n, one in zip(names, row, strict=True) if one) or "nothing" for row in combinations]
    table = Table({"modalities": np.array(words, dtype=str), **{n: combinations[:, i] for i, n in enumerate(names)}, "count": counts})
    table["share"] = counts / max(1, len(samples))
    table["share"].format = ".3f"
    return table


def describe(samples: SampleSet) -> "Table":
    """What a set holds: one row a modality, then one row a scalar column.

    Returns
    -------
    Table
        name, kind (of modality, or of number), role, unit, shape (bands and pixels, or epochs), ``has`` (objects that have
        it), range (5th, 50th and 95th percentile, or the classes and their counts).
    """
    from astropy.table import Table

    rows = [_modality_row(samples, name) for name in samples.modalities] + [_column_row(samples, name) for name in samples.roles]
    return Table(rows=rows, names=("name", "kind", "role", "unit", "shape", "has", "range"), dtype=("str", "str", "str", "str", "str", "int64", "str"))


def _modality_row(samples: SampleSet, name: str) -> dict[str, Any]:
    spec, present = samples.spec(name), samples.present(name)
    shape = " x ".join(str(s) for s in spec.shape)
    if spec.kind in ("light_curve", "text") and present.any():
        lengths = np.diff(samples._data[name].fields["offsets"])[samples.rows()][present]
        unit = "epochs" if spec.kind == "light_curve" else "bytes"
        shape = f"{np.min(lengths)} to {np.max(lengths)} {unit}, median {np.median(lengths):.0f}"
    channels = ", ".join(spec.channels) if spec.kind != "table" else f"{len(spec.channels)} columns"
    return {"name": name, "kind": spec.kind, "role": "input", "unit": spec.unit, "shape": shape, "has": int(present.sum()), "range": channels}


def _column_row(samples: SampleSet, name: str) -> dict[str, Any]:
    column = samples.column(name)
    values = column.compressed()
    kind = {"f": "number", "i": "integer", "b": "boolean"}.get(column.dtype.kind, "text")
    return {
        "name": name, "kind": kind, "role": samples.roles[name], "unit": samples.units.get(name, ""), "shape": "",
        "has": len(values), "range": _range(values, samples.roles[name]),
    }  # fmt: skip


def _range(values: NDArray[Any], role: str) -> str:
    if len(values) == 0 or role in ("id", "group"):
        return "" if role not in ("id", "group") else f"{len(np.unique(values))} different"
    if values.dtype.kind in "fi":
        low, middle, high = np.percentile(values, (5, 50, 95))
        return f"{low:.4g} .. {middle:.4g} .. {high:.4g}"
    classes, counts = np.unique(values, return_counts=True)
    if len(classes) > CLASSES_SHOWN and role != "target":
        return f"{len(classes)} different"
    return ", ".join(f"{c} {n}" for c, n in sorted(zip(classes, counts, strict=True), key=lambda pair: -pair[1]))
