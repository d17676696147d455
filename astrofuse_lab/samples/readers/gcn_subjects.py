"""Subjects of GCN Circulars, 1997 to June 2025, with topics given by a language model (nasa-gcn/circulars-nlp-paper)."""

import re
from pathlib import Path

import pyarrow as pa

from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.readers.texts import text_data
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card

TABLE = "gcn_subjects.parquet"
FILES = (TABLE,)
VERSION = files.version(__file__)
EVENT = re.compile(r"\b(?:GRB|EP|IceCube[- ]?|XRF|XRT|AT|SN|SGR|S)\s?-?\d{4,6}[A-Za-z.+-]?[\d]*[a-z]{0,3}\b")
"""A designation of an event, which circulars about it share: GRB 970228, S190814bv, EP240414a."""

CITATION = "GCN Circulars (NASA GCN); topics: github.com/nasa-gcn/circulars-nlp-paper @ 9f192f3"
LICENCE = "no licence file; GCN Circulars are hosted by NASA, their text is by their authors"
NOTES = (
    "gw_label and obs_label are the work of a language model, not of people; each was made from the whole circular, of which only the subject is here.",
    "Words of the subject often are the label (radio, neutrino, optical): strip such words before a score is quoted.",
    "Split on 'group', the event named in the subject: circulars on one event repeat each other. Subjects that name none stand alone.",
)


def read(folder: Path) -> SampleSet:
    """Read 40,506 subjects: modality ``text``; targets ``obs_label`` (5) and ``gw_label`` (3), group ``group``.

    Raises
    ------
    SampleSetError
        If the file is missing, unreadable, or lacks a column.
    """
    file = folder / TABLE
    table = files.parquet(file, ("circular_id", "subject", "date", "gw_label", "obs_label"))
    subjects = files.texts(file, table, "subject")
    named = [EVENT.search(str(subject)) for subject in subjects]
    # two numbers occur twice: the row makes ids unique
    ids = [f"gcn-{i}-{row}" for row, i in enumerate(files.whole(file, table, "circular_id"))]
    columns = {"object_id": ids, "group": [re.sub(r"[\s-]", "", m.group()) if m else None for m in named]}
    columns |= {name: table.column(name) for name in table.column_names if name != "subject"}
    made = pa.table(columns)
    provenance = Provenance("gcn-subjects", release="1997 to 2025-06", query=TABLE, citation=CITATION, licence=LICENCE)
    card = Card("gcn-subjects", "Subjects of GCN Circulars with topics", False, CITATION, LICENCE, NOTES)
    roles = files.roles_of(made, target=("obs_label", "gw_label"), group=("group",), id=("circular_id",))
    return SampleSet(made, {"text": text_data(subjects, provenance)}, roles, {}, card)
