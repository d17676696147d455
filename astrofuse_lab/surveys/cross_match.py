"""CDS X-Match: thousands of targets against a VizieR catalogue or SIMBAD in one request.

Source: https://cds.unistra.fr/help/documentation/xmatch-more/api/ (also http://cdsxmatch.u-strasbg.fr/xmatch/doc/API-calls.html): POST with ``REQUEST=xmatch``, a CSV
table of positions (J2000, deg) as ``cat1`` with ``colRA1`` and ``colDec1``, ``cat2`` (``vizier:II/246/out`` or ``simbad``), ``distMaxArcsec`` (at most 180),
``RESPONSEFORMAT=votable``, ``selection=all``, ``cols2``, ``MAXREC`` (at most 2,000,000); uploads up to 100 MB. The first column of the answer, ``angDist``, is the
distance in arcsec. Large catalogues are there with VizieR's default columns and their photometry. CDS bans addresses that send many jobs at once (HTTP 403): one at a time.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import Modality, TableRow
from astrofuse_lab.surveys import formats, transport
from astrofuse_lab.surveys.archive import Archive
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.surveys.vo_columns import Wanted, described, role_of, wanted
from astrofuse_lab.targets import Targets

if TYPE_CHECKING:
    from astropy.table import Table

URL = "http://cdsxmatch.u-strasbg.fr/xmatch/api/v1/sync"
WIDEST = 180.0  # arcsec
OWN = ("target_row", "target_ra", "target_dec")
CATALOGUE = re.compile(r"vizier:[A-Za-z][A-Za-z0-9+&]*/[A-Za-z0-9+&./_-]*[A-Za-z0-9]|simbad")
THANKS = "This research made use of the cross-match service provided by CDS, Strasbourg. "


@dataclass
class XMatch(Archive):
    """The row of a catalogue nearest to each target.

    Attributes
    ----------
    catalogue : str
        ``vizier:`` and the table, or ``simbad``.
    columns : mapping of str to (str, str)
        Our name to theirs and its unit (empty: as X-Match says); empty: all.
    epoch : float
        Targets with proper motions are moved to it; X-Match itself works with J2000 positions.
    roles : mapping of str to str
        Goes before what the columns' UCDs say.
    maxrec : int
        Rows a request may give; above, the targets are asked for in halves.
    """

    _: KW_ONLY
    catalogue: str
    gives: type = TableRow
    url: str = URL
    mirrors: tuple[str, ...] = ("http://cdsxmatch.cds.unistra.fr/xmatch/api/v1/sync",)
    batch: int = 5000
    threads: int = 1
    timeout: float = 300.0
    columns: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    epoch: float = 2000.0
    roles: Mapping[str, str] = field(default_factory=dict)
    maxrec: int = 200_000
    fingerprint: str = ""

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One request for all targets; in halves where a row limit cuts the answer."""
        self.chosen(ask)
        if ask.radius > WIDEST:
            raise InputError(f"{self.name}: radius {ask.radius:g} arcsec. X-Match goes to {WIDEST:g} at most; af.surveys.vizier(...) goes further.")
        only = targets.ids[0] if len(targets) == 1 else None
        moved = targets.at(self.epoch)
        csv = "\n".join([",".join(OWN), *(f"{row},{t.ra:.9f},{t.dec:.9f}" for row, t in enumerate(moved))]) + "\n"
        form = {
            "REQUEST": "xmatch", "cat2": self.catalogue, "distMaxArcsec": f"{ask.radius:g}", "RESPONSEFORMAT": "votable", "selection": "all",
            "colRA1": "target_ra", "colDec1": "target_dec", "MAXREC": str(self.maxrec),
        }  # fmt: skip
        if self.columns:
            form["cols2"] = ",".join(dict.fromkeys(theirs for theirs, _ in self.columns.values()))
        content, media_type, _ = transport.ask(self, target=only, method="POST", data=form, files={"cat1": ("targets.csv", csv.encode(), "text/csv")})
        raw = Raw(self.name, targets.ids, content, f"{self.url} {' '.join(f'{k}={v}' for k, v in form.items())}", media_type or "application/x-votable+xml", now(), {"radius": ask.radius})
        if formats.votable_status(content) == "OVERFLOW" or len(self.parsed(raw)) >= self.maxrec:
            if only is not None:
                raise ArchiveError(self.name, f"more than {self.maxrec} rows lie within {ask.radius:g} arcsec, so the answer is not complete. Give a smaller radius.", only)
            middle = len(targets) // 2
            yield from self.query(targets[:middle], ask)
            yield from self.query(targets[middle:], ask)
            return
        yield raw

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The nearest row of each target that has one."""
        table = self.parsed(raw)
        only = raw.target_ids[0] if len(raw.target_ids) == 1 else None
        if not len(table):
            return
        with formats.reading(self.name, "cross-match", only):
            place = np.ma.filled(np.ma.asarray(table["target_row"]).astype(int), -1)
            distance = np.ma.filled(np.ma.asarray(table["angDist"]).astype(float), np.nan)
            if place.min() < 0 or place.max() >= len(raw.target_ids) or not np.isfinite(distance).all():
                raise ArchiveError(self.name, f"the service answered about row {place.max()} of {len(raw.target_ids)} targets, or without distances", only)
            order = np.lexsort((distance, place))
            first = np.flatnonzero(np.diff(place[order], prepend=-1))
            counts = np.diff([*first, len(order)])
            columns = {c.name: c for c in described(table) if c.name not in (*OWN, "angDist")}
            pairs = self.columns or {name: (name, "") for name in columns}
            units = {ours: unit or columns[theirs].unit for ours, (theirs, unit) in pairs.items() if unit or columns[theirs].unit}
            roles = {ours: role_of(columns[theirs]) for ours, (theirs, _) in pairs.items()}
            ids = {ours for ours, role in roles.items() if role == "id"}
            roles = {name: role for name, role in {**roles, **self.roles, "match_distance": "other", "match_count": "other"}.items() if role != "input"}
            origin = provenance_of(self, raw)
        for start, count in zip(first, counts, strict=True):
            at = int(order[start])
            row = table[at]
            values = {ours: formats.plain(row[theirs]) for ours, (theirs, _) in pairs.items()}
            values.update({name: str(values[name]) for name in ids if values[name] is not None})
            values.update(match_distance=float(distance[at]), match_count=int(count))
            yield raw.target_ids[int(place[at])], TableRow(values, {**units, "match_distance": "arcsec"}, roles, origin)

    def parsed(self, raw: Raw) -> "Table":
        """The answer as a table; ArchiveError where it lacks what was asked for."""
        only = raw.target_ids[0] if len(raw.target_ids) == 1 else None
        table = formats.votable(raw.content, self.name, target=only)
        if not len(table) and "angDist" not in table.colnames:
            return table
        lacking = [name for name in ("angDist", "target_row", *(theirs for theirs, _ in self.columns.values())) if name not in table.colnames]
        if lacking:
            raise ArchiveError(self.name, f"the answer lacks the columns {', '.join(lacking)}; it has {', '.join(table.colnames[:12])}", only, unreadable=True)
        return table


def make(
    catalogue: str, columns: "Wanted | Sequence[str] | None" = None, *, epoch: float = 2000.0, roles: Mapping[str, str] | None = None, name: str = "", citation: str = "",
    timeout: float = 300.0,
) -> XMatch:  # fmt: skip
    """Many targets at once against a VizieR table or SIMBAD: ``af.surveys.xmatch("vizier:II/246/out")``, ``af.surveys.xmatch("simbad", ["main_id", "main_type"])``.

    Parameters
    ----------
    catalogue : str
        ``vizier:`` and the number of a table (the prefix may be left out), or ``simbad``.
    columns : list of str, or mapping, optional
        As in `af.surveys.tap`; None: all that X-Match has of the catalogue.
    epoch : float
        Julian year that targets with proper motions are moved to.
    roles : mapping of str to str, optional
        Column (our name) to ``input``, ``target``, ``id`` or ``other``, before what its UCD says.
    name : str
        Of the survey; empty: ``xmatch/`` and the catalogue.
    citation : str
        Of the catalogue; X-Match's own acknowledgement goes before it.
    timeout : float
        Seconds without a byte after which an answer is given up.

    Raises
    ------
    InputError
        If `catalogue` is none that X-Match can know.
    """
    which = catalogue.strip()
    which = which if which == "simbad" or which.startswith("vizier:") else f"vizier:{which}"
    if not CATALOGUE.fullmatch(which):
        raise InputError(f"catalogue={catalogue!r}. Give 'simbad' or a VizieR table: af.surveys.xmatch('vizier:II/246/out').")
    own = wanted(columns)
    settings: list[Any] = [which, own, epoch, dict(roles or {})]
    mark = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    plain = re.sub(r"[^a-z0-9._]+", "-", which.removeprefix("vizier:").lower())
    cite = citation or ("Cite Wenger et al. 2000, A&AS 143, 9 (SIMBAD)." if which == "simbad" else "Cite the catalogue's authors, see https://vizier.cds.unistra.fr.")
    return XMatch(
        name=name or f"xmatch/{plain}{f'-{mark[:6]}' if settings[1:] != [{}, 2000.0, {}] else ''}", catalogue=which, columns=own, epoch=epoch, roles=dict(roles or {}),
        release=f"{which} as served", citation=THANKS + "Cite Boch, Pineau and Derriere 2012, ASP Conf. 461, 291 and Ochsenbein et al. 2000, A&AS 143, 23. " + cite,
        licence="free for scientific use with credit to the original authors and publication (https://cds.unistra.fr/vizier-org/licences_vizier.html)",
        timeout=timeout, fingerprint=mark,
    )  # fmt: skip
