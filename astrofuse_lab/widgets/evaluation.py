"""How good it is, and on what it fails: confusion, reliability, ROC and precision, prediction against truth, errors by any column; a click selects the samples."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets as t
from numpy.typing import NDArray

from astrofuse_lab.errors import AstroFuseError, InputError
from astrofuse_lab.widgets import evaluation_facts as facts
from astrofuse_lab.widgets.base import Base, Selection, Worker
from astrofuse_lab.widgets.evaluation_facts import Contender
from astrofuse_lab.widgets.wire import array, columns_payload, plain

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

PARTS = ("test", "unseen", "validation", "train", "all")
SAYS = {
    "test": "the test part, which training did not see", "unseen": "samples that are in no part of the split: the model did not see them",
    "validation": "the validation part, by which the epoch was chosen: it flatters", "train": "the training part: it flatters, the model was trained on it",
    "all": "all samples, also those that the model was trained on: it flatters",
}  # fmt: skip
BINS = 6
PAGED = 12
"""Columns by which a page without a kernel can show errors."""
SNR = "S/N of "
TRUTH = "the truth"
MAGNITUDE = ("mag", "redshift", "z_", "snr", "flux")


def _kind_of(name: str) -> int:
    """Columns that errors are usually looked at by come first."""
    low = name.lower()
    return next((i for i, word in enumerate(MAGNITUDE) if word in low), len(MAGNITUDE))


class EvaluationWidget(Base):
    """What a run gets right and wrong on samples that it has not seen; every cell, bin and point selects its samples.

    Parameters
    ----------
    runs : Run, sequence of Run, or mapping of name to Run
        Several are drawn over one another; they learn the same target.
    samples : SampleSet
        Aligned as those the runs were trained on.
    selection : Selection, optional
    comparison : Table, optional
        Of ``af.compare`` for the same target: its best single modality and its trees stand beside the runs, as first seed, on its own test samples.
    part : {"test", "unseen", "validation", "train", "all"}, optional
        Of the first run's split. None: the test part; where these samples hold none of it, those that are in no part; else all.
    group : str, optional
        Column over whose values intervals are drawn, as in ``af.evaluate``.

    Attributes
    ----------
    contenders : list of str
        Runs, then rows of the comparison.

    Raises
    ------
    InputError
        For runs of several targets, a part that there is not, or a comparison of something else.
    RunError
        If the samples lack a modality of a run or hold it in another layout.
    """

    view = "evaluation"
    columns: Any = t.List().tag(sync=True)
    contenders: Any = t.List().tag(sync=True)
    """name; run, whether it is one of the runs."""
    shown = t.Unicode("").tag(sync=True)
    part = t.Unicode("").tag(sync=True)
    parts: Any = t.List().tag(sync=True)
    """name, count, what it is in words."""
    task = t.Unicode("").tag(sync=True)
    names: Any = t.List().tag(sync=True)
    """Classes, labels or targets."""
    one = t.Unicode("").tag(sync=True)
    """The class, label or target looked at; of classes empty for all."""
    by = t.Unicode("").tag(sync=True)
    bys: Any = t.List().tag(sync=True)
    measure = t.Unicode("").tag(sync=True)
    measures: Any = t.List().tag(sync=True)
    rows: Any = t.List().tag(sync=True)
    """Of the comparison: model, value, low, high, difference, difference_low, difference_high."""
    verdict = t.Unicode("").tag(sync=True)
    title = t.Unicode("").tag(sync=True)
    unit = t.Unicode("").tag(sync=True)

    def __init__(
        self, runs: "Run | Sequence[Run] | Mapping[str, Run]", samples: "SampleSet", selection: Selection | None = None, *, comparison: "Table | None" = None,
        part: str | None = None, group: str | None = None, **traits: Any,
    ) -> None:  # fmt: skip
        from astrofuse_lab.training.evaluation import _named

        self.runs, self.samples, self.comparison, self.group = _named(runs), samples, comparison, group
        first = self._check()
        self._rows = {name: rows for name, rows in _parts(first, samples).items() if len(rows)}
        if part is not None and part not in self._rows:
            raise InputError(f"part={part!r}: these samples hold none of it. They hold {', '.join(self._rows) or 'nothing'}.")
        self._contender = lru_cache(maxsize=32)(self._made)
        names = list(map(str, first.classes)) if first.task == "classification" else list(first.targets)
        given: dict[str, Any] = {
            "columns": columns_payload(samples)[:1], "contenders": [*({"name": n, "run": True} for n in self.runs), *({"name": n, "run": False} for n in self._beside())],
            "shown": next(iter(self.runs)), "parts": [{"name": n, "n": len(r), "says": SAYS[n]} for n, r in self._rows.items()], "part": part or next(iter(self._rows), "test"),
            "task": first.task, "names": names, "one": "" if first.task == "classification" else next(iter(names), ""), "bys": self._columns_to_bin(),
            "rows": [_row(r) for r in comparison] if comparison is not None else [], "verdict": str(comparison.meta.get("verdict", "")) if comparison is not None else "",
            "title": f"{first.recipe.name}, {first.target}", "unit": samples.units.get(first.target, ""), "simulated": samples.simulated,
        }  # fmt: skip
        measures = self._measures(first)
        given |= {"by": next(iter(given["bys"]), ""), "measures": measures, "measure": next(iter(measures), "")}
        super().__init__(samples.object_ids, selection, **{**given, **traits})
        self.observe(self._write_code, ["part", "shown", "one", "by", "measure", "selected"])
        self._write_code()

    def _check(self) -> "Run":
        first = next(iter(self.runs.values()))
        for name, run in self.runs.items():
            run.preparation.check(self.samples)
            if (run.task, run.target, run.classes) != (first.task, first.target, first.classes):
                raise InputError(f"{name} learns {run.target!r}, not {first.target!r} with the same classes, so they cannot be drawn over one another. Show them in two widgets.")
        if self.comparison is not None and self.comparison.meta.get("target") != first.target:
            raise InputError(f"this comparison is of {self.comparison.meta.get('target')!r}; the runs learn {first.target!r}. Give a table of af.compare(..., target={first.target!r}).")
        return first

    def _beside(self) -> list[str]:
        """The comparison's best single modality and its baselines."""
        if self.comparison is None:
            return []
        from astrofuse_lab.training.report import BASELINES

        told = self.comparison.meta.get("predictions", {})
        singles = [r for r in self.comparison if str(r["model"]) == str(r["modalities"])]
        best = [str(min(singles, key=lambda r: float(r["difference"]))["model"])] if singles else []
        return [name for name in (*best, *BASELINES) if name in told and name not in self.runs]

    def _columns_to_bin(self) -> list[str]:
        roles, first = self.samples.roles, next(iter(self.runs.values()))
        numeric = [n for n, role in roles.items() if role in ("target", "input", "other") and n not in ("object_id", first.target) and self.samples.column(n).dtype.kind in "fiu"]
        seen = [n for n, spec in self.samples.modalities.items() if spec.kind in ("spectrum", "light_curve", "image")]
        own = [TRUTH] if first.task in ("regression", "multi_regression") else []
        return [*own, *sorted(numeric, key=_kind_of), *(SNR + n for n in seen)]

    def _measures(self, run: "Run") -> list[str]:
        if run.task == "classification":
            return ["error_rate", "balanced_accuracy", "calibration_error"]
        if run.task == "multi_label":
            return ["error_rate", "macro_f1", "hamming_loss"]
        if run.task == "self_supervised":
            return []
        from astrofuse_lab.training.evaluation import REDSHIFTS

        return list(facts.SHOWN["redshift" if REDSHIFTS.search(run.target) and len(run.targets) == 1 else "regression"])

    # ---- answers -------------------------------------------------------------------------------------------------

    def _lane(self, key: str) -> Worker:
        return self._jobs

    def contender(self, name: str, part: str | None = None) -> Contender | None:
        """What one of the contenders says of a part (None: the one shown); None where no truth is known.

        Raises
        ------
        InputError
            For a name or part that there is not.
        """
        part = part or self.part
        if part not in self._rows:
            raise InputError(f"part={part!r}: these samples hold none of it. They hold {', '.join(self._rows) or 'nothing'}.")
        if name not in [one["name"] for one in self.contenders]:
            raise InputError(f"there is no {name!r} here; there are {', '.join(one['name'] for one in self.contenders)}.")
        made: Contender | None = self._contender(name, part)
        return made

    def _made(self, name: str, part: str) -> Contender | None:
        if name in self.runs:
            return facts.contender_of(name, self.runs[name], self.samples, self._rows[part], self.group)
        return self._of_comparison(name, part)

    def _of_comparison(self, name: str, part: str) -> Contender | None:
        """What a row of the comparison said of those of its test samples that are in the part, in the first seed."""
        from astrofuse_lab.samples.split import group_codes_as

        assert self.comparison is not None
        meta, run = self.comparison.meta, next(iter(self.runs.values()))
        places = np.array([self._find(one) for one in meta["ids"]], dtype=np.int64)
        use = np.isin(places, self._rows[part])
        if list(map(str, meta["classes"])) != list(map(str, run.classes)) or not use.any():
            return None
        model = self.contender(next(iter(self.runs)), part)
        shift = model.redshift if model is not None else ()
        said, rows = np.asarray(meta["predictions"][name][0])[use], places[use]
        return Contender(name, run.task, rows, np.asarray(meta["truth"])[use], said, group_codes_as(run.split, self.samples, self.group)[rows], tuple(map(str, run.classes)), tuple(run.targets), shift)

    def _find(self, object_id: Any) -> int:
        return self._place.get(str(object_id), -1)

    def answer(self, key: str) -> dict[str, Any]:
        """``judged/<part>/<contender>``: counts, curves, bins and outliers; ``errors/<part>/<contender>/<target>/<measure>/<column>``: a metric in bins of a column.

        Of contenders, targets and columns the position in `contenders`, `names` and `bys`.
        """
        kind, *rest = key.split("/")
        if (kind, len(rest)) not in (("judged", 2), ("errors", 5)) or not all(r.isdigit() for r in rest[1:3]):
            raise InputError(f"EvaluationWidget has no answer to {key!r}.")
        part, place = rest[0], int(rest[1])
        if place >= len(self.contenders):
            raise InputError(f"there is no contender {place}; there are {len(self.contenders)}.")
        name = self.contenders[place]["name"]
        if self.task == "self_supervised":
            return {"none": "This run was trained without a target, so there is no truth to hold it against. af.evaluate(run, samples) measures what it learned."}
        it = self.contender(name, part)
        if it is None:
            return {"none": f"None of these {len(self._rows[part])} samples has both a known {next(iter(self.runs.values())).target!r} and a modality of {name}."}
        return self._judged(it) if kind == "judged" else self._errors(it, int(rest[2]), rest[3], int(rest[4]))

    def page_always(self) -> tuple[str, ...]:
        """What a page without a kernel stores: each contender on the part shown, by every column that there is room for, and what was looked at so far."""
        target = max(0, self.names.index(self.one)) if self.task == "multi_regression" and self.one in self.names else 0
        judged = [f"judged/{self.part}/{i}" for i in range(len(self.contenders))]
        columns = [self.bys.index(self.by)] if self.by in self.bys else []
        columns += [i for i in range(min(len(self.bys), PAGED)) if i not in columns]
        errors = [f"errors/{self.part}/{i}/{target}/{self.measure}/{c}" for c in columns for i in range(len(self.contenders))]
        return tuple(dict.fromkeys([*judged, *errors, *super().page_always()])) if len(self._ids) and self.task != "self_supervised" else ()

    def _judged(self, it: Contender) -> dict[str, Any]:
        payload = facts.classes_payload(it) if it.task == "classification" else facts.labels_payload(it) if it.task == "multi_label" else facts.numbers_payload(it)
        metrics = facts.measured(it) if it.task in ("classification", "multi_label") else []
        return {**payload, "positions": array(it.rows, "int32"), "n": len(it.rows), "groups": len(np.unique(it.groups)), "metrics": metrics, "seen": self._trained_on(it)}

    def _trained_on(self, it: Contender) -> int:
        """How many of these samples this contender was itself trained on; runs may have splits of their own."""
        run = self.runs.get(it.name)
        return 0 if run is None else int(np.isin(self._ids[it.rows], [*run.split.train, *run.split.validation]).sum())

    def _errors(self, it: Contender, target: int, measure: str, column: int) -> dict[str, Any]:
        if column >= len(self.bys) or measure not in self.measures:
            raise InputError(f"errors are measured by {', '.join(self.measures)} and by the columns {', '.join(self.bys)}.")
        whole = self.values_of(self.bys[column])
        if it.task == "multi_regression":
            if target >= len(it.targets):
                raise InputError(f"there is no target {target}; there are {len(it.targets)}.")
            it = facts.one_target(it, target)
        values = it.truth if whole is None else whole[it.rows]
        edges = facts.even_edges(self._rows_values(whole, it), BINS)
        if not len(edges):
            return {"none": f"{self.bys[column]} is known of none of these samples."}
        return {**facts.binned(it, values, edges, measure), "positions": array(it.rows, "int32"), "unit": self.samples.units.get(self.bys[column], "")}

    def _rows_values(self, whole: NDArray[Any] | None, it: Contender) -> NDArray[Any]:
        """What the bins are made from: the first run's samples, so that all contenders have the same bins."""
        model = self.contender(next(iter(self.runs)))
        rows = it.rows if model is None else model.rows
        return it.truth if whole is None else np.asarray(whole[rows])

    def values_of(self, by: str) -> NDArray[np.float64] | None:
        """A column as floats, NaN where unknown, (sample,); ``"S/N of <modality>"`` as in ``af.evaluate``; None for the truth itself."""
        if by == TRUTH:
            return None
        if by.startswith(SNR) and by.removeprefix(SNR) in self.samples.modalities:
            from astrofuse_lab.training.evaluation_groups import signal_to_noise

            try:
                return signal_to_noise(self.samples, by.removeprefix(SNR))
            except AstroFuseError:  # without errors
                return np.full(len(self.samples), np.nan)
        return np.ma.filled(np.ma.asarray(self.samples.column(by)).astype(float), np.nan)

    def _write_code(self, _change: Any = None) -> None:
        which = "run" if len(self.runs) == 1 else f"runs[{self.shown!r}]" if self.shown in self.runs else "runs"
        part = f"part={self.part!r}" if self.part in ("test", "validation", "train", "all") else "part=samples.object_ids[~np.isin(samples.object_ids, [*run.split.train, *run.split.validation])]"
        by = f", by=[({self.by.removeprefix(SNR)!r}, {BINS})]" if self.by and self.by != TRUTH and not self.by.startswith(SNR) else f", by=[('snr', {self.by.removeprefix(SNR)!r}, {BINS})]" if self.by.startswith(SNR) else ""
        lines = [f"table = af.evaluate({which}, samples, {part}{by})"]
        lines += ["af.plot.roc(table)"] if self.task == "classification" else ["af.plot.residuals(table)"] if "regression" in self.task else []
        chosen = [str(i) for i in self.selection.ids][:4]
        if chosen:
            lines.append(f"selected = samples.select([{', '.join(map(repr, chosen))}{', ...' if len(self.selection.ids) > 4 else ''}])")
        self._update(code="\n".join(lines))

    def __repr__(self) -> str:
        return f"EvaluationWidget({', '.join(one['name'] for one in self.contenders)}; {self.part} part, {len(self._rows.get(self.part, ()))} samples)"


def _parts(run: "Run", samples: "SampleSet") -> dict[str, NDArray[np.int64]]:
    """Positions of each part of a run's split among these samples."""
    sides = {name: np.isin(samples.object_ids, list(getattr(run.split, name))) if len(samples) else np.zeros(0, dtype=bool) for name in ("test", "validation", "train")}
    sides["unseen"] = ~(sides["test"] | sides["validation"] | sides["train"])
    sides["all"] = np.ones(len(samples), dtype=bool)
    return {name: np.flatnonzero(sides[name]) for name in PARTS}


def _row(row: Any) -> dict[str, Any]:
    names = ("value", "low", "high", "difference", "difference_low", "difference_high")
    return {"model": str(row["model"]), "modalities": str(row["modalities"]), "metric": str(row["metric"]), **{n: None if np.ma.is_masked(row[n]) else plain(row[n]) for n in names if n in row.colnames}}
