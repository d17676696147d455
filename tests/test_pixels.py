"""Cutouts of a picture about a position."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from image_server import tan

from astrofuse_lab.surveys import pixels

WCS = tan(150.0, 2.0, 41, 1.0)
WHOLE = pixels.Plane(np.arange(41.0 * 41.0).reshape(41, 41), WCS)


def at(x, y, side):
    """The cutout about a place given in pixels, and the pixel of the picture that is its first."""
    from astropy.wcs import WCS as Wcs

    part = pixels.cut(WHOLE, *(float(v) for v in Wcs(WCS).pixel_to_world_values(x, y)), side)
    return part, (WCS["CRPIX1"] - part.wcs["CRPIX1"], WCS["CRPIX2"] - part.wcs["CRPIX2"])


@given(st.integers(0, 20), st.integers(0, 20), st.integers(-8, 8), st.floats(-1e-8, 1e-8), st.integers(1, 12))
def test_cutouts_move_with_the_position_pixel_by_pixel(i, j, eighths, noise, side):
    """Also where the position is on a pixel's middle or border, as all are in a list of sources on a grid, and however the WCS rounds."""
    x, y = 10 + i + eighths / 8 + noise, 10 + j - eighths / 8 - noise
    (_, first), (part, other) = at(10 + eighths / 8, 10 - eighths / 8, side), at(x, y, side)
    assert (other[0] - first[0], other[1] - first[1]) == (i, j)
    assert abs(other[0] + (side - 1) / 2 - x) <= 0.5 + 1e-5 and abs(other[1] + (side - 1) / 2 - y) <= 0.5 + 1e-5
    low, left = int(other[1]), int(other[0])
    inside = np.isfinite(part.values)
    rows, columns = np.nonzero(inside)
    assert (part.values[inside] == WHOLE.values[rows + low, columns + left]).all()
