"""What a person gets wrong: each with an error in words, and nothing lost."""

import numpy as np
import pytest

import astrofuse_lab as af
from astrofuse_lab.errors import ArchiveError, InputError, RunError, SampleSetError, StorageError, TargetError, UnknownNameError


@pytest.fixture(scope="module")
def run(toy_samples):
    return af.train("late_fusion", toy_samples, target="label", modalities=["table"], epochs=1, progress=False)


def test_columns_of_unequal_length_are_named():
    with pytest.raises(TargetError, match="ra has 2 rows, dec has 1 rows"):
        af.Targets.from_table({"ra": [1.0, 2.0], "dec": [1.0]})
    with pytest.raises(TargetError, match="name has 1 rows"):
        af.Targets.from_table({"name": ["a"], "ra": [1.0, 2.0], "dec": [1.0, 2.0]})


@pytest.mark.parametrize("survey", ["practice/imag", "practice", "gaia/xp", ""])
def test_a_region_of_a_survey_that_does_not_exist(survey):
    with pytest.raises(UnknownNameError, match="search a region"):
        af.Targets.from_region((150.0, 2.0), radius=3600, n=3, survey=survey)


def test_a_resolver_out_of_reach_is_said_in_few_words():
    with pytest.raises(ArchiveError, match="cannot be reached") as caught:
        af.Targets.from_names("M 31")
    assert len(str(caught.value)) < 400 and "HTTPSConnectionPool" not in str(caught.value)


def test_an_empty_set_is_called_empty(toy_samples):
    nothing = toy_samples.select([])
    for verb in (af.train, af.compare):
        with pytest.raises(InputError, match="the set is empty"):
            verb("late_fusion", nothing, target="label", progress=False)


def test_what_is_no_sample_set_cannot_be_predicted(run):
    for wrong in ([1, 2], "practice", None):
        with pytest.raises(InputError, match=r"Give a SampleSet: af\.load_samples"):
            run.predict(wrong)


@pytest.mark.parametrize("view", ["workbench", "EmbeddingWidget", "AttributionWidget", "AttentionWidget"])
def test_samples_of_another_schema_are_refused_when_a_view_is_made(toy_samples, run, view, monkeypatch):
    monkeypatch.setattr("astrofuse_lab.widgets.base.view_source", lambda _view: "export default {}")
    columns = af.SampleSet(toy_samples._columns.drop_columns(["colour"]), {}, {k: v for k, v in toy_samples.roles.items() if k != "colour"})
    for wrong, kind in ((columns, RunError), ([1, 2], InputError)):
        with pytest.raises(kind) as predicted:
            run.predict(wrong)
        with pytest.raises(kind) as caught:
            getattr(af, view)(run, wrong)
        assert str(caught.value) == str(predicted.value)


def test_nothing_but_its_own_kind_is_replaced(toy_samples, run, tmp_path):
    toy_samples.save(tmp_path / "set")
    run.save(tmp_path / "run")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "one.tex").write_text("precious")
    (tmp_path / "notes.txt").write_text("dear")
    for name in ("set", "thesis", "notes.txt", "."):
        with pytest.raises(StorageError, match="not replaced"):
            af.Run.open(tmp_path / "run").save(tmp_path / name, overwrite=True)
    for name in ("run", "thesis", "notes.txt", "."):
        with pytest.raises(StorageError, match="not replaced"):
            toy_samples.save(tmp_path / name, overwrite=True)
    assert len(af.SampleSet.open(tmp_path / "set")) == len(toy_samples)
    assert len(af.Run.open(tmp_path / "run").predict(toy_samples)) == len(toy_samples)
    assert (tmp_path / "thesis" / "one.tex").read_text() == "precious" and (tmp_path / "notes.txt").read_text() == "dear"
    (tmp_path / "empty").mkdir()
    toy_samples.save(tmp_path / "empty", overwrite=True)
    toy_samples[:3].save(tmp_path / "set", overwrite=True)
    assert len(af.SampleSet.open(tmp_path / "set")) == 3


@pytest.mark.parametrize("kind", ["set", "run"])
def test_damage_is_told_in_a_line(toy_samples, run, tmp_path, kind):
    folder = (toy_samples if kind == "set" else run).save(tmp_path / kind)
    file = folder / ("manifest.json" if kind == "set" else "run.json")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises((SampleSetError, RunError), match=r"damaged \(no UTF-8 at byte") as caught:
        (af.SampleSet if kind == "set" else af.Run).open(folder)
    assert len(str(caught.value)) < 300


def test_a_file_of_the_right_size_and_other_content(toy_samples, tmp_path):
    folder = toy_samples.save(tmp_path / "set")
    array = np.load(folder / "image.present.npy")
    array[0] = not array[0]
    np.save(folder / "image.present.npy", array)
    with pytest.raises(SampleSetError, match=r"image\.present\.npy was altered .*its checksum differs"):
        af.SampleSet.open(folder)
