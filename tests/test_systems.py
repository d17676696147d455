"""The table of published systems: all of the lecture's, each with its honesty in its fields, and the same in the README and the docs."""

import json
import math
from pathlib import Path

import pytest

import astrofuse_lab as af
from astrofuse_lab import cli
from astrofuse_lab.errors import UnknownNameError
from astrofuse_lab.recipes.catalogue import KEYS, RECIPES, SYSTEMS
from astrofuse_lab.recipes.systems import MEASURED, get_system
from astrofuse_lab.samples.entries import ENTRIES
from astrofuse_lab.training.originals import MAKERS
from astrofuse_lab.training.system_tables import END, PAGES, START, page, readme_rows

ROOT = Path(__file__).parents[1]


def test_every_system_of_the_lecture_is_there_in_its_order():
    assert tuple(SYSTEMS)[: len(KEYS)] == KEYS
    assert list(af.list_systems()["key"][: len(KEYS)]) == list(KEYS)


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=lambda system: system.key)
def test_a_system_is_complete_and_honest(system):
    assert system.title.strip() and system.inputs.strip() and system.source.title
    assert system.source.year > 1990 and system.source.identifier
    assert set(system.recipes) <= set(RECIPES)
    assert set(system.data) <= {entry.name for entry in ENTRIES}
    assert system.reported, "what the publication reports"
    assert all(math.isfinite(value) for value in system.reported.values())
    assert system.departures or system.fidelity == "reproduces"
    assert system.original == (system.key in MAKERS)


@pytest.mark.parametrize("file", sorted(MEASURED.glob("*.json")), ids=lambda file: file.stem)
def test_measured_numbers_say_when_and_where(file):
    data = json.loads(file.read_text())
    assert data["key"] == file.stem in KEYS
    assert data["date"] and data["commit"] and data["machine"] and isinstance(data["quick"], bool)
    assert data["numbers"]
    for one in data["numbers"]:
        assert one["name"] and one["value"] is not None
        assert None in (one["low"], one["high"]) or one["low"] <= one["high"]


@pytest.mark.parametrize("key", KEYS)
def test_every_system_was_measured(key):
    assert get_system(key).measured, f"python benchmarks/systems.py {key}"


def test_an_unknown_system_is_told_apart():
    with pytest.raises(UnknownNameError, match=r"'brai'.*braai"):
        get_system("brai")
    with pytest.raises(UnknownNameError, match=r"af\.list_systems"):
        af.Run.original("nothing")


def test_the_command_shows_all_and_one(capsys):
    assert cli.main(["systems"]) == 0
    said = capsys.readouterr().out
    assert all(key in said for key in KEYS)
    assert cli.main(["systems", "braai"]) == 0
    assert "312081" in capsys.readouterr().out.replace(",", "")
    assert cli.main(["systems", "brai"]) == 1


def test_readme_and_docs_hold_the_generated_tables():
    readme = (ROOT / "README.md").read_text()
    assert readme[readme.index(START) + len(START) : readme.index(END)].strip() == readme_rows().strip(), "python -m astrofuse_lab.training.system_tables"
    assert (ROOT / "docs/systems.md").read_text() == page(), "python -m astrofuse_lab.training.system_tables"


def test_every_page_is_there_and_about_its_systems():
    assert sorted(key for keys in PAGES.values() for key in keys) == sorted(KEYS)
    for name, keys in PAGES.items():
        text = (ROOT / f"docs/systems-{name}.md").read_text()
        assert all(key in text for key in keys), name


def test_notebook_08_has_a_section_for_each_system():
    text = (ROOT / "notebooks/08_the_lectures_toolbox.ipynb").read_text()
    assert [key for key in KEYS if f"`{key}`" not in text] == []
