"""The common grids, and text as numbers."""

import numpy as np
import pytest
from astropy import units as u
from astropy.io.fits import Header
from astropy.wcs import WCS

import astrofuse_lab as af
from astrofuse_lab.alignment.text import hashed_words, words
from astrofuse_lab.errors import InputError


def test_pixel_grid_is_centred_north_up_east_left():
    grid = af.PixelGrid(64, 0.262 * u.arcsec)
    assert grid == af.PixelGrid(64, 0.262) == af.PixelGrid(64, (0.262 / 60) * u.arcmin)
    wcs = WCS(Header(grid.wcs(150.0, 60.0)))
    np.testing.assert_allclose(wcs.pixel_to_world_values(31.5, 31.5), (150.0, 60.0))
    ra, dec = wcs.pixel_to_world_values([31.5, 41.5], [41.5, 31.5])
    assert dec[0] == pytest.approx(60 + 2.62 / 3600, abs=1e-8) and ra[1] < 150


def test_pixel_grid_with_an_angle():
    grid = af.PixelGrid(8, 0.5, 30 * u.deg)
    assert grid == af.PixelGrid(8, 0.5, angle=390) == af.PixelGrid(8, 0.5, np.radians(30) * u.rad) != af.PixelGrid(8, 0.5)
    assert repr(grid) == "PixelGrid(size=8, scale=0.5, angle=30.0)" and repr(af.PixelGrid(8, 0.5)) == "PixelGrid(size=8, scale=0.5)"
    assert af.PixelGrid(8, 0.5, -90).angle == 270 and "PC1_1" not in af.PixelGrid(8, 0.5, 0).wcs(1, 2)
    wcs = WCS(Header(grid.wcs(150.0, 0.0)))
    ra, dec = wcs.pixel_to_world_values(3.5, 5.5)  # two pixels along y: 30 degrees from north to east
    assert (dec * 3600, (ra - 150) * 3600) == (pytest.approx(np.cos(np.pi / 6), abs=1e-6), pytest.approx(0.5, abs=1e-6))
    for bad in (float("nan"), "east", 1 * u.m):
        with pytest.raises(InputError, match="angle"):
            af.PixelGrid(8, 0.5, bad)


def test_log_grid():
    grid = af.LogGrid(3800, 9200, 1e-3)
    assert len(grid) == len(grid.wavelength) == len(grid.edges) - 1 == 385
    np.testing.assert_allclose(np.diff(np.log10(grid.wavelength)), 1e-3, rtol=1e-9)
    assert (grid.edges[:-1] < grid.wavelength).all() and (grid.wavelength < grid.edges[1:]).all()
    assert af.LogGrid(380 * u.nm, 0.92 * u.um, 1e-3) == grid


def test_linear_grid():
    grid = af.LinearGrid(3800, 9200, 2)
    assert len(grid) == len(grid.wavelength) == len(grid.edges) - 1 == 2701 and grid.wavelength[-1] == 9200
    assert af.LinearGrid(380 * u.nm, 0.92 * u.um, 0.2 * u.nm) == grid
    np.testing.assert_allclose((grid.edges[1:] + grid.edges[:-1]) / 2, grid.wavelength)


@pytest.mark.parametrize("grid", [af.LogGrid(3800, 9200, 1e-3), af.LinearGrid(3800, 9200, 1.7)])
def test_pixels_of_a_wavelength_grid_go_both_ways(grid):
    pixel = np.linspace(-0.5, len(grid) - 0.5, 1000)
    np.testing.assert_allclose(grid.pixel(grid.at(pixel)), pixel, atol=1e-8)
    np.testing.assert_array_equal(grid.at(np.arange(len(grid))), grid.wavelength)
    np.testing.assert_allclose(grid.pixel(grid.edges), np.arange(len(grid) + 1) - 0.5, atol=1e-8)


def test_time_grid():
    from astropy.time import Time

    assert af.TimeGrid() == af.TimeGrid(start=None, stop=None, step=None, bands=None)
    grid = af.TimeGrid(59000, 59100, 12 * u.hour, "g1")
    assert (grid.start, grid.stop, grid.step, grid.bands) == (59000.0, 59100.0, 0.5, ("g1",))
    assert grid == af.TimeGrid(Time(59000, format="mjd"), 59100 * u.day, 0.5, ["g1"])
    assert af.TimeGrid(Time("2020-05-31", scale="utc")) == af.TimeGrid(Time("2020-05-31", scale="utc").tdb) == af.TimeGrid(59000)


@pytest.mark.parametrize(
    "make",
    [
        lambda: af.PixelGrid(0, 1), lambda: af.PixelGrid(2.5, 1), lambda: af.PixelGrid("64", 1), lambda: af.PixelGrid(8, -1), lambda: af.PixelGrid(8, float("nan")),
        lambda: af.PixelGrid(8, 1 * u.m), lambda: af.PixelGrid(8, "wide"), lambda: af.LogGrid(5, 4, 1), lambda: af.LogGrid(4000, 5000, 0), lambda: af.LogGrid(4000, 9000, 1e-9),
        lambda: af.LinearGrid(5000, 4000, 1), lambda: af.LinearGrid(4000, 5000, -1), lambda: af.LinearGrid(4000, 9000, 1e-3), lambda: af.LinearGrid(10, 50, 30),
        lambda: af.LinearGrid(4000, 5000, 1 * u.s), lambda: af.LogGrid(4000 * u.s, 9000, 1e-3), lambda: af.LogGrid(4000, float("inf"), 1e-3), lambda: af.LogGrid([4000, 5000], 9000, 1e-3), lambda: af.TimeGrid(3, 3),
        lambda: af.TimeGrid(start=float("nan")), lambda: af.TimeGrid(step=1 * u.m), lambda: af.TimeGrid(start="yesterday"),
    ],
)  # fmt: skip
def test_grids_that_are_none(make):
    with pytest.raises(InputError, match="Grid"):
        make()


def test_words_and_their_numbers():
    assert words("A blue, z=2.31 QSO; A") == ["a", "blue", "z", "2.31", "qso", "a"]
    assert words("one two three", 2) == ["one", "two"]
    values, mask = hashed_words([["blue", "star"], [], ["blue", "stars", "far"]], 128, 2)
    assert values.shape == (3, 2, 128) and mask.tolist() == [[True, True], [False, False], [True, True]]
    np.testing.assert_allclose(np.linalg.norm(values, axis=-1)[mask], 1, rtol=1e-5)
    np.testing.assert_array_equal(values[0, 0], values[2, 0])
    # words that share letters are nearer than words that do not
    assert values[0, 1] @ values[2, 1] > 0.4 > abs(values[0, 0] @ values[0, 1])
