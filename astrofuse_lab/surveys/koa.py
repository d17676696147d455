"""Keck Observatory Archive: which public raw frames there are of a target, one row of metadata for each instrument.

Sources: TAP service ``https://koa.ipac.caltech.edu/TAP``, one table an instrument (``koa_hires`` ...), and the form of a cone search,
https://koa.ipac.caltech.edu/UserGuide/PyKOA/notebooks/ (PyKOA's tutorials); columns, the keyword tables of
https://koa.ipac.caltech.edu/UserGuide/. Frames within their proprietary period are not listed to anonymous users.

These are what a person needs to order frames: `koaid` and the programme. The spectra that the archive extracts from HIRES frames are in `koa_spectra`; products of
the quick-look pipelines of the other instruments differ in layout from one to the next.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from astrofuse_lab.modalities import Modality, TableRow
from astrofuse_lab.surveys import formats
from astrofuse_lab.surveys.archive import Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, provenance_of
from astrofuse_lab.surveys.tap_table import TapTable
from astrofuse_lab.targets import Targets

INSTRUMENTS = ("hires", "esi", "deimos", "lris", "nires", "nirspec", "mosfire")
COLUMNS: dict[str, tuple[str, str]] = {
    "koaid": ("", "id"), "targname": ("", "other"), "koaimtyp": ("", "other"), "ra": ("deg", "other"), "dec": ("deg", "other"), "date_obs": ("", "other"),
    "elaptime": ("s", "other"), "progid": ("", "other"), "progpi": ("", "other"), "semester": ("", "other"),
}  # fmt: skip


@dataclass
class KoaFrames(TapTable):
    """The longest public science exposure that points at each target, and how many there are: ``frames`` and their ``total_elaptime``.

    Positions are where the telescope pointed: ask for a radius of half a slit or more (10 arcsec).
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.units.update(total_elaptime="s")
        self.roles.update(frames="other", total_elaptime="other")

    def adql(self, targets: Targets, ask: Ask) -> str:
        """The form that KOA documents: no alias, the value of CONTAINS on the left."""
        circles = " OR ".join(f"CONTAINS(POINT('ICRS', ra, dec), CIRCLE('ICRS', {t.ra!r}, {t.dec!r}, {ask.radius / 3600!r})) = 1" for t in targets)
        return f"SELECT {', '.join(COLUMNS)} FROM {self.table} WHERE ({circles}) AND koaimtyp = 'object'"  # noqa: S608, numbers only

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """One row a target that was observed."""
        table, origin = self.parsed(raw, list(COLUMNS)), provenance_of(self, raw)
        for target, rows, distance in self.matched(table, raw):
            with formats.reading(self.name, "table of frames", target):
                seconds = np.nan_to_num(np.ma.filled(np.ma.asarray(table["elaptime"][rows]).astype(np.float64), 0.0))
                best = int(np.argmax(seconds))
                values = {name: formats.plain(table[int(rows[best])][name]) for name in COLUMNS}
                values.update(frames=len(rows), total_elaptime=float(seconds.sum()), match_distance=float(distance[best]), match_count=len(rows))
            yield target, TableRow(values, self.units, self.roles, origin)


ROWS: dict[str, KoaFrames] = {
    f"koa/{name}": KoaFrames(
        name=f"koa/{name}", url="https://koa.ipac.caltech.edu/TAP", table=f"koa_{name}", columns=COLUMNS, id_column="koaid", epoch=2010.0, uploads=False, batch=1, threads=2,
        release="KOA", coverage=Coverage("single pointings of the Keck telescopes", (-50.0, 90.0)),
        citation=(
            "This research has made use of the Keck Observatory Archive (KOA), which is operated by the W. M. Keck Observatory and the NASA Exoplanet Science "
            "Institute (NExScI), under contract with the National Aeronautics and Space Administration. Name the principal investigators of the programmes used."
        ),
        licence="public after the proprietary period, with the KOA acknowledgement",
    )
    for name in INSTRUMENTS
}  # fmt: skip
