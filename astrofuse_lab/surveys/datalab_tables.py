"""Catalogues of the Astro Data Lab at NOIRLab: DECam and Legacy Surveys photometry.

Sources: TAP service https://datalab.noirlab.edu/tap and the schema browser https://datalab.noirlab.edu/data-explorer (``showTable=ls_dr10.tractor`` and its like);
Legacy Surveys columns and units, https://www.legacysurvey.org/dr10/catalogs/; DES DR2, https://des.ncsa.illinois.edu/releases/dr2/dr2-products/dr2-schema; DELVE DR2,
Drlica-Wagner et al. 2022, ApJS 261, 38; NOIRLab Source Catalog DR2, Nidever et al. 2021, AJ 161, 192. The service's own way to ask for a circle is
``'t' = Q3C_RADIAL_QUERY(...)``; positions stand in the query.

Magnitudes are AB. Fluxes of the Legacy Surveys are in nanomaggies there and in microjansky here (1 nanomaggy is 3.631 microjansky); inverse variances follow.
Where nothing was measured DES and DELVE write 99, the NOIRLab Source Catalog 99.99 (9.99 for errors): None here. How an object looks or is classified
(``type``, ``class_star``, ``extended_class_*``) is no input.
"""

import re
from collections.abc import Sequence

from astrofuse_lab.errors import InputError
from astrofuse_lab.surveys.archive import Coverage
from astrofuse_lab.surveys.catalogue_table import CatalogueTable
from astrofuse_lab.surveys.generic import tap
from astrofuse_lab.surveys.vo_columns import Wanted
from astrofuse_lab.surveys.vo_tables import VoTap

URL = "https://datalab.noirlab.edu/tap"
NANOMAGGY = 3.631  # microjansky
THANKS = (
    "This research uses services or data provided by the Astro Data Lab, which is part of the Community Science and Data Center (CSDC) Program of NSF NOIRLab. NOIRLab is "
    "operated by the Association of Universities for Research in Astronomy (AURA), Inc. under a cooperative agreement with the U.S. National Science Foundation. "
    "Cite Fitzpatrick et al. 2014, SPIE 9149, 91491T and Nikutta et al. 2020, Astronomy and Computing 33, 100411. "
)
LICENCE = "public data, free to use with the acknowledgement"
Columns = dict[str, tuple[str, str]]
SKY: Columns = {"ra": ("deg", "other"), "dec": ("deg", "other")}
LEGACY_BANDS = ("g", "r", "i", "z", "w1", "w2", "w3", "w4")
LEGACY: Columns = {
    "ls_id": ("", "id"), **SKY, "type": ("", "other"), "brick_primary": ("", "other"), "maskbits": ("", "other"), "fitbits": ("", "other"), "ebv": ("mag", "input"),
    **{f"flux_{band}": ("uJy", "input") for band in LEGACY_BANDS}, **{f"flux_ivar_{band}": ("uJy-2", "input") for band in LEGACY_BANDS},
    **{f"mw_transmission_{band}": ("", "input") for band in LEGACY_BANDS}, "shape_r": ("arcsec", "input"), "shape_e1": ("", "input"), "shape_e2": ("", "input"),
    "sersic": ("", "input"),
}  # fmt: skip
FACTORS = {f"flux_{band}": NANOMAGGY for band in LEGACY_BANDS} | {f"flux_ivar_{band}": NANOMAGGY**-2 for band in LEGACY_BANDS}


def _mags(forms: Sequence[str], bands: str) -> Columns:
    return {form.format(band): ("mag", "input") for band in bands for form in forms}


DES: Columns = {
    "coadd_object_id": ("", "id"), **SKY, **_mags(("mag_auto_{}", "magerr_auto_{}", "wavg_mag_psf_{}", "wavg_magerr_psf_{}"), "grizy"), "ebv_sfd98": ("mag", "input"),
    **{f"spread_model_{b}": ("", "other") for b in "grizy"}, **{f"flags_{b}": ("", "other") for b in "grizy"},
}  # fmt: skip
DELVE: Columns = {
    "quick_object_id": ("", "id"), **SKY, **_mags(("mag_psf_{}", "magerr_psf_{}", "mag_auto_{}", "magerr_auto_{}", "extinction_{}"), "griz"),
    **{f"{kind}_{b}": ("", "other") for b in "griz" for kind in ("extended_class", "flags")},
}  # fmt: skip
NSC: Columns = {
    "id": ("", "id"), **SKY, **_mags(("{}mag",), "ugrizy"), "ndet": ("", "other"), "deltamjd": ("d", "other"), "class_star": ("", "other"), "flags": ("", "other"),
}  # fmt: skip


def _row(name: str, table: str, columns: Columns, release: str, cite: str, coverage: Coverage, **more: object) -> CatalogueTable:
    given: dict[str, object] = {
        "name": f"datalab/{name}", "url": URL, "table": table, "columns": columns, "id_column": next(iter(columns)), "uploads": False, "geometry": "q3c", "batch": 20,
        "threads": 2, "release": release, "citation": THANKS + cite, "licence": LICENCE, "coverage": coverage,
    }  # fmt: skip
    return CatalogueTable(**{**given, **more})  # type: ignore[arg-type]  # the fields of a dataclass


ROWS = {
    row.name: row
    for row in (
        _row("ls_dr10", "ls_dr10.tractor", LEGACY, "Legacy Surveys DR10", "Cite Dey et al. 2019, AJ 157, 168 and see https://www.legacysurvey.org/acknowledgment/.",
             Coverage("about 20,000 deg2 of extragalactic sky, south of +32 deg", (-90.0, 34.5), 15.0, "CDS/P/DESI-Legacy-Surveys/DR10/color"),
             factors=FACTORS, where="c.brick_primary = 1"),
        _row("des_dr2", "des_dr2.main", DES, "DES DR2", "Cite Abbott et al. 2021, ApJS 255, 20 and see https://www.darkenergysurvey.org/collaboration-and-sponsors/.",
             Coverage("about 5,000 deg2 of the southern galactic cap", (-67.0, 5.5), 15.0, "CDS/P/DES-DR2/ColorIRG"), missing=(99.0,), marks=("mag", "wavg_mag")),
        _row("delve_dr2", "delve_dr2.objects", DELVE, "DELVE DR2", "Cite Drlica-Wagner et al. 2022, ApJS 261, 38.",
             Coverage("about 17,000 deg2 seen by DECam", (-90.0, 33.0), 0.0), missing=(99.0,), marks=("mag",)),
        _row("nsc_dr2", "nsc_dr2.object", NSC, "NOIRLab Source Catalog DR2", "Cite Nidever et al. 2021, AJ 161, 192.",
             Coverage("about 35,000 deg2 seen by DECam and the Mosaic and 90Prime cameras"), missing=(99.99, 9.99), marks=tuple(f"{b}mag" for b in "ugrizy")),
    )
}  # fmt: skip


def make(table: str, *, columns: "Wanted | Sequence[str] | None" = None, name: str = "", citation: str = "") -> VoTap:
    """Any table of the Astro Data Lab by its name: ``af.surveys.datalab("smash_dr2.object")``.

    Parameters
    ----------
    table : str
        As at https://datalab.noirlab.edu/data-explorer.
    columns : list of str, or mapping, optional
        As in `af.surveys.tap`; None: all.
    name, citation : str
        Of the survey; the citation of the data set goes after the Data Lab's own.

    Raises
    ------
    InputError
        If `table` is no schema and table.
    """
    if not re.fullmatch(r"\w+\.\w+", table):
        raise InputError(f"table={table!r}. Name a table of the Astro Data Lab with its schema: af.surveys.datalab('smash_dr2.object').")
    return tap(URL, table=table, columns=columns, name=name or f"datalab/{table.replace('.', '-').lower()}" if columns is None else name, uploads=False,
               geometry="q3c", citation=THANKS + citation, licence=LICENCE, release=table.split(".")[0])  # fmt: skip
