"""Sample sets as folders: whole or not at all, checked, memory-mapped, readable by others."""

import ctypes
import errno
import json
import mmap
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from conftest import make_toy_samples

from astrofuse_lab.errors import SampleSetError, StorageError
from astrofuse_lab.samples import store
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import ModalitySpec


def same(a, b, where=None):
    assert list(a.modalities) == list(b.modalities)
    for name in a.modalities:
        assert a.spec(name) == b.spec(name)
        one, other = a.arrays(name, where), b.arrays(name, where)
        assert set(one) == set(other)
        for field in one:
            assert one[field].dtype == other[field].dtype
            np.testing.assert_array_equal(one[field], other[field], err_msg=f"{name}.{field}")
    for name in a.roles:
        np.testing.assert_array_equal(a.column(name).filled(), b.column(name).filled(), err_msg=name)
    assert (a.roles, a.units, a.card) == (b.roles, b.units, b.card)


def test_round_trip(toy_samples, tmp_path):
    path = toy_samples.save(tmp_path / "set")
    back = SampleSet.open(path)
    same(toy_samples, back)
    assert back.path == path
    assert [s.object_id for s in back] == list(toy_samples.object_ids)


def test_a_view_is_saved_as_its_rows_in_pieces(toy_samples, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "CHUNK", 4000)
    view = toy_samples[::-3]
    back = SampleSet.open(view.save(tmp_path / "part"))
    same(view, back)
    again = SampleSet.open(back[5:9].save(tmp_path / "part", overwrite=True))
    same(view[5:9], again)


def test_no_objects(toy_samples, tmp_path):
    back = SampleSet.open(toy_samples[:0].save(tmp_path / "none"))
    assert len(back) == 0 and list(back.modalities) == list(toy_samples.modalities)
    assert back.arrays("light_curve")["offsets"].tolist() == [0]


ALONE = """
import json, sys
import numpy as np, pyarrow.parquet as pq

folder = sys.argv[1]
manifest = json.load(open(folder + "/manifest.json"))
arrays = {name: np.load(folder + "/" + name, mmap_mode="r", allow_pickle=False) for name in manifest["files"] if name.endswith(".npy")}
columns = pq.read_table(folder + "/columns.parquet").to_pydict()
curves = []
for i in range(manifest["objects"]):
    begin, end = arrays["light_curve.offsets.npy"][i : i + 2]
    bands = [manifest["modalities"]["light_curve"]["channels"][b] for b in arrays["light_curve.band.npy"][begin:end]]
    curves.append([arrays["light_curve.time.npy"][begin:end].tolist(), bands] if arrays["light_curve.present.npy"][i] else None)
texts = []
for i in range(manifest["objects"]):
    begin, end = arrays["text.offsets.npy"][i : i + 2]
    texts.append(arrays["text.utf8.npy"][begin:end].tobytes().decode() if arrays["text.present.npy"][i] else None)
good = np.where(arrays["image.mask.npy"], arrays["image.flux.npy"], 0).sum((1, 2, 3)).tolist()
print(json.dumps({"shapes": {n: a.shape for n, a in arrays.items()}, "columns": columns, "curves": curves, "texts": texts, "good": good, "modules": sorted(sys.modules)}))
"""


def test_readable_with_numpy_and_pyarrow_alone(toy_samples, tmp_path):
    folder = toy_samples.save(tmp_path / "set")
    # in a process, and from a folder, that know nothing of this package
    done = subprocess.run([sys.executable, "-c", ALONE, str(folder)], capture_output=True, text=True, cwd=tmp_path, check=True)
    told = json.loads(done.stdout)
    assert not {"astrofuse_lab", "astropy", "torch"} & set(told["modules"])
    assert told["shapes"]["image.flux.npy"] == [60, 2, 16, 16] and told["shapes"]["spectrum.lambda.npy"] == [96]
    assert told["columns"]["object_id"] == list(toy_samples.object_ids)
    assert told["columns"]["colour"] == toy_samples.column("colour").tolist()
    for i, sample in enumerate(toy_samples):
        curve, text = sample["light_curve"], sample["text"]
        assert told["curves"][i] == (None if curve is None else [curve.time.tolist(), curve.band.tolist()])
        assert told["texts"][i] == (None if text is None else text.text)
        if sample["image"] is not None:
            assert told["good"][i] == pytest.approx(sample["image"].flux[sample["image"].mask].sum(), rel=1e-4)


def test_the_manifest_says_what_everything_is(tmp_path):
    import hashlib

    import astrofuse_lab as af

    samples = af.load_samples("practice", n=12, progress=False)
    folder = samples.save(tmp_path / "set")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert list(manifest["modalities"]) == ["image", "spectrum", "light_curve", "text"]
    for name, spec in {**manifest["modalities"], "table": manifest["table"]}.items():
        assert {"kind", "channels", "shape", "unit", "provenance"} <= set(spec)
        origin = spec["provenance"]
        assert origin["survey"] == f"practice/{name}" and origin["citation"] and origin["licence"] and origin["release"] and origin["simulated"]
    assert manifest["modalities"]["image"]["unit"] == "uJy" and manifest["modalities"]["light_curve"]["clock"]
    assert manifest["roles"] == samples.roles and manifest["units"]["ra"] == "deg"
    assert manifest["card"]["citation"] and manifest["card"]["licence"] and manifest["card"]["simulated"]
    # the checksums are of the files, and of every one
    assert set(manifest["files"]) == {f.name for f in folder.iterdir()} - {"manifest.json"}
    for name, known in manifest["files"].items():
        content = (folder / name).read_bytes()
        assert (known["bytes"], known["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.skipif(sys.platform != "linux", reason="which pages were read is asked of Linux")
def test_a_batch_reads_only_its_rows(tmp_path):
    n, side = 4000, 64
    flux = np.zeros((n, 1, side, side), np.float32)
    flux[:, 0, 0, 0] = np.arange(n)
    image = ModalityData(ModalitySpec("image", "image", ("g",), (1, side, side), "uJy", scale=0.5), {"flux": flux, "mask": np.ones(flux.shape, bool)}, np.ones(n, bool))
    epochs = 512
    curve = {
        "offsets": np.arange(n + 1, dtype=np.int64) * epochs, "time": np.repeat(np.arange(n, dtype=float), epochs), "flux": np.zeros(n * epochs, np.float32),
        "flux_err": np.ones(n * epochs, np.float32), "band": np.zeros(n * epochs, np.int8), "mask": np.ones(n * epochs, bool),
    }  # fmt: skip
    light = ModalityData(ModalitySpec("light_curve", "light_curve", ("g",), (), "uJy", clock="UTC"), curve, np.ones(n, bool))
    path = SampleSet(pa.table({"object_id": [f"o{i}" for i in range(n)]}), {"image": image, "light_curve": light}).save(tmp_path / "big")
    files = {path / "image.flux.npy": 4 * side**2, path / "light_curve.time.npy": 8 * epochs}  # bytes of one object
    opened = SampleSet.open(path, verify=False)
    assert isinstance(opened._data["image"].fields["flux"], np.memmap)
    os.sync()
    for file in files:
        with open(file, "rb") as handle:
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if any(in_memory(file) > 0.05 * file.stat().st_size for file in files):
        pytest.skip("this file system lies in memory: what is read cannot be seen")
    rows = np.random.default_rng(0).choice(n, 256, replace=False)
    got, curves = opened.arrays("image", rows), opened.arrays("light_curve", rows)
    np.testing.assert_array_equal(got["flux"][:, 0, 0, 0], rows)
    np.testing.assert_array_equal(curves["time"][::epochs], rows)
    assert type(got["flux"]) is np.ndarray
    for file, one in files.items():
        # each object begins and ends within a page of others
        assert 256 * one <= in_memory(file) <= 256 * (one + 2 * mmap.PAGESIZE) + 2**20 < 0.3 * file.stat().st_size


def in_memory(file):
    """Bytes of a file that have been read from disk and are kept by the system."""
    size = file.stat().st_size
    with open(file, "rb") as handle, mmap.mmap(handle.fileno(), size, prot=mmap.PROT_READ) as mapped:
        pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
        place = np.frombuffer(mapped, np.uint8)
        assert ctypes.CDLL(None).mincore(ctypes.c_void_p(place.ctypes.data), ctypes.c_size_t(size), pages) == 0
        del place
    return int(np.count_nonzero(np.frombuffer(pages, np.uint8) & 1)) * mmap.PAGESIZE


# ---- damage -------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    return make_toy_samples(20).save(tmp_path / "set")


FILES = ("columns.parquet", "image.flux.npy", "spectrum.lambda.npy", "light_curve.offsets.npy", "text.utf8.npy", "image.present.npy", "manifest.json")


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_named(saved, file):
    (saved / file).unlink()
    with pytest.raises(SampleSetError, match=file.replace(".", r"\.")):
        SampleSet.open(saved)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", ["cut", "grown", "flipped", "empty"])
def test_an_altered_file_is_named(saved, file, damage):
    raw = bytearray((saved / file).read_bytes())
    if damage == "flipped":
        raw[len(raw) // 2] ^= 1
    (saved / file).write_bytes({"cut": raw[: len(raw) // 2], "grown": raw + b"\0", "flipped": raw, "empty": b""}[damage])
    if file == "manifest.json" and damage == "grown":
        (saved / file).write_bytes(raw.replace(b'"toy"', b'"joy"'))
    with pytest.raises(SampleSetError, match=file.replace(".", r"\.")):
        SampleSet.open(saved)


def edited(saved, change):
    manifest = json.loads((saved / "manifest.json").read_text())
    change(manifest)
    (saved / "manifest.json").write_text(json.dumps(manifest))


def test_an_edited_manifest_is_refused_unless_told(saved):
    edited(saved, lambda m: m["roles"].update(label="other"))
    with pytest.raises(SampleSetError, match="altered"):
        SampleSet.open(saved)
    assert SampleSet.open(saved, verify=False).roles["label"] == "other"


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(format="something-else"),
        lambda m: m.update(version=99),
        lambda m: m.pop("files"),
        lambda m: m.update(files={"a": 3}),
        lambda m: m.update(files=[]),
        lambda m: m.update(modalities={"image": {"kind": "image"}}),
        lambda m: m.update(roles={"nothing": "input"}),
        lambda m: m.update(roles={"label": "input"}),
        lambda m: m["files"].update({"../../etc/passwd": {"bytes": 1, "sha256": ""}}),
        lambda m: m["files"].pop("image.flux.npy"),
        lambda m: m["modalities"]["image"].update(shape=[2, 9999, 9999]),
        lambda m: m["modalities"]["spectrum"].update(kind="image"),
        lambda m: m["modalities"].update(ghost=m["modalities"]["image"]),
        lambda m: m.update(objects=3),
        lambda m: m.update(card=None),
    ],
)
def test_a_hostile_manifest_is_refused_even_unverified(saved, change):
    edited(saved, change)
    with pytest.raises(SampleSetError):
        SampleSet.open(saved, verify=False)


def test_bands_that_do_not_exist_are_refused_when_read(saved):
    edited(saved, lambda m: m["modalities"]["light_curve"].update(channels=["g"]))
    opened = SampleSet.open(saved, verify=False)
    with pytest.raises(SampleSetError, match="band"):
        opened.arrays("light_curve")


def test_a_pickle_is_never_loaded(saved):
    array = np.array([{"a": 1}], dtype=object)
    np.save(saved / "image.flux.npy", array, allow_pickle=True)
    edited(saved, lambda m: m["files"]["image.flux.npy"].update(bytes=(saved / "image.flux.npy").stat().st_size))
    with pytest.raises(SampleSetError, match=r"image\.flux\.npy"):
        SampleSet.open(saved, verify=False)


def test_files_that_the_manifest_does_not_name_are_not_read(saved):
    np.save(saved / "image.evil.npy", np.zeros(3))
    assert "evil" not in SampleSet.open(saved).arrays("image")


def test_no_such_folder(tmp_path):
    with pytest.raises(SampleSetError, match="no such folder"):
        SampleSet.open(tmp_path / "nothing")
    with pytest.raises(SampleSetError, match=r"manifest\.json"):
        SampleSet.open(tmp_path)


# ---- writing ------------------------------------------------------------------------------------------------------


def test_an_existing_folder_is_kept(toy_samples, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").write_text("dear")
    with pytest.raises(StorageError, match="overwrite=True"):
        toy_samples.save(tmp_path / "set")
    with pytest.raises(StorageError, match="something else"):
        toy_samples.save(tmp_path / "set", overwrite=True)
    assert (tmp_path / "set" / "mine.txt").read_text() == "dear"
    (tmp_path / "set" / "mine.txt").unlink()
    toy_samples.save(tmp_path / "set", overwrite=True)
    assert len(SampleSet.open(tmp_path / "set")) == 60
    assert os.listdir(tmp_path) == ["set"]


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "full"), (errno.EROFS, "cannot be written")])
@pytest.mark.parametrize("step", ["_write_modality", "file_digest", "write_json"])
def test_a_full_or_read_only_disk_loses_nothing(toy_samples, tmp_path, monkeypatch, number, words, step):
    old = toy_samples[:5].save(tmp_path / "set")

    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(store, step, fail)
        with pytest.raises(StorageError, match=words):
            toy_samples.save(tmp_path / "set", overwrite=True)
    assert len(SampleSet.open(old)) == 5
    assert os.listdir(tmp_path) == ["set"]


def test_a_path_below_a_file_cannot_be_written(toy_samples, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        toy_samples.save(tmp_path / "file" / "set")


@pytest.mark.parametrize("place", ["set", "deep/er/set"])
def test_a_folder_without_permission(toy_samples, tmp_path, place):
    tmp_path.chmod(0o500)
    root = os.geteuid() == 0
    if root:  # root may write everywhere, so be nobody for a moment
        os.seteuid(65534)
    try:
        with pytest.raises(StorageError, match="cannot be written"):
            toy_samples.save(tmp_path / place)
    finally:
        if root:
            os.seteuid(0)
        tmp_path.chmod(0o700)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_truly_full_device(toy_samples, tmp_path, monkeypatch):
    import builtins

    true_open = builtins.open

    def to_full(file, mode="r", *args, **kwargs):
        return true_open("/dev/full" if "w" in mode and str(file).endswith("image.flux.npy") else file, mode, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", to_full)
    with pytest.raises(StorageError, match="full"):
        toy_samples.save(tmp_path / "set")
    assert os.listdir(tmp_path) == []


def test_opening_reads_no_column_and_no_id(toy_samples, tmp_path, monkeypatch):
    from astrofuse_lab.samples import columns

    path = toy_samples.save(tmp_path / "set")
    back = SampleSet.open(path)
    assert back._columns._read == {}
    assert back.column("mag_g").tolist() == toy_samples.column("mag_g").tolist()
    assert list(back._columns._read) == ["mag_g"]
    # a view shares what its set has learned of the ids
    view = back[5:20]
    assert view["toy-0007"].object_id == "toy-0007" and "_rows" in back._ids.__dict__
    monkeypatch.setattr(columns.Ids, "check", lambda self: pytest.fail("looked at twice"))
    assert back.positions(["toy-0003"]).tolist() == [3]


def test_ids_that_are_twice_in_a_file_are_found_when_they_are_asked_for(toy_samples, tmp_path):
    import pyarrow.parquet as pq

    path = toy_samples.save(tmp_path / "set")
    manifest = json.loads((path / "manifest.json").read_text())
    table = pq.read_table(path / "columns.parquet")
    pq.write_table(table.set_column(0, "object_id", pa.array(["same"] * len(table))), path / "columns.parquet")
    manifest["files"]["columns.parquet"]["bytes"] = (path / "columns.parquet").stat().st_size
    (path / "manifest.json").write_text(json.dumps(manifest))
    back = SampleSet.open(path, verify=False)
    with pytest.raises(SampleSetError, match="'same' occurs 60 times"):
        back.positions(["same"])


def test_a_set_that_was_opened_can_be_sent_to_another_process(toy_samples, tmp_path):
    import pickle

    back = pickle.loads(pickle.dumps(SampleSet.open(toy_samples.save(tmp_path / "set"))))
    same(toy_samples, back)
