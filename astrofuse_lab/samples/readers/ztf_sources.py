"""Light curves of one quadrant of a field, ZTF data release 5: unlabelled (Masci et al. 2019, PASP 131, 018003)."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.readers.curves import from_magnitudes, has_epoch
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

CURVES = "ztf_000250_zg_c01_q1_dr5.parquet"
FILES = (CURVES,)
VERSION = files.version(__file__)
BAD = 32768
"""catflags from here on: points that the release says not to use (ZTF Science Data System Explanatory Supplement)."""

CITATION = "ZTF: Bellm et al. 2019, PASP 131, 018002; Masci et al. 2019, PASP 131, 018003; copied by skyportal/kowalski and ZwickyTransientFacility/scope-ml"
LICENCE = "MIT (repositories); ZTF public data release 5"
NOTES = (
    "No labels: for features, periods and contrastive training.",
    "One filter (g) of one quadrant of field 250: nothing here tells of other fields, seasons or bands.",
    "A quarter of the sources have one epoch, half at most three; column epochs counts them.",
    f"Epochs with catflags of {BAD} or more are masked, as the release asks.",
    "Times are heliocentric MJD in float32, that is, good to 0.004 d: periods below an hour are lost, and phases of short ones smeared.",
)


def read(folder: Path) -> SampleSet:
    """Read 5,449 light curves.

    Parameters
    ----------
    folder : path
        Holds `FILES`.

    Returns
    -------
    SampleSet
        Modality ``light_curve`` (band g; microjansky).

    Raises
    ------
    SampleSetError
        If the file is missing, unreadable, or does not fit itself.
    """
    file = folder / CURVES
    rows = files.parquet(file, ("objectid", "objra", "objdec", "hmjd", "mag", "magerr", "catflags"))
    (offsets, time), *others = (files.lists(file, rows, name) for name in ("hmjd", "mag", "magerr", "catflags"))
    if not all(np.array_equal(offsets, begins) for begins, _ in others):
        raise SampleSetError(f"{file}: hmjd, mag, magerr and catflags differ in length. {files.AGAIN}")
    magnitude, error, flags = (values for _, values in others)
    fields = from_magnitudes(offsets, time, magnitude, error, good=flags < BAD)
    provenance = Provenance("ztf-sources", release="DR5", query=CURVES, citation=CITATION, licence=LICENCE)
    spec = ModalitySpec("light_curve", "light_curve", ("g",), (), "uJy", clock="UTC, heliocentric", provenance=provenance)
    columns = pa.table({
        "object_id": [str(i) for i in files.whole(file, rows, "objectid")], "ra": files.number(file, rows, "objra"), "dec": files.number(file, rows, "objdec"),
        "epochs": np.diff(offsets), **{name: rows.column(name) for name in ("fieldid", "rcid", "filterid") if name in rows.column_names},
    })  # fmt: skip
    card = Card("ztf-sources", "ZTF DR5 light curves of one quadrant, unlabelled", False, CITATION, LICENCE, NOTES)
    return SampleSet(columns, {"light_curve": ModalityData(spec, fields, has_epoch(fields))}, {}, {"ra": "deg", "dec": "deg"}, card)
