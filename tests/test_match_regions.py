"""Sky maps and error regions: probability, credible levels, distances."""

import numpy as np
import pytest
from astropy_healpix import healpix_to_lonlat
from scipy.integrate import quad

from astrofuse_lab import regions
from astrofuse_lab.alignment import match_regions
from astrofuse_lab.alignment.match_regions import ErrorRegion, in_map, in_region, parameters
from astrofuse_lab.errors import AlignmentError
from astrofuse_lab.modalities import SkyMap
from astrofuse_lab.surveys.sky_maps import moments

SKY = 41252.96124941927


def centres(order):
    lon, lat = healpix_to_lonlat(np.arange(12 * 4**order), 1 << order, order="nested")
    return lon.deg, lat.deg


def gaussian_map(order=5, distances=True, mixed=False):
    """A map of an ellipse, with distances that change over the sky; its cells of two orders, in no order, where `mixed`."""
    lon, lat = centres(order)
    density = in_region(lon, lat, ErrorRegion(120.0, 35.0, 25.0, minor=15.0, angle=30.0)).density
    uniq = np.arange(len(lon)) + 4 * 4**order
    mean, std = 100 + 30 * np.sin(np.radians(lon)), np.full(len(lon), 25.0)
    density = density * np.degrees(1) ** 2
    if mixed:
        # the four children of a cell that all hold little become one
        four = density.reshape(-1, 4)
        coarse = four.max(axis=1) < density.max() * 1e-3
        parents = np.flatnonzero(coarse) + 4 * 4 ** (order - 1)
        keep = ~np.repeat(coarse, 4)
        uniq = np.concatenate([uniq[keep], parents])
        density, mean, std = (np.concatenate([v[keep], v.reshape(-1, 4)[coarse].mean(axis=1)]) for v in (density, mean, std))
        by = np.random.default_rng(0).permutation(len(uniq))
        uniq, density, mean, std = uniq[by], density[by], mean[by], std[by]
    area = np.pi / 3 / 4.0 ** ((np.log2(uniq) // 2) - 1)
    density = density / np.sum(density * area)
    return SkyMap(uniq, density, mean if distances else None, std if distances else None, 60000.0)


@pytest.mark.parametrize("mixed", [False, True])
def test_levels_on_the_sky_are_those_of_the_credible_region(mixed):
    sky_map = gaussian_map(mixed=mixed)
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(0, 360, 3000), np.degrees(np.arcsin(rng.uniform(-1, 1, 3000)))
    got = in_map(ra, dec, sky_map)
    for level in (0.3, 0.9, 0.99):
        inside = regions.credible_region(sky_map, level).contains(ra, dec)
        # the region is rounded up by its last cell
        assert np.all(inside[got.level <= level])
        assert np.mean(inside != (got.level <= level)) < 0.002
    lon, lat = centres(5)
    cells = in_map(lon, lat, sky_map)
    assert np.sum(cells.density) * SKY / len(lon) == pytest.approx(1, rel=1e-6)
    assert got.volume_density is None


def test_a_source_drawn_from_the_map_lies_at_a_uniform_level():
    """In area and in volume: what a credible level means."""
    sky_map = gaussian_map()
    rng = np.random.default_rng(1)
    lon, lat = centres(5)
    mass = sky_map.density / sky_map.density.sum()
    cell = rng.choice(len(lon), 6000, p=mass)
    location, width, _ = parameters(sky_map.distance_mean, sky_map.distance_std)
    grid = np.linspace(0, 400, 4001)[1:]
    sums = np.cumsum(grid**2 * np.exp(-(((grid - location[cell, None]) / width[cell, None]) ** 2) / 2), axis=1)
    distance = grid[np.argmax(sums >= rng.random((6000, 1)) * sums[:, -1:], axis=1)]
    got = in_map(lon[cell], lat[cell], sky_map, distance)
    for level in (0.1, 0.5, 0.9):
        assert np.mean(got.level <= level) == pytest.approx(level, abs=0.03)
        assert np.mean(got.volume_level <= level) == pytest.approx(level, abs=0.03)
    assert np.mean(got.offset) == pytest.approx(0, abs=0.06) and np.std(got.offset) == pytest.approx(1, abs=0.05)


def test_density_in_space_integrates_to_that_on_the_sky():
    sky_map = gaussian_map()
    at = (np.array([118.0]), np.array([33.0]))
    flat = in_map(*at, sky_map).density[0] * np.degrees(1) ** 2
    r = np.linspace(0.01, 500, 5000)
    dense = in_map(*(np.full(5000, v[0]) for v in at), sky_map, r).volume_density
    assert np.trapezoid(dense * r**2, r) == pytest.approx(flat, rel=1e-4)
    # an error of the distance smears the density, and leaves what it integrates to (far from the observer)
    near, wide = (in_map(*at, sky_map, np.array([130.0]), error).volume_density[0] for error in (None, np.array([60.0])))
    assert 0 < wide < near


@pytest.mark.parametrize("mu, sigma", [(100.0, 20.0), (40.0, 30.0), (300.0, 1.0), (-50.0, 30.0), (1e4, 300.0)])
def test_distance_parameters_from_moments(mu, sigma):
    location, width, norm = (v[0] for v in parameters(*moments(np.array([mu]), np.array([sigma]))))
    assert (location, width) == (pytest.approx(mu, rel=1e-6), pytest.approx(sigma, rel=1e-6))
    total = quad(lambda r: norm * r**2 * np.exp(-(((r - mu) / sigma) ** 2) / 2) / (np.sqrt(2 * np.pi) * sigma), max(0, mu - 12 * sigma), mu + 12 * sigma, limit=300)[0]
    assert total == pytest.approx(1, rel=1e-6)


def test_what_has_no_position_distance_or_cell():
    sky_map = gaussian_map(mixed=True)
    held = SkyMap(sky_map.uniq[5:], sky_map.density[5:], np.full(len(sky_map.uniq) - 5, np.nan), np.full(len(sky_map.uniq) - 5, np.nan))
    assert np.isnan(parameters(np.array([np.nan, 1.0]), np.array([1.0, 1.0]))[0]).all()  # no such distribution is as wide as that
    got = in_map(np.array([np.nan, 120.0, 120.0, 120.0]), np.array([0.0, 35.0, 35.0, 35.0]), sky_map, np.array([100.0, np.nan, 100.0, 1e5]))
    assert np.isnan(got.density).tolist() == [True, False, False, False] == np.isnan(got.level).tolist()
    assert np.isnan(got.volume_level).tolist() == [True, True, False, False]
    assert got.volume_level[3] == pytest.approx(1) and got.volume_density[3] == pytest.approx(0, abs=1e-30)
    none = in_map(np.array([120.0]), np.array([35.0]), held, np.array([100.0]))
    assert (none.volume_density[0], none.volume_level[0]) == (0.0, 1.0)


@pytest.mark.parametrize("region", [ErrorRegion(10.0, 5.0, 1.5), ErrorRegion(0.0, -90.0, 2.0, 0.5), ErrorRegion(359.9, 89.0, 8.0, minor=2.0, angle=70.0)])
def test_an_error_region_holds_what_it_says(region):
    lon, lat = centres(8)
    got = in_region(lon, lat, region)
    total = SKY / len(lon)
    assert np.sum(got.density) * total == pytest.approx(1, abs=2e-3)
    for level in (0.5, 0.9):
        assert np.sum(got.density[got.level <= level]) * total == pytest.approx(level, abs=0.04)  # cells of 0.2 deg


def test_an_ellipse_lies_along_its_angle():
    region = ErrorRegion(50.0, 0.0, 1.0, minor=0.1, angle=90.0)
    along, across = (in_region(np.array([a]), np.array([d]), region).level[0] for a, d in ((51.0, 0.0), (50.0, 0.1)))
    assert (along, across) == (pytest.approx(0.9, abs=1e-3), pytest.approx(0.9, abs=1e-3))
    assert in_region(np.array([50.0]), np.array([1.0]), region).level[0] == pytest.approx(1)


@pytest.mark.parametrize("change", [{"radius": 0.0}, {"level": 1.0}, {"minor": 3.0}, {"ra": np.nan}, {"dec": 91.0}])
def test_regions_that_are_none(change):
    with pytest.raises(AlignmentError, match="half axes in deg"):
        match_regions.in_region(np.zeros(1), np.zeros(1), ErrorRegion(1.0, 2.0, 1.0)._replace(**change))
