"""Images onto a common grid, beside reproject."""

import numpy as np
import pytest
from astropy.io.fits import Header
from astropy.wcs import WCS
from astropy.wcs.utils import pixel_to_pixel
from hypothesis import given, settings
from hypothesis import strategies as st
from reproject import reproject_exact, reproject_interp

from astrofuse_lab.alignment import images
from astrofuse_lab.alignment.distortion import distorted, undistorted
from astrofuse_lab.alignment.grids import PixelGrid
from astrofuse_lab.alignment.projection import closed_form, pixel_map
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


# ---- projections, distortions, frames -------------------------------------------------------------------------------------

SIP = {"A_ORDER": 3, "B_ORDER": 2, "A_2_0": 2e-5, "A_0_2": -1e-6, "A_1_2": 1e-9, "A_0_3": -1e-9, "B_1_1": 1e-5, "B_0_2": -1e-5}
FRAMES = {
    "ICRS": {"RADESYS": "ICRS"}, "FK5": {"RADESYS": "FK5", "EQUINOX": 1990.0}, "old": {"EQUINOX": 2000.0}, "FK4": {"RADESYS": "FK4", "EQUINOX": 1950.0}, "galactic": {},
}  # fmt: skip


def header(projection="TAN", frame="ICRS", sip=False, **more):
    """Far from the reference point, where a distortion is large."""
    from astropy.coordinates import SkyCoord

    place = SkyCoord(RA, DEC, unit="deg")
    lon, lat = (place.galactic.l.deg, place.galactic.b.deg) if frame == "galactic" else (RA, DEC)
    axes = ("GLON-", "GLAT-") if frame == "galactic" else ("RA---", "DEC--")
    return {
        "CTYPE1": axes[0] + projection + ("-SIP" if sip else ""), "CTYPE2": axes[1] + projection + ("-SIP" if sip else ""), "CRVAL1": lon + 0.03, "CRVAL2": lat - 0.02,
        "CRPIX1": 300.3, "CRPIX2": -200.0, "CD1_1": -7e-5, "CD1_2": 2e-5, "CD2_1": 1.9e-5, "CD2_2": 7.1e-5, **FRAMES[frame], **(SIP if sip else {}), **more,
    }  # fmt: skip


@pytest.mark.parametrize("sip", [False, True])
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("projection", ["TAN", "SIN", "STG", "ARC", "ZEA", "CAR", "MER"])
@pytest.mark.filterwarnings("ignore")
def test_every_pixel_lies_where_astropy_has_it(projection, frame, sip):
    keys, grid = header(projection, frame, sip), PixelGrid(24, 0.8, angle=23.0)
    x, y = pixel_map([keys], grid, np.array([RA]), np.array([DEC]), np.arange(24) - 11.5)
    py, px = np.mgrid[:24, :24].astype(float)
    want = pixel_to_pixel(WCS(Header(grid.wcs(RA, DEC))), WCS(Header(keys)), px, py)
    # astropy stops its search for the inverse of a distortion at 1e-4 pixels
    assert max(np.abs(x[0].numpy() - want[0]).max(), np.abs(y[0].numpy() - want[1]).max()) < (2e-4 if sip else 1e-7)
    assert (closed_form(keys) is not None) == (projection not in ("CAR", "MER") and frame != "FK4")


def test_lonpole_and_a_grid_as_wide_as_the_projection():
    keys, wide = header(LONPOLE=150.0), PixelGrid(40, 4 * 3600.0)
    for grid in (PixelGrid(24, 0.8), wide):
        x, _ = pixel_map([keys], grid, np.array([RA]), np.array([DEC]), np.arange(grid.size) - (grid.size - 1) / 2)
        py, px = np.mgrid[: grid.size, : grid.size].astype(float)
        want = pixel_to_pixel(WCS(Header(grid.wcs(RA, DEC))), WCS(Header(keys)), px, py)[0]
        both = np.isfinite(want) & np.isfinite(x[0].numpy())
        assert both.any() and np.allclose(x[0].numpy()[both], want[both], rtol=1e-9, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.floats(-2000, 2000), st.floats(-2000, 2000), st.floats(-3e-6, 3e-6), st.floats(-1e-10, 1e-10))
def test_a_distortion_and_its_inverse_cancel(u, v, second, third):
    import torch

    terms = np.zeros((1, 2, 4, 4))
    terms[0, 0, 2, 0], terms[0, 1, 1, 1], terms[0, 0, 1, 2], terms[0, 1, 0, 3] = second, -second, third, third
    at = [torch.tensor([[w]], dtype=torch.float64) for w in (u, v)]
    fu, fv, _ = undistorted(*at, torch.from_numpy(terms))
    gu, gv = distorted(fu, fv, torch.from_numpy(terms))
    assert (float(gu), float(gv)) == (pytest.approx(u, abs=1e-6), pytest.approx(v, abs=1e-6))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({**SIP, "A_2_0": 0.02}, "no inverse.*folds"), ({"CD1_1": 0.0, "CD1_2": 0.0}, "has no inverse.*matrix"), ({"A_ORDER": 2}, "SIP distortion of orders A 2 and B None"),
        ({**SIP, "A_0_2": float("nan")}, "SIP coefficient"), ({"CRVAL2": float("nan")}, "wcs is no projection"), ({"CTYPE2": None}, "wcs cannot be read"),
    ],
)  # fmt: skip
def test_a_wcs_without_inverse_names_itself(more, words):
    from dataclasses import replace

    image = gaussian()
    image = replace(image, wcs={k: v for k, v in {**image.wcs, **more}.items() if v is not None})
    with pytest.raises(AlignmentError, match=words):
        images.check(image)
        images.resample([image], PixelGrid(8, 1), [RA], [DEC])


# ---- grids with an angle --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("angle", [0.0, 37.0, 90.0, 211.5])
@pytest.mark.parametrize("method", images.METHODS)
def test_turned_grids_equal_reproject(angle, method):
    image, grid = gaussian(turn=10.0, east=2.0, north=1.0), PixelGrid(40, 0.3, angle)
    got = images.resample([image], grid, [RA], [DEC], method=method)
    want = peer(image, grid, reproject_exact if method == "exact" else reproject_interp)
    assert got.mask.all() and np.abs(got.flux[0, 0] - want).max() < 1e-5 * want.max()


def test_the_angle_is_that_of_the_y_axis_north_through_east():
    from astropy.coordinates import SkyCoord

    grid = PixelGrid(11, 1.0, 30.0)
    centre, up = (SkyCoord.from_pixel(5, y, WCS(Header(grid.wcs(RA, DEC)))) for y in (5, 6))
    assert centre.position_angle(up).deg == pytest.approx(30, abs=1e-6)
    assert repr(PixelGrid(11, 1.0)) == "PixelGrid(size=11, scale=1.0)" and eval(repr(grid)) == grid


# ---- numbers that must not change -----------------------------------------------------------------------------------------


def scene(seed, turn, scale, bands=2, n=70, bad=0.02, sip=False):
    rng = np.random.default_rng(seed)
    image = gaussian(n=n, scale=scale, turn=turn, bands=("g", "r")[:bands], east=0.2, north=0.1, **({**SIP, "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"} if sip else {}))
    flux, mask = image.flux + rng.normal(0, 1, image.flux.shape), rng.random(image.flux.shape) >= bad
    from dataclasses import replace

    return replace(image, flux=np.where(mask, flux, np.nan), mask=mask, ivar=rng.uniform(0.5, 2, flux.shape))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(0, 360), st.sampled_from([0.15, 0.3, 0.45]), st.booleans(), st.booleans())
def test_compiled_loops_and_tensors_give_the_same(seed, turn, scale, sip, with_ivar):
    from dataclasses import replace

    image, grid = scene(seed, turn, scale, sip=sip), PixelGrid(17, 0.4, turn / 3)
    image = image if with_ivar else replace(image, ivar=None)
    for unit in ("uJy", "MJy / sr"):
        one = replace(image, unit=unit)
        for k in (0, 1, 2):
            fast, slow = (images._empty([one], grid) for _ in range(2))
            for run, out in ((images._on_processor, fast), (images._on_device, slow)):
                run([one], grid, np.array([RA]), np.array([DEC]), k, "cpu", out)
            assert np.array_equal(fast.mask, slow.mask)
            np.testing.assert_allclose(fast.flux, slow.flux, rtol=1e-5, atol=1e-5)
            if with_ivar:
                np.testing.assert_allclose(fast.ivar, slow.ivar, rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 360), st.floats(0, 360), st.sampled_from([0.2, 0.3, 0.5]), st.floats(-0.5, 0.5))
def test_flux_is_conserved_whatever_the_grid(turn, angle, scale, east):
    image = gaussian(n=round(33 / scale), turn=turn, scale=scale, east=east)
    got = images.resample([image], PixelGrid(40, 0.4, angle), [RA], [DEC])
    assert got.flux.sum(dtype=float) == pytest.approx(100, rel=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(0, 360), st.sampled_from(images.METHODS))
def test_masks_never_shrink_and_aligning_twice_changes_nothing(seed, turn, method):
    from dataclasses import replace

    grid = PixelGrid(24, 0.4, 77.0)
    image = scene(seed, turn, 0.3)
    once = images.resample([image], grid, [RA], [DEC], method=method)
    # where a bad pixel's own middle lies, nothing good may come out
    x, y = pixel_map([image.wcs], grid, np.array([RA]), np.array([DEC]), np.arange(24) - 11.5)
    nearest = np.clip(np.rint(y[0].numpy()), 0, 69).astype(int), np.clip(np.rint(x[0].numpy()), 0, 69).astype(int)
    assert not (once.mask[0] & ~image.mask[:, *nearest]).any()
    again = replace(image, flux=once.flux[0], mask=once.mask[0], ivar=once.ivar[0], wcs=grid.wcs(RA, DEC), scale=0.4)
    twice = images.resample([again], grid, [RA], [DEC], method=method)
    assert np.array_equal(twice.mask, once.mask)
    np.testing.assert_allclose(twice.flux, once.flux, atol=2e-5)
    np.testing.assert_allclose(twice.ivar, once.ivar, rtol=1e-4)


def test_the_order_of_images_is_irrelevant_and_nan_seas_stay_masked():
    from dataclasses import replace

    batch = [scene(i, 30.0 * i, 0.3) for i in range(9)]
    batch[4] = replace(batch[4], flux=np.full_like(batch[4].flux, np.nan), mask=np.ones_like(batch[4].mask))
    grid, order = PixelGrid(20, 0.4), np.random.default_rng(0).permutation(9)
    one = images.resample(batch, grid, np.full(9, RA), np.full(9, DEC))
    other = images.resample([batch[i] for i in order], grid, np.full(9, RA), np.full(9, DEC))
    assert np.array_equal(one.flux[order], other.flux) and np.array_equal(one.mask[order], other.mask)
    assert not one.mask[4].any() and (one.flux[4] == 0).all() and one.mask[5].any()
    with pytest.raises(AlignmentError, match="no good pixel"):
        images.check(batch[4])


def test_one_sample_to_a_pixel_is_what_reproject_does():
    image, grid = gaussian(scale=0.2, n=120, unit="MJy / sr"), PixelGrid(30, 0.5)
    got = images.resample([image], grid, [RA], [DEC], samples=1)
    want = peer(image, grid, reproject_interp)
    assert np.abs(got.flux[0, 0] - want).max() < 1e-6 * want.max()
    assert np.abs(images.resample([image], grid, [RA], [DEC]).flux[0, 0] - want).max() > 1e-3 * want.max()
    with pytest.raises(InputError, match="samples=0"):
        images.resample([image], grid, [RA], [DEC], samples=0)


def test_threads_give_the_same(monkeypatch):
    import torch

    batch = [scene(i, 30.0 * i, 0.3) for i in range(9)]
    got = []
    monkeypatch.setattr(images, "BATCH", 2)
    for n in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda n=n: n)
        got.append(images.resample(batch, PixelGrid(20, 0.4), np.full(9, RA), np.full(9, DEC)))
    assert all(np.array_equal(a, b) for a, b in zip(*got, strict=True))
    with pytest.raises(AlignmentError, match="wcs cannot be read"):  # what a thread raises is raised
        images.resample([*batch, _broken_scene()], PixelGrid(20, 0.4), np.full(10, RA), np.full(10, DEC))


def _broken_scene():
    from dataclasses import replace

    image = scene(0, 0.0, 0.3)
    return replace(image, wcs={**image.wcs, "CTYPE1": "RA---NOP"})


class Shelf:
    """Images at hand, as if fetched."""

    surveys = ("mine/image",)

    def __init__(self, products):
        import astrofuse_lab as af

        self.held = products
        self.targets = af.Targets.from_table({"id": list(products), "ra": np.full(len(products), RA), "dec": np.full(len(products), DEC)})

    def get(self, survey, object_id):
        return self.held[object_id]


def test_mixed_frames_align_and_bad_ones_are_named_while_the_others_go_on():
    from dataclasses import replace

    import astrofuse_lab as af

    good = {"icrs": gaussian(), "turned": gaussian(turn=120.0), "fk5": gaussian(RADESYS="FK5", EQUINOX=2000.0), "sine": gaussian(CTYPE1="RA---SIN", CTYPE2="DEC--SIN")}
    galactic = header(frame="galactic")
    place = WCS(Header(galactic)).world_to_pixel_values(*_galactic())
    galactic |= {"CRPIX1": galactic["CRPIX1"] - place[0] + 49.5, "CRPIX2": galactic["CRPIX2"] - place[1] + 49.5}
    good["galactic"] = replace(gaussian(), wcs=galactic)
    one = gaussian()
    bad = {
        "folds": replace(one, wcs={**one.wcs, **SIP, "A_2_0": 0.02}), "singular": replace(one, wcs={**one.wcs, "CD1_1": 0.0, "CD1_2": 0.0}),
        "sea": replace(one, flux=np.full_like(one.flux, np.nan)), "unknown": replace(one, wcs={**one.wcs, "CTYPE1": "RA---NOP"}),
    }  # fmt: skip
    grid = PixelGrid(24, 0.4, 15.0)
    samples = af.align(Shelf({**good, **bad}), image=grid, progress=False)
    assert list(samples.object_ids) == list(good) and samples.arrays("image")["mask"].all()
    told = "\n".join(samples.card.notes)
    for name, words in (("folds", "no inverse"), ("singular", "no inverse"), ("sea", "no good pixel"), ("unknown", "wcs cannot be read")):
        assert any(name in note and words in note for note in samples.card.notes), told
    flux = samples.arrays("image")["flux"]
    assert 1e-4 * flux[0].max() < np.abs(flux[2] - flux[0]).max() < 0.04 * flux[0].max()  # ICRS and FK5 differ by some 20 milliarcseconds
    assert samples["fk5"]["image"].wcs == grid.wcs(RA, DEC) and samples.spec("image").angle == 15.0
    again = af.align(samples, steps={"image": []}, progress=False)
    assert again.spec("image").angle == 15.0 and np.array_equal(again.arrays("image")["mask"], samples.arrays("image")["mask"])
    np.testing.assert_allclose(again.arrays("image")["flux"], flux, atol=1e-5)


def _galactic():
    from astropy.coordinates import SkyCoord

    place = SkyCoord(RA, DEC, unit="deg").galactic
    return place.l.deg, place.b.deg
