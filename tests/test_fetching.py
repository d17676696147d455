"""Many targets in many surveys: partial results, retries, stop, kill -9, full disks, hostile text."""

import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st
from loopback import Archive, replying

import astrofuse_lab as af
from astrofuse_lab import crew, storage, surveys
from astrofuse_lab.errors import ArchiveError, InputError, StorageError, TargetError, UnknownNameError
from astrofuse_lab.fetching import fetch
from astrofuse_lab.found import ANSWERS_IN_MEMORY, Fresh
from astrofuse_lab.modalities import Image, Text
from astrofuse_lab.surveys import hips_cutouts
from astrofuse_lab.surveys.gaia import gaia_table
from astrofuse_lab.surveys.survey import Raw
from astrofuse_lab.targets import Target, Targets

HOSTILE = "<script>alert(1)</script> & 'quoted'"


@dataclass
class Notes:
    """A survey that answers from memory and counts who was asked for."""

    name: str = "toy/text"
    gives: type = Text
    bands: tuple = ()
    release: str = "1"
    citation: str = "Nobody et al. {2020}"
    licence: str = "CC0"
    simulated: bool = True
    batch: int = 4
    size: int = 0
    delay: float = 0.0
    trouble: dict = field(default_factory=dict)  # id: list of errors, one an attempt
    asked: Counter = field(default_factory=Counter)
    asks: list = field(default_factory=list)

    def query(self, targets, ask):
        self.asks.append(ask)
        self.asked.update(targets.ids)
        time.sleep(self.delay)
        for target in targets:
            if self.trouble.get(target.object_id):
                raise self.trouble[target.object_id].pop(0)
        body = "\n".join(f"{t.object_id}\t{HOSTILE}" for t in targets if t.dec > 0)
        yield Raw(self.name, targets.ids, body.encode() + b"\n" + b" " * self.size, "q")

    def read(self, raw):
        for line in raw.content.decode().splitlines():
            object_id, tab, text = line.partition("\t")
            if tab:
                yield object_id, Text(text + " " * self.size)


TARGETS = Targets(Target(f"t{i}", float(i), 10.0 if i % 5 else -10.0) for i in range(20))


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(crew, "FIRST_WAIT", 0.01)
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def offer(monkeypatch):
    """Make surveys findable by name for one test."""
    known = {}
    real = surveys.get
    monkeypatch.setattr(surveys, "get", lambda name: known[name] if name in known else real(name))

    def add(survey):
        known[survey.name] = survey
        return survey

    return add


@pytest.fixture
def toy(offer):
    return offer(Notes())


@pytest.fixture
def archive():
    server = Archive()
    yield server
    server.close()


def get(surveys_, **options):
    return fetch(TARGETS, surveys_, progress=False, **options)


def states(found, survey="toy/text"):
    return {row["object_id"]: row["state"] for row in found.status if row["survey"] == survey}


# what comes back ---------------------------------------------------------------------------------


def test_found_and_empty_are_told_apart(toy):
    found = get(["toy/text"])
    assert found.complete and found.surveys == ("toy/text",)
    assert [s for s in found.status["state"]] == ["found" if i % 5 else "empty" for i in range(20)]  # noqa: C416
    assert found.status.colnames == ["object_id", "survey", "modality", "state", "message", "stale"]
    assert found.get("toy/text", "t1").text.strip() == HOSTILE
    assert found.get("toy/text", "t0") is None
    assert [i for i, _ in found.products("toy/text")] == [f"t{i}" for i in range(20) if i % 5]
    assert toy.asked.total() == 20 and len(toy.asks) == 5  # batches of 4
    assert list(found.counts["found"]) == [16]


def test_the_second_fetch_asks_nothing_unless_told_to(toy):
    get("toy/text")
    again = get("toy/text")
    assert again.complete and toy.asked.total() == 20
    assert again.get("toy/text", "t7").text.strip() == HOSTILE
    get("toy/text", refresh=True)
    assert toy.asked.total() == 40


def test_only_new_targets_are_asked_for(toy):
    get("toy/text")
    more = Targets([Target("new", 200.0, 1.0), *TARGETS])
    found = fetch(more, "toy/text", progress=False)
    assert toy.asked.total() == 21 and toy.asked["new"] == 1 and found.complete


def test_quantities_and_plain_numbers_are_the_same_request(toy):
    get("toy/text", radius=3 * u.arcsec, size=(1 / 3) * u.arcmin, time=Time([59000, 59100], format="mjd"))
    get("toy/text", radius=3.0, size=((1 / 3) * u.arcmin).to_value("arcsec"), time=(59000, 59100))
    assert toy.asked.total() == 20
    assert toy.asks[0].radius == 3.0 and toy.asks[0].time == (59000.0, 59100.0)


def test_options_for_all_or_for_one(toy, offer):
    other = offer(Notes(name="toy/other"))
    get(["toy/text", "toy/other"], options={"seed": 3, "toy/other": {"noise": 2.0, "bands": ["g"], "limit": 2, "release": "x"}})
    assert toy.asks[0].options == {"seed": 3} and toy.asks[0].bands is None
    assert other.asks[0].options == {"seed": 3, "noise": 2.0}
    assert (other.asks[0].bands, other.asks[0].limit, other.asks[0].release) == (("g",), 2, "x")


# bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"targets": Targets([])}, InputError, "no targets"),
        ({"targets": [1, 2]}, InputError, r"Targets\.from_table"),
        ({"surveys": []}, InputError, "no survey was named"),
        ({"radius": -1}, InputError, "radius=-1"),
        ({"radius": 3 * u.kg}, InputError, r"3 \* u\.arcsec"),
        ({"size": "big"}, InputError, "size='big'"),
        ({"size": np.nan}, InputError, "size=nan"),
        ({"time": 3}, InputError, "pair of epochs"),
        ({"time": (5, 4)}, InputError, "not before the last"),
        ({"options": {"toy/txt": {"a": 1}}}, UnknownNameError, "toy/text"),
        ({"options": {"a": object()}}, InputError, "a number, a text or a truth value"),
    ],
)
def test_bad_input_is_refused_before_anything_is_asked(toy, arguments, kind, words):
    given = {"targets": TARGETS, "surveys": ["toy/text"], "progress": False, **arguments}
    with pytest.raises(kind, match=words):
        fetch(given.pop("targets"), given.pop("surveys"), **given)
    assert toy.asked.total() == 0


def test_an_unknown_survey_names_the_nearest():
    with pytest.raises(UnknownNameError, match="gaia/table"):
        get("gaia/tabel")


def test_questions_about_what_was_not_fetched(toy):
    found = get("toy/text")
    with pytest.raises(UnknownNameError, match="toy/text"):
        found.get("toy/txt", "t0")
    with pytest.raises(TargetError, match="nobody"):
        found.get("toy/text", "nobody")
    with pytest.raises(UnknownNameError):
        list(found.products("gaia/table"))


# failures ----------------------------------------------------------------------------------------


def test_a_failure_is_noted_and_hinders_nobody(toy, offer):
    offer(Notes(name="toy/other"))
    toy.trouble = {"t6": [ArchiveError("toy/text", HOSTILE, "t6")]}
    found = get(["toy/text", "toy/other"])
    assert Counter(states(found).values()) == {"found": 15, "empty": 4, "failed": 1}
    assert "failed" not in states(found, "toy/other").values()
    message = next(row["message"] for row in found.status if row["state"] == "failed")
    assert message == f"toy/text, target t6: {HOSTILE}"
    assert found.get("toy/text", "t6") is None and not found.complete


@pytest.mark.parametrize("error", [ValueError("odd"), KeyError("x"), RuntimeError(HOSTILE), ZeroDivisionError()])
def test_a_fault_in_a_survey_fails_its_chunk_only(toy, error):
    toy.trouble = {"t6": [error]}
    found = get("toy/text")
    assert Counter(states(found).values())["failed"] == 4
    assert type(error).__name__ in next(m for m in found.status["message"] if m)


def test_what_may_pass_is_asked_again_and_failures_are_not_cached(toy):
    toy.trouble = {"t1": [ArchiveError("toy/text", "busy", transient=True), TimeoutError("slow"), ConnectionError("cut")]}
    assert get("toy/text").complete
    assert toy.asked["t1"] == 4 and toy.asked["t9"] == 1
    toy.trouble = {"t5": [TimeoutError("slow")] * crew.ATTEMPTS}
    found = get("toy/text", radius=4.0)
    assert states(found)["t5"] == "failed"
    before = toy.asked.copy()
    assert found.retry().complete
    assert (toy.asked - before).keys() == {"t4", "t5", "t6", "t7"}  # the failed chunk, nothing else
    assert states(found)["t5"] == "failed"  # the first result stays what it was


def test_an_archive_that_asks_to_wait_is_waited_for(toy):
    toy.trouble = {"t0": [ArchiveError("toy/text", "slow down", transient=True, retry_after=0.6)]}
    start = time.monotonic()
    assert get("toy/text").complete
    assert time.monotonic() - start >= 0.6


def test_an_archive_that_is_down_is_given_up(toy):
    toy.batch = 1
    toy.trouble = {t.object_id: [ConnectionError("no route")] * 99 for t in TARGETS}
    found = get("toy/text")
    assert set(states(found).values()) == {"failed"}
    assert any("not asked" in m for m in found.status["message"])
    assert toy.asked.total() < 20 * crew.ATTEMPTS
    toy.trouble = {}
    assert found.retry().complete


def test_an_option_that_does_not_exist_is_an_error_and_not_900_failures(toy):
    with pytest.raises(InputError, match="no option 'mising'"):
        get(["practice/text", "toy/text"], options={"practice/text": {"mising": 0.3}})


def test_a_target_that_no_answer_mentions_fails(toy, monkeypatch):
    def silent(targets, ask):
        yield Raw("toy/text", targets.ids[1:], b"", "q")

    monkeypatch.setattr(toy, "query", silent)
    found = get("toy/text")
    assert Counter(states(found).values()) == {"empty": 15, "failed": 5}


def test_real_clients_over_http_with_a_bad_day(archive, offer):
    """503, 429, a web page, a cut file: what may pass does, what may not is told, all else is there."""
    offer(gaia_table(url=f"{archive.url}/tap", timeout=2))
    hips = offer(replace(hips_cutouts.make("CDS/P/TEST", bands="g", name="hips/test", url=f"{archive.url}/hips2fits"), timeout=2))
    targets = Targets(Target(f"s{i}", 10.0 + i, 5.0) for i in range(6))
    archive.replies.extend([replying(503, b"back soon"), replying(429, b"slow", Retry_After="0"), replying(200, b"half", announced=900)])
    found = fetch(targets, ["gaia/table", "hips/test"], progress=False)
    assert found.complete, found.status
    assert isinstance(found.get("hips/test", "s3"), Image)
    assert found.get("gaia/table", "s3").values["match_count"] == 1
    asked = len(archive.requests)
    fetch(targets, ["gaia/table", "hips/test"], progress=False)
    assert len(archive.requests) == asked

    cut_short = replying(200, b"SIMPLE  =                    T" + b" " * 400, "image/fits")
    archive.replies.append(cut_short)
    assert fetch(targets[:1], hips.name, progress=False, refresh=True).complete  # it is asked for once more
    archive.replies.extend([cut_short] * crew.SAME)  # the same again and again is what the archive has to say
    cut = fetch(targets[:1], hips.name, progress=False, refresh=True)
    assert cut.status["state"][0] == "failed" and "hips/test, target s0: band g: the FITS file is cut short" in cut.status["message"][0]
    assert cut.retry().complete


# stop and progress -------------------------------------------------------------------------------


def test_stop_returns_within_two_seconds_and_leaves_the_rest_pending(toy):
    toy.batch, toy.delay = 1, 0.5
    stop = threading.Event()
    threading.Timer(0.8, stop.set).start()
    start = time.monotonic()
    found = get("toy/text", stop=stop)
    assert time.monotonic() - start < 0.8 + 2
    counts = Counter(states(found).values())
    assert 0 < counts["pending"] < 20
    toy.delay = 0
    time.sleep(0.6)  # threads that were waiting end and keep what they got
    done = found.retry()
    assert done.complete
    assert max(toy.asked.values()) <= 2  # at most those in flight when it was stopped


def test_stop_does_not_wait_for_an_archive_that_hangs(toy):
    toy.delay = 20
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    start = time.monotonic()
    found = get("toy/text", stop=stop)
    assert time.monotonic() - start < 2.2
    assert set(states(found).values()) == {"pending"}


def test_stop_set_before_the_start_asks_and_reads_nothing(toy):
    fetch(TARGETS[:8], "toy/text", progress=False)
    stop = threading.Event()
    stop.set()
    found = get("toy/text", stop=stop)
    assert set(states(found).values()) == {"pending"} and toy.asked.total() == 8
    assert found.retry().complete and toy.asked.total() == 20


def test_progress_is_told_in_the_calling_thread(toy):
    told = []
    get("toy/text", on_progress=lambda p: told.append((threading.current_thread(), p)))
    assert {t for t, _ in told} == {threading.current_thread()}
    reports = [p for _, p in told]
    assert [p["done"] for p in reports] == sorted(p["done"] for p in reports)
    assert reports[0] == {"survey": "toy/text", "done": 0, "total": 20, "failed": 0, "state": "fetching"}
    assert reports[-1] == {"survey": "toy/text", "done": 20, "total": 20, "failed": 0, "state": "done"}


def test_an_error_in_the_callback_ends_the_fetch_and_its_threads(toy):
    toy.batch, toy.delay = 1, 0.05
    before = set(threading.enumerate())

    def broken(report):
        if report["done"]:
            raise RuntimeError("the callback is broken")

    with pytest.raises(RuntimeError, match="callback is broken"):
        get("toy/text", on_progress=broken)
    time.sleep(0.2)
    assert not [t for t in threading.enumerate() if t not in before and t.name.startswith("fetch")]


def test_a_line_of_text_says_how_far_it_is(toy, capsys):
    fetch(TARGETS, "toy/text")
    assert "toy/text 20/20" in capsys.readouterr().err
    get("toy/text")
    assert capsys.readouterr().err == ""


# kill -9, disks ----------------------------------------------------------------------------------

CHILD = """
    import sys
    from astrofuse_lab import surveys
    from astrofuse_lab.fetching import fetch
    from astrofuse_lab.surveys import hips_cutouts
    from astrofuse_lab.targets import Target, Targets

    url = sys.argv[1]
    survey = hips_cutouts.make("CDS/P/TEST", bands="g", name="hips/test", url=url + "/hips2fits")
    surveys.get = lambda name: survey
    targets = Targets(Target(f"k{i}", float(i), 5.0) for i in range(40))
    print("ready", flush=True)
    found = fetch(targets, "hips/test", progress=False)
    print("complete" if found.complete else found, flush=True)
"""


def test_kill_9_loses_nothing_that_was_fetched(archive, tmp_path):
    archive.delay = 0.04
    script = tmp_path / "child.py"
    script.write_text(textwrap.dedent(CHILD))
    cache = tmp_path / "killed"
    environment = {**os.environ, "ASTROFUSE_CACHE": str(cache), "PYTHONPATH": str(Path(af.__file__).parents[1])}
    chance = random.Random(7)
    kept: set[float] = set()
    for attempt in range(4):
        time.sleep(4 * archive.delay)  # what the killed child had asked last has arrived
        archive.asked.clear()
        child = subprocess.Popen([sys.executable, str(script), archive.url], stdout=subprocess.PIPE, text=True, env=environment)
        assert child.stdout.readline() == "ready\n"
        if attempt < 3:
            while not archive.asked and child.poll() is None:  # imports take a while: count from the first request
                time.sleep(0.005)
            time.sleep(chance.uniform(0.02, 0.25))
            child.send_signal(signal.SIGKILL)
        out, _ = child.communicate(timeout=60)
        asked = [ra for ra, _ in archive.asked]
        assert not kept & set(asked), "what was fetched was fetched again"
        assert len(asked) == len(set(asked))
        before = len(kept)
        kept = on_disk(cache)
        assert len(kept) >= before
    assert out.strip() == "complete"
    assert len(kept) == 40


def on_disk(cache):
    """Right ascensions of the targets whose answers lie whole in the cache."""
    from astrofuse_lab.cache.answers import opened

    heads = [opened(str(p))[0] for p in (cache / "answers").rglob("*.answer")]
    assert all(heads), "a file is not whole"
    return {float(i[1:]) for head in heads for i in head["ids"]}


def test_a_disk_that_fills_up_keeps_what_was_fetched(toy, monkeypatch):
    toy.batch = 1
    real, left = os.fsync, [8]

    def full(descriptor):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return real(descriptor)

    monkeypatch.setattr(storage.os, "fsync", full)
    with pytest.raises(StorageError, match="full") as caught:
        get("toy/text")
    partial = caught.value.found
    have = {i for i, s in states(partial).items() if s in ("found", "empty")}
    assert 0 < len(have) <= 7
    assert all(partial.get("toy/text", i) is not None for i in have if int(i[1:]) % 5)
    monkeypatch.setattr(storage.os, "fsync", real)
    before = toy.asked.copy()
    assert get("toy/text").complete
    assert not (toy.asked - before).keys() & have


def test_a_cache_that_cannot_be_written_is_told_before_anything_is_asked(toy, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(StorageError):
        get("toy/text")
    assert toy.asked.total() == 0


def test_a_complete_cache_is_read_from_a_read_only_disk(toy, monkeypatch):
    get("toy/text")

    def read_only(*args, **options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(storage, "open", read_only, raising=False)
    assert get("toy/text").get("toy/text", "t1") is not None
    with pytest.raises(StorageError, match="cannot be written"):
        get("toy/text", radius=4.0)


def test_an_answer_altered_on_disk_is_fetched_again(toy):
    get("toy/text")
    path = next((storage.cache_root() / "answers").rglob("*.answer"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert get("toy/text").complete
    assert toy.asked.total() == 24


def test_memory_stays_flat(offer, monkeypatch):
    big = offer(Notes(name="toy/big", batch=1, size=500_000))
    monkeypatch.setattr(Fresh.__init__, "__defaults__", (4 * big.size,))
    targets = Targets(Target(f"b{i}", float(i), 1.0) for i in range(60))
    tracemalloc.start()
    try:
        found = fetch(targets, "toy/big", progress=False)
        assert sum(1 for _ in found.products("toy/big")) == 60
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < (4 + ANSWERS_IN_MEMORY + 3 * crew.THREADS) * 2.5 * big.size  # 60 products are 30 MB


def test_products_just_fetched_are_read_once_and_others_from_the_cache(offer, monkeypatch):
    """The first products that fit wait in memory, each until it is asked for; those of later answers, and of a second fetch, are read from the cache."""
    offer(Notes(name="toy/read", batch=1, size=1000))
    reads = Counter()
    read = Notes.read
    monkeypatch.setattr(Notes, "read", lambda self, raw: reads.update(raw.target_ids) or read(self, raw))
    monkeypatch.setattr(Fresh.__init__, "__defaults__", (10 * 2000,))
    targets = Targets(Target(f"b{i}", float(i), 1.0) for i in range(30))
    found = fetch(targets, "toy/read", progress=False)
    first = dict(found.products("toy/read"))
    assert len(first) == 30 and 10 <= sum(n == 1 for n in reads.values()) < 20 and max(reads.values()) == 2
    assert found.fresh.room == 20_000  # all were given out
    assert {i: p.text for i, p in found.products("toy/read")} == {i: p.text for i, p in first.items()}
    reads.clear()
    again = fetch(targets, "toy/read", progress=False)
    assert not reads and {i: p.text for i, p in again.products("toy/read")} == {i: p.text for i, p in first.items()} and sum(reads.values()) == 30


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 60), st.booleans()), max_size=40))
def test_what_waits_in_memory_never_takes_more_than_its_room(steps):
    fresh, kept = Fresh(100), {}
    for path, size, put in steps:
        if put:
            kept.pop(path, None)
            fresh.put("s", path, {path: size}, size)
            if size + sum(kept.values()) <= 100:
                kept[path] = size
        else:
            assert fresh.take("s", path) == ({path: kept.pop(path)} if path in kept else None)
        assert fresh.room == 100 - sum(kept.values()) >= 0


# shown to people ---------------------------------------------------------------------------------


def test_citations_come_once_and_are_balanced(toy, offer):
    offer(Notes(name="toy/other"))
    offer(Notes(name="toy/third", citation="Somebody else"))
    text = get(["toy/text", "toy/other", "toy/third"]).cite()
    assert "toy/text, toy/other: Nobody et al. {2020} (CC0)\ntoy/third: Somebody else (CC0)\n" in text
    assert text.count("@misc{") == 2 and text.count("{") == text.count("}")
    stop = threading.Event()
    stop.set()
    assert "nothing to cite" in get("toy/text", radius=9, stop=stop).cite()


def test_markup_stays_text(offer):
    offer(Notes(name="toy/<script>alert(1)</script>"))
    found = get("toy/<script>alert(1)</script>")
    assert "<script>" not in found._repr_html_() and "&lt;script&gt;" in found._repr_html_()
    assert "16 found" in repr(found) and "4 empty" in repr(found) and "simulated" in repr(found)


# the practice sky, whole --------------------------------------------------------------------------

PRACTICE = [f"practice/{kind}" for kind in ("image", "spectrum", "light_curve", "table", "text")]


def test_five_modalities_of_the_practice_sky_through_the_cache():
    targets = af.Targets.from_region("150 2", 1 * u.deg, n=12)
    first = af.fetch(targets, PRACTICE, radius=3 * u.arcsec, size=8 * u.arcsec, progress=False)
    assert first.complete and list(first.counts["modality"]) == ["image", "spectrum", "light_curve", "table", "text"]
    again = af.fetch(targets, PRACTICE, radius=3 * u.arcsec, size=8 * u.arcsec, progress=False)
    assert (first.status == again.status).all()
    for name in PRACTICE:
        products = list(zip(first.products(name), again.products(name), strict=True))
        assert products
        for (i, a), (j, b) in products:
            assert i == j and repr(a) == repr(b) and a.provenance.simulated
    assert "CITATION.cff" in first.cite()


def test_the_page_about_fetching_runs_as_it_stands(capsys):
    page = (Path(af.__file__).parents[1] / "docs" / "fetching.md").read_text()
    names: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 2 and names["found"].complete
    assert "'state': 'done'" in capsys.readouterr().out


def test_what_each_row_of_the_registry_says():
    table = af.list_surveys()
    assert {"practice/image", "gaia/table", "hips/dss2"} <= set(table["name"])
    assert all(table["citation"]) and all(table["licence"])


# names and regions -------------------------------------------------------------------------------


@pytest.fixture
def sesame(archive):
    from astropy.coordinates.name_resolve import sesame_url

    with sesame_url.set([f"{archive.url}/sesame/"]):
        yield archive


def test_names_of_the_practice_sky_need_no_network():
    targets = af.Targets.from_names(["practice-00000042", "practice-7"])
    assert targets.ids == ("practice-00000042", "practice-00000007")
    with pytest.raises(TargetError, match="practice-abc"):
        af.Targets.from_names("practice-abc")


def test_names_are_resolved_with_their_motion(sesame):
    targets = af.Targets.from_names(["M 51", "Barnard's star", "M  51"])
    assert targets.ids == ("M 51", "Barnard's star")
    assert (targets[0].ra, targets[0].dec, targets[0].pmra) == (202.469575, 47.195258, 0.0)
    assert (targets[1].pmra, targets[1].pmdec, targets[1].epoch) == (-801.551, 10362.394, 2000.0)


def test_a_name_that_does_not_resolve(sesame):
    with pytest.raises(TargetError, match=r"1 of 2 names did not resolve: 'Xyzzy 9' \(not known to SIMBAD, NED or VizieR\).*errors='skip'"):
        af.Targets.from_names(["M 51", "Xyzzy 9"])
    targets = af.Targets.from_names(["M 51", "Xyzzy 9"], errors="skip")
    assert targets.ids == ("M 51",) and "Xyzzy 9" in targets.notes[0]
    with pytest.raises(TargetError, match="give positions"):
        af.Targets.from_names(["Xyzzy 9"], errors="skip")


def test_no_network_says_what_to_type_instead():
    with pytest.raises(ArchiveError, match=r"cannot be reached.*Targets\.from_table"):
        af.Targets.from_names(["M 51"])


def test_a_resolver_behind_a_web_page_is_no_resolver(sesame):
    sesame.replies.append(replying(200, b"<html># please log in to the hotel network</html>", "text/html"))
    with pytest.raises(ArchiveError, match="not an answer of Sesame"):
        af.Targets.from_names(["M 51"])


@pytest.mark.parametrize("names", [[], "", ["  "]])
def test_no_names(names):
    with pytest.raises(TargetError, match="no names"):
        af.Targets.from_names(names)


@pytest.mark.parametrize("center", [(150.0, 2.0), "150 2", "150.0, 2.0", "10:00:00 +02:00:00", SkyCoord(150 * u.deg, 2 * u.deg), (150 * u.deg, 2 * u.deg)])
def test_a_region_of_the_practice_sky(center):
    targets = af.Targets.from_region(center, 1 * u.deg, n=7)
    assert len(targets) == 7
    place = SkyCoord(targets.ra * u.deg, targets.dec * u.deg)
    assert (place.separation(SkyCoord(150 * u.deg, 2 * u.deg)) <= 1 * u.deg).all()
    assert af.Targets.from_region((150.0, 2.0), 3600, n=7).ids == targets.ids  # a plain radius is arcsec


def test_a_region_of_gaia(archive, monkeypatch):
    from astrofuse_lab.surveys import gaia

    monkeypatch.setattr(gaia, "TABLE", gaia_table(url=f"{archive.url}/tap"))
    assert len(af.Targets.from_region((12.0, 5.0), 1.5 * u.deg, n=2, survey="gaia/table")) == 2
    with pytest.raises(TargetError, match="larger radius"):
        af.Targets.from_region((200.0, 5.0), 1.0, survey="gaia/table")


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"center": (400, 0)}, TargetError, "RA 400"),
        ({"center": "M 51"}, TargetError, "from_names"),
        ({"center": 3}, TargetError, "no position"),
        ({"center": (1, 2, 3)}, TargetError, "no position"),
        ({"center": SkyCoord([1, 2] * u.deg, [1, 2] * u.deg)}, TargetError, "2 positions"),
        ({"radius": 0}, InputError, "radius"),
        ({"radius": 1 * u.s}, InputError, "no angle"),
        ({"n": 0}, InputError, "n=0"),
        ({"n": 2.5}, InputError, "n=2.5"),
        ({"survey": "hips/dss2"}, UnknownNameError, "practice/table"),
    ],
)
def test_a_region_that_makes_no_sense(arguments, kind, words):
    given = {"center": (10, 10), "radius": 60, "n": 3, **arguments}
    with pytest.raises(kind, match=words):
        af.Targets.from_region(**given)


def test_progress_goes_where_it_looks_right(monkeypatch, capsys):
    """A notebook paints stderr red; a terminal keeps stdout for what a program prints."""
    import io

    targets = af.Targets.from_names(["practice-1", "practice-2"])
    af.fetch(targets, surveys=["practice/text"])
    told = capsys.readouterr()
    assert "practice/text 2/2" in told.err and told.out == ""
    stream = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})
    monkeypatch.setattr("sys.stderr", stream())
    af.fetch(targets, surveys=["practice/text"])
    assert "practice/text 2/2" in capsys.readouterr().out
