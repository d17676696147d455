"""The first CHIME/FRB catalogue: 600 sub-bursts of 536 bursts, 94 of them of repeaters (CHIME/FRB Collaboration 2021, ApJS 257, 59)."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

TABLE = "chime_frb_cat1.parquet"
FILES = (TABLE,)
VERSION = files.version(__file__)
INPUTS = (
    "bonsai_snr", "snr_fitb", "dm_fitb", "dm_exc_ne2001", "dm_exc_ymw16", "bc_width", "scat_time", "flux", "fluence", "width_fitb", "sp_idx", "sp_run", "high_freq",
    "low_freq", "peak_freq",
)  # fmt: skip
LIMITED = ("scat_time", "width_fitb")
"""Columns of text whose values may be upper limits, ``<0.0017``."""
EMPTY = ("", "nan", "-9999")
UNITS = {
    "ra": "deg", "dec": "deg", "gl": "deg", "gb": "deg", "dm_fitb": "pc / cm3", "dm_exc_ne2001": "pc / cm3", "dm_exc_ymw16": "pc / cm3", "bc_width": "s", "scat_time": "s",
    "width_fitb": "s", "scat_time_below": "s", "width_fitb_below": "s", "flux": "Jy", "fluence": "Jy ms", "high_freq": "MHz", "low_freq": "MHz", "peak_freq": "MHz", "time": "d",
}  # fmt: skip

CITATION = "CHIME/FRB Collaboration 2021, ApJS 257, 59 (Catalog 1); copied by github.com/ajay2609/frabjous @ 2e35c44"
LICENCE = "MIT (repository); the catalogue itself is public, its terms (CC BY-NC?) are not confirmed"
NOTES = (
    "A burst has up to six sub-bursts, and a repeater many bursts: 'group' is the repeater, or the burst, on which splits keep together.",
    "is_repeater tells who was seen to repeat by 2019, 94 of 600 rows; three sources give most of them. Once seen is not never repeats.",
    "Positions, exposure and times are no inputs: exposure follows declination, and repeaters are found where exposure is long.",
    "Upper limits (scat_time, width_fitb) are masked; the limit is in scat_time_below and width_fitb_below.",
    "excluded_flag marks 42 rows that the catalogue's authors leave out of statistics. dm_fitb, fluence and flux share the telescope's selection.",
)


def read(folder: Path) -> SampleSet:
    """Read the catalogue: 600 sub-bursts; target ``is_repeater``, group ``group``.

    Raises
    ------
    SampleSetError
        If the file is missing, unreadable, or lacks a column.
    """
    file = folder / TABLE
    table = files.parquet(file, ("tns_name", "repeater_name", "sub_num", "ra", "dec", "mjd_400", *INPUTS))
    burst, repeater = (files.texts(file, table, name) for name in ("tns_name", "repeater_name"))
    repeats = ~np.isin(repeater, EMPTY)
    columns = {
        "object_id": [f"{b}-{i}" for b, i in zip(burst, files.whole(file, table, "sub_num"), strict=True)], "is_repeater": repeats,
        "group": np.where(repeats, repeater, burst), "time": table.column("mjd_400"),
    }  # fmt: skip
    for name in table.column_names:
        column = table.column(name)
        if name in LIMITED:
            values, below = _limited(files.texts(file, table, name))
            columns |= {name: pa.array(values, from_pandas=True), f"{name}_below": pa.array(below, from_pandas=True)}
        elif pa.types.is_string(column.type):
            columns[name] = [None if str(v) in EMPTY else str(v) for v in column.to_pylist()]
        else:
            columns[name] = column
    made = pa.table(columns)
    roles = files.roles_of(made, INPUTS, target=("is_repeater",), group=("group",), id=("tns_name", "previous_name"))
    provenance = Provenance("chime-frbs", release="Catalog 1", query=TABLE, citation=CITATION, licence=LICENCE)
    card = Card("chime-frbs", "CHIME/FRB Catalog 1", False, CITATION, LICENCE, NOTES)
    return SampleSet(made, {}, roles, {n: u for n, u in UNITS.items() if n in made.column_names}, card, ModalitySpec("table", "table", provenance=provenance))


def _limited(texts: NDArray[np.str_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values, NaN where only a limit is known, and the limits."""
    values, below = np.full(len(texts), np.nan), np.full(len(texts), np.nan)
    for i, text in enumerate(texts):
        said = str(text).strip()
        try:
            (below if said.startswith("<") else values)[i] = float(said.removeprefix("<"))
        except ValueError:
            continue  # no number: missing
    return values, below
