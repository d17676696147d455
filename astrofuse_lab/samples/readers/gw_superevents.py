"""All 80 superevents of O3 with their false-alarm rate, kept or retracted (GraceDB)."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

TABLE = "o3_superevents_80.parquet"
FILES = (TABLE,)
VERSION = files.version(__file__)
GPS_ZERO = 44244.0
"""MJD of GPS time zero (1980-01-06); leap seconds, 18 in O3, are taken off below."""
LEAP = 18

CITATION = "GraceDB public alerts (LIGO, Virgo, KAGRA); github.com/d80b2t/LIGO_O3 @ d8d42ad"
LICENCE = "no licence file in the repository; GraceDB alerts are LVK open data"
NOTES = (
    "The false-alarm rate alone hardly separates the 24 retracted alerts from the kept ones (ROC-AUC 0.60 on the 60 rows that have it).",
    "labels name the verdict (ADVOK, ADVNO), and group, pipeline and instruments are filled for most of the kept and none of the retracted: never inputs.",
    "Events of this set with a map are in 'gw-alerts'; none of the retracted has one.",
)


def read(folder: Path) -> SampleSet:
    """Read the superevents: input ``log10_far`` (false-alarm rate, Hz), target ``outcome``.

    Raises
    ------
    SampleSetError
        If the file is missing, unreadable, or lacks a column.
    """
    file = folder / TABLE
    table = files.parquet(file, ("superevent_id", "labels", "t_0", "far_hz", "outcome"))
    rate, seconds = (files.number(file, table, name) for name in ("far_hz", "t_0"))
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log10(rate)
    columns = {
        "object_id": table.column("superevent_id"), "log10_far": pa.array(np.where(np.isfinite(log), log, np.nan), from_pandas=True),
        "time": pa.array(GPS_ZERO + (seconds - LEAP) / 86400, from_pandas=True), **{name: table.column(name) for name in table.column_names if name != "superevent_id"},
    }  # fmt: skip
    made = pa.table(columns)
    provenance = Provenance("gw-superevents", release="O3", query=TABLE, citation=CITATION, licence=LICENCE)
    card = Card("gw-superevents", "All superevents of O3, kept or retracted", False, CITATION, LICENCE, NOTES)
    roles = files.roles_of(made, ("log10_far",), target=("outcome",))
    return SampleSet(made, {}, roles, {"far_hz": "Hz", "t_0": "s", "time": "d"}, card, ModalitySpec("table", "table", provenance=provenance))
