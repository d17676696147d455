"""10,000 spectra with ivar brought from 3,800 to 2,000 pixels, beside specutils' FluxConservingResampler in a loop.

Both get the same spectra, each with a wavelength axis of its own, and the same pixel borders: the output is linear, where
"halfway between the centres" and the grid's own borders are one. Compared are the flux integral of every spectrum, the largest
difference of a pixel and of its ivar. The loop is timed on some spectra and scaled, which the line says.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from reporting import Line, interleaved

N, PIXELS, BINS = 10_000, 3_800, 2_000
GOAL = 500.0
TOLERANCE = 1e-6


def spectra(n: int) -> list[Any]:
    """Continuum, lines and noise, on logarithmic axes that differ by up to a pixel."""
    from astrofuse_lab.modalities import Spectrum

    rng = np.random.default_rng(0)
    made = []
    for _ in range(n):
        wavelength = np.geomspace(3650, 9250, PIXELS) * (1 + rng.uniform(0, 2e-4))
        flux = 5 + np.sin(wavelength / 300) + 20 * np.exp(-(((wavelength - rng.uniform(4500, 8500)) / 6) ** 2)) + rng.normal(0, 0.3, PIXELS)
        made.append(Spectrum(wavelength, flux, rng.uniform(5, 20, PIXELS), np.ones(PIXELS, bool)))
    return made


def grid() -> Any:
    """2,000 pixels, within all spectra."""
    from astrofuse_lab.alignment.grids import LinearGrid

    return LinearGrid(3800.0, 3800.0 + 2.7 * (BINS - 1), 2.7)


def loop(given: list[Any], out: Any, kept: dict[str, Any]) -> None:
    """The same with specutils."""
    from astropy import units as u
    from astropy.nddata import InverseVariance
    from specutils import Spectrum as Peer
    from specutils.manipulation import FluxConservingResampler

    unit = u.Unit("1e-17 erg / (s cm2 Angstrom)")
    resampler, wanted = FluxConservingResampler(), out.wavelength * u.AA
    got = [resampler(Peer(one.flux * unit, one.wavelength * u.AA, uncertainty=InverseVariance(one.ivar / unit**2)), wanted) for one in given]
    kept["peer"] = np.array([one.flux.value for one in got]), np.array([one.uncertainty.array for one in got])


def ours(given: list[Any], out: Any, kept: dict[str, Any]) -> None:
    """All of them, from a list of `Spectrum`."""
    from astrofuse_lab.alignment.spectra import resample

    kept["ours"] = resample(given, out)


def lines(quick: bool) -> Iterator[Line]:
    """One line: every spectrum by us, some by the peer, in turns."""
    n, sample, pairs = (2_000, 10, 1) if quick else (N, 100, 3)
    given, out, kept = spectra(n), grid(), {}
    seconds, peer = interleaved(partial(ours, given, out, kept), partial(loop, given[:sample], out, kept), pairs)
    mine, (flux, ivar) = kept["ours"], kept["peer"]
    width = np.diff(out.edges)
    integral, theirs = (mine.flux[:sample].astype(float) * width).sum(axis=1), (flux * width).sum(axis=1)
    error = float(np.max(np.abs(integral / theirs - 1)))
    pixel = float(np.max(np.abs(mine.flux[:sample] / flux - 1)))
    inverse = float(np.max(np.abs(mine.ivar[:sample] / ivar - 1)))
    yield Line(
        work=f"{N} spectra {PIXELS} -> {BINS} px with ivar (largest difference of a pixel {pixel:.1e}, of its ivar {inverse:.1e}; {n} timed)",
        peer=f"specutils FluxConservingResampler in a loop ({sample} timed and scaled)", equal=error <= TOLERANCE and max(pixel, inverse) <= 1e-5 and bool(mine.mask.all()),
        error=error, tolerance=TOLERANCE, seconds=seconds * (N / n), peer_seconds=peer * (N / sample), goal=GOAL,
    )  # fmt: skip
