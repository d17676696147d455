"""Kepler objects of interest: transit and star, confirmed, candidate or false positive (NASA Exoplanet Archive, cumulative table)."""

from pathlib import Path

import pyarrow as pa

from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

TABLE = "koi_cumulative.parquet"
FILES = (TABLE,)
VERSION = files.version(__file__)
INPUTS = (
    "koi_period", "koi_impact", "koi_duration", "koi_depth", "koi_prad", "koi_teq", "koi_insol", "koi_model_snr", "koi_steff", "koi_slogg", "koi_srad", "koi_kepmag",
)  # fmt: skip
UNITS = {
    "koi_period": "d", "koi_time0bk": "d", "koi_duration": "h", "koi_depth": "1e-6", "koi_prad": "R_earth", "koi_teq": "K", "koi_insol": "", "koi_steff": "K",
    "koi_srad": "R_sun", "koi_kepmag": "mag", "ra": "deg", "dec": "deg",
}  # fmt: skip

CITATION = "NASA Exoplanet Archive, cumulative KOI table (doi:10.26133/NEA4); copied by github.com/ubsuny/astroML-coral @ 8b83bfa"
LICENCE = "public domain (NASA)"
NOTES = (
    "koi_score, koi_fpflag_nt, _ss, _co, _ec and koi_pdisposition are made by the vetting that gives the label: never inputs. kepler_name is given to confirmed planets only.",
    "Split by kepid, the star, which samples.split() does: one star has up to seven objects.",
    "koi_tce_plnt_num and koi_time0bk are no inputs: the one counts the star's candidates and is missing more often for false positives, the other is a date.",
    "CANDIDATE is no class of nature: it means not yet decided. Leave it out for a fair test.",
)


def read(folder: Path) -> SampleSet:
    """Read the table: 9,564 objects; target ``koi_disposition``, group ``kepid``.

    Raises
    ------
    SampleSetError
        If the file is missing, unreadable, or lacks a column.
    """
    table = files.parquet(folder / TABLE, ("kepid", "kepoi_name", "koi_disposition", *INPUTS))
    for name in INPUTS:
        files.number(folder / TABLE, table, name)
    columns = pa.table({"object_id": table.column("kepoi_name")} | {name: table.column(name) for name in table.column_names if name != "kepoi_name"})
    roles = files.roles_of(columns, INPUTS, target=("koi_disposition",), group=("kepid",))
    provenance = Provenance("koi", release="cumulative table", query=TABLE, citation=CITATION, licence=LICENCE)
    card = Card("koi", "Kepler objects of interest", False, CITATION, LICENCE, NOTES)
    return SampleSet(columns, {}, roles, {n: u for n, u in UNITS.items() if u}, card, ModalitySpec("table", "table", provenance=provenance))
