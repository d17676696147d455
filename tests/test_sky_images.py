"""Sky maps as pictures: the grid against reproject, volumes against what is known in closed form, cell sizes against real BAYESTAR files."""

import numpy as np
import pytest
from scipy.stats import norm as normal

from astrofuse_lab.alignment import sky_images, sky_volumes
from astrofuse_lab.errors import InputError

NSIDE, CELLS = 32, 12288
HEADER = {
    "NAXIS": 2, "NAXIS1": 360, "NAXIS2": 180, "CTYPE1": "RA---CAR", "CRPIX1": 180.5, "CRVAL1": 180.0, "CDELT1": -1, "CUNIT1": "deg",
    "CTYPE2": "DEC--CAR", "CRPIX2": 90.5, "CRVAL2": 0.0, "CDELT2": 1, "CUNIT2": "deg",
}  # fmt: skip
"""The grid as GWSkyNet's notebook states it (github.com/GWML/GWSkyNet at aa4dff8)."""


def spot(width=0.15, towards=(0.3, 0.5, 0.8)):
    """A round spot on the sky."""
    direction = sky_volumes._directions(NSIDE)
    axis = np.array(towards) / np.linalg.norm(towards)
    p = np.exp((direction @ axis - 1) / width**2)
    return p / p.sum(), direction, axis


def test_the_grid_is_that_of_reproject():
    reproject = pytest.importorskip("reproject")
    from astropy.io.fits import Header

    p = spot()[0] * np.random.default_rng(0).uniform(0.5, 1.5, CELLS)
    expected, _ = reproject.reproject_from_healpix((p, "ICRS"), Header(HEADER), nested=True, order="bilinear")
    fine = sky_images.car_images(p)[0]
    assert np.abs(fine - expected).max() < 1e-12 * expected.max() + 1e-15
    pooled = sky_images.car_images(p, 2)[0]
    assert pooled[13, 40] == fine[26:28, 80:82].max()
    assert pooled.shape == (90, 180)


def test_cells_without_a_distance_are_zero_and_so_is_what_touches_them():
    mu, sigma, norm = np.full(CELLS, 100.0), np.full(CELLS, 20.0), np.full(CELLS, 1e-4)
    mu[7], sigma[7], norm[7] = np.inf, 1.0, 0.0
    layers = sky_images.known_layers(mu, sigma, norm)
    assert np.isnan(layers[:, 7]).all()
    assert np.isfinite(np.delete(layers, 7, axis=1)).all()
    image = sky_images.car_images(layers)
    assert np.isfinite(image).all()
    assert ((image[0] == 0) == (image[2] == 0)).all()
    assert 0 < (image[0] == 0).sum() < 40
    assert np.abs(image[0][image[0] > 0] - 100).max() < 1e-9


def test_pictures_are_divided_by_their_peak():
    images, peaks = sky_images.to_peak(np.stack([np.zeros((4, 4)), np.arange(16.0).reshape(4, 4)]))
    assert peaks.tolist() == [0.0, 15.0]
    assert images[0].max() == 0
    assert images[1].max() == 1


def test_the_largest_probability_is_of_a_native_cell():
    p = spot(0.02)[0]
    made = sky_images.map_inputs(p)
    ratio = sky_images.native_nside(p) / NSIDE
    assert ratio > 1
    assert made["sky_max"] == pytest.approx(sky_images.car_images(p, 2).max() / ratio**2)
    assert "distance_layers" not in made


def test_refinement_follows_its_rule_on_an_even_sky_and_on_one_cell():
    assert sky_images.native_nside(np.full(CELLS, 1 / CELLS)) == 64  # 7 x 768 of 3072 and their children: none twice
    single = np.zeros(CELLS)
    single[100] = 1
    assert sky_images.native_nside(single) == 16 * 2**7  # each round cuts the children of the same cell


@pytest.mark.real
def test_native_cells_are_those_of_real_files(mirror):
    import pyarrow.parquet as pq

    table = pq.read_table(mirror / "gw_alerts" / "o3_bayestar_skymaps.parquet", columns=["nside_orig", "prob_nside32_nested"])
    ours = [sky_images.native_nside(np.array(p)) for p in table["prob_nside32_nested"].to_pylist()]
    assert np.sum(np.array(ours) == table["nside_orig"].to_numpy()) >= 22  # of 23; at nside 32 the finest structure is gone


def test_a_normal_ball_looks_normal_from_all_sides():
    """mu 0, sigma 1, norm 2 in all directions: the product of three normal densities."""
    p, size, reach = np.full(CELLS, 1 / CELLS), 41, 4.0
    images = sky_volumes.volume_images(p, np.zeros(CELLS), np.ones(CELLS) * (1 + 1e-12), np.full(CELLS, 2.0), reach, size)
    x = np.linspace(-reach, reach, size)
    expected = normal.pdf(x)[:, None] * normal.pdf(x) * (normal.cdf(reach) - normal.cdf(-reach))
    assert np.abs(images - expected).max() < 2e-4


def test_axes_and_pictures_are_those_of_the_cloud():
    """Points drawn of the posterior have the moments of the pictures, along the same axes."""
    p, direction, axis = spot(0.2)
    side = np.cross(axis, [0, 0, 1.0])
    p = p * np.exp(-(((direction @ side) / 0.1) ** 2))
    p /= p.sum()
    mu, sigma = np.full(CELLS, 100.0), np.full(CELLS, 15.0)
    norm = 1 / (mu**2 + sigma**2)
    axes = sky_volumes.principal_axes(p, mu, sigma, norm)
    assert np.abs(axes.T @ axes - np.eye(3)).max() < 1e-12
    assert np.linalg.det(axes) == pytest.approx(1)
    assert abs(axes[:, 2] @ axis) > 0.999  # the line of sight is the widest
    rng = np.random.default_rng(1)
    r = np.linspace(0, 200, 4001)
    density = np.exp(-0.5 * ((r - 100) / 15) ** 2) * r**2
    drawn = np.interp(rng.uniform(size=40_000), np.cumsum(density) / density.sum(), r)[:, None] * direction[rng.choice(CELLS, 40_000, p=p)]
    inside = drawn @ axes
    images = sky_volumes.volume_images(p, mu, sigma, norm, 170.0)
    x = np.linspace(-170, 170, 131)
    for image, (across, up) in zip(images, sky_volumes.FACES, strict=True):
        assert image.sum() * (x[1] - x[0]) ** 2 == pytest.approx(1, abs=0.02)
        for moment in (1, 2):
            assert (image.sum(0) * x**moment).sum() / image.sum() == pytest.approx((inside[:, across] ** moment).mean(), rel=0.03, abs=1.0)
            assert (image.sum(1) * x**moment).sum() / image.sum() == pytest.approx((inside[:, up] ** moment).mean(), rel=0.03, abs=1.0)


def test_the_renderer_of_ligo_skymap_sees_the_same():
    distance = pytest.importorskip("ligo.skymap.distance", reason="GPL, and no dependency of ours: compared where a user has it")
    from astropy.table import Table
    from astropy_healpix import level_ipix_to_uniq

    p, direction, axis = spot(0.25)
    p = p * np.exp(-(((direction @ np.cross(axis, [0, 0, 1.0])) / 0.1) ** 2))
    p /= p.sum()
    mu, sigma = 100 + 60 * (direction[:, 0] - axis[0]), np.full(CELLS, 15.0)
    norm = 1 / (mu**2 + sigma**2)
    uniq = level_ipix_to_uniq(5, np.arange(CELLS))
    table = Table({"UNIQ": uniq, "PROBDENSITY": p * CELLS / (4 * np.pi), "DISTMU": mu, "DISTSIGMA": sigma, "DISTNORM": norm})
    axes = sky_volumes.principal_axes(p, mu, sigma, norm)
    x, y = np.meshgrid(*[np.linspace(-170.0, 170.0, 131)] * 2)
    for image, (across, up) in zip(sky_volumes.volume_images(p, mu, sigma, norm, 170.0), sky_volumes.FACES, strict=True):
        theirs = distance.volume_render(x.ravel(), y.ravel(), 170.0, across, up, np.ascontiguousarray(axes), table).reshape(x.shape)
        assert np.abs(image - theirs).sum() / theirs.sum() < 0.03
        assert np.corrcoef(image.ravel(), theirs.ravel())[0, 1] > 0.999


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sky_images.car_images(np.zeros(100)), "no HEALPix map"),
        (lambda: sky_images.car_images(np.zeros(48), 7), "a divisor of 180"),
        (lambda: sky_images.map_inputs(np.full(CELLS, np.nan)), "one row of probabilities"),
        (lambda: sky_images.native_nside(np.ones(48)), "coarser than BAYESTAR"),
        (lambda: sky_volumes.volume_images(np.ones(CELLS), *[np.ones(CELLS)] * 3, -1.0), "above 0"),
        (lambda: sky_volumes.volume_images(np.ones(CELLS), *[np.ones(CELLS)] * 3, 1.0, 1), "2 to 1024"),
        (lambda: sky_volumes.volume_images(np.ones(CELLS), np.full(CELLS, np.inf), *[np.ones(CELLS)] * 2, 1.0), "no cell of this map"),
        (lambda: sky_volumes.principal_axes(np.ones(CELLS), *[np.ones(48)] * 3), "a row of cells each"),
    ],
)
def test_what_is_no_map_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()
