"""Sets built in chunks: equal to the whole, restartable, never half done; also by several processes, and after kill -9."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import make_toy_samples
from test_store import same

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, SampleSetError, StorageError
from astrofuse_lab.samples.building import SampleSetWriter
from astrofuse_lab.samples.joining import joined
from astrofuse_lab.samples.sample_set import ModalityData


def chunk(number):
    return make_toy_samples(60)[10 * number : 10 * (number + 1)]


def test_chunks_give_the_set(toy_samples, tmp_path):
    calls = []

    def make(number):
        calls.append(number)
        return None if number == 2 else chunk(number)

    built = af.build_samples(tmp_path / "set", 6, make)
    same(toy_samples.take(np.r_[0:20, 30:60]), built)
    assert calls == list(range(6)) and sorted(p.name for p in tmp_path.iterdir()) == ["set"]
    same(built, joined([chunk(0), chunk(1), toy_samples[30:60]]))


def test_only_what_is_missing_is_made_again(tmp_path):
    made = []

    def make(number):
        if number == 3 and len(made) < 4:
            made.append("failed")
            raise OSError("the archive is down")
        made.append(number)
        return chunk(number)

    with pytest.raises(OSError, match="archive is down"):
        af.build_samples(tmp_path / "set", 6, make, key="one")
    assert not (tmp_path / "set").exists()
    with pytest.raises(SampleSetError, match=r"half-done build of 6 chunks with key 'one'; this one has 6 and 'two'"):
        af.build_samples(tmp_path / "set", 6, make, key="two")
    assert len(af.build_samples(tmp_path / "set", 6, make, key="one")) == 60
    assert made == [0, 1, 2, "failed", 3, 4, 5]


def test_the_old_set_stays_until_the_new_one_is_whole(toy_samples, tmp_path):
    path = toy_samples[:7].save(tmp_path / "set")
    with pytest.raises(StorageError, match="already exists"):
        SampleSetWriter(path, 2)
    writer = SampleSetWriter(path, 2, overwrite=True)
    writer.write(1, chunk(1))
    with pytest.raises(SampleSetError, match=r"1 of 2 chunks .* first 0"):
        writer.finish()
    same(toy_samples[:7], af.SampleSet.open(path))
    writer.write(0, chunk(0))
    same(toy_samples[:20], writer.finish())


def test_processes_share_the_work_without_state(toy_samples, tmp_path):
    with ProcessPoolExecutor(2) as pool:
        built = af.build_samples(tmp_path / "set", 6, chunk, map=pool.map)
    same(toy_samples, built)


def test_dask_makes_chunks(toy_samples, tmp_path):
    dask = pytest.importorskip("dask")

    def by_dask(work, numbers):
        return dask.compute(*(dask.delayed(work)(n) for n in numbers), scheduler="threads", num_workers=2)

    same(toy_samples, af.build_samples(tmp_path / "set", 6, chunk, map=by_dask))


KILLED = """
import sys, time
sys.path.insert(0, {tests!r})
import astrofuse_lab as af
from conftest import make_toy_samples
from astrofuse_lab.samples import joining
samples = make_toy_samples(60)
stop = {stop!r}

def make(number):
    if stop == "chunk" and number == 3:
        print("now", flush=True); time.sleep(60)
    return samples[10 * number : 10 * (number + 1)]

if stop == "join":
    def write(*given):
        print("now", flush=True); time.sleep(60)
    joining._write = write
af.build_samples({path!r}, 6, make, overwrite=True)
"""


@pytest.mark.parametrize("stop", ["chunk", "join"])
def test_kill_in_the_middle_leaves_the_old_set_and_a_build_that_goes_on(stop, toy_samples, tmp_path):
    path = toy_samples[:5].save(tmp_path / "set")
    code = KILLED.format(tests=str(Path(__file__).parent), stop=stop, path=str(path))
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "now\n"
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait(30) == -signal.SIGKILL
    same(toy_samples[:5], af.SampleSet.open(path))
    made = []

    def make(number):
        made.append(number)
        return chunk(number)

    same(toy_samples, af.build_samples(path, 6, make, overwrite=True))
    assert made == ([3, 4, 5] if stop == "chunk" else [])
    # what the killed process left of the set's own folder is never mistaken for a set
    assert {p.name.split("-")[0] for p in tmp_path.iterdir()} <= {"set", ".set.partial"}


def test_bands_of_all_parts_columns_and_modalities_that_some_lack():
    one, two = chunk(0), chunk(1)
    data = two.data_of("light_curve")
    other = ModalityData(type(data.spec)(**{**data.spec.__dict__, "channels": ("i", "g")}), data.fields, data.present)
    two = af.SampleSet(two._columns.take(two.rows()).drop_columns(["colour"]), {"light_curve": other}, {k: v for k, v in two.roles.items() if k not in ("colour", "object_id")}, two.units)
    both = joined([one, two])
    assert both.spec("light_curve").channels == ("g", "r", "i")
    assert list(both[12]["light_curve"].band if both[12]["light_curve"] else []) == list(two[2]["light_curve"].band if two[2]["light_curve"] else [])
    assert both.present("image").tolist() == [*one.present("image"), *[False] * 10]
    assert both.column("colour").mask[10:].all() and not both.column("mag_g").mask.any()
    assert np.isnan(both.arrays("image", [15])["psf_fwhm"]).all() and not both.arrays("image", [15])["mask"].any()


def test_parts_that_do_not_fit_are_named(toy_samples, tmp_path):
    writer = SampleSetWriter(tmp_path / "set", 2)
    writer.write(0, chunk(0))
    shifted = chunk(1).data_of("spectrum")
    shifted.fields["lambda"] = shifted.fields["lambda"] + 1
    writer.write(1, chunk(1).with_data({"spectrum": shifted}))
    with pytest.raises(SampleSetError, match=r"chunk 1 of set: spectrum.lambda differs"):
        writer.finish()
    with pytest.raises(SampleSetError, match="'toy-0000' occurs 2 times"):
        joined([chunk(0), chunk(0)])
    with pytest.raises(SampleSetError, match=r"column 'mag_g' has the unit 'Jy', parts before have 'mag'"):
        joined([chunk(0), af.SampleSet(chunk(1)._columns.take(chunk(1).rows()), {}, {k: v for k, v in toy_samples.roles.items() if k != "object_id"}, {"mag_g": "Jy"})])
    with pytest.raises(InputError, match="no chunk 2"):
        writer.write(2, None)
    with pytest.raises(InputError, match="chunks=0"):
        SampleSetWriter(tmp_path / "other", 0)


def test_nothing_at_all(tmp_path):
    with pytest.raises(SampleSetError, match="none of the 2 chunks"):
        af.build_samples(tmp_path / "set", 2, lambda n: None)
    table = pa.table({"object_id": ["a"]})
    assert len(af.build_samples(tmp_path / "one", 1, lambda n: af.SampleSet(table, {}))) == 1


