"""Chandra Source Catalog 2.1: the master source nearest to each target.

Sources: TAP service http://cda.cfa.harvard.edu/csc21tap (table ``csc21.master_source``; https://cxc.harvard.edu/csc2/download/vo.html) and the meaning and units of
its columns, https://cxc.cfa.harvard.edu/csc2/columns/master.html. The service takes no uploads and has no geometry functions: boxes are asked for, and circles cut here.
Fluxes are energy fluxes in erg / s / cm2 in the bands b (0.5-7 keV), u (0.2-0.5), s (0.5-1.2), m (1.2-2), h (2-7) of ACIS and w (about 0.1-10 keV) of HRC,
with the bounds of their 68 % interval. What the catalogue concludes of a source (extended, variable, confused) is no input.
"""

from dataclasses import dataclass

from astrofuse_lab.surveys.archive import Coverage
from astrofuse_lab.surveys.survey import Ask
from astrofuse_lab.surveys.tap_table import TapTable, _width
from astrofuse_lab.targets import Targets

URL = "https://cda.cfa.harvard.edu/csc21tap"
FLUX = ("erg / (s cm2)", "input")
COLUMNS: dict[str, tuple[str, str]] = {
    "name": ("", "id"), "ra": ("deg", "other"), "dec": ("deg", "other"),
    "err_ellipse_r0": ("arcsec", "other"), "err_ellipse_r1": ("arcsec", "other"), "err_ellipse_ang": ("deg", "other"),
    "significance": ("", "input"), "likelihood_class": ("", "other"), "conf_flag": ("", "other"), "extent_flag": ("", "other"), "sat_src_flag": ("", "other"),
    "streak_src_flag": ("", "other"), "var_flag": ("", "other"),
    **{f"flux_aper_{limit}{band}": FLUX for band in ("b", "u", "s", "m", "h", "w") for limit in ("", "lolim_", "hilim_")},
    **{f"hard_{pair}": ("", "input") for pair in ("hm", "hs", "ms")},
    "var_intra_index_b": ("", "other"), "var_inter_index_b": ("", "other"),
}  # fmt: skip


@dataclass
class ChandraTable(TapTable):
    """A `TapTable` of a service whose parser takes plain comparisons only."""

    def adql(self, targets: Targets, ask: Ask) -> str:
        """Boxes around the circles, two of them where right ascension passes zero."""
        boxes = [box for target in targets for box in self.boxes(target.ra, target.dec, ask.radius / 3600)]
        return f"SELECT {', '.join(f'c.{name}' for name in self.columns)} FROM {self.table} c WHERE {' OR '.join(boxes)}"  # noqa: S608, numbers only

    def inside(self, ra: str, dec: str, radius: float) -> str:
        """For `objects_in`."""
        return f"({' OR '.join(self.boxes(float(ra), float(dec), radius / 3600))})"

    def boxes(self, ra: float, dec: float, radius: float) -> list[str]:
        """Conditions on declination and right ascension (deg)."""
        half = _width(dec, radius)
        near = f"c.dec BETWEEN {max(dec - radius, -90.0)!r} AND {min(dec + radius, 90.0)!r}"
        if half >= 180:
            return [f"({near})"]
        first, last = ra - half, ra + half
        parts = [(first, last)] if first >= 0 and last <= 360 else [(first % 360, 360.0), (0.0, last % 360)]
        return [f"({near} AND c.ra BETWEEN {low!r} AND {high!r})" for low, high in parts]


TABLE = ChandraTable(
    name="chandra/table", url=URL, mirrors=("http://cda.cfa.harvard.edu/csc21tap",), table="csc21.master_source", columns=COLUMNS, id_column="name", uploads=False, batch=20,
    threads=2, release="CSC 2.1", coverage=Coverage("public Chandra ACIS and HRC imaging to the end of 2021, about 730 deg2", moc="CDS/IX/70/csc21mas"),
    citation=(
        "This research has made use of data obtained from the Chandra Source Catalog, provided by the Chandra X-ray Center (CXC). "
        "Cite Evans et al. 2024, ApJS 274, 22 and Evans et al. 2010, ApJS 189, 37."
    ),
    licence="public domain (NASA) with the acknowledgement",
)  # fmt: skip
