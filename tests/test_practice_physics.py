"""The physics behind the practice sky, beside astropy, scipy and published formulae."""

import numpy as np
import pytest
from astropy import units as u
from astropy.modeling.physical_models import BlackBody

from astrofuse_lab.surveys.practice import catalogue, sed, shapes, variability
from astrofuse_lab.surveys.practice.sed import Sed
from astrofuse_lab.surveys.practice.shapes import Shape
from astrofuse_lab.surveys.practice.sources import Component, Source

WAVES = np.linspace(3600.0, 9800.0, 400)


def made(behaviour, **numbers):
    star = Component(Sed("stellar", 0.0, {"temperature": 6000.0}), 18.0, varies=True)
    return Source(5, "practice-00000005", 10.0, 0.0, "field-000000", 0, "star", "made", (star,), behaviour, None, numbers)


@pytest.mark.parametrize("temperature", [3000.0, 5772.0, 20_000.0])
def test_black_bodies_are_astropys(temperature):
    peer = BlackBody(temperature * u.K, scale=1 * u.erg / (u.s * u.cm**2 * u.AA * u.sr))(WAVES * u.AA).value
    peer0 = BlackBody(temperature * u.K, scale=1 * u.erg / (u.s * u.cm**2 * u.AA * u.sr))(5500 * u.AA).value
    assert sed.black_body(WAVES, temperature) == pytest.approx(peer / peer0, rel=1e-5)


def test_flux_units_are_astropys():
    ours = sed.UJY * 6231.0**2
    peer = (1e-17 * u.erg / (u.s * u.cm**2 * u.AA)).to_value(u.uJy, u.spectral_density(6231 * u.AA))
    assert ours == pytest.approx(peer, rel=1e-5)
    assert sed.microjansky(20.0) == pytest.approx((20 * u.ABmag).to_value(u.uJy), rel=1e-3)
    assert sed.magnitude(sed.microjansky(17.3)) == pytest.approx(17.3) and sed.magnitude(-1.0) is None


@pytest.mark.parametrize("one", [Sed("stellar", 0.0, {"temperature": 5000.0}), Sed("galactic", 0.2, {"young": 0.5}), Sed("active", 1.5, {"slope": -1.5, "lines": 1.0})])
def test_a_spectrum_has_the_magnitude_it_was_given(one):
    """The photon-weighted mean f_nu over the r band (Bessell & Murphy 2012, eq. A15), integrated here by the trapezoid rule."""
    centre, width = sed.BANDS["r"]
    wave = np.linspace(centre - width / 2, centre + width / 2, 4001)
    flux = sed.flux_density(one, wave, sed.microjansky(19.0))
    speed = 2.99792458e18  # Å/s
    f_nu = np.trapezoid(flux * wave, wave) / np.trapezoid(speed / wave, wave) * 1e-17 / 1e-29
    assert f_nu == pytest.approx(sed.microjansky(19.0), rel=0.03)  # 41 points do not resolve lines


def test_a_flat_f_nu_has_no_colour():
    colours = sed.band_fluxes(Sed("active", 0.0, {"slope": -2.0, "lines": 0.0}))
    assert list(colours.values()) == pytest.approx([1, 1, 1, 1], rel=1e-3)
    hot, cool = (sed.band_fluxes(Sed("stellar", 0.0, {"temperature": t})) for t in (15_000.0, 3500.0))
    assert hot["g"] > 1 > cool["g"] and cool["z"] > 1 > hot["z"]


@pytest.mark.parametrize("template", ["exploding_ia", "exploding_ii"])
@pytest.mark.parametrize("phase", [-15.0, 0.0, 30.0, 120.0])
def test_supernovae_shine_at_every_phase(template, phase):
    flux = sed.shape(Sed(template, 0.05, {"phase": phase}), WAVES)
    assert np.isfinite(flux).all() and (flux > 0).all()


def test_silicon_is_blueshifted_at_maximum():
    """Si II 6355 of a normal type Ia near maximum: minimum near 6150 Å, 11,000 km/s (Filippenko 1997)."""
    flux = sed.shape(Sed("exploding_ia", 0.0, {"phase": 0.0}), WAVES) / sed.black_body(WAVES, 9000.0)
    window = (WAVES > 5950) & (WAVES < 6350)
    assert WAVES[window][np.argmin(flux[window])] == pytest.approx(6150, abs=60)


@pytest.mark.parametrize("index", [0.5, 1.0, 2.0, 3.5])
def test_mixtures_follow_sersic(index):
    """Light within a radius against the incomplete gamma function (Graham & Driver 2005, eq. 2)."""
    from scipy.special import gammainc, gammaincinv

    weight, variance = shapes.sersic_mixture(index)
    b = gammaincinv(2 * index, 0.5)
    for radius in (0.5, 1.0, 2.0, 4.0):
        ours = (weight * (1 - np.exp(-0.5 * radius**2 / variance))).sum()
        assert ours == pytest.approx(gammainc(2 * index, b * radius ** (1 / index)), abs=0.035)


@pytest.mark.parametrize("shape", [Shape(), Shape(1.5, 1.0, 0.5, 30.0), Shape(1.0, 3.5, 0.8, 100.0), Shape(angle=60.0, length=4.0)])
def test_painting_conserves_light(shape):
    scale = 0.25
    y, x = (np.mgrid[-160:161, -160:161] * scale).astype(np.float32)
    canvas = np.zeros_like(x)
    shapes.paint(canvas, -x, y, shape, 7.0, 1.2, scale**2)
    assert canvas.sum() == pytest.approx(7.0, rel=0.01)
    assert ((canvas * x).sum() / canvas.sum(), (canvas * y).sum() / canvas.sum()) == pytest.approx((0, 0), abs=0.01)


def test_trails_and_discs_lie_at_their_angle():
    """Position angle from north to east, with east to the left."""
    y, x = (np.mgrid[-60:61, -60:61] * 0.25).astype(np.float32)
    for shape in (Shape(angle=30.0, length=6.0), Shape(2.0, 1.0, 0.3, 30.0)):
        canvas = np.zeros_like(x)
        shapes.paint(canvas, -x, y, shape, 1.0, 0.8, 0.0625)
        east, north = -x, y
        angle = 0.5 * np.degrees(np.arctan2(2 * (canvas * east * north).sum(), (canvas * (north**2 - east**2)).sum()))
        assert angle == pytest.approx(30.0, abs=1.0)


@pytest.mark.parametrize(("shape", "distance"), [(Shape(), 0.0), (Shape(), 0.8), (Shape(1.2, 1.0), 0.5), (Shape(angle=0.0, length=3.0), 0.0)])
def test_the_light_in_an_aperture_is_that_of_the_picture(shape, distance):
    scale = 0.05
    y, x = (np.mgrid[-240:241, -240:241] * scale).astype(np.float32)
    canvas = np.zeros_like(x)
    shapes.paint(canvas, -x + np.float32(distance), y, shape, 1.0, 1.3, scale**2)
    counted = canvas[np.hypot(x, y) < 1.0].sum()
    assert shapes.share_within(shape, distance, 2.0, 1.3) == pytest.approx(counted, abs=0.02)


def test_damped_walks_have_their_variance_and_memory():
    """Stationary variance A² and autocorrelation exp(-dt / tau) (Kelly et al. 2009, eq. 4 and 5)."""
    time = np.arange(0.0, 60_000.0, 5.0)
    walk = variability.damped_walk(made("damped_walk", tau=50.0, amplitude=0.3), time)
    assert walk.std() == pytest.approx(0.3, rel=0.12)
    walk = walk - walk.mean()
    assert (walk[10:] * walk[:-10]).mean() / (walk**2).mean() == pytest.approx(np.exp(-1), abs=0.1)


@pytest.mark.parametrize(("behaviour", "more"), [("pulsator", {}), ("eclipsing", {"second": 0.5})])
def test_periodic_stars_repeat(behaviour, more):
    source = made(behaviour, period=0.7, amplitude=0.8, phase=0.3, **more)
    time = np.linspace(0, 0.7, 200, endpoint=False)
    one, later = (variability.BEHAVIOURS[behaviour](source, time + k * 0.7) for k in (0, 11))
    assert one == pytest.approx(later, abs=1e-6) and 0.5 < np.ptp(one) < 1.2


def test_a_type_ia_fades_as_published():
    """Decline in r over 15 days near 0.7 mag (Folatelli et al. 2010, arXiv:0910.3317); nothing 20 days before maximum."""
    source = made("supernova_ia", peak=100.0, stretch=1.0)
    change = variability.supernova_ia(source, np.array([79.0, 100.0, 115.0, 160.0]))
    assert np.isinf(change[0]) and change[1] == 0
    assert change[2] == pytest.approx(0.65, abs=0.15) and change[3] > 2


def test_fluxes_go_by_band_and_time():
    source = made("outburst", peak=100.0, rise=2.0, fall=10.0, amplitude=3.0)
    time = np.array([50.0, 100.0, 100.0, 250.0])
    flux = variability.fluxes(source, source.components[0], time, ["r", "r", "g", "r"])
    quiet = sed.microjansky(18.0)
    assert flux[[0, 3]] == pytest.approx([quiet, quiet], rel=0.01) and flux[1] / quiet == pytest.approx(10**1.2, rel=1e-3)
    assert flux[2] > flux[1] * sed.band_fluxes(source.components[0].sed)["g"]  # bluer when brighter


def test_every_object_of_a_field_can_shine():
    for number in range(3_000_000, 3_000_400):
        source = catalogue.source(number)
        assert source.behaviour in variability.BEHAVIOURS
        for when in ("image_time", "spectrum_time"):
            time = np.array([variability.moment(source, when)])
            total = sum(float(variability.fluxes(source, c, time, ["r"])[0]) for c in source.components)
            assert np.isfinite(total) and total >= 0, source
