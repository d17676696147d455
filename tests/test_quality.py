"""The leakage audit, duplicates and the data card: quiet on a clean set, and right where something was planted."""

import os
import pickle
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from conftest import make_toy_samples

import astrofuse_lab as af
from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.card import text
from astrofuse_lab.samples.dependence import codes_of, mutual, told
from astrofuse_lab.samples.duplicates import duplicates
from astrofuse_lab.samples.leakage import audit
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec


def clean(seed, n=150, columns=20):
    """Noise, one modest and one fair feature, a source that says nothing, groups of one to three objects that share their label."""
    rng = np.random.default_rng(seed)
    group = np.sort(rng.integers(0, n // 2, n))
    label = rng.integers(0, 3, n)[group]
    held = {f"noise_{i}": rng.normal(size=n) for i in range(columns)}
    held |= {"modest": label + rng.normal(0, 1.5, n), "fair": label + rng.normal(0, 1.0, n)}
    kept = {"object_id": [f"o{i}" for i in range(n)], "label": np.array(["a", "b", "c"])[label], "host": [f"g{g}" for g in group], "src_repo": rng.choice(["x", "y"], n)}
    roles = {"label": "target", "host": "group", **dict.fromkeys(held, "input")}
    return SampleSet(pa.table({**kept, **{k: pa.array(v, mask=rng.random(n) < 0.1) for k, v in held.items()}}), {}, roles)


def planted(samples, role="input", **columns):
    table = samples._columns
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    roles = {**samples.roles, **dict.fromkeys(columns, role)}
    return SampleSet(table, {n: samples.data_of(n) for n in samples.modalities if n in samples._data}, roles, samples.units, samples.card)


def levels(table, *wanted):
    return {str(row["column"]): str(row["asked"]) for row in table if row["level"] in (wanted or ("serious", "warning"))}


# ---- the audit ----------------------------------------------------------------------------------------------------


def test_mutual_information_equals_that_of_scikit_learn():
    from sklearn.metrics import adjusted_mutual_info_score, mutual_info_score

    rng = np.random.default_rng(0)
    a = rng.integers(0, 8, 500)
    b = np.where(rng.random(500) < 0.5, a % 3, rng.integers(0, 3, 500))
    assert mutual(a, b) == pytest.approx(mutual_info_score(a, b), rel=1e-9)
    # beyond chance, as a share of the entropy of b: theirs is adjusted by theory, ours by permutation
    expected = adjusted_mutual_info_score(b, a, average_method="min")
    assert told({"a": a}, b)["a"].share == pytest.approx(expected, abs=0.01)


def test_chance_is_stated_rightly_however_many_columns_there_are():
    """Of sets of noise alone, 5 % have a best column with p at most 0.05: 0 to 12 of 100 with 99.7 %, whatever the number of columns."""
    below = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        columns = {str(i): rng.integers(0, 5, 40) for i in range(12)}
        below += min(one.p for one in told(columns, rng.integers(0, 2, 40), seed, permutations=39).values()) <= 0.05
    assert 0 < below <= 12


def test_a_clean_set_raises_no_alarm():
    """An alarm of a column needs chance below 1 % over all columns and half of the label told; of a source, chance below 0.25 % and a twentieth.

    So false ones are rarer than 1.25 % of sets: none in 12 here, at most 5 in 400 where there is time (one was found).
    """
    sets, most = (400, 5) if os.environ.get("ASTROFUSE_PROVE") == "1" else (12, 0)
    assert sum(bool(levels(audit(clean(seed), "label"))) for seed in range(sets)) <= most
    assert repr(make_toy_samples(200).quality()) == "Quality(nothing found)"


def test_what_gives_the_label_away_is_found():
    samples = clean(0)
    rng = np.random.default_rng(1)
    label = np.asarray(samples.column("label"))
    answer = np.unique(label, return_inverse=True)[1] * 10.0 + rng.normal(0, 1, len(samples))
    known = pa.array(rng.normal(size=len(samples)), mask=label != "a")
    found = audit(planted(samples, answer=answer, only_for_a=known), "label")
    assert levels(found, "serious")["answer"] == "label column"
    assert levels(found)["only_for_a"] in ("label column", "label missing pattern")
    assert "Give answer the role 'other'" in str(found["says"][0]) and set(levels(found)) == {"answer", "only_for_a"}
    # kept out of the inputs it can do no harm
    kept = audit(planted(samples, "other", answer=answer), "label")
    assert levels(kept) == {} and levels(kept, "note") == {"answer": "label column"}


def test_a_number_as_target_is_judged_too():
    rng = np.random.default_rng(2)
    z = rng.uniform(0, 1, 300)
    table = pa.table({"object_id": [f"o{i}" for i in range(300)], "z": z, "z_copy": np.exp(z), "noise": rng.normal(size=300), "magnitude": 20 + z + rng.normal(0, 0.5, 300)})
    samples = SampleSet(table, {}, {"z": "target", "z_copy": "input", "noise": "input", "magnitude": "input"})
    assert levels(audit(samples)) == {"z_copy": "label column"}


def test_a_source_that_predicts_and_inputs_that_tell_it():
    samples = clean(3)
    rng = np.random.default_rng(3)
    label = np.asarray(samples.column("label"))
    survey = np.where(rng.random(len(samples)) < 0.8, np.where(label == "a", "north", "south"), "north")
    night = np.where(survey == "north", 100.0, 200.0) + rng.integers(0, 9, len(samples))
    found = levels(audit(planted(planted(samples, "other", survey=survey), night=night), "label"))
    assert found["survey"] == "source" and found["night"] == "input tells source"


def test_objects_of_one_group_count_once():
    """Twenty copies of ten objects are ten: nothing is said of them, where two hundred objects would give an alarm."""
    rng = np.random.default_rng(4)
    one = {"label": rng.permutation(["a", "b"] * 5), "x": np.arange(10.0)}
    rows = np.repeat(np.arange(10), 20)
    table = pa.table({"object_id": [f"o{i}" for i in range(200)], "host": [f"g{i}" for i in rows], **{k: v[rows] for k, v in one.items()}})
    found = audit(SampleSet(table, {}, {"label": "target", "host": "group", "x": "input"}))
    assert len(found) == 0 and not found.meta["enough"]
    assert levels(audit(SampleSet(table, {}, {"label": "target", "x": "input"}))) == {"x": "label column"}


def test_codes_keep_missing_apart_and_few_values_as_they_are():
    values = np.ma.MaskedArray([1.0, 2.0, np.nan, 2.0, 5.0], [False, False, False, False, True])
    assert codes_of(values)[[2, 4]].tolist() == [0, 0] and codes_of(values)[1] == codes_of(values)[3] != codes_of(values)[0]
    many = np.random.default_rng(0).normal(size=1000)
    assert np.bincount(codes_of(np.ma.MaskedArray(many)))[1:].tolist() == pytest.approx([62.5] * 16, abs=1)


# ---- duplicates ---------------------------------------------------------------------------------------------------


def copied(samples, **fields):
    """The set with object 0's product written over object 1's, for one modality at a time."""
    data = dict(samples._data)
    for name, noise in fields.items():
        one = data[name]
        key = "values" if "values" in one.fields else "flux"
        flux = one.fields[key].copy()
        flux[1] = flux[0] * (1 + noise * np.random.default_rng(0).normal(size=flux[0].shape)) * 3 + 7
        present = one.present.copy()
        present[:2] = True
        mask = one.fields["mask"].copy()
        mask[1] = mask[0]
        data[name] = ModalityData(one.spec, {**one.fields, key: flux, "mask": mask}, present)
    return SampleSet(samples._columns, data, samples.roles, samples.units, samples.card)


def test_near_duplicates_are_found_across_groups_and_split():
    toy = make_toy_samples(80)
    roles = {**toy.roles, "host": "other"}
    samples = SampleSet(toy._columns, copied(toy, image=1e-4, spectrum=1e-4)._data, roles, toy.units, toy.card)
    split = af.Split(["toy-0000", *[f"toy-{i:04d}" for i in range(2, 50)]], ["toy-0001", *[f"toy-{i:04d}" for i in range(50, 80)]])
    found = duplicates(samples, split)
    assert {(r["one"], r["other"], r["by"], r["across"]) for r in found} == {("toy-0000", "toy-0001", n, "test and train") for n in ("image", "spectrum")}
    assert (found["likeness"] > 0.9995).all() and not found["same_group"].any()
    said = samples.quality(split=split).findings
    assert {(r["level"], r["what"]) for r in said if r["about"] == "duplicates"} == {("serious", "image"), ("serious", "spectrum")}
    assert len(duplicates(toy, split)) == 0


def test_equal_rows_texts_curves_and_places():
    toy = make_toy_samples(12)
    words = ["the transient was seen again near the core of its bright host galaxy tonight"] * 2 + [f"object number {i} looks like nothing {i * 7} seen before by anyone" for i in range(10)]
    raw = [w.encode() for w in words]
    body = {"offsets": np.concatenate([[0], np.cumsum([len(r) for r in raw])]), "utf8": np.frombuffer(b"".join(raw), np.uint8)}
    time = np.concatenate([np.arange(5.0), np.arange(5.0), *(np.arange(5.0) + i for i in range(1, 11))])
    curve = {"offsets": np.arange(0, 61, 5), "time": time, "flux": np.ones(60, np.float32), "flux_err": np.ones(60, np.float32), "band": np.zeros(60, np.int8), "mask": np.ones(60, bool)}
    there = np.ones(12, bool)
    data = {"text": ModalityData(ModalitySpec("text", "text"), body, there), "light_curve": ModalityData(ModalitySpec("light_curve", "light_curve", ("g",)), curve, there)}
    values = np.random.default_rng(0).normal(size=(12, 3))
    values[1] = values[0] * (1 + 1e-9)
    place = np.arange(12.0)
    place[1] = 0.2 / 3600
    table = pa.table({"object_id": [f"o{i}" for i in range(12)], "ra": place, "dec": np.zeros(12), **{f"c{i}": values[:, i] for i in range(3)}})
    found = duplicates(SampleSet(table, data, {f"c{i}": "input" for i in range(3)}))
    assert {(r["one"], r["other"], r["by"]) for r in found} == {("o0", "o1", by) for by in ("position", "light_curve", "table", "text")}
    assert found["away"][0] == pytest.approx(0.2, abs=1e-6) and toy is not None


def test_a_place_that_many_share_is_nobodys():
    n = 20
    table = pa.table({"object_id": [f"o{i}" for i in range(n)], "ra": [10.0] * 8 + list(range(100, 112)), "dec": [5.0] * n, "label": ["a", "b"] * 10})
    samples = SampleSet(table, {}, {"label": "target"})
    assert len(duplicates(samples)) == 0 and duplicates(samples).meta["stand_ins"] == 8
    assert any("no positions" in str(says) for says in samples.quality().findings["says"])


# ---- the report and the card --------------------------------------------------------------------------------------


def test_the_report_sees_masks_balance_separations_and_groups_on_two_sides():
    toy = make_toy_samples(60)
    far = np.full(60, 0.1)
    far[:6] = 2.5
    samples = planted(planted(toy, dull=np.ones(60)), "other", gaia_separation=far)
    label = np.array(["common"] * 57 + ["rare"] * 3)
    samples = SampleSet(samples._columns.drop_columns("label").append_column("label", pa.array(label)), samples._data, samples.roles, {**samples.units, "gaia_separation": "arcsec"})
    ids = samples.object_ids
    got = samples.quality("label", af.Split(ids[1:50], [ids[0], *ids[50:]]))
    assert {(r["level"], r["about"], r["what"]) for r in got.findings} >= {
        ("serious", "split", "test"), ("warning", "balance", "label"), ("warning", "separations", "gaia_separation"), ("note", "masks", "dull"),
    }  # fmt: skip
    assert got.balance["test"].sum() == 11 and got.balance["train"].sum() == 49
    assert got.signal[np.asarray(got.signal["modality"]) == "spectrum"]["median"][0] == pytest.approx(np.sqrt(11), rel=0.1)
    masks = {str(r["name"]): r for r in got.masks}
    assert masks["image"]["masked"] == pytest.approx(0.02, abs=0.01) and masks["spectrum"]["missing"] == pytest.approx(1 - samples.present("spectrum").mean())


def test_bad_input_says_so(toy_samples):
    with pytest.raises(InputError, match="the set is empty"):
        toy_samples[:0].quality()
    with pytest.raises(InputError, match="no column 'klass'"):
        toy_samples.quality("klass")
    bare = SampleSet(pa.table({"object_id": ["a", "b"]}), {})
    assert "no target" in repr(bare.quality())
    with pytest.raises(InputError, match="no column of role 'target'"):
        audit(bare)


def test_the_card_says_what_there_is_and_is_still_a_card(toy_samples):
    card = toy_samples.card
    assert card == Card("toy", "Toy samples for tests", simulated=True) and card.name == "toy"
    markdown = str(card())
    for word in ("# Toy samples for tests", "do not exist", "light\\_curve", "| label | objects | groups | share |", "`host` belong on one side", "licence**: not stated"):
        assert word in markdown
    assert type(pickle.loads(pickle.dumps(card))) is Card and replace(card, name="other").name == "other"
    with pytest.raises(InputError, match="belongs to no set"):
        replace(card, name="other")()


def test_what_others_wrote_is_words_on_the_card(tmp_path):
    evil = "<script>alert(1)</script>![x](javascript:alert(1)) | a\n# head `x` https://evil.example\u202e"
    toy = make_toy_samples(30)
    toy.card = Card("e", evil, False, evil, evil, (evil,))
    path = toy.card().save(tmp_path / "card.md")
    written = path.read_text()
    assert "<script" not in written and "javascript:" not in written and "](" not in written.replace("\\](", "").replace("\\]\\(", "")
    assert "https://evil" not in written and "\u202e" not in written and "\n# head" not in written
    assert text("a|b") == "a\\|b"


def test_real_alerts(mirror):
    """The roles of ztf-alerts hold: no input gives asteroids away. Altered roles, and the source, are told."""
    samples = af.load_samples("ztf-alerts", mirror=mirror, progress=False)
    found = audit(samples, "is_sso")
    assert levels(found, "serious") == {} and levels(found)["src_repo"] == "source"
    source = found[(np.asarray(found["column"]) == "src_repo") & (np.asarray(found["asked"]) == "source")]
    assert source["auc"][0] == pytest.approx(0.70, abs=0.03)  # the set's own README: sources alone reach 0.701 on its larger version
    assert {"c_ssdistnr", "c_ssmagnr", "c_ssnamenr"} <= set(levels(found, "note"))
    roles = {**samples.roles, **dict.fromkeys(("c_ssdistnr", "c_ssmagnr", "c_jd"), "input")}
    altered = SampleSet(samples._columns, samples._data, roles, samples.units, samples.card)
    bad = levels(audit(altered, "is_sso"), "serious")
    assert {"c_ssdistnr", "c_ssmagnr", "c_jd"} == set(bad) and bad["c_jd"] == "input tells source"
