"""Samples as the views get them: JSON values and arrays as bytes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.spectral_lines import LINES as LINES
from astrofuse_lab.modalities import Image, LightCurve, Modality, Series, Spectrum, TableRow, Text

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet

CATEGORIES = 64
"""A text column with at most so many values is a category: it has a legend and colours."""
CELLS = 1_500_000
"""Column values sent to a view at most: 12 MB, about a second on a slow line."""
ORDER = {"target": 0, "group": 1, "input": 2, "split": 3, "other": 4, "id": 5}


def array(values: Any, dtype: str = "float32") -> dict[str, Any]:
    """An array as the wire has it: dtype, shape and little-endian bytes."""
    packed = np.ascontiguousarray(values, dtype=np.dtype(dtype).newbyteorder("<"))
    return {"dtype": dtype, "shape": list(packed.shape), "data": packed.tobytes()}


def plain(value: Any) -> Any:
    """A scalar that JSON can hold: NaN and infinities become None, since JSON has none."""
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


# ---- one sample ----------------------------------------------------------------------------------------------------


def _levels(plane: NDArray[Any], mask: NDArray[np.bool_]) -> list[float]:
    """Sky, noise and bright end of one band: median, 1.4826 MAD, 99.7th percentile; what the stretch is measured in."""
    good = plane[mask & np.isfinite(plane)].astype(np.float64)
    if good.size == 0:
        return [0.0, 1.0, 1.0]
    sky = float(np.median(good))
    noise = 1.4826 * float(np.median(np.abs(good - sky))) or float(good.std()) or 1.0
    return [sky, noise, max(float(np.quantile(good, 0.997)), sky + 3 * noise)]


def compass(wcs: Mapping[str, Any]) -> list[float] | None:
    """Where north and east point in pixels (x, y, x, y; unit vectors) by the linear part of an equatorial WCS; None where it is another or unknown."""
    if not str(wcs.get("CTYPE1", "")).startswith("RA--"):
        return None
    value = {key: float(v) for key, v in wcs.items() if isinstance(v, int | float)}
    given = [value.get(f"CD{k}", 0.0) for k in ("1_1", "1_2", "2_1", "2_2")]
    if not any(given):
        step, turned = [value.get("CDELT1", 1.0), value.get("CDELT2", 1.0)], [value.get(f"PC{k}", d) for k, d in (("1_1", 1.0), ("1_2", 0.0), ("2_1", 0.0), ("2_2", 1.0))]
        given = [step[0] * turned[0], step[0] * turned[1], step[1] * turned[2], step[1] * turned[3]]
    a, b, c, d = given
    out = []
    for x, y in ((-b, a), (d, -c)):  # of (0, 1) and (1, 0) on the sky, by the inverse matrix
        sign = np.sign(a * d - b * c) / (np.hypot(x, y) or 1.0)
        out += [float(x * sign), float(y * sign)]
    return out if np.isfinite(out).all() and any(out) else None


def sky_grid(wcs: Mapping[str, Any], shape: tuple[int, int], places: int = 5) -> NDArray[np.float64] | None:
    """Directions on the sky, (place, place, 3), of a grid from edge to edge of an image of `shape` (y, x), y first; None without an equatorial WCS.

    They are unit vectors, so that a view can put a pointer between them, also across the pole and at 0h; for images of up to a degree
    the error of that is far below a pixel.
    """
    if not str(wcs.get("CTYPE1", "")).startswith("RA--"):
        return None
    from astropy.io.fits import Header
    from astropy.wcs import WCS

    y, x = np.meshgrid(*(np.linspace(-0.5, n - 0.5, places) for n in shape), indexing="ij")
    ra, dec = np.radians(WCS(Header({key: value for key, value in wcs.items() if value is not None})).wcs_pix2world(x, y, 0))
    out = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], -1)
    return out if np.isfinite(out).all() else None


def _image(one: Image) -> dict[str, Any]:
    mask = np.asarray(one.mask, dtype=bool)
    sky = sky_grid(one.wcs, one.flux.shape[-2:])
    return {
        "sky": None if sky is None else array(sky, "float64"),
        "levels": [_levels(plane, good) for plane, good in zip(one.flux, mask, strict=True)],
        "flux": array(np.where(mask, one.flux, 0)), "mask": array(mask, "uint8"), "bands": list(one.bands), "scale": float(one.scale), "unit": one.unit,
        "psf_fwhm": [plain(v) for v in one.psf_fwhm or ()], "compass": compass(one.wcs),
    }  # fmt: skip


def _spectrum(one: Spectrum) -> dict[str, Any]:
    ivar = np.asarray(one.ivar, dtype=np.float64)
    error = np.where(ivar > 0, 1 / np.sqrt(np.where(ivar > 0, ivar, 1)), np.nan)
    return {
        "wavelength": array(one.wavelength, "float64"), "flux": array(one.flux), "error": array(error), "mask": array(one.mask, "uint8"),
        "unit": one.unit, "lines": [list(line) for line in LINES],
    }  # fmt: skip


def _light_curve(one: LightCurve, channels: Sequence[str] = ()) -> dict[str, Any]:
    # the set's order, so that a band has one colour and one symbol for all objects
    bands = list(dict.fromkeys([*channels, *np.asarray(one.band).tolist()]))
    limit = one.limit if one.limit is not None else np.zeros(len(one.time), dtype=bool)
    return {
        "time": array(one.time, "float64"), "flux": array(one.flux), "error": array(one.flux_err), "mask": array(one.mask, "uint8"), "limit": array(limit, "uint8"),
        "band": array([bands.index(b) for b in one.band], "int32"), "bands": bands, "unit": one.unit, "clock": one.clock,
    }  # fmt: skip


def _series(one: Series) -> dict[str, Any]:
    return {
        "axis": array(one.axis, "float64"), "values": array(one.values), "mask": array(one.mask, "uint8"), "channels": list(one.channels),
        "axis_name": one.axis_name, "axis_unit": one.axis_unit, "unit": one.unit,
    }  # fmt: skip


def _table(one: TableRow) -> dict[str, Any]:
    return {"rows": [[name, plain(value), one.units.get(name, "")] for name, value in one.values.items()]}


def _text(one: Text) -> dict[str, Any]:
    from astrofuse_lab.alignment.text import WORD

    # places of the words that a model reads, so that the view can mark them in the text as written
    return {"text": one.text, "words": [[m.start(), m.end()] for m in WORD.finditer(one.text.lower())]}


PACK = {Image: _image, Spectrum: _spectrum, Series: _series, TableRow: _table, Text: _text}


def pack(modality: Modality, channels: Sequence[str] = ()) -> dict[str, Any]:
    """One modality of one object, with where it came from; one that has no drawing of its own is named."""
    source = modality.provenance
    if isinstance(modality, LightCurve):
        packed = _light_curve(modality, channels)
    else:
        packed = PACK[type(modality)](modality) if type(modality) in PACK else {"plain": type(modality).__name__}  # type: ignore[operator]
    return {**packed, "source": source.survey, "citation": source.citation, "simulated": source.simulated}


def sample_payload(samples: "SampleSet", position: int) -> dict[str, Any]:
    """One object for a view: its columns, and each modality of the set, present or not."""
    sample = samples[position]
    roles, units = samples.roles, samples.units
    modalities = []
    for name, spec in samples.modalities.items():
        one = sample.modalities[name]
        modalities.append({"name": name, "kind": spec.kind, "present": one is not None, **(pack(one, spec.channels) if one is not None else {})})
    columns = [[name, plain(value), units.get(name, ""), roles[name]] for name, value in sample.columns.items() if name != "object_id"]
    return {"position": position, "object_id": sample.object_id, "columns": columns, "modalities": modalities}


# ---- columns of a set ----------------------------------------------------------------------------------------------


def column_payload(name: str, values: "np.ma.MaskedArray[Any, Any]", role: str = "other", unit: str = "") -> dict[str, Any]:
    """One column: a category (codes and labels, -1 missing), numbers (NaN missing), or text."""
    mask = np.ma.getmaskarray(values)
    base = {"name": name, "role": role, "unit": unit}
    if values.dtype.kind in "fiu":
        return {**base, "kind": "number", "values": array(np.where(mask, np.nan, np.ma.filled(values, 0).astype(np.float64)), "float64")}
    text = np.asarray(np.ma.filled(values, "" if values.dtype.kind in "US" else False)).astype(str)
    labels, codes = np.unique(text[~mask], return_inverse=True)
    if len(labels) <= CATEGORIES:
        full = np.full(len(text), -1, dtype=np.int32)
        full[~mask] = codes
        return {**base, "kind": "category", "labels": labels.tolist(), "values": array(full, "int32")}
    return {**base, "kind": "text", "utf8": _joined(text)}


def _joined(text: NDArray[np.str_]) -> bytes:
    return "\n".join(s.replace("\n", " ") for s in text.tolist()).encode()


def columns_payload(samples: "SampleSet") -> list[dict[str, Any]]:
    """The ids, which modalities each object has, and as many columns as may be sent: targets first."""
    ids = {"name": "object_id", "role": "id", "unit": "", "kind": "text", "utf8": _joined(samples.object_ids)}
    names = sorted((n for n in samples.roles if n != "object_id"), key=lambda n: ORDER[samples.roles[n]])
    room = max(4, CELLS // max(len(samples), 1))
    return [ids, *(column_payload(n, samples.column(n), samples.roles[n], samples.units.get(n, "")) for n in names[:room])]


def coverage_payload(samples: "SampleSet") -> list[Mapping[str, Any]]:
    """Each modality of a set, its kind, and who has it."""
    return [{"name": name, "kind": spec.kind, "present": array(samples.present(name), "uint8")} for name, spec in samples.modalities.items()]
