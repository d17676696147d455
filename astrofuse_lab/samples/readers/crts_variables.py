"""Variable stars of the Catalina Real-Time Transient Survey: light curves of 16 classes (Drake et al. 2014, ApJS 213, 9)."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.readers.curves import from_magnitudes, has_epoch
from astrofuse_lab.samples.readers.places_on_sky import same_place
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

CURVES = "crts_labelled_lightcurves.npz"
FILES = (CURVES,)
VERSION = files.version(__file__)
FIRST_DAY = 53000
"""MJD of the file's time zero."""
MAIN = ("EW", "EA", "RRab", "RRc", "RRd", "RS_CVn", "LPV")
"""The seven largest classes, those of Mahabal et al. 2017 (arXiv:1709.06257)."""
SAME = 2.0
"""arcsec: nearer than this, two entries are one star seen in two overlapping fields."""

CITATION = "CRTS: Drake et al. 2009, ApJ 696, 870; variable stars: Drake et al. 2014, ApJS 213, 9; compiled in github.com/kvmu/lightcurve-classification @ f8761c1"
LICENCE = "MIT (repository kvmu/lightcurve-classification); CRTS data are public, please cite"
NOTES = (
    "The classes are nearly balanced by construction: about 1,000 curves at most were taken of each. Class shares and pooled accuracies say nothing of the sky.",
    f"main_class is label where it is one of {', '.join(MAIN)}, else missing; LADS (2 stars), Hump and ACEP are too few to train on.",
    "Four stars are in the set twice, as two entries of overlapping fields less than 2 arcsec apart. They share a value of 'group', on which splits keep together.",
    "Magnitudes are unfiltered, calibrated to V by the survey. Fluxes are 3631 Jy x 10^(-0.4 m), so that m = 23.9 - 2.5 log10(flux in microjansky) gives them back.",
    "No period is in the files; ra and dec are no inputs.",
    "4 points with absurd dates or magnitudes were dropped by who packed the set; 5,759 unlabelled curves of the repository are not in it.",
)
NEEDED = {
    "crts_id": ("iu", 1), "label": ("U", 1), "ra": ("f", 1), "dec": ("f", 1), "offset": ("iu", 1),
    "t_1e5day_since_mjd53000": ("iu", 1), "mag_millimag": ("iu", 1), "magerr_1e4mag": ("iu", 1),
}  # fmt: skip


def read(folder: Path) -> SampleSet:
    """Read the light curves.

    Parameters
    ----------
    folder : path
        Holds `FILES`.

    Returns
    -------
    SampleSet
        Modality ``light_curve`` (band V; microjansky; MJD, UTC); targets ``label`` (16 classes) and ``main_class`` (7, else missing).

    Raises
    ------
    SampleSetError
        If the file is missing, unreadable, or does not fit itself.
    """
    file = folder / CURVES
    got = files.npz(file, NEEDED)
    objects, epochs = len(got["crts_id"]), len(got["mag_millimag"])
    offsets = got["offset"].astype(np.int64)
    if len(offsets) != objects + 1 or offsets[0] != 0 or offsets[-1] != epochs or (np.diff(offsets) < 0).any():
        raise SampleSetError(f"{file}: 'offset' does not divide its {epochs} epochs among {objects} stars. {files.AGAIN}")
    for name, expected in (("label", objects), ("ra", objects), ("dec", objects), ("t_1e5day_since_mjd53000", epochs), ("magerr_1e4mag", epochs)):
        if len(got[name]) != expected:
            raise SampleSetError(f"{file}: {name!r} has {len(got[name])} values; {expected} are expected. {files.AGAIN}")
    fields = from_magnitudes(offsets, FIRST_DAY + got["t_1e5day_since_mjd53000"] / 1e5, got["mag_millimag"] / 1e3, got["magerr_1e4mag"] / 1e4)
    provenance = Provenance("crts-variables", release="Drake et al. 2014", query=CURVES, citation=CITATION, licence=LICENCE)
    spec = ModalitySpec("light_curve", "light_curve", ("V",), (), "uJy", clock="UTC", provenance=provenance)
    label, ra, dec = got["label"].astype(str), got["ra"].astype(np.float64), got["dec"].astype(np.float64)
    columns = pa.table({
        "object_id": [str(i) for i in got["crts_id"]], "ra": ra, "dec": dec, "label": label,
        "main_class": pa.array(label, mask=~np.isin(label, MAIN)), "group": got["crts_id"][same_place(ra, dec, SAME)].astype(str), "epochs": np.diff(offsets),
    })  # fmt: skip
    roles = {"label": "target", "main_class": "target", "group": "group"}
    card = Card("crts-variables", "Catalina light curves of variable stars, 16 classes", False, CITATION, LICENCE, NOTES)
    return SampleSet(columns, {"light_curve": ModalityData(spec, fields, has_epoch(fields))}, roles, {"ra": "deg", "dec": "deg"}, card)
