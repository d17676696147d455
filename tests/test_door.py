"""The door: light to open, complete, and never shadowed by a room of the same name."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import astrofuse_lab as af

ROOT = Path(af.__file__).parents[1]
HEAVY = ("torch", "panel", "holoviews", "umap", "astroquery", "astropy", "scipy", "pandas")


def fresh(code):
    """What a new interpreter prints, as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_opening_imports_nothing_heavy():
    code = "import sys; before = set(sys.modules); import astrofuse_lab, json; print(json.dumps(sorted(set(sys.modules) - before)))"
    loaded = fresh(code)
    assert "astrofuse_lab" in loaded
    roots = {name.split(".")[0] for name in loaded}
    assert not roots & set(HEAVY)
    # stronger than owed: nothing but the standard library and the door itself
    assert roots <= {"astrofuse_lab", *sys.stdlib_module_names}
    assert [name for name in loaded if name.startswith("astrofuse_lab")] == ["astrofuse_lab"]


@pytest.mark.parametrize("room", ["astrofuse_lab.explain", "astrofuse_lab.errors"])
def test_light_rooms_stay_light(room):
    loaded = fresh(f"import sys, json, {room}; print(json.dumps(sorted(sys.modules)))")
    assert not {name.split(".")[0] for name in loaded} & set(HEAVY)


def test_the_names_are_those_of_the_table():
    assert set(af.__all__) == {*af._DOOR, "__version__"}
    assert len(af.__all__) == len(set(af.__all__))
    assert dir(af) == sorted(af.__all__)
    assert set(af.explain.__all__) == set(af.explain._DOOR) == set(dir(af.explain))


@pytest.mark.parametrize("name", sorted(af._DOOR))
def test_every_name_leads_somewhere(name):
    module, attribute = af._DOOR[name]
    loaded = importlib.import_module(f"astrofuse_lab.{module}")
    expected = getattr(loaded, attribute) if attribute else loaded
    assert getattr(af, name) is expected
    assert expected.__doc__, f"{name} says nothing of itself"


def test_the_version_is_text():
    assert isinstance(af.__version__, str)
    assert af.__version__


SHADOWS = """
import importlib, json, pkgutil, sys
import astrofuse_lab as af
if {first!r} == "names":
    [getattr(af, name) for name in af._DOOR]; [getattr(af.explain, name) for name in af.explain._DOOR]
modules = [m.name for m in pkgutil.walk_packages(af.__path__, "astrofuse_lab.") if not m.name.endswith("__main__")]
for name in modules:
    importlib.import_module(name)
wrong = []
for door, prefix in ((af, "astrofuse_lab."), (af.explain, "astrofuse_lab.explain.")):
    for name, (module, attribute) in door._DOOR.items():
        loaded = sys.modules[prefix + module]
        if getattr(door, name) is not (getattr(loaded, attribute) if attribute else loaded):
            wrong.append(prefix + name)
print(json.dumps([len(modules), wrong]))
"""


@pytest.mark.parametrize("first", ["modules", "names"])
def test_no_room_shadows_a_name(first):
    # in a new interpreter: this one may have resolved the names already
    count, wrong = fresh(SHADOWS.format(first=first))
    assert count > 30
    assert wrong == []


def test_a_door_that_is_not_there():
    with pytest.raises(AttributeError, match=r"no attribute 'atribute'.*dir\(astrofuse_lab\)"):
        _ = af.atribute
    with pytest.raises(AttributeError, match="it has Attention, Attribution"):
        _ = af.explain.atribute
    with pytest.raises(ImportError):
        from astrofuse_lab import nothing_of_this_name  # noqa: F401
