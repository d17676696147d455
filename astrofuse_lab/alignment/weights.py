"""How much of each input pixel goes into each output pixel: exact overlaps, or bilinear interpolation.

Both give, for each output pixel, weights on a small window of input pixels, so that values, masks and variances are carried by
the same numbers.
"""

from typing import NamedTuple

import torch
from torch import Tensor

EDGE = 1e-6  # input pixels: as far outside still counts as inside, since aligning twice must change nothing
ALIGNED = 1e-7  # input pixels: corners that line up this well make rectangles
FLAT = 1e-7  # slopes below it are taken at their middle: the quotient would lose digits


class Weights(NamedTuple):
    """Weights of output pixels.

    Attributes
    ----------
    value : float64 Tensor, (image, out, window)
        Overlaps are in input pixels; interpolation weights sum to one.
    place : int64 Tensor, (image, out, window)
        Flat index into the input plane; where the window leaves the image, some index inside, with weight zero.
    whole : bool Tensor, (image, out)
        The output pixel lies inside the image altogether.
    """

    value: Tensor
    place: Tensor
    whole: Tensor


def overlaps(x: Tensor, y: Tensor, shape: tuple[int, int]) -> Weights:
    """Areas common to output pixels, quadrilaterals in the input plane, and input pixels.

    The area under each side of the quadrilateral, clipped to a pixel, summed around it (Green's theorem), as in Drizzle with
    drops of full size (Fruchter & Hook 2002, PASP 114, 144). Overlaps tile both grids, so flux is conserved exactly.

    Parameters
    ----------
    x, y : Tensor, (image, size + 1, size + 1)
        Corners of the output pixels in input pixels, counted from 0 at the centre of the first.
    shape : tuple of int
        Rows and columns of the input.
    """
    known = torch.isfinite(x) & torch.isfinite(y)
    # far outside is outside: it must not make the window huge
    x, y = (torch.where(known, v, -9.0).clamp(-9.0, n + 9.0) + 0.5 for v, n in ((x, shape[1]), (y, shape[0])))
    x, y = (torch.where((v > -EDGE) & (v < n + EDGE), v.clamp(0, n), v) for v, n in ((x, shape[1]), (y, shape[0])))
    px, py, fine = (torch.stack([v[:, :-1, :-1], v[:, :-1, 1:], v[:, 1:, 1:], v[:, 1:, :-1]], -1).flatten(1, 2) for v in (x, y, known))
    left, bottom = px.amin(-1).floor(), py.amin(-1).floor()
    wide, high = (int((v.amax(-1) - low).amax().ceil().clamp_min(1)) for v, low in ((px, left), (py, bottom)))
    px, py = px - left[..., None], py - bottom[..., None]
    qx, qy = px.roll(-1, -1), py.roll(-1, -1)
    whole_area = ((px * qy - qx * py).sum(-1) / 2).abs()
    if (x - x[:, :1]).abs().max() < ALIGNED and (y - y[:, :, :1]).abs().max() < ALIGNED:
        value = _lengths(py, high)[..., :, None] * _lengths(px, wide)[..., None, :]
    else:
        value = _areas_under(px, py, qx, qy, wide, high)
    columns, rows = (low[..., None] + torch.arange(n, dtype=x.dtype, device=x.device) for low, n in ((left, wide), (bottom, high)))
    inside = ((rows >= 0) & (rows < shape[0]))[..., :, None] & ((columns >= 0) & (columns < shape[1]))[..., None, :]
    place = rows.clamp(0, shape[0] - 1)[..., :, None] * shape[1] + columns.clamp(0, shape[1] - 1)[..., None, :]
    value = (value * inside).flatten(2)
    whole = fine.all(-1) & (value.sum(-1) >= whole_area * (1 - 1e-9)) & (whole_area > 0)
    return Weights(value, place.long().flatten(2), whole)


def _lengths(corners: Tensor, count: int) -> Tensor:
    """Overlap of intervals with unit steps: (image, out, side) to (image, out, count)."""
    step = torch.arange(count, dtype=corners.dtype, device=corners.device)
    low, high = corners.amin(-1, keepdim=True), corners.amax(-1, keepdim=True)
    return (torch.minimum(high, step + 1) - torch.maximum(low, step)).clamp_min(0)


def _areas_under(px: Tensor, py: Tensor, qx: Tensor, qy: Tensor, wide: int, high: int) -> Tensor:
    """Area of polygons within each pixel of their windows: corners (image, out, side) to (image, out, high, wide)."""
    column = torch.arange(wide, dtype=px.dtype, device=px.device)
    row = torch.arange(high, dtype=px.dtype, device=px.device)[:, None]
    run = qx - px
    slope = (qy - py) / torch.where(run == 0, torch.inf, run)
    area = torch.zeros(*px.shape[:2], high, wide, dtype=px.dtype, device=px.device)
    for side in range(4):
        x0, y0, x1, m = (v[..., side, None] for v in (px, py, qx, slope))
        a, b = (torch.minimum(torch.maximum(v, column), column + 1) for v in (x0, x1))  # (image, out, wide)
        ya, yb = ((y0 + m * (v - x0))[..., None, :] - row for v in (a, b))
        rise = yb - ya
        steep = rise.abs() > FLAT
        mean = torch.where(steep, (_ramp(yb) - _ramp(ya)) / torch.where(steep, rise, 1.0), ((ya + yb) / 2).clamp(0, 1))
        area += (b - a)[..., None, :] * mean
    return area.abs()


def _ramp(y: Tensor) -> Tensor:
    """Integral of y clipped to 0..1, from minus infinity."""
    inside = y.clamp(0, 1)
    return inside * inside / 2 + (y - 1).clamp_min(0)


def bilinear(x: Tensor, y: Tensor, k: int, shape: tuple[int, int]) -> Weights:
    """Means of k x k bilinear samples to an output pixel.

    Parameters
    ----------
    x, y : Tensor, (image, k * size, k * size)
        Samples in input pixels, counted from 0 at the centre of the first.
    k : int
    shape : tuple of int
        Rows and columns of the input, at least 2 each.
    """
    height, width = shape
    sx, sy = (v.unflatten(1, (-1, k)).unflatten(3, (-1, k)).transpose(2, 3).reshape(len(v), -1, k * k) for v in (x, y))
    inside = (sx >= -EDGE) & (sx <= width - 1 + EDGE) & (sy >= -EDGE) & (sy <= height - 1 + EDGE)  # False for NaN
    sx, sy = (torch.where(inside, v.clamp(0, n - 1), 0.0) for v, n in ((sx, width), (sy, height)))
    # the last pixel is reached with weight one from its left neighbour, so that no index leaves the image
    fx, fy = sx.floor().clamp_max(width - 2), sy.floor().clamp_max(height - 2)
    left, bottom = (torch.where(inside, v, torch.inf).amin(-1, keepdim=True).nan_to_num(posinf=0.0) for v in (fx, fy))
    wide, high = (int(torch.where(inside, v - low, 0.0).amax()) + 2 for v, low in ((fx, left), (fy, bottom)))
    window = torch.zeros(*sx.shape[:2], high * wide, dtype=x.dtype, device=x.device)
    for dy in (0, 1):
        for dx in (0, 1):
            share = (sx - fx if dx else 1 - sx + fx) * (sy - fy if dy else 1 - sy + fy) * inside / (k * k)
            index = torch.where(inside, (fy - bottom + dy) * wide + (fx - left + dx), 0.0)
            window.scatter_add_(2, index.long(), share)
    rows = bottom + torch.arange(high, device=x.device).repeat_interleave(wide)
    columns = left + torch.arange(wide, device=x.device).repeat(high)
    place = (rows.clamp_max(height - 1) * width + columns.clamp_max(width - 1)).long()
    return Weights(window, place, inside.all(-1))
