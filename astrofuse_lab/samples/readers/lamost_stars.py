"""Spectra and magnitudes of 176 stars of LAMOST, classes A to M (Luo et al. 2015, RAA 15, 1095)."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

STARS = "lamost_176.parquet"
FILES = (STARS,)
VERSION = files.version(__file__)
WAVELENGTH = 10 ** (3.5682 + 1e-4 * np.arange(3904))
"""Angstrom, vacuum."""
INPUTS = ("mag_g", "mag_r", "mag_i")
TARGETS = ("label", "subclass", "teff", "logg", "feh", "rv")
SENTINEL = -9999

CITATION = "LAMOST DR1: Cui et al. 2012, RAA 12, 1197; Luo et al. 2015, RAA 15, 1095; github.com/grd349/LearningLAMOST @ 5ba10f6"
LICENCE = "MIT (repository grd349/LearningLAMOST); cite LAMOST"
NOTES = (
    "Labels are the template classes that LAMOST's pipeline found in the same spectrum: scores from the spectrum are circular.",
    "Balanced by hand, and 176 stars: for tests and a tutorial, not for training a deep network.",
    "Magnitudes are those the observers put in the header; two of g are zero, that is, missing, and masked. ra and dec are no inputs.",
    "teff, logg, feh, rv are known for 131 stars; -9999 is missing. Fluxes are relative.",
    "A forest reached 0.81 from the spectrum, 0.69 from colours, 0.21 from position (five classes).",
)


def read(folder: Path) -> SampleSet:
    """Read the stars.

    Parameters
    ----------
    folder : path
        Holds `FILES`.

    Returns
    -------
    SampleSet
        Modalities ``spectrum`` (3,700 to 9,090 A, relative flux) and ``table`` (g, r, i); target ``label``.

    Raises
    ------
    SampleSetError
        If the file is missing, unreadable, or on another wavelength grid.
    """
    file = folder / STARS
    stars = files.parquet(file, ("object_id", "label", "wave0_log10", "dlog10", "flux", "ivar", "andmask", *INPUTS))
    if not (np.allclose(files.number(file, stars, "wave0_log10"), 3.5682) and np.allclose(files.number(file, stars, "dlog10"), 1e-4)):
        raise SampleSetError(f"{file}: a spectrum is not on the grid 10^(3.5682 + 0.0001 i). {files.AGAIN}")
    flux, ivar, flags = (files.rectangle(file, stars, name, len(WAVELENGTH)) for name in ("flux", "ivar", "andmask"))
    mask = np.isfinite(flux) & np.isfinite(ivar) & (ivar > 0) & (flags == 0)
    fields = {
        "lambda": WAVELENGTH.copy(), "flux": np.where(mask, flux, 0.0).astype(np.float32), "ivar": np.where(mask, ivar, 0.0).astype(np.float32), "mask": mask,
    }  # fmt: skip
    provenance = Provenance("lamost-stars", release="DR1", query=STARS, citation=CITATION, licence=LICENCE)
    spec = ModalitySpec("spectrum", "spectrum", (), WAVELENGTH.shape, "relative", provenance=provenance)
    columns = {}
    for name in stars.column_names:
        column = stars.column(name)
        if pa.types.is_list(column.type) or pa.types.is_null(column.type) or name in ("wave0_log10", "dlog10", "n_pix"):
            continue
        if pa.types.is_floating(column.type):
            gone = pc.less_equal(column, 0.0 if name in INPUTS else SENTINEL)
            column = pc.if_else(gone, pa.scalar(None, column.type), column)
        columns[name] = column
    table = pa.table(columns)
    units = {"ra": "deg", "dec": "deg", "teff": "K", "rv": "km / s"} | dict.fromkeys(INPUTS, "mag")
    card = Card("lamost-stars", "LAMOST spectra and magnitudes of 176 stars", False, CITATION, LICENCE, NOTES)
    data = {"spectrum": ModalityData(spec, fields, np.asarray(mask.any(axis=1)))}
    return SampleSet(table, data, files.roles_of(table, INPUTS, target=TARGETS), units, card, ModalitySpec("table", "table", provenance=provenance))
