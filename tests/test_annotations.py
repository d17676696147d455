"""Labels and notes of a person's: kept with the set, shared by its views, never lost, never a model input unasked."""

import json
import pickle

import pytest
from conftest import make_toy_samples
from hypothesis import given, settings
from hypothesis import strategies as st

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, SampleSetError, StorageError
from astrofuse_lab.samples import annotations
from astrofuse_lab.samples.annotations import Annotations


@pytest.fixture
def kept(tmp_path):
    return af.SampleSet.open(make_toy_samples(20).save(tmp_path / "toy"))


def test_they_are_kept_with_the_set_and_travel_with_it(kept, tmp_path):
    part = kept.take([3, 4])
    part.annotate("toy-0003", label="artefact", note="satellite trail\nin r")
    kept.annotate(["toy-0004", "toy-0005"], label="vetted")
    assert kept.annotations.get("toy-0003")[:2] == ("artefact", "satellite trail\nin r") and kept.annotations.labels == ("artefact", "vetted")
    again = af.SampleSet.open(kept.path)
    assert again.annotations.table()["object_id", "label"].as_array().tolist() == [("toy-0003", "artefact"), ("toy-0004", "vetted"), ("toy-0005", "vetted")]
    copy = af.SampleSet.open(part.save(tmp_path / "part"))
    assert list(copy.annotations) == ["toy-0003", "toy-0004"] and copy.annotations.get("toy-0003").time
    copy.annotate("toy-0003", label="", note="")
    assert "toy-0003" not in list(copy.annotations) and "toy-0003" in list(kept.annotations)
    assert af.SampleSet.open(kept.save(kept.path, overwrite=True)).annotations.get("toy-0005").label == "vetted"


def test_two_notebooks_add_to_each_other(kept):
    other = af.SampleSet.open(kept.path)
    kept.annotate("toy-0001", label="a")
    other.annotate("toy-0002", label="b")
    kept.annotate("toy-0003", note="c")
    assert set(other.annotations) == set(kept.annotations) == {"toy-0001", "toy-0002", "toy-0003"}


def test_without_a_folder_they_stay_in_memory_and_are_a_table():
    samples = make_toy_samples(20)
    samples.annotate("toy-0001", note="odd")
    assert samples.annotations.path is None and samples.annotations.table()["note"].tolist() == ["odd"]
    assert len(samples.annotations.table(["toy-0002"])) == 0
    represented = samples.represent("light_curve", "dmdt")
    assert represented.annotations.get("toy-0001").note == "odd"
    assert pickle.loads(pickle.dumps(samples)).annotations.get("toy-0001").note == "odd"


def test_sets_of_the_cache_keep_theirs_beside_it():
    samples = af.load_samples("practice", n=4)
    one = str(samples.object_ids[0])
    samples.annotate(one, label="mine")
    assert not (samples.path / annotations.FILE).exists()
    for file in samples.path.iterdir():  # the set is made anew; what a person wrote is not
        file.unlink()
    assert af.load_samples("practice", n=4).annotations.get(one).label == "mine"
    samples.annotate(one, label="")


def test_no_model_reads_them_unless_a_column_is_asked_for(kept):
    kept.annotate(["toy-0001", "toy-0002"], label="good")
    assert "my_label" not in kept.roles and not any("good" in str(c) for c in kept.columns_of(1).values())
    asked = kept.take([0, 1, 2]).with_labels("vetted", role="target")
    assert asked.roles["vetted"] == "target" and asked.column("vetted").tolist() == [None, "good", "good"] and asked.inputs == kept.inputs
    assert asked.present("image").tolist() == kept.present("image")[:3].tolist()
    with pytest.raises(InputError, match="already"):
        kept.with_labels("label")
    with pytest.raises(InputError, match="they are words"):
        kept.with_labels(role="input")


@pytest.mark.parametrize("text", ["{", "[]", "\x00\xff", '{"format": "x"}', '{"format": "astrofuse-annotations", "version": 1, "labels": [1], "objects": {}}',
                                  '{"format": "astrofuse-annotations", "version": 1, "labels": [], "objects": {"a": {"label": {}}}}', "[" * 100_000])  # fmt: skip
def test_a_damaged_file_is_named_and_left_alone(kept, text):
    file = kept.path / annotations.FILE
    file.write_text(text, encoding="latin-1")
    samples = af.SampleSet.open(kept.path)  # the set itself is whole
    assert samples["toy-0001"].object_id == "toy-0001"
    with pytest.raises(SampleSetError, match=r"annotations\.json is damaged"):
        samples.annotations.get("toy-0001")
    with pytest.raises(SampleSetError, match="damaged"):
        samples.annotate("toy-0001", label="x")
    assert file.read_text(encoding="latin-1") == text


def test_a_folder_that_cannot_be_written_loses_nothing(kept, monkeypatch):
    def full(*_):
        raise StorageError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(annotations, "write_json", full)
        with pytest.raises(StorageError, match="full"):
            kept.annotate("toy-0001", label="x")
        assert kept.annotations.get("toy-0001").label == "x" and kept.annotations.unsaved
    kept.annotate("toy-0002", label="y")
    assert set(json.loads((kept.path / annotations.FILE).read_text())["objects"]) == {"toy-0001", "toy-0002"}


def test_bad_input_is_refused(kept):
    with pytest.raises(InputError, match="not in this set, first 'nobody'"):
        kept.annotate(["toy-0001", "nobody"], label="x")
    with pytest.raises(InputError, match="80 at most"):
        kept.annotate("toy-0001", label="x" * 81)
    with pytest.raises(InputError, match="note of 10001"):
        kept.annotate("toy-0001", note="x" * 10_001)
    many = Annotations()
    for i in range(annotations.LABELS):
        many.set(f"o{i}", label=f"l{i}")
    with pytest.raises(InputError, match="labels are in use"):
        many.set("a", label="one more")
    assert len(kept.annotations) == 0 and not (kept.path / annotations.FILE).exists()


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=20), st.text(max_size=60)), max_size=6))
@settings(max_examples=40, deadline=None)
def test_any_text_comes_back(tmp_path_factory, said):
    path = tmp_path_factory.mktemp("a") / "annotations.json"
    first = Annotations(path)
    for object_id, label, note in said:
        first.set(object_id.encode("utf-8", "replace").decode(), label=label, note=note)
    if len(first):
        second = Annotations(path)
        assert {i: second.get(i) for i in second} == {i: first.get(i) for i in first}
