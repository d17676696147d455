"""Catalogues and photometry of any TAP or cone search service, by its address.

Sources: TAP 1.1 (https://www.ivoa.net/documents/TAP/20190927/), section 4 (TAP_SCHEMA); TAPRegExt 1.0 (https://www.ivoa.net/documents/TAPRegExt/20120827/),
section 2.5 (upload methods in /capabilities); Simple Cone Search 1.03 (https://www.ivoa.net/documents/REC/DAL/ConeSearch-20080222.html), sections 2.1 to 2.3.
Units, positions and what is an identifier come from the service's own description of its columns; ``columns=`` goes before it.
"""

import re
import threading
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import LightCurve, Modality, TableRow
from astrofuse_lab.positions import within
from astrofuse_lab.surveys import formats, transport
from astrofuse_lab.surveys.archive import Archive
from astrofuse_lab.surveys.photometry import AB_ZERO, FIELDS, fields_of, light_curve, origin_of
from astrofuse_lab.surveys.survey import Ask, Raw, provenance_of
from astrofuse_lab.surveys.tap_table import TapTable
from astrofuse_lab.surveys.vo_columns import Described, angle_of, described, positions, role_of
from astrofuse_lab.targets import Targets

if TYPE_CHECKING:
    from astropy.table import Table

CONES = 20
"""Positions in one query where a service takes no uploads."""
UPLOADS = re.compile(rb"TAPRegExt#upload-inline", re.IGNORECASE)


@dataclass
class VoCatalogue(Archive):
    """What services of tables have in common.

    Attributes
    ----------
    columns : mapping of str to (str, str)
        Our name to their column and its unit (empty: as the service says); empty: all columns under their own names.
    ra, dec : str
        Position columns; empty: as the service describes them.
    id_column : str
        What names an object; photometry of other objects within the radius is then left out.
    roles : mapping of str to str
        Goes before what the columns' descriptions say.
    epoch : float
        Julian year of the positions.
    zero_point, time_zero
        As in `photometry.light_curve`.
    """

    _: KW_ONLY
    columns: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    ra: str = ""
    dec: str = ""
    id_column: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    epoch: float = 2000.0
    zero_point: float | Mapping[str, float] = AB_ZERO
    time_zero: float | None = None
    fingerprint: str = ""

    @abstractmethod
    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """As `Survey.query`."""

    @abstractmethod
    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """As `Survey.read`."""

    def product(self, table: "Table", columns: list[Described], rows: NDArray[np.intp], distance: NDArray[np.float64], target: str, raw: Raw) -> Modality | None:
        """What one target is given of the rows near it, nearest first; `columns` are those of the table as `described`."""
        own = self.id_column or next((c.name for c in columns if role_of(c) == "id" and "main" in c.ucd.lower()), "")
        if self.gives is LightCurve:
            if own:
                rows = rows[np.asarray([str(v) for v in table[own][rows]]) == str(table[own][rows[0]])]
            return self._light_curve(table[rows], columns, target, raw)
        return self._row(table[int(rows[0])], {c.name: c for c in columns}, own, float(distance[0]), len(rows), raw)

    def _row(self, row: Any, columns: Mapping[str, Described], own: str, distance: float, count: int, raw: Raw) -> TableRow:
        pairs = self.columns or {name: (name, "") for name in columns if name != "target_row"}
        values = {ours: formats.plain(row[theirs]) for ours, (theirs, _) in pairs.items() if theirs in columns}
        units = {ours: unit or columns[theirs].unit for ours, (theirs, unit) in pairs.items() if theirs in columns and (unit or columns[theirs].unit)}
        roles = {ours: role_of(columns[theirs]) for ours, (theirs, _) in pairs.items() if theirs in columns}
        for ours, (theirs, _) in pairs.items():
            if roles.get(ours) == "id" or theirs == own:
                roles[ours], values[ours] = "id", None if values[ours] is None else str(values[ours])
        roles = {**roles, **self.roles, "match_distance": "other", "match_count": "other"}
        return TableRow(
            {**values, "match_distance": distance, "match_count": count}, {**units, "match_distance": "arcsec"},
            {name: role for name, role in roles.items() if role != "input"}, provenance_of(self, raw),
        )  # fmt: skip

    def _light_curve(self, rows: "Table", columns: list[Described], target: str, raw: Raw) -> LightCurve | None:
        fields = self.columns or {name: (column, "") for name, column in fields_of(columns).items()}
        zero, clock = origin_of(raw.content)
        span: Any = raw.extra.get("span")
        bands: Any = raw.extra.get("bands")
        with formats.reading(self.name, "light curve", target):
            return light_curve(
                rows, fields, provenance_of(self, raw), zero_point=self.zero_point, time_zero=self.time_zero if self.time_zero is not None else zero,
                span=span, bands=bands, clock=clock,
            )  # fmt: skip

    def asked(self, targets: Targets, ask: Ask) -> dict[str, Any]:
        """What of the request `read` needs to know; JSON values."""
        self.chosen(ask)
        if self.gives is not LightCurve:
            return {}
        span = targets[0].time or ask.time if len(targets) == 1 else ask.time
        return {"span": None if span is None else list(span), "bands": None if ask.bands is None else list(ask.bands)}


@dataclass
class VoTap(VoCatalogue):
    """One table of any TAP service: positions are uploaded where the service takes uploads, else they stand in the query.

    Attributes
    ----------
    table : str
    angle : str
        Unit of the positions; empty: as the service says.
    uploads : bool, optional
        None: as the service says in its capabilities.
    geometry, where, maxrec, asynchronous
        As in `TapTable`.
    """

    _: KW_ONLY
    gives: type = TableRow
    batch: int = 200
    table: str
    angle: str = ""
    uploads: bool | None = None
    geometry: str = "contains"
    where: str = ""
    maxrec: int = 100_000
    asynchronous: bool | None = False
    _known: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    _lock: Any = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """What the service says of the table, once; then one query for all positions, or a few at a time."""
        extra = self.asked(targets, ask)
        layout = self.layout()
        asked = self._table(layout)
        step = len(targets) if layout["uploads"] else CONES
        for start in range(0, len(targets), step):
            for raw in asked.query(targets[start : start + step], ask._replace(options={}, bands=None, release=None)):
                yield replace(raw, extra={**raw.extra, **extra, "layout": layout})

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The nearest row of each target, or the photometry of the nearest object."""
        layout: Any = raw.extra.get("layout")
        if not isinstance(layout, dict):
            formats.votable(raw.content, self.name, target=raw.target_ids[0])
            raise ArchiveError(self.name, "the answer lacks what the service said of its table", raw.target_ids[0])
        asked = self._table(layout)
        table = asked.parsed(raw, layout["columns"])
        columns = described(table)
        for target, rows, distance in asked.matched(table, raw):
            product = self.product(table, columns, rows, distance, target, raw)
            if product is not None:
                yield target, product

    def objects_in(self, ra: float, dec: float, radius: float, n: int) -> Targets:
        """As `TapTable.objects_in`."""
        return self._table(self.layout()).objects_in(ra, dec, radius, n)

    def layout(self) -> dict[str, Any]:
        """Columns, position columns, their unit, and whether uploads are taken: from the service, asked once.

        Raises
        ------
        ArchiveError
            If the service does not know the table, or no column is described as a position.
        """
        with self._lock:
            if not self._known:
                self._known = self._asked_for()
            return self._known

    def _asked_for(self) -> dict[str, Any]:
        columns = self._described()
        names = {c.name for c in columns}
        chosen = [theirs for theirs, _ in self.columns.values()] or [c.name for c in columns]
        pair = (self.ra, self.dec) if self.ra and self.dec else positions(columns)
        if pair is None:
            raise ArchiveError(self.name, f"none of the columns of {self.table} is described as a position ({', '.join(sorted(names)[:12])}). Say which: ra='...', dec='...'.")
        if self.id_column and self.id_column not in chosen:
            chosen.append(self.id_column)
        unknown = [name for name in (*chosen, *pair) if columns and name not in names and name.strip('"') not in names]
        if unknown:
            raise ArchiveError(self.name, f"{self.table} has no column {', '.join(unknown)}. It has {', '.join(sorted(names)[:40])}.")
        if not chosen:
            raise ArchiveError(self.name, f"the service does not know the table {self.table!r}: its TAP_SCHEMA has no columns of it. Say which with columns=.")
        unit = next((c.unit for c in columns if c.name == pair[0]), "")
        uploads = self._takes_uploads() if self.uploads is None else self.uploads
        return {"columns": chosen, "ra": pair[0], "dec": pair[1], "angle": self.angle or angle_of(unit), "uploads": uploads}

    def _described(self) -> list[Described]:
        """The columns in TAP_SCHEMA; none where everything needed was given and the service does not say."""
        name = self.table.replace("'", "''")
        adql = f"SELECT column_name, datatype, unit, ucd FROM TAP_SCHEMA.columns WHERE table_name = '{name}'"  # noqa: S608, quoted
        try:
            said = formats.votable(self._plain().run(adql), self.name, ("column_name", "datatype", "unit", "ucd"))
        except ArchiveError as error:
            if error.transient or not (self.columns and self.ra and self.dec):
                raise
            return []
        text = [tuple(str(formats.plain(row[key]) or "") for key in said.colnames) for row in said]
        rows = [dict(zip(said.colnames, row, strict=True)) for row in text]
        whole = re.compile(r"int|long|short|byte", re.IGNORECASE)
        return [
            Described(r["column_name"].strip('"'), r["unit"], r["ucd"], "char" not in r["datatype"].lower(), bool(whole.search(r["datatype"])))
            for r in rows
            if not re.search(r"point|circle|polygon|region|moc|interval|\[", r["datatype"], re.IGNORECASE)
        ]  # fmt: skip

    def _takes_uploads(self) -> bool:
        try:
            content, _, _ = transport.ask(self, "/capabilities")
        except ArchiveError as error:
            if error.transient:
                raise
            return False
        return UPLOADS.search(content) is not None

    def _plain(self) -> TapTable:
        return self._table({"columns": [], "ra": "ra", "dec": "dec", "angle": "deg", "uploads": False})

    def _table(self, layout: Mapping[str, Any]) -> TapTable:
        """The service's table with everything known."""
        return TapTable(
            name=self.name, url=self.url, mirrors=self.mirrors, citation=self.citation, licence=self.licence, release=self.release, timeout=self.timeout,
            table=self.table, columns=dict.fromkeys(layout["columns"], ("", "input")), ra=layout["ra"], dec=layout["dec"], angle=layout["angle"],
            uploads=bool(layout["uploads"]), epoch=self.epoch, id_column=self.id_column, geometry=self.geometry, where=self.where, maxrec=self.maxrec,
            asynchronous=self.asynchronous and bool(layout["columns"]),  # questions about the table itself are short
        )  # fmt: skip


@dataclass
class VoCone(VoCatalogue):
    """Any cone search service: one request a target."""

    _: KW_ONLY
    gives: type = TableRow
    batch: int = 8

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """RA, DEC and SR in degrees (SCS 1.03, section 2.1)."""
        extra = self.asked(targets, ask)
        moved = targets.at(self.epoch)
        for target, place in zip(targets, moved, strict=True):
            given = {"RA": f"{place.ra:.8f}", "DEC": f"{place.dec:.8f}", "SR": f"{ask.radius / 3600:.8f}"}
            content, media_type, address = transport.ask(self, target=target.object_id, params=given)
            if formats.votable_status(content) == "OVERFLOW":
                raise ArchiveError(self.name, f"more rows lie within {ask.radius:g} arcsec than the service sends (OVERFLOW). Give a smaller radius.", target.object_id)
            own = {**extra, "span": list(target.time)} if target.time and extra else extra
            yield Raw(self.name, (target.object_id,), content, address, media_type, extra={**own, "ra": place.ra, "dec": place.dec, "radius": ask.radius})

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The nearest row, or the photometry of the nearest object."""
        target = raw.target_ids[0]
        said = cone_error(raw.content)
        if said:
            raise ArchiveError(self.name, said, target)
        needed = [*(c for c, _ in self.columns.values()), *([self.id_column] if self.id_column else [])]
        table = formats.votable(raw.content, self.name, needed, target)
        if not len(table):
            return
        columns = described(table)
        pair = (self.ra, self.dec) if self.ra and self.dec else positions(columns)
        if pair is None:
            raise ArchiveError(self.name, f"none of the columns is described as a position ({', '.join(table.colnames[:12])}). Say which: ra='...', dec='...'.", target)
        with formats.reading(self.name, "list of positions", target):
            to_deg = {"hourangle": 15.0, "rad": 180 / np.pi, "deg": 1.0}
            unit = [angle_of(next(c.unit for c in columns if c.name == name)) for name in pair]
            ra, dec = (np.ma.filled(np.ma.asarray(table[n]).astype(float), np.nan) * to_deg[k] for n, k in zip(pair, unit, strict=True))
            extra: Any = raw.extra
            rows, distance = within(float(extra["ra"]), float(extra["dec"]), ra, dec, float(extra["radius"]))
        product = self.product(table, columns, rows, distance, target, raw) if len(rows) else None
        if product is not None:
            yield target, product


def cone_error(content: bytes) -> str:
    """What a cone search says went wrong (SCS 1.03, section 2.3: a PARAM or INFO called Error); empty where nothing did."""
    found = re.search(rb"<(?:PARAM|INFO)\b(?=[^>]*\bname=[\"']Error[\"'])[^>]*\bvalue=[\"']([^\"']*)[\"']", content[:20_000], re.IGNORECASE)
    return transport.words(found[1]) if found else ""


def check_fields(name: str, columns: Mapping[str, tuple[str, str]]) -> None:
    """InputError for a field that a light curve does not have, or one that it lacks."""
    unknown = [f for f in columns if f not in FIELDS]
    if unknown or (columns and ("time" not in columns or not {"flux", "mag"} & set(columns))):
        raise InputError(
            f"{name}: columns for a light curve name its fields: {', '.join(FIELDS)}; time and flux or mag are needed, "
            f"e.g. columns={{'time': 'mjd', 'mag': 'magpsf', 'mag_err': 'sigmapsf', 'band': 'fid'}}. Given: {', '.join(columns)}."
        )


