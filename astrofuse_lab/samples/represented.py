"""Modalities shown as others, as they are read: a SampleSet whose light curves are DMDT images, and the like.

Nothing is written and nothing kept: each read makes its rows anew, some at a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.column_scaling import SCALINGS as COLUMN_SCALINGS
from astrofuse_lab.alignment.representations import REPRESENTATIONS, Arrays, Layout, options_of, representation
from astrofuse_lab.errors import AlignmentError, InputError, UnknownNameError
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.samples.arrays import SHARED, ModalityData
from astrofuse_lab.samples.specification import ModalitySpec

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet

SCALINGS = {"image": "asinh", "spectrum": "asinh", "light_curve": "asinh", "series": "asinh", "table": "robust", "text": "hashed"}
"""What a kind's own scaling is called in a recipe's `inputs`."""
SCALED = "scaled"
"""The same, of any kind."""
TREATMENTS = ("sentence",)
"""Other ways to show a text; see `samples.preparation.texts`."""
AT_ONCE = 1024
"""Objects made at a time: what is between bounds the memory."""


@dataclass(frozen=True)
class Shown:
    """A representation with its options, of one modality.

    Attributes
    ----------
    name : str
        In `REPRESENTATIONS`.
    options : mapping
        All of them.
    """

    name: str
    options: Mapping[str, Any]

    def spec(self, given: ModalitySpec) -> ModalitySpec:
        """What the modality looks like then; InputError where this cannot be made of it."""
        one = representation(self.name)
        if given.kind not in one.reads:
            able = [name for name, other in REPRESENTATIONS.items() if given.kind in other.reads]
            raise InputError(f"representation {self.name!r} is made of {' or '.join(one.reads)}, but {given.name!r} is {given.kind}. For that there is: {', '.join(able) or 'none'}.")
        made = one.layout(layout_of(given), self.options)
        return ModalitySpec(given.name, made.kind, made.channels, made.shape, made.unit, axis=made.axis, axis_unit=made.axis_unit, oriented=False, provenance=given.provenance)

    def arrays(self, arrays: Arrays, given: ModalitySpec, column: Callable[[str], NDArray[np.float64]]) -> Arrays:
        """The arrays of some objects, shown so.

        Raises
        ------
        InputError
            Where a column it needs is not there or holds no numbers.
        """
        one = representation(self.name)
        columns = {name: column(name) for name in one.needs(self.options)}
        try:
            return one.run(arrays, layout_of(given), self.options, columns)
        except AlignmentError as error:
            raise AlignmentError(f"{given.name!r} as {self.name!r}: {error}") from error


def layout_of(spec: ModalitySpec) -> Layout:
    """A modality's layout, as `alignment` knows it."""
    return Layout(spec.kind, spec.channels, spec.shape, spec.unit, spec.axis, spec.axis_unit)


def numbers(samples: Any, name: str) -> NDArray[np.float64]:
    """A scalar column as float64, NaN where missing; InputError unless it is one of numbers."""
    column = samples.column(name)
    if column.dtype.kind not in "fiu":
        raise InputError(f"column {name!r} holds no numbers, so no representation can use it.")
    return np.asarray(np.ma.filled(column.astype(np.float64), np.nan))


def asked(spec: ModalitySpec, inputs: Mapping[str, Part] | None) -> tuple[Shown | None, dict[str, Any]]:
    """What a recipe's `inputs` say of a modality: how it is shown, if so, and options of the scaling that follows.

    Raises
    ------
    InputError
        For a name that is neither a representation nor the scaling of its kind, or an option that neither has.
    """
    part = (inputs or {}).get(spec.name) or (inputs or {}).get(spec.kind)
    if part is None or part.name in (SCALED, SCALINGS[spec.kind]):
        return None, dict(part.options) if part else {}
    if spec.kind == "table" and part.name in COLUMN_SCALINGS:
        return None, {**part.options, "scaling": part.name}
    if spec.kind == "text" and part.name in TREATMENTS:
        return None, {**part.options, "treatment": part.name}
    if part.name not in REPRESENTATIONS:
        able = [name for name, one in REPRESENTATIONS.items() if spec.kind in one.reads]
        raise UnknownNameError(f"input of {spec.name!r}", part.name, [*own_names(spec.kind), SCALED, *able])
    one = REPRESENTATIONS[part.name]
    own = {name: value for name, value in part.options.items() if name in one.options or name not in SCALING_OPTIONS.get(one.gives, ())}
    shown = Shown(part.name, options_of(part.name, own))
    shown.spec(spec)
    return shown, {**one.scaling, **{name: value for name, value in part.options.items() if name not in own}}


def own_names(kind: str) -> tuple[str, ...]:
    """What a recipe's `inputs` may call for, of a kind, beside representations."""
    return tuple(COLUMN_SCALINGS) if kind == "table" else (SCALINGS[kind], *(TREATMENTS if kind == "text" else ()))


SCALING_OPTIONS = {"image": ("background", "scale", "stretch"), "spectrum": ("errors", "lsf", "stretch"), "series": ("stretch",), "table": ("clip", "scaling", "impute", "columns")}
"""Options of the scalings of kinds that representations give."""


def told_by(spec: ModalitySpec, inputs: Mapping[str, Part] | None) -> tuple[str, ...]:
    """The scalar columns that a modality is shown with."""
    shown, _ = asked(spec, inputs)
    return representation(shown.name).needs(shown.options) if shown else ()


class ShownData(ModalityData):
    """The arrays of one modality, shown as another whenever they are read.

    Parameters
    ----------
    data : ModalityData
    shown : Shown
    column : callable (str, rows) -> array
        A scalar column at rows of the store.
    """

    def __init__(self, data: ModalityData, shown: Shown, column: Callable[[str, NDArray[np.int64]], NDArray[np.float64]]) -> None:
        super().__init__(shown.spec(data.spec), {}, data.present)
        self.data, self.shown, self.column = data, shown, column

    def check(self, objects: int) -> None:
        """As of what it is made of."""
        self.data.check(objects)

    def read(self, rows: NDArray[np.int64]) -> Arrays:
        """The fields and ``present`` of some rows, made a part at a time."""
        parts = []
        for begin in range(0, max(1, len(rows)), AT_ONCE):
            some = rows[begin : begin + AT_ONCE]
            parts.append(self.shown.arrays(self.data.read(some), self.data.spec, lambda name, some=some: self.column(name, some)))  # type: ignore[misc]
        if len(parts) == 1:
            return parts[0]
        return {name: first if name in SHARED else np.concatenate([part[name] for part in parts]) for name, first in parts[0].items()}


class TableData(ModalityData):
    """The table of a set, which is made of columns, as a modality with arrays.

    Parameters
    ----------
    samples : SampleSet
    """

    def __init__(self, samples: "SampleSet") -> None:
        self.whole = samples._view(np.arange(len(samples._columns)))
        super().__init__(samples.spec("table"), {}, self.whole.present("table"))

    def check(self, objects: int) -> None:
        """As of the columns."""

    def read(self, rows: NDArray[np.int64]) -> Arrays:
        """Values, mask and ``present`` of some rows."""
        return self.whole.arrays("table", rows)


def represented(samples: "SampleSet", inputs: Mapping[str, Part] | None) -> "SampleSet":
    """The same objects with some modalities shown as others, under their own names.

    Parameters
    ----------
    samples : SampleSet
    inputs : mapping of modality name or kind to Part
        As a recipe's; scalings change nothing here.

    Returns
    -------
    SampleSet
        Made as it is read. Of modalities without a representation, as before; ``samples`` itself where there is none.

    Raises
    ------
    InputError
        As `asked`.
    """
    shown = {name: one for name, spec in samples.modalities.items() if (one := asked(spec, inputs)[0]) is not None}
    return with_shown(samples, shown)


def with_shown(samples: "SampleSet", shown: Mapping[str, Shown]) -> "SampleSet":
    """The set with these of its modalities shown so."""
    if not shown:
        return samples

    def column(name: str, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return numbers(samples._view(rows), name)

    behind = samples._data | ({"table": TableData(samples)} if "table" in shown and "table" not in samples._data else {})
    data = {name: ShownData(one, shown[name], column) if name in shown else one for name, one in behind.items()}
    for one in shown.values():
        for name in representation(one.name).needs(one.options):
            numbers(samples.take([]), name)  # said now, not at the first read
    return samples.seen_as(data)


def represent(samples: "SampleSet", modality: str, name: str, options: Mapping[str, Any]) -> "SampleSet":
    """The set with one modality shown as another; see `SampleSet.represent`."""
    samples.spec(modality)
    representation(name)
    return represented(samples, {modality: Part(name, options)})
