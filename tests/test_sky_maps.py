"""Sky maps: multi-order and plain HEALPix, distances, and files that are none."""

import gzip
import io

import numpy as np
import pytest
from astropy.io import fits
from scipy.integrate import quad

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.surveys import sky_maps

FROM = Provenance("gracedb/sky_map")


def multi_order(uniq=None, density=None, distance=True, **keys) -> bytes:
    """One cell of order 0 divided into four of order 1, the rest whole, as emfollow's user guide describes such files."""
    uniq = np.array([16, 17, 18, 19, *range(5, 16)]) if uniq is None else np.array(uniq)
    order = np.floor(np.log2(uniq) / 2 - 1)
    area = np.pi / 3 / 4**order
    density = np.linspace(1, 2, len(uniq)) if density is None else np.array(density, dtype=float)
    density = density / np.sum(density * area)
    columns = [fits.Column("UNIQ", "K", array=uniq), fits.Column("PROBDENSITY", "D", unit="sr-1", array=density)]
    if distance:
        columns += [fits.Column("DISTMU", "D", unit="Mpc", array=np.r_[np.inf, np.full(len(uniq) - 1, 100.0)]),
                    fits.Column("DISTSIGMA", "D", unit="Mpc", array=np.r_[1.0, np.full(len(uniq) - 1, 30.0)])]  # fmt: skip
    table = fits.BinTableHDU.from_columns(columns)
    table.header.update({"ORDERING": "NUNIQ", "COORDSYS": "C", "MJD-OBS": 58598.34588, **keys})
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(file)
    return file.getvalue()


def flat(nside, values, ordering) -> bytes:
    table = fits.BinTableHDU.from_columns([fits.Column("PROB", "D", unit="pix-1", array=values)])
    table.header.update({"NSIDE": nside, "ORDERING": ordering, "COORDSYS": "C"})
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(file)
    return file.getvalue()


def test_a_multi_order_map_documented_format():
    for content in (multi_order(), gzip.compress(multi_order())):
        made = sky_maps.read(content, "s", FROM)
        assert list(made.uniq[:5]) == [16, 17, 18, 19, 5] and made.time == 58598.34588 and made.provenance is FROM
        order = np.floor(np.log2(made.uniq) / 2 - 1)
        assert np.sum(made.density * np.pi / 3 / 4**order) == pytest.approx(1)
        assert np.isnan(made.distance_mean[0]) and np.all(made.distance_mean[1:] > 100)


@pytest.mark.parametrize("mu, sigma", [(100.0, 30.0), (-50.0, 30.0), (5.0, 200.0), (4000.0, 10.0), (-250.0, 30.0)])
def test_distances_are_the_moments_of_the_published_distribution(mu, sigma):
    def weight(r):
        return r**2 * np.exp(-0.5 * ((r - mu) / sigma) ** 2 + (0.5 * (mu / sigma) ** 2 if mu < 0 else 0))

    limits = (max(0, mu - 12 * sigma), max(mu + 12 * sigma, 12 * sigma))
    norm, first, second = (quad(lambda r, n=n: r**n * weight(r), *limits, epsabs=0, epsrel=1e-11, limit=300)[0] for n in range(3))
    mean, std = sky_maps.moments(np.array([mu]), np.array([sigma]))
    assert mean[0] == pytest.approx(first / norm, rel=1e-6)
    assert std[0] == pytest.approx(np.sqrt(second / norm - (first / norm) ** 2), rel=1e-5)


def test_far_below_the_limit_the_moments_go_on_smoothly():
    mean, std = sky_maps.moments(np.array([-9.999, -10.001, np.inf, 1.0]), np.array([1.0, 1.0, 1.0, -1.0]))
    assert mean[1] == pytest.approx(mean[0], rel=0.06) and std[1] == pytest.approx(std[0], rel=0.06)
    assert np.isnan(mean[2:]).all() and np.isnan(std[2:]).all()


def test_rings_are_put_in_nested_order_documented_format():
    from astropy_healpix.core import ring_to_nested

    values = np.random.default_rng(1).random(48)
    values /= values.sum()
    ring, nested = (sky_maps.read(flat(2, v, o), "s", FROM) for v, o in ((values, "RING"), (values[np.argsort(ring_to_nested(np.arange(48), 2))], "NESTED")))
    one, two = (dict(zip(m.uniq.tolist(), m.density.tolist(), strict=True)) for m in (ring, nested))
    assert one == pytest.approx(two) and min(one) == 16 and max(one) == 63


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (multi_order(uniq=[4, 4, *range(6, 16)]), "overlap"), (multi_order(uniq=[16, 4, *range(5, 16)]), "overlap"),
        (multi_order(density=[-1.0, *np.ones(14)]), "negative"), (multi_order(density=[np.nan, *np.ones(14)]), "negative|sum"),
        (flat(2, np.full(48, 1.0), "RING"), "sum to 48"), (flat(2, np.full(47, 1 / 47), "RING"), "47 pixels"),
        (flat(2, np.full(48, 1 / 48), "SPIRAL"), "ORDERING"), (flat(3, np.full(108, 1 / 108), "RING"), "NSIDE"), (multi_order()[:6000], "bytes"),
        (b"SIMPLE  = nonsense", "FITS"),
    ],
)  # fmt: skip
def test_what_is_no_sky_map_is_refused(content, words):
    with pytest.raises(ArchiveError, match=rf"(?s)s, target t: .*({words})"):
        sky_maps.read(content, "s", FROM, "t")


def test_more_rows_than_bytes_are_refused_before_they_are_made():
    content = multi_order(distance=False).replace(b"NAXIS2  =                   15", b"NAXIS2  =        9999999999999")
    with pytest.raises(ArchiveError, match=r"claims|held"):
        sky_maps.read(content, "s", FROM, "t")


def test_a_part_of_the_sky_may_be_all_that_is_published():
    assert list(sky_maps.read(multi_order(uniq=[4, 5, 6]), "s", FROM).uniq) == [4, 5, 6]
