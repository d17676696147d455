"""What the map is drawn from: planes of coordinates and columns, for the wire or on the shelf."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets.shelf import Shelf
from astrofuse_lab.widgets.wire import CATEGORIES, ORDER, columns_payload, plain

if TYPE_CHECKING:
    from astrofuse_lab.explain.embedding import Embedding
    from astrofuse_lab.samples.sample_set import SampleSet

LARGE = 20_000
"""Samples above which columns are sent one by one, when the view needs them."""
MISSING = 255


@dataclass(frozen=True)
class Arrays:
    """Coordinates given as they are, instead of a run that makes them.

    Attributes
    ----------
    planes : dict of space to float32 array, (n, 2)
    ids : str array, (n,), or None
        None: their row numbers.
    columns : dict of name to array, (n,)
    notes : list of str
    """

    planes: dict[str, NDArray[np.float32]]
    ids: NDArray[np.str_] | None
    columns: dict[str, Any]
    notes: list[str]

    @property
    def n(self) -> int:
        """How many points there are."""
        return len(next(iter(self.planes.values())))


def read_arrays(xy: Any, columns: Any, ids: Iterable[Any] | None) -> Arrays:
    """Check what was given to `EmbeddingWidget.from_arrays`.

    Raises
    ------
    InputError
        If shapes do not agree, ids are not unique, or nothing was given.
    """
    given = dict(xy) if isinstance(xy, Mapping) else {"given": xy}
    if not given:
        raise InputError("xy is empty. Give an array of n rows, or a dict of space to such arrays.")
    notes: list[str] = []
    planes = {str(space): _plane(str(space), one, notes) for space, one in given.items()}
    rows = {space: len(plane) for space, plane in planes.items()}
    n = next(iter(rows.values()))
    if len(set(rows.values())) > 1:
        raise InputError(f"the spaces have {rows} rows. Give the same samples in every space, with NaN where one has no place.")
    named = {name: columns[name] for name in (columns.colnames if hasattr(columns, "colnames") else columns)} if columns is not None else {}
    for name, values in named.items():
        if np.ndim(values) != 1 or len(values) != n:
            raise InputError(f"the column {name!r} has shape {np.shape(values)}; {n} points need ({n},).")
    text = None
    if ids is not None:
        text = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids)).astype(str)
        if text.shape != (n,) or len(np.unique(text)) != n:
            raise InputError(f"ids has shape {text.shape} with {len(np.unique(text))} different values; {n} points need as many ids, each once.")
    return Arrays(planes, text, named, notes)


def _plane(space: str, values: Any, notes: list[str]) -> NDArray[np.float32]:
    found = np.asarray(values, dtype=np.float32)
    if found.ndim != 2 or found.shape[1] < 2:
        raise InputError(f"xy of {space!r} has shape {found.shape}; (n, 2) coordinates or (n, width) vectors are needed.")
    if found.shape[1] == 2:
        return np.ascontiguousarray(np.where(np.isfinite(found).all(1, keepdims=True), found, np.float32(np.nan)))
    from astrofuse_lab.explain.planes import principal_plane

    notes.append(f"{space}: the first two principal components of {found.shape[1]} numbers")
    known = np.isfinite(found).all(1)
    plane = np.full((len(found), 2), np.nan, dtype=np.float32)
    plane[known] = principal_plane(found[known])
    return plane


# ---- planes --------------------------------------------------------------------------------------------------------


def plane_payload(shelf: Shelf, name: str, space: str, xy: NDArray[np.float32], **more: Any) -> dict[str, Any]:
    """One plane for the view: coordinates (NaN where a sample has no place) and how many samples have one."""
    plane = np.asarray(xy, dtype=np.float32)
    n = int(np.isfinite(plane).all(1).sum())
    return {"space": space, "xy": shelf.put(f"{name}.{space}", lambda: plane, "float32", plane.shape), "n": n, **more}


def map_payload(shelf: Shelf, embedding: "Embedding") -> list[dict[str, Any]]:
    """The planes of an embedding, each with its trustworthiness and the size of the neighbourhoods it was measured in."""
    return [
        plane_payload(
            shelf, embedding.method, space, embedding.coordinates[space],
            trust=plain(embedding.trustworthiness(space)), k=int(embedding.k), badges=badges_of(embedding, space),
        )
        for space in embedding.spaces
    ]  # fmt: skip


# ---- columns -------------------------------------------------------------------------------------------------------


def column_head(shelf: Shelf, name: str, values: Any, role: str = "other", unit: str = "") -> dict[str, Any]:
    """One column for the view: kind and labels now, its values when they are wanted.

    A category is a code of one byte a sample, 255 where missing; numbers are float32 with NaN; text is UTF-8 lines.
    """
    column = np.ma.asarray(values)
    base = {"name": name, "role": role, "unit": unit, "n": len(column)}
    mask = np.ma.getmaskarray(column)
    if column.dtype.kind in "fiu":
        full = np.ma.filled(column, 0)
        exact = column.dtype.kind in "iu" and column.dtype.itemsize > 2 and np.abs(full).max(initial=0) > 2**24  # float32 has no more whole numbers
        make = lambda: np.where(mask, np.nan, full)  # noqa: E731
        return {**base, "kind": "number", "values": shelf.put(f"column.{name}", make, "float64" if exact else "float32", column.shape)}
    text = np.asarray(np.ma.filled(column, "" if column.dtype.kind in "US" else False)).astype(str)
    labels, codes = _coded(text, mask)
    if labels is not None:
        return {**base, "kind": "category", "labels": labels, "values": shelf.put(f"column.{name}", lambda: codes, "uint8", codes.shape)}
    return {**base, "kind": "text", **_lines(shelf, name, text)}


def _lines(shelf: Shelf, name: str, text: NDArray[np.str_]) -> dict[str, Any]:
    """Text as UTF-8, a line a sample."""
    joined = np.frombuffer("\n".join([s.replace("\n", " ") for s in text.tolist()]).encode(), dtype=np.uint8)
    return {"utf8": shelf.put(f"column.{name}", lambda: joined, "uint8", joined.shape)}


def _coded(text: NDArray[np.str_], mask: NDArray[np.bool_]) -> tuple[list[str] | None, NDArray[np.uint8]]:
    """Labels in order and the code of each sample; None where there are too many. By pyarrow: a tenth of the time of sorting a million strings."""
    import pyarrow as pa

    encoded = pa.array(text, mask=mask).dictionary_encode()
    found = encoded.dictionary.to_pylist()
    if len(found) > CATEGORIES:
        return None, np.empty(0, dtype=np.uint8)
    order = np.argsort(np.array(found, dtype=str), kind="stable")
    place = np.empty(len(found) + 1, dtype=np.uint8)
    place[order], place[-1] = np.arange(len(found)), MISSING
    codes = encoded.indices.fill_null(len(found)).to_numpy(zero_copy_only=False)
    return [found[i] for i in order], place[codes]


def id_head(shelf: Shelf, ids: NDArray[np.str_] | None, n: int) -> dict[str, Any]:
    """The ids as a column; row numbers need not be sent."""
    if ids is None:
        return {"name": "object_id", "role": "id", "unit": "", "kind": "text", "n": n, "rows": True}
    return {"name": "object_id", "role": "id", "unit": "", "kind": "text", "n": n, **_lines(shelf, "object_id", ids)}


def heads_of_set(shelf: Shelf, samples: "SampleSet") -> list[dict[str, Any]]:
    """Ids and columns of a set: as every view has them, or for a large set each one apart, so that any of them can be asked for."""
    if len(samples) <= LARGE:
        return columns_payload(samples)
    names = sorted((n for n in samples.roles if n != "object_id"), key=lambda n: ORDER[samples.roles[n]])
    rest = [column_head(shelf, n, samples.column(n), samples.roles[n], samples.units.get(n, "")) for n in names]
    return [id_head(shelf, samples.object_ids, len(samples)), *rest]


def heads_of_arrays(shelf: Shelf, given: Arrays) -> list[dict[str, Any]]:
    """Ids and columns given as arrays; the first column that is a category is what the map is coloured by at first."""
    heads = [id_head(shelf, given.ids, given.n), *(column_head(shelf, name, values) for name, values in given.columns.items())]
    at = next((i for kind in ("category", "number") for i, head in enumerate(heads) if head["kind"] == kind), None)
    if at is not None:
        heads[at]["role"] = "target"
    return heads


def badges_of(embedding: "Embedding", space: str, seeds: int = 0, stop: Any = None) -> list[dict[str, Any]]:
    """What may be believed of a plane, for the view: name, value, interval where there is one, and what it means."""
    kept = ("name", "value", "low", "high", "says")
    return [{key: plain(badge.get(key)) for key in kept} for badge in embedding.badges(space, seeds, stop=stop)]


def group_columns(shelf: Shelf, embedding: "Embedding", space: str) -> list[dict[str, Any]]:
    """Clusters and how strange each sample is, in a space, as columns to colour by."""
    found = embedding.clusters(space)
    named = np.array([f"cluster {label + 1}" if label >= 0 else "in none" for label in found.labels])
    strange = embedding.anomalies(space)["percentile"]
    return [
        column_head(shelf, f"cluster ({space})", np.ma.MaskedArray(named, found.labels < -1), "group"),
        column_head(shelf, f"anomaly ({space})", np.ma.MaskedArray(np.asarray(np.ma.filled(strange, np.nan)), np.ma.getmaskarray(np.ma.asarray(strange))), "group", "percentile"),
    ]  # fmt: skip
