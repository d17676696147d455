"""Sources seen again, less deeply, less often, through dust, or from further away: errors, masks, limits and labels follow.

Sources: dust as `extinction`; redshift after Boone 2019, AJ 158, 257 (arXiv:1907.04690), section 2.2: light curves of a new redshift are read off a Gaussian
process over time and wavelength; luminosity distances of Planck Collaboration 2020, A&A 641, A6, by astropy.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment import bands, extinction, gaussian_processes
from astrofuse_lab.alignment.scene import Numbers, Scene, Seen, observed, owners
from astrofuse_lab.errors import AlignmentError

SEEN = ("image", "spectrum", "light_curve")
"""Kinds that have errors."""
SMALLEST_REDSHIFT = 1e-3


def _axes(seen: Seen, values: NDArray[Any]) -> NDArray[Any]:
    """One number an object, to be broadcast against the flux of a modality."""
    if seen.kind == "light_curve":
        return values[owners(seen.arrays)]
    return values.reshape(-1, *[1] * (seen.arrays["flux"].ndim - 1))


def noise(scene: Scene, rng: np.random.Generator, share: float = 0.5) -> Scene:
    """Noise of up to `share` of the errors added to fluxes, a share drawn for each object; errors grow with it."""
    drawn = rng.uniform(0, _positive("noise", "share", share), scene.objects)
    return _everywhere(scene, rng, np.sqrt(1 + drawn**2))


def depth(scene: Scene, rng: np.random.Generator, factor: float = 3.0, sigma: float | None = None) -> Scene:
    """Errors up to `factor` times as large, as of a shorter exposure: the noise that goes with them is added.

    With `sigma`, an epoch of a light curve that stands out by fewer errors becomes an upper limit, where the set has limits.
    """
    if not factor >= 1:
        raise AlignmentError(f"depth: factor={factor}; at least 1.")
    scene = _everywhere(scene, rng, np.exp(rng.uniform(0, np.log(factor), scene.objects)))
    for name, seen in scene.modalities.items():
        if sigma is not None and seen.kind == "light_curve" and "limit" in seen.arrays:
            arrays = seen.arrays
            lost = arrays["mask"] & ~arrays["limit"] & (arrays["flux"] < sigma * arrays["flux_err"])
            scene = scene.put(name, seen.but(limit=arrays["limit"] | lost, flux=np.where(lost, 0, arrays["flux"]).astype(arrays["flux"].dtype)))
    return scene


def _everywhere(scene: Scene, rng: np.random.Generator, wider: Numbers) -> Scene:
    for name, seen in scene.modalities.items():
        if seen.kind in SEEN:
            scene = scene.put(name, observed(seen, np.ones(1), rng, _axes(seen, wider)))
    return scene


def cadence(scene: Scene, rng: np.random.Generator, share: float = 0.5, nights: bool = True) -> Scene:
    """Up to `share` of the nights (or of the epochs) of a light curve not observed, a share drawn for each; one always stays."""
    for name, seen in scene.modalities.items():
        if seen.kind != "light_curve":
            continue
        arrays, who = seen.arrays, owners(seen.arrays)
        good = arrays["mask"] & np.isfinite(arrays["time"])
        when = np.floor(arrays["time"][good]).astype(np.int64)
        night = np.zeros(len(who), dtype=np.int64)
        night[good] = when - when.min(initial=0) if nights else np.flatnonzero(good)
        _, visit = np.unique(who * (int(night.max(initial=0)) + 1) + night, return_inverse=True)
        visit = visit.ravel()
        luck = rng.random(int(visit.max(initial=-1)) + 1)[visit]
        keep = luck >= rng.uniform(0, _positive("cadence", "share", share, 1.0), scene.objects)[who]
        # the luckiest good visit of each object is kept, whatever was drawn
        best = np.full(scene.objects, -1.0)
        np.maximum.at(best, who[good], luck[good])
        scene = scene.put(name, seen.but(mask=arrays["mask"] & (keep | (luck == best[who]))))
    return scene


def dust(scene: Scene, rng: np.random.Generator, most: float = 0.3, r_v: float = 3.1, column: str = "") -> Scene:
    """Milky Way dust of E(B - V) up to `most` mag in front of the source; a column of E(B - V) follows."""
    ebv = rng.uniform(0, _positive("dust", "most", most), scene.objects)
    for name, seen in scene.modalities.items():
        if seen.kind == "spectrum":
            fainter = 10 ** (-0.4 * ebv[:, None] * extinction.fitzpatrick(seen.arrays["lambda"], r_v))
        elif seen.kind in SEEN:
            law = extinction.fitzpatrick(bands.wavelengths(seen.channels), r_v)
            law = np.where(np.isfinite(law), law, 0.0)  # beyond 3.5 micrometres: less than 0.2 E(B - V)
            fainter = (
                10 ** (-0.4 * ebv[owners(seen.arrays)] * law[seen.arrays["band"]])
                if seen.kind == "light_curve"
                else 10 ** (-0.4 * ebv[:, None] * law)[:, :, None, None]
            )
        else:
            continue
        scene = scene.put(name, observed(seen, fainter, rng))
    return _moved(scene, column, ebv)


def redshift(scene: Scene, rng: np.random.Generator, most: float = 0.1, column: str = "redshift") -> Scene:
    """The same source further away or nearer: ``1 + z`` up to a factor ``1 + most`` either way.

    Lines move, epochs spread, the flux follows the luminosity distance, bands see another part of the spectrum. What has no
    redshift stays as it is. On wavelengths even in the logarithm, the shift is a whole number of pixels: nothing is interpolated.
    """
    z = scene.columns.get(column)
    if z is None:
        raise AlignmentError(f"redshift: there is no column {column!r}; give column=, the name of that of the redshift.")
    by = np.exp(rng.uniform(-1, 1, scene.objects) * np.log1p(_positive("redshift", "most", most)))
    for seen in scene.modalities.values():
        by = _whole_pixels(seen, by)
    known = np.isfinite(z) & (z > SMALLEST_REDSHIFT)
    known &= (1 + np.where(known, z, 0.0)) * by - 1 > SMALLEST_REDSHIFT
    by, z = np.where(known, by, 1.0), np.where(known, z, 1.0)
    fainter = np.where(known, (_distance(z) / _distance((1 + z) * by - 1)) ** 2, 1.0)
    for name, seen in scene.modalities.items():
        if seen.kind == "spectrum":
            scene = scene.put(name, _shifted_spectra(seen, by, fainter / by, rng))
        elif seen.kind == "light_curve":
            scene = scene.put(name, _shifted_curves(seen, by, fainter * by, rng))
    return _moved(scene, column, np.where(known, (1 + z) * (by - 1), 0.0))


def _distance(z: Numbers) -> Numbers:
    from astropy.cosmology import Planck18

    if not z.size:  # which astropy does not take
        return z
    return np.asarray(Planck18.luminosity_distance(z).to_value("Mpc"), dtype=np.float64)


def _moved(scene: Scene, column: str, by: Numbers) -> Scene:
    if column not in scene.columns:
        return scene
    return scene._replace(columns={**scene.columns, column: scene.columns[column] + by})


def _positive(what: str, option: str, value: float, top: float = 10.0) -> float:
    if not 0 < value <= top:
        raise AlignmentError(f"{what}: {option}={value}; above 0, at most {top:g}.")
    return float(value)


def _whole_pixels(seen: Seen, by: Numbers) -> Numbers:
    """Factors of wavelength that move a logarithmic grid by whole pixels; as they are for any other."""
    if seen.kind != "spectrum" or len(seen.arrays["lambda"]) < 2:
        return by
    steps = np.diff(np.log(np.asarray(seen.arrays["lambda"], dtype=np.float64)))
    step = float(np.median(steps))
    return np.exp(np.round(np.log(by) / step) * step) if step > 0 and np.ptp(steps) < 1e-3 * step else by


def _shifted_spectra(seen: Seen, by: Numbers, factor: Numbers, rng: np.random.Generator) -> Seen:
    """Spectra with each wavelength so many times as long, and the flux so many times as high."""
    arrays = seen.arrays
    wave = np.asarray(arrays["lambda"], dtype=np.float64)
    n = len(wave)
    place = np.interp(np.log(wave)[None, :] - np.log(by)[:, None], np.log(wave), np.arange(n), left=np.nan, right=np.nan)
    inside = np.isfinite(place)
    place = np.where(inside, place, 0.0)
    place = np.where(np.abs(place - np.round(place)) < 1e-3, np.round(place), place)  # a whole pixel, but for rounding
    low = np.minimum(np.floor(place).astype(np.int64), n - 1)
    high, share = np.minimum(low + 1, n - 1), place - np.floor(place)
    of = lambda field, at: np.take_along_axis(arrays[field], at, 1)  # noqa: E731
    mask = inside & of("mask", low) & (of("mask", high) | (share == 0))
    flux = of("flux", low) * (1 - share) + of("flux", high) * share
    a, b = (np.asarray(of("ivar", at), dtype=np.float64) for at in (low, high))
    fine = mask & (a > 0) & ((b > 0) | (share == 0))
    variance = (1 - share) ** 2 / np.where(fine, a, 1.0) + np.where(share > 0, share**2 / np.where(fine & (b > 0), b, 1.0), 0.0)
    ivar = np.where(fine, 1 / variance, 0.0)
    moved = seen.but(flux=np.where(mask, flux, 0.0).astype(arrays["flux"].dtype), mask=mask, ivar=ivar.astype(arrays["ivar"].dtype))
    return observed(moved, factor[:, None], rng)


def _shifted_curves(seen: Seen, by: Numbers, factor: Numbers, rng: np.random.Generator) -> Seen:
    """Light curves with each day so many times as long and each band that much bluer in the frame of the source.

    ``f_nu`` at a band is that of the Gaussian process at its wavelength divided by `by`, times `factor`.
    """
    arrays, who = seen.arrays, owners(seen.arrays)
    n, sizes = len(by), np.diff(arrays["offsets"])
    column = np.arange(len(who)) - arrays["offsets"][:-1][who]
    shape = (n, max(1, int(sizes.max(initial=0))))
    padded = {k: np.zeros(shape) for k in ("time", "flux", "flux_err", "wave")}
    mask = np.zeros(shape, dtype=bool)
    fine = arrays["mask"] & np.isfinite(arrays["time"]) & np.isfinite(arrays["flux"]) & (arrays["flux_err"] > 0)
    mask[who, column] = fine
    for field in ("time", "flux", "flux_err"):
        padded[field][who[fine], column[fine]] = arrays[field][fine]
    padded["wave"][who, column] = bands.wavelengths(seen.channels)[arrays["band"]]
    active = mask & (by != 1)[:, None]
    first = np.where(mask, padded["time"], np.inf).min(1)
    got = gaussian_processes.fit(padded["time"], padded["flux"], padded["flux_err"], padded["wave"], active)
    mean, variance = gaussian_processes.predict_at(got, padded["time"], padded["wave"] / by[:, None])
    changed = active[who, column]
    zero = np.where(np.isfinite(first), first, 0.0)[who]
    time = np.where(changed, zero + (arrays["time"] - zero) * by[who], arrays["time"])
    # the process has smoothed the noise away: the instrument's is put back, and what the process does not know is added to the error
    error = np.where(changed, arrays["flux_err"], 0.0).astype(np.float64)
    flux = factor[who] * mean[who, column] + rng.normal(size=len(who)) * error
    if "limit" in arrays:
        flux = np.where(arrays["limit"], arrays["flux"], flux)
    spread = np.sqrt(error**2 + factor[who] ** 2 * variance[who, column])
    kind = arrays["flux"].dtype
    return seen.but(time=time, flux=np.where(changed, flux, arrays["flux"]).astype(kind), flux_err=np.where(changed, spread, arrays["flux_err"]).astype(kind))
