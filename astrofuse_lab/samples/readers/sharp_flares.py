"""Active regions of the Sun: magnetic parameters of SHARP, and whether a flare follows (Bobra et al. 2014, Solar Physics 289, 3549)."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

TABLE = "sharp_flares.parquet"
FILES = (TABLE,)
VERSION = files.version(__file__)
INPUTS = (
    "TOTUSJH", "TOTBSQ", "TOTPOT", "TOTUSJZ", "ABSNJZH", "SAVNCPP", "USFLUX", "AREA_ACR", "TOTFZ", "MEANPOT", "R_VALUE", "EPSZ", "SHRGT45", "MEANSHR", "MEANGAM",
    "MEANGBT", "MEANGBZ", "MEANGBH", "MEANJZH", "TOTFY", "MEANJZD", "MEANALP", "TOTFX", "EPSY", "EPSX",
)  # fmt: skip

CITATION = "SDO/HMI SHARP: Bobra et al. 2014, Solar Physics 289, 3549; parameters: Bobra & Couvidat 2015, ApJ 798, 135; github.com/alciomarhollanda/DATA-SET-FOR-SOLAR-FLARE-PREDICTION @ 517ddae"
LICENCE = "none stated; NASA/SDO data are public"
NOTES = (
    "Split by NOAA_AR, the active region, which samples.split() does; never at random: a region has a row a day, and neighbouring days are nearly equal.",
    "4.3% of the rows are positive: quote the true skill statistic or precision and recall, not accuracy.",
    "What FlareNumber means exactly (which flares, how long after) is not documented in the table.",
    "Longitude, Latitude, QUALITY and T_REC are no inputs: the first tells how far a region can be followed, the last the phase of the cycle. "
    "Rows with QUALITY above 0 (182) have known problems.",
)


def read(folder: Path) -> SampleSet:
    """Read the table: 8,874 region-days of 1,289 regions; target ``is_flaring``, group ``NOAA_AR``.

    Raises
    ------
    SampleSetError
        If the file is missing, unreadable, or lacks a column.
    """
    file = folder / TABLE
    table = files.parquet(file, ("FlareNumber", "T_REC", "NOAA_AR", *INPUTS))
    for name in INPUTS:
        files.number(file, table, name)
    region, when = files.whole(file, table, "NOAA_AR"), files.texts(file, table, "T_REC")
    flares = files.whole(file, table, "FlareNumber")
    made = {"object_id": [f"AR{r}-{t.replace(' ', 'T')}" for r, t in zip(region, when, strict=True)], "is_flaring": flares > 0, "time": _mjd(when)}
    columns = pa.table(made | {name: table.column(name) for name in table.column_names})
    roles = files.roles_of(columns, INPUTS, target=("is_flaring", "FlareNumber"), group=("NOAA_AR",))
    provenance = Provenance("sharp-flares", release="2010-2019", query=TABLE, citation=CITATION, licence=LICENCE)
    card = Card("sharp-flares", "Magnetic parameters of active regions, and flares", False, CITATION, LICENCE, NOTES)
    return SampleSet(columns, {}, roles, {"time": "d", "Longitude": "deg", "Latitude": "deg"}, card, ModalitySpec("table", "table", provenance=provenance))


def _mjd(when: NDArray[np.str_]) -> pa.Array:
    """MJD (TAI, as SDO gives its times) of ``2010-05-01 23:48:00``; missing where it is no date."""
    stamps = pc.strptime(pa.array(when.tolist()), format="%Y-%m-%d %H:%M:%S", unit="s", error_is_null=True)
    return pc.add(pc.divide(pc.cast(pc.cast(stamps, pa.int64()), pa.float64()), 86400.0), 40587.0)
