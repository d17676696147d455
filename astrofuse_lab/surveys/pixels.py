"""Planes of FITS images: read strictly, cut about a target, put on one grid. Shared by the image surveys; pure.

Sources: FITS 4.0 (https://fits.gsfc.nasa.gov/fits_standard.html); Greisen & Calabretta 2002, A&A 395, 1061.
"""

import io
import itertools
import math
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import Image
from astrofuse_lab.surveys import formats
from astrofuse_lab.surveys.survey import Ask, Raw, Survey, provenance_of

if TYPE_CHECKING:
    from astropy.io.fits import HDUList

    from astrofuse_lab.surveys.archive import Archive

Wcs = dict[str, float | int | str]
WCS_KEY = re.compile(
    r"(CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA)[12]|(CD|PC)[12]_[12]|PV[12]_\d{1,2}|(A|B|AP|BP)_(ORDER|\d_\d)|LONPOLE|LATPOLE|RADESYS|EQUINOX"
)
OLD_MATRIX = re.compile(r"PC00([12])00([12])")
HIGHEST = 9  # order of a SIP distortion (Shupe et al. 2005, ASPC 347, 491)
MICROJANSKY = {"nanomaggie": 3.631, "nJy": 1e-3, "Jy": 1e6}
"""Microjansky of one: a nanomaggie is 3.631 uJy (https://www.sdss.org/dr17/help/glossary/#nanomaggie)."""
PER_BEAM = re.compile(r"(.*\S)\s*(?:/|\bper\b)\s*beam|(.*\S)\s+beam\s*(?:\^|\*\*)?\s*\(?-1\)?", re.IGNORECASE)
TIE = 1e-6  # pixels: what lies so near the middle between two pixels lies on it
SAME_GRID = 0.02  # pixels that two grids may differ by and still count as one
LIGHT = 2.99792458e18  # Å / s


class Plane(NamedTuple):
    """One band.

    Attributes
    ----------
    values : array, (y, x)
        NaN where there is nothing.
    wcs : dict
        FITS keywords of the celestial WCS.
    ivar : array, (y, x), optional
        Inverse variance of `values`; zero where there is nothing.
    """

    values: NDArray[np.float64]
    wcs: Wcs
    ivar: NDArray[np.float64] | None = None


def side_of(survey: "Archive", ask: Ask, largest: int, least: int = 2) -> int:
    """Pixels across of the cutouts asked for; InputError where they are more than the service gives."""
    assert survey.scale is not None
    side = max(least, round(ask.size / survey.scale))
    if side > largest:
        raise InputError(f"{survey.name}: size {ask.size:g} arcsec is {side} pixels of {survey.scale} arcsec; at most {largest}. Give a smaller size.")
    return side


def pack(survey: "Archive", target: str, files: Iterable[bytes], query: str, media_type: str = "application/fits", **extra: Any) -> Raw:
    """One answer of several bodies, as sent, one after another; ``lengths`` say where each ends."""
    files = list(files)
    return Raw(survey.name, (target,), b"".join(files), query, media_type, extra={**extra, "lengths": [len(f) for f in files]})


def unpack(survey: str, raw: Raw) -> list[bytes]:
    """The bodies that `pack` joined; ArchiveError where the lengths are not those of the content."""
    given: Any = raw.extra.get("lengths")
    lengths: list[int] = list(given) if isinstance(given, list | tuple) else [-1]
    if not all(isinstance(n, int) and n >= 0 for n in lengths) or sum(lengths) != len(raw.content):
        raise ArchiveError(survey, f"the answer has {len(raw.content)} bytes, not those it is said to be made of ({given})", raw.target_ids[0])
    ends = [0, *itertools.accumulate(lengths)]
    return [raw.content[a:b] for a, b in itertools.pairwise(ends)]


def opened(content: bytes, survey: str, band: str, target: str) -> "HDUList":
    """A FITS file; ArchiveError that names the band where it is not whole."""
    try:
        return formats.fits_hdus(content, survey, target)
    except ArchiveError as error:
        said = str(error).removeprefix(f"{survey}, target {target}: ")
        raise ArchiveError(survey, f"band {band}: the FITS file is cut short or unreadable ({said})", target) from error


def zipped(content: bytes, survey: str, target: str) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each FITS file in a zip archive, in memory; a bomb is refused before it goes off."""
    with formats.reading(survey, "zip archive", target), zipfile.ZipFile(io.BytesIO(content)) as archive:
        wanted = [info for info in archive.infolist() if info.filename.endswith(".fits")]
        if sum(info.file_size for info in wanted) > formats.LARGEST:
            raise ArchiveError(survey, f"the answer unpacks to more than {formats.LARGEST // 1024**2} MB and is refused", target)
        for info in wanted:
            with archive.open(info) as file:
                # the size announced is a claim: read no more than it
                yield info.filename, file.read(info.file_size)


def wcs_keys(header: Mapping[str, Any]) -> Wcs:
    """The keywords of the celestial WCS of a header's first two axes, in today's spelling."""
    kept: Wcs = {}
    for key in list(header):
        old = OLD_MATRIX.fullmatch(key)
        name = f"PC{old[1]}_{old[2]}" if old else key
        value = header[key] if old or WCS_KEY.fullmatch(key) else None
        if name.endswith("_ORDER") and not (isinstance(value, int) and 0 <= value <= HIGHEST):
            raise ValueError(f"{name} is {value!r}")  # astropy would look for as many coefficients, squared
        if isinstance(value, int | float | str) and not (isinstance(value, float) and not math.isfinite(value)):
            kept[name] = value
    return kept


def matrix(wcs: Wcs) -> NDArray[np.float64]:
    """Degrees per pixel, (2, 2); ValueError where a header has none or it is singular."""
    value = {k: float(v) for k, v in wcs.items() if isinstance(v, int | float)}
    if any(f"CD{i}_{j}" in value for i in (1, 2) for j in (1, 2)):
        cd = np.array([[value.get(f"CD{i}_{j}", 0.0) for j in (1, 2)] for i in (1, 2)])
    else:
        pc = np.array([[value.get(f"PC{i}_{j}", float(i == j)) for j in (1, 2)] for i in (1, 2)])
        cd = np.diag([value.get("CDELT1", 0.0), value.get("CDELT2", 0.0)]) @ pc
    if not 0 < abs(np.linalg.det(cd)) < math.inf:
        raise ValueError("the header has no scale (CDELT or CD)")
    return np.asarray(cd)


def scale_of(wcs: Wcs) -> float:
    """arcsec per pixel."""
    return 3600 * math.sqrt(abs(float(np.linalg.det(matrix(wcs)))))


def beam_area(header: Mapping[str, Any]) -> float | None:
    """Square degrees of the synthesised beam of a radio image, from its BMAJ and BMIN (FWHM, deg); None where the header has none.

    It is the integral of a Gaussian of peak 1, pi BMAJ BMIN / (4 ln 2), as AIPS and CASA count jansky per beam (E. Greisen of AIPS:
    1.1331 BMAJ BMIN, https://listmgr.nrao.edu/pipermail/daip/2005-October/008749.html).
    """
    axes = header.get("BMAJ"), header.get("BMIN")
    if any(isinstance(axis, bool) or not isinstance(axis, int | float) or not 0 < axis < 90 for axis in axes):
        return None
    return math.pi * float(axes[0]) * float(axes[1]) / (4 * math.log(2))  # type: ignore[arg-type]


def beamless(unit: str) -> str:
    """The unit without ``/ beam``: ``Jy`` of ``JY/BEAM``; empty where it has none."""
    found = PER_BEAM.fullmatch(unit.strip())
    if not found:
        return ""
    said = (found[1] or found[2]).strip()
    return "Jy" if said == "JY" else said


def plane(unit: Any, factor: float = 1.0) -> Plane:
    """Pixels of one unit of a FITS file, times `factor`; axes of length one are dropped.

    Raises
    ------
    ValueError
        If the unit holds no picture; be inside `formats.reading`.
    """
    if unit.data is None or not unit.is_image:
        raise ValueError("there are no pixels")
    values = np.asarray(unit.data, dtype=np.float64)
    while values.ndim > 2 and values.shape[0] == 1:
        values = values[0]
    if values.ndim != 2 or not values.size:
        raise ValueError(f"{' x '.join(map(str, values.shape))} pixels are no picture")
    return Plane(np.where(np.isfinite(values), values * factor, np.nan), wcs_keys(unit.header))


def cut(whole: Plane, ra: float, dec: float, side: int) -> Plane | None:
    """So many pixels about a position (deg); beyond the edge there is nothing. None where the position's square lies off the picture."""
    from astropy.wcs import WCS

    x, y = (float(v) for v in WCS(whole.wcs).world_to_pixel_values(ra, dec))
    height, width = whole.values.shape
    if not (math.isfinite(x) and math.isfinite(y)) or max(abs(x), abs(y)) > 1e9:
        return None
    # a position on the middle of a pixel is half a pixel off the middle of any square of even side: always to the same side of it
    left, low = (math.floor(v - (side - 1) / 2 + 0.5 + TIE) for v in (x, y))
    inner = slice(max(low, 0), min(low + side, height)), slice(max(left, 0), min(left + side, width))
    if inner[0].start >= inner[0].stop or inner[1].start >= inner[1].stop:
        return None
    place = tuple(slice(s.start - first, s.stop - first) for s, first in zip(inner, (low, left), strict=True))

    def moved(array: NDArray[np.float64], nothing: float) -> NDArray[np.float64]:
        made = np.full((side, side), nothing)
        made[place] = array[inner]
        return made

    wcs = {**whole.wcs, "CRPIX1": float(whole.wcs.get("CRPIX1", 0.0)) - left, "CRPIX2": float(whole.wcs.get("CRPIX2", 0.0)) - low}
    return Plane(moved(whole.values, np.nan), wcs, None if whole.ivar is None else moved(whole.ivar, 0.0))


def on_one_grid(planes: Sequence[Plane]) -> list[Plane]:
    """All planes on the grid of the first: as they are where they share it, else interpolated (bilinear, flux per pixel kept)."""
    first = planes[0]
    return [first, *(other if _shares(first, other) else _onto(other, first) for other in planes[1:])]


def _shares(first: Plane, other: Plane) -> bool:
    if first.values.shape != other.values.shape:
        return False
    if first.wcs == other.wcs:
        return True
    x, y = (np.array(v, dtype=float) for v in ([0, first.values.shape[1] - 1] * 2, [0] * 2 + [first.values.shape[0] - 1] * 2))
    there = _through(first.wcs, other.wcs, x, y)
    return bool(np.hypot(there[0] - x, there[1] - y).max() < SAME_GRID)


def _through(here: Wcs, there: Wcs, x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels of another WCS at the same places of the sky."""
    from astropy.wcs import WCS

    got = WCS(there).world_to_pixel_values(*WCS(here).pixel_to_world_values(x, y))
    return np.asarray(got[0], dtype=float), np.asarray(got[1], dtype=float)


def _onto(other: Plane, first: Plane) -> Plane:
    from scipy.ndimage import map_coordinates

    y, x = np.mgrid[: first.values.shape[0], : first.values.shape[1]].astype(float)
    place = np.stack(_through(first.wcs, other.wcs, x, y)[::-1])
    place = np.where(np.isfinite(place), place, -1e6)  # off the projection is off the picture
    area = (scale_of(first.wcs) / scale_of(other.wcs)) ** 2
    values = map_coordinates(other.values, place, order=1, cval=np.nan) * area
    if other.ivar is None:
        return Plane(values, first.wcs)
    ivar = map_coordinates(other.ivar, place, order=1, cval=0.0) / area**2
    return Plane(values, first.wcs, np.where(np.isfinite(values), ivar, 0.0))


def image(
    survey: Survey, raw: Raw, planes: Sequence[Plane], bands: Sequence[str], *,
    unit: str = "uJy", time: float | None = None, psf: Sequence[float] | None = None,
) -> Image | None:
    """The planes of one target as an Image; None where no band has a pixel."""
    planes = on_one_grid(planes)
    flux = np.stack([p.values for p in planes])
    mask = np.isfinite(flux) & (np.abs(flux) < np.finfo(np.float32).max)
    ivar = None
    if all(p.ivar is not None for p in planes):
        ivar = np.stack([np.asarray(p.ivar) for p in planes])
        mask &= (ivar > 0) & (ivar < np.finfo(np.float32).max)
        ivar = np.where(mask, ivar, 0.0).astype(np.float32)
    if not mask.any():
        return None
    return Image(
        np.where(mask, flux, 0).astype(np.float32), mask, tuple(bands), planes[0].wcs, scale_of(planes[0].wcs), ivar,
        psf_fwhm=None if psf is None else tuple(psf), time=time, unit=unit, provenance=provenance_of(survey, raw),
    )  # fmt: skip
