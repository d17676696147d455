"""What a model would say of other data: a modality of another object, or data edited in physical units. Interventions on the model's input."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain.adapter import Pace, some_samples
from astrofuse_lab.explain.interventions_edits import EDITS, Draft
from astrofuse_lab.explain.questioning import Panel, differ, joined, said_of
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.samples.altered import altered

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.explain.questioning import Said, Source
    from astrofuse_lab.samples.sample_set import SampleSet

Array = NDArray[Any]
Progress = Callable[[dict[str, Any]], None]
NOT_CAUSES = "This is what the model does when its input is changed, not what causes what in the sky: the changed objects need not exist, and the model may never have met their like."
"""Goes with every table."""


@dataclass(frozen=True)
class Interventions:
    """Scores and predictions before and after changes of the samples; members are the runs of an ensemble, one for a run.

    Attributes
    ----------
    names : tuple of str
        What was changed, in words; each by itself.
    object_ids : str array, (n,)
    target : tuple
        What is explained, per sample: the class (or label, or column) asked for, else the one predicted before.
    score_before : float64 array, (member, n)
    score_after : float64 array, (change, member, n)
    likely_before, likely_after : float64 array, (member, n) and (change, member, n)
        Probability of the target; of numbers the prediction in its unit.
    predicted_before, predicted_after : array, (n,) and (change, n)
        What all members predict together: the class, "" where they have nothing to go by; of numbers the number, NaN there.
    changed : bool array, (change, n)
        True where the model was given something else than before.
    score_name, task, unit : str
    notes : tuple of str
    """

    names: tuple[str, ...]
    object_ids: NDArray[np.str_]
    target: tuple[Any, ...]
    score_before: Array
    score_after: Array
    likely_before: Array
    likely_after: Array
    predicted_before: Array
    predicted_after: Array
    changed: NDArray[np.bool_]
    score_name: str
    task: str
    unit: str = ""
    notes: tuple[str, ...] = ()

    @property
    def difference(self) -> Array:
        """Score after less before, mean over members, (change, n); exactly zero where nothing changed."""
        return np.where(self.changed, (self.score_after - self.score_before).mean(1), 0.0)

    @property
    def spread(self) -> Array:
        """Standard deviation of that difference over members, (change, n); zero for a single run."""
        return np.where(self.changed, (self.score_after - self.score_before).std(1), 0.0)

    @property
    def flipped(self) -> NDArray[np.bool_]:
        """Where a class is predicted that was not before, (change, n); False for numbers and labels."""
        if self.task != "classification":
            return np.zeros(self.changed.shape, dtype=bool)
        return np.asarray(self.changed & (self.predicted_after != self.predicted_before))

    def table(self) -> "Table":
        """One row a change and sample: change, object_id, target, changed, score before, after, their difference and its spread over members, prediction and, of classes and labels, probability before and after.

        Masked where the model has nothing left to go by.
        """
        from astropy.table import Column, MaskedColumn, Table

        changes, n = self.changed.shape

        def repeated(values: Any) -> Array:
            return np.tile(np.asarray(values), changes)

        table = Table({"change": np.repeat(np.array(self.names), n), "object_id": repeated(self.object_ids), "target": repeated([str(t) for t in self.target])})
        table["changed"] = self.changed.ravel()
        numbers = {
            "score_before": repeated(self.score_before.mean(0)), "score_after": self.score_after.mean(1).ravel(), "difference": self.difference.ravel(),
            "spread": self.spread.ravel(),
        }  # fmt: skip
        if self.task in ("classification", "multi_label"):
            numbers.update(probability_before=repeated(self.likely_before.mean(0)), probability_after=self.likely_after.mean(1).ravel())
        for name, values in numbers.items():
            table[name] = MaskedColumn(np.nan_to_num(values), mask=~np.isfinite(values))
        if self.task == "classification":
            table["prediction_before"], table["prediction_after"] = repeated(self.predicted_before), self.predicted_after.ravel()
        elif self.task != "multi_label":
            for name, values in (("prediction_before", repeated(self.predicted_before)), ("prediction_after", self.predicted_after.ravel())):
                table[name] = Column(values, unit=self.unit or None)
        table.meta.update(score=self.score_name, notes=[*self.notes, NOT_CAUSES])
        return table

    @property
    def says(self) -> str:
        """The whole in a few sentences."""
        told = []
        for name, changed, difference, flipped in zip(self.names, self.changed, self.difference, self.flipped, strict=True):
            if not changed.any():
                told.append(f"{name}: no sample was changed by it.")
                continue
            flips = f"; {flipped.sum()} of {changed.sum()} then get another class" if self.task == "classification" else ""
            mean = np.nanmean(difference[changed]) if np.isfinite(difference[changed]).any() else np.nan
            told.append(f"{name}: the {self.score_name.replace('_', ' ')} changes by {mean:+.2g} on average{flips}.")
        return " ".join([*told, *self.notes, NOT_CAUSES])

    def __repr__(self) -> str:
        return f"Interventions({len(self.object_ids)} samples, {len(self.names)} changes: {self.says})"


def edit(
    source: "Source", samples: "SampleSet", edits: Part | Sequence[Part] | Mapping[str, Part | Sequence[Part]], *, target: Any = None, score: str | None = None,
    rows: int = 64, on_progress: Progress | None = None, stop: threading.Event | None = None,
) -> Interventions:  # fmt: skip
    """What the model says when its data are edited, in physical units and before any scaling.

    ``af.explain.edit(run, few, af.Part.of("mask_line", line="Halpha"))``

    Parameters
    ----------
    source : Run or Ensemble
    samples : SampleSet
        It is not changed.
    edits : Part, sequence of Part, or mapping of str to these
        Names and options of `EDITS`; several in a sequence are made one after another, as one change. A mapping makes several changes,
        each by itself:

        - ``mask_line`` (line, width=3000 km/s, fill="masked" or "continuum", redshift="redshift"): the line where the object's redshift puts it
        - ``mask_window`` (low, high, fill): a stretch of observed wavelengths, ångström
        - ``shift_redshift`` (by or to): the spectrum at another redshift
        - ``drop_band`` (band), ``drop_modality`` (modality)
        - ``limit_time`` (days, after="first" or "detection"), ``drop_epochs`` (share, seed)
        - ``set_column`` (column, value; None is missing), ``remove_words`` (words)
        - ``scale`` (factor, and modality, band, line, low and high, or column)

        Where several modalities could be meant, ``modality`` says which.
    target, score
        As in `attribute`; None: what is predicted before.
    rows : int
        Samples that the model is given at once.
    on_progress : callable, optional
        Called with ``{"done": ..., "total": ...}``.
    stop : threading.Event, optional
        Set it to end after the chunk at hand; the result holds the samples done by then.

    Returns
    -------
    Interventions

    Raises
    ------
    InputError
        For options that an edit does not have, or what it changes is not among what the model is given.
    UnknownNameError
        For an edit, line, band or column that does not exist.
    """
    panel = Panel(source, target, score)
    wanted = {name: listed(one) for name, one in edits.items()} if isinstance(edits, Mapping) else {_worded(listed(edits)): listed(edits)}
    if not wanted:
        raise InputError("edits is empty. Give one, e.g. af.Part.of('mask_line', line='Halpha').")

    def made(parts: Sequence[Part]) -> Callable[["SampleSet", Array], "SampleSet"]:
        def change(some: "SampleSet", _: Array) -> "SampleSet":
            draft = Draft(some, panel.modalities)
            for part in parts:
                applied(draft, part)
            return draft.done()

        return change

    return intervene(panel, samples, {name: made(parts) for name, parts in wanted.items()}, Pace(rows, on_progress, stop))


def listed(edits: Part | Sequence[Part]) -> list[Part]:
    """One edit or several as a list of parts; InputError for what is none."""
    parts: list[Any] = list(edits) if isinstance(edits, list | tuple) else [edits]
    for part in parts:
        if not isinstance(part, Part):
            raise InputError(f"{part!r} is no edit. Write af.Part.of('drop_band', band='g'); there are {', '.join(EDITS)}.")
        if part.name not in EDITS:
            raise UnknownNameError("edit", part.name, EDITS)
    return parts


def applied(draft: Draft, part: Part) -> None:
    """One edit made; InputError for options that it does not have."""
    import inspect

    known = list(inspect.signature(EDITS[part.name]).parameters)[1:]
    unknown = [name for name in part.options if name not in known]
    needed = [name for name, one in inspect.signature(EDITS[part.name]).parameters.items() if one.default is one.empty and name != "draft"]
    lacking = [name for name in needed if name not in part.options]
    if unknown or lacking:
        what = f"has no option {unknown[0]!r}" if unknown else f"needs {lacking[0]!r}"
        raise InputError(f"the edit {part.name!r} {what}; its options are {', '.join(known)}.")
    EDITS[part.name](draft, **part.options)


def _worded(parts: Sequence[Part]) -> str:
    """E.g. ``mask line: Halpha``."""
    return ", then ".join(
        part.name.replace("_", " ") + (": " + ", ".join(str(v) if isinstance(v, str) else f"{k} {v}" for k, v in part.options.items()) if part.options else "") for part in parts
    )


def swap(
    source: "Source", samples: "SampleSet", modality: str | Sequence[str], with_: "SampleSet | str | Sequence[str]", *, target: Any = None, score: str | None = None,
    rows: int = 64, on_progress: Progress | None = None, stop: threading.Event | None = None,
) -> Interventions:  # fmt: skip
    """This galaxy's image with that galaxy's spectrum: what the model says when a modality is another object's.

    Parameters
    ----------
    source : Run or Ensemble
    samples : SampleSet
    modality : str or sequence of str
        What is taken from the others; columns that the run reads beside it (the period that a light curve is folded by) come with it.
    with_ : SampleSet, str or sequence of str
        Whose: as many objects as there are samples, in their order, or one for all; ids are looked up in `samples`.
    target, score, rows, on_progress, stop
        As in `edit`.

    Returns
    -------
    Interventions
        One change. An object that lacks the modality gives its lack.

    Raises
    ------
    InputError
        For another number of objects, a modality that the model is not given, or one that the others hold in another layout.
    """
    panel = Panel(source, target, score)
    names = [panel.whole(one) for one in ([modality] if isinstance(modality, str) else modality)]
    if not names:
        raise InputError(f"modality is empty; the model is given {', '.join(panel.modalities)}.")
    others = _whose(samples, with_)
    if len(others) not in (1, len(samples)):
        raise InputError(f"with_ holds {len(others)} objects for {len(samples)} samples; give one for each, or one for all.")
    for name in names:
        if name not in others.modalities or others.spec(name).layout() != samples.spec(name).layout():
            raise InputError(f"with_ does not hold {name!r} in the layout of the samples; align both the same way.")
    columns = tuple(dict.fromkeys(c for run in panel.runs for n in names if n in run.modalities for c in run.preparation.columns(n)))

    def change(some: "SampleSet", index: Array) -> "SampleSet":
        return exchanged(some, others.take(np.zeros(len(some), dtype=np.int64) if len(others) == 1 else index), names, columns)

    whose = others.object_ids[0] if len(others) == 1 else "others"
    return intervene(panel, samples, {f"{' + '.join(names)} of {whose}": change}, Pace(rows, on_progress, stop))


def _whose(samples: "SampleSet", with_: Any) -> "SampleSet":
    """The objects that give their modality: a set, or ids of the samples."""
    if isinstance(with_, str):
        return samples.select([with_])
    if isinstance(with_, list | tuple | np.ndarray):
        return samples.select(map(str, with_))
    if not hasattr(with_, "object_ids"):
        raise InputError(f"with_ is a {type(with_).__name__}; give a SampleSet, or ids of the samples.")
    chosen: SampleSet = with_
    return chosen


def exchanged(samples: "SampleSet", others: "SampleSet", modalities: Sequence[str], columns: Sequence[str] = ()) -> "SampleSet":
    """The samples with modalities (and scalar columns) of as many others, in order."""
    arrays = {name: others.arrays(name) for name in modalities if samples.spec(name).kind != "table"}
    taken = [*columns, *(column for name in modalities if samples.spec(name).kind == "table" for column in samples.inputs)]
    return altered(samples, arrays, {name: np.ma.filled(others.column(name).astype(np.float64), np.nan) for name in taken})


def intervene(panel: Panel, samples: "SampleSet", changes: Mapping[str, Callable[["SampleSet", Array], "SampleSet"]], pace: Pace) -> Interventions:
    """Before and after each change, chunk by chunk; a change is given some samples and their positions, and gives them changed."""
    some_samples(samples)
    before: list[Said] = []
    after: list[list[Said]] = [[] for _ in changes]
    moved: list[Array] = []
    for index in pace.chunks(len(samples)):
        some = samples.take(index.numpy())
        given = list(panel.batches(some))
        before.append(joined([said_of(run, batch) for run, batch in given]))
        here = []
        for kept, change in zip(after, changes.values(), strict=True):
            then = list(panel.batches(change(some, index.numpy())))
            kept.append(joined([said_of(run, batch) for run, batch in then]))
            here.append(np.any([differ(a, b) for (_, a), (_, b) in zip(given, then, strict=True)], axis=0))
        moved.append(np.stack(here))
    return told_of(panel, samples, tuple(changes), _end_to_end(before), [_end_to_end(one) for one in after], np.concatenate(moved, 1))


def _end_to_end(pieces: "list[Said]") -> "Said":
    from astrofuse_lab.explain.questioning import Said

    return Said(np.concatenate([one.values for one in pieces], 1), np.concatenate([one.told for one in pieces], 1))


def told_of(panel: Panel, samples: "SampleSet", names: tuple[str, ...], before: "Said", after: "Sequence[Said]", changed: NDArray[np.bool_]) -> Interventions:
    """What was said before and after, as scores of what is explained."""
    goals = panel.goals(before)
    target = panel.named(goals)
    units = {samples.units.get(str(one), "") for one in target} if panel.task in ("regression", "multi_regression") else {""}
    return Interventions(
        names, np.asarray(samples.object_ids[: len(goals)]), target, panel.score(before, goals), np.stack([panel.score(one, goals) for one in after]),
        panel.likely(before, goals), np.stack([panel.likely(one, goals) for one in after]), panel.predicted(before, goals),
        np.stack([panel.predicted(one, goals) for one in after]), changed, panel.score_name, panel.task, units.pop() if len(units) == 1 else "",
    )  # fmt: skip
