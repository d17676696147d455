"""Answers on disk: the same request finds them, another does not, and what was altered counts as absent."""

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astrofuse_lab import storage
from astrofuse_lab.cache import STALE, Answers, target_key
from astrofuse_lab.errors import StorageError
from astrofuse_lab.modalities import Text
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets


@dataclass
class Notes:
    name: str = "toy/text"
    gives: type = Text
    bands: tuple = ()
    release: str = "1"
    citation: str = "nobody"
    licence: str = "CC0"
    simulated: bool = True
    batch: int = 3


SURVEY = Notes()
TARGETS = Targets([Target("a", 1.0, 2.0), Target("b", 3.0, 4.0), Target("c", 5.0, 6.0)])


def raw(targets, content=b"abc", **more):
    return Raw("toy/text", targets.ids, content, "q", **more)


@pytest.fixture
def answers(tmp_path):
    return Answers(tmp_path / "answers")


names = st.text(min_size=1, max_size=20).filter(lambda s: s.strip())
positions = st.tuples(st.floats(0, 360), st.floats(-90, 90), st.floats(1900, 2100), st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ids=st.lists(names, min_size=1, max_size=4, unique=True), place=positions, content=st.binary(max_size=500),
    extra=st.dictionaries(st.text(max_size=5), st.one_of(st.integers(), st.text(max_size=5), st.lists(st.integers()))),
)  # fmt: skip
def test_what_is_kept_comes_back_byte_for_byte(tmp_path, ids, place, content, extra):
    answers = Answers(tmp_path / os.urandom(4).hex())
    targets = Targets(Target(i, *place) for i in ids)
    sent = Raw("toy/text", targets.ids, content, "query\nwith lines", "text/plain", extra=extra)
    path = answers.keep(SURVEY, Ask(), targets, sent, ids[:1])
    assert answers.load(path) == sent
    hits = answers.lookup(SURVEY, Ask(), targets)
    assert set(hits) == set(ids)
    assert [hits[i].found for i in ids] == [True] + [False] * (len(ids) - 1)


@given(a=st.tuples(names, positions), b=st.tuples(names, positions))
def test_a_key_stands_for_one_target(a, b):
    first, second = (Target(name, *place) for name, place in (a, b))
    assert target_key(first) == target_key(Target(a[0], *a[1]))
    if first != second:
        assert target_key(first) != target_key(second)


@given(options=st.dictionaries(st.text(max_size=6), st.one_of(st.floats(allow_nan=False), st.booleans(), st.text(max_size=6)), max_size=5), seed=st.randoms())
def test_the_order_of_options_does_not_matter(options, seed):
    shuffled = list(options.items())
    seed.shuffle(shuffled)
    one, other = Ask(options=options), Ask(options=dict(shuffled))
    assert Answers(Path("x")).folder(SURVEY, one) == Answers(Path("x")).folder(SURVEY, other)


@pytest.mark.parametrize("change", [{"radius": 3.5}, {"size": 21.0}, {"time": (1.0, 2.0)}, {"bands": ("g",)}, {"options": {"seed": 1}}, {"limit": 3}])
def test_another_request_finds_nothing(answers, change):
    answers.keep(SURVEY, Ask(), TARGETS, raw(TARGETS), "abc")
    assert len(answers.lookup(SURVEY, Ask(), TARGETS)) == 3
    assert answers.lookup(SURVEY, Ask(**change), TARGETS) == {}
    assert answers.lookup(Notes(release="2"), Ask(), TARGETS) == {}
    assert answers.lookup(Notes(name="toy/other"), Ask(), TARGETS) == {}


def test_a_target_is_found_in_whatever_batch_it_was_fetched(answers):
    answers.keep(SURVEY, Ask(), TARGETS, raw(TARGETS), ["b"])
    other = Targets([Target("new", 9.0, 9.0), TARGETS[1]])
    assert set(answers.lookup(SURVEY, Ask(), other)) == {"b"}
    moved = Targets([Target("b", 3.0, 4.5)])
    assert answers.lookup(SURVEY, Ask(), moved) == {}


def test_the_newest_answer_counts(answers):
    old = answers.keep(SURVEY, Ask(), TARGETS, raw(TARGETS), ["a"])
    os.utime(old, (1, 1))
    new = answers.keep(SURVEY, Ask(), TARGETS[:1], raw(TARGETS[:1]), [])
    hits = answers.lookup(SURVEY, Ask(), TARGETS)
    assert hits["a"].path == new and not hits["a"].found
    assert hits["b"].path == old


@pytest.mark.parametrize(
    "damage",
    [
        lambda c: c[:-1], lambda c: c + b"x", lambda c: c[:-1] + b"X", lambda c: b"", lambda c: b"not json\n" + c, lambda c: c.replace(b"layout", b"loyout"),
        lambda c: c[:20], lambda c: b"[]\n" + c, lambda c: os.urandom(len(c)),
    ],
)  # fmt: skip
def test_an_altered_file_counts_as_absent(answers, damage):
    path = Path(answers.keep(SURVEY, Ask(), TARGETS, raw(TARGETS, b"some bytes"), "abc"))
    path.write_bytes(damage(path.read_bytes()))
    assert answers.lookup(SURVEY, Ask(), TARGETS) == {}
    with pytest.raises(StorageError, match="altered"):
        answers.load(str(path))


def test_what_a_killed_process_left_is_ignored_and_cleared(answers):
    folder = Path(answers.keep(SURVEY, Ask(), TARGETS, raw(TARGETS), "abc")).parent
    fresh, stale = folder / ".x.answer.1", folder / ".y.answer.2"
    for file in (fresh, stale):
        file.write_bytes(b"half")
    os.utime(stale, (1, os.stat(stale).st_mtime - 2 * STALE))
    assert len(answers.lookup(SURVEY, Ask(), TARGETS)) == 3
    assert fresh.exists() and not stale.exists()


def test_the_file_is_json_then_the_bytes_as_sent(answers):
    path = Path(answers.keep(SURVEY, Ask(), TARGETS, raw(TARGETS, b"\x00\nbody"), "a"))
    line, _, content = path.read_bytes().partition(b"\n")
    assert json.loads(line)["ids"] == ["a", "b", "c"] and content == b"\x00\nbody"


def test_a_full_disk_leaves_what_was_there(answers, monkeypatch):
    answers.keep(SURVEY, Ask(), TARGETS[:1], raw(TARGETS[:1]), ["a"])

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage.os, "fsync", full)
    with pytest.raises(StorageError, match="full"):
        answers.keep(SURVEY, Ask(), TARGETS[1:], raw(TARGETS[1:]), ["b"])
    with pytest.raises(StorageError, match="full"):
        answers.check_writable()
    assert set(answers.lookup(SURVEY, Ask(), TARGETS)) == {"a"}
    assert not list(answers.root.rglob(".*"))


def test_a_root_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="file"):
        Answers(tmp_path / "file" / "answers").check_writable()


def test_many_threads_may_write_the_same_answer(answers):
    threads = [threading.Thread(target=answers.keep, args=(SURVEY, Ask(), TARGETS, raw(TARGETS, b"x" * 10_000), "abc")) for _ in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(answers.lookup(SURVEY, Ask(), TARGETS)) == 3
    assert len(list(answers.root.rglob("*.answer"))) == 1
