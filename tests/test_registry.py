"""Named sample sets: cache, mirror, clear errors."""

import hashlib
import os
from dataclasses import replace

import numpy as np
import pytest
from test_ztf_alerts import small_mirror

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, SampleSetError, UnknownNameError
from astrofuse_lab.samples import registry
from astrofuse_lab.samples.readers import ztf_alerts


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(registry.MIRROR, raising=False)
    return tmp_path / "cache" / "samples"


def test_the_list():
    table = af.list_samples()
    assert set(table.colnames) == {"name", "title", "modalities", "objects", "size", "licence", "citation", "simulated", "source"}
    rows = {row["name"]: row for row in table}
    assert rows["practice"]["simulated"] and not rows["ztf-alerts"]["simulated"]
    assert all(row["licence"] and row["citation"] for row in table)
    assert rows["ztf-alerts"]["source"].startswith("mirror only")


def test_unknown_names():
    with pytest.raises(UnknownNameError, match="ztf-alerts"):
        af.load_samples("ztf_alerts")


@pytest.mark.parametrize("n", [0, -3, 2.5, True, "10"])
def test_bad_counts(n):
    with pytest.raises(InputError, match="number of objects"):
        af.load_samples("practice", n=n)


def test_without_a_mirror_it_says_what_to_type(empty_cache):
    with pytest.raises(SampleSetError, match=r"mirror only.*ASTROFUSE_MIRROR.*mirror='"):
        af.load_samples("ztf-alerts")


def test_a_mirror_without_the_set_or_a_file(empty_cache, tmp_path):
    with pytest.raises(SampleSetError, match="has no folder 'ztf_alerts'"):
        af.load_samples("ztf-alerts", mirror=tmp_path)
    root = small_mirror(tmp_path / "mirror")
    (root / "ztf_alerts" / ztf_alerts.CUTOUTS).unlink()
    with pytest.raises(SampleSetError, match=r"ztf_cutouts\.h5 is missing"):
        af.load_samples("ztf-alerts", mirror=root, verify=False)


def test_checksums_are_compared_unless_told_not_to(empty_cache, tmp_path):
    root = small_mirror(tmp_path / "mirror")
    with pytest.raises(SampleSetError, match="verify=False"):
        af.load_samples("ztf-alerts", mirror=root)
    assert len(af.load_samples("ztf-alerts", mirror=root, verify=False)) == 6


def known(root, monkeypatch):
    """Make the registry know the files of this mirror."""
    files = {f: hashlib.sha256((root / "ztf_alerts" / f).read_bytes()).hexdigest() for f in ztf_alerts.FILES}
    monkeypatch.setattr(registry, "ENTRIES", tuple(replace(e, files=files) if e.name == "ztf-alerts" else e for e in registry.ENTRIES))


def test_cache_then_mirror(empty_cache, tmp_path, monkeypatch):
    root = small_mirror(tmp_path / "mirror")
    known(root, monkeypatch)
    monkeypatch.setenv(registry.MIRROR, str(root))
    first = af.load_samples("ztf-alerts")
    assert first.path is not None and first.path.parent == empty_cache
    assert isinstance(first._data["image"].fields["flux"], np.memmap)
    # from now on the mirror is not needed
    monkeypatch.delenv(registry.MIRROR)
    again = af.load_samples("ztf-alerts")
    assert list(again.object_ids) == list(first.object_ids)
    # a damaged copy in the cache is made again, or, without a mirror, the mirror is asked for
    (first.path / "columns.parquet").write_bytes(b"x")
    with pytest.raises(SampleSetError, match="mirror only"):
        af.load_samples("ztf-alerts")
    monkeypatch.setenv(registry.MIRROR, str(root))
    assert len(af.load_samples("ztf-alerts")) == 6


def test_another_mirror_gives_its_own_set(empty_cache, tmp_path):
    one, other = small_mirror(tmp_path / "one"), small_mirror(tmp_path / "other", n=9)
    assert [len(af.load_samples("ztf-alerts", mirror=m, verify=False)) for m in (one, other, one)] == [6, 9, 6]
    assert len(os.listdir(empty_cache)) == 2


def test_some_objects(empty_cache, tmp_path):
    root = small_mirror(tmp_path / "mirror", n=30)
    sets = [af.load_samples("ztf-alerts", n=10, seed=s, mirror=root, verify=False) for s in (0, 0, 1)]
    assert [len(s) for s in sets] == [10] * 3
    assert list(sets[0].object_ids) == list(sets[1].object_ids) != list(sets[2].object_ids)
    assert len(af.load_samples("ztf-alerts", n=99, mirror=root, verify=False)) == 30


@pytest.mark.parametrize("kind", ["file in the way", "read-only"])
def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch, kind):
    root = small_mirror(tmp_path / "mirror")
    place = tmp_path / "cache"
    if kind == "file in the way":
        place.write_text("")
    else:
        monkeypatch.setattr(registry.SampleSet, "save", lambda *a, **k: (_ for _ in ()).throw(registry.StorageError("read-only")))
    monkeypatch.setenv("ASTROFUSE_CACHE", str(place))
    samples = af.load_samples("ztf-alerts", mirror=root, verify=False)
    assert samples.path is None and len(samples) == 6 and len(samples.arrays("image")["flux"]) == 6
    assert len(af.load_samples("practice", n=3, progress=False)) == 3


def test_the_practice_sky(empty_cache, capsys):
    samples = af.load_samples("practice", n=12, seed=3)
    assert "practice sky" in capsys.readouterr().err
    assert samples.simulated and samples.card.name == "practice" and "Simulated" in samples.card.notes[0]
    assert list(samples.modalities) == ["image", "spectrum", "light_curve", "table", "text"]
    assert samples.roles["label"] == samples.roles["redshift"] == "target" and samples.roles["group"] == "group"
    assert {samples.roles[c] for c in ("ra", "dec", "kind", "practice_id")} == {"other"}
    again = af.load_samples("practice", n=12, seed=3, progress=False)
    assert capsys.readouterr().err == "" and again.path == samples.path
    other = af.load_samples("practice", n=12, seed=4, progress=False)
    assert list(other.column("label")) != list(samples.column("label")) or not np.array_equal(other.arrays("image")["flux"], samples.arrays("image")["flux"])
