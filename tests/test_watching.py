"""`astrofuse watch`: packets scored as they arrive; what is malformed, half-written, or there twice; kill and resume."""

import csv
import json
import os
import subprocess
import sys
import time

import numpy as np
import packets as made
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from answering import Answering

import astrofuse_lab as af
from astrofuse_lab import cli
from astrofuse_lab.errors import InputError, StorageError
from astrofuse_lab.recipes.schema import Part, Recipe
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec
from astrofuse_lab.surveys import brokers
from astrofuse_lab.targets import Target, Targets
from astrofuse_lab.watching import Watch, feed, packets, samples_of, watch
from astrofuse_lab.watching.journal import Journal, Lines

STAMPS = ("science", "reference", "difference")
NOW = {"settle": 0.0, "patience": 0.0}


def training_set(table=False):
    """Stamps of 63 x 63 in DN, real ones with a source."""
    rng = np.random.default_rng(0)
    flux = rng.normal(0, 1, (24, 3, 63, 63)).astype(np.float32)
    flux[::2, :, 28:35, 28:35] += 20
    spec = ModalitySpec("image", "image", STAMPS, (3, 63, 63), "DN", scale=1.01, oriented=False)
    columns = pa.table({"object_id": [str(i) for i in range(24)], "label": ["real", "bogus"] * 12, "c_magpsf": rng.normal(18, 1, 24), "c_unheard_of": rng.normal(0, 1, 24)})
    roles = {"label": "target", "c_magpsf": "input", "c_unheard_of": "input"} if table else {"label": "target"}
    return SampleSet(columns, {"image": ModalityData(spec, {"flux": flux, "mask": np.ones(flux.shape, bool)}, np.ones(24, bool))}, roles, {}, Card("toy"))


def trained(folder, table=False):
    layers = [["max_pool", 7], ["conv", 4], ["relu"], ["flatten"]]
    recipe = Recipe("toy", "toy", {"image": Part.of("layers", layers=layers), "table": Part("mlp")}, Part("concatenation"), width=8)
    run = af.train(recipe, training_set(table), "label", epochs=1)
    run.save(folder)
    return af.Run.open(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "toy")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def drop(folder, name, *numbers, **more):
    """An Avro file of ZTF packets."""
    (folder / name).write_bytes(made.container(made.ZTF, [made.ztf(f"ZTF{n}", candid=n, **more) for n in numbers], "deflate"))


def scores(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def reasons(folder):
    return scores(folder / "set-aside" / "reasons.jsonl")


# ---- what a packet becomes ----------------------------------------------------------------------------------------


def test_packets_as_a_set_keep_raw_pixels():
    packet = made.ztf(candid=7)
    raw = np.full((40, 63), 5.0, np.float32)
    raw[0, 0], raw[1, 1] = -3.4028235e38, np.nan
    import io

    from astropy.io import fits

    file = io.BytesIO()
    fits.PrimaryHDU(raw).writeto(file)
    for name in ("cutoutScience", "cutoutTemplate", "cutoutDifference"):
        packet[name] = {"fileName": "x", "stampData": file.getvalue()}
    samples, refused = samples_of([packet, {"nothing": 1}, packet])
    assert list(refused) == [1, 2] and "neither" in refused[1] and "came before" in refused[2]
    arrays = samples.arrays("image")
    assert samples.object_ids == ("ztf:7",) and arrays["flux"].shape == (1, 3, 63, 63)
    assert arrays["flux"][0, 0, 0, 0] == np.float32(-3.4028235e38) and not arrays["mask"][0, 0, 0, 0]
    assert not arrays["mask"][0, 0, 1, 1] and arrays["mask"][0, 0, 2].all() and not arrays["mask"][0, 0, 40:].any()


def test_a_run_that_reads_more_than_packets_hold_is_refused(folder, toy_samples):
    run = af.train("late_fusion", toy_samples, epochs=1, modalities=["light_curve"])
    with pytest.raises(InputError, match=r"'light_curve' \(light_curve\); of a packet, stamps"):
        Watch(run, folder)
    run = af.train("late_fusion", toy_samples, epochs=1, modalities=["image"])
    with pytest.raises(InputError, match=r"reads the plane 'g'.*science, reference, difference"):
        Watch(run, folder)


def test_fields_of_the_packet(tmp_path, folder):
    run = trained(tmp_path / "run", table=True)
    drop(folder, "a.avro", 1, 2, mag=17.5)
    said = []
    watch(run, folder, once=True, show=said.append, **NOW)
    assert any("in none of the first packets" in line and "c_unheard_of" in line and "c_magpsf" not in line for line in said)
    packet = packets.packet_of(made.ztf(mag=17.5))
    assert packets.field_of(packet, "c_magpsf") == pytest.approx(17.5) and packets.field_of(packet, "isdiffpos") == 1.0
    assert packets.field_of(packet, "ssdistnr") is None and packets.field_of(packet, "ssnamenr") is None


# ---- files --------------------------------------------------------------------------------------------------------


def test_files_are_scored_once_and_as_the_run_says(run, folder):
    drop(folder, "a.avro", 1, 2)
    (folder / "night").mkdir()
    drop(folder / "night", "b.avro", 2, 3, 4)
    rows = [made.ztf("ZTF5", candid=5)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "c.parquet")
    said = []
    summary = watch(run, folder, once=True, batch=2, show=said.append, **NOW)
    lines = scores(folder / "scores.jsonl")
    assert [line["alert"] for line in lines] == ["ztf:1", "ztf:2", "ztf:5", "ztf:3", "ztf:4"]
    assert (summary.packets, summary.duplicates, summary.files, summary.malformed) == (5, 1, 3, 0)
    assert lines[0]["file"] == "a.avro" and lines[3]["file"] == "night/b.avro" and lines[3]["number"] == 1 and lines[0]["run"] == str(run.path)
    expected = run.predict(samples_of([made.ztf("x", candid=1)], packets.reads(run))[0])
    assert lines[0]["p_real"] == pytest.approx(expected["p_real"][0], abs=1e-6) and lines[0]["p_real"] + lines[0]["p_bogus"] == pytest.approx(1)
    assert "packets/s" in said[0] and "latency" in said[0] and "packets/s" in str(summary) and len(summary.latencies) == 5
    again = watch(run, folder, once=True, **NOW)
    assert (again.packets, again.files) == (0, 0) and scores(folder / "scores.jsonl") == lines


@pytest.mark.parametrize("content", [b"", b"junk", b"Obj\x01", b"PAR1junk"])
def test_a_malformed_file_is_set_aside_and_the_rest_goes_on(run, folder, content):
    (folder / "bad.avro").write_bytes(content)
    drop(folder, "good.avro", 1)
    summary = watch(run, folder, once=True, **NOW)
    assert (summary.packets, summary.malformed) == (1, 1)
    assert [one["file"] for one in reasons(folder)] == ["bad.avro"] and reasons(folder)[0]["reason"]
    assert (folder / "set-aside" / "bad.avro").read_bytes() == content and not (folder / "bad.avro").exists()


def test_malformed_packets_in_a_good_file_are_listed(run, folder):
    bad = [made.ztf("no stamps", candid=2), made.ztf("not a stamp", candid=3), made.ztf("too large", candid=4), made.ztf("no place", candid=5)]
    for name in ("cutoutScience", "cutoutTemplate", "cutoutDifference"):
        bad[0][name] = None
        bad[1][name] = {"fileName": "x", "stampData": b"\x1f\x8bjunk"}
    bad[2].update(made.cutouts(side=80))
    bad[3]["candidate"]["ra"] = 999.0
    (folder / "mixed.avro").write_bytes(made.container(made.ZTF, [made.ztf(candid=1), *bad, made.ztf(candid=6)]))
    summary = watch(run, folder, once=True, **NOW)
    assert [line["alert"] for line in scores(folder / "scores.jsonl")] == ["ztf:1", "ztf:6"]
    assert sorted(one["number"] for one in reasons(folder)) == [1, 2, 3, 4] and summary.malformed == 4
    assert any("80 x 80 pixels; the run reads 63 x 63" in one["reason"] for one in reasons(folder))
    assert (folder / "mixed.avro").exists()


def test_rubin_stamps_are_of_another_unit(run, folder):
    (folder / "r.avro").write_bytes(made.container(made.RUBIN, [made.rubin()]))
    watch(run, folder, once=True, **NOW)
    assert "'uJy'; the run reads 'DN'" in reasons(folder)[0]["reason"]


def test_a_growing_file_is_waited_for(run, folder):
    whole = made.container(made.ZTF, [made.ztf(f"Z{n}", candid=n) for n in (1, 2, 3)], blocks=3)
    (folder / "slow.avro").write_bytes(whole[: len(whole) // 2])
    watching = Watch(run, folder, settle=0.0, patience=60.0)
    try:
        watching.step()
        first = [row["alert"] for row in scores(folder / "scores.jsonl")]
        assert len(first) < 3 and watching.pending and not (folder / "set-aside").exists()
        (folder / "slow.avro").write_bytes(whole)
        watching.step()
        assert sorted(row["alert"] for row in scores(folder / "scores.jsonl")) == ["ztf:1", "ztf:2", "ztf:3"]
        assert not watching.pending and watching.summary.duplicates == 0 and watching.summary.malformed == 0
    finally:
        watching.close()


def test_a_file_is_not_read_before_it_rests(run, folder):
    drop(folder, "a.avro", 1)
    watching = Watch(run, folder, settle=60.0)
    try:
        assert watching.step() == 0 and watching.pending
        os.utime(folder / "a.avro", (time.time() - 100, time.time() - 100))
        assert watching.step() == 1
    finally:
        watching.close()


def test_a_file_that_grew_after_it_was_done(run, folder):
    drop(folder, "a.avro", 1)
    watch(run, folder, once=True, **NOW)
    drop(folder, "a.avro", 1, 2)
    summary = watch(run, folder, once=True, **NOW)
    assert (summary.packets, summary.duplicates) == (1, 1)


def test_a_date_of_another_clock_gives_no_file_up(run, folder):
    """The writer's machine is an hour behind: what it has half written looks old, and is waited for all the same."""
    whole = made.container(made.ZTF, [made.ztf(candid=1)])
    (folder / "a.avro").write_bytes(whole[:-40])
    os.utime(folder / "a.avro", (time.time() - 3600, time.time() - 3600))
    watching = Watch(run, folder, patience=60.0)
    try:
        assert watching.step() == 0 and watching.pending and not (folder / "set-aside").exists()
        (folder / "a.avro").write_bytes(whole)
        os.utime(folder / "a.avro", (time.time() - 3599, time.time() - 3599))
        assert watching.step() == 1
    finally:
        watching.close()


def test_two_files_of_one_name_are_both_kept_aside(run, folder):
    for content in (b"one", b"two"):
        (folder / "bad.avro").write_bytes(content)
        watch(run, folder, once=True, **NOW)
    assert sorted(p.read_bytes() for p in (folder / "set-aside").glob("*.avro")) == [b"one", b"two"]


# ---- what is written ----------------------------------------------------------------------------------------------


def test_csv_says_the_same(run, folder, tmp_path):
    drop(folder, "a.avro", 1, 2)
    watch(run, folder, tmp_path / "s.csv", once=True, **NOW)
    drop(folder, "b.avro", 3)
    watch(run, folder, tmp_path / "s.csv", once=True, **NOW)
    with open(tmp_path / "s.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["alert"] for row in rows] == ["ztf:1", "ztf:2", "ztf:3"]
    watch(run, folder, tmp_path / "s.jsonl", once=True, **NOW)
    assert [float(row["p_real"]) for row in rows] == pytest.approx([row["p_real"] for row in scores(tmp_path / "s.jsonl")], abs=1e-6)


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_a_line_that_a_kill_cut_off_is_written_anew(run, folder, tmp_path, ending):
    out = tmp_path / f"s.{ending}"
    drop(folder, "a.avro", 1, 2, 3)
    watch(run, folder, out, once=True, **NOW)
    whole = out.read_bytes()
    out.write_bytes(whole[:-20])
    (tmp_path / f"s.{ending}.files").write_text("")
    summary = watch(run, folder, out, once=True, **NOW)
    assert summary.packets == 1 and summary.duplicates == 2
    again = out.read_text().splitlines()
    assert len(again) == len(whole.splitlines()) and "ztf:3" in again[-1]


def test_a_line_of_any_length_is_mended(tmp_path):
    (tmp_path / "x").write_bytes(b"a\n" + b"b" * 200_000)
    lines = Lines(tmp_path / "x")
    assert list(lines.lines()) == ["a"]
    lines.close()
    (tmp_path / "x").write_bytes(b"b" * 100)
    lines = Lines(tmp_path / "x")
    assert list(lines.lines()) == []
    lines.close()


def test_one_writer_and_one_run(run, folder, tmp_path):
    drop(folder, "a.avro", 1)
    watch(run, folder, tmp_path / "s.jsonl", once=True, **NOW)
    with pytest.raises(InputError, match="holds scores of the run"):
        Watch(run, folder, tmp_path / "s.jsonl", name="another")
    first = Watch(run, folder, tmp_path / "s.jsonl")
    with pytest.raises(StorageError, match="another watch writes"):
        Watch(run, folder, tmp_path / "s.jsonl")
    first.close()
    (tmp_path / "notes.jsonl").write_text("my notes\n")
    with pytest.raises(StorageError, match="other lines than a watch writes"):
        Journal(tmp_path / "notes.jsonl", "x")
    with pytest.raises(InputError, match=r"\.jsonl or \.csv"):
        Journal(tmp_path / "s.txt", "x")
    with pytest.raises(InputError, match="there is no folder"):
        Watch(run, tmp_path / "nowhere")


# ---- stop, kill, resume -------------------------------------------------------------------------------------------


def started(run, folder, *more):
    command = [sys.executable, "-m", "astrofuse_lab.cli", "watch", str(folder), "--run", str(run.path), "--batch", "1", "--settle", "0", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})


def waited(condition, process):
    for _ in range(1200):
        if condition():
            return
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    pytest.fail("it never came")


def test_killed_and_resumed(run, folder):
    out = folder / "scores.jsonl"
    drop(folder, "a.avro", *range(100, 180))
    process = started(run, folder)
    waited(lambda: out.exists() and out.read_bytes().count(b"\n") > 3, process)
    process.kill()
    process.communicate()
    assert out.read_bytes().count(b"\n") < 80
    summary = watch(run, folder, once=True, **NOW)
    assert 0 < summary.packets < 80 and summary.duplicates == 80 - summary.packets
    assert sorted(row["alert"] for row in scores(out)) == sorted(f"ztf:{n}" for n in range(100, 180))


def test_ctrl_c_ends_it_and_the_same_call_goes_on(run, folder, capsys):
    drop(folder, "a.avro", 1)
    looks = []

    def feeder():
        looks.append(1)
        if len(looks) == 2:
            drop(folder, "b.avro", 2)
        if len(looks) == 4:
            raise KeyboardInterrupt

    summary = watch(run, folder, feeder=feeder, poll=0.01, **NOW)
    assert summary.packets == 2 and "the same command goes on" in capsys.readouterr().err
    drop(folder, "c.avro", 3)
    assert watch(run, folder, once=True, **NOW).packets == 1


def test_the_command(run, folder, tmp_path, capsys):
    drop(folder, "a.avro", 1)
    assert cli.main(["watch", str(folder), "--run", str(run.path), "--once", "--settle", "0", "--out", str(tmp_path / "s.csv")]) == 0
    assert "1 packets of 1 files scored, 0 set aside" in capsys.readouterr().out
    assert cli.main(["watch", str(folder), "--run", "original:nothing", "--once"]) == 1
    assert "nothing" in capsys.readouterr().err
    assert cli.main(["watch", str(folder), "--run", str(run.path), "--broker", "alerce/image"]) == 1
    assert "--objects" in capsys.readouterr().err


# ---- brokers ------------------------------------------------------------------------------------------------------


def test_a_broker_brings_packets(run, folder):
    from dataclasses import replace

    detection = {"mjd": 59000.0, "candid": "1001", "fid": 1, "magpsf": 18.0, "sigmapsf": 0.1, "diffmaglim": 20.5, "isdiffpos": 1, "has_stamp": True}
    answering = Answering()
    answering.routes |= {
        "/objects/ZTF19abguqsi/lightcurve": (200, json.dumps({"detections": [detection], "non_detections": []}).encode(), "application/json"),
        "/objects/ZTF20down/lightcurve": (500, b"down", "text/plain"),
        "/get_avro": (200, made.container(made.ZTF, [made.ztf()], "snappy"), "application/octet-stream"),
    }
    try:
        survey = replace(brokers.ROWS["alerce/image"], url=answering.url, packets=answering.url, timeout=2.0)
        said = []
        bring = feed(survey, Targets([Target("x", identifier="ZTF19abguqsi")]), folder, said.append, every=0.0)
        assert [bring(), bring()] == [1, 0] and said == []
        summary = watch(run, folder, once=True, feeder=bring, **NOW)
        assert summary.packets == 1 and scores(folder / "scores.jsonl")[0]["alert"] == "ztf:1001"
        assert feed(survey, Targets([Target("x", identifier="ZTF20down")]), folder, said.append)() == 0
        assert "500" in said[0] and "asked again in 600 s" in said[0]
    finally:
        answering.close()


@pytest.mark.real
def test_published_weights_watch_too(mirror, folder, monkeypatch):
    monkeypatch.setenv("ASTROFUSE_MIRROR", str(mirror))
    drop(folder, "a.avro", 1)
    assert cli.main(["watch", str(folder), "--run", "original:braai", "--once", "--settle", "0"]) == 0
    assert 0 <= scores(folder / "scores.jsonl")[0]["p_real"] <= 1 and scores(folder / "scores.jsonl")[0]["run"] == "original:braai"
