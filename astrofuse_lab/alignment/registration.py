"""Small errors of position, measured from the pixels themselves and taken out: of one picture against another, or of a source against its target."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from astrofuse_lab.alignment.backgrounds import background, clipped, median_of, noise_of
from astrofuse_lab.errors import AlignmentError
from astrofuse_lab.modalities import Image

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
TAPER = 0.15  # share of a side over which a picture fades out, so that its edges do not correlate
FINE = 20  # steps to a pixel around the peak; a paraboloid finds the rest
SETTLED = 0.02  # pixels: a band that is off by less stays as it is, so that registering twice changes nothing
LEAST = 6.0  # standard deviations of the correlation elsewhere that its peak must have


class Shift(NamedTuple):
    """Where a picture's sources lie, less where they should.

    Attributes
    ----------
    x, y : float
        Pixels.
    strength : float
        Height of the peak in standard deviations of what lies around it.
    """

    x: float
    y: float
    strength: float

    @property
    def found(self) -> bool:
        """Whether the peak stands out: `LEAST`."""
        return bool(np.isfinite(self.strength) and self.strength >= LEAST)


def shift_between(flux: NDArray[Any], mask: Bools, reference: NDArray[Any], reference_mask: Bools, most: float = 3.0, whiten: float = 0.0) -> Shift:
    """Shift of a picture against another on the same pixels: the peak of their correlation, to a small part of a pixel.

    The correlation around its highest pixel is computed by a matrix product with the transforms (Guizar-Sicairos, Thurman &
    Fienup 2008, Opt. Lett. 33, 156), so that nothing is padded.

    Parameters
    ----------
    flux, reference : array, (y, x)
    mask, reference_mask : bool array, (y, x)
    most : float
        Pixels, along either axis: where the peak is looked for.
    whiten : float
        0: cross-correlation, best where noise is white; 1: phase correlation, where every frequency counts the same (Kuglin & Hines
        1975), best where the pictures differ in PSF and background.
    """
    one, other = (_prepared(f, m) for f, m in ((flux, mask), (reference, reference_mask)))
    cross = np.fft.fft2(one) * np.fft.fft2(other).conj()
    size = np.abs(cross)
    if not size.max() > 0:
        return Shift(np.nan, np.nan, 0.0)
    cross = cross / np.maximum(size, 1e-12 * size.max()) ** whiten
    plane = np.fft.ifft2(cross).real
    fy, fx = (np.asarray(np.fft.fftfreq(n), dtype=np.float64) for n in plane.shape)
    dy, dx = np.meshgrid(np.round(fy * plane.shape[0]), np.round(fx * plane.shape[1]), indexing="ij")
    near = (np.abs(dy) <= most) & (np.abs(dx) <= most)
    peak = np.unravel_index(np.argmax(np.where(near, plane, -np.inf)), plane.shape)
    far = (np.abs(dy - dy[peak]) > 4) | (np.abs(dx - dx[peak]) > 4)
    spread = noise_of(plane, far) if far.any() else np.nan
    centre = float(median_of(plane[far], np.ones(int(far.sum()), bool))) if far.any() else np.nan
    y, x = _refined(cross, fy, fx, float(dy[peak]), float(dx[peak]))
    inside = max(abs(x), abs(y)) <= most
    return Shift(x, y, float((plane[peak] - centre) / spread) if spread > 0 and inside else 0.0)


def _prepared(flux: NDArray[Any], mask: Bools) -> Floats:
    """Background off, nothing where bad, fading out at the edges."""
    good = mask & np.isfinite(flux)
    if not good.any():
        return np.zeros(flux.shape)
    values = np.where(good, flux, 0.0).astype(np.float64)
    sky = float(median_of(values.reshape(-1), clipped(values.reshape(-1), good.reshape(-1))))
    fades = []
    for n in flux.shape:
        edge = np.minimum(np.arange(n) + 0.5, n - np.arange(n) - 0.5) / max(TAPER * n, 1)
        fades.append(np.sin(np.pi / 2 * np.minimum(edge, 1)) ** 2)
    return np.asarray(np.where(good, values - sky, 0.0) * np.outer(*fades))


def _refined(cross: NDArray[Any], fy: Floats, fx: Floats, y: float, x: float) -> tuple[float, float]:
    """The peak of a correlation near a pixel: on a fine lattice, then of the paraboloid through it."""
    steps = np.arange(-FINE, FINE + 1) / FINE
    rows, columns = (np.exp(2j * np.pi * np.outer(at + steps, f)) for at, f in ((y, fy), (x, fx)))
    fine = (rows @ cross @ columns.T).real
    j, i = (int(np.clip(v, 1, len(steps) - 2)) for v in np.unravel_index(np.argmax(fine), fine.shape))

    def middle(before: float, here: float, after: float) -> float:
        bend = before - 2 * here + after
        return float(np.clip((before - after) / 2 / bend, -1, 1)) if bend < 0 else 0.0

    return y + steps[j] + middle(*fine[j - 1 : j + 2, i]) / FINE, x + steps[i] + middle(*fine[j, i - 1 : i + 2]) / FINE


def centroid_near(flux: NDArray[Any], mask: Bools, x: float, y: float, most: float, width: float) -> Shift:
    """Where the brightest source near a place lies, less that place: a centroid under a Gaussian window that follows it (as SExtractor's XWIN).

    Parameters
    ----------
    flux, mask : array, (y, x)
        Without background.
    x, y, most : float
        Pixels.
    width : float
        Standard deviation of the window, pixels.
    """
    good = mask & np.isfinite(flux)
    spread = noise_of(flux, good)
    from scipy.ndimage import gaussian_filter

    weight = gaussian_filter(good.astype(np.float64), width)
    smooth = gaussian_filter(np.where(good, flux, 0.0), width) / np.maximum(weight, 1e-3)
    rows, columns = np.indices(flux.shape)
    near = (np.hypot(rows - y, columns - x) <= most) & good
    if not near.any() or not spread > 0:
        return Shift(np.nan, np.nan, 0.0)
    at_y, at_x = (float(v) for v in np.unravel_index(np.argmax(np.where(near, smooth, -np.inf)), flux.shape))
    noise = spread / (2 * np.sqrt(np.pi) * width)  # of a smoothed pixel
    strength = float((smooth[int(at_y), int(at_x)]) / noise)
    for _ in range(20):
        window = np.exp(-((rows - at_y) ** 2 + (columns - at_x) ** 2) / 2 / width**2) * good
        total = (window * flux)[good].sum()
        if not total > 0:
            return Shift(np.nan, np.nan, 0.0)
        # twice: a Gaussian under a Gaussian window of its own width moves half way
        step_y, step_x = (2 * float((window * np.where(good, flux, 0.0) * (v - at)).sum() / total) for v, at in ((rows, at_y), (columns, at_x)))
        at_y, at_x = at_y + step_y, at_x + step_x
        if abs(step_x) + abs(step_y) < 1e-4:
            break
    inside = np.hypot(at_x - x, at_y - y) <= most
    return Shift(at_x - x, at_y - y, strength if inside else 0.0)


def moved_wcs(wcs: Mapping[str, float | int | str], x: float, y: float) -> dict[str, float | int | str]:
    """A WCS that puts the sky so many pixels further along x and y."""
    return {**wcs, "CRPIX1": float(wcs.get("CRPIX1", 0.0)) + x, "CRPIX2": float(wcs.get("CRPIX2", 0.0)) + y}


def moved(image: Image, band: int, x: float, y: float) -> tuple[Floats, Bools, Floats | None]:
    """One band with its sources so many pixels further along x and y: shares of overlapping pixels, so that flux is kept; edges are masked."""
    from astrofuse_lab.alignment.weights import overlaps

    rows, columns = image.flux.shape[1:]
    cy, cx = torch.meshgrid(torch.arange(rows + 1.0, dtype=torch.float64) - 0.5 - y, torch.arange(columns + 1.0, dtype=torch.float64) - 0.5 - x, indexing="ij")
    weights = overlaps(cx[None], cy[None], (rows, columns))
    good = image.mask[band] & np.isfinite(image.flux[band])
    ivar = None if image.ivar is None else np.asarray(image.ivar[band], dtype=np.float64)
    if ivar is not None:
        good &= np.isfinite(ivar) & (ivar > 0)

    def gathered(plane: NDArray[Any], value: torch.Tensor) -> Floats:
        flat = torch.from_numpy(np.ascontiguousarray(plane, dtype=np.float64).reshape(-1))
        return np.asarray((flat[weights.place[0]] * value).sum(-1).reshape(rows, columns).numpy())

    left = weights.whole[0].reshape(rows, columns).numpy() & (gathered(~good, weights.value[0]) < 1e-6)
    flux = np.where(left, gathered(np.where(good, image.flux[band], 0.0), weights.value[0]), 0.0)
    if ivar is None:
        return flux, left, None
    variance = gathered(np.where(good, 1 / np.where(good, ivar, 1.0), 0.0), weights.value[0] ** 2)
    return flux, left, np.where(left & (variance > 0), 1 / np.where(variance > 0, variance, 1.0), 0.0)


def onto_band(image: Image, reference: str, most: float, whiten: float = 0.0, bands: Sequence[str] | None = None) -> tuple[Image, dict[str, Shift]]:
    """The bands of an image brought onto one of them.

    Parameters
    ----------
    image : Image
    reference : str
        The band that stays.
    most : float
        arcsec along either axis (pixels, where their size is unknown). What would move farther, or has no clear peak, stays.
    whiten : float
        See `shift_between`.
    bands : sequence of str, optional
        Those that are moved; None: all others.

    Returns
    -------
    Image
    dict of str to Shift
        What was measured of each other band.
    """
    wanted = set(image.bands) if bands is None else {bands} if isinstance(bands, str) else set(bands)
    for band in (reference, *sorted(wanted)):
        if band not in image.bands:
            raise AlignmentError(f"there is no band {band!r} to register; there are {', '.join(image.bands)}.")
    at, found = image.bands.index(reference), {}
    flux, mask = np.array(image.flux, dtype=np.float64), np.array(image.mask)
    ivar = None if image.ivar is None else np.array(image.ivar, dtype=np.float64)
    for b, band in enumerate(image.bands):
        if b == at or band not in wanted:
            continue
        found[band] = shift_between(image.flux[b], image.mask[b], image.flux[at], image.mask[at], most / (image.scale or 1.0), whiten)
        if found[band].found and max(abs(found[band].x), abs(found[band].y)) > SETTLED:
            flux[b], mask[b], new = moved(image, b, -found[band].x, -found[band].y)
            if ivar is not None and new is not None:
                ivar[b] = new
    return replace(image, flux=flux.astype(np.float32), mask=mask, ivar=None if ivar is None else ivar.astype(np.float32)), found


def onto_target(image: Image, ra: float, dec: float, most: float) -> tuple[Image, Shift]:
    """The WCS corrected so that the brightest source within `most` arcsec of a position (deg) lies on it; unchanged where there is none."""
    from astrofuse_lab.alignment.grids import PixelGrid
    from astrofuse_lab.alignment.projection import pixel_map

    x, y = (float(v[0, 0, 0]) for v in pixel_map([image.wcs], PixelGrid(1, image.scale), np.array([ra]), np.array([dec]), np.zeros(1)))
    if not (np.isfinite(x) and np.isfinite(y)):
        raise AlignmentError(f"wcs does not reach the target at {ra}, {dec} deg.")
    clean = np.where(image.mask, image.flux - background(image.flux, image.mask), 0.0)
    noise = [noise_of(f, m) for f, m in zip(clean, image.mask, strict=True)]
    scaled = [f / s for f, s in zip(clean, noise, strict=True) if s > 0]
    if not scaled:
        return image, Shift(np.nan, np.nan, 0.0)
    known = [w for w in image.psf_fwhm or () if np.isfinite(w) and w > 0]
    width = max((np.median(known) / image.scale if known else 3.0) / 2.3548, 0.8)
    found = centroid_near(np.sum(scaled, axis=0), np.asarray(image.mask.any(0)), x, y, most / image.scale, float(width))
    return (replace(image, wcs=moved_wcs(image.wcs, found.x, found.y)) if found.found else image), found

