"""Variable stars of EROS-1 in the Large Magellanic Cloud: photographic light curves in two bands and a table (ramp-kits/variable_stars)."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.readers.curves import end_to_end, from_magnitudes, has_epoch
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

STARS = "eros1_lmc.parquet"
FILES = (STARS,)
VERSION = files.version(__file__)
BANDS = ("b", "r")
FAINTEST = 23.0
"""Photographic magnitude beyond which a point is an outlier: the stars' means end at 21.2."""
INPUTS = (
    "mag_b", "mag_r", "period_raw", "n_good_b", "n_good_r", "asym_b", "asym_r", "log_p_not_variable", "sigma_flux_b", "sigma_flux_r",
)  # fmt: skip

CITATION = "EROS-1 (EROS collaboration; M. Moniez), photographic plates 1990-94; github.com/ramp-kits/variable_stars @ 3fbaa2d"
LICENCE = "none stated: a public teaching kit. Ask ramp-kits or EROS before redistributing"
NOTES = (
    "Labels are by eye, from the folded curve.",
    "div_period is a human's note (by what to divide period_raw for the true period), so it is no input; nor is quality, a human's grade from 0 to 3 (0 is included).",
    "All stars are at one distance, that of the Large Magellanic Cloud: magnitudes tell the class here and will not elsewhere.",
    "ra and dec are no inputs: a forest on position alone reached a balanced accuracy of 0.32 (chance 0.25).",
    "samples.split(by='published') is the kit's own split; no star is on both sides. On it a forest reached a balanced accuracy of 0.884 on table and period, "
    "0.806 on both curves, 0.905 on all.",
    "Times are days from a zero that the source does not give; bands b and r are photographic, about 385 and 630 nm. Fluxes are 3631 Jy x 10^(-0.4 m), as if the magnitudes were AB.",
    f"Points fainter than magnitude {FAINTEST:g} are outliers, masked. asym_b and asym_r are not documented.",
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
        Modalities ``light_curve`` (bands b, r; days from an undocumented zero) and ``table``; target ``label`` (4 classes).

    Raises
    ------
    SampleSetError
        If the file is missing, unreadable, or does not fit itself.
    """
    file = folder / STARS
    lists = tuple(f"{name}_{band}" for band in BANDS for name in ("time", "light", "err"))
    stars = files.parquet(file, ("object_id", "label", "ramp_split", "quality", "ra", "dec", "div_period", *INPUTS, *lists))
    parts = []
    for band in BANDS:
        (offsets, time), (begins, light), (ends, error) = (files.lists(file, stars, f"{name}_{band}") for name in ("time", "light", "err"))
        if not (np.array_equal(offsets, begins) and np.array_equal(offsets, ends)):
            raise SampleSetError(f"{file}: time_{band}, light_{band} and err_{band} differ in length. {files.AGAIN}")
        parts.append((offsets, (time, light, error)))
    offsets, (time, light, error), band_of = end_to_end(parts)
    fields = from_magnitudes(offsets, time, light, error, band_of, good=light <= FAINTEST)
    provenance = Provenance("eros1-variables", release="EROS-1", query=STARS, citation=CITATION, licence=LICENCE)
    spec = ModalitySpec("light_curve", "light_curve", BANDS, (), "uJy", clock="undocumented zero", provenance=provenance)
    columns = pa.table({name: stars.column(name) for name in stars.column_names if not pa.types.is_list(stars.column(name).type)})
    roles = files.roles_of(columns, INPUTS, target=("label",), split=("ramp_split",))
    units = {"ra": "deg", "dec": "deg", "mag_b": "mag", "mag_r": "mag", "period_raw": "d"}
    card = Card("eros1-variables", "EROS-1 variable stars of the LMC: two-band light curves and a table", False, CITATION, LICENCE, NOTES)
    return SampleSet(columns, {"light_curve": ModalityData(spec, fields, has_epoch(fields))}, roles, units, card, ModalitySpec("table", "table", provenance=provenance))
