"""Any catalogue of VizieR by its number, and some that have no service of their own: GUVcat (GALEX), Auger, LHAASO, FASHI.

Sources: TAPVizieR, https://tapvizier.cds.unistra.fr/adql/about.html (names of tables as in VizieR, in double quotes where queried; positions in degrees). Uploads
are taken over plain http only, hence the address. Columns, units and UCDs are asked of its TAP_SCHEMA when a catalogue is first used; the same words stand in
each catalogue's ReadMe, https://cdsarc.cds.unistra.fr/viz-bin/ReadMe/<catalogue>. Roles follow the UCDs: only measurements are inputs.

- ``galex/table``: II/335, Bianchi et al. 2017 (AB magnitudes).
- ``auger/events``: J/ApJ/935/170, cosmic rays above 32 EeV of the Pierre Auger Observatory's phase one. One event is known to about a degree, and none has a
  source: the row is the nearest event, `match_count` how many lie within the radius. (10 % of all events: https://opendata.auger.org, as one file.)
- ``lhaaso/table``: J/ApJS/271/25, the first LHAASO catalogue; a source has a row for each detector (``Comp``: KM2A, WCDA) that saw it.
- ``fashi/table``: J/other/SCPMA/67.19511, the first release of the FAST all sky HI survey; redshifts are targets. FAST's beam is 2.9 arcmin wide.

The pulsars that FAST found are in no table of VizieR: see `fast_pulsars`.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.surveys import formats, transport
from astrofuse_lab.surveys.archive import Coverage
from astrofuse_lab.surveys.tap_table import TapTable
from astrofuse_lab.surveys.vo_columns import Described, Wanted, positions, wanted
from astrofuse_lab.surveys.wide_tap import WideTap

URL = "http://tapvizier.cds.unistra.fr/TAPVizieR/tap"
MIRRORS = ("http://tapvizier.u-strasbg.fr/TAPVizieR/tap",)
NUMBER = re.compile(r"[A-Za-z][A-Za-z0-9+&]*/[A-Za-z0-9+&./_-]*[A-Za-z0-9]")
THANKS = (
    "This research has made use of the VizieR catalogue access tool, CDS, Strasbourg, France (DOI: 10.26093/cds/vizier). "
    "The original description of the VizieR service was published in 2000, A&AS 143, 23. "
)
LICENCE = "free for scientific use with credit to the original authors and publication (https://cds.unistra.fr/vizier-org/licences_vizier.html)"


@dataclass
class VizierTable(WideTap):
    """The row of a VizieR catalogue nearest to each target.

    Attributes
    ----------
    catalogue : str
        Number of the catalogue or of one of its tables; a catalogue of several tables with positions needs the table.
    """

    _: KW_ONLY
    catalogue: str
    url: str = URL
    mirrors: tuple[str, ...] = MIRRORS
    licence: str = LICENCE
    table: str = ""
    uploads: bool | None = True
    batch: int = 500
    threads: int = 3

    def _asked_for(self) -> dict[str, Any]:
        """As `VoTap.layout`, with the table that was found."""
        table = self._resolved()
        return {**super()._asked_for(), "table": table}

    def _described(self) -> list[Described]:
        """The table's columns, numbers first: a right ascension as text is never taken where there is one in degrees."""
        columns = sorted(self._schema([self._resolved()])[self._resolved()], key=lambda column: not column.number)
        pair = positions(columns)
        if pair and not (self.ra and self.dec) and not all(column.number for column in columns if column.name in pair):
            raise ArchiveError(self.name, f"{self.catalogue} gives positions as text ({', '.join(pair)}). Name columns in degrees: ra='...', dec='...'.")
        return columns

    def _resolved(self) -> str:
        """The table asked for, or the only one with positions of the catalogue."""
        if self.table:
            return self.table
        number = self.catalogue
        adql = f"SELECT table_name FROM TAP_SCHEMA.tables WHERE table_name IN ('{number}', '\"{number}\"') OR table_name LIKE '{number}/%' OR table_name LIKE '\"{number}/%'"  # noqa: S608, checked
        said = formats.votable(self._service().run(adql), self.name, ("table_name",))
        names = sorted({str(formats.plain(row["table_name"])).strip('"') for row in said})
        if not names:
            raise ArchiveError(self.name, f"VizieR has no catalogue {number!r}. Look it up at https://vizier.cds.unistra.fr.")
        if number in names:
            names = [number]
        if len(names) > 1:
            schema = self._schema(names)
            placed = [name for name in names if positions(schema.get(name, []))]
            if len(placed) != 1:
                raise ArchiveError(self.name, f"VizieR's catalogue {number} has several tables{' with positions' if placed else ''}: {', '.join(placed or names)}. "
                                   f"Name one of them: af.surveys.vizier({(placed or names)[0]!r}).")  # fmt: skip
            names = placed
        self.table = names[0]
        return self.table

    def _schema(self, names: Sequence[str]) -> dict[str, list[Described]]:
        """Columns by table, as TAP_SCHEMA has them."""
        listed = ", ".join(f"'{name}', '\"{name}\"'" for name in names)
        adql = f"SELECT table_name, column_name, datatype, unit, ucd FROM TAP_SCHEMA.columns WHERE table_name IN ({listed})"  # noqa: S608, checked or VizieR's own
        said = formats.votable(self._service().run(adql), self.name, ("table_name", "column_name", "datatype", "unit", "ucd"))
        columns: dict[str, list[Described]] = {name: [] for name in names}
        for row in said:
            table, name, kind, unit, ucd = (str(formats.plain(row[key]) or "") for key in ("table_name", "column_name", "datatype", "unit", "ucd"))
            kind = kind.lower()
            if not re.search(r"point|circle|polygon|region|moc|interval|\[", kind):
                whole = bool(re.search(r"int|long|short|byte", kind))
                columns.setdefault(table.strip('"'), []).append(Described(name.strip('"'), unit, ucd, "char" not in kind, whole))
        return columns

    def _service(self) -> TapTable:
        return super()._table({"columns": [], "ra": "ra", "dec": "dec", "angle": "deg", "uploads": False})

    def _table(self, layout: Mapping[str, Any]) -> TapTable:
        made = super()._table(layout)
        if "table" in layout:
            made.table = f'"{layout["table"]}"'
        return made


def make(
    catalogue: str, columns: "Wanted | Sequence[str] | None" = None, *, radius: float = 0.0, ra: str = "", dec: str = "", epoch: float = 2000.0, id_column: str = "",
    roles: Mapping[str, str] | None = None, name: str = "", citation: str = "", timeout: float = transport.SILENCE,
) -> VizierTable:  # fmt: skip
    """A catalogue of VizieR by its number: ``af.surveys.vizier("J/ApJS/271/25")``, ``af.surveys.vizier("II/246/out", ["2MASS", "Jmag"])``.

    Parameters
    ----------
    catalogue : str
        Number of a catalogue or of one of its tables, as on https://vizier.cds.unistra.fr.
    columns : list of str, or mapping, optional
        As in `af.surveys.tap`: VizieR's names, or our names to them; None: all.
    radius : float
        arcsec; where the fetch's radius is smaller, this one counts (catalogues with coarse positions).
    ra, dec : str
        Position columns in degrees; empty: as VizieR describes them.
    epoch : float
        Julian year of the positions.
    id_column, roles
        As in `af.surveys.tap`.
    name : str
        Of the survey; empty: ``vizier/`` and the number.
    citation : str
        Of the original publication; VizieR's own acknowledgement goes before it.
    timeout : float
        Seconds without a byte after which an answer is given up.

    Raises
    ------
    InputError
        If `catalogue` is no number of a catalogue.
    """
    number = catalogue.strip().strip('"').removeprefix("vizier:").rstrip("/")
    if not NUMBER.fullmatch(number):
        raise InputError(f"catalogue={catalogue!r} is no VizieR number. They look like 'II/246/out', 'I/355' or 'J/ApJS/271/25'.")
    own = wanted(columns)
    settings = [number, own, radius, ra, dec, epoch, id_column, dict(roles or {})]
    mark = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    plain = re.sub(r"[^a-z0-9._]+", "-", number.lower())
    return VizierTable(
        name=name or f"vizier/{plain}{f'-{mark[:6]}' if settings[1:] != [{}, 0.0, '', '', 2000.0, '', {}] else ''}", catalogue=number, columns=own, ra=ra, dec=dec, epoch=epoch,
        id_column=id_column, roles=dict(roles or {}), settings={"radius": float(radius)}, release=f"VizieR {number}", timeout=timeout, fingerprint=mark,
        citation=THANKS + (citation or f"Cite the catalogue's authors: https://vizier.cds.unistra.fr/viz-bin/cite/{'/'.join(number.split('/')[: 4 if number.startswith('J/') else 2])}."),
    )  # fmt: skip


GALEX = make(
    "II/335/galex_ais", ["Name", "RAJ2000", "DEJ2000", "FUVmag", "e_FUVmag", "NUVmag", "e_NUVmag"], name="galex/table", id_column="Name",
    citation="Cite Bianchi, Shiao and Thilker 2017, ApJS 230, 24 (GUVcat_AIS GR6+7) and Martin et al. 2005, ApJ 619, L1 (GALEX).",
)  # fmt: skip
GALEX.coverage = Coverage("24,790 deg2 of the All-Sky Imaging Survey", latitude=0.0, moc="CDS/II/335/galex_ais")
AUGER = make(
    "J/ApJ/935/170", radius=3600.0, name="auger/events",
    citation="Cite the Pierre Auger Collaboration 2022, ApJ 935, 170.",
)  # fmt: skip
AUGER.coverage = Coverage("south of +45 deg", (-90.0, 45.0))
LHAASO = make("J/ApJS/271/25", radius=1080.0, name="lhaaso/table", citation="Cite LHAASO Collaboration (Cao et al.) 2024, ApJS 271, 25.")
LHAASO.coverage = Coverage("-20 to +80 deg of declination", (-20.0, 80.0))
FASHI = make("J/other/SCPMA/67.19511", radius=90.0, name="fashi/table", citation="Cite Zhang et al. 2024, Sci. China-Phys. Mech. Astron. 67, 219511 (FASHI).")
FASHI.coverage = Coverage("7,600 deg2 between -14 and +66 deg", (-14.0, 66.0))
ROWS = {row.name: row for row in (GALEX, AUGER, LHAASO, FASHI)}

__all__ = ["ROWS", "VizierTable", "make"]
