"""KiDS DR4.1 multi-band sources from ESO's catalogue archive.

Sources: ESO's TAP for catalogues ``https://archive.eso.org/tap_cat`` and the form of a cone in it (astroquery's documentation,
https://astroquery.readthedocs.io/en/latest/eso/eso.html, *Catalogues*); columns, units and what is an identifier: the same pages
(``KiDS_DR4_1_ugriZYJHKs_cat_fits``) and https://kids.strw.leidenuniv.nl/DR4/format.php. GAaP magnitudes are AB; which of the
magnitudes are corrected for galactic extinction is said there and in Kuijken et al. 2019. 99 stands for no detection and -99 for no observation: None here.

DR5 is in the same service (``KiDS_DR5_0_ugriZYJHKs_cat_fits``): ``af.surveys.tap("https://archive.eso.org/tap_cat", table=..., uploads=False)``.
Photometric redshifts (``Z_B``) are targets, never inputs.
"""

from astrofuse_lab.surveys.archive import Coverage
from astrofuse_lab.surveys.catalogue_table import CatalogueTable

URL = "https://archive.eso.org/tap_cat"
BANDS = ("u", "g", "r", "i", "Z", "Y", "J", "H", "Ks")
COLOURS = ("u_g", "g_r", "r_i", "i_Z", "Z_Y", "Y_J", "J_H", "H_Ks")
COLUMNS: dict[str, tuple[str, str]] = {
    "ID": ("", "id"), "KIDS_TILE": ("", "other"), "RAJ2000": ("deg", "other"), "DECJ2000": ("deg", "other"),
    "MAG_AUTO": ("mag", "input"), "MAGERR_AUTO": ("mag", "input"),
    **{f"{kind}_GAAP_{band}": ("mag", "input") for kind in ("MAG", "MAGERR") for band in BANDS},
    **{f"COLOUR_GAAP_{pair}": ("mag", "input") for pair in COLOURS},
    "A_WORLD": ("deg", "input"), "SG2DPHOT": ("", "other"), "Flag": ("", "other"), "MASK": ("", "other"),
    "Z_B": ("", "target"), "Z_B_MIN": ("", "other"), "Z_B_MAX": ("", "other"), "Z_ML": ("", "other"),
}  # fmt: skip

TABLE = CatalogueTable(
    name="kids/table", url=URL, table="KiDS_DR4_1_ugriZYJHKs_cat_fits", columns=COLUMNS, ra="RAJ2000", dec="DECJ2000", id_column="ID", release="KiDS DR4.1",
    uploads=False, batch=10, threads=2, missing=(99.0, -99.0), marks=("MAG", "COLOUR"),
    coverage=Coverage("1,006 deg2 in an equatorial and a southern field", (-36.0, 4.0), 20.0),
    citation=(
        "Based on observations made with ESO Telescopes at the La Silla Paranal Observatory under programme IDs 177.A-3016, 177.A-3017, 177.A-3018 and 179.A-2004, and on "
        "data products produced by the KiDS consortium. Cite Kuijken et al. 2019, A&A 625, A2 (doi:10.1051/0004-6361/201834918)."
    ),
    licence="public ESO data products; follow https://archive.eso.org/cms/eso-data-access-policy.html",
)  # fmt: skip
