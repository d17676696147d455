"""The arrays of one modality for all objects of a set, dense or ragged, in memory or memory-mapped."""

import mmap
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.samples.specification import ModalitySpec

FIELDS: dict[str, tuple[str, ...]] = {
    "image": ("flux", "mask", "ivar", "psf_fwhm"),
    "spectrum": ("lambda", "flux", "ivar", "mask", "lsf_sigma"),
    "light_curve": ("offsets", "time", "flux", "flux_err", "band", "mask", "limit"),
    "series": ("axis", "values", "mask"),
    "text": ("offsets", "utf8"),
}
"""Arrays of each kind; one file ``<modality>.<field>.npy`` each. `band` holds indices into `channels`."""
OPTIONAL = {"ivar", "psf_fwhm", "limit", "lsf_sigma"}
SHARED = {"lambda", "axis"}
"""Fields that all objects share: one axis, not one row an object."""
KIND_OF_NUMBER = {"mask": "b", "limit": "b", "offsets": "iu", "band": "iu", "utf8": "u"}
"""numpy kinds of the fields that are not floats."""

AXES = {"image": 3, "spectrum": 1, "light_curve": 0, "series": 2, "text": 0}
"""Axes of one object's values that all objects share."""


@dataclass
class ModalityData:
    """The arrays of one modality for all objects of a store.

    Attributes
    ----------
    spec : ModalitySpec
    fields : dict of array
        As in `FIELDS`. Ragged kinds hold all objects end to end, object i at ``offsets[i]:offsets[i + 1]``.
    present : bool array, (object,)
        True where the object has this modality.
    """

    spec: ModalitySpec
    fields: dict[str, NDArray[Any]]
    present: NDArray[np.bool_]

    @property
    def ragged(self) -> bool:
        """True for light curves and text."""
        return "offsets" in self.fields

    def check(self, objects: int) -> None:
        """Raise SampleSetError unless every field is there, of its kind and shape."""
        name, kind = self.spec.name, self.spec.kind
        if kind not in FIELDS:
            raise SampleSetError(f"modality {name!r} is of kind {kind!r}; arrays are kept for {', '.join(FIELDS)}.")
        lacking = [f for f in FIELDS[kind] if f not in self.fields and f not in OPTIONAL]
        unknown = sorted(set(self.fields) - set(FIELDS[kind]))
        if lacking or unknown:
            raise SampleSetError(f"modality {name!r} {'lacks ' + lacking[0] if lacking else 'has the unknown field ' + unknown[0]!r}; a {kind} has {', '.join(FIELDS[kind])}.")
        if self.present.shape != (objects,) or self.present.dtype != bool:
            raise SampleSetError(f"modality {name!r} has {len(self.present)} objects, the columns have {objects}.")
        if len(self.spec.shape) != AXES[kind] or (kind in ("image", "series") and self.spec.shape[0] != len(self.spec.channels)):
            raise SampleSetError(f"modality {name!r} has shape {self.spec.shape} and channels {self.spec.channels}, which is no {kind}.")
        for field, array in self.fields.items():
            if array.dtype.kind not in KIND_OF_NUMBER.get(field, "f"):
                raise SampleSetError(f"{name}.{field} holds {array.dtype}, which is not what this field holds.")
            expected = self._shape(field, objects)
            if array.shape != expected:
                raise SampleSetError(f"{name}.{field} has shape {array.shape}; {expected} is expected for {objects} objects.")
        self._check_offsets()

    def _shape(self, field: str, objects: int) -> tuple[int, ...]:
        if field == "offsets":
            return (objects + 1,)
        if self.ragged:
            return (int(self.fields["offsets"][-1]),) if len(self.fields["offsets"]) else (0,)
        if field in SHARED:
            return self.spec.shape[-1:]
        return (objects, len(self.spec.channels)) if field == "psf_fwhm" else (objects, *self.spec.shape)

    def _check_offsets(self) -> None:
        if self.ragged:
            offsets = self.fields["offsets"]
            if offsets[0] != 0 or np.any(np.diff(offsets) < 0):
                raise SampleSetError(f"{self.spec.name}.offsets does not ascend from 0; the file is damaged.")

    def read(self, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """The fields and ``present`` of some rows, copied; nothing else is read."""
        run = _run(rows)
        out: dict[str, NDArray[Any]] = {"present": _rows(self.present, rows, run)}
        if not self.ragged:
            for name, array in self.fields.items():
                if name not in SHARED:
                    _advise(array, None if run is not None else (rows, rows + 1))
                out[name] = np.array(array) if name in SHARED else _rows(array, rows, run)
            return out
        offsets = self.fields["offsets"]
        begin, end = (np.asarray(offsets[rows + i], dtype=np.int64) for i in (0, 1))
        out["offsets"] = np.concatenate([[0], np.cumsum(end - begin)]).astype(np.int64)
        if run is not None and len(rows):
            run = slice(int(begin[0]), int(end[-1]))
        # element k of the answer lies at k plus how far its object was moved
        index = np.zeros(0, dtype=np.int64) if run is not None else np.arange(out["offsets"][-1]) + np.repeat(begin - out["offsets"][:-1], end - begin)
        for name, array in self.fields.items():
            if name != "offsets":
                _advise(array, None if run is not None else (begin, end))
                out[name] = _rows(array, index, run)
        # looked at here, not when a set is opened: opening reads no array
        band = out.get("band")
        if band is not None and len(band) and (band.min() < 0 or band.max() >= len(self.spec.channels)):
            raise SampleSetError(f"{self.spec.name}.band holds indices outside the {len(self.spec.channels)} bands {', '.join(self.spec.channels)}.")
        return out


def _advise(array: NDArray[Any], spans: tuple[NDArray[np.int64], NDArray[np.int64]] | None) -> None:
    """Tell the system which rows of a memory-mapped file come next: these spans alone, or (None) one long stretch.

    Untold, it reads ahead around every row, by megabytes on some disks: a batch of 256 scattered rows then reads the whole file.
    """
    mapped = getattr(array, "_mmap", None)
    if mapped is None or not hasattr(mapped, "madvise"):
        return
    if spans is None:
        mapped.madvise(mmap.MADV_NORMAL)
        return
    mapped.madvise(mmap.MADV_RANDOM)
    first, row = array.offset % mmap.ALLOCATIONGRANULARITY, array.strides[0]  # type: ignore[attr-defined]
    for begin, end in zip(*(span.tolist() for span in spans), strict=True):
        page = (first + begin * row) // mmap.PAGESIZE * mmap.PAGESIZE
        if end > begin:
            mapped.madvise(mmap.MADV_WILLNEED, page, first + end * row - page)


def _run(rows: NDArray[np.int64]) -> slice | None:
    """The rows as one stretch, where they are one: a plain copy, several times faster than gathering."""
    if len(rows) == 0:
        return slice(0, 0)
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if last - first + 1 == len(rows) and bool(np.all(np.diff(rows) == 1)) else None


def _rows(array: NDArray[Any], rows: NDArray[np.int64], run: slice | None) -> NDArray[Any]:
    return np.array(array[run]) if run is not None else np.asarray(array[rows])
