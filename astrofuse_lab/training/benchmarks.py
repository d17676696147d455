"""Benchmarks: a sample set, a fixed split, metrics and baselines under one name, and scores that were checked."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, SampleSetError, UnknownNameError
from astrofuse_lab.recipes.benchmarks import BENCHMARKS, BenchmarkEntry
from astrofuse_lab.samples.registry import load_samples
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import Split, group_codes, group_column
from astrofuse_lab.training import metrics as M
from astrofuse_lab.training.benchmark_results import Result, Shortcut
from astrofuse_lab.training.features import Features
from astrofuse_lab.training.problem import Problem, pose
from astrofuse_lab.training.run import Run
from astrofuse_lab.training.trees import chance_predictions, tree_predictions

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.training.leaderboard import Entry

BASELINES = {"chance": "", "extra_trees": "extra_trees", "boosting": "boosting", "linear": "linear"}
TOLERANCE = 1e-3
"""By how much probabilities may miss a sum of one."""


def list_benchmarks() -> "Table":
    """The named benchmarks: name, title, samples, target, task, modalities, metric (that decides), split, simulated."""
    from astropy.table import Table

    return Table(rows=[
        {
            "name": e.name, "title": e.title, "samples": e.samples, "target": e.target, "task": e.task, "modalities": ", ".join(e.modalities),
            "metric": e.metrics[0], "split": ", ".join(f"{k} {v}" if isinstance(v, str | float | int) else f"{k} by {', '.join(v)}" for k, v in e.split.items()),  # type: ignore[arg-type, str-bytes-safe, attr-defined]
            "simulated": e.samples == "practice",
        }
        for e in BENCHMARKS
    ])  # fmt: skip


def get_benchmark(name: str, *, mirror: str | Path | None = None, samples: SampleSet | None = None, progress: bool = True) -> "Benchmark":
    """A benchmark by its name, with its samples loaded when they are first needed.

    Parameters
    ----------
    name : str
        See ``af.list_benchmarks()``.
    mirror : path, optional
        As of ``af.load_samples``.
    samples : SampleSet, optional
        The set, where it is at hand already.
    progress : bool

    Raises
    ------
    UnknownNameError
        If there is none of this name.
    """
    known = {e.name: e for e in BENCHMARKS}
    if name not in known:
        raise UnknownNameError("benchmark", name, known, "af.list_benchmarks() lists them.")
    return Benchmark(known[name], mirror, samples, progress)


class Benchmark:
    """A named benchmark; see `get_benchmark`.

    Attributes
    ----------
    entry : BenchmarkEntry
        What the table says of it.
    """

    def __init__(self, entry: BenchmarkEntry, mirror: str | Path | None = None, samples: SampleSet | None = None, progress: bool = True) -> None:
        self.entry, self._mirror, self._given, self._progress = entry, mirror, samples, progress

    def __repr__(self) -> str:
        e = self.entry
        return f"Benchmark({e.name!r}: {e.title}; {e.target!r} from {', '.join(e.modalities)}, by {e.metrics[0].replace('_', ' ')})"

    @property
    def name(self) -> str:
        """Its name."""
        return self.entry.name

    @property
    def target(self) -> str:
        """The column to predict."""
        return self.entry.target

    @property
    def modalities(self) -> tuple[str, ...]:
        """What a model may see."""
        return self.entry.modalities

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is measured; the first decides."""
        return self.entry.metrics

    # ---- what is measured on ---------------------------------------------------------------------------------------

    @cached_property
    def _samples(self) -> SampleSet:
        e = self.entry
        whole = self._given or load_samples(e.samples, e.objects, e.seed, mirror=self._mirror, progress=self._progress)
        column = whole.column(e.target)
        return whole.take(~np.ma.getmaskarray(column) & (np.isfinite(column.data) if column.dtype.kind == "f" else np.ones(len(whole), dtype=bool)))

    def samples(self) -> SampleSet:
        """The samples that have a value of the target."""
        return self._samples

    @cached_property
    def split(self) -> Split:
        """The fixed split: training ids and test ids.

        Raises
        ------
        SampleSetError
            If the set at hand is another than the benchmark was defined on.
        """
        made = self._made
        if self.entry.digest and self._digest_of(made) != self.entry.digest:
            raise SampleSetError(
                f"benchmark {self.name!r} was defined on other samples than those at hand: digest {self._digest_of(made)}, {self.entry.digest} expected. "
                f"Load the set of this version's mirror; a score on other samples is no score of this benchmark."
            )
        return made

    @cached_property
    def _made(self) -> Split:
        rule = dict(self.entry.split)
        if not isinstance(rule.get("train"), Mapping):
            return self._samples.split(**rule)  # type: ignore[arg-type]
        ids = self._samples.object_ids
        train, test = (tuple(map(str, ids[self._where(rule[side])])) for side in ("train", "test"))
        return Split(train, test, by="source", group=self._group)

    def _where(self, rule: Any) -> NDArray[np.bool_]:
        """Samples whose columns contain these texts."""
        found = [np.char.find(self._samples.column(column).filled("").astype(str), text) >= 0 for column, text in rule.items()]
        return np.asarray(np.all(found, axis=0))

    @property
    def _group(self) -> str | None:
        return group_column(self._samples)

    @property
    def splits(self) -> list[Split]:
        """The one split, as ``af.compare(split=...)`` takes several."""
        return [self.split]

    @property
    def digest(self) -> str:
        """Of ids, truth and split: two scores with the same digest were measured on the same."""
        return self._digest_of(self.split)

    def _digest_of(self, split: Split) -> str:
        # numbers to six digits: the last bits differ between machines
        values = [f"{v:.6g}" if isinstance(v, float) else str(v) for v in self._samples.column(self.target).data.tolist()]
        truth = dict(zip(self._samples.object_ids.tolist(), values, strict=True))
        told = [[side, [[i, truth[i]] for i in sorted(getattr(split, side))]] for side in ("train", "validation", "test")]
        return hashlib.sha256(json.dumps([self.name, self.target, told]).encode()).hexdigest()[:16]

    @cached_property
    def problem(self) -> Problem:
        """The target as a task."""
        return pose(self._samples, self.target, self.modalities, self.entry.task)

    def _test(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Truth and groups of the test part, in the order of its ids."""
        rows = self._samples.positions(self.split.test)
        return self.problem.encode(self._samples)[0][rows], group_codes(self._samples, self._group)[rows]

    # ---- scores ----------------------------------------------------------------------------------------------------

    def score(self, given: "Run | Table", name: str = "", resamples: int = 1000) -> Result:
        """Check a run, or a table of predictions, and measure it on the test part.

        Parameters
        ----------
        given : Run or Table
            A table has ``object_id`` and, as ``run.predict`` gives them, ``p_<class>`` for each class, or ``prediction``.
        name : str
            Of the row on the leaderboard.
        resamples : int

        Raises
        ------
        InputError
            If an id is lacking, unknown or there twice, a probability is none, or the run has seen a test object or one of its group.
        """
        checked: tuple[str, ...] = ()
        about: dict[str, Any] = {}
        if isinstance(given, Run):
            checked, about = self._check_run(given)
            table = given.predict(self._samples.select(self.split.test))
            name = name or given.recipe.name
        else:
            table = given
        predicted = self._check(table)
        kind = "run" if isinstance(given, Run) else "predictions"
        return self._result(kind, name or "predictions", predicted, resamples, about, (*checked, "ids complete", "predictions valid"))

    def _result(self, kind: str, name: str, predicted: NDArray[Any], resamples: int, about: Mapping[str, Any], checked: Sequence[str]) -> Result:
        truth, groups = self._test()
        chosen = dict(M.metric_named(self.entry.task, metric) for metric in self.metrics)
        scores = M.evaluate(self.entry.task, truth, predicted, groups, resamples, metrics=chosen)
        return Result(self.name, self.digest, kind, name, scores, self._as_table(predicted), dict(about), tuple(checked))

    def _as_table(self, predicted: NDArray[Any]) -> "Table":
        from astropy.table import Table

        table = Table({"object_id": np.array(self.split.test)})
        for column, values in zip(self.columns, predicted.reshape(len(predicted), -1).T, strict=True):
            table[column] = values
        return table

    @property
    def columns(self) -> list[str]:
        """Columns of a table of predictions, besides object_id."""
        return [f"p_{c}" for c in self.problem.classes] if self.entry.task == "classification" else ["prediction"]

    def _check(self, table: "Table") -> NDArray[np.float64]:
        """Predictions in the order of the test ids."""
        lacking = [c for c in ("object_id", *self.columns) if c not in table.colnames]
        if lacking:
            raise InputError(f"the predictions lack the column {lacking[0]!r}; {self.name!r} needs object_id, {', '.join(self.columns)}.")
        ids = [str(i) for i in table["object_id"]]
        test, given = set(self.split.test), set(ids)
        if len(given) < len(ids):
            raise InputError(f"the predictions hold {len(ids) - len(given)} ids twice, e.g. {next(i for i in ids if ids.count(i) > 1)!r}; one row a test object.")
        if test - given or given - test:
            told = f"lack {len(test - given)} of {len(test)} test ids" + (f", first {min(test - given)!r}" if test - given else "")
            told += f" and hold {len(given - test)} others, first {min(given - test)!r}" if given - test else ""
            raise InputError(f"the predictions {told}. They must be of benchmark.split.test, all of it.")
        row = {one: i for i, one in enumerate(ids)}
        order = [row[i] for i in self.split.test]
        values = np.stack([np.ma.filled(np.ma.asarray(table[c]).astype(np.float64), np.nan) for c in self.columns], axis=1)[order]
        if not np.isfinite(values).all():
            bad = self.split.test[int(np.flatnonzero(~np.isfinite(values).all(1))[0])]
            raise InputError(f"the predictions are not finite for {int((~np.isfinite(values)).any(1).sum())} test objects, first {bad!r}. Every test object needs one, if only the classes' shares.")
        if self.entry.task != "classification":
            return values[:, 0]
        if (values < 0).any() or (values > 1).any() or np.abs(values.sum(1) - 1).max() > TOLERANCE:
            worst = int(np.argmax(np.abs(values.sum(1) - 1)))
            raise InputError(f"the columns {', '.join(self.columns)} are no probabilities: {self.split.test[worst]!r} sums to {values[worst].sum():.4g}. Each lies between 0 and 1, and a row sums to 1.")
        return values

    def _check_run(self, run: Run) -> tuple[tuple[str, ...], dict[str, Any]]:
        if run.target != self.target:
            raise InputError(f"this run predicts {run.target!r}; {self.name!r} is about {self.target!r}.")
        extra = set(run.modalities) - set(self.modalities)
        if extra:
            raise InputError(f"this run sees {', '.join(sorted(extra))}, which {self.name!r} does not allow; it allows {', '.join(self.modalities)}.")
        if run.task == "classification" and run.classes != self.problem.classes:
            raise InputError(f"this run knows the classes {', '.join(map(str, run.classes))}; {self.name!r} has {', '.join(map(str, self.problem.classes))}.")
        seen = {*run.split.train, *run.split.validation}
        both = seen & set(self.split.test)
        if both:
            raise InputError(f"this run was trained or validated on {len(both)} of the {len(self.split.test)} test objects, e.g. {min(both)!r}. Train with split=benchmark.split.")
        codes, ids = group_codes(self._samples, self._group), self._samples.object_ids
        shared = set(codes[np.isin(ids, list(seen))].tolist()) & set(codes[np.isin(ids, self.split.test)].tolist())
        if shared:
            raise InputError(f"this run was trained on objects of {len(shared)} groups ({self._group}) that are in the test part. Train with split=benchmark.split.")
        record = run.record
        about = {
            "recipe": run.recipe.to_json(), "modalities": list(run.modalities), "seed": run.seed, "parameters": run.parameters, "seconds": run.seconds,
            "versions": record.get("versions", {}), "fingerprint": record.get("fingerprint", {}),
        }  # fmt: skip
        return ("trained on no test object", "nor on one of its group", "sees only what is allowed"), about

    def baselines(self, resamples: int = 1000, seed: int = 0) -> "list[Result]":
        """Chance, both kinds of trees, a linear model, and trees on each shortcut, trained anew on the rows at hand."""
        samples, problem = self._samples, self.problem
        truth = problem.encode(samples)[0]
        learn, test = samples.positions([*self.split.train, *self.split.validation]), samples.positions(self.split.test)
        features = Features(samples, self.modalities)
        made = {"chance": chance_predictions(problem, truth, learn, test)}
        for name, kind in BASELINES.items():
            if kind:
                made[name] = tree_predictions(problem, features, self.modalities, truth, learn, test, seed=seed, kind=kind)
        for name, columns in self.entry.controls.items():
            made[f"shortcut: {name}"] = tree_predictions(problem, Shortcut(samples, columns), (name,), truth, learn, test, seed=seed)
        return [self._result("baseline", name, predicted, resamples, {}, ("made here",)) for name, predicted in made.items()]

    # ---- rooms of their own ----------------------------------------------------------------------------------------

    def leaderboard(self, folder: str | Path | None = None, *, baselines: bool = True, recheck: bool = True) -> "Table":
        """What was entered in a folder, and the baselines as they come out now, the best first; see `astrofuse_lab.training.leaderboard`."""
        from astrofuse_lab.training.leaderboard import leaderboard

        return leaderboard(self, folder, baselines, recheck)

    def enter(self, given: "Run | Table | Result", folder: str | Path, name: str = "", note: str = "") -> "Entry":
        """Check and append one line to the folder's leaderboard; see `astrofuse_lab.training.leaderboard`."""
        from astrofuse_lab.training.leaderboard import enter

        return enter(self, given, folder, name, note)

    def export(self, folder: str | Path, seed: int | None = None) -> Path:
        """Write a challenge package with a hidden test part; see `astrofuse_lab.training.challenge`."""
        from astrofuse_lab.training.challenge import export

        return export(self, folder, seed)
