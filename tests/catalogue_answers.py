"""What the tests of catalogues share: targets, a server, recorded answers, VOTables with UCDs."""

import io
from importlib.util import find_spec
from pathlib import Path

import pytest
from answering import Answering
from astropy.io.votable.tree import VOTableFile

from astrofuse_lab.surveys.survey import Ask
from astrofuse_lab.targets import Target, Targets

TARGETS = Targets([Target("a", 10.00003, 5.0, 2000.0), Target("nothing there", 80.0, -30.0, 2000.0), Target("wrap", 0.0001, -5.0, 2000.0)])
DATA = Path(find_spec("astroquery").origin).parent


@pytest.fixture
def server():
    made = Answering()
    yield made
    made.close()


def recorded(path):
    if not (DATA / path).is_file():
        pytest.skip(f"this astroquery was installed without {path}")
    return (DATA / path).read_bytes()


def fetched(survey, targets=TARGETS, **wanted):
    raws = list(survey.query(targets, Ask(**wanted)))
    return raws, {k: v for raw in raws for k, v in survey.read(raw)}


def with_ucds(table, columns):
    """A VOTable whose fields carry units and UCDs."""
    made = VOTableFile.from_table(table)
    words = {name: (unit, ucd) for name, _, unit, ucd in columns}
    for one in made.get_first_table().fields:
        unit, ucd = words.get(one.name, ("", ""))
        one.ucd = ucd or None
        one.unit = unit if unit in ("deg", "mag") else None
    file = io.BytesIO()
    made.to_xml(file)
    return file.getvalue()
