"""Titles of the Hubble and Webb programmes that observed a position, with what they took the target for.

Source: https://mast.stsci.edu/api/v0/_services.html (``Mast.Caom.Filtered.Position``: columns, filters, position) and
https://mast.stsci.edu/api/v0/_c_a_o_mfields.html (obs_collection, proposal_id, proposal_pi, obs_title, target_classification, instrument_name); requests as
astroquery's mast/discovery_portal.py sends them, answers as recorded in its tests (advSearchPos.json). MAST documents no query for abstracts.
"""

import json
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Modality, Text
from astrofuse_lab.surveys import formats, messages, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.targets import Targets

URL = "https://mast.stsci.edu/api/v0/invoke"
COLUMNS = ("obs_collection", "proposal_id", "proposal_pi", "obs_title", "target_classification", "instrument_name", "target_name")
ROWS = 50_000
"""Observations on one page."""


@dataclass
class MastProposals(Archive):
    """The programmes with observations within the match radius of each target, newest first."""

    _: KW_ONLY
    gives: type = Text

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One request a target; more where MAST is still at work on it."""
        missions = list(self.chosen_bands(ask.bands))
        self.chosen(ask)
        for target in targets.at(2000.0):
            wanted = {
                "service": "Mast.Caom.Filtered.Position", "format": "json", "page": 1, "pagesize": ROWS, "removenullcolumns": False,
                "params": {"columns": ",".join(COLUMNS), "filters": [{"paramName": "obs_collection", "values": missions}],
                           "position": f"{float(target.ra)!r}, {float(target.dec)!r}, {ask.radius / 3600!r}"},
            }  # fmt: skip
            content, media_type, _ = transport.ask(self, method="POST", target=target.object_id, data={"request": json.dumps(wanted)}, headers={"Accept": "text/plain"})
            if formats.json_value(content, self.name, target.object_id, dict).get("status") == "EXECUTING":
                raise ArchiveError(self.name, "MAST is still at work on this request", target.object_id, transient=True, retry_after=5.0)
            yield Raw(self.name, (target.object_id,), content, f"{self.url} {json.dumps(wanted)}", media_type, now())

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """One text a target, unless no programme looked there."""
        target = raw.target_ids[0]
        value = formats.json_value(raw.content, self.name, target, dict)
        if value.get("status") != "COMPLETE":
            raise ArchiveError(self.name, f"MAST says {value.get('status')!r}: {messages.plain(str(value.get('msg') or 'no message'))}", target)
        with formats.reading(self.name, "list of observations", target):
            rows = value["data"]
            total = int((value.get("paging") or {}).get("rowsTotal", len(rows)))
            if total > len(rows):
                raise ArchiveError(self.name, f"{total} observations lie here, {len(rows)} were sent, so the answer is not complete. Give a smaller radius.", target)
            programmes: dict[tuple[str, str], list[dict[str, Any]]] = {}
            for row in rows:
                if row["proposal_id"] and row["obs_title"]:
                    programmes.setdefault((str(row["obs_collection"]), str(row["proposal_id"])), []).append(row)
            found = [_paper(key, programmes[key]) for key in sorted(programmes, key=lambda key: (key[1].zfill(8), key[0]), reverse=True)]
        if found:
            yield target, Text(messages.papers(found), provenance_of(self, raw))


def _paper(key: tuple[str, str], rows: list[dict[str, Any]]) -> messages.Paper:
    """One programme: its title, who led it, instruments, and what its targets were taken for."""
    kinds, tools = (sorted({str(row[name]) for row in rows if row[name]}) for name in ("target_classification", "instrument_name"))
    by = f", {rows[0]['proposal_pi']}" if rows[0]["proposal_pi"] else ""
    more = [f"Instruments: {', '.join(tools)}." if tools else "", f"Target classification: {'; '.join(kinds)}." if kinds else ""]
    return messages.Paper(messages.plain(str(rows[0]["obs_title"])), f"{key[0]} {key[1]}{by}", " ".join(part for part in more if part))


TEXT = MastProposals(
    name="mast/text", url=URL, release=f"MAST, live; {messages.RAW_TEXT}", bands=("HST", "JWST"), licence="public, with credit to STScI and the proposers", threads=2,
    citation="Some of the data presented in this paper were obtained from the Mikulski Archive for Space Telescopes (MAST) at the Space Telescope Science "
    "Institute. STScI is operated by the Association of Universities for Research in Astronomy, Inc., under NASA contract NAS5-26555.",
    coverage=Coverage("where Hubble and Webb looked"),
)
