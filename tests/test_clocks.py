"""Clocks and magnitudes against astropy and published numbers."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import EarthLocation, SkyCoord
from astropy.time import Time
from astropy.utils import iers
from hypothesis import given, settings
from hypothesis import strategies as st

from astrofuse_lab.alignment import bands, clocks, magnitudes
from astrofuse_lab.errors import AlignmentError

DAY = 86400.0


def test_scales_differ_by_what_the_standards_say():
    # TT - TAI = 32.184 s always; TAI - UTC = 37 s since 2017, 29 s in 1994 (IERS Bulletin C)
    assert (clocks.converted([58000.0], "UTC", "TAI") - 58000.0) * DAY == pytest.approx(37.0, abs=2e-6)
    assert (clocks.converted([49400.0], "UTC", "TT") - 49400.0) * DAY == pytest.approx(28 + 32.184, abs=2e-6)
    assert abs((clocks.converted([58000.0], "TT", "TDB") - 58000.0) * DAY) < 0.0017
    assert np.isnan(clocks.converted([np.nan, 58000.0], "UTC", "TDB")).tolist() == [True, False]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(42000, 65000), min_size=1, max_size=20), st.sampled_from(clocks.SCALES), st.sampled_from(clocks.SCALES))
def test_clocks_there_and_back(times, one, other):
    back = clocks.converted(clocks.converted(times, one, other), other, one)
    assert np.allclose(back, times, atol=3e-11, rtol=0)  # float64 of an MJD: 0.6 microseconds
    assert np.array_equal(clocks.converted(times, "BJD_" + one, "BJD_" + other), clocks.converted(times, one, other))


@given(st.floats(0, 70000), st.sampled_from(sorted(clocks.ZEROS)))
def test_forms_of_day_there_and_back(mjd, form):
    assert clocks.to_mjd(clocks.from_mjd(mjd, form), form) == pytest.approx(mjd, abs=1e-9)


def test_forms_of_day():
    assert clocks.to_mjd(2451545.0, "jd") == 51544.5 and clocks.to_mjd(0.0, "btjd") == 56999.5 and clocks.to_mjd(0.0, "bkjd") == 54832.5


@pytest.mark.parametrize(("where", "place"), [("palomar", clocks.OBSERVATORIES["palomar"]), ([10.0, -30.0, 2000.0], (10.0, -30.0, 2000.0))])
def test_light_travel_is_astropys(where, place):
    rng = np.random.default_rng(0)
    mjd, ra, dec = rng.uniform(52000, 60000, 40), rng.uniform(0, 360, 40), rng.uniform(-90, 90, 40)
    with iers.conf.set_temp("auto_download", False):
        site = EarthLocation.from_geodetic(place[0] * u.deg, place[1] * u.deg, place[2] * u.m)
        time = Time(mjd, format="mjd", scale="utc", location=site)
        expected = (time.tdb + time.light_travel_time(SkyCoord(ra * u.deg, dec * u.deg))).mjd
    got = clocks.barycentric(mjd, ra, dec, "UTC", where)
    assert np.abs(got - expected).max() * DAY < 1e-5
    assert np.abs(clocks.light_travel(mjd, ra, dec, "UTC", where)).max() < 0.0059
    # seen from the centre of the Earth, at most one Earth radius of light and the height of the telescope away
    assert np.abs(clocks.barycentric(mjd, ra, dec) - got).max() * DAY < 0.0214


def test_what_is_barycentric_stays_and_is_never_mixed_with_a_telescopes_clock():
    time = np.array([58000.0, 58001.5])
    assert np.array_equal(clocks.barycentric(time, 10, 20, "BJD_TDB"), time)
    with pytest.raises(AlignmentError, match="barycentric"):
        clocks.converted(time, "UTC", "BJD_TDB")
    with pytest.raises(AlignmentError, match="already"):
        clocks.light_travel(time, 10, 20, "BJD_TDB")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: clocks.converted([1.0], "lunar", "UTC"), "'lunar'"),
        (lambda: clocks.to_mjd([1.0], "stardate"), "'stardate'"),
        (lambda: clocks.observatory("Atlantis"), "'Atlantis'"),
        (lambda: clocks.observatory([1.0, 95.0, 0.0]), "latitude"),
        (lambda: clocks.light_travel([58000.0], np.nan, 10.0), "position"),
    ],
)
def test_bad_clocks_and_places(call, words):
    with pytest.raises(AlignmentError, match=words):
        call()


# ---- magnitudes ------------------------------------------------------------------------------------------------------


def test_zero_points():
    band = np.array(["g", "W1", "ztf:g", "W2"])
    assert np.array_equal(magnitudes.zero_points("AB", band), np.full(4, 3.631e9))
    assert magnitudes.flux_of(23.9, 0.1, 3.631e9).value == pytest.approx(1.0, rel=1e-3)  # 23.9 is the usual rounding
    assert np.array_equal(magnitudes.zero_points("Vega", band[[1, 3]]), [309.540e6, 171.787e6])
    # Vega's AB magnitude: 0.02 in V, 0.91 in J, 1.85 in Ks (Blanton & Roweis 2007, AJ 133, 734, table 1)
    for name, offset in (("V", 0.02), ("J", 0.91), ("Ks", 1.85)):
        assert -2.5 * np.log10(bands.VEGA_ZERO[name] / 3631) == pytest.approx(offset, abs=0.03)
    assert np.array_equal(magnitudes.zero_points([["g", 4000.0], ["W1", 300.0]], band[:3]), [4e9, 3e8, 4e9])
    assert np.array_equal(magnitudes.zero_points(1000.0, band), np.full(4, 1e9))
    for zero, words in (("Vega", "'g'"), ([["g", 4000.0]], "'W1'"), ("Sirius", "'Sirius'")):
        with pytest.raises(AlignmentError, match=words):
            magnitudes.zero_points(zero, band)


@given(st.lists(st.tuples(st.floats(-1e4, 1e6), st.floats(1e-3, 1e4), st.booleans()), min_size=1, max_size=30), st.sampled_from([1.0, 3.0, 5.0]))
def test_fluxes_there_and_back_and_limits_stay_limits(epochs, sigma):
    flux, error, limit = (np.array(v) for v in zip(*epochs, strict=True))
    there = magnitudes.magnitude_of(flux, error, 3.631e9, limit, sigma=sigma)
    back = magnitudes.flux_of(there.value, there.error, 3.631e9, there.limit, there.mask)
    faint = limit | (flux < sigma * error)
    assert np.array_equal(there.limit, faint) and np.array_equal(back.limit, faint) and back.mask.all()
    assert np.allclose(back.error, error, rtol=1e-9)  # a limit's depth comes back, too
    assert np.allclose(back.value[~faint], flux[~faint], rtol=1e-9) and (back.value[faint] == 0).all()


@given(st.lists(st.tuples(st.floats(-1e5, 1e8), st.floats(1e-3, 1e4)), min_size=1, max_size=30), st.sampled_from("ugriz"))
def test_asinh_magnitudes_there_and_back(epochs, band):
    flux, error = (np.array(v) for v in zip(*epochs, strict=True))
    soft = magnitudes.softenings(np.full(len(flux), band))
    back, spread = magnitudes.asinh_flux_of(*magnitudes.asinh_magnitude_of(flux, error, 3.631e9, soft), 3.631e9, soft)
    assert np.allclose(back, flux, rtol=1e-8, atol=1e-8) and np.allclose(spread, error, rtol=1e-8)


def test_asinh_magnitudes_are_those_of_sdss():
    # https://www.sdss4.org/dr17/algorithms/magnitudes/: magnitude of zero flux, and where the flux is ten softenings
    for band, nothing, ten in (("u", 24.63, 22.12), ("g", 25.11, 22.60), ("r", 24.80, 22.29), ("i", 24.36, 21.85), ("z", 22.83, 20.32)):
        soft = magnitudes.softenings(np.array([band]))
        assert magnitudes.asinh_magnitude_of(0.0, 1.0, 3.631e9, soft)[0] == pytest.approx(nothing, abs=0.01)
        assert magnitudes.asinh_magnitude_of(10 * soft * 3.631e9, 1.0, 3.631e9, soft)[0] == pytest.approx(ten, abs=0.01)
    bright = magnitudes.asinh_magnitude_of(1e6, 1e3, 3.631e9, 1e-10)
    plain = magnitudes.magnitude_of(1e6, 1e3, 3.631e9)
    assert bright[0] == pytest.approx(plain.value, abs=1e-6) and bright[1] == pytest.approx(plain.error, rel=1e-6)


def test_what_is_no_magnitude_is_masked():
    got = magnitudes.flux_of([20.0, np.nan, 99.0, -99.0, 20.0, 20.0], [0.1, 0.1, 0.1, 0.1, 0.0, np.nan], 3.631e9)
    assert got.mask.tolist() == [True, False, False, False, False, False] and np.isfinite(got.value).all() and np.isfinite(got.error).all()
    with pytest.raises(AlignmentError, match="sigma"):
        magnitudes.magnitude_of([1.0], [1.0], 1.0, sigma=0)
    with pytest.raises(AlignmentError, match="'W1'"):
        magnitudes.softenings(np.array(["g", "W1"]))
    with pytest.raises(AlignmentError, match="'rr'"):
        bands.wavelengths(["g", "rr"])


def test_any_clock_becomes_any_other():
    time = np.linspace(57000, 58000, 50)
    there = clocks.matched(time, "UTC", "BJD_TDB", 150.0, 20.0)
    assert np.array_equal(there, clocks.barycentric(time, 150.0, 20.0))
    assert np.abs(clocks.matched(there, "BJD_TDB", "UTC", 150.0, 20.0) - time).max() * DAY < 2e-5
    assert np.abs(clocks.matched(clocks.converted(there, "BJD_TDB", "BJD_TCB"), "BJD_TCB", "TAI", 150.0, 20.0) - time - 35 / DAY).max() * DAY < 2.1
    assert np.array_equal(clocks.matched(time, "UTC", "TT", np.nan, np.nan), clocks.converted(time, "UTC", "TT"))


def test_curves_of_a_telescope_and_of_the_barycentre_are_merged_on_one_clock():
    from astrofuse_lab.modalities import LightCurve
    from astrofuse_lab.samples.collect import LightCurveCollector

    def curve(time, clock, band):
        return LightCurve(np.asarray(time), np.ones(len(time)), np.ones(len(time)), np.full(len(time), band), np.ones(len(time), bool), clock=clock)

    time = np.array([58000.0, 58010.0])
    for first, second in (("BJD_TDB", "UTC"), ("UTC", "BJD_TDB")):
        made = LightCurveCollector(1, np.array([150.0]), np.array([20.0]), lambda *_: None)
        made.add("a", 0, curve(time, first, "g"))
        made.add("b", 0, curve(time, second, "r"))
        data = made.finish({})["light_curve"]
        moved = data.fields["time"][data.fields["band"] == 1]
        assert data.spec.clock == first and np.allclose(moved, clocks.matched(time, second, first, 150.0, 20.0), atol=1e-10) and (np.abs(moved - time) > 1e-3).all()
