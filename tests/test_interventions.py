"""Swaps, edits and responses: the same as doing it by hand to the arrays of a set, or to what the model is given."""

import threading

import explain_cases as cases
import numpy as np
import pyarrow as pa
import pytest

import astrofuse_lab as af
from astrofuse_lab import explain
from astrofuse_lab.alignment.spectral_lines import line_named
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

of = af.Part.of


@pytest.fixture(scope="module")
def some():
    return cases.samples().take(np.arange(8))


@pytest.fixture(scope="module")
def pair():
    from astrofuse_lab.training.ensembles import Ensemble

    return Ensemble([cases.trained("late_fusion"), cases.trained("joint_attention")])


def by_hand(samples, **changed):
    """The set with other arrays (a function of the old ones) or columns, built from scratch."""
    data = {name: samples.data_of(name) for name in samples.modalities if name != "table"}
    table = samples._columns.take(samples.rows())
    for name, change in changed.items():
        if name in data:
            fields = samples.arrays(name)
            change(fields)
            present = fields.pop("present")
            data[name] = ModalityData(samples.spec(name), fields, present)
        else:
            table = table.set_column(table.column_names.index(name), name, pa.array(np.asarray(change, dtype=float), mask=~np.isfinite(change)))
    return SampleSet(table, data, samples.roles, samples.units, samples.card)


def log_odds(run, samples, classes):
    table = run.predict(samples)
    p = np.array([table[f"p_{c}"][i] for i, c in enumerate(classes)])
    return np.log(p) - np.log1p(-p)


def agrees(found, run, samples, changed, what=0):
    """Before, after and class are those of `predict` on the sets themselves."""
    np.testing.assert_allclose(found.score_before[0], log_odds(run, samples, found.target), atol=2e-4)
    np.testing.assert_allclose(found.score_after[what, 0], log_odds(run, changed, found.target), atol=2e-4)
    assert list(found.predicted_after[what]) == list(run.predict(changed)["prediction"])
    moved = np.abs(found.score_after[what, 0] - found.score_before[0]) > 1e-4
    assert found.changed[what][moved].all()


# ---- edits ----------------------------------------------------------------------------------------------------------


def masked_near(centre, kms=3000.0):
    def change(fields):
        z = cases.samples().take(np.arange(8)).column("redshift").data
        near = np.abs(fields["lambda"] / (centre * (1 + z[:, None])) - 1) * 299_792.458 <= kms / 2
        fields["mask"] &= ~near

    return change


def dropped(fields):
    fields["mask"][:, 0] = False


def late(fields):
    for begin, end in zip(fields["offsets"][:-1], fields["offsets"][1:], strict=True):
        seen = fields["time"][begin:end][fields["mask"][begin:end]]
        fields["mask"][begin:end] &= fields["time"][begin:end] <= seen.min() + 30


def worded(fields):
    texts = [fields["utf8"].tobytes()[b:e].decode() for b, e in zip(fields["offsets"][:-1], fields["offsets"][1:], strict=True)]
    texts = [t.replace("star ", " ").replace("galaxy", "").encode() for t in texts]
    fields["utf8"] = np.frombuffer(b"".join(texts), dtype=np.uint8)
    fields["offsets"] = np.concatenate([[0], np.cumsum([len(t) for t in texts])]).astype(np.int64)


EDITS = {
    "line": (of("mask_line", line="H beta", width=3000.0), {"spectrum": masked_near(4862.68)}),
    "window": (of("mask_window", low=4500.0, high=5000.0), {"spectrum": lambda f: f["mask"].__iand__(~((f["lambda"] >= 4500) & (f["lambda"] <= 5000)))}),
    "band": (of("drop_band", band="g", modality="image"), {"image": dropped}),
    "band of a light curve": (of("drop_band", band="r", modality="light_curve"), {"light_curve": lambda f: f["mask"].__iand__(f["band"] != 1)}),
    "time": (of("limit_time", days=30.0), {"light_curve": late}),
    "column": (of("set_column", column="colour", value=0.5), {"colour": np.full(8, 0.5)}),
    "missing column": (of("set_column", column="mag_g"), {"mag_g": np.full(8, np.nan)}),
    "words": (of("remove_words", words=["star", "Galaxy"]), {"text": worded}),
    "modality": (of("drop_modality", modality="image"), {"image": lambda f: f["present"].__iand__(False)}),
    "table": (of("drop_modality", modality="table"), {"mag_g": np.full(8, np.nan), "colour": np.full(8, np.nan)}),
    "scale": (of("scale", factor=3.0, modality="image", band="r"), {"image": lambda f: f["flux"][:, 1].__imul__(3.0)}),
}  # fmt: skip


def test_each_edit_is_what_it_is_by_hand(some):
    run = cases.trained("joint_attention")
    found = explain.edit(run, some, {name: part for name, (part, _) in EDITS.items()})
    assert found.names == tuple(EDITS) and len(found.table()) == len(EDITS) * 8
    for number, (name, (_, change)) in enumerate(EDITS.items()):
        agrees(found, run, some, by_hand(some, **change), number)
        assert found.changed[number].any(), name
    # an object without the modality is the same as before, exactly
    assert not found.changed[list(EDITS).index("band")][~some.present("image")].any()
    assert not found.difference[~found.changed].any() and np.abs(found.difference).max() > 0.01


def test_several_edits_make_one_change(some):
    run = cases.trained("late_fusion")
    both = explain.edit(run, some, [EDITS["band"][0], EDITS["column"][0]])
    agrees(both, run, some, by_hand(some, **EDITS["band"][1], **EDITS["column"][1]))
    assert both.names == ("drop band: g, image, then set column: colour, value 0.5",)
    table = both.table()
    np.testing.assert_allclose(table["score_after"] - table["score_before"], table["difference"], atol=1e-12)
    assert "not what causes what" in table.meta["notes"][-1] and "not what causes what" in both.says
    assert explain.edit(run, some, EDITS["band"][0], rows=3).difference == pytest.approx(explain.edit(run, some, EDITS["band"][0]).difference, abs=1e-5)


def with_lines(z=(0.1, 0.3, np.nan)):
    """Spectra of one emission line at H beta on a flat continuum."""
    wavelength, z = np.linspace(4000, 8000, 801), np.asarray(z)
    centre = 4862.68 * (1 + np.nan_to_num(z, nan=0.2))
    flux = (2 + 5 * np.exp(-0.5 * ((wavelength - centre[:, None]) / 10) ** 2)).astype(np.float32)
    data = ModalityData(ModalitySpec("spectrum", "spectrum", (), (801,), "x"), {"lambda": wavelength, "flux": flux, "ivar": np.ones_like(flux), "mask": np.ones(flux.shape, bool)}, np.ones(3, bool))
    columns = pa.table({"object_id": ["a", "b", "c"], "redshift": pa.array(z, mask=~np.isfinite(z))})
    return SampleSet(columns, {"spectrum": data}, {}, {}, Card())


def changed(samples, name, **options):
    from astrofuse_lab.explain.interventions import applied
    from astrofuse_lab.explain.interventions_edits import Draft

    draft = Draft(samples, tuple(samples.modalities))
    applied(draft, of(name, **options))
    return draft.done().arrays("spectrum")


def test_a_redshift_moves_the_line_to_where_it_belongs():
    samples = with_lines()
    moved = changed(samples, "shift_redshift", to=0.5)
    for i in (0, 1):
        peak = moved["lambda"][np.argmax(np.where(moved["mask"][i], moved["flux"][i], 0))]
        assert peak == pytest.approx(4862.68 * 1.5, abs=5)
        # what the telescope did not see at the blue end is not there
        assert not moved["mask"][i][moved["lambda"] < 4000 * 1.5 / (1.1, 1.3)[i] - 1].any() and moved["mask"][i][-200:].all()
    np.testing.assert_array_equal(moved["flux"][2], samples.arrays("spectrum")["flux"][2])  # its redshift is unknown
    back = changed(samples, "shift_redshift", by=0.0)
    np.testing.assert_allclose(back["flux"], samples.arrays("spectrum")["flux"], rtol=1e-6)
    with pytest.raises(InputError, match="one of them"):
        changed(samples, "shift_redshift", by=0.1, to=0.5)
    with pytest.raises(InputError, match="above -1"):
        changed(samples, "shift_redshift", to=-2.0)


def test_a_line_is_masked_or_filled_at_each_redshift():
    samples = with_lines()
    masked = changed(samples, "mask_line", line="hbeta", width=6000.0)
    for i, z in ((0, 0.1), (1, 0.3)):
        gone = masked["lambda"][~masked["mask"][i]]
        assert gone.min() == pytest.approx(4862.68 * (1 + z) * (1 - 0.01), abs=6) and gone.max() == pytest.approx(4862.68 * (1 + z) * (1 + 0.01), abs=6)
    assert masked["mask"][2].all()
    filled = changed(samples, "mask_line", line="Hβ", width=6000.0, fill="continuum")
    assert filled["mask"].all() and np.abs(filled["flux"][:2] - 2).max() < 0.05 and filled["flux"][2].max() > 6
    at_rest = changed(samples, "mask_line", line="H beta", redshift="")
    assert (~at_rest["mask"]).sum(1) == pytest.approx(np.full(3, 9), abs=2)
    assert line_named("[oiii]") == ("[O III]", 5008.24) and line_named("Ly alpha")[0] == line_named("Lya")[0] == "Lyα" and line_named("Ha")[0] == "Hα"
    with pytest.raises(UnknownNameError, match="no line 'H omega'"):
        line_named("H omega")


def test_epochs_are_dropped_by_object_whatever_stands_beside_it(some):
    run = cases.trained("late_fusion")
    part = of("drop_epochs", share=0.5, seed=3)
    whole = explain.edit(run, some, part)
    alone = explain.edit(run, some.take([5]), part)
    assert alone.score_after[0, 0, 0] == pytest.approx(whole.score_after[0, 0, 5], abs=1e-4)
    gone = explain.edit(run, some, of("drop_epochs", share=1.0))
    same = explain.edit(run, some, of("drop_modality", modality="light_curve"))
    np.testing.assert_allclose(gone.score_after, same.score_after, atol=1e-5)


def test_nothing_left_is_masked_and_not_a_number():
    run = cases.trained("joint_attention", "label", ("table",))
    found = explain.edit(run, cases.samples().take([0, 1]), of("drop_modality", modality="table"))
    assert found.table()["score_after"].mask.all() and list(found.predicted_after[0]) == ["", ""]
    assert not found.table()["score_before"].mask.any()


def test_what_cannot_be_edited_says_what_can(some):
    run = cases.trained("joint_attention")
    for part, error, match in (
        (of("mask_lines", line="Hα"), UnknownNameError, "mask_line"), (of("mask_line"), InputError, "needs 'line'"),
        (of("mask_line", line="Hα", with_=3), InputError, "no option 'with_'"), (of("drop_band", band="z"), InputError, "image, light_curve"),
        (of("drop_band", band="z", modality="image"), UnknownNameError, "g"), (of("set_column", column="mag"), UnknownNameError, "mag_g"),
        (of("mask_line", line="Hα", redshift="zz"), InputError, "no column 'zz'"), (of("scale", factor=0.0, modality="image"), InputError, "above zero"),
        (of("mask_window", low=5000.0, high=4000.0), InputError, "ascending"), (of("limit_time", days=3.0, after="never"), InputError, "detection"),
        (of("remove_words", words=[]), InputError, "words"), (of("scale", factor=2.0, modality="text"), InputError, "image or spectrum"),
    ):  # fmt: skip
        with pytest.raises(error, match=match):
            explain.edit(run, some, part)
    with pytest.raises(InputError, match="is no edit"):
        explain.edit(run, some, "mask_line")
    with pytest.raises(InputError, match="there are no samples"):
        explain.edit(run, some.take([]), EDITS["band"][0])


# ---- swaps ----------------------------------------------------------------------------------------------------------


def test_a_swap_is_what_it_is_by_hand(some):
    run, others = cases.trained("joint_attention"), cases.samples().take(np.arange(8, 16))

    def taken(name):
        def change(fields):
            fields.clear()
            fields.update(others.arrays(name))

        return change

    for names, change in (
        (["image"], {"image": taken("image")}), (["light_curve", "text"], {"light_curve": taken("light_curve"), "text": taken("text")}),
        (["table"], {c: np.ma.filled(others.column(c).astype(float), np.nan) for c in ("mag_g", "colour")}),
    ):  # fmt: skip
        found = explain.swap(run, some, names, others)
        agrees(found, run, some, by_hand(some, **change))
    every = explain.swap(run, some, list(cases.MODALITIES), others)
    np.testing.assert_allclose(every.score_after[0, 0], log_odds(run, others, every.target), atol=2e-4)


def test_swaps_by_id_and_with_oneself(some):
    run = cases.trained("late_fusion")
    itself = explain.swap(run, some, "spectrum", some.object_ids)
    assert not itself.changed.any() and not itself.difference.any() and "no sample was changed" in itself.says
    one = explain.swap(run, some, "spectrum", some.object_ids[2])
    assert one.names == ("spectrum of toy-0002",) and not one.changed[0, 2]
    np.testing.assert_allclose(one.score_after, explain.swap(run, some, "spectrum", some.take([2] * 8)).score_after)
    for wrong, match in ((some.take([0, 1]), "2 objects for 8"), (["nobody"], "nobody")):
        with pytest.raises(InputError, match=match):
            explain.swap(run, some, "spectrum", wrong)
    with pytest.raises(InputError, match="is given image"):
        explain.swap(run, some, "strain", some)


def test_a_number_is_told_in_its_unit(some):
    run = cases.trained("late_fusion", "redshift")
    found = explain.swap(run, some, "table", some.take(np.arange(8)[::-1]))
    np.testing.assert_allclose(found.predicted_before, run.predict(some)["prediction"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.score_before[0] * run.problem.width + run.problem.centre, found.predicted_before)
    assert not found.flipped.any() and "probability_before" not in found.table().colnames


def test_an_ensemble_gives_a_spread(some, pair):
    found = explain.edit(pair, some, EDITS["modality"][0])
    each = [explain.edit(run, some, EDITS["modality"][0], target="star") for run in pair.runs]
    together = explain.edit(pair, some, EDITS["modality"][0], target="star")
    np.testing.assert_allclose(together.score_after[0], [one.score_after[0, 0] for one in each], atol=1e-6)
    np.testing.assert_allclose(together.spread[0], np.std([one.difference[0] for one in each], axis=0), atol=1e-9)
    assert list(found.target) == list(pair.predict(some)["prediction"]) and list(found.predicted_after[0]) == list(pair.predict(by_hand(some, **EDITS["modality"][1]))["prediction"])


# ---- responses ------------------------------------------------------------------------------------------------------


def test_a_response_is_what_it_is_by_hand(some):
    run = cases.trained("joint_attention")
    found = explain.respond(run, some, modality="image", band="g", factors=(0.25, 1, 4))
    assert found.scores.shape == (1, 3, 8) and not found.spread.any()
    for k, factor in enumerate((0.25, 1, 4)):
        hand = by_hand(some, image=lambda f, factor=factor: f["flux"][:, 0].__imul__(factor))
        np.testing.assert_allclose(found.score[k], log_odds(run, hand, found.target), atol=2e-4)
    np.testing.assert_array_equal(found.changed, some.present("image"))
    assert len(found.table()) == 24 and list(found.table()["object_id"][:4]) == ["toy-0000"] * 3 + ["toy-0001"]
    assert (found.summary()["highest"] >= found.summary()["lowest"]).all()


def test_columns_windows_and_magnitudes(some):
    run = cases.trained("late_fusion")
    colour = np.ma.filled(some.column("colour").astype(float), np.nan)
    found = explain.respond(run, some, column="colour", factors=(2,))
    np.testing.assert_allclose(found.score[0], log_odds(run, by_hand(some, colour=2 * colour), found.target), atol=2e-4)
    bright = explain.respond(run, some, column="mag_g", factors=(4,))  # in mag: four times the light
    fainter = np.ma.filled(some.column("mag_g").astype(float), np.nan) - 2.5 * np.log10(4)
    np.testing.assert_allclose(bright.score[0], log_odds(run, by_hand(some, mag_g=fainter), bright.target), atol=2e-4)
    assert "logarithm" in bright.notes[0]

    def window(fields):
        fields["flux"][:, (fields["lambda"] >= 4500) & (fields["lambda"] <= 5000)] *= 0.5

    part = explain.respond(run, some, window=(4500, 5000), factors=(0.5,))
    np.testing.assert_allclose(part.score[0], log_odds(run, by_hand(some, spectrum=window), part.target), atol=2e-4)
    line = explain.respond(run, some, window="H beta", factors=(0.5, 2))
    assert line.name == "spectrum H beta" and line.changed.any()


def test_a_linear_column_answers_by_a_straight_line():
    run, some = cases.linear(), cases.samples().take(np.arange(6))
    found = explain.respond(run, some, column="colour", factors=(0.25, 0.5, 0.75, 1.0), score="logit", target="star")
    steps = np.diff(found.score, axis=0)  # equal steps: far from where values are clipped
    known = ~np.ma.getmaskarray(some.column("colour"))
    np.testing.assert_allclose(steps[0], steps[2], atol=1e-4)
    assert (np.abs(steps[0][known]) > 1e-5).all() and not steps[:, ~known].any()


def test_a_band_over_members_and_where_the_class_changes(some, pair):
    found = explain.respond(pair, some, modality="spectrum")
    assert found.scores.shape == (2, 9, 8) and found.spread.max() > 0
    np.testing.assert_allclose(found.scores[1], explain.respond(pair.runs[1], some, modality="spectrum", target="star").scores[0] if set(found.target) == {"star"} else found.scores[1])
    summary = found.summary()
    for i in range(8):
        above = [f for f, p in zip(found.factors, found.predicted[:, i], strict=True) if f > 1 and p != found.predicted_before[i]]
        assert (summary["flips_above"][i] is np.ma.masked) == (not above)
        assert not above or summary["flips_above"][i] == min(above)


def test_progress_stop_and_bad_factors(some):
    run, told, stop = cases.trained("late_fusion"), [], threading.Event()
    stop.set()
    part = explain.respond(run, some, modality="image", factors=(1, 2), rows=3, on_progress=told.append, stop=stop)
    assert part.score.shape == (2, 3) and told == [{"done": 3, "total": 8}] and len(part.object_ids) == 3
    for wrong in ((), (0, 1), (np.nan,)):
        with pytest.raises(InputError, match="above zero"):
            explain.respond(run, some, modality="image", factors=wrong)
    with pytest.raises(InputError, match="stands alone"):
        explain.respond(run, some, modality="image", column="mag_g")
    with pytest.raises(InputError, match="say which"):
        explain.respond(run, some)
