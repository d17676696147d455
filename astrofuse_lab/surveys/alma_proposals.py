"""Abstracts of the ALMA proposals whose observations cover a position.

Source: the table ``ivoa.obscore`` of ALMA's TAP service (https://almascience.org/alma-data/archive; columns proposal_id, obs_title, obs_creator_name,
science_keyword, proposal_abstract, s_region as in the answer recorded in astroquery's alma/tests/data/alma-onerow.txt).
"""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Modality, Text
from astrofuse_lab.surveys import formats, messages
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.surveys.tap_table import TapTable
from astrofuse_lab.targets import Targets

URL = "https://almascience.eso.org/tap"
MIRRORS = ("https://almascience.nrao.edu/tap", "https://almascience.nao.ac.jp/tap")
COLUMNS = ("proposal_id", "obs_title", "obs_creator_name", "science_keyword", "proposal_abstract")


@dataclass
class AlmaProposals(Archive):
    """Titles, keywords and abstracts of the proposals that observed each target, newest first."""

    _: KW_ONLY
    gives: type = Text

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One query a target: whose observations lie within the match radius."""
        self.chosen(ask)
        tap = TapTable(
            name=self.name, url=self.url, mirrors=self.mirrors, timeout=self.timeout, table="ivoa.obscore", columns={}, uploads=False,
            release=self.release, citation=self.citation, licence=self.licence, maxrec=2000,
        )  # fmt: skip
        for target in targets.at(2000.0):
            circle = f"CIRCLE('ICRS', {float(target.ra)!r}, {float(target.dec)!r}, {ask.radius / 3600!r})"
            adql = f"SELECT DISTINCT {', '.join(COLUMNS)} FROM ivoa.obscore WHERE INTERSECTS({circle}, s_region) = 1"  # noqa: S608, numbers
            content = tap.run(adql, target=target.object_id)
            if formats.votable_status(content) == "OVERFLOW":
                raise ArchiveError(self.name, f"more than {tap.maxrec} proposals observed here, so the answer is not complete. Give a smaller radius.", target.object_id)
            yield Raw(self.name, (target.object_id,), content, f"{self.url} {adql}", "application/x-votable+xml", now())

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """One text a target, unless ALMA did not look there."""
        target = raw.target_ids[0]
        table = formats.votable(raw.content, self.name, COLUMNS, target)
        with formats.reading(self.name, "list of proposals", target):
            rows = {str(row["proposal_id"]): {name: str(formats.plain(row[name]) or "") for name in COLUMNS} for row in table}
        found = []
        for number in sorted(rows, reverse=True):
            one = rows[number]
            words = f"Keywords: {one['science_keyword']}. " if one["science_keyword"] else ""
            by = f", {one['obs_creator_name']}" if one["obs_creator_name"] else ""
            found.append(messages.Paper(messages.plain(one["obs_title"]), f"ALMA {number}{by}", words + messages.plain(one["proposal_abstract"])))
        if found:
            yield target, Text(messages.papers(found), provenance_of(self, raw))


TEXT = AlmaProposals(
    name="alma/text", url=URL, mirrors=MIRRORS, release=f"ALMA Science Archive, live; {messages.RAW_TEXT}", licence="public, with credit to ALMA and the proposers",
    citation="This paper makes use of the following ALMA data: ADS/JAO.ALMA#<project code>. ALMA is a partnership of ESO (representing its member states), NSF (USA) "
    "and NINS (Japan), together with NRC (Canada), NSTC and ASIAA (Taiwan), and KASI (Republic of Korea), in cooperation with the Republic of Chile. "
    "The Joint ALMA Observatory is operated by ESO, AUI/NRAO and NAOJ.",
    coverage=Coverage("south of about +47 deg, where ALMA looked", (-90.0, 47.0)), threads=2,
)  # fmt: skip
