"""Ten galaxies of SDSS with picture, spectrum, photometry and redshift: a matched fixture."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.modalities import SPECTRUM_UNIT
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

GALAXIES = "sdss10.parquet"
FILES = (GALAXIES,)
VERSION = files.version(__file__)
FIRST, STEP = 3.5795, 1e-4
"""log10 of the first wavelength (Angstrom, vacuum) that any of the spectra has, and the step of all SDSS spectra."""
PIXELS, SIDE = 3851, 256
INPUTS = tuple(f"spectroflux_{band}" for band in "ugriz")

CITATION = "SDSS DR19: SDSS Collaboration 2025, arXiv:2507.07093; York et al. 2000, AJ 120, 1579; github.com/gsiemon/galaxy_classification_guide @ a6b9ad3"
LICENCE = "no licence file in the repository; SDSS data are public, images CC BY: acknowledge SDSS"
NOTES = (
    "Ten objects: for tests and a first look, not for training.",
    "The image is an 8-bit JPEG: three bands squeezed through an arcsinh stretch, without zero point, mask or known pixel size. Measure nothing on it.",
    "spectroflux_* are made from the spectrum itself, so spectrum and table are not independent.",
    "zwarning is 0 for all ten.",
)


def read(folder: Path) -> SampleSet:
    """Read the galaxies.

    Parameters
    ----------
    folder : path
        Holds `FILES`.

    Returns
    -------
    SampleSet
        Modalities ``image`` (red, green, blue; 256 x 256; 8-bit levels), ``spectrum`` and ``table``; targets ``z`` and ``subclass``.

    Raises
    ------
    SampleSetError
        If the file is missing, unreadable, or holds other pictures or wavelengths.
    """
    file = folder / GALAXIES
    rows = files.parquet(file, ("objid", "ra", "dec", "z", "loglam", "flux", "ivar", "jpeg", *INPUTS))
    provenance = Provenance("sdss-galaxies-10", release="DR19", query=GALAXIES, citation=CITATION, licence=LICENCE)
    data = {"image": _pictures(file, rows, provenance), "spectrum": _spectra(file, rows, provenance)}
    kept = [name for name in rows.column_names if name not in ("objid", "loglam", "flux", "ivar", "jpeg")]
    columns = pa.table({"object_id": rows.column("objid")} | {name: _without_empty(rows.column(name)) for name in kept})
    roles = files.roles_of(columns, INPUTS, target=("z", "subclass"))
    card = Card("sdss-galaxies-10", "Ten SDSS galaxies with picture, spectrum and photometry", False, CITATION, LICENCE, NOTES)
    units = {"ra": "deg", "dec": "deg"} | dict.fromkeys(INPUTS, "nmgy")
    return SampleSet(columns, data, roles, units, card, ModalitySpec("table", "table", provenance=provenance))


def _without_empty(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Empty text is missing."""
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, column.type), column) if pa.types.is_string(column.type) else column


def _pictures(file: Path, rows: pa.Table, provenance: Provenance) -> ModalityData:
    from PIL import Image

    flux = np.zeros((len(rows), 3, SIDE, SIDE), dtype=np.float32)
    for i, content in enumerate(rows.column("jpeg").to_pylist()):
        with files.reading(file, f"a JPEG in row {i}"), Image.open(io.BytesIO(content), formats=("JPEG",)) as picture:
            if picture.size != (SIDE, SIDE) or picture.mode != "RGB":
                raise SampleSetError(f"{file}: the picture of row {i} is {picture.mode} of {picture.size}; RGB of {(SIDE, SIDE)} is expected. {files.AGAIN}")
            # pictures have their first row on top, images of the sky at the bottom
            flux[i] = np.asarray(picture, dtype=np.float32).transpose(2, 0, 1)[:, ::-1]
    spec = ModalitySpec("image", "image", ("red", "green", "blue"), flux.shape[1:], "8-bit level", oriented=False, provenance=provenance)
    return ModalityData(spec, {"flux": flux, "mask": np.ones(flux.shape, dtype=bool)}, np.ones(len(rows), dtype=bool))


def _spectra(file: Path, rows: pa.Table, provenance: Provenance) -> ModalityData:
    (offsets, where), (begins, flux), (ends, ivar) = (files.lists(file, rows, name) for name in ("loglam", "flux", "ivar"))
    place = (where - FIRST) / STEP
    pixel = np.rint(place).astype(np.int64)
    # float32 keeps log10 of a wavelength to three thousandths of a step
    if not (np.array_equal(offsets, begins) and np.array_equal(offsets, ends)) or (np.abs(place - pixel) > 0.02).any() or pixel.min() < 0 or pixel.max() >= PIXELS:
        raise SampleSetError(f"{file}: loglam, flux and ivar differ in length or are not on the grid {FIRST} + {STEP} i. {files.AGAIN}")
    row = np.repeat(np.arange(len(rows)), np.diff(offsets))
    good = np.isfinite(flux) & np.isfinite(ivar) & (ivar > 0)
    fields: dict[str, NDArray[Any]] = {"lambda": 10 ** (FIRST + STEP * np.arange(PIXELS))}
    for name, values, kind in (("flux", flux, np.float32), ("ivar", ivar, np.float32), ("mask", good, bool)):
        fields[name] = np.zeros((len(rows), PIXELS), dtype=kind)
        fields[name][row[good], pixel[good]] = values[good]
    spec = ModalitySpec("spectrum", "spectrum", (), (PIXELS,), SPECTRUM_UNIT, provenance=provenance)
    return ModalityData(spec, fields, np.asarray(fields["mask"].any(axis=1), dtype=bool))
