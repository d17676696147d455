"""Galaxies with HST and JWST photometry in 11 bands and a spectroscopic redshift (DAWN JWST Archive)."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.readers.places_on_sky import same_place
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

TABLE = "jwst_photometry_zspec.parquet"
FILES = (TABLE,)
VERSION = files.version(__file__)
BANDS = ("f435w", "f606w", "f814w", "f090w", "f115w", "f150w", "f200w", "f277w", "f356w", "f410m", "f444w")
INPUTS = tuple(name for band in BANDS for name in (band, f"{band}_err"))
SENTINEL = -99
SAME = 0.3
"""arcsec: nearer than this, two rows are one galaxy."""

CITATION = "DAWN JWST Archive (DJA; Valentino et al. 2023, ApJ 947, 20; Heintz et al. 2024); github.com/Juli-Kalna/JWST-ML-Galaxy-Photo-Z @ 63b5970"
LICENCE = "none stated; DJA is public, please cite"
NOTES = (
    "-99 is missing in the file and masked here.",
    "ra, dec, x and y are no inputs: the spectroscopic surveys aimed at redshifts, field by field. From position alone a forest got sigma_NMAD 0.46 with 74% outliers, "
    "from the photometry 0.067 and 13%.",
    f"Rows nearer than {SAME:g} arcsec share a value of 'group', on which splits keep together: they are one galaxy.",
    "Objects with a spectroscopic redshift are brighter than those without: errors here do not hold for the rest of the field.",
)


def read(folder: Path) -> SampleSet:
    """Read the table: 5,667 galaxies; target ``zspec``, inputs fluxes and errors (microjansky).

    Raises
    ------
    SampleSetError
        If the file is missing, unreadable, or lacks a column.
    """
    file = folder / TABLE
    table = files.parquet(file, ("ID", "ra", "dec", "zspec", *INPUTS))
    ra, dec = (files.number(file, table, name) for name in ("ra", "dec"))
    columns = {"object_id": [f"{i}-{row}" for row, i in enumerate(files.whole(file, table, "ID"))], "group": same_place(ra, dec, SAME)}
    for name in table.column_names:
        column = table.column(name)
        if name in INPUTS:
            files.number(file, table, name)
            column = pc.if_else(pc.less_equal(column, SENTINEL), pa.scalar(None, column.type), column)
        columns[name] = column
    made = pa.table(columns)
    roles = files.roles_of(made, INPUTS, target=("zspec",), group=("group",), id=("ID",))
    units = dict.fromkeys(INPUTS, "uJy") | {"ra": "deg", "dec": "deg", "x": "pix", "y": "pix"}
    provenance = Provenance("jwst-photoz", release="DJA", query=TABLE, citation=CITATION, licence=LICENCE)
    card = Card("jwst-photoz", "HST and JWST photometry with spectroscopic redshifts", False, CITATION, LICENCE, NOTES)
    return SampleSet(made, {}, roles, units, card, ModalitySpec("table", "table", provenance=provenance))
