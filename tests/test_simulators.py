"""What every simulator owes: the same event for the same name and seed in all of its surveys, options that are checked, and the word simulated."""

import io
from dataclasses import fields

import numpy as np
import pytest

import astrofuse_lab as af
from astrofuse_lab import surveys
from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.samples.entries import ENTRIES
from astrofuse_lab.surveys import SURVEYS
from astrofuse_lab.surveys.simulators.simulator import Simulator
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

NAMES = [name for name, place in SURVEYS.items() if ".simulators." in place]
SETS = [entry.name for entry in ENTRIES if ".simulated_" in entry.module]
TWO = Targets([Target("one", 10.0, 2.0), Target("two", 11.0, 2.0)])


def seen(name, targets=TWO, **options):
    survey = surveys.get(name)
    return {i: product for raw in survey.query(targets, Ask(options=options)) for i, product in survey.read(raw)}


def arrays(product):
    for field in fields(product):
        if field.name != "provenance":
            yield field.name, getattr(product, field.name)


def same(one, other):
    return all(np.array_equal(np.asarray(a), np.asarray(b), equal_nan=np.asarray(a).dtype.kind == "f") if name != "values" or not isinstance(a, dict) else a == b
               for (name, a), (_, b) in zip(arrays(one), arrays(other), strict=True))  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_same_name_and_seed_give_the_same_event(name):
    first, again, other = seen(name), seen(name), seen(name, seed=5)
    assert list(first) == list(again)
    assert all(same(first[i], again[i]) for i in first)
    assert first.keys() != other.keys() or any(not same(first[i], other[i]) for i in first)
    alone = seen(name, TWO[1:])  # whoever else is asked about changes nothing
    assert list(alone) == [i for i in first if i == "two"] and all(same(first[i], alone[i]) for i in alone)


@pytest.mark.parametrize("name", NAMES)
def test_it_says_that_it_is_simulated(name):
    survey = surveys.get(name)
    assert survey.simulated and "imulated" in survey.citation
    assert isinstance(survey, Simulator)
    assert all(product.provenance.simulated for product in seen(name).values())
    module = __import__(type(survey).__module__, fromlist=["x"])
    assert "imulat" in module.__doc__, "its page says so"


@pytest.mark.parametrize("name", NAMES)
def test_what_it_cannot_do_is_refused(name):
    survey = surveys.get(name)
    for options, words in (({"colour": 1}, "no option 'colour'"), ({"seed": "x"}, "seed='x'"), ({"seed": -1}, "seed=-1"), ({"seed": 0.5}, "seed=0.5"), ({"seed": True}, "seed=True")):
        with pytest.raises(InputError, match=words):
            list(survey.query(TWO, Ask(options=options)))
    with pytest.raises(InputError, match="no release 'DR9'"):
        list(survey.query(TWO, Ask(release="DR9")))


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_that_is_cut_names_its_target(name):
    survey = surveys.get(name)
    raw = next(iter(survey.query(TWO, Ask())))
    for content in (b"", raw.content[: len(raw.content) // 2], b"PK\x03\x04" + b"x" * 50):
        with pytest.raises(ArchiveError, match=r"one|two"):
            list(survey.read(Raw(raw.survey, raw.target_ids, content, raw.query)))


def test_an_answer_with_objects_in_it_is_refused_and_not_opened():
    body = io.BytesIO()
    np.savez(body, **{"0.x": np.array([object()], dtype=object)})
    survey = surveys.get(NAMES[0])
    with pytest.raises(ArchiveError):
        list(survey.read(Raw(survey.name, ("one",), body.getvalue(), "q")))


@pytest.mark.parametrize("name", SETS)
def test_sets_of_simulators_are_marked_and_seeded(name):
    samples = af.load_samples(name, n=6, seed=3, progress=False)
    assert len(samples) == 6 and samples.simulated and "imulat" in " ".join((samples.card.title, *samples.card.notes))
    assert any(role == "target" for role in samples.roles.values())
    other = af.load_samples(name, n=6, seed=4, progress=False)
    assert set(samples.object_ids).isdisjoint(other.object_ids)
    for modality in samples.modalities:
        if modality != "table":
            assert samples.present(modality).any()
