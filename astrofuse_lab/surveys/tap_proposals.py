"""Observing programmes that looked at a position, as archives tell of them by TAP: titles, who led them, keywords; one class for all of them.

Sources
- ``eso/text``: ESO's ``https://archive.eso.org/tap_obs``, table ``dbo.raw`` (prog_id, prog_title, pi_coi, instrument, dp_cat, s_region; https://archive.eso.org/programmatic/, and
  the answer recorded in astroquery's eso/tests/data/query_main_sgra.csv). Abstracts stand on web pages only
  (http://archive.eso.org/wdb/wdb/eso/abstract/query?progid=...), whose layout is documented nowhere, and are not fetched.
- ``cadc/text``: Gemini (of NOIRLab), CFHT, JCMT and DAO at the Canadian Astronomy Data Centre, ``https://ws.cadc-ccda.hia-iha.nrc-cnrc.gc.ca/argus``, tables
  ``caom2.Observation`` (collection, proposal_id, proposal_title, proposal_pi, proposal_keywords, instrument_name) and ``caom2.Plane`` (position_bounds), joined as in
  astroquery's cadc/core.py; the columns, https://www.opencadc.org/caom2/. The archive of NOIRLab's other telescopes gives numbers of programmes without titles.
- ``koa/text``: Keck, ``https://koa.ipac.caltech.edu/TAP``, a table for each instrument (progid, progtitl, progpi, semester; as in `koa`).

None of them gives abstracts in a table; ``alma/text`` does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Modality, Text
from astrofuse_lab.surveys import formats, koa, messages
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.surveys.tap_table import TapTable
from astrofuse_lab.targets import Target, Targets

MOST = 20_000
"""Rows that one query may give."""


@dataclass
class TapProposals(Archive):
    """The programmes with observations at each target, newest number first.

    Attributes
    ----------
    adql : str
        The query; ``{circle}`` stands for the match radius around the target, ``{bands}`` for the bands asked for, quoted, and ``{band}`` for one of them: then
        each band has a query of its own.
    number, title, by, words : str
        Columns: the programme's number, its title, who led it, keywords. `words` may be empty.
    kinds : tuple of str
        Columns that say where or with what; their values are listed.
    label : str
        What goes before the number where no column says whose it is.
    """

    _: KW_ONLY
    gives: type = Text
    adql: str
    number: str
    title: str
    by: str
    words: str = ""
    kinds: tuple[str, ...] = ()
    label: str = ""
    columns: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.columns = tuple(name for name in (self.number, self.title, self.by, self.words, *self.kinds) if name)

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One query a target, or one a target and band."""
        self.chosen(ask)
        bands = self.chosen_bands(ask.bands)
        tap = TapTable(
            name=self.name, url=self.url, mirrors=self.mirrors, timeout=self.timeout, table="", columns={}, uploads=False, release=self.release, citation=self.citation,
            licence=self.licence, maxrec=MOST,
        )  # fmt: skip
        for target in targets.at(2000.0):
            parts, asked = [], self.queries(target, ask.radius, bands)
            for adql in asked:
                content = tap.run(adql, target=target.object_id)
                if formats.votable_status(content) == "OVERFLOW":
                    raise ArchiveError(self.name, f"more than {MOST} observations lie here, so the answer is not complete. Give a smaller radius or fewer bands.", target.object_id)
                parts.append(content)
            extra = {"lengths": [len(part) for part in parts]}
            yield Raw(self.name, (target.object_id,), b"".join(parts), f"{self.url} {'; '.join(asked)}", "application/x-votable+xml", now(), extra)

    def queries(self, target: Target, radius: float, bands: Sequence[str]) -> list[str]:
        """The queries about one target."""
        circle = f"CIRCLE('ICRS', {float(target.ra)!r}, {float(target.dec)!r}, {radius / 3600!r})"
        told = {"circle": circle, "bands": ", ".join(f"'{band}'" for band in bands)}
        each: Sequence[str] = bands if "{band}" in self.adql else ("",)
        return [self.adql.format(**told, band=band) for band in each]

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """One text a target, unless no programme with a title looked there."""
        target = raw.target_ids[0]
        rows: dict[str, dict[str, set[str]]] = {}
        for part in messages.pieces(raw):
            table = formats.votable(part, self.name, self.columns, target)
            with formats.reading(self.name, "list of programmes", target):
                for row in table:
                    said = {name: messages.plain(str(formats.plain(row[name]) or "")) for name in self.columns}
                    if said[self.number] and said[self.title]:
                        one = rows.setdefault(said[self.number], {name: set() for name in self.columns})
                        for name, value in said.items():
                            one[name].update([value] if value else [])
        found = [self.paper(rows[number]) for number in sorted(rows, reverse=True)]
        if found:
            yield target, Text(messages.papers(found), provenance_of(self, raw))

    def paper(self, one: dict[str, set[str]]) -> messages.Paper:
        """One programme."""
        told = {name: sorted(values) for name, values in one.items()}
        source = " ".join(part for part in (self.label, *told[self.number]) if part) + (f", {told[self.by][0]}" if told[self.by] else "")
        more = [f"{', '.join(told[name])}." for name in self.kinds if told[name]] + ([f"Keywords: {'; '.join(told[self.words])}."] if self.words and told[self.words] else [])
        return messages.Paper(told[self.title][0], source, " ".join(more))


ESO = TapProposals(
    name="eso/text", url="https://archive.eso.org/tap_obs", release=f"ESO Science Archive, live; {messages.RAW_TEXT}", threads=2, timeout=150.0,
    adql="SELECT DISTINCT prog_id, prog_title, pi_coi, instrument FROM dbo.raw WHERE dp_cat = 'SCIENCE' AND INTERSECTS(s_region, {circle}) = 1",
    number="prog_id", title="prog_title", by="pi_coi", kinds=("instrument",), label="ESO", coverage=Coverage("where telescopes at La Silla, Paranal and APEX looked", (-90.0, 50.0)),
    citation="Based on observations collected at the European Southern Observatory under the ESO programmes that are named (https://archive.eso.org/cms/eso-data-access-policy.html).",
    licence="public, with credit to ESO and the proposers",
)  # fmt: skip
CADC = TapProposals(
    name="cadc/text", url="https://ws.cadc-ccda.hia-iha.nrc-cnrc.gc.ca/argus", release=f"CADC, live; {messages.RAW_TEXT}", threads=2, timeout=150.0,
    bands=("GEMINI", "CFHT", "JCMT", "DAO"),
    adql="SELECT DISTINCT o.collection, o.proposal_id, o.proposal_title, o.proposal_pi, o.proposal_keywords, o.instrument_name FROM caom2.Observation AS o "
    "JOIN caom2.Plane AS p ON o.obsID = p.obsID WHERE INTERSECTS({circle}, p.position_bounds) = 1 AND o.collection IN ({bands}) AND o.proposal_title IS NOT NULL",
    number="proposal_id", title="proposal_title", by="proposal_pi", words="proposal_keywords", kinds=("collection", "instrument_name"),
    coverage=Coverage("where Gemini, CFHT, JCMT and DAO looked"),
    citation="This research used the facilities of the Canadian Astronomy Data Centre operated by the National Research Council of Canada with the support of the Canadian Space "
    "Agency. Gemini: based on observations obtained at the international Gemini Observatory, a program of NSF NOIRLab.",
    licence="public, with credit to the observatories and the proposers",
)  # fmt: skip
KOA = TapProposals(
    name="koa/text", url="https://koa.ipac.caltech.edu/TAP", release=f"KOA, live; {messages.RAW_TEXT}", threads=2, bands=koa.INSTRUMENTS,
    adql="SELECT progid, progtitl, progpi, semester, koaimtyp FROM koa_{band} WHERE CONTAINS(POINT('ICRS', ra, dec), {circle}) = 1 AND koaimtyp = 'object'",
    number="progid", title="progtitl", by="progpi", kinds=("semester",), label="Keck", coverage=Coverage("single pointings of the Keck telescopes", (-50.0, 90.0)),
    citation=koa.ROWS["koa/hires"].citation, licence="public, with the KOA acknowledgement",
)  # fmt: skip
ROWS = {row.name: row for row in (ESO, CADC, KOA)}
