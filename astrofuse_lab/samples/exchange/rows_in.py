"""Arrow rows as a set: nested columns become modalities. Ours, and those of others: structs of lists, or lists of structs.

What our description does not say is told by the fields: ``lambda`` (or ``wavelength``) makes a spectrum, ``time`` a light curve, a two-dimensional ``flux`` or
``array`` images. Other people's spectra must share one wavelength axis, as those of a set do.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.modalities import SPECTRUM_UNIT
from astrofuse_lab.samples.arrays import FIELDS, ModalityData
from astrofuse_lab.samples.exchange.described import KEY, bounded, made, read_described
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import ModalitySpec

ALIASES = {"array": "flux", "wavelength": "lambda", "t": "time", "mjd": "time", "err": "flux_err", "fluxerr": "flux_err", "filter": "band", "band_idx": "band"}
"""Other people's names of fields."""
Lists = dict[str, pa.Array]


def from_rows(table: pa.Table, where: object, name: str, bad_masks: bool = True) -> SampleSet:
    """A set of Arrow rows.

    Parameters
    ----------
    table : pyarrow Table
    where : object
        For messages: the file.
    name : str
        Of the set, where the rows do not say.
    bad_masks : bool
        The masks of other people's spectra are True where a pixel is bad, as in the Multimodal Universe.

    Raises
    ------
    SampleSetError
        Naming file and column, where a nested column is none of the layouts.
    """
    said = read_described((table.schema.metadata or {}).get(KEY.encode()), where)
    columns, data = {}, {}
    for field in table.schema:
        column = table.column(field.name).combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = column.chunk(0) if column.num_chunks else pa.array([], field.type)
        column = _plain(column)
        spec = said.modalities.get(field.name) if said else None
        if spec is not None and spec.kind == "text":
            data[field.name] = text_data(column, spec)
        elif (lists := struct_of_lists(column)) is not None:
            one = _modality(lists, np.asarray(column.is_valid()), field.name, spec, where, bad_masks)
            if one is not None:
                data[field.name] = one
        elif not pa.types.is_nested(column.type):
            columns[field.name] = _scalar(column)
    return made(pa.table(columns), data, said, where, name)


def _plain(column: pa.Array) -> pa.Array:
    while isinstance(column, pa.ExtensionArray):
        column = column.storage
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _scalar(column: pa.Array) -> pa.Array:
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        return column.cast(pa.string())
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return pa.array([None if v is None else v.decode("utf-8", "replace") for v in column.to_pylist()], pa.string())
    if pa.types.is_temporal(column.type) or pa.types.is_decimal(column.type):
        return column.cast(pa.string())
    return column


def struct_of_lists(column: pa.Array) -> Lists | None:
    """Fields of a nested column, each a list array over the rows; None where it is no such column."""
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        if not pa.types.is_struct(kind.value_type):
            return None
        column = column.cast(pa.list_(kind.value_type)) if not pa.types.is_list(kind) else column
        values = column.flatten()
        offsets = pa.array(_offsets(column).astype(np.int32))
        return {ALIASES.get(f.name, f.name): pa.ListArray.from_arrays(offsets, _plain(values.field(i))) for i, f in enumerate(values.type)}
    if not pa.types.is_struct(kind):
        return None
    lists = {ALIASES.get(f.name, f.name): _plain(part) for f, part in zip(kind, column.flatten(), strict=True)}  # flatten: null where the struct is
    return lists if lists and all(pa.types.is_list(v.type) or pa.types.is_large_list(v.type) or pa.types.is_fixed_size_list(v.type) for v in lists.values()) else None


def _offsets(column: pa.Array) -> NDArray[np.int64]:
    """Where each row's values begin; empty for null rows."""
    lengths = np.asarray(column.value_lengths().fill_null(0)) if not pa.types.is_fixed_size_list(column.type) else np.where(np.asarray(column.is_valid()), column.type.list_size, 0)
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _flat(column: pa.Array) -> tuple[list[NDArray[np.int64]], pa.Array]:
    """Offsets of each level of lists, and the values."""
    levels = []
    column = _plain(column)
    while pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type):
        levels.append(_offsets(column))
        column = _plain(column.flatten())
    return levels, column


def _values(column: pa.Array, where: object, name: str) -> NDArray[Any]:
    if pa.types.is_boolean(column.type):
        return np.asarray(column.fill_null(False)).astype(bool)
    if pa.types.is_integer(column.type):
        return np.asarray(column.fill_null(0))
    if pa.types.is_floating(column.type):
        return np.asarray(column.fill_null(float("nan")))
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_null(column.type):
        return np.asarray([v or "" for v in column.to_pylist()], dtype=str)
    raise SampleSetError(f"{where}: {name} holds {column.type}; numbers, truth values or text are expected.")


def dense(column: pa.Array, present: NDArray[np.bool_], where: object, name: str, known: tuple[int, ...] = ()) -> NDArray[Any]:
    """Lists of one shape (`known`, where no object tells) as an array (object, ...); zeros where the object lacks them."""
    levels, flat = _flat(column)
    shape = []
    count = int(present.sum())
    for level in levels:
        lengths = np.diff(level)
        lengths = lengths[present] if level is levels[0] else lengths
        if len(lengths) and (lengths != lengths[0]).any():
            raise SampleSetError(f"{where}: {name} has lists of {lengths.min()} to {lengths.max()} values; all objects must have the same shape. Cut or resample them, or read fewer at a time.")
        shape.append(int(lengths[0]) if len(lengths) else 0)
    bounded((len(present), *shape), where, name)
    values = _values(flat, where, name)
    if count == 0:
        return np.zeros((len(present), *(known or (0,) * len(levels))), dtype=values.dtype)
    out = np.zeros((len(present), *shape), dtype=values.dtype)
    out[present] = values.reshape(count, *shape)
    return out


def text_data(column: pa.Array, spec: ModalitySpec) -> ModalityData:
    """A column of text as a modality."""
    raw = [(v or "").encode() for v in column.to_pylist()]
    offsets = np.concatenate([[0], np.cumsum([len(r) for r in raw])]).astype(np.int64)
    return ModalityData(spec, {"offsets": offsets, "utf8": np.frombuffer(b"".join(raw), dtype=np.uint8)}, np.asarray(column.is_valid()))


def _modality(lists: Lists, present: NDArray[np.bool_], name: str, spec: ModalitySpec | None, where: object, bad_masks: bool) -> ModalityData | None:
    kind = spec.kind if spec is not None else _told(lists)
    if kind is None:
        return None  # nested columns that are no modality, such as a list of cross-identifications
    present = present & (np.diff(_offsets(next(iter(lists.values())))) > 0) if spec is None or kind != "light_curve" else present  # LSDB writes empty lists for null
    make = {"image": _image, "spectrum": _spectrum, "light_curve": _light_curve, "series": _series}.get(kind)
    if make is None:
        raise SampleSetError(f"{where}: {name!r} is said to be a {kind}, which has no nested layout.")
    return make(lists, present, name, spec, where, bad_masks)


def _told(lists: Lists) -> str | None:
    """The kind of a nested column that is not ours."""
    if {"channel", "axis", "values"} <= set(lists):
        return "series"
    if "lambda" in lists and "flux" in lists:
        return "spectrum"
    if "flux" in lists and len(_flat(lists["flux"])[0]) == 3:
        return "image"
    return "light_curve" if {"time", "flux"} <= set(lists) else None


def _first(values: NDArray[Any], present: NDArray[np.bool_]) -> NDArray[Any]:
    at = np.flatnonzero(present)
    return values[at[0]] if len(at) else values[:1].reshape(-1)[:0]


def _image(lists: Lists, present: NDArray[np.bool_], name: str, spec: ModalitySpec | None, where: object, bad_masks: bool) -> ModalityData:
    wanted = {f: c for f, c in lists.items() if f in ("band", "flux", "mask", "ivar", "psf_fwhm", "scale")}
    known = spec.shape if spec is not None else ()
    parts = {f: dense(c, present, where, f"{name}.{f}", known if f in ("flux", "mask", "ivar") else known[:1]) for f, c in wanted.items()}
    flux = parts["flux"] if parts["flux"].dtype.kind == "f" else parts["flux"].astype(np.float32)
    bands = parts.get("band", np.zeros((len(present), 0)))
    if spec is None:
        names = tuple(map(str, _first(bands, present))) or tuple(f"band{i}" for i in range(flux.shape[1]))
        if bands.shape[1] and (bands[present] != bands[present][:1]).any():
            raise SampleSetError(f"{where}: the images of {name!r} have different bands or orders of bands; read sets of one kind at a time.")
        scale = float(_first(parts["scale"], present)[0]) if "scale" in parts and present.any() else 0.0
        spec = ModalitySpec(name, "image", names, flux.shape[1:], "", scale=scale)
    mask = parts["mask"].astype(bool) if "mask" in parts else np.isfinite(flux) & present[:, None, None, None]
    fields = {"flux": flux.reshape(len(present), *spec.shape), "mask": mask.reshape(len(present), *spec.shape)}
    fields |= {f: parts[f].reshape((len(present), *spec.shape) if f == "ivar" else (len(present), -1)) for f in ("ivar", "psf_fwhm") if f in parts}
    return ModalityData(spec, fields, present)


def _spectrum(lists: Lists, present: NDArray[np.bool_], name: str, spec: ModalitySpec | None, where: object, bad_masks: bool) -> ModalityData:
    parts = {f: dense(c, present, where, f"{name}.{f}", spec.shape if spec is not None else ()) for f, c in lists.items() if f in FIELDS["spectrum"]}
    return spectrum_data(parts, present, name, spec, where, bad_masks)


def spectrum_data(parts: Mapping[str, NDArray[Any]], present: NDArray[np.bool_], name: str, spec: ModalitySpec | None, where: object, bad_masks: bool) -> ModalityData:
    """Spectra with a wavelength axis an object, which must be one and the same."""
    axes = parts["lambda"][present]
    axis = np.asarray(axes[0] if len(axes) else np.zeros(parts["lambda"].shape[-1]), dtype=np.float64)
    if len(axes) and (axes != axes[:1]).any():
        row = int(np.flatnonzero(present)[np.flatnonzero((axes != axes[:1]).any(axis=1))[0]])
        raise SampleSetError(
            f"{where}: the spectra of {name!r} have wavelengths of their own (row {row} differs from the first); a set has one axis. Fetch or read them one by one and af.align(..., spectrum=af.LogGrid(...))."
        )
    flux = parts["flux"] if parts["flux"].dtype.kind == "f" else parts["flux"].astype(np.float32)
    good = ~parts["mask"].astype(bool) if spec is None and bad_masks and "mask" in parts else parts.get("mask", np.isfinite(flux)).astype(bool)
    ivar = parts["ivar"] if "ivar" in parts else np.where(good, np.float32(1), np.float32(0))
    fields = {"lambda": axis, "flux": flux, "ivar": ivar, "mask": good & present[:, None]}
    if "lsf_sigma" in parts:
        fields["lsf_sigma"] = parts["lsf_sigma"]
    spec = spec or ModalitySpec(name, "spectrum", (), (flux.shape[1],), SPECTRUM_UNIT)
    return ModalityData(spec, fields, present)


def _light_curve(lists: Lists, present: NDArray[np.bool_], name: str, spec: ModalitySpec | None, where: object, bad_masks: bool) -> ModalityData:
    offsets = _offsets(lists["time"])
    got: dict[str, NDArray[Any]] = {}
    for field, column in lists.items():
        if field in FIELDS["light_curve"]:
            if not np.array_equal(_offsets(column), offsets):
                raise SampleSetError(f"{where}: {name}.{field} has other lengths than {name}.time.")
            got[field] = _values(_flat(column)[1], where, f"{name}.{field}")
    return light_curve_data(offsets, got, present, name, spec)


def light_curve_data(offsets: NDArray[np.int64], got: Mapping[str, NDArray[Any]], present: NDArray[np.bool_], name: str, spec: ModalitySpec | None) -> ModalityData:
    """Epochs end to end; bands by name or number."""
    n = int(offsets[-1])
    band = got.get("band", np.full(n, "unknown")).astype(str)
    bands = spec.channels if spec is not None else tuple(map(str, np.unique(band)))
    places = {b: i for i, b in enumerate(bands)}
    width = np.int8 if len(bands) < 128 else np.int32
    flux, time = np.asarray(got["flux"]), np.asarray(got["time"], dtype=np.float64)
    err = np.asarray(got.get("flux_err", np.zeros(n, dtype=np.float32)))
    fields = {
        "offsets": offsets, "time": time, "flux": flux if flux.dtype.kind == "f" else flux.astype(np.float32), "flux_err": err if err.dtype.kind == "f" else err.astype(np.float32),
        "band": np.array([places[b] for b in band], dtype=width), "mask": np.asarray(got["mask"], dtype=bool) if "mask" in got else np.isfinite(flux) & np.isfinite(time),
    }  # fmt: skip
    if "limit" in got:
        fields["limit"] = np.asarray(got["limit"], dtype=bool)
    return ModalityData(spec or ModalitySpec(name, "light_curve", bands, (), "", clock=""), fields, present)


def _series(lists: Lists, present: NDArray[np.bool_], name: str, spec: ModalitySpec | None, where: object, bad_masks: bool) -> ModalityData:
    parts = {f: dense(c, present, where, f"{name}.{f}", spec.shape[: 1 if f == "channel" else 2] if spec is not None else ()) for f, c in lists.items()}
    axis = np.asarray(_first(parts["axis"], present)).reshape(-1, parts["values"].shape[-1])
    spec = spec or ModalitySpec(name, "series", tuple(map(str, _first(parts["channel"], present))), parts["values"].shape[1:], "", axis="sample")
    whole = (len(present), *spec.shape)
    fields = {"axis": axis[0] if len(axis) else np.zeros(spec.shape[-1]), "values": parts["values"].reshape(whole), "mask": parts.get("mask", np.isfinite(parts["values"])).reshape(whole)}
    return ModalityData(spec, fields, present)
