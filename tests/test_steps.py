"""Named steps before the grid, and a set that is aligned again."""

import os
import subprocess
import sys
import tempfile
from dataclasses import replace

import numpy as np
import pytest

import astrofuse_lab as af
from astrofuse_lab.alignment import spectrum_steps, steps
from astrofuse_lab.alignment.steps import Step
from astrofuse_lab.errors import AlignmentError, InputError
from astrofuse_lab.recipes.schema import Part


def brighter(spectrum, about, by, column):
    if about[column] is None:
        raise AlignmentError(f"{column} is missing.")
    return replace(spectrum, flux=spectrum.flux * by * about[column], ivar=spectrum.ivar / (by * about[column]) ** 2)


@pytest.fixture
def brighten(monkeypatch):
    monkeypatch.setitem(spectrum_steps.STEPS, "brighten", Step(brighter, {"by": 2.0, "column": "dec"}, "for this test"))


@pytest.fixture(scope="module")
def samples():
    return af.load_samples("practice", n=24, seed=3)


def test_steps_are_found_by_name_pair_and_part(brighten):
    for given in ("brighten", ("brighten", {"by": 3.0}), Part.of("brighten", by=3.0)):
        (one,) = steps.planned("spectrum", [given])
        assert one.options == {"by": 2.0 if given == "brighten" else 3.0, "column": "dec"}


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [("spectrum", ["nothing"], "no step 'nothing'"), ("table", ["x"], "steps are named for"), ("spectrum", [("brighten", {"of": 1})], "no option 'of'; it has by, column")],
)
def test_an_unknown_step_is_named(brighten, samples, kind, given, words):
    with pytest.raises(InputError, match=words):
        af.align(samples, steps={kind: given}, progress=False)


def test_steps_know_the_object_and_leave_other_kinds_alone(brighten, samples):
    again = af.align(samples, steps={"spectrum": [("brighten", {"by": 2.0, "column": "dec"})]}, progress=False)
    assert list(again.object_ids) == list(samples.object_ids) and again.modalities.keys() == samples.modalities.keys()
    has = samples.present("spectrum")
    before, after = samples.arrays("spectrum"), again.arrays("spectrum")
    wanted = before["flux"] * 2 * samples.column("dec").filled(np.nan)[:, None]
    good = after["mask"]
    assert good.any() and (good <= before["mask"]).all() and np.array_equal(again.present("spectrum"), has)
    assert np.allclose(after["flux"][good], wanted[good], rtol=1e-6)
    for name in ("image", "light_curve", "text"):
        one, other = samples.arrays(name), again.arrays(name)
        assert one.keys() == other.keys() and all(np.array_equal(one[k], other[k], equal_nan=one[k].dtype.kind == "f") for k in one)
    assert again.roles == samples.roles and again.card.simulated


def test_what_a_step_refuses_is_left_out_by_name_and_the_others_go_on(brighten, samples, monkeypatch):
    first = str(samples.object_ids[np.flatnonzero(samples.present("spectrum"))[0]])

    def picky(spectrum, about):
        if about["object_id"] == first:
            raise AlignmentError("flux is not to my liking.")
        return spectrum

    monkeypatch.setitem(spectrum_steps.STEPS, "picky", Step(picky, {}, "for this test"))
    again = af.align(samples, steps={"spectrum": ["picky"]}, progress=False)
    assert again.present("spectrum").sum() == samples.present("spectrum").sum() - 1
    assert any(first in note and "not to my liking" in note for note in again.card.notes)


def test_a_view_is_aligned_in_its_own_order(samples):
    view = samples.take(np.arange(len(samples))[::-2])
    again = af.align(view, spectrum=af.LogGrid(4000, 9000, 2e-3), progress=False)
    assert list(again.object_ids) == list(view.object_ids)
    assert again.spec("spectrum").shape == (len(af.LogGrid(4000, 9000, 2e-3)),)
    assert np.array_equal(again.arrays("image")["flux"], view.arrays("image")["flux"], equal_nan=True)


def test_aligning_on_its_own_grids_changes_nothing(samples):
    spec = samples.spec("image")
    grid = af.PixelGrid(spec.shape[-1], spec.scale)
    again = af.align(samples, image=grid, light_curve=af.TimeGrid(), progress=False)
    before, after = samples.arrays("image"), again.arrays("image")
    good = after["mask"]
    assert good.mean() > 0.95 * before["mask"].mean() and not (good & ~before["mask"]).any()
    assert np.allclose(after["flux"][good], before["flux"][good], rtol=1e-4, atol=1e-4 * np.abs(before["flux"][before["mask"]]).max())
    for key, value in samples.arrays("light_curve").items():
        assert np.array_equal(value, again.arrays("light_curve")[key]), key


def test_images_without_a_place_on_the_sky_stay_where_no_grid_is_asked_for(samples):
    from dataclasses import replace as changed

    data = {name: samples.data_of(name) for name in samples.modalities if name != "table"}
    data["image"] = changed(data["image"], spec=changed(data["image"].spec, oriented=False))
    blind = samples.with_data(data)
    kept = af.align(blind, spectrum=af.LogGrid(4000, 9000, 2e-3), progress=False)
    assert np.array_equal(kept.present("image"), samples.present("image"))


def test_a_small_server_aligns_the_same_without_the_compiler():
    """The compiler takes 140 MB, which Binder has not."""
    code = (
        "import os, sys; os.environ['MEM_LIMIT'] = '1073741824'\n"
        "import astrofuse_lab as af, numpy as np\n"
        "s = af.load_samples('practice', n=12, seed=3)\n"
        "a = af.align(s, image=af.PixelGrid(24, 0.6), spectrum=af.LogGrid(4000, 9000, 2e-3), progress=False)\n"
        "np.savez(sys.argv[1], image=a.arrays('image')['flux'], spectrum=a.arrays('spectrum')['flux'])\n"
        "import astrofuse_lab.training, astrofuse_lab.alignment.representations\n"
        "print('numba' in sys.modules)"
    )
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "small.npz")
        done = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, check=True)
        assert done.stdout.split()[-1] == "False", done.stdout
        small = dict(np.load(file))
    whole = af.align(af.load_samples("practice", n=12, seed=3), image=af.PixelGrid(24, 0.6), spectrum=af.LogGrid(4000, 9000, 2e-3), progress=False)
    for name, got in small.items():
        assert np.allclose(got, whole.arrays(name)["flux"], rtol=1e-4, atol=1e-4), name
