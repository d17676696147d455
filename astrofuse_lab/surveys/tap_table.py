"""Catalogues behind TAP: many positions to a query, the nearest source of each target, one class for all archives.

Source: TAP 1.1 (https://www.ivoa.net/documents/TAP/20190927/), sections 2.3 (synchronous queries), 2.5 (inline upload) and 2.7.4 (overflow);
ADQL 2.0 (https://www.ivoa.net/documents/ADQL/20081030/), section 2.4 (geometry); DALI 1.1, section 4.4.1 (QUERY_STATUS).
A new catalogue is one instance: table, columns with units and roles, the names of its position columns and their epoch.
"""

import io
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import Modality, TableRow
from astrofuse_lab.positions import within
from astrofuse_lab.surveys import formats, transport, uws
from astrofuse_lab.surveys.archive import Archive
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.targets import Target, Targets

if TYPE_CHECKING:
    from astropy.table import Table
    from requests import Response, Session

Degrees = NDArray[np.float64]
MAXREC = 20_000
PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
RESERVED = frozenset(  # of ADQL 2.0, section 2.1.2, but DEC: a column of half the catalogues, and taken by all services
    """action all alias and any as asc at avg between both by case char character check column commit connection constraint convert count cross
    current date day default desc distinct double else end escape exists external false first float for foreign found from full get global go group
    having hour identity in index inner input insert int into is join key language last left level like local lower match max min minute module month
    names natural next no not null numeric of on only open option or order output pad position precision primary prior procedure public read real
    right rows schema second section select session set size smallint some sum table then time timestamp to transaction true union unique unknown
    update upper usage user using value values varchar view when where with work write year zone
    abs area box ceiling center circle contains degrees distance exp floor intersects log mod point polygon power radians rand region round sin sqrt top
    """.split()  # noqa: SIM905, for reading
)
TO_DEGREES = {"deg": "", "hourangle": "15 * ", "rad": "57.29577951308232 * "}
GEOMETRIES = ("contains", "distance", "q3c", "box")


@dataclass
class TapTable(Archive):
    """The row of one catalogue nearest to each target.

    Besides the catalogue's columns a row has ``match_distance`` (arcsec) and ``match_count``, the number of sources
    within the match radius: above 1 the match is ambiguous.

    Attributes
    ----------
    url : str
        Of the service, without ``/sync``.
    table : str
        As in its TAP_SCHEMA, e.g. ``gaiadr3.gaia_source``; a name that ADQL does not take as it is in double quotes.
    columns : mapping of str to (str, str)
        Column, spelled as in TAP_SCHEMA, to its unit (empty where none) and its role: ``input``, ``id``, ``target`` or ``other``.
        What the archive says an object is, positions and identifiers are never ``input``.
    ra, dec : str
        The position columns.
    angle : str
        Unit of `ra` (``deg``, ``hourangle`` or ``rad``); `dec` is in deg, or in rad with it.
    epoch : float
        Julian year of the positions: targets with proper motions are moved to it.
    id_column : str
        Its values become text: 19 digits do not fit a float, and some tools make floats of integers.
    uploads : bool
        Whether the service takes uploads. Without, the positions stand in the query; keep `batch` small then (20 or so).
    geometry : str
        How the service is asked for what lies in a circle: ``contains`` (ADQL), ``distance`` (ADQL, where that is what is indexed),
        ``q3c`` (Astro Data Lab and other PostgreSQL services) or ``box`` (no geometry functions at all).
    maxrec : int
        Rows a query may give; above, it is asked for in halves.
    label, motion, order : str, tuple of str, str
        For `objects_in`: the column that names an object (`id_column` where empty), the proper motion columns
        (mas per year), and what to order by, so that the choice is a fair one.
    where : str
        A further ADQL condition on the catalogue, whose alias is ``c``.
    asynchronous : bool, optional
        Whether queries are jobs (``/async``); None: those are which take the service too long to answer at once.
    """

    _: KW_ONLY
    gives: type = TableRow
    table: str
    columns: Mapping[str, tuple[str, str]]
    ra: str = "ra"
    dec: str = "dec"
    angle: str = "deg"
    epoch: float = 2000.0
    id_column: str = ""
    uploads: bool = True
    geometry: str = "contains"
    maxrec: int = MAXREC
    batch: int = 500
    label: str = ""
    motion: tuple[str, str] | None = None
    order: str = ""
    where: str = ""
    asynchronous: bool | None = False
    units: dict[str, str] = field(init=False)
    roles: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        if self.geometry not in GEOMETRIES or self.angle not in TO_DEGREES:
            raise InputError(
                f"{self.name}: geometry={self.geometry!r}, angle={self.angle!r}. geometry is one of {', '.join(GEOMETRIES)}; angle is deg, hourangle or rad."
            )
        self.units = {**{name: unit for name, (unit, _) in self.columns.items() if unit}, "match_distance": "arcsec"}
        self.roles = {**{name: role for name, (_, role) in self.columns.items() if role != "input"}, "match_distance": "other", "match_count": "other"}

    # asking ------------------------------------------------------------------------------------

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One query for all targets; in halves where a row limit cuts the answer."""
        self.chosen(ask)
        moved = targets.at(self.epoch)
        adql = self.adql(moved, ask)
        upload = _upload(moved, ask.radius if self.geometry == "box" else None) if self.uploads else None
        content = self.run(adql, upload, target=targets.ids[0] if len(targets) == 1 else None)
        if formats.votable_status(content) != "OVERFLOW":
            extra = {"ra": [float(v) for v in moved.ra], "dec": [float(v) for v in moved.dec], "radius": ask.radius}
            yield Raw(self.name, targets.ids, content, f"{self.url} {adql}", "application/x-votable+xml", now(), extra)
            return
        if len(targets) == 1:
            raise ArchiveError(self.name, f"more rows lie within {ask.radius:g} arcsec than the archive sends at once (OVERFLOW), so the answer is not complete. "
                               "Give a smaller radius.", targets.ids[0])  # fmt: skip
        middle = len(targets) // 2
        yield from self.query(targets[:middle], ask)
        yield from self.query(targets[middle:], ask)

    def adql(self, targets: Targets, ask: Ask) -> str:
        """The query: the uploaded ``tap_upload.targets`` (target_row, ra, dec) joined, or the positions as they are."""
        names = list(dict.fromkeys([*self.columns, self.ra, self.dec]))
        columns = ", ".join(f"c.{quoted(name)}" for name in names)
        also = f" AND {self.where}" if self.where else ""
        if self.uploads:
            inside = self.inside("t.ra", "t.dec", ask.radius)
            return f"SELECT t.target_row, {columns} FROM tap_upload.targets AS t JOIN {self.table} AS c ON {inside}{also}"  # noqa: S608, the parts are ours
        inside = " OR ".join(self.inside(repr(float(ra)), repr(float(dec)), ask.radius) for ra, dec in zip(targets.ra, targets.dec, strict=True))
        return f"SELECT {columns} FROM {self.table} AS c WHERE ({inside}){also}"  # noqa: S608, the parts are ours

    def inside(self, ra: str, dec: str, radius: float) -> str:
        """The ADQL condition that a row lies within `radius` (arcsec) of a position, given as numbers or columns (deg)."""
        own_ra = f"{TO_DEGREES[self.angle]}c.{quoted(self.ra)}"
        own_dec = f"{TO_DEGREES['rad'] if self.angle == 'rad' else ''}c.{quoted(self.dec)}"
        size = repr(radius / 3600)
        if self.geometry == "distance":
            return f"DISTANCE(POINT('ICRS', {own_ra}, {own_dec}), POINT('ICRS', {ra}, {dec})) < {size}"
        if self.geometry == "q3c":
            if ra.startswith("t."):  # the catalogue comes second: its index is used
                return f"'t' = Q3C_JOIN({ra}, {dec}, {own_ra}, {own_dec}, {size})"
            return f"'t' = Q3C_RADIAL_QUERY({own_ra}, {own_dec}, {ra}, {dec}, {size})"
        if self.geometry == "box":
            wide = "t.ra_half" if ra.startswith("t.") else repr(_width(float(dec), radius / 3600))
            around = " OR ".join(f"ABS({own_ra} - {ra}{turn}) <= {wide}" for turn in ("", " + 360", " - 360"))
            return f"(({own_dec} BETWEEN {dec} - {size} AND {dec} + {size}) AND ({around}))"
        return f"1 = CONTAINS(POINT('ICRS', {own_ra}, {own_dec}), CIRCLE('ICRS', {ra}, {dec}, {size}))"

    def run(self, adql: str, upload: bytes | None = None, *, target: str | None = None) -> bytes:
        """The VOTable that answers a query, as sent; `upload`, a VOTable, becomes ``tap_upload.targets``.

        Raises
        ------
        ArchiveError
            As `transport.ask`, and with the service's own words where it reports an error with status 200.
        """
        from pyvo.dal import TAPQuery

        def send(url: str, session: "Session") -> "Response":
            uploads = {"targets": io.BytesIO(upload)} if upload is not None else None
            response: Response = TAPQuery(url, adql, maxrec=self.maxrec, uploads=uploads, session=session).submit()
            return response

        if self.asynchronous:
            return self._said(uws.run(self, adql, upload, maxrec=self.maxrec, target=target), target)
        try:
            return self._said(transport.through(self, send, target=target)[0], target)
        except ArchiveError as error:
            if self.asynchronous is not None or not uws.too_slow(error):
                raise
            slow = error
        try:
            return self._said(uws.run(self, adql, upload, maxrec=self.maxrec, target=target), target)
        except ArchiveError as error:
            raise slow if uws.no_jobs(error) else error from None

    def _said(self, content: bytes, target: str | None) -> bytes:
        """The answer, unless it is an error."""
        if formats.votable_status(content) == "ERROR":
            raise ArchiveError(self.name, transport.words(content), target)
        return content

    # reading -----------------------------------------------------------------------------------

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The nearest source of each target that has one."""
        table = self.parsed(raw, list(self.columns))
        origin = provenance_of(self, raw)
        for target, order, distance in self.matched(table, raw):
            row = table[int(order[0])]
            with formats.reading(self.name, "row of a catalogue", target):
                values = {name: formats.plain(row[name]) for name in self.columns}
                several = [name for name, value in values.items() if not isinstance(value, float | int | str | bool | None)]
                if several:
                    raise ValueError(f"{', '.join(several)}: more than one value in a cell")
            if values.get(self.id_column) is not None:
                values[self.id_column] = str(values[self.id_column])
            yield target, TableRow({**values, "match_distance": float(distance[0]), "match_count": len(order)}, self.units, self.roles, origin)

    def parsed(self, raw: Raw, needed: Sequence[str]) -> "Table":
        """The answer as a table whose columns are spelled as in `needed`, whatever the case the service sends."""
        only = raw.target_ids[0] if len(raw.target_ids) == 1 else None
        names = list(dict.fromkeys([*(["target_row"] if self.uploads else []), *needed, self.ra, self.dec]))
        table = formats.votable(raw.content, self.name, target=only)
        sent = {name.lower(): name for name in table.colnames}
        lacking = [name for name in names if name not in table.colnames and name.lower() not in sent]
        if lacking:
            raise ArchiveError(self.name, f"the answer lacks the columns {', '.join(lacking)}; it has {', '.join(table.colnames[:12])}", only)
        for name in names:
            if name not in table.colnames:
                table.rename_column(sent[name.lower()], name)
        if len(table) >= self.maxrec:  # a service that cuts without saying so
            raise ArchiveError(self.name, f"the answer has {len(table)} rows, the most that a query may give, and may be cut. Give a smaller radius.", only)
        return table

    def matched(self, table: "Table", raw: Raw) -> Iterator[tuple[str, NDArray[np.intp], Degrees]]:
        """For each target with sources: its id, the rows of `table` nearest first, their distances (arcsec)."""
        if not len(table):
            return
        only = raw.target_ids[0] if len(raw.target_ids) == 1 else None
        with formats.reading(self.name, "list of positions", only):
            if self.uploads:
                place = np.ma.filled(np.ma.asarray(table["target_row"]), -1).astype(int)
                if place.shape != (len(table),) or place.min() < 0 or place.max() >= len(raw.target_ids):
                    raise ArchiveError(self.name, f"the archive answered about row {place.max()} of {len(raw.target_ids)} targets", only)
            ra, dec = (_floats(table[name]) for name in (self.ra, self.dec))
            ra, dec = ra * {"hourangle": 15.0, "rad": 180 / np.pi}.get(self.angle, 1.0), dec * (180 / np.pi if self.angle == "rad" else 1.0)
            asked = np.array([raw.extra["ra"], raw.extra["dec"]], dtype=float)
            if asked.shape != (2, len(raw.target_ids)):
                raise ValueError(f"{asked.shape} positions of {len(raw.target_ids)} targets")
        radius, numbers = float(raw.extra["radius"]), None  # type: ignore[arg-type]
        for number, target in enumerate(raw.target_ids):
            own = np.flatnonzero(place == number) if self.uploads else np.arange(len(table))
            order, distance = within(asked[0, number], asked[1, number], ra[own], dec[own], radius)
            if len(order) > 1:  # a row that is sent twice is one source
                numbers = row_numbers(table) if numbers is None else numbers
                once = np.sort(np.unique(numbers[own[order]], return_index=True)[1])
                order, distance = order[once], distance[once]
            if len(order):
                yield target, own[order], distance

    # a region ----------------------------------------------------------------------------------

    def objects_in(self, ra: float, dec: float, radius: float, n: int) -> Targets:
        """At most `n` sources within `radius` (deg) of a position, with their proper motions where the catalogue has them.

        Fewer than `n` are all there are, unless ``whole`` of the result is False: the service cut its answer. Rows without a position are left out,
        with a warning that counts them; a source sent twice counts once; different sources of one label have their positions in it.
        """
        label = self.label or self.id_column
        names = list(dict.fromkeys([*([label] if label else []), self.ra, self.dec, *(self.motion or ())]))
        also = (f" AND {self.where}" if self.where else "") + (f" ORDER BY {self.order}" if self.order else "")
        inside = self.inside(repr(float(ra)), repr(float(dec)), 3600 * radius)
        top = int(n)
        while True:
            adql = f"SELECT TOP {top} {', '.join(f'c.{quoted(name)}' for name in names)} FROM {self.table} AS c WHERE {inside}{also}"  # noqa: S608
            content = self.run(adql)
            table = formats.votable(content, self.name, names)
            found, lost = self._sources(table, label)
            cut = formats.votable_status(content) == "OVERFLOW"
            if cut or len(table) < top or len(found) >= n or top >= self.maxrec:
                break
            top = min(4 * top, self.maxrec)
        notes = (f"{self.name}: {lost} of {len(table)} rows have no position and are left out",) if lost else ()
        for note in notes:
            warnings.warn(note, UserWarning, stacklevel=2)
        made = Targets(found[:n], notes)
        made.whole = len(found) >= n or not (cut or len(table) >= top)
        return made

    def _sources(self, table: "Table", label: str) -> tuple[list[Target], int]:
        """Rows as targets of different ids, and how many rows have no position."""
        lon = _floats(table[self.ra]) * {"hourangle": 15.0, "rad": 180 / np.pi}.get(self.angle, 1.0)
        lat = _floats(table[self.dec]) * (180 / np.pi if self.angle == "rad" else 1.0)
        good = np.isfinite(lon) & (np.abs(lat) <= 90)
        lon = np.where(good, lon, 0.0) % 360.0  # services write right ascensions from -180 to 180, too
        motions = [np.nan_to_num(_floats(table[name])) for name in self.motion or ()] or [np.zeros(len(table))] * 2
        said = [formats.plain(v) for v in table[label]] if label else [None] * len(table)
        rows = {(said[i], round(float(lon[i]), 6), round(float(lat[i]), 6)) if said[i] is not None else i: int(i) for i in np.flatnonzero(good)[::-1]}
        kept = sorted(rows.values())
        often = Counter(str(said[i]) for i in kept if said[i] is not None)
        made = []
        for i in kept:
            name = f"{self.name}-{i:05d}" if said[i] is None else str(said[i])
            if said[i] is not None and often[name] > 1:
                name += f" ({lon[i]:.6f} {lat[i]:+.6f})"
            made.append(Target(name, float(lon[i]), float(lat[i]), self.epoch, float(motions[0][i]), float(motions[1][i])))
        return made, int(len(table) - good.sum())


def quoted(name: str) -> str:
    """A column name as ADQL takes it: delimited where it is reserved or has signs that a plain name may not have."""
    if name.startswith('"') or (PLAIN_NAME.match(name) and name.lower() not in RESERVED):
        return name
    return '"' + name.replace('"', '""') + '"'


def row_numbers(table: "Table") -> NDArray[np.int64]:
    """A number for each row, the same for rows that are the same in all columns, what is missing and NaN included."""
    numbers = np.zeros(len(table), dtype=np.int64)
    for name in table.colnames:
        cells = np.ma.asarray(table[name])
        plain = cells.ndim == 1 and cells.dtype.kind in "biufcSUM"
        values = cells.data if plain else np.array([repr(cell) for cell in cells])
        code = np.unique(values, return_inverse=True)[1].reshape(-1) + 1
        if plain:
            code = np.where(np.ma.getmaskarray(cells), 0, code)
        numbers = np.unique(numbers * (len(table) + 1) + code, return_inverse=True)[1].reshape(-1)  # small again, so that the next column fits
    return numbers


def _width(dec: float, radius: float) -> float:
    """Half the extent in right ascension of a circle, deg: asin(sin r / cos d); near a pole all of it."""
    if abs(dec) + radius >= 90:
        return 360.0
    return float(np.degrees(np.arcsin(np.sin(np.radians(radius)) / np.cos(np.radians(dec)))))


def _floats(column: Any) -> Degrees:
    """Numbers, NaN where there are none."""
    return np.asarray(np.ma.filled(np.ma.asarray(column).astype(float), np.nan))


def _upload(targets: Targets, radius: float | None) -> bytes:
    """A VOTable of target_row, ra and dec (deg); with `radius` (arcsec) also ra_half, half the width of a box around it."""
    from astropy.io.votable.tree import VOTableFile
    from astropy.table import Table

    table = Table({"target_row": np.arange(len(targets), dtype=np.int32), "ra": targets.ra, "dec": targets.dec})
    if radius is not None:
        table["ra_half"] = [_width(dec, radius / 3600) for dec in targets.dec]
    file = io.BytesIO()
    VOTableFile.from_table(table).to_xml(file)
    return file.getvalue()
