"""Where the points of a target grid lie in input images (Greisen & Calabretta 2002, A&A 395, 1061; Calabretta & Greisen 2002, A&A 395, 1077).

Zenithal projections (TAN, SIN, STG, ARC, ZEA) in any fixed frame, with SIP distortion, are mapped in closed form, many images at
once; every other WCS by astropy, one by one. Either is asked at few points, since the map over a cutout is smooth: it is a
polynomial through Chebyshev nodes wherever that is as good as the map itself.
"""

import functools
import math
import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.polynomial.chebyshev import chebvander
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.alignment.distortion import distorted, has_inverse, sip_terms, stacked
from astrofuse_lab.alignment.grids import PixelGrid
from astrofuse_lab.errors import AlignmentError

Wcs = Mapping[str, float | int | str]
Floats = NDArray[np.float64]
ZENITHAL = ("TAN", "SIN", "STG", "ARC", "ZEA")
FRAMES = {("RA--", "DEC-"): "equatorial", ("GLON", "GLAT"): "galactic"}
NODES = 6  # along either side
BETWEEN = np.array([-0.95, -0.43, 0.11, 0.71])  # where the polynomial is compared with the map
SMOOTH = 1e-7  # pixels
ITSELF = np.eye(3)
ONE_BY_ONE = threading.Lock()  # which warnings are shown is one state for all threads


class Closed(NamedTuple):
    """A WCS that has a closed form.

    Attributes
    ----------
    projection : str
        One of `ZENITHAL`.
    crpix : array, (2,)
        Reference pixel, counted from 0.
    inverse : array, (2, 2)
        Pixels per degree.
    place : tuple of float
        Reference point in the frame of the header, and LONPOLE, rad.
    frame : array, (3, 3)
        Rotation from ICRS to that frame.
    sip : array, (2, power, power), or None
    """

    projection: str
    crpix: Floats
    inverse: Floats
    place: tuple[float, float, float]
    frame: Floats
    sip: Floats | None


def pixel_map(headers: Sequence[Wcs], grid: PixelGrid, ra: Floats, dec: Floats, step: NDArray[np.floating[Any]], device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Where a lattice of points, centred on each target, lies in each input image.

    Parameters
    ----------
    headers : sequence of mapping
        FITS keywords of each image's WCS.
    grid : PixelGrid
        Its scale and orientation.
    ra, dec : array, (image,)
        Centres, deg, ICRS.
    step : array, (point,)
        Offsets of the points from the centre along either axis, output pixels, ascending.
    device : str

    Returns
    -------
    x, y : float64 Tensor, (image, point, point)
        Pixel coordinates counted from 0 at the centre of the first pixel; NaN off the projection.

    Raises
    ------
    AlignmentError
        If a header is no celestial WCS.
    """
    forms = [closed_form(header) for header in headers]
    at = np.asarray(step, dtype=np.float64)
    if len(at) <= NODES + len(BETWEEN):
        return _mapped(headers, forms, grid, ra, dec, at, device)
    middle, half = (at[0] + at[-1]) / 2, (at[-1] - at[0]) / 2
    nodes = -np.cos(np.pi * np.arange(NODES) / (NODES - 1))
    x, y = _mapped(headers, forms, grid, ra, dec, middle + half * np.concatenate([nodes, BETWEEN]), device)
    to_values = np.linalg.inv(chebvander(nodes, NODES - 1))
    here, between = (torch.from_numpy(chebvander(t, NODES - 1) @ to_values).to(device) for t in ((at - middle) / half, BETWEEN))
    fields, smooth = [], torch.ones(len(headers), dtype=torch.bool, device=device)
    for exact in (x, y):
        known = exact[:, :NODES, :NODES]
        smooth &= ((between @ known @ between.T - exact[:, NODES:, NODES:]).abs() < SMOOTH).flatten(1).all(1)  # False for NaN
        fields.append(here @ known @ here.T)
    rough = torch.nonzero(~smooth).flatten().tolist()
    if rough:
        again = _mapped([headers[i] for i in rough], [forms[i] for i in rough], grid, ra[rough], dec[rough], at, device)
        for field, exact in zip(fields, again, strict=True):
            field[rough] = exact
    return fields[0], fields[1]


def check_wcs(header: Wcs, shape: tuple[int, int]) -> None:
    """Raise AlignmentError if an image of so many rows and columns has no usable WCS."""
    form = closed_form(header)
    if form is not None and form.sip is not None and not has_inverse(form.sip, form.crpix, shape):
        raise AlignmentError(f"wcs has no inverse: its SIP distortion folds within the {shape[1]} x {shape[0]} pixels (its Jacobian changes sign).")


def closed_form(header: Wcs) -> Closed | None:
    """What the closed form needs of a header; None if astropy has to be asked.

    Raises
    ------
    AlignmentError
        If a header is no celestial WCS.
    """
    if "CRVAL1" not in header or "CTYPE1" not in header:
        raise AlignmentError(f"wcs has no CTYPE1 or CRVAL1, so its place on the sky is unknown; it has {', '.join(header) or 'nothing'}.")
    first, second = str(header["CTYPE1"]), str(header.get("CTYPE2", ""))
    kind = FRAMES.get((first[:4], second[:4]))
    plain = kind is not None and first[4:] == second[4:] and first[5:8] in ZENITHAL and first[8:] in ("", "-SIP")
    plain &= header.get("CUNIT1", "deg") == header.get("CUNIT2", "deg") == "deg"
    if not plain or any(key.startswith(("PV", "CROTA", "CPDIS", "CQDIS", "D2IM")) for key in header):
        return None
    value = {key: float(v) for key, v in header.items() if isinstance(v, int | float)}
    if any(key in value for key in ("CD1_1", "CD1_2", "CD2_1", "CD2_2")):
        a, b, c, d = (value.get(key, 0.0) for key in ("CD1_1", "CD1_2", "CD2_1", "CD2_2"))
    else:
        by, also = value.get("CDELT1", 1.0), value.get("CDELT2", 1.0)
        a, b, c, d = by * value.get("PC1_1", 1.0), by * value.get("PC1_2", 0.0), also * value.get("PC2_1", 0.0), also * value.get("PC2_2", 1.0)
    lon, lat, det = math.radians(value["CRVAL1"]), math.radians(value.get("CRVAL2", math.nan)), a * d - b * c
    if not (math.isfinite(lon + lat) and 0 < abs(det) < math.inf):
        raise AlignmentError(f"wcs is no projection and has no inverse: CRVAL {value['CRVAL1']}, {value.get('CRVAL2')}, matrix {[[a, b], [c, d]]} deg per pixel.")
    frame = _frame(header, str(kind))
    if frame is None or abs(lat) >= math.pi / 2:  # at the pole the default of LONPOLE is another
        return None
    inverse = np.array([[d / det, -b / det], [-c / det, a / det]])
    crpix = np.array([value.get("CRPIX1", 0.0) - 1, value.get("CRPIX2", 0.0) - 1])
    return Closed(first[5:8], crpix, inverse, (lon, lat, math.radians(value.get("LONPOLE", 180.0))), frame, sip_terms(header))


def _frame(header: Wcs, kind: str) -> Floats | None:
    """Rotation from ICRS to the frame of a header; None where it is more than a rotation, or unheard of."""
    if kind == "galactic":
        return _rotation("galactic", 0.0)
    equinox = header.get("EQUINOX")
    system = header.get("RADESYS") or ("ICRS" if equinox is None else "FK5" if float(equinox) >= 1984 else "FK4")
    if system == "FK5":
        return _rotation("fk5", float(equinox if equinox is not None else 2000.0))
    return ITSELF if system == "ICRS" else None


@functools.lru_cache(maxsize=64)
def _rotation(frame: str, equinox: float) -> Floats:
    from astropy.coordinates import FK5, ICRS, CartesianRepresentation, Galactic

    to = Galactic() if frame == "galactic" else FK5(equinox=f"J{equinox}")
    return np.array(ICRS(CartesianRepresentation(np.eye(3), unit="")).transform_to(to).cartesian.xyz.to_value(""), dtype=np.float64)


def _native(lon: Any, lat: Any, pole: Any = math.pi) -> Floats:
    """Unit vectors along x and y of the native plane and outward, at positions, for LONPOLE `pole`; rad: (image, 3, 3)."""
    lon, lat, turn = np.broadcast_arrays(np.asarray(lon, dtype=np.float64), lat, math.pi - np.asarray(pole))
    (sa, ca), (sd, cd), (st, ct) = ((np.sin(v), np.cos(v)) for v in (lon, lat, turn))
    east, north = np.stack([-sa, ca, np.zeros_like(sa)], -1), np.stack([-sd * ca, -sd * sa, cd], -1)
    st, ct = st[..., None], ct[..., None]
    return np.stack([ct * east + st * north, ct * north - st * east, np.stack([cd * ca, cd * sa, sd], -1)], -2)


def _mapped(headers: Sequence[Wcs], forms: Sequence[Closed | None], grid: PixelGrid, ra: Floats, dec: Floats, step: Floats, device: str) -> tuple[Tensor, Tensor]:
    """`pixel_map`, every point on its own."""
    x = torch.full((len(headers), len(step), len(step)), torch.nan, dtype=torch.float64, device=device)
    y = x.clone()
    rays = torch.from_numpy(_rays(grid, np.asarray(ra), np.asarray(dec), step)).to(device)
    for name in {form.projection for form in forms if form is not None}:
        rows = [i for i, form in enumerate(forms) if form is not None and form.projection == name]
        got = _to_pixels(rays[rows].flatten(1, 2), [forms[i] for i in rows], device)  # type: ignore[misc]
        x[rows], y[rows] = (v.view(len(rows), len(step), len(step)) for v in got)
    for i in (i for i, form in enumerate(forms) if form is None):
        x[i], y[i] = (torch.from_numpy(v).to(device) for v in _by_astropy(headers[i], grid, float(ra[i]), float(dec[i]), step))
    return x, y


def _rays(grid: PixelGrid, ra: Floats, dec: Floats, step: Floats) -> Floats:
    """Directions of the grid's points, not normed: (image, y, x, 3), ICRS."""
    turn, size = np.radians(grid.angle), np.radians(grid.scale / 3600)
    dy, dx = np.meshgrid(step, step, indexing="ij")
    xi, eta = -size * (np.cos(turn) * dx - np.sin(turn) * dy), size * (np.sin(turn) * dx + np.cos(turn) * dy)
    plane = np.stack([xi, eta, np.ones_like(xi)], -1)
    axes = _native(np.radians(ra), np.radians(dec))
    return np.asarray((plane.reshape(-1, 3) @ axes).reshape(len(axes), *plane.shape))


def _to_pixels(rays: Tensor, forms: Sequence[Closed], device: str) -> tuple[Tensor, Tensor]:
    """Directions (image, point, 3) to pixels of WCSs of one projection: x and y, (image, point)."""
    native = _native(*np.array([f.place for f in forms]).T) @ np.stack([f.frame for f in forms])
    axes, inverse, crpix = (torch.from_numpy(v).to(device) for v in (native, np.stack([f.inverse for f in forms]), np.stack([f.crpix for f in forms])))
    local = rays @ axes.mT
    plane = torch.rad2deg(local[..., :2] * _radial(local, forms[0].projection)[..., None])
    u, v = (plane @ inverse.mT).unbind(-1)
    bent = [i for i, form in enumerate(forms) if form.sip is not None]
    if bent:
        u, v = u.clone(), v.clone()
        terms = torch.from_numpy(stacked([np.asarray(forms[i].sip) for i in bent])).to(device)
        u[bent], v[bent] = distorted(u[bent], v[bent], terms)
    return u + crpix[:, :1], v + crpix[:, 1:]


def _radial(local: Tensor, projection: str) -> Tensor:
    """What the first two components of a direction are multiplied with to lie in the plane, radian; NaN where nothing is."""
    z = local[..., 2]
    if projection == "TAN":
        return 1 / torch.where(z > 0, z, torch.nan)
    norm = torch.linalg.vector_norm(local, dim=-1)
    z = z / norm
    if projection == "SIN":
        return torch.where(z >= 0, 1 / norm, torch.nan)
    behind = z < -1 + 1e-12
    if projection == "STG":
        return torch.where(behind, torch.nan, 2 / (1 + z) / norm)
    if projection == "ZEA":
        return torch.where(behind, torch.nan, (2 / (1 + z)).sqrt() / norm)
    side = torch.linalg.vector_norm(local[..., :2], dim=-1) / norm
    angle = torch.atan2(side, z)
    return torch.where(behind, torch.nan, torch.where(side > 0, angle / side, 1.0) / norm)


def _by_astropy(header: Wcs, grid: PixelGrid, ra: float, dec: float, step: Floats) -> tuple[Floats, Floats]:
    from astropy.io.fits import Header
    from astropy.wcs import WCS, FITSFixedWarning
    from astropy.wcs.utils import pixel_to_pixel

    py, px = np.meshgrid(step + (grid.size - 1) / 2, step + (grid.size - 1) / 2, indexing="ij")
    try:
        with ONE_BY_ONE, warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            source = WCS(Header(dict(header))).celestial
            x, y = pixel_to_pixel(WCS(Header(grid.wcs(ra, dec))), source, px, py)
    except Exception as error:  # wcslib and astropy raise many kinds; each means that this header is no WCS
        raise AlignmentError(f"wcs cannot be read ({type(error).__name__}: {error}).") from error
    return np.array(x, dtype=np.float64), np.array(y, dtype=np.float64)
