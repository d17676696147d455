"""Where the points of a target grid lie in input images (Greisen & Calabretta 2002, A&A 395, 1061; Calabretta & Greisen 2002, A&A 395, 1077).

Plain ICRS tangent projections are mapped in closed form, many images at once; every other WCS by astropy, one by one.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.alignment.grids import PixelGrid
from astrofuse_lab.errors import AlignmentError

Wcs = Mapping[str, float | int | str]
Floats = NDArray[np.float64]


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
        Offsets of the points from the centre along either axis, output pixels.

    Returns
    -------
    x, y : float64 Tensor, (image, point, point)
        Pixel coordinates counted from 0 at the centre of the first pixel; NaN off the projection.

    Raises
    ------
    AlignmentError
        If a header is no celestial WCS.
    """
    plain = [plain_tan(header) for header in headers]
    offset = torch.deg2rad(torch.from_numpy(np.asarray(step, dtype=np.float64)).to(device) * grid.scale / 3600)
    eta, xi = torch.meshgrid(offset, -offset, indexing="ij")
    x = torch.full((len(headers), *xi.shape), torch.nan, dtype=torch.float64, device=device)
    y = x.clone()
    easy = [i for i, one in enumerate(plain) if one is not None]
    if easy:
        crval, crpix, cd = (torch.from_numpy(np.stack([plain[i][j] for i in easy])).to(device) for j in range(3))  # type: ignore[index]
        centre = torch.deg2rad(torch.from_numpy(np.stack([ra, dec], 1)[easy]).to(device))
        x[easy], y[easy] = _tan_to_tan(xi, eta, centre, crval, crpix, cd)
    for i in sorted(set(range(len(headers))) - set(easy)):
        x[i], y[i] = (torch.from_numpy(v).to(device) for v in _by_astropy(headers[i], grid, float(ra[i]), float(dec[i]), step))
    return x, y


def plain_tan(header: Wcs) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None:
    """CRVAL (rad), CRPIX from 0 and CD (deg) of a plain ICRS tangent projection; None if astropy has to be asked."""
    if "CRVAL1" not in header or "CTYPE1" not in header:
        raise AlignmentError(f"wcs has no CTYPE1 or CRVAL1, so its place on the sky is unknown; it has {', '.join(header) or 'nothing'}.")
    plain = (header.get("CTYPE1"), header.get("CTYPE2")) == ("RA---TAN", "DEC--TAN") and header.get("CUNIT1", "deg") == header.get("CUNIT2", "deg") == "deg"
    plain &= header.get("RADESYS", "ICRS" if "EQUINOX" not in header else "") == "ICRS" and header.get("LONPOLE", 180.0) == 180.0
    if not plain or any(key.startswith(("A_", "B_", "AP_", "PV", "CROTA", "CPDIS", "CQDIS", "D2IM")) for key in header):
        return None
    value = {key: float(v) for key, v in header.items() if isinstance(v, int | float)}
    if any(f"CD{i}_{j}" in value for i in (1, 2) for j in (1, 2)):
        cd = np.array([[value.get(f"CD{i}_{j}", 0.0) for j in (1, 2)] for i in (1, 2)])
    else:
        pc = np.array([[value.get(f"PC{i}_{j}", float(i == j)) for j in (1, 2)] for i in (1, 2)])
        cd = np.diag([value.get("CDELT1", 1.0), value.get("CDELT2", 1.0)]) @ pc
    crval = np.radians([value["CRVAL1"], value.get("CRVAL2", np.nan)])
    crpix = np.array([value.get("CRPIX1", 0.0) - 1, value.get("CRPIX2", 0.0) - 1])
    if not (np.isfinite(crval).all() and np.isfinite(cd).all() and abs(np.linalg.det(cd)) > 0):
        raise AlignmentError(f"wcs is no projection: CRVAL {np.degrees(crval)}, matrix {cd.tolist()} deg per pixel.")
    return crval, crpix, cd


def _tan_to_tan(xi: Tensor, eta: Tensor, centre: Tensor, crval: Tensor, crpix: Tensor, cd: Tensor) -> tuple[Tensor, Tensor]:
    """From standard coordinates about one point to pixels of a tangent projection about another, without angles in between."""
    basis = _basis(centre)  # (image, 3 axes: east, north, out; xyz)
    rays = xi[None, ..., None] * basis[:, 0, None, None] + eta[None, ..., None] * basis[:, 1, None, None] + basis[:, 2, None, None]
    local = torch.einsum("nyxc,nac->nyxa", rays, _basis(crval))
    front = local[..., 2] > 0
    plane = torch.rad2deg(local[..., :2] / torch.where(front, local[..., 2], torch.nan)[..., None])
    pixels = torch.einsum("nyxa,nba->nyxb", plane, torch.linalg.inv(cd)) + crpix[:, None, None]
    return pixels[..., 0], pixels[..., 1]


def _basis(position: Tensor) -> Tensor:
    """East, north and outward unit vectors at positions (rad): (image, 3, 3)."""
    ra, dec = position.unbind(-1)
    zero = torch.zeros_like(ra)
    east = torch.stack([-ra.sin(), ra.cos(), zero], -1)
    north = torch.stack([-dec.sin() * ra.cos(), -dec.sin() * ra.sin(), dec.cos()], -1)
    out = torch.stack([dec.cos() * ra.cos(), dec.cos() * ra.sin(), dec.sin()], -1)
    return torch.stack([east, north, out], 1)


def _by_astropy(header: Wcs, grid: PixelGrid, ra: float, dec: float, step: NDArray[np.floating[Any]]) -> tuple[Floats, Floats]:
    from astropy.io.fits import Header
    from astropy.wcs import WCS, FITSFixedWarning
    from astropy.wcs.utils import pixel_to_pixel

    py, px = np.meshgrid(step + (grid.size - 1) / 2, step + (grid.size - 1) / 2, indexing="ij")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            source = WCS(Header(dict(header))).celestial
            x, y = pixel_to_pixel(WCS(Header(grid.wcs(ra, dec))), source, px, py)
    except Exception as error:  # wcslib and astropy raise many kinds; each means that this header is no WCS
        raise AlignmentError(f"wcs cannot be read ({type(error).__name__}: {error}).") from error
    return np.array(x, dtype=np.float64), np.array(y, dtype=np.float64)
