"""Catalogues of the NASA/IPAC Infrared Science Archive: 2MASS point sources, AllWISE, CatWISE2020.

Sources: the service and the form of a query with an uploaded table (full names, ``CONTAINS(...) = 1``, tables side by side),
https://irsa.ipac.caltech.edu/docs/program_interface/TAP.html, and its parser's own tests
(https://github.com/Caltech-IPAC/libadql/blob/master/test/parse_adql.cxx). Columns and units: 2MASS,
https://irsa.ipac.caltech.edu/data/2MASS/docs/releases/allsky/doc/sec2_2a.html; AllWISE,
https://wise2.ipac.caltech.edu/docs/release/allwise/expsup/sec2_1a.html; CatWISE2020,
https://irsa.ipac.caltech.edu/data/WISE/CatWISE/gator_docs/catwise_colDescriptions.html.

Magnitudes are Vega magnitudes, as published. Flux of magnitude zero, Jy: J 1594, H 1024, Ks 666.7 (Cohen et al. 2003, AJ 126, 1090); W1 309.540,
W2 171.787, W3 31.674, W4 8.363 (Jarrett et al. 2011, ApJ 735, 112). An error of None beside a magnitude marks an upper limit.
"""

from dataclasses import dataclass

from astrofuse_lab.surveys.archive import Coverage
from astrofuse_lab.surveys.survey import Ask
from astrofuse_lab.surveys.tap_table import TapTable
from astrofuse_lab.targets import Targets

URL = "https://irsa.ipac.caltech.edu/TAP"
THANKS = (
    "This research has made use of the NASA/IPAC Infrared Science Archive, which is funded by the National Aeronautics and Space Administration and operated by the "
    "California Institute of Technology. "
)
WISE_THANKS = THANKS + (
    "This publication makes use of data products from the Wide-field Infrared Survey Explorer, which is a joint project of the University of California, Los Angeles, "
    "and the Jet Propulsion Laboratory/California Institute of Technology, funded by the National Aeronautics and Space Administration. "
)
LICENCE = "public data, free to use with the acknowledgement"
Columns = dict[str, tuple[str, str]]


@dataclass
class IrsaTable(TapTable):
    """A `TapTable` asked in the one form of a join that IRSA documents."""

    def adql(self, targets: Targets, ask: Ask) -> str:
        """Full names throughout: its parser maps ``TAP_UPLOAD.<name>`` to the uploaded table."""
        names = list(dict.fromkeys([*self.columns, self.ra, self.dec]))
        columns = ", ".join(["TAP_UPLOAD.targets.target_row", *(f"{self.table}.{name}" for name in names)])
        inside = (
            f"CONTAINS(POINT('ICRS', {self.table}.{self.ra}, {self.table}.{self.dec}), "
            f"CIRCLE('ICRS', TAP_UPLOAD.targets.ra, TAP_UPLOAD.targets.dec, {ask.radius / 3600!r})) = 1"
        )
        return f"SELECT {columns} FROM {self.table}, TAP_UPLOAD.targets WHERE {inside}"  # noqa: S608, the parts are ours


def _bands(names: tuple[str, ...], forms: tuple[str, ...], unit: str = "mag") -> Columns:
    return {form.format(name): (unit, "input") for name in names for form in forms}


TWO_MASS: Columns = {
    "designation": ("", "id"), "ra": ("deg", "other"), "dec": ("deg", "other"), "err_maj": ("arcsec", "other"), "err_min": ("arcsec", "other"),
    **_bands(("j", "h", "k"), ("{}_m", "{}_cmsig", "{}_msigcom")), **_bands(("j", "h", "k"), ("{}_snr",), ""),
    "ph_qual": ("", "other"), "rd_flg": ("", "other"), "bl_flg": ("", "other"), "cc_flg": ("", "other"), "gal_contam": ("", "other"), "mp_flg": ("", "other"),
    "xdate": ("", "other"),
}  # fmt: skip
ALLWISE: Columns = {
    "designation": ("", "id"), "ra": ("deg", "other"), "dec": ("deg", "other"), "sigra": ("arcsec", "other"), "sigdec": ("arcsec", "other"),
    **_bands(("w1", "w2", "w3", "w4"), ("{}mpro", "{}sigmpro")), **_bands(("w1", "w2", "w3", "w4"), ("{}snr", "{}rchi2"), ""),
    "nb": ("", "other"), "na": ("", "other"), "cc_flags": ("", "other"), "ext_flg": ("", "other"), "var_flg": ("", "other"), "ph_qual": ("", "other"),
    "pmra": ("mas / yr", "other"), "sigpmra": ("mas / yr", "other"), "pmdec": ("mas / yr", "other"), "sigpmdec": ("mas / yr", "other"),
}  # fmt: skip
CATWISE: Columns = {
    "source_name": ("", "id"), "ra": ("deg", "other"), "dec": ("deg", "other"),
    **_bands(("w1", "w2"), ("{}mpro", "{}sigmpro", "{}mpro_pm", "{}sigmpro_pm")), **_bands(("w1", "w2"), ("{}snr", "{}snr_pm"), ""),
    "pmra": ("arcsec / yr", "input"), "sigpmra": ("arcsec / yr", "input"), "pmdec": ("arcsec / yr", "input"), "sigpmdec": ("arcsec / yr", "input"),
    "meanobsmjd": ("d", "other"), "ra_pm": ("deg", "other"), "dec_pm": ("deg", "other"), "cc_flags": ("", "other"), "ab_flags": ("", "other"),
}  # fmt: skip

TWO_MASS_TABLE = IrsaTable(
    name="2mass/table", url=URL, table="fp_psc", columns=TWO_MASS, id_column="designation", epoch=1999.5, release="2MASS All-Sky Point Source Catalog",
    coverage=Coverage("all sky", moc="CDS/II/246/out"), licence=LICENCE, threads=2,
    citation=THANKS + (
        "This publication makes use of data products from the Two Micron All Sky Survey, which is a joint project of the University of Massachusetts and the Infrared "
        "Processing and Analysis Center/California Institute of Technology, funded by the National Aeronautics and Space Administration and the National Science "
        "Foundation. Cite Skrutskie et al. 2006, AJ 131, 1163 and doi:10.26131/IRSA2."
    ),
)  # fmt: skip
ALLWISE_TABLE = IrsaTable(
    name="allwise/table", url=URL, table="allwise_p3as_psd", columns=ALLWISE, id_column="designation", epoch=2010.5, release="AllWISE Source Catalog",
    coverage=Coverage("all sky", moc="CDS/II/328/allwise"), licence=LICENCE, threads=2,
    citation=WISE_THANKS + "Cite Wright et al. 2010, AJ 140, 1868; Mainzer et al. 2011, ApJ 731, 53 and doi:10.26131/IRSA1.",
)  # fmt: skip
CATWISE_TABLE = IrsaTable(
    name="catwise/table", url=URL, table="catwise_2020", columns=CATWISE, id_column="source_name", epoch=2015.4, release="CatWISE2020",
    coverage=Coverage("all sky", moc="CDS/II/365/catwise"), licence=LICENCE, threads=2,
    citation=WISE_THANKS + "Cite Marocco et al. 2021, ApJS 253, 8; Eisenhardt et al. 2020, ApJS 247, 69 and doi:10.26131/IRSA551.",
)  # fmt: skip
ROWS = {row.name: row for row in (TWO_MASS_TABLE, ALLWISE_TABLE, CATWISE_TABLE)}
