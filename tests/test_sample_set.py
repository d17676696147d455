"""The SampleSet: ids, views, samples, tables."""

import numpy as np
import pyarrow as pa
import pytest
from conftest import make_toy_samples

from astrofuse_lab.errors import InputError, SampleSetError
from astrofuse_lab.modalities import Image, LightCurve, Spectrum, TableRow, Text
from astrofuse_lab.samples.arrays import ModalityData
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import ModalitySpec


def test_modalities_and_ids(toy_samples):
    assert list(toy_samples.modalities) == ["image", "spectrum", "light_curve", "table", "text"]
    assert toy_samples.object_ids[3] == "toy-0003" and len(toy_samples) == 60
    assert toy_samples.inputs == ("mag_g", "colour")
    assert toy_samples.modalities["table"].channels == ("mag_g", "colour")
    with pytest.raises(ValueError, match="read-only"):
        toy_samples.object_ids[0] = "other"
    with pytest.raises(InputError, match="light_curve"):
        toy_samples.spec("x_ray")


def test_a_sample_has_nouns_or_none(toy_samples):
    for sample in toy_samples:
        for name, kind in (("image", Image), ("spectrum", Spectrum), ("light_curve", LightCurve), ("table", TableRow), ("text", Text)):
            assert sample[name] is None or isinstance(sample[name], kind)
    missing = np.flatnonzero(~toy_samples.present("spectrum"))
    assert toy_samples[int(missing[0])]["spectrum"] is None
    curve = toy_samples[0]["light_curve"]
    assert set(curve.band) <= {"g", "r"} and len(curve.time) == len(curve.flux)
    assert toy_samples["toy-0007"].object_id == "toy-0007"
    assert toy_samples[-1].object_id == "toy-0059"
    with pytest.raises(IndexError):
        toy_samples[60]


def test_views_and_selections(toy_samples):
    view = toy_samples.take([5, 3, 8])
    assert list(view.object_ids) == ["toy-0005", "toy-0003", "toy-0008"]
    assert view.select(["toy-0008", "toy-0005"])[0].object_id == "toy-0008"
    assert view[["toy-0003"]][0].object_id == "toy-0003"
    assert list(toy_samples[10:13].object_ids) == ["toy-0010", "toy-0011", "toy-0012"]
    assert list(toy_samples[np.arange(60) > 57].object_ids) == ["toy-0058", "toy-0059"]
    assert view._data is not None and view._data["image"].fields["flux"] is toy_samples._data["image"].fields["flux"]
    with pytest.raises(InputError, match="toy-0001"):
        view.positions(["toy-0003", "toy-0001"])
    with pytest.raises(InputError, match="boolean"):
        view.take(np.ones(60, bool))
    with pytest.raises(InputError, match="position 3"):
        view.take([3])
    assert len(view.take([])) == 0 and len(view.select([])) == 0


@pytest.mark.parametrize("rows", [[5], [5, 6, 7], [9, 2, 2, 40], [], list(range(60)), list(range(59, -1, -1))])
def test_arrays_are_those_of_the_rows(toy_samples, rows):
    for name in ("image", "spectrum"):
        got, everything = toy_samples.arrays(name, rows), toy_samples.arrays(name)
        for field in got:
            np.testing.assert_array_equal(got[field], everything[field] if field == "lambda" else everything[field][rows])
    got = toy_samples.arrays("light_curve", rows)
    store = toy_samples._data["light_curve"].fields
    for k, row in enumerate(rows):
        there, here = (slice(*o[i : i + 2]) for o, i in ((store["offsets"], row), (got["offsets"], k)))
        for field in ("time", "flux", "band", "mask"):
            np.testing.assert_array_equal(got[field][here], store[field][there])
    assert got["offsets"][-1] == len(got["time"])


def test_arrays_are_copies():
    samples = make_toy_samples(10)
    for name in samples.modalities:
        for array in samples.arrays(name).values():
            array[...] = 0
    assert samples.arrays("image")["flux"].any() and samples.arrays("spectrum")["lambda"].any()


def test_table_has_roles_and_masks(toy_samples):
    table = toy_samples.table
    assert table["mag_g"].info.meta["role"] == "input" and str(table["mag_g"].unit) == "mag"
    assert table["colour"].mask.sum() == (~toy_samples.arrays("table")["mask"][:, 1]).sum() > 0
    assert list(table["object_id"]) == list(toy_samples.object_ids)


def test_coverage_counts_every_object_once(toy_samples):
    table = toy_samples.coverage()
    assert table["count"].sum() == 60 and table["share"].sum() == pytest.approx(1)
    for row in table:
        has = [name for name in toy_samples.modalities if row[name]]
        assert row["modalities"] == (" + ".join(has) or "nothing")
        match = np.all([toy_samples.present(n) == row[n] for n in toy_samples.modalities], axis=0)
        assert match.sum() == row["count"]
    assert list(table["count"]) == sorted(table["count"], reverse=True)


def test_description(toy_samples):
    table = toy_samples.describe()
    rows = {row["name"]: row for row in table}
    assert set(rows) == {*toy_samples.modalities, *toy_samples.roles}
    assert rows["image"]["shape"] == "2 x 16 x 16" and rows["image"]["has"] == toy_samples.present("image").sum()
    assert rows["label"]["role"] == "target" and "galaxy" in rows["label"]["range"]
    assert "epochs" in rows["light_curve"]["shape"]
    assert len(toy_samples[:0].describe()) == len(table)


def columns(**more):
    return pa.table({"object_id": ["a", "b"], **more})


@pytest.mark.parametrize(
    ("table", "roles", "words"),
    [
        (pa.table({"name": ["a"]}), {}, "object_id"),
        (pa.table({"object_id": ["a", "b", "a"]}), {}, "'a' occurs 2 times"),
        (pa.table({"object_id": pa.array(["a", None])}), {}, "no object_id"),
        (columns(x=["1", "2"]), {"x": "input"}, "holds string"),
        (columns(x=[1, 2]), {"x": "imput"}, "imput"),
        (columns(), {"y": "input"}, "'y'"),
    ],
)
def test_bad_columns(table, roles, words):
    with pytest.raises(SampleSetError, match=words):
        SampleSet(table, {}, roles)


def light(**change):
    fields = {
        "offsets": np.array([0, 1, 3]), "time": np.arange(3.0), "flux": np.ones(3), "flux_err": np.ones(3),
        "band": np.zeros(3, np.int8), "mask": np.ones(3, bool),
    }  # fmt: skip
    fields = {k: v for k, v in {**fields, **change}.items() if v is not None}
    return ModalityData(ModalitySpec("light_curve", "light_curve", ("g",), (), "uJy"), fields, np.ones(2, bool))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"offsets": np.array([0, 3])}, "offsets"),
        ({"offsets": np.array([0, 3, 1])}, "shape|ascend"),
        ({"offsets": np.array([1, 2, 3])}, "ascend"),
        ({"time": np.arange(2.0)}, "time"),
        ({"mask": np.ones(3)}, "mask"),
        ({"flux": None}, "lacks flux"),
        ({"colour": np.ones(3)}, "colour"),
    ],
)
def test_bad_arrays_are_refused(change, words):
    with pytest.raises(SampleSetError, match=words):
        SampleSet(columns(), {"light_curve": light(**change)})


def test_present_must_fit():
    one = light()
    one.present = np.ones(3, bool)
    with pytest.raises(SampleSetError, match="3 objects"):
        SampleSet(columns(), {"light_curve": one})


def test_lookups_stay_fast_in_large_sets():
    import time

    n = 200_000
    samples = SampleSet(pa.table({"object_id": [f"o{i}" for i in range(n)]}), {})
    view = samples.take(np.arange(n)[::-1])
    view.positions(["o5"])
    start = time.perf_counter()
    for i in range(1000):
        view.positions([f"o{i}"])
    # a search through all ids would take minutes
    assert time.perf_counter() - start < 1
