"""Images of real sets: ZTF triplets registered, the colours of SDSS galaxies on each other."""

import numpy as np
import pytest

import astrofuse_lab as af

pytestmark = pytest.mark.real


@pytest.fixture
def real(mirror):
    return lambda name: af.load_samples(name, mirror=mirror, progress=False)


def residual(samples, band):
    """arcsec, of the images whose shift was found."""
    x, y, applied = (np.ma.filled(samples.column(f"image_shift_{band}_{part}").astype(float), np.nan) for part in ("x", "y", "applied"))
    return np.hypot(x, y)[applied == 1]


def test_ztf_triplets_are_registered_better_than_they_came(real):
    samples = real("ztf-alerts")
    few = samples.take(np.arange(0, len(samples), 20))
    plan = {"image": [("register", {"to": "reference", "bands": ["science"], "most": 3.0})]}
    once = af.align(few, steps=plan, progress=False)
    again = af.align(once, steps=plan, progress=False)
    before, after = residual(once, "science"), residual(again, "science")
    assert len(before) > 0.7 * len(few)
    # Masci et al. 2019 state 45 to 85 mas per axis between exposures; here a median of some 80 mas is left, and taken out
    assert 0.02 < np.median(before) < 0.15 and np.median(after) < 0.4 * np.median(before)
    assert np.array_equal(once.present("image"), few.present("image")) and not once.spec("image").oriented
    for band in (1, 2):
        assert np.array_equal(once.arrays("image")["flux"][:, band], few.arrays("image")["flux"][:, band] * few.arrays("image")["mask"][:, band])
    assert once.arrays("image")["mask"][:, 0].sum() <= few.arrays("image")["mask"][:, 0].sum()


def test_a_known_shift_of_real_stamps_is_found(real):
    from astrofuse_lab.alignment import registration
    from astrofuse_lab.modalities import Image

    samples = real("ztf-alerts")
    got = samples.arrays("image", range(0, 400, 10))
    errors = []
    for flux, mask in zip(got["flux"][:, 1], got["mask"][:, 1], strict=True):
        one = Image(flux[None], mask[None], ("r",), {}, 1.01)
        moved, left, _ = registration.moved(one, 0, 0.7, -0.4)
        found = registration.shift_between(moved, left, flux, mask)
        if found.found:
            errors.append(np.hypot(found.x - 0.7, found.y + 0.4))
    assert len(errors) > 25 and np.median(errors) < 0.05


def test_colours_of_sdss_galaxies_lie_on_each_other(real):
    samples = real("sdss-galaxies-10")
    bands = samples.spec("image").channels
    plan = {"image": ["background", ("register", {"to": bands[1], "most": 3.0})]}  # pixels: their size is not known
    once = af.align(samples, steps=plan, progress=False)
    for band in (bands[0], bands[2]):
        found = residual(once, band)
        assert len(found) >= 5 and np.median(found) < 1.0
    assert once.units[f"image_shift_{bands[0]}_x"] == "pix" and once.spec("image").scale == 0.0
    assert once.present("image").sum() == samples.present("image").sum()
