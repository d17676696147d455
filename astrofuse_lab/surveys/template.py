"""A survey to copy: a catalogue that answers a cone search with CSV, one request a target.

To add a survey

1. copy this file, rename the class, fill in the attributes;
2. change `query` to what the archive wants and `read` to what it sends (another modality: see `astrofuse_lab.modalities`);
3. add a row to ``SURVEYS`` in ``surveys/__init__.py``;
4. record a small answer under ``tests/data`` and copy the tests of this file in ``tests/test_surveys.py``.

`query` holds the only lines that meet the network. `read` is pure: it sees the bytes alone, may run years later on a
cached answer, and raises ArchiveError for whatever it cannot read.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Modality, TableRow
from astrofuse_lab.surveys import formats, transport
from astrofuse_lab.surveys.archive import Archive
from astrofuse_lab.surveys.survey import Ask, Raw, provenance_of
from astrofuse_lab.targets import Targets

UNITS = {"ra": "deg", "dec": "deg", "mag": "mag"}
ROLES = {"name": "other", "ra": "other", "dec": "other"}
"""Columns that no model is to see; all others are inputs."""


@dataclass
class TemplateTable(Archive):
    """The nearest row of an example catalogue.

    Its ``url`` answers ``?ra=&dec=&radius=`` (deg) with CSV: name, ra, dec, mag; nearest first.
    """

    _: KW_ONLY
    name: str = "template/table"
    gives: type = TableRow
    release: str = "DR1"
    citation: str = "What the archive asks authors to write."
    licence: str = "CC-BY-4.0"

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One request a target, the answer untouched."""
        self.chosen(ask)
        for target in targets:
            parameters = {"ra": f"{target.ra:.7f}", "dec": f"{target.dec:.7f}", "radius": f"{ask.radius / 3600:.7f}"}
            content, _, address = transport.ask(self, target=target.object_id, params=parameters)
            yield Raw(self.name, (target.object_id,), content, address, "text/csv")

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The first row, unless the archive has none: then the target was not seen."""
        try:
            rows = csv.DictReader(io.StringIO(raw.content.decode("utf-8")), strict=True)
            if list(rows.fieldnames or ()) != ["name", "ra", "dec", "mag"]:
                raise ValueError(f"the columns are {rows.fieldnames}")
            for row in rows:
                # empty means missing: None, never a number
                numbers = {key: formats.number(row[key] or None) for key in ("ra", "dec", "mag")}
                yield raw.target_ids[0], TableRow({"name": row["name"], **numbers}, UNITS, ROLES, provenance_of(self, raw))
                return
        except (ValueError, TypeError, csv.Error) as error:
            raise ArchiveError(self.name, f"the answer is not the CSV expected ({error})", raw.target_ids[0]) from error
