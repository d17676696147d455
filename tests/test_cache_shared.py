"""`af.cache`: how much is kept, what goes first, what is handed on; several kernels at once."""

import io
import json
import math
import os
import subprocess
import sys
import tarfile
import textwrap
import threading
import time
from pathlib import Path

import pytest
from test_cache import SURVEY, TARGETS, Notes, raw

import astrofuse_lab as af
from astrofuse_lab.cache import Answers, bounds, index
from astrofuse_lab.cache.answers import opened
from astrofuse_lab.errors import InputError, StorageError, UnknownNameError
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

MANY = Targets(Target(f"m{i}", i / 10, 1.0) for i in range(60))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "answers"


def keep(answers, targets=MANY, size=1000, survey=SURVEY, **wanted):
    """One answer a target; their paths."""
    paths = [answers.keep(survey, Ask(**wanted), targets[i : i + 1], Raw(survey.name, (t.object_id,), os.urandom(size), "q"), [t.object_id]) for i, t in enumerate(targets)]
    answers.flush()
    return paths


# size, limit, clear --------------------------------------------------------------------------------


def test_size_contents_and_clear():
    assert af.cache.size() == 0 and af.cache.clear() == 0 and len(af.cache.contents()) == 0
    keep(Answers())
    keep(Answers(), survey=Notes(name="toy/other"), targets=MANY[:10])
    table = af.cache.contents()
    assert [tuple(row)[:2] for row in table] == [("toy-other", 10), ("toy-text", 60)]
    assert af.cache.size() == sum(table["bytes"]) > 70_000
    with pytest.raises(UnknownNameError, match="toy/text"):
        af.cache.clear("toy/txt")
    before = af.cache.size()
    freed = af.cache.clear("toy/other")
    assert 0 < freed == before - af.cache.size()
    assert len(Answers().lookup(SURVEY, Ask(), MANY)) == 60
    af.cache.clear()
    assert af.cache.size() == 0 and Answers().lookup(SURVEY, Ask(), MANY) == {}


def test_what_was_not_used_for_longest_goes_first():
    answers = Answers()
    paths = keep(answers)
    old = time.time() - 1000
    for number, path in enumerate(paths):
        os.utime(path, (old + number, old))
    answers.load(paths[0])
    assert af.cache.limit(af.cache.size() / 2) == pytest.approx(af.cache.size() / 0.9, rel=0.1)
    there = [number for number, path in enumerate(paths) if os.path.exists(path)]
    assert 0 in there and there[1:] == list(range(60 - len(there) + 1, 60))
    hits = Answers().lookup(SURVEY, Ask(), MANY)
    assert len(hits) == len(there)
    assert af.cache.limit() < bounds.LIMIT
    assert af.cache.limit(math.inf) == math.inf


def test_a_lookup_is_a_use():
    answers = Answers()
    first, second = keep(answers, MANY[:20]), keep(answers, MANY[20:40])
    for path in first + second:
        os.utime(path, ns=(time.time_ns() - 5 * 10**12, os.stat(path).st_mtime_ns - 10**12))
    Answers().lookup(SURVEY, Ask(), MANY)  # which looks into the files, since their dates are new
    for path in first + second:
        os.utime(path, ns=(time.time_ns() - 5 * 10**12, os.stat(path).st_mtime_ns))
    Answers().lookup(SURVEY, Ask(), MANY[:20])
    af.cache.limit(af.cache.size() * 0.75)
    assert all(map(os.path.exists, first)) and not all(map(os.path.exists, second))


def test_a_fetch_stays_below_the_limit_and_makes_room_by_what_is_older():
    old = keep(Answers(), MANY[:30])
    for path in old:
        os.utime(path, (1e9, 1e9))
    most = af.cache.limit(40_000)
    keep(Answers(), MANY[30:])
    assert af.cache.size() <= most
    assert not any(map(os.path.exists, old[:15]))
    with pytest.raises(StorageError, match=r"more than the cache may hold.*af\.cache\.limit\("):
        keep(Answers(), MANY, radius=9.0)
    assert af.cache.size() <= most


@pytest.mark.parametrize("most", [0, -1, math.nan, "5 GB", True])
def test_a_limit_that_is_none(most):
    with pytest.raises(InputError, match="number of bytes"):
        af.cache.limit(most)


# the index -----------------------------------------------------------------------------------------


def reads(monkeypatch):
    """Counts the answer files that are opened."""
    seen = []
    from astrofuse_lab.cache import answers

    monkeypatch.setattr(answers, "opened", lambda path: seen.append(path) or opened(path))
    return seen


def test_a_lookup_opens_no_file_and_a_lost_index_is_made_again(own_cache, monkeypatch):
    keep(Answers())
    seen = reads(monkeypatch)
    assert len(Answers().lookup(SURVEY, Ask(), MANY)) == 60 and seen == []
    (own_cache / index.NAME).unlink()
    assert len(Answers().lookup(SURVEY, Ask(), MANY)) == 60 and len(seen) == 60
    assert len(Answers().lookup(SURVEY, Ask(), MANY)) == 60 and len(seen) == 60


@pytest.mark.parametrize("content", [b"", b"rubbish" * 1000, b"SQLite format 3\x00" + bytes(5000)])
def test_a_damaged_index_is_made_again(own_cache, content):
    keep(Answers())
    (own_cache / index.NAME).write_bytes(content)
    assert len(Answers().lookup(SURVEY, Ask(), MANY)) == 60
    assert len(Answers().lookup(SURVEY, Ask(), MANY)) == 60


def test_without_any_index_files_are_enough(own_cache):
    keep(Answers())
    (own_cache / index.NAME).unlink()
    (own_cache / index.NAME).mkdir()  # nothing can be written there
    answers = Answers()
    assert len(answers.lookup(SURVEY, Ask(), MANY)) == 60
    keep(answers, MANY[:5], radius=4.0)
    assert len(answers.lookup(SURVEY, Ask(radius=4.0), MANY)) == 5


def test_answers_of_earlier_versions_lie_flat_and_are_found(own_cache):
    for path in map(Path, keep(Answers())):
        path.rename(path.parent.parent / path.name)
    answers = Answers()
    hits = answers.lookup(SURVEY, Ask(), MANY)
    assert len(hits) == 60 and all(answers.load(hit.path) for hit in hits.values())


def test_an_answer_altered_under_its_old_date_is_found_out_when_read():
    path = Path(keep(Answers(), MANY[:1])[0])
    date = path.stat().st_mtime_ns
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(date, date))
    with pytest.raises(StorageError, match="altered"):
        Answers().load(str(path))
    assert Answers().lookup(SURVEY, Ask(), MANY[:1]) == {}


# record once, replay -------------------------------------------------------------------------------


@pytest.fixture(params=["export", "export.tar"])
def exported(request, tmp_path):
    keep(Answers())
    Answers().keep(SURVEY, Ask(), TARGETS, raw(TARGETS, b"together"), "ab")
    return af.cache.export(tmp_path / request.param)


def test_what_was_exported_is_added_elsewhere(exported, monkeypatch, tmp_path):
    with pytest.raises(StorageError, match="already exists"):
        af.cache.export(exported)
    af.cache.export(exported, overwrite=True)
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path / "student"))
    assert af.cache.add(exported) == 61
    answers = Answers()
    assert len(answers.lookup(SURVEY, Ask(), MANY)) == 60
    hits = answers.lookup(SURVEY, Ask(), TARGETS)
    assert [hits[i].found for i in "abc"] == [True, True, False] and answers.load(hits["a"].path).content == b"together"
    assert af.cache.add(exported) == 0


def test_a_newer_answer_stays(exported, monkeypatch, tmp_path):
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path / "student"))
    newer = Answers().keep(SURVEY, Ask(), TARGETS[:1], raw(TARGETS[:1], b"newer", retrieved="2999-01-01T00:00:00+00:00"), "a")
    os.utime(newer, (time.time() + 60, time.time() + 60))
    af.cache.add(exported)
    answers = Answers()
    assert answers.load(answers.lookup(SURVEY, Ask(), TARGETS)["a"].path).content == b"newer"


def test_nothing_to_export(tmp_path):
    with pytest.raises(InputError, match="no answers to export"):
        af.cache.export(tmp_path / "x")
    with pytest.raises(StorageError, match=r"no folder or tar|no answers exported"):
        af.cache.add(tmp_path)
    with pytest.raises(StorageError, match="no folder or tar"):
        af.cache.add(tmp_path / "nowhere.tar")


def doctored(path, change):
    """The same export with its files changed by a function of a dict of name to bytes."""
    names = [str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()]
    files = {name: (path / name).read_bytes() for name in names}
    change(files)
    out = path.with_suffix(".tar")
    with tarfile.open(out, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out


def rename(new):
    def change(files):
        manifest = json.loads(files["manifest.json"])
        old = next(iter(manifest["files"]))
        manifest["files"][new] = manifest["files"].pop(old)
        files[new] = files.pop(old)
        files["manifest.json"] = json.dumps(manifest).encode()

    return change


def spoil(files):
    name = next(n for n in files if n.endswith(".answer"))
    files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])


def lose(files):
    del files[next(n for n in files if n.endswith(".answer"))]


@pytest.mark.parametrize(
    "change",
    [
        spoil, lose, rename("../../../../tmp/evil.answer"), rename("/tmp/evil.answer"), rename("toy-text/../../evil.answer"), rename("..\\evil.answer"),
        rename("toy-text/" + "0" * 24 + "/" + "a" * 32 + ".py"), rename("../" + "0" * 24 + "/" + "a" * 32 + ".answer"),
        lambda files: files.update({"manifest.json": b"[1"}), lambda files: files.update({"manifest.json": b'{"format": "x", "version": 1, "files": {}}'}),
    ],
)  # fmt: skip
def test_an_export_that_was_tampered_with_is_refused_whole(tmp_path, monkeypatch, change):
    keep(Answers(), MANY[:5])
    bad = doctored(af.cache.export(tmp_path / "folder"), change)
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path / "student"))
    before = set(tmp_path.rglob("*"))
    with pytest.raises(StorageError, match=r"nothing was taken|no answers exported"):
        af.cache.add(bad)
    assert set(tmp_path.rglob("*")) == before and af.cache.size() == 0


def test_links_in_an_export_are_not_followed(tmp_path, monkeypatch):
    keep(Answers(), MANY[:5])
    folder = af.cache.export(tmp_path / "folder")
    one = next(folder.rglob("*.answer"))
    one.rename(tmp_path / "elsewhere")
    one.symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path / "student"))
    with pytest.raises(StorageError, match="nothing was taken"):
        af.cache.add(folder)


def test_what_one_fetch_found_is_exported_alone(tmp_path, monkeypatch):
    keep(Answers())
    targets = af.Targets.from_region("150 2", 3600.0, n=3)
    found = af.fetch(targets, "practice/text", progress=False)
    path = af.cache.export(tmp_path / "class", found)
    assert len(list(path.rglob("*.answer"))) == len(found.answers()) > 0
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path / "student"))
    af.cache.add(path)
    again = af.fetch(targets, "practice/text", progress=False, mode="offline")
    assert again.complete and (again.status == found.status).all()
    for i, text in found.products("practice/text"):
        assert again.get("practice/text", i) == text


# several kernels -----------------------------------------------------------------------------------

KERNEL = """
    import os, random, sys
    import astrofuse_lab as af
    from astrofuse_lab.cache import Answers
    from astrofuse_lab.errors import StorageError
    from astrofuse_lab.surveys.survey import Ask, Raw
    from astrofuse_lab.targets import Target, Targets

    class Notes:
        name, release, batch = "toy/text", "1", 1

    number = int(sys.argv[1])
    chance = random.Random(number)
    targets = Targets(Target(f"m{i}", i / 10, 1.0) for i in range(60))
    print("ready", flush=True)
    sys.stdin.readline()
    for turn in range(6):
        answers = Answers()
        for i in chance.sample(range(60), 25):
            one = targets[i : i + 1]
            try:
                answers.keep(Notes, Ask(), one, Raw("toy/text", one.ids, one.ids[0].encode() * 400, "q"), one.ids)
            except StorageError as error:
                assert "may hold" in str(error), error
        for object_id, hit in Answers().lookup(Notes, Ask(), targets).items():
            try:
                assert answers.load(hit.path).content == object_id.encode() * 400
            except StorageError as error:
                assert "has gone" in str(error)  # another kernel made room, or cleared
        if turn == number:
            af.cache.clear()
        if number == 3:
            af.cache.limit(chance.choice([30_000, 60_000]))
        answers.flush()
    print("good", flush=True)
"""


def test_several_kernels_share_one_cache(own_cache, tmp_path):
    script = tmp_path / "kernel.py"
    script.write_text(textwrap.dedent(KERNEL))
    environment = {**os.environ, "PYTHONPATH": str(Path(af.__file__).parents[1])}
    kernels = [
        subprocess.Popen([sys.executable, str(script), str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        for n in range(4)
    ]
    for kernel in kernels:
        assert kernel.stdout.readline() == "ready\n"
    for kernel in kernels:
        kernel.stdin.write("go\n")
        kernel.stdin.flush()
    for kernel in kernels:
        out, said = kernel.communicate(timeout=120)
        assert out == "good\n", said
    left = list(own_cache.rglob("*.answer"))
    assert all(opened(str(path))[0] for path in left)
    assert not [path for path in own_cache.rglob(".*") if path.is_file()]
    hits = Answers().lookup(SURVEY, Ask(), MANY)
    assert len(hits) == len(left)


def test_threads_look_up_while_others_write():
    answers, wrong = Answers(), []

    def look():
        try:
            for _ in range(10):
                for object_id, hit in Answers().lookup(SURVEY, Ask(), MANY).items():
                    assert answers.load(hit.path).target_ids == (object_id,)
        except Exception as error:  # reported in the test's own thread
            wrong.append(error)

    threads = [threading.Thread(target=keep, args=(answers,)), *(threading.Thread(target=look) for _ in range(3))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and len(Answers().lookup(SURVEY, Ask(), MANY)) == 60
