"""Probability sky maps in FITS: multi-order (UNIQ, PROBDENSITY) and plain HEALPix (PROB), as LIGO, Virgo and KAGRA and IceCube publish them. Pure, bounded.

Sources: https://emfollow.docs.ligo.org/userguide/tutorial/multiorder_skymaps.html (columns UNIQ, PROBDENSITY [sr-1], DISTMU, DISTSIGMA [Mpc], DISTNORM);
https://emfollow.docs.ligo.org/userguide/tutorial/skymaps.html (PROB, ORDERING, NSIDE); MOC 2.0 (https://www.ivoa.net/documents/MOC/), section 4.3.1 (NUNIQ);
Singer et al. 2016, ApJL 829, L15 (the distance in a cell is distributed as r^2 times a Gaussian of location DISTMU and width DISTSIGMA).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.modalities import SkyMap
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.surveys import formats

MOST_CELLS = 50_331_648
"""Of HEALPix order 11; published maps have order 10 at most."""
DEEPEST = 29
SUM_TOLERANCE = 0.01
FAR = -10.0
"""Below this ratio of location to width the closed moments cancel, and their limit is taken."""

Floats = NDArray[np.float64]


def read(content: bytes, survey: str, provenance: Provenance, target: str | None = None) -> SkyMap:
    """The sky map in a FITS file, packed or not.

    Parameters
    ----------
    content : bytes
    survey, target : str
        Named in errors.
    provenance : Provenance

    Returns
    -------
    SkyMap
        Cells in the order of the file.

    Raises
    ------
    ArchiveError
        For what is no such file, is cut short, has cells that overlap or lie off the sky, or probabilities that are
        negative or do not sum to one within a hundredth.
    """
    units = formats.fits_hdus(content, survey, target)
    with formats.reading(survey, "sky map", target):
        table = next(unit for unit in units if unit.header.get("XTENSION", "").strip() == "BINTABLE")
        if int(table.header["NAXIS2"]) * int(table.header["NAXIS1"]) > formats.LARGEST:
            raise ValueError(f"{table.header['NAXIS2']} cells are more than can be held")
        names = {str(name).upper(): str(name) for name in table.columns.names}
        if "UNIQ" in names:
            uniq = np.asarray(table.data[names["UNIQ"]]).astype(np.int64).ravel()
            density = _floats(table.data[names["PROBDENSITY"]])
        else:
            uniq, density = _flat(table, names)
        areas = _checked(uniq, density)
        total = float(np.sum(density * areas))
        if abs(total - 1) > SUM_TOLERANCE:
            raise ValueError(f"the probabilities sum to {total:.4g}")
        mean, std = None, None
        if {"DISTMU", "DISTSIGMA"} <= names.keys():
            mean, std = moments(_floats(table.data[names["DISTMU"]]), _floats(table.data[names["DISTSIGMA"]]))
        return SkyMap(uniq, density / total, mean, std, _time(table.header), provenance)


def moments(location: Floats, width: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of r on [0, inf) distributed as r^2 exp(-(r - location)^2 / (2 width^2)); NaN where there is no distance."""
    from scipy.special import erfcx

    good = np.isfinite(location) & np.isfinite(width) & (width > 0)
    z = np.where(good, location, 0.0) / np.where(good, width, 1.0)
    near = np.maximum(z, FAR)
    # Phi(z) / phi(z); where it overflows the Gaussian is whole, and only ratios of what follows are used
    ratio = np.sqrt(np.pi / 2) * erfcx(-np.clip(near, FAR, 30.0) / np.sqrt(2))
    norm = (1 + near**2) * ratio + near
    first = ((near**3 + 3 * near) * ratio + near**2 + 2) / norm
    second = ((near**4 + 6 * near**2 + 3) * ratio + near**3 + 5 * near) / norm
    far = z < FAR
    first = np.where(far, 3 / np.abs(np.where(far, z, FAR)), first)
    variance = np.where(far, 3 / np.where(far, z, FAR) ** 2, second - first**2)
    mean = np.where(good, first * width, np.nan)
    return mean, np.where(good, np.sqrt(np.maximum(variance, 0)) * width, np.nan)


def _flat(table: Any, names: dict[str, str]) -> tuple[NDArray[np.int64], Floats]:
    """Cells and density of a map with one value a pixel, ``PROB`` (probability) or ``PROBABILITY``."""
    nside = int(table.header["NSIDE"])
    order = nside.bit_length() - 1
    if nside != 1 << order or order > DEEPEST:
        raise ValueError(f"NSIDE {nside}")
    column = next(names[name] for name in ("PROB", "PROBABILITY", "T") if name in names)
    values = _floats(table.data[column])
    cells = 12 * 4**order
    if values.size != cells or cells > MOST_CELLS:
        raise ValueError(f"{values.size} pixels of NSIDE {nside}")
    index = np.arange(cells, dtype=np.int64)
    ordering = str(table.header.get("ORDERING", "")).strip().upper()
    if ordering == "RING":
        from astropy_healpix.core import ring_to_nested

        index = np.asarray(ring_to_nested(index, nside), dtype=np.int64)
    elif ordering not in ("NESTED", "NEST"):
        raise ValueError(f"ORDERING {ordering!r}")
    if str(table.header.get("COORDSYS", "C")).strip().upper()[:1] not in ("C", "I", "E", ""):  # celestial, ICRS, equatorial
        raise ValueError(f"COORDSYS {table.header['COORDSYS']!r} is not equatorial")
    return 4 * 4**order + index, values * (cells / (4 * np.pi))


def _checked(uniq: NDArray[np.int64], density: Floats) -> Floats:
    """Solid angles of the cells, sr; ValueError for cells that are none, overlap, or have no probability."""
    if not 0 < uniq.size == density.size <= MOST_CELLS:
        raise ValueError(f"{uniq.size} cells and {density.size} values")
    if uniq.min() < 4 or uniq.max() >= 16 << (2 * DEEPEST):
        raise ValueError("a cell number is no NUNIQ number")
    order = np.floor(np.log2(uniq.astype(np.float64)) / 2 - 1 + 1e-12).astype(np.int64)
    order -= uniq < (np.int64(4) << (2 * order))  # rounding of large numbers
    index = uniq - (np.int64(4) << (2 * order))
    if np.any((index < 0) | (index >= (np.int64(12) << (2 * order)))):
        raise ValueError("a cell lies off the sky")
    if not np.all(np.isfinite(density)) or density.min() < 0:
        raise ValueError("a probability is negative or not a number")
    first = index << (2 * (DEEPEST - order))
    by = np.argsort(first, kind="stable")
    last = first + (np.int64(1) << (2 * (DEEPEST - order)))
    if np.any(last[by][:-1] > first[by][1:]):
        raise ValueError("cells overlap")
    return np.asarray(np.pi / 3 / 4.0**order)


def _floats(column: Any) -> Floats:
    return np.asarray(column, dtype=np.float64).ravel()


def _time(header: Any) -> float | None:
    """MJD of the event."""
    value = header.get("MJD-OBS")
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None
