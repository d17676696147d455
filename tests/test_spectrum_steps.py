"""Named treatments of spectra: frames, resolution, continuum, sky, cleaning, dust; beside specutils, astropy and published numbers."""

from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from hypothesis import given, settings
from hypothesis import strategies as st

import astrofuse_lab as af
from astrofuse_lab.alignment import continuum, extinction, resolution, sky_lines, spectra, spectrum_cleaning, spectrum_frames, steps
from astrofuse_lab.alignment.spectrum_steps import STEPS
from astrofuse_lab.errors import AlignmentError
from astrofuse_lab.modalities import SPECTRUM_UNIT, Spectrum
from astrofuse_lab.surveys.spectrum_units import air, vacuum

ABOUT = {"object_id": "a", "ra": 150.1, "dec": 2.2, "z": 0.1, "rv": -120.0, "ebv_mw": 0.2, "label": "QSO", "none": None}


def made(n=2000, start=3700.0, stop=9200.0, seed=0, noise=0.1):
    rng = np.random.default_rng(seed)
    wave = np.geomspace(start, stop, n)
    flux = 5 + wave / 3000 + 10 * np.exp(-(((wave - 6000) / 8) ** 2) / 2) + rng.normal(0, noise, n)
    return Spectrum(wave, flux, np.full(n, 1 / noise**2), np.ones(n, bool), lsf_sigma=np.full(n, 1.5), time=59000.25)


def run(name, spectrum, about=ABOUT, **options):
    return steps.treated(spectrum, steps.planned("spectrum", [(name, options)]), about)


def integral(spectrum):
    return float((np.diff(spectra.edges(spectrum.wavelength)) * spectrum.flux * spectrum.mask).sum())


# every step ---------------------------------------------------------------------------------------

NEEDED = {"match_lsf": {"resolution": 500.0}, "solar_frame": {"place": "paranal"}, "flux_unit": {"unit": "uJy"}, "divide_continuum": {"low": 3.0}}


@pytest.mark.parametrize("name", [name for name in STEPS if name != "interpolate"])  # which is asked to fill gaps
def test_masks_never_shrink_and_the_input_stays(name):
    rng = np.random.default_rng(1)
    one = made()
    mask = rng.random(len(one.flux)) > 0.1
    mask[700:760] = False
    flux, ivar = one.flux.copy(), one.ivar.copy()
    flux[100:140], ivar[900:905] = np.nan, 0.0
    one = replace(one, flux=flux, ivar=ivar, mask=mask)
    before = [np.array(v) for v in (one.wavelength, one.flux, one.ivar, one.mask)]
    got = run(name, one, **NEEDED.get(name, {}))
    measured = spectra.good(one)
    assert (spectra.good(got) <= measured).all() and spectra.good(got).mean() > 0.5
    assert got.flux.shape == got.ivar.shape == got.mask.shape == got.wavelength.shape
    for a, b in zip(before, (one.wavelength, one.flux, one.ivar, one.mask), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", STEPS)
def test_the_order_of_pixels_does_not_matter(name):
    one = made(600)
    turned = replace(one, **{f: getattr(one, f)[::-1] for f in ("wavelength", "flux", "ivar", "mask", "lsf_sigma")})
    options = NEEDED.get(name, {})
    a, b = run(name, one, **options), run(name, turned, **options)
    order = np.argsort(b.wavelength)
    for field in ("wavelength", "flux", "ivar", "mask"):
        np.testing.assert_allclose(getattr(a, field)[np.argsort(a.wavelength)], getattr(b, field)[order], rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "options", "about", "words"),
    [
        ("rest_frame", {"redshift": "none"}, ABOUT, "column 'none' holds None, where a redshift"),
        ("rest_frame", {"redshift": "nowhere"}, ABOUT, "Columns with numbers: ra, dec, z"),
        ("rest_frame", {"redshift": "label"}, ABOUT, "'QSO'"),
        ("rest_frame", {"redshift": -1.5}, ABOUT, "above -1"),
        ("radial_velocity", {"velocity": 4e5}, ABOUT, "speed of light"),
        ("solar_frame", {"place": "atlantis"}, ABOUT, "place 'atlantis'"),
        ("solar_frame", {}, ABOUT, "place=None"),
        ("solar_frame", {"place": "apo"}, {"ra": 1.0, "dec": None}, "dec"),
        ("match_lsf", {"resolution": 5000.0}, ABOUT, "not sharpened. Ask for a resolution of at most"),
        ("match_lsf", {}, ABOUT, "one of resolution"),
        ("divide_continuum", {"method": "magic"}, ABOUT, "polynomial, spline, median"),
        ("mask_lines", {"lines": ["ohh"]}, ABOUT, "no such list"),
        ("mask_bad", {"ranges": [[5000, 4000]]}, ABOUT, "ranges"),
        ("cosmic_rays", {"window": 5}, ABOUT, "twice the widest"),
        ("median_filter", {"width": 4}, ABOUT, "odd"),
        ("deredden", {"ebv": -0.1}, ABOUT, "ebv"),
        ("deredden", {"r_v": 9.0}, ABOUT, "r_v"),
        ("flux_unit", {"unit": "K"}, ABOUT, "cannot be converted to 'K'"),
    ],
)
def test_what_cannot_be_done_names_the_field(name, options, about, words):
    with pytest.raises(AlignmentError, match=words):
        run(name, made(), about, **options)


def test_unknown_resolution_and_time_are_named():
    bare = replace(made(), lsf_sigma=None, time=None)
    with pytest.raises(AlignmentError, match="lsf_sigma is missing"):
        run("match_lsf", bare, resolution=500.0)
    with pytest.raises(AlignmentError, match="time is missing"):
        run("solar_frame", bare, place="apo")
    assert np.median(run("match_lsf", bare, resolution=500.0, own=1500.0).lsf_sigma * resolution.FWHM * 500 / bare.wavelength) == pytest.approx(1)


# frames -------------------------------------------------------------------------------------------


def test_air_and_vacuum():
    from specutils.utils.wcs_utils import air_to_vac, vac_to_air

    wave = np.linspace(2001, 30000, 2000)
    np.testing.assert_allclose(air(wave), vac_to_air(wave * u.AA, method="Morton2000").value, rtol=1e-12)
    np.testing.assert_allclose(vacuum(air(wave)), wave, rtol=1e-11)
    optical = wave[(wave > 3000) & (wave < 10000)]
    np.testing.assert_allclose(vacuum(optical), air_to_vac(optical * u.AA, method="Ciddor1996").value, atol=5e-5)
    # NIST: H-alpha and [O III]; below 2000 Angstrom there is no air
    np.testing.assert_allclose(vacuum(np.array([6562.80, 5006.843])), [6564.61, 5008.240], atol=5e-3)
    assert air(np.array([1500.0]))[0] == vacuum(np.array([1500.0]))[0] == 1500.0
    one = made()
    np.testing.assert_allclose(run("vacuum_to_air", run("air_to_vacuum", one)).wavelength, one.wavelength, rtol=1e-11)


@settings(max_examples=25, deadline=None)
@given(z=st.floats(-0.5, 8), unit=st.sampled_from([SPECTRUM_UNIT, "uJy", "", "relative"]))
def test_rest_frame_conserves_flux_and_comes_back(z, unit):
    one = replace(made(400), unit=unit)
    got = run("rest_frame", one, redshift=z)
    np.testing.assert_allclose(got.wavelength * (1 + z), one.wavelength)
    if unit == "uJy":
        a, b = (float((s.flux * np.diff(spectra.edges(s.wavelength)) / s.wavelength**2).sum()) for s in (one, got))
    else:
        a, b = integral(one), integral(got) * (1 + z if unit == "" else 1)
    assert b == pytest.approx(a, rel=1e-9)
    np.testing.assert_allclose(got.flux**2 * got.ivar, one.flux**2 * one.ivar, rtol=1e-9)
    np.testing.assert_allclose(got.wavelength / got.lsf_sigma, one.wavelength / one.lsf_sigma)
    back = run("rest_frame", got, redshift=1 / (1 + z) - 1)
    for field in ("wavelength", "flux", "ivar"):
        np.testing.assert_allclose(getattr(back, field), getattr(one, field), rtol=1e-9)
    np.testing.assert_array_equal(run("rest_frame", one, redshift=z, conserve=False).flux, one.flux)


def test_radial_velocity_is_relativistic():
    one = made(50)
    got = run("radial_velocity", one, velocity=30_000.0)
    want = (one.wavelength * u.AA).to(u.km / u.s, u.doppler_relativistic(5000 * u.AA)) - 30_000 * u.km / u.s
    assert want.unit == u.km / u.s
    factor = (30_000 * u.km / u.s).to(u.AA, u.doppler_relativistic(1 * u.AA)).value
    np.testing.assert_allclose(one.wavelength / got.wavelength, factor, rtol=1e-12)


def test_solar_frame_is_astropys():
    from astropy.coordinates import EarthLocation, SkyCoord
    from astropy.time import Time

    lon, lat, height = spectrum_frames.PLACES["paranal"]
    at = EarthLocation.from_geodetic(lon * u.deg, lat * u.deg, height * u.m)
    sky = SkyCoord(ABOUT["ra"] * u.deg, ABOUT["dec"] * u.deg)
    one, found = made(50), {}
    for kind in ("barycentric", "heliocentric"):
        velocity = sky.radial_velocity_correction(kind, obstime=Time(59000.25, format="mjd", scale="utc"), location=at).to_value(u.km / u.s)
        got = run("solar_frame", one, place="paranal", kind=kind)
        np.testing.assert_allclose(got.wavelength, one.wavelength * (1 + velocity / 299792.458), rtol=1e-12)
        np.testing.assert_allclose(run("solar_frame", replace(one, time=None), {**ABOUT, "mjd": 59000.25}, place=[lon, lat, height], time="mjd", kind=kind).wavelength, got.wavelength)
        found[kind] = velocity
    assert 1 < abs(found["barycentric"]) < 31 and found["barycentric"] != found["heliocentric"]
    assert integral(got) == pytest.approx(integral(one), rel=1e-12)


def test_units_round_trip_and_are_astropys():
    one = made(300)
    there = run("flux_unit", one, unit="uJy")
    want = (one.flux * u.Unit(SPECTRUM_UNIT)).to_value(u.uJy, u.spectral_density(one.wavelength * u.AA))
    np.testing.assert_allclose(there.flux, want, rtol=1e-12)
    back = run("flux_unit", there)
    for field in ("flux", "ivar"):
        np.testing.assert_allclose(getattr(back, field), getattr(one, field), rtol=1e-12)
    assert back.unit == SPECTRUM_UNIT


# resolution ---------------------------------------------------------------------------------------


def test_a_line_gets_the_wanted_width_and_keeps_its_flux():
    for step in (0.7, 2.0, 5.0):
        wave = np.arange(5000.0, 7000.0, step)
        # a line as the pixels see it: integrated over each
        line = lambda sigma, wave=wave: np.exp(-((wave - 6000) ** 2) / (2 * sigma**2)) / sigma  # noqa: E731
        narrow = Spectrum(wave, line(6.0), np.ones(len(wave)), np.ones(len(wave), bool), lsf_sigma=np.full(len(wave), 6.0))
        got = run("match_lsf", narrow, fwhm=10.0 * resolution.FWHM)
        np.testing.assert_allclose(got.flux, line(10.0), atol=1e-3 * line(10.0).max())
        assert integral(got) == pytest.approx(integral(narrow), rel=1e-9)
        variance = ((wave - 6000) ** 2 * got.flux).sum() / got.flux.sum()
        assert variance == pytest.approx(100, rel=1e-3)


def test_width_that_changes_along_the_spectrum_beside_specutils():
    from specutils import Spectrum as Peer
    from specutils.manipulation import gaussian_smooth

    wave = np.arange(4000.0, 8000.0, 1.0)
    flux = np.zeros(len(wave))
    flux[[500, 2000, 3500]] = 1.0
    one = Spectrum(wave, flux, np.ones(len(wave)), np.ones(len(wave), bool), lsf_sigma=np.full(len(wave), 0.5))
    got = run("match_lsf", one, resolution=500.0)
    for at in (500, 2000, 3500):
        near = slice(at - 60, at + 61)
        total = got.flux[near].sum()
        assert total == pytest.approx(1, rel=1e-6)
        spread = ((wave[near] - wave[at]) ** 2 * got.flux[near]).sum()
        assert np.sqrt(spread + 0.25) == pytest.approx(wave[at] / 500 / resolution.FWHM, rel=1e-6)
    even = run("match_lsf", one, fwhm=resolution.FWHM * np.hypot(0.5, 4.0))
    want = gaussian_smooth(Peer(flux * u.Jy, wave * u.AA), 4.0).flux.value
    # a sampled Gaussian, cut at four sigma
    np.testing.assert_allclose(even.flux, want, atol=1.5e-3 * want.max())


def test_noise_follows_and_bad_pixels_spread():
    rng = np.random.default_rng(3)
    n, sigma = 4000, 3.0
    wave = np.arange(4000.0, 4000.0 + n)
    one = Spectrum(wave, rng.normal(5, 0.5, n), np.full(n, 4.0), np.ones(n, bool), lsf_sigma=np.full(n, 1.0))
    got = run("match_lsf", one, fwhm=resolution.FWHM * np.hypot(1.0, sigma))
    inner = slice(50, -50)
    assert np.std(got.flux[inner]) ** 2 * np.median(got.ivar[inner]) == pytest.approx(1, abs=0.15)
    assert np.median(got.ivar[inner]) == pytest.approx(4.0 * 2 * sigma * np.sqrt(np.pi), rel=0.02)
    mask = np.ones(n, bool)
    mask[2000:2010] = False
    flux = np.where(mask, 5.0, 1e9)
    got = run("match_lsf", replace(one, flux=flux, mask=mask), fwhm=resolution.FWHM * np.hypot(1.0, sigma))
    np.testing.assert_allclose(got.flux[got.mask], 5.0, rtol=1e-9)
    assert not got.mask[2000:2010].any() and got.mask[:1990].all() and got.mask[2020:].all()


def test_equal_width_changes_nothing_and_gaps_are_refused():
    one = made()
    same = run("match_lsf", one, fwhm=1.5 * resolution.FWHM)
    np.testing.assert_allclose(same.flux, one.flux, rtol=1e-12)
    np.testing.assert_allclose(same.ivar, one.ivar, rtol=1e-12)
    again = run("match_lsf", run("match_lsf", one, resolution=400.0), resolution=400.0)
    np.testing.assert_allclose(again.flux, run("match_lsf", one, resolution=400.0).flux, rtol=1e-9)
    gap = replace(one, wavelength=np.where(one.wavelength > 6000, one.wavelength + 500, one.wavelength))
    with pytest.raises(AlignmentError, match=r"lambda has a gap near 5[0-9.]+ Angstrom"):
        run("match_lsf", gap, resolution=400.0)


def test_sets_keep_the_width_and_what_steps_measured():
    class Made:
        surveys = ("mine/spectrum",)
        targets = af.Targets.from_table({"id": ["a", "b", "c"], "ra": [1.0, 2.0, 3.0], "dec": [0.0] * 3})

        def get(self, survey, object_id):
            return {"a": made(seed=1), "b": replace(made(seed=2), lsf_sigma=None), "c": replace(made(seed=3, start=4500.0), lsf_sigma=np.full(2000, 1.9))}[object_id]

    grid = af.LogGrid(4000, 9000, 2e-4)
    samples = af.align(Made(), spectrum=grid, steps={"spectrum": ["cosmic_rays"]}, progress=False)
    width = samples.arrays("spectrum")["lsf_sigma"]
    assert np.all(width[0] == 1.5) and np.isnan(width[1]).all() and np.isnan(width[2, grid.wavelength < 4490]).all() and np.allclose(width[2, grid.wavelength > 4510], 1.9)
    assert samples.column("spectrum_cosmic_ray_pixels").tolist() == [0, 0, 0]
    even = af.align(samples, steps={"spectrum": [("match_lsf", {"fwhm": 1.9 * resolution.FWHM}), ("divide_continuum", {"low": 3.0})]}, progress=False)
    assert even.present("spectrum").tolist() == [True, False, True] and any("b: spectrum left out: lsf_sigma is missing" in note for note in even.card.notes)
    got = even.arrays("spectrum")
    assert np.allclose(got["lsf_sigma"][[0, 2]][:, grid.wavelength > 4510], 1.9)
    assert even.column("spectrum_continuum")[0] == pytest.approx(np.median(samples.arrays("spectrum")["flux"][0]), rel=0.05)
    assert np.ma.getmaskarray(even.column("spectrum_continuum")).tolist() == [False, True, False]
    assert np.median(got["flux"][0][got["mask"][0]]) == pytest.approx(1, abs=0.02)


# continuum ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "within"), [("polynomial", 0.01), ("spline", 0.015), ("median", 0.03)])
def test_the_continuum_is_found_under_absorption(method, within):
    rng = np.random.default_rng(5)
    wave = np.linspace(4000, 8000, 3000)
    truth = 50 + 10 * np.sin(wave / 900) + (wave - 6000) / 200
    flux = truth.copy()
    for centre in rng.uniform(4100, 7900, 40):
        flux *= 1 - 0.5 * np.exp(-(((wave - centre) / 6) ** 2))
    flux += rng.normal(0, 0.2, len(wave))
    ivar, mask = np.full(len(wave), 25.0), np.ones(len(wave), bool)
    flux[1500], mask[1500] = 1e6, False
    got = continuum.normalised(wave, flux, ivar, mask, method, order=9, window=400.0, low=1.5)
    assert np.median(np.abs(got.continuum / truth - 1)) < within
    good = got.mask
    assert not good[1500] and good.sum() == len(wave) - 1
    # what was divided by gives the spectrum back
    np.testing.assert_allclose((got.flux * got.continuum)[good], flux[good], rtol=1e-12)
    np.testing.assert_allclose((got.ivar / got.continuum**2)[good], 25.0, rtol=1e-12)
    # lines that are rejected unevenly do not pull it down
    if method != "median":
        even = continuum.continuum(wave, flux, ivar, mask, method, order=9, window=400.0, low=1e9, high=1e9)
        assert np.median(even / truth) < np.median(got.continuum / truth)


def test_a_continuum_crosses_a_gap_and_is_not_made_of_nothing():
    wave = np.linspace(4000, 8000, 800)
    flux, ivar, mask = 10 + wave / 1000, np.ones(800), np.abs(wave - 6000) > 700
    got = continuum.continuum(wave, np.where(mask, flux, np.nan), ivar, mask, "spline", window=100.0)
    np.testing.assert_allclose(got, flux, rtol=2e-3)
    with pytest.raises(AlignmentError, match="too few"):
        continuum.continuum(wave, flux, ivar, np.arange(800) < 3)
    with pytest.raises(AlignmentError, match="positive nowhere"):
        continuum.normalised(wave, -flux, ivar, np.ones(800, bool))
    assert run("divide_continuum", Spectrum(wave, flux, ivar, np.ones(800, bool))).unit == ""


# cleaning -----------------------------------------------------------------------------------------


def test_cosmic_rays_are_found_and_lines_are_kept():
    rng = np.random.default_rng(7)
    one = made(4000, noise=0.2)
    hits = rng.choice(np.setdiff1d(np.arange(50, 3950), np.flatnonzero(np.abs(one.wavelength - 6000) < 60)), 40, replace=False)
    flux = one.flux.copy()
    flux[hits] += rng.uniform(4, 100, 40)
    got = run("cosmic_rays", replace(one, flux=flux))
    assert (~got.mask[hits]).mean() > 0.95 and (~got.mask).sum() <= 60
    assert got.mask[np.abs(one.wavelength - 6000) < 40].all()
    assert run("cosmic_rays", one).mask.mean() > 0.999
    np.testing.assert_array_equal(got.flux, flux)


def test_running_median_leaves_bad_pixels_out_and_knows_its_noise():
    from scipy.ndimage import median_filter

    rng = np.random.default_rng(8)
    values = rng.normal(0, 1, (3, 500))
    for width in (1, 3, 7):
        got = spectrum_cleaning.running_median(values, np.ones_like(values, bool), width)
        np.testing.assert_allclose(got[:, 10:-10], median_filter(values, (1, width))[:, 10:-10])
    good = rng.random((3, 500)) > 0.3
    good[1, 100:120] = False
    got = spectrum_cleaning.running_median(values, good, 9)
    assert np.isnan(got[1, 105:115]).all() and got[0, 250] == np.median(values[0, 246:255][good[0, 246:255]])
    noise = rng.normal(0, 0.5, 60000)
    for width in (3, 5, 15):
        cleaned = spectrum_cleaning.median_filtered(noise, np.full(60000, 4.0), np.ones(60000, bool), width)
        assert np.var(cleaned.flux[20:-20]) * np.median(cleaned.ivar) == pytest.approx(1, abs=0.05)


def test_dead_runs_and_ranges_are_masked():
    one = made()
    flux = one.flux.copy()
    flux[10:14] = flux[20] = 0.0
    got = run("mask_bad", replace(one, flux=flux), ranges=[[5000.0, 5100.0]])
    assert not got.mask[10:14].any() and got.mask[20]
    assert not got.mask[(one.wavelength >= 5000) & (one.wavelength <= 5100)].any() and got.mask[one.wavelength > 5100].all()


def test_wavelengths_given_twice_are_merged_by_ivar():
    wave = np.array([5000.0, 4000.0, 5000.0, np.nan, 6000.0, 6000.0])
    one = Spectrum(wave, np.array([1.0, 2.0, 4.0, 9.0, np.nan, 7.0]), np.array([1.0, 1.0, 3.0, 1.0, 1.0, 0.0]), np.ones(6, bool))
    with pytest.raises(AlignmentError, match=r"pixel 3.*tidy_wavelengths"):
        spectra.check(one)
    got = run("tidy_wavelengths", one)
    np.testing.assert_array_equal(got.wavelength, [4000, 5000, 6000])
    np.testing.assert_allclose(got.flux[:2], [2, (1 + 12) / 4])
    np.testing.assert_array_equal(got.ivar, [1, 4, 0])
    np.testing.assert_array_equal(got.mask, [True, True, False])
    spectra.check(got)


# the sky ------------------------------------------------------------------------------------------


def test_sky_lines_and_bands():
    one = made(6000)
    lost = ~run("mask_lines", one, lines="sky", half_width=4.0).mask
    for line in (5578.89, 6302.05, 6365.54, 5891.58, 5897.56, 8401.48, 8432.49):  # vacuum
        assert lost[np.abs(one.wavelength - line).argmin()], line
    for quiet in (4500.0, 5200.0, 6100.0, 6500.0, 7000.0):
        assert not lost[np.abs(one.wavelength - quiet).argmin()], quiet
    bands = ~run("mask_lines", one, lines="telluric").mask
    assert bands[np.abs(one.wavelength - 7620).argmin()] and bands[np.abs(one.wavelength - 6875).argmin()] and not bands[np.abs(one.wavelength - 6564).argmin()]
    both = ~run("mask_lines", one, lines=["sky", "telluric"], half_width=4.0).mask
    np.testing.assert_array_equal(both, lost | bands)
    assert sky_lines.regions("oxygen", 1.0)[0] == pytest.approx((5577.89, 5579.89), abs=0.01)
    for low, high in sky_lines.regions("all"):
        assert 3000 < low < high < 11000


def test_dust_is_fitzpatricks():
    # dust_extinction 1.7, F99(Rv), times Rv
    wave = np.array([2000.0, 2600, 3000, 4000, 5000, 5500, 6563, 8000, 12200, 20000])
    want = np.array([2.7622560892806565, 2.126120581215798, 1.7967335740343797, 1.423293968383568, 1.1216531012927626, 0.9778952707596905, 0.7604189654739342, 0.553192438218701, 0.26741935483870954, 0.12462948395295449])
    np.testing.assert_allclose(extinction.fitzpatrick(wave), 3.1 * want, rtol=1e-9)
    assert extinction.fitzpatrick(np.array([2600.0]), 2.5)[0] == pytest.approx(2.5 * 2.518968783437118, rel=1e-9)
    assert np.isnan(extinction.fitzpatrick(np.array([900.0, 40000.0]))).all()
    one = made()
    got = run("deredden", one)
    np.testing.assert_allclose(-2.5 * np.log10(one.flux / got.flux), 0.2 * extinction.fitzpatrick(one.wavelength), rtol=1e-9)
    np.testing.assert_allclose(got.flux**2 * got.ivar, one.flux**2 * one.ivar, rtol=1e-9)
    far = run("deredden", replace(one, wavelength=one.wavelength * 4))
    assert not far.mask[one.wavelength * 4 > 35000].any()
