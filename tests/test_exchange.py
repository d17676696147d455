"""Sample sets in other formats: there and back is identical where the format can hold it, and what is lost is said."""

import json
import os
import re
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import make_toy_samples, with_series
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, MissingExtraError, SampleSetError, StorageError, UnknownNameError
from astrofuse_lab.samples import exchange
from astrofuse_lab.samples.exchange import FORMATS, hats
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

WHOLE = ["astrofuse", "parquet", "huggingface", "hats", "multimodal-universe", "fits", "zarr"]
ENDING = {"parquet": "set.parquet", "fits": "set.fits", "zarr": "set.zarr", "votable": "set.vot", "ecsv": "set.ecsv"}


@pytest.fixture(scope="module")
def full():
    return with_series(make_toy_samples(24))


def exported(samples, folder, name, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return samples.export(folder / ENDING.get(name, name), name, **more)


def same(one, other):
    """Equal in all that formats keep: values of objects that have a modality, columns, roles, units, card."""
    other = other.select(one.object_ids)
    assert (one.roles, one.units, one.card) == (other.roles, other.units, other.card)
    assert list(one.modalities) == list(other.modalities)
    for name in one.roles:
        a, b = one.column(name), other.column(name)
        np.testing.assert_array_equal(np.ma.getmaskarray(a), np.ma.getmaskarray(b), err_msg=name)
        np.testing.assert_array_equal(a.compressed(), b.compressed(), err_msg=name)
    for name in one.modalities:
        assert one.spec(name) == other.spec(name)
        have = one.present(name)
        np.testing.assert_array_equal(have, other.present(name))
        got, back = one.arrays(name, np.flatnonzero(have)), other.arrays(name, np.flatnonzero(have))
        assert set(got) == set(back)
        for field in got:
            assert got[field].dtype == back[field].dtype, (name, field)
            np.testing.assert_array_equal(got[field], back[field], err_msg=f"{name}.{field}")


@pytest.mark.parametrize("name", WHOLE)
def test_there_and_back_is_identical(name, full, tmp_path):
    if name == "zarr":
        pytest.importorskip("zarr")
    path = exported(full, tmp_path, name)
    same(full, af.read_samples(path, name))
    same(full, af.read_samples(path))  # the format is told by what lies there
    with pytest.raises(StorageError, match="already exists"):
        exported(full, tmp_path, name)
    same(full[3:9], af.read_samples(exported(full[3:9], tmp_path, name, overwrite=True)))


@pytest.mark.parametrize("name", ["votable", "ecsv"])
def test_tables_keep_the_columns_and_say_what_is_lost(name, full, tmp_path):
    with pytest.warns(UserWarning, match=f"{name} does not keep the modalities image, spectrum, light_curve, series, text"):
        path = full.export(tmp_path / ENDING[name])
    same(SampleSet(full._columns, {}, {k: v for k, v in full.roles.items() if k != "object_id"}, full.units, full.card), af.read_samples(path))


def test_hyrax_gets_a_catalogue_and_a_file_an_image(full, tmp_path):
    from astropy.io import fits
    from astropy.table import Table

    with pytest.warns(UserWarning, match="hyrax does not keep"):
        path = full.export(tmp_path / "hyrax", "hyrax")
    catalogue = Table.read(path / "catalog.csv")
    assert {"object_id", "filter", "filename"} <= set(catalogue.colnames) and catalogue["object_id"].dtype.kind == "i"
    have = full.take(full.present("image"))
    assert len(catalogue) == 2 * len(have)
    np.testing.assert_array_equal(fits.getdata(path / catalogue["filename"][0]), have.arrays("image", [0])["flux"][0, 0])
    back = af.read_samples(path)
    assert list(back.object_ids) == list(have.object_ids)
    for field in ("flux", "mask", "ivar"):
        np.testing.assert_array_equal(back.arrays("image")[field], have.arrays("image")[field])
    np.testing.assert_array_equal(back.column("mag_g").data, have.column("mag_g").data)


@settings(max_examples=60 if os.environ.get("ASTROFUSE_PROVE") else 8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(["parquet", "fits", "hats", "multimodal-universe"]))
def test_any_shape_and_mask_comes_back(data, name, tmp_path_factory):
    n, bands, side, pixels = (data.draw(st.integers(low, high)) for low, high in ((1, 6), (1, 3), (1, 4), (1, 7)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**31)))
    flux = rng.normal(size=(n, bands, side, side)).astype(data.draw(st.sampled_from([np.float32, np.float64])))
    counts = rng.integers(0, 4, n)
    total = int(counts.sum())
    have = [np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n))) for _ in range(3)]
    names = tuple("griz"[:bands])
    parts = {
        "image": ModalityData(ModalitySpec("image", "image", names, flux.shape[1:], "uJy", scale=0.25), {"flux": flux, "mask": rng.random(flux.shape) > 0.5}, have[0]),
        "spectrum": ModalityData(
            ModalitySpec("spectrum", "spectrum", (), (pixels,), "1e-17 erg / (s cm2 Angstrom)"),
            {"lambda": np.arange(pixels) + 4000.0, "flux": rng.normal(size=(n, pixels)), "ivar": rng.random((n, pixels)), "mask": (rng.random((n, pixels)) > 0.5) & have[1][:, None]}, have[1],
        ),
        "light_curve": ModalityData(
            ModalitySpec("light_curve", "light_curve", names, (), "uJy", clock="TDB"),
            {"offsets": np.concatenate([[0], np.cumsum(counts)]), "time": rng.normal(size=total), "flux": rng.normal(size=total).astype(np.float32),
             "flux_err": np.zeros(total, dtype=np.float32), "band": rng.integers(0, bands, total).astype(np.int8), "mask": rng.random(total) > 0.5}, have[2],
        ),
    }  # fmt: skip
    gaps = rng.random(n) > 0.5
    columns = pa.table({"object_id": [f"ü{i}" for i in range(n)], "ra": rng.uniform(0, 360, n), "dec": rng.uniform(-90, 90, n), "x": pa.array(rng.normal(size=n), mask=gaps)})
    samples = SampleSet(columns, parts, {"x": "input"}, {"x": "mag"}, Card("any", notes=("one",)))
    same(samples, af.read_samples(exported(samples, tmp_path_factory.mktemp("any"), name)))


# ---- the door and its table ---------------------------------------------------------------------------------------


def test_the_table_says_what_each_format_does():
    table = af.list_formats()
    assert list(table["name"]) == list(FORMATS) and table["reads"].all()
    for name, one in FORMATS.items():
        import importlib

        module = importlib.import_module(f"astrofuse_lab.samples.{one.module}")
        assert callable(module.read) and hasattr(module, "write") >= one.writes, name
        assert not one.writes or one.marker or one.endings, f"{name}: nothing tells a file of it"


def test_what_cannot_be_done_is_said(full, tmp_path):
    with pytest.raises(InputError, match=r"'set\.txt' does not tell the format"):
        full.export(tmp_path / "set.txt")
    with pytest.raises(InputError, match="'avro' can be read, not written"):
        full.export(tmp_path / "set", "avro")
    with pytest.raises(UnknownNameError, match=r"no format 'parquett'.*'parquet'"):
        full.export(tmp_path / "set", "parquett")
    with pytest.raises(SampleSetError, match="there is no"):
        af.read_samples(tmp_path / "nothing.parquet")
    (tmp_path / "odd").mkdir()
    with pytest.raises(InputError, match="does not tell its format"):
        af.read_samples(tmp_path / "odd")
    same(full, af.read_samples(full.export(tmp_path / "set.parquet", "nested-pandas"), "nested-pandas"))
    with pytest.raises(InputError, match="has no such option"):
        af.read_samples(tmp_path / "set.parquet", colour="red")
    placeless = SampleSet(full._columns.drop_columns(["ra", "dec"]), {}, {})
    with pytest.raises(InputError, match="no columns ra and dec"), pytest.warns(UserWarning, match="order of the objects"):
        placeless.export(tmp_path / "hats", "hats")
    assert not (tmp_path / "hats").exists() and not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_zarr_is_an_extra(full, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingExtraError, match="pip install zarr"):
        exported(full, tmp_path, "zarr")


# ---- files of others ----------------------------------------------------------------------------------------------


def test_nested_columns_of_others_lists_of_structs_and_structs_of_lists(tmp_path):
    epochs = [{"mjd": 1.0, "flux": 2.0, "err": 0.1, "filter": "g"}, {"mjd": 3.0, "flux": 4.0, "err": 0.1, "filter": "r"}]
    image = {"band": ["g"], "array": [[[1.0, 2.0], [3.0, 4.0]]], "scale": [0.262]}
    table = pa.table({"source_id": [7, 8], "sources": pa.array([epochs, None]), "image": pa.array([image, None]), "tags": pa.array([["a"], []])})
    pq.write_table(table, tmp_path / "theirs.parquet")
    samples = af.read_samples(tmp_path / "theirs.parquet")
    assert list(samples.object_ids) == ["7", "8"]
    assert samples.spec("sources").kind == "light_curve" and list(samples[0]["sources"].band) == ["g", "r"] and samples[1]["sources"] is None
    assert samples.spec("image").scale == pytest.approx(0.262) and samples[0]["image"].flux.tolist() == [[[1, 2], [3, 4]]]
    assert samples.roles["source_id"] == "other" and "Read from theirs" in samples.card.notes[0]


def test_masks_of_the_multimodal_universe_mark_bad_pixels_of_spectra(tmp_path):
    spectrum = {"lambda": [1.0, 2.0], "flux": [5.0, 6.0], "ivar": [1.0, 0.0], "mask": [False, True]}
    pq.write_table(pa.table({"object_id": ["a"], "spectrum": pa.array([spectrum])}), tmp_path / "sdss.parquet")
    assert af.read_samples(tmp_path / "sdss.parquet")[0]["spectrum"].mask.tolist() == [True, False]
    assert af.read_samples(tmp_path / "sdss.parquet", bad_masks=False)[0]["spectrum"].mask.tolist() == [False, True]


def test_spectra_on_axes_of_their_own_are_refused_with_a_way_out(tmp_path):
    spectra = [{"lambda": [1.0, 2.0], "flux": [5.0, 6.0]}, {"lambda": [1.0, 2.5], "flux": [5.0, 6.0]}]
    pq.write_table(pa.table({"object_id": ["a", "b"], "spectrum": pa.array(spectra)}), tmp_path / "own.parquet")
    with pytest.raises(SampleSetError, match=r"own.parquet: the spectra of 'spectrum' have wavelengths of their own \(row 1"):
        af.read_samples(tmp_path / "own.parquet")


def test_hats_partitions_are_split_until_they_are_small(full, tmp_path, monkeypatch):
    monkeypatch.setattr(hats, "MOST", 5)
    path = exported(full, tmp_path, "hats")
    cells = sorted((path / "dataset").rglob("Npix=*.parquet"))
    assert len(cells) > 4 and max(pq.read_metadata(c).num_rows for c in cells) <= 5
    lines = (path / "partition_info.csv").read_text().splitlines()
    assert lines[0] == "Norder,Npix" and len(lines) == 1 + len(cells)
    assert pq.read_metadata(path / "dataset" / "_metadata").num_rows == len(full)
    index = pq.read_table(cells[0], partitioning=None)["_healpix_29"].to_numpy()
    assert (np.diff(index) >= 0).all()
    same(full, af.read_samples(path))
    (tmp_path / "collection").mkdir()
    path.rename(tmp_path / "collection" / "mine")
    (tmp_path / "collection" / "collection.properties").write_text("#HATS catalog collection\nobs_collection=x\nhats_primary_table_url=mine\n")
    same(full, af.read_samples(tmp_path / "collection"))
    (tmp_path / "collection" / "collection.properties").write_text("hats_primary_table_url=../../etc\n")
    with pytest.raises(SampleSetError, match="no folder in the collection"):
        af.read_samples(tmp_path / "collection")


def test_huggingface_splits_are_the_published_ones(full, tmp_path):
    sides = pa.array(["train", "test"] * 12)
    samples = SampleSet(full._columns.append_column("side", sides), full._data, {**{k: v for k, v in full.roles.items() if k != "object_id"}, "side": "split"})
    path = exported(samples, tmp_path, "huggingface")
    assert sorted(p.name for p in (path / "data").iterdir()) == ["test-00000-of-00001.parquet", "train-00000-of-00001.parquet"]
    assert len(af.read_samples(path, split="test")) == 12 and len(af.read_samples(path)) == 24
    with pytest.raises(SampleSetError, match="no split 'validation'; splits: test, train"):
        af.read_samples(path, split="validation")


@pytest.mark.parametrize("name", ["parquet", "fits", "multimodal-universe", "ecsv", "votable", "hats", "huggingface"])
def test_damage_is_a_clear_error(name, full, tmp_path):
    path = exported(full, tmp_path, name)
    file = path if path.is_file() else max((f for f in path.rglob("*") if f.suffix in (".parquet", ".hdf5")), key=lambda f: f.stat().st_size)
    content = file.read_bytes()
    for cut in (0, 10, len(content) // 2):
        file.write_bytes(content[:cut])
        with pytest.raises(SampleSetError, match=re.escape(file.name)), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            af.read_samples(path, name)


def test_a_description_that_was_altered_is_named(full, tmp_path):
    path = exported(full, tmp_path, "parquet")
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"astrofuse": b'{"modalities": 3}'}), path)
    with pytest.raises(SampleSetError, match="the description under 'astrofuse' is damaged"):
        af.read_samples(path)


def test_zarr_arrays_of_objects_are_refused_unread(full, tmp_path):
    pytest.importorskip("zarr")
    path = exported(full, tmp_path, "zarr")
    file = path / "columns" / "mag_g" / ".zarray"
    told = json.loads(file.read_text())
    file.write_text(json.dumps({**told, "dtype": "|O", "filters": [{"id": "pickle"}]}))
    with pytest.raises(SampleSetError, match="only plain numbers"):
        af.read_samples(path)


def test_files_of_a_hyrax_folder_lie_in_it(full, tmp_path):
    path = exported(full, tmp_path, "hyrax")
    text = (path / "catalog.csv").read_text()
    first = text.splitlines()[1].split(",")[2]
    (path / "catalog.csv").write_text(text.replace(first, f"../{first}"))
    with pytest.raises(SampleSetError, match="files lie in the folder itself"):
        af.read_samples(path)
    assert exchange.lost(full, FORMATS["parquet"]) == []
