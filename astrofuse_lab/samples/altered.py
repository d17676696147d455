"""A set with some of its arrays or columns replaced: what-if samples, that nobody observed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.arrays import ModalityData
from astrofuse_lab.samples.sample_set import SampleSet

Arrays = Mapping[str, NDArray[Any]]


class _Behind(ModalityData):
    """The arrays of some rows of a store, read when they are asked for."""

    def __init__(self, data: ModalityData, rows: NDArray[np.int64]) -> None:
        super().__init__(data.spec, {}, np.asarray(data.present[rows], dtype=bool))
        self.data, self.rows = data, rows

    def check(self, objects: int) -> None:
        """As of what it is made of."""

    def read(self, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """The fields and ``present`` of some of the rows."""
        return self.data.read(self.rows[rows])


def altered(samples: SampleSet, arrays: Mapping[str, Arrays], columns: Mapping[str, NDArray[np.float64]] | None = None) -> SampleSet:
    """The same objects with other arrays behind some modalities and other numbers in some columns; what is not named is read from where it was.

    Parameters
    ----------
    samples : SampleSet
        It is not changed. Objects may stand in it more than once.
    arrays : mapping of modality to mapping of str to array
        What `SampleSet.arrays` gives of all its objects, with ``present``, changed.
    columns : mapping of str to float64 array, (object,), optional
        NaN where missing; roles and units stay. A table is made of columns.

    Returns
    -------
    SampleSet
        In memory, with the same annotations, roles, units and card.

    Raises
    ------
    InputError
        For a column that does not exist or holds no numbers, or a modality without arrays of its own.
    SampleSetError
        For arrays of another shape or type than the modality's.
    """
    rows = samples.rows()
    table = samples._columns.take(rows)
    for name, values in (columns or {}).items():
        if samples.column(name).dtype.kind not in "fiub":
            raise InputError(f"column {name!r} holds no numbers, so it cannot be given other ones.")
        table = table.set_column(table.column_names.index(name), name, pa.array(np.asarray(values, dtype=np.float64), mask=~np.isfinite(values)))
    data: dict[str, ModalityData] = {name: _Behind(one, rows) for name, one in samples._data.items()}
    for name, fields in arrays.items():
        if name not in data:
            raise InputError(f"{name!r} has no arrays of its own to replace; there are {', '.join(data) or 'none'}. A table's columns are given as columns.")
        own = dict(fields)
        present = np.asarray(own.pop("present"), dtype=bool)
        data[name] = ModalityData(data[name].spec, own, present)
    # ids are not looked up in it, and one object may stand in it twice
    made = SampleSet(table, data, samples.roles, samples.units, samples.card, samples._table_spec, checked=True)
    made.annotations = samples.annotations
    return made
