"""Credible areas and volumes: shapes whose volume is known, literal sums over voxels, and integrals by scipy."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chi, gamma, norm, truncnorm

from astrofuse_lab import credible_regions as cr
from astrofuse_lab.errors import InputError

CELLS = 12 * 8**2


def ansatz(r, mu, sigma):
    return r**2 * np.exp(-0.5 * ((r - mu) / sigma) ** 2)


def constant(value):
    return np.full(CELLS, float(value))


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_gaussian_ball(share):
    """Round the observer, r^2 times a normal density is a ball of three normal coordinates: its radius is a quantile of chi with 3 degrees of freedom."""
    got = cr.volume(constant(1 / CELLS), constant(0), constant(50), constant(1), share)
    assert got == pytest.approx(4 / 3 * np.pi * (50 * chi(3).ppf(share)) ** 3, rel=1e-8)


def test_thin_shell_and_part_of_the_sky():
    """A shell far thinner than its distance has the area of its part of the sphere times the width of a normal interval; 90 % of cells that are all alike in all their width is not the least."""
    p = np.zeros(CELLS)
    p[:100] = 1 / 100
    got = cr.volume(p, constant(1000), constant(0.5), constant(1))
    assert got == pytest.approx(4 * np.pi * 100 / CELLS * 1000**2 * 2 * norm.ppf(0.95) * 0.5, rel=1e-4)
    assert cr.area(p) == pytest.approx(0.9 * 100 / CELLS * 4 * np.pi * np.degrees(1) ** 2)


def test_volume_is_the_least_that_voxels_find():
    """Voxels in order of density, added up until they hold 90 %, as the definition says; cells differ in probability, distance and width, some with mu below zero or no distance."""
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.full(CELLS, 0.05))
    mu, sigma = rng.uniform(80, 300, CELLS), rng.uniform(10, 60, CELLS)
    mu[::7], sigma[::7] = -200.0, 50.0
    mu[::11], sigma[::11] = np.inf, 1.0
    weight = np.where(np.isfinite(mu), 1.0, 0.0)
    r = np.linspace(0, 900, 6001)[1:] - 0.075
    width = r[1] - r[0]
    with np.errstate(invalid="ignore"):
        each = ansatz(r, np.where(weight > 0, mu, 0)[:, None], sigma[:, None]) * weight[:, None]
    share = p[:, None] * each / np.maximum(each.sum(axis=1, keepdims=True), 1e-300)
    bulk = np.broadcast_to(4 * np.pi / CELLS * r**2 * width, share.shape)
    order = np.argsort(-(share / bulk).ravel(), kind="stable")
    held = np.cumsum(share.ravel()[order])
    assert cr.volume(p, mu, sigma, weight, 0.8) == pytest.approx(bulk.ravel()[order][: np.searchsorted(held, 0.8) + 1].sum(), rel=3e-3)


def test_volume_without_enough_distances_is_infinite():
    weight = constant(1)
    weight[: CELLS // 5] = 0
    mu = np.where(weight > 0, 100.0, np.inf)
    assert np.isinf(cr.volume(constant(1 / CELLS), mu, constant(10), weight))
    assert np.isfinite(cr.volume(constant(1 / CELLS), mu, constant(10), weight, 0.5))
    mean, _ = cr.distance(constant(1 / CELLS), mu, constant(10), weight)
    assert mean == pytest.approx(quad(lambda r: r * ansatz(r, 100, 10), 0, 200)[0] / quad(ansatz, 0, 200, args=(100, 10))[0])
    assert np.isnan(cr.distance(constant(1 / CELLS), constant(np.inf), constant(1), constant(0))[0])


@pytest.mark.parametrize("z", [-400.0, -20.0, -3.001, -2.999, -0.5, 0.0, 2.0, 30.0])
def test_moments_and_their_inverse(z):
    """By quadrature; far below zero the ansatz is r^2 exp(-r |z|), a gamma distribution."""
    mu, sigma = z * 40.0, 40.0
    place, far = (mu, mu + 40 * sigma) if z > 3 else (3 * sigma / max(1, -z), 60 * sigma / max(1, -z))

    def scaled(r, power):
        return r**power * np.exp(-0.5 * (r / sigma) ** 2 + z * r / sigma - (0.5 * z**2 if z > 0 else 0))

    total, first, second = (quad(scaled, max(0, mu - 12 * sigma), far, args=(k,), points=[place], limit=500, epsabs=0, epsrel=1e-11)[0] for k in (2, 3, 4))
    mean, std = cr.moments(mu, sigma)
    assert mean == pytest.approx(first / total, rel=1e-7) and std == pytest.approx(np.sqrt(second / total - (first / total) ** 2), rel=1e-6)
    if z == -400:
        assert mean == pytest.approx(gamma(3, scale=sigma / 400).mean(), rel=1e-4) and std == pytest.approx(gamma(3, scale=sigma / 400).std(), rel=1e-4)
    if z > -20:
        back = cr.from_moments([mean], [std])
        assert back.mu == pytest.approx([mu], rel=1e-6, abs=1e-5) and back.sigma == pytest.approx([sigma], rel=1e-6)
        assert back.norm == pytest.approx([1 / quad(lambda r: r**2 * norm.pdf(r, mu, sigma), 0, far, points=[place], limit=500)[0]], rel=1e-5)
        middle = np.array([mean - std / 2, mean + std])
        want = [quad(scaled, max(0, mu - 12 * sigma), m, args=(2,), epsabs=0, limit=500)[0] / total for m in middle]
        assert cr.within(0.0, middle, mu, sigma) == pytest.approx(want, rel=1e-6)


def test_areas_of_batches_and_what_is_no_map():
    maps = np.stack([constant(1 / CELLS), np.eye(1, CELLS)[0]])
    assert cr.area(maps, 0.5) == pytest.approx([0.5 * cr.SKY, 0.5 * cr.SKY / CELLS])
    assert cr.area(maps[None]).shape == (1, 2)
    got = cr.volume(maps, *(np.broadcast_to(x, maps.shape) for x in (100.0, 5.0, 1.0)))
    assert got.shape == (2,) and got[0] > 100 * got[1]
    order = np.random.default_rng(2).permutation(CELLS)
    p = np.random.default_rng(3).dirichlet(constant(1))
    assert cr.area(p) == pytest.approx(cr.area(p[order]))
    sure = truncnorm(-1, 1).cdf(0.0)  # a share as any other
    assert cr.area(maps[0], sure) == pytest.approx(sure * cr.SKY)
    for bad in (maps[0] * 2, -maps[0], maps[0] * np.nan):
        with pytest.raises(InputError, match="no probabilities"):
            cr.area(bad)
    with pytest.raises(InputError, match="between 0 and 1"):
        cr.area(maps, 1.0)
    with pytest.raises(InputError, match="same cells"):
        cr.volume(maps, 1.0, 2.0, 3.0)
    with pytest.raises(InputError, match="sqrt"):
        cr.from_moments([1.0], [1.0])


def test_finer_maps_keep_each_cell_and_give_a_gaussian_its_area():
    """A Gaussian spot of 5 deg has a 90 % area of 2 pi s^2 ln 10 square degrees; on cells of 7 deg its area is far off, on finer ones made of these less."""
    from astropy_healpix import HEALPix

    fine, coarse = HEALPix(128, "nested"), 12 * 8**2
    lon, lat = (one.to_value("deg") for one in fine.healpix_to_lonlat(np.arange(fine.npix)))
    gap = np.degrees(np.arccos(np.clip(np.sin(np.radians(lat)) * np.sin(0.3) + np.cos(np.radians(lat)) * np.cos(0.3) * np.cos(np.radians(lon) - 2), -1, 1)))
    sharp = np.exp(-0.5 * (gap / 5) ** 2)
    sharp /= sharp.sum()
    want = 2 * np.pi * 25 * np.log(10)
    assert cr.area(sharp) == pytest.approx(want, rel=0.01)
    blurred = sharp.reshape(coarse, -1).sum(axis=1)
    again = cr.finer(blurred, 8)
    assert again.reshape(coarse, -1).sum(axis=1) == pytest.approx(blurred)
    assert abs(cr.area(again) / want - 1) < 0.5 * abs(cr.area(blurred) / want - 1)
    assert cr.finer(np.stack([blurred, blurred]), 2).shape == (2, 4 * coarse)
    for bad in ((np.full(100, 0.01), 2), (blurred, 3)):
        with pytest.raises(InputError, match="nested grid"):
            cr.finer(*bad)
