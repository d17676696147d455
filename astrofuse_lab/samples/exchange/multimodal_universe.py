"""The HDF5 files of the Multimodal Universe: flat arrays under prefixed names, a folder a HEALPix cell.

Source: Angeloudi et al. 2024 (arXiv 2412.02527) and github.com/MultimodalUniverse/MultimodalUniverse, ``scripts/*/*.py``::

    <survey>/<config>/healpix=<cell>/001-of-001.hdf5       NSIDE 16, nested
        object_id, ra, dec, <columns>                      (object,)
        image_array or image_flux, image_ivar, image_mask  (object, band, y, x); a mask may lack the axis of bands
        image_band, image_psf_fwhm, image_scale            (object, band)
        spectrum_flux, spectrum_ivar, spectrum_lambda, spectrum_mask, spectrum_lsf_sigma     (object, pixel)
        lightcurve (object, band, 3, epoch: time, flux, error; PLAsTiCC), or time, flux, flux_err (object or none, band, epoch), and bands

The files do not agree among themselves. Masks of images are True where a pixel is good (HSC, JWST: ``invvar > 0``), those of spectra where
it is bad (SDSS, DESI). SDSS pads spectra with wavelength -1, light curves are padded with zeros or times of -99. PLAsTiCC does not say
its bands (ugrizY), nor do others: ``bands=`` gives them. LAMOST calls the wavelengths ``spectrum_wavelength``.

What we write adds ``<modality>_present`` where some objects lack it, ``lightcurve_mask``, ``text`` and the set's description as an
attribute; ``image_array`` and ``image_flux`` are one array under two names, as readers of both kinds exist.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.samples.arrays import ModalityData
from astrofuse_lab.samples.exchange.described import KEY, Described, bounded, columns_of, described, made, read_described
from astrofuse_lab.samples.exchange.hats import cells
from astrofuse_lab.samples.exchange.rows_in import light_curve_data, spectrum_data, text_data
from astrofuse_lab.samples.joining import joined
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import ModalitySpec

ORDER = 4  # NSIDE 16
PLASTICC = ("u", "g", "r", "i", "z", "Y")
PREFIX = {"image": "image", "spectrum": "spectrum", "light_curve": "lightcurve", "series": "series"}
SUFFIXES = (".hdf5", ".h5", ".hdf")
PAD = -99.0
Arrays = dict[str, NDArray[Any]]


def read(path: Path, config: str | None = None, bands: Sequence[str] = (), most: int | None = None) -> SampleSet:
    """A file, or all files of a folder.

    Parameters
    ----------
    path : path
    config : str, optional
        The folder below `path`, where it holds several.
    bands : sequence of str
        Of light curves, where the files do not say.
    most : int, optional
        Read at most so many files.

    Raises
    ------
    SampleSetError
        If there are no such files, or one has another layout.
    """
    found = [path]
    if path.is_dir():
        root = path / config if config else path
        found = sorted(f for f in [*root.glob("*"), *root.glob("healpix=*/*"), *root.glob("*/healpix=*/*"), *root.glob("*/*/healpix=*/*")] if f.suffix in SUFFIXES)
        folders = {f.parent.parent if f.parent.name.startswith("healpix=") else f.parent for f in found}
        if len(folders) > 1:
            raise SampleSetError(f"{path} holds several data sets: {', '.join(sorted(f.name for f in folders))}. Pass config=, one of these.")
    if not found:
        raise SampleSetError(f"{path} holds no files healpix=<cell>/*.hdf5, the layout of the Multimodal Universe.")
    return joined([_file(file, path.stem, tuple(bands)) for file in found[:most]])


def _file(file: Path, name: str, bands: tuple[str, ...]) -> SampleSet:
    import h5py

    files.exists(file)
    with files.reading(file, "HDF5 of the Multimodal Universe"), h5py.File(file, "r") as h5:
        text = h5.attrs.get(KEY)
        said = read_described(text if isinstance(text, str | bytes) else None, file)
        arrays = {}
        for key in h5:
            dataset = files.plain_dataset(file, h5, key)
            bounded(dataset.shape, file, key)
            if dataset.dtype.kind == "V":
                continue  # tables inside tables (legacysurvey's catalog) are no columns
            arrays[key] = dataset[()]
    if "object_id" not in arrays:
        raise SampleSetError(f"{file} has no object_id; it is no file of the Multimodal Universe. It has {', '.join(list(arrays)[:8])}, ...")
    if np.ndim(arrays["object_id"]) == 0:  # a file an object
        bands = _names(arrays.pop("bands")) if "bands" in arrays else bands
        arrays = {k: np.asarray(v)[None] for k, v in arrays.items()}
    elif "bands" in arrays:
        bands = _names(arrays.pop("bands"))
    return _set(arrays, said, file, name, bands)


def _names(value: Any) -> tuple[str, ...]:
    """Bands: one text with commas, or several."""
    listed = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in np.ravel(np.asarray(value, dtype=object)).tolist()]
    return tuple(listed[0].split(",")) if len(listed) == 1 and "," in listed[0] else tuple(listed)


def _set(arrays: Arrays, said: Described | None, file: Path, name: str, bands: tuple[str, ...]) -> SampleSet:
    n = len(arrays["object_id"])
    for key, array in arrays.items():
        if array.ndim == 0 or len(array) != n:
            raise SampleSetError(f"{file}: {key!r} has shape {array.shape}; the first axis must be the {n} objects.")
    specs: Mapping[str, ModalitySpec] = said.modalities if said else {m: ModalitySpec(m, m) for m in _kinds(arrays)}
    data, used = {}, set()
    for modality, spec in specs.items():
        prefix = _prefix(spec)
        mine = {k.removeprefix(prefix + "_"): v for k, v in arrays.items() if k.startswith(prefix + "_")}
        used |= {k for k in arrays if k.startswith(prefix + "_") or k == prefix}
        present = np.asarray(mine.get("present", np.ones(n, dtype=bool)), dtype=bool)
        known = spec if said else None
        if spec.kind == "image":
            data[modality] = _image(mine, present, modality, known, file)
        elif spec.kind == "spectrum":
            data[modality] = _spectrum(mine, present, modality, known, file)
        elif spec.kind == "light_curve":
            whole = arrays.get(prefix)
            if whole is None and "time" not in mine:
                mine |= {f: arrays[f] for f in ("time", "flux", "flux_err") if f in arrays}
                used |= {"time", "flux", "flux_err"}
            data[modality] = _light_curve(whole, mine, present, modality, known, file, spec.channels or bands)
        elif spec.kind == "series":
            data[modality] = ModalityData(spec, {"axis": mine["axis"][0], "values": mine["values"], "mask": mine["mask"].astype(bool)}, present)
        elif spec.kind == "text":
            data[modality] = text_data(pa.array([_decoded(v) if p else None for v, p in zip(arrays[prefix].tolist(), present, strict=True)], pa.string()), spec)
    columns = {k: _column(v) for k, v in arrays.items() if k not in used and v.ndim == 1 and (said is None or k in said.roles or k == "object_id")}
    units = {"ra": "deg", "dec": "deg"} if said is None else {}
    samples = made(pa.table(columns), data, said, file, name)
    return samples if said else SampleSet(samples._columns, data, {}, {k: u for k, u in units.items() if k in columns}, samples.card)


def _prefix(spec: ModalitySpec) -> str:
    """Of our several modalities of one kind, the names themselves."""
    return PREFIX.get(spec.kind, spec.name) if spec.name == spec.kind else spec.name


def _kinds(arrays: Arrays) -> list[str]:
    there = {"image": "image_array" in arrays or "image_flux" in arrays, "spectrum": "spectrum_flux" in arrays}
    there["light_curve"] = "lightcurve" in arrays or "lightcurve_time" in arrays or ({"time", "flux"} <= set(arrays) and arrays["time"].ndim == 3)
    return [kind for kind, found in there.items() if found]


def _decoded(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _column(values: NDArray[Any]) -> pa.Array:
    if values.dtype.kind in "SO":
        return pa.array([_decoded(v) or None for v in values.tolist()], pa.string())
    if np.ma.is_masked(values) or values.dtype.kind == "f":
        return pa.array(values, mask=np.isnan(values))
    return pa.array(values)


def _image(mine: Arrays, present: NDArray[np.bool_], name: str, spec: ModalitySpec | None, file: Path) -> ModalityData:
    flux = mine.get("flux", mine.get("array"))
    if flux is None or flux.ndim != 4:
        raise SampleSetError(f"{file}: image_flux (or image_array) must be (object, band, y, x), not {None if flux is None else flux.shape}.")
    flux = flux if flux.dtype.kind == "f" else flux.astype(np.float32)
    if spec is None:
        listed = _names(mine["band"][0]) if "band" in mine and len(flux) else tuple(f"band{i}" for i in range(flux.shape[1]))
        scale = float(np.ravel(mine["scale"])[0]) if "scale" in mine and len(flux) else 0.0
        spec = ModalitySpec(name, "image", listed, flux.shape[1:], "", scale=scale)
    mask = mine.get("mask")
    mask = np.isfinite(flux) if mask is None else mask.astype(bool)
    fields = {"flux": flux, "mask": np.array(np.broadcast_to(mask[:, None] if mask.ndim == 3 else mask, flux.shape)) & present[:, None, None, None]}
    fields |= {f: mine[f] for f in ("ivar", "psf_fwhm") if f in mine}
    return ModalityData(spec, fields, present)


def _spectrum(mine: Arrays, present: NDArray[np.bool_], name: str, spec: ModalitySpec | None, file: Path) -> ModalityData:
    mine = dict(mine)
    if "lambda" not in mine and "wavelength" in mine:
        mine["lambda"] = mine.pop("wavelength")
    if "lambda" not in mine or mine["flux"].ndim != 2 or mine["lambda"].shape[-1:] != mine["flux"].shape[-1:]:
        raise SampleSetError(f"{file}: spectrum_flux and spectrum_lambda must be (object, pixel); they are {mine['flux'].shape} and {mine.get('lambda', np.zeros(0)).shape}.")
    mine["lambda"] = np.broadcast_to(mine["lambda"], mine["flux"].shape)
    if "mask" in mine and spec is not None:
        mine["mask"] = ~mine["mask"].astype(bool)  # written as bad ones, as the Multimodal Universe has them
    if "lsf_sigma" in mine:
        width = mine["lsf_sigma"]
        mine["lsf_sigma"] = np.array(np.broadcast_to(width if width.ndim == 2 else width[:, None], mine["flux"].shape))
    if spec is None and len(mine["lambda"]):  # SDSS ends some with -1: those pixels are in nobody's axis
        longest = mine["lambda"][int(np.argmax((mine["lambda"] > 0).sum(axis=1)))]
        padded = mine["lambda"] <= 0
        mine["lambda"] = np.where(padded, longest, mine["lambda"])
        mine["mask"] = mine.get("mask", ~np.isfinite(mine["flux"])).astype(bool) | padded
    return spectrum_data({k: v for k, v in mine.items() if k in ("lambda", "flux", "ivar", "mask", "lsf_sigma")}, present, name, spec, file, True)


def _light_curve(
    whole: NDArray[Any] | None, mine: Arrays, present: NDArray[np.bool_], name: str, spec: ModalitySpec | None, file: Path, bands: tuple[str, ...]
) -> ModalityData:
    """Padded (object, band, epoch) arrays as epochs end to end, in order of time."""
    if whole is not None:
        if whole.ndim != 4 or whole.shape[2] < 3:
            raise SampleSetError(f"{file}: lightcurve must be (object, band, 3, epoch), not {whole.shape}.")
        mine = {**mine, "time": whole[:, :, 0], "flux": whole[:, :, 1], "flux_err": whole[:, :, 2]}
    time, flux = mine["time"], mine["flux"]
    if time.ndim != 3 or flux.shape != time.shape:
        raise SampleSetError(f"{file}: time and flux of light curves must be (object, band, epoch), not {time.shape} and {flux.shape}.")
    bands = bands or (PLASTICC if time.shape[1] == 6 else tuple(f"band{i}" for i in range(time.shape[1])))
    if len(bands) != time.shape[1]:
        raise SampleSetError(f"{file}: {len(bands)} bands ({', '.join(bands)}) for light curves of {time.shape[1]}. Pass bands=, in the file's order.")
    err = mine.get("flux_err", np.zeros_like(flux))
    real = ~((time == 0) & (flux == 0) & (err == 0)) & (time != PAD) & np.isfinite(time) if "real" not in mine else mine["real"].astype(bool)
    real &= present[:, None, None]
    obj, band, epoch = np.nonzero(real)
    order = np.lexsort((mine["rank"][obj, band, epoch] if "rank" in mine else band, time[obj, band, epoch] if "rank" not in mine else np.zeros(len(obj)), obj))
    at = (obj[order], band[order], epoch[order])
    offsets = np.concatenate([[0], np.cumsum(real.sum(axis=(1, 2)))]).astype(np.int64)
    got = {"time": time[at], "flux": flux[at], "flux_err": err[at], "band": np.asarray(bands, dtype=str)[at[1]] if len(at[1]) else np.zeros(0, dtype=str)}
    got |= {f: mine[f][at].astype(bool) for f in ("mask", "limit") if f in mine}
    return light_curve_data(offsets, got, present, name, spec or ModalitySpec(name, "light_curve", bands))


# ---- out ----------------------------------------------------------------------------------------------------------


def write(samples: SampleSet, path: Path) -> None:
    """A folder ``healpix=<cell>/001-of-001.hdf5`` a cell, and ``healpix.json`` that says how many objects each has."""
    import h5py

    cell = cells(samples, ORDER)
    counts = {}
    text = described(samples)
    for number in np.unique(cell).tolist():
        part = samples.take(np.flatnonzero(cell == number))
        folder = path / f"healpix={number:04d}"
        folder.mkdir()
        with h5py.File(folder / "001-of-001.hdf5", "w") as h5:
            h5.attrs[KEY] = text
            _write(part, h5)
            h5.create_dataset("healpix", data=np.full(len(part), number)) if "healpix" not in h5 else None
        counts[f"{number:04d}"] = len(part)
    (path / "healpix.json").write_text(json.dumps({"nside": 2**ORDER, "nested": True, "objects": counts}) + "\n")


def _write(part: SampleSet, h5: Any) -> None:
    packed: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    for name in columns_of(part).column_names:
        values = part.column(name)
        if values.dtype.kind == "U":
            h5.create_dataset(name, data=[v.encode() for v in values.filled("").tolist()], dtype=_text())
        else:
            empty = np.ma.getmaskarray(values)
            h5.create_dataset(name, data=np.ma.filled(values.astype(np.float64), np.nan) if empty.any() or values.dtype.kind == "f" else values.data)
    for name, spec in part.modalities.items():
        if name not in part._data:
            continue
        got, prefix = part.arrays(name), _prefix(spec)
        present = got.pop("present")
        if not present.all():
            h5.create_dataset(f"{prefix}_present", data=present)
        arrays = _padded(got, len(spec.channels)) if spec.kind == "light_curve" else got
        if spec.kind == "text":
            cuts, raw = got["offsets"].tolist(), got["utf8"].tobytes()
            h5.create_dataset(prefix, data=[raw[a:b] for a, b in itertools.pairwise(cuts)], dtype=_text())
            continue
        if spec.kind == "light_curve":
            h5.create_dataset("bands", data=[b.encode() for b in spec.channels], dtype=_text()) if "bands" not in h5 else None
        for field, array in arrays.items():
            if field in ("lambda", "axis"):
                array = np.broadcast_to(array, (len(part), *array.shape))
            h5.create_dataset(f"{prefix}_{field}", data=~array if spec.kind == "spectrum" and field == "mask" else array, **(packed if array.size else {}))
        if spec.kind == "image":
            h5[f"{prefix}_array"] = h5[f"{prefix}_flux"]
            h5.create_dataset(f"{prefix}_band", data=np.array([[b.encode() for b in spec.channels]] * len(part), dtype=object), dtype=_text())
            h5.create_dataset(f"{prefix}_scale", data=np.full((len(part), len(spec.channels)), spec.scale, dtype=np.float32))


def _text() -> Any:
    import h5py

    return h5py.string_dtype("utf-8")


def _padded(got: Arrays, bands: int) -> Arrays:
    """Epochs end to end as (object, band, epoch), padded with zeros; ``real`` marks the epochs, ``rank`` their place in the object's order."""
    counts = np.diff(got["offsets"])
    n, total = len(counts), int(got["offsets"][-1])
    owner = np.repeat(np.arange(n), counts)
    rank = np.arange(total) - np.repeat(got["offsets"][:-1], counts)
    slot = owner * max(1, bands) + got["band"]
    order = np.argsort(slot, kind="stable")
    begins = np.searchsorted(slot[order], slot[order])
    place = np.empty(total, dtype=np.int64)
    place[order] = np.arange(total) - begins
    longest = int(place.max()) + 1 if total else 0
    where = (owner, got["band"].astype(np.int64), place)
    out = {}
    for field, values in {**{f: a for f, a in got.items() if f not in ("offsets", "band")}, "real": np.ones(total, dtype=bool), "rank": rank.astype(np.int32)}.items():
        array = np.zeros((n, max(1, bands), longest), dtype=values.dtype)
        array[where] = values
        out[field] = array
    return out
