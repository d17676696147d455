"""Images onto a common grid, beside reproject."""

import numpy as np
import pytest
from astropy.io.fits import Header
from astropy.wcs import WCS
from reproject import reproject_exact, reproject_interp

from astrofuse_lab.alignment import images
from astrofuse_lab.alignment.grids import PixelGrid
from astrofuse_lab.alignment.weights import overlaps
from astrofuse_lab.errors import AlignmentError, InputError
from astrofuse_lab.modalities import Image

RA, DEC = 150.1, 62.2


def gaussian(n=100, scale=0.3, turn=33.0, fwhm=1.2, unit="uJy", east=0.7, north=-1.1, centre=(RA, DEC), bands=("g",), **more):
    """A star of total flux 100 per band, off the reference point of a turned TAN image."""
    angle = np.radians(turn)
    cd = np.array([[-np.cos(angle), np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale / 3600
    header = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg", "RADESYS": "ICRS",
        "CRVAL1": centre[0] + east / 3600, "CRVAL2": centre[1] + north / 3600, "CRPIX1": n / 2 + 0.3, "CRPIX2": n / 2,
        "CD1_1": cd[0, 0], "CD1_2": cd[0, 1], "CD2_1": cd[1, 0], "CD2_2": cd[1, 1],
    }  # fmt: skip
    header = {k: v for k, v in {**header, **more}.items() if v is not None}
    x0, y0 = WCS(Header(header)).celestial.world_to_pixel_values(*centre)
    y, x = np.mgrid[:n, :n]
    sigma = fwhm / 2.3548 / scale
    star = np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 2 / sigma**2) * 100 / (2 * np.pi * sigma**2)
    flux = np.repeat(star[None], len(bands), axis=0)
    return Image(flux, np.ones(flux.shape, bool), bands, header, scale, ivar=np.full(flux.shape, 4.0), unit=unit)


def peer(image, grid, function, centre=(RA, DEC)):
    out = function((image.flux[0], WCS(Header(dict(image.wcs)))), WCS(Header(grid.wcs(*centre))), shape_out=(grid.size,) * 2)
    return out[0]


@pytest.mark.parametrize("turn", [0.0, 33.0, 180.0])
@pytest.mark.parametrize(("scale", "grid"), [(0.3, PixelGrid(48, 0.262)), (0.3, PixelGrid(32, 0.4)), (0.1, PixelGrid(24, 0.5)), (0.4, PixelGrid(40, 0.262))])
def test_exact_overlap_equals_reproject_and_conserves_flux(scale, grid, turn):
    image = gaussian(n=round(30 / scale), scale=scale, turn=turn)
    got = images.resample([image], grid, [RA], [DEC])
    want = peer(image, grid, reproject_exact) * (grid.scale / scale) ** 2
    assert got.mask.all()
    assert np.abs(got.flux[0, 0] - want).max() < 1e-6 * want.max()
    # the star lies inside the grid, far from its border
    assert got.flux.sum(dtype=float) == pytest.approx(100, rel=1e-6)


@pytest.mark.parametrize("turn", [0.0, 33.0])
def test_interpolated_brightness_equals_reproject(turn):
    image = gaussian(turn=turn, unit="MJy / sr")
    grid = PixelGrid(48, 0.262)
    got = images.resample([image], grid, [RA], [DEC])
    want = peer(image, grid, reproject_interp)
    assert np.abs(got.flux[0, 0] - want).max() < 1e-6 * want.max()


def test_interpolated_flux_is_scaled_by_the_pixel_area():
    image, grid = gaussian(fwhm=1.5), PixelGrid(48, 0.4)
    got = images.resample([image], grid, [RA], [DEC], method="bilinear")
    assert got.flux.sum(dtype=float) == pytest.approx(100, rel=1e-4)


@pytest.mark.parametrize(
    "more",
    [
        {"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN"},
        {"RADESYS": "FK5", "EQUINOX": 2000.0},
        {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 2e-5, "B_0_2": -1e-5},
    ],
)
def test_other_projections_and_distortions(more):
    image, grid = gaussian(**more), PixelGrid(48, 0.262)
    got = images.resample([image], grid, [RA], [DEC])
    want = peer(image, grid, reproject_exact)
    inside = got.mask[0, 0]
    assert inside.all()
    # reproject_exact gives brightness: compare the shapes, then the total
    assert np.abs(got.flux[0, 0] / got.flux.sum() - want / want.sum()).max() < 1e-3 * (want / want.sum()).max()
    assert got.flux.sum(dtype=float) == pytest.approx(100, rel=1e-5)


def test_cdelt_and_pc_are_the_same_as_cd():
    plain = gaussian(turn=0.0)
    spelled = gaussian(turn=0.0, CD1_1=None, CD1_2=None, CD2_1=None, CD2_2=None, CDELT1=-0.3 / 3600, CDELT2=0.3 / 3600, PC1_1=1.0, PC2_2=1.0)
    grid = PixelGrid(32, 0.3)
    one, other = (images.resample([i], grid, [RA], [DEC]).flux for i in (plain, spelled))
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("centre", [(0.0, 0.0), (359.9999, -45.0), (12.0, 89.99), (200.0, -89.999)])
def test_everywhere_on_the_sky(centre):
    image, grid = gaussian(centre=centre, east=0.0), PixelGrid(48, 0.262)
    got = images.resample([image], grid, [centre[0]], [centre[1]])
    want = peer(image, grid, reproject_exact, centre) * (grid.scale / 0.3) ** 2
    assert np.abs(got.flux[0, 0] - want).max() < 1e-5 * want.max()


def test_the_same_grid_changes_nothing():
    grid = PixelGrid(16, 0.262)
    flux = np.random.default_rng(0).normal(size=(2, 16, 16))
    image = Image(flux, np.ones(flux.shape, bool), ("g", "r"), grid.wcs(RA, DEC), 0.262, ivar=np.full(flux.shape, 2.5))
    got = images.resample([image], grid, [RA], [DEC])
    np.testing.assert_allclose(got.flux[0], flux, atol=1e-6)
    np.testing.assert_allclose(got.ivar[0], 2.5, rtol=1e-6)
    assert got.mask.all()


def test_edges_are_masked_not_padded():
    image, grid = gaussian(n=40, turn=20.0), PixelGrid(64, 0.3)
    for method in images.METHODS:
        got = images.resample([image], grid, [RA], [DEC], method=method)
        footprint = peer(image, grid, lambda *a, **k: reproject_exact(*a, **k)[::-1])
        # interpolation needs the middle of a pixel inside the image, overlap all of it
        assert not got.mask[0, 0][footprint < (0.999 if method == "exact" else 0.95)].any()
        assert got.mask[0, 0][footprint > 1 - 1e-9].mean() > 0.99
        assert (got.flux[~got.mask] == 0).all() and (got.ivar[~got.mask] == 0).all()
        assert 0.2 < got.mask.mean() < 0.5
    far = images.resample([image], grid, [RA + 1], [DEC])
    assert not far.mask.any() and (far.flux == 0).all()
    behind = images.resample([image], grid, [RA + 180], [-DEC])
    assert not behind.mask.any()


@pytest.mark.parametrize("method", images.METHODS)
def test_bad_pixels_touch_only_what_they_reach(method):
    image, grid = gaussian(turn=10.0), PixelGrid(40, 0.3)
    image.mask[0, 50, 50] = False
    image.flux[0, 50, 50] = np.nan
    got = images.resample([image], grid, [RA], [DEC], method=method)
    assert 1 <= (~got.mask).sum() <= 9
    assert np.isfinite(got.flux).all() and np.isfinite(got.ivar).all()


@pytest.mark.parametrize("method", images.METHODS)
def test_inverse_variance_is_that_of_the_noise(method):
    grid, rng = PixelGrid(24, 0.4), np.random.default_rng(1)
    star = gaussian(n=60)
    header = dict(star.wcs)
    noisy = [Image(rng.normal(0, 0.5, (1, 60, 60)), np.ones((1, 60, 60), bool), ("g",), header, 0.3, ivar=np.full((1, 60, 60), 4.0)) for _ in range(200)]
    got = images.resample(noisy, grid, np.full(200, RA), np.full(200, DEC), method=method)
    scatter = got.flux.std(axis=0)
    assert np.median(scatter**2 * got.ivar[0]) == pytest.approx(1, abs=0.03)


def test_overlaps_tile_any_convex_mesh():
    rng = np.random.default_rng(2)
    x, y = np.meshgrid(np.linspace(3, 17, 9), np.linspace(2, 18, 9))
    import torch

    corners = [torch.from_numpy(v + rng.uniform(-0.3, 0.3, v.shape))[None] for v in (x, y)]
    got = overlaps(*corners, (20, 20))
    px, py = (c[0].numpy() for c in corners)
    outline = [(px[s], py[s]) for s in (np.s_[0, :-1], np.s_[:-1, -1], np.s_[-1, :0:-1], np.s_[:0:-1, 0])]
    ox, oy = (np.concatenate(v) for v in zip(*outline, strict=True))
    area = abs((ox * np.roll(oy, -1) - oy * np.roll(ox, -1)).sum() / 2)
    assert float(got.value.sum()) == pytest.approx(area, rel=1e-12)
    assert float(got.value.min()) > -1e-12 and float(got.value.max()) < 1 + 1e-12


def test_many_at_once_are_as_one_by_one():
    batch = [gaussian(turn=t, bands=("g", "r")) for t in (0, 5, 12, 80, 33, 1, 2, 3, 4, 9)]
    grid = PixelGrid(20, 0.5)
    together = images.resample(batch, grid, np.full(10, RA), np.full(10, DEC))
    assert together.flux.shape == (10, 2, 20, 20)
    for i in (0, 3, 9):
        alone = images.resample([batch[i]], grid, [RA], [DEC])
        np.testing.assert_allclose(alone.flux[0], together.flux[i], atol=1e-5)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"flux": np.zeros((4, 4))}, "flux"),
        ({"mask": np.zeros((1, 100, 100), bool)}, "flux has no good"),
        ({"mask": np.ones((1, 4, 4), bool)}, "mask"),
        ({"ivar": np.ones((2, 100, 100))}, "ivar"),
        ({"wcs": {}}, "wcs"),
        ({"bands": ("g", "r")}, "bands"),
    ],
)
def test_bad_images_name_the_field(change, field):
    from dataclasses import replace

    with pytest.raises(AlignmentError, match=field):
        images.check(replace(gaussian(), **change))


def test_bad_arguments():
    with pytest.raises(InputError, match="exact"):
        images.resample([gaussian()], PixelGrid(8, 1), [RA], [DEC], method="cubic")
    with pytest.raises(AlignmentError, match="one shape"):
        images.resample([gaussian(), gaussian(n=50)], PixelGrid(8, 1), [RA, RA], [DEC, DEC])
    with pytest.raises(AlignmentError, match="wcs cannot be read"):
        images.resample([_broken()], PixelGrid(8, 1), [RA], [DEC])


def _broken():
    from dataclasses import replace

    image = gaussian()
    return replace(image, wcs={**image.wcs, "CTYPE1": "RA---NOP"})


@pytest.mark.parametrize(("unit", "brightness"), [("uJy", False), ("MJy / sr", True), ("mJy arcsec-2", True), ("nmgy", False), ("uJy/arcsec2", True), ("DN", False), ("erg s-1 cm-2", False)])
def test_units_say_whether_pixels_count(unit, brightness):
    assert images.per_solid_angle(unit) is brightness


@pytest.mark.gpu
def test_an_accelerator_gives_the_same():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no accelerator")
    batch, grid = [gaussian(turn=t) for t in (0.0, 20.0)], PixelGrid(32, 0.4)
    for method in images.METHODS:
        one, other = (images.resample(batch, grid, [RA, RA], [DEC, DEC], method=method, device=d) for d in ("cpu", "cuda"))
        np.testing.assert_allclose(one.flux, other.flux, atol=1e-6)
        np.testing.assert_array_equal(one.mask, other.mask)


@pytest.mark.parametrize("unit", ["Jy / beam", "mJy beam-1", "JY/BEAM"])
def test_flux_per_beam_without_a_beam_is_refused(unit):
    """As flux per pixel its sum would change with the grid."""
    image = gaussian(unit=unit)
    for call in (lambda: images.check(image), lambda: images.resample([image], PixelGrid(48, 0.4), [RA], [DEC])):
        with pytest.raises(AlignmentError, match=r"unit is .*eam.*BMAJ and BMIN"):
            call()
