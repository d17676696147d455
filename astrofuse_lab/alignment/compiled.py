"""Loops over output pixels, compiled (numba): the same resampling as `weights` does with tensors, for processors.

Each output pixel finds the window of input pixels that it touches and their weights, and takes flux, mask and variance of every
band with them. Images that leave the input are not looked at there: their pixels stay masked.
"""

import math
from typing import Any

import numpy as np

from astrofuse_lab.alignment.machine_code import compiled

EDGE = 1e-6  # input pixels: as far outside still counts as inside, since aligning twice must change nothing
TOUCHED = 1e-6  # an output pixel is bad once bad input has more than this share of its weight
SAME = 1e-14  # rows or columns that a side runs along


@compiled
def _sampled(x: Any, y: Any, row: int, column: int, k: int, height: int, width: int, window: Any) -> tuple[int, int, int, int]:
    """Bilinear weights of the k x k samples of one output pixel: lowest row and column, rows and columns; no rows if it is not inside."""
    low_x, low_y, high_x, high_y = math.inf, math.inf, -math.inf, -math.inf
    for j in range(row * k + 1, row * k + k + 1):
        for i in range(column * k + 1, column * k + k + 1):
            if not (-EDGE <= x[j, i] <= width - 1 + EDGE and -EDGE <= y[j, i] <= height - 1 + EDGE):  # NaN is not
                return 0, 0, 0, 0
            low_x, high_x = min(low_x, x[j, i]), max(high_x, x[j, i])
            low_y, high_y = min(low_y, y[j, i]), max(high_y, y[j, i])
    left, bottom = min(max(int(low_x), 0), width - 2), min(max(int(low_y), 0), height - 2)
    wide, high = min(max(int(high_x), 0), width - 2) + 2 - left, min(max(int(high_y), 0), height - 2) + 2 - bottom
    if wide * high > window.size:
        return bottom, left, -high, wide
    window[: wide * high] = 0.0
    for j in range(row * k + 1, row * k + k + 1):
        for i in range(column * k + 1, column * k + k + 1):
            sx, sy = min(max(x[j, i], 0.0), width - 1.0), min(max(y[j, i], 0.0), height - 1.0)
            cx, cy = min(int(sx), width - 2), min(int(sy), height - 2)
            fx, fy = sx - cx, sy - cy
            at = (cy - bottom) * wide + cx - left
            window[at] += (1 - fx) * (1 - fy) / (k * k)
            window[at + 1] += fx * (1 - fy) / (k * k)
            window[at + wide] += (1 - fx) * fy / (k * k)
            window[at + wide + 1] += fx * fy / (k * k)
    return bottom, left, high, wide


@compiled
def _side(x0: float, y0: float, x1: float, y1: float, wide: int, window: Any) -> None:
    """Add one side of a polygon to the signed areas: in each row it crosses, what lies right of it, as differences along the row."""
    if abs(y1 - y0) < SAME:
        return
    sign = 1.0
    if y1 < y0:
        x0, y0, x1, y1, sign = x1, y1, x0, y0, -1.0
    slope = (x1 - x0) / (y1 - y0)
    for row in range(int(y0), math.ceil(y1)):
        ya, yb = max(y0, float(row)), min(y1, row + 1.0)
        xa, xb = x0 + (ya - y0) * slope, x0 + (yb - y0) * slope
        left, right = min(xa, xb), max(xa, xb)
        first, last = int(left), int(right)
        base = row * (wide + 2)
        rise = sign * (yb - ya)
        if first == last or right - left < SAME:
            share = rise * ((left + right) / 2 - first)
            window[base + first] += rise - share
            window[base + first + 1] += share
            continue
        per = rise / (right - left)
        for column in range(first, last + 1):
            a, b = max(left, float(column)), min(right, column + 1.0)
            piece = per * (b - a)
            share = piece * ((a + b) / 2 - column)
            window[base + column] += piece - share
            window[base + column + 1] += share


@compiled
def _overlapped(x: Any, y: Any, row: int, column: int, height: int, width: int, window: Any, scratch: Any) -> tuple[int, int, int, int]:
    """Areas that an output pixel, a quadrilateral, shares with input pixels; returned as by `_sampled`."""
    low_x = min(x[row, column], x[row, column + 1], x[row + 1, column], x[row + 1, column + 1])
    high_x = max(x[row, column], x[row, column + 1], x[row + 1, column], x[row + 1, column + 1])
    low_y = min(y[row, column], y[row, column + 1], y[row + 1, column], y[row + 1, column + 1])
    high_y = max(y[row, column], y[row, column + 1], y[row + 1, column], y[row + 1, column + 1])
    if not (low_x >= -0.5 - EDGE and high_x <= width - 0.5 + EDGE and low_y >= -0.5 - EDGE and high_y <= height - 0.5 + EDGE):
        return 0, 0, 0, 0
    left, bottom = max(int(low_x + 0.5), 0), max(int(low_y + 0.5), 0)
    wide, high = min(math.ceil(high_x + 0.5), width) - left, min(math.ceil(high_y + 0.5), height) - bottom
    if wide < 1 or high < 1:
        return 0, 0, 0, 0
    if wide * high > window.size or high * (wide + 2) > scratch.size:
        return bottom, left, -high, wide
    scratch[: high * (wide + 2)] = 0.0
    fx, fy = 0.0, 0.0
    for corner in range(5):  # around, and back to the first
        r = row + (1 if corner in (2, 3) else 0)
        c = column + (1 if corner in (1, 2) else 0)
        tx, ty = min(max(x[r, c] + 0.5 - left, 0.0), float(wide)), min(max(y[r, c] + 0.5 - bottom, 0.0), float(high))
        if corner:
            _side(fx, fy, tx, ty, wide, scratch)
        fx, fy = tx, ty
    total = 0.0
    for r in range(high):
        behind = 0.0
        for c in range(wide):
            behind += scratch[r * (wide + 2) + c]
            window[r * wide + c] = behind
            total += behind
    if total < 0:
        for at in range(high * wide):
            window[at] = -window[at]
    return bottom, left, high, wide


@compiled
def _taken(row: int, column: int, bottom: int, left: int, high: int, wide: int, mean: bool, scale: float, window: Any,
           flux: Any, good: Any, variance: Any, out: Any, mask: Any, ivar: Any) -> None:  # fmt: skip
    """Every band of one output pixel by the weights of its window."""
    total = 0.0
    for at in range(high * wide):
        total += window[at]
    if not total > 0:
        return
    if mean:
        scale = scale / total
    for band in range(flux.shape[0]):
        value, bad, spread = 0.0, 0.0, 0.0
        for r in range(high):
            for c in range(wide):
                weight = window[r * wide + c]
                if good[band, bottom + r, left + c]:
                    value += weight * flux[band, bottom + r, left + c]
                    if variance.size:
                        spread += weight * weight * variance[band, bottom + r, left + c]
                else:
                    bad += weight
        if bad <= TOUCHED * total:
            mask[band, row, column] = True
            out[band, row, column] = value * scale
            if variance.size and spread > 0:
                ivar[band, row, column] = 1 / (spread * scale * scale)


@compiled
def _clamped(v: float, most: int) -> float:
    """A pixel coordinate counted from the image's corner; just outside is on the edge, farther out is NaN."""
    v += 0.5
    if not -EDGE <= v <= most + EDGE:
        return math.nan
    return min(max(v, 0.0), float(most))


@compiled
def _area(x: Any, y: Any, row: int, column: int, k: int) -> float:
    """Input pixels to an output pixel, from the samples around its middle."""
    j, i = row * k + k // 2 + 1, column * k + k // 2 + 1  # of an even number of samples, the one above the middle
    lower = 1 if k % 2 else 0
    span = (1 + lower) / k
    j0, i0, j1, i1 = j - 1, i - 1, j + lower, i + lower
    ux, uy = x[j1, i1] - x[j0, i0], y[j1, i1] - y[j0, i0]
    vx, vy = x[j1, i0] - x[j0, i1], y[j1, i0] - y[j0, i1]
    return float(abs(ux * vy - uy * vx) / 2 / (span * span))


@compiled
def _prepared(x: Any, y: Any, row: int, height: int, width: int, mean: bool, inside: Any, place: Any, fx: Any, fy: Any, scale: Any) -> None:
    """Of a row of samples: whether they are inside, the lower left of four neighbours, fractions, and areas between the next samples.

    Without branches, so that the compiler makes vectors of it.
    """
    for i in range(inside.shape[0]):
        sx, sy = x[row + 1, i + 1], y[row + 1, i + 1]
        ok = (sx >= -EDGE) & (sx <= width - 1 + EDGE) & (sy >= -EDGE) & (sy <= height - 1 + EDGE)  # False for NaN
        sx, sy = sx if ok else 0.0, sy if ok else 0.0
        sx, sy = min(max(sx, 0.0), width - 1.0), min(max(sy, 0.0), height - 1.0)
        c, r = min(math.floor(sx), width - 2), min(math.floor(sy), height - 2)
        inside[i], place[i], fx[i], fy[i] = ok, r * width + c, sx - c, sy - r
    if mean:
        scale[:] = 1.0
        return
    for i in range(inside.shape[0]):
        ux, uy = x[row + 2, i + 2] - x[row, i], y[row + 2, i + 2] - y[row, i]
        vx, vy = x[row + 2, i] - x[row, i + 2], y[row + 2, i] - y[row, i + 2]
        scale[i] = abs(ux * vy - uy * vx) / 8


@compiled
def _interpolated(x: Any, y: Any, height: int, width: int, clean: bool, mean: bool, flux: Any, good: Any, variance: Any, out: Any, mask: Any, ivar: Any) -> None:
    """One image, one sample to a pixel; arrays as of `resampled`, without their first axis, planes of the input flat."""
    bands, rows, size = out.shape
    inside, place, fx, fy, scale = np.empty(size, np.bool_), np.empty(size, np.uint64), np.empty(size), np.empty(size), np.empty(size)
    one, above = np.uint64(1), np.uint64(width)  # indices without a sign are not tested for being negative
    for row in range(rows):
        _prepared(x, y, row, height, width, mean, inside, place, fx, fy, scale)
        for b in range(bands):
            f, ok, v = flux[b], good[b], variance[b]
            for i in range(size):
                p = place[i]
                lower, upper = f[p] + fx[i] * (f[p + one] - f[p]), f[p + above] + fx[i] * (f[p + above + one] - f[p + above])
                mask[b, row, i] = inside[i]
                out[b, row, i] = scale[i] * (lower + fy[i] * (upper - lower)) if inside[i] else 0.0
            if clean and not variance.size:
                continue
            for i in range(size):
                p, gx, gy = place[i], fx[i], fy[i]
                w0, w1, w2, w3 = (1 - gx) * (1 - gy), gx * (1 - gy), (1 - gx) * gy, gx * gy
                if w0 * (not ok[p]) + w1 * (not ok[p + one]) + w2 * (not ok[p + above]) + w3 * (not ok[p + above + one]) > TOUCHED:
                    mask[b, row, i], out[b, row, i] = False, 0.0
                elif variance.size and inside[i]:
                    spread = w0 * w0 * v[p] + w1 * w1 * v[p + one] + w2 * w2 * v[p + above] + w3 * w3 * v[p + above + one]
                    ivar[b, row, i] = 1 / (spread * scale[i] * scale[i]) if spread > 0 else 0.0


@compiled
def _averaged(x: Any, y: Any, k: int, height: int, width: int, clean: bool, mean: bool, flux: Any, good: Any, out: Any, mask: Any) -> None:
    """One image, k x k samples to a pixel, without variances; arrays as of `_interpolated`."""
    bands, rows, size = out.shape
    shape, n = (k, k * size), k * k
    inside, place, fx, fy, area = np.empty(shape, np.bool_), np.empty(shape, np.uint64), np.empty(shape), np.empty(shape), np.empty(shape)
    one, above = np.uint64(1), np.uint64(width)
    for row in range(rows):
        for j in range(k):
            _prepared(x, y, row * k + j, height, width, mean, inside[j], place[j], fx[j], fy[j], area[j])
        for b in range(bands):
            f, ok = flux[b], good[b]
            for column in range(size):
                whole, value, bad, scale = True, 0.0, 0.0, 0.0
                for j in range(k):
                    for i in range(column * k, column * k + k):
                        p, gx, gy = place[j, i], fx[j, i], fy[j, i]
                        lower, upper = f[p] + gx * (f[p + one] - f[p]), f[p + above] + gx * (f[p + above + one] - f[p + above])
                        value += lower + gy * (upper - lower)
                        whole &= inside[j, i]
                        scale += area[j, i]
                        if not clean:
                            bad += (1 - gx) * (1 - gy) * (not ok[p]) + gx * (1 - gy) * (not ok[p + one])
                            bad += (1 - gx) * gy * (not ok[p + above]) + gx * gy * (not ok[p + above + one])
                if whole and bad <= TOUCHED * n:
                    mask[b, row, column] = True
                    # the areas are those of samples: n of them are a pixel
                    out[b, row, column] = value / n * (1.0 if mean else scale)


@compiled
def _along(x0: float, y0: float, x1: float, y1: float, before: Any) -> float:
    """Integral over dy, along a line, of all that lies left of it; `before` holds the sums along rows."""
    if math.isnan(x0 + y0 + x1 + y1):
        return math.nan
    if abs(y1 - y0) < SAME:
        return 0.0
    sign = 1.0
    if y1 < y0:
        x0, y0, x1, y1, sign = x1, y1, x0, y0, -1.0
    slope = (x1 - x0) / (y1 - y0)
    value, ya, xa = 0.0, y0, x0
    for row in range(int(y0), min(math.ceil(y1), before.shape[0])):
        yb = min(y1, row + 1.0)
        xb = x0 + (yb - y0) * slope
        left, right = min(xa, xb), max(xa, xb)
        column, last = max(int(left), 0), min(int(right), before.shape[1] - 2)
        if column >= last:
            column = last
            at = before[row, column]
            value += (yb - ya) * (at + (before[row, column + 1] - at) * ((left + right) / 2 - column))
        else:
            per = (yb - ya) / (right - left)
            for c in range(column, last + 1):
                a, b = max(left, float(c)), min(right, c + 1.0)
                at = before[row, c]
                value += per * (b - a) * (at + (before[row, c + 1] - at) * ((a + b) / 2 - c))
        ya, xa = yb, xb
    return sign * value


@compiled
def _sides(x: Any, y: Any, before: Any, across: Any, up: Any) -> None:
    """`_along` every side of the mesh of output pixels; NaN for one that leaves the image."""
    height, width = before.shape[0], before.shape[1] - 1
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            x0, y0 = _clamped(x[row, column], width), _clamped(y[row, column], height)
            if column + 1 < x.shape[1]:
                across[row, column] = _along(x0, y0, _clamped(x[row, column + 1], width), _clamped(y[row, column + 1], height), before)
            if row + 1 < x.shape[0]:
                up[row, column] = _along(x0, y0, _clamped(x[row + 1, column], width), _clamped(y[row + 1, column], height), before)


@compiled
def _conserved(x: Any, y: Any, clean: bool, mean: bool, flux: Any, good: Any, out: Any, mask: Any) -> None:
    """One image, overlapping areas, without variances: by Green's theorem, each side of the mesh once for both its pixels."""
    bands, size = out.shape[:2]
    height, width = flux.shape[1:]
    before, across, up = np.zeros((height, width + 1)), np.empty((size + 1, size)), np.empty((size, size + 1))
    spoilt = np.zeros((size, size))
    for b in range(bands):
        for pass_ in range(1 if clean else 0, 2):  # what is bad, then the flux
            for r in range(height):
                total = 0.0
                for c in range(width):
                    if pass_:
                        total += flux[b, r, c]
                    else:
                        total += not good[b, r, c]
                    before[r, c + 1] = total
            _sides(x, y, before, across, up)
            for row in range(size):
                for column in range(size):
                    value = across[row, column] + up[row, column + 1] - across[row + 1, column] - up[row, column]
                    ux, uy = x[row + 1, column + 1] - x[row, column], y[row + 1, column + 1] - y[row, column]
                    vx, vy = x[row + 1, column] - x[row, column + 1], y[row + 1, column] - y[row, column + 1]
                    area = (ux * vy - uy * vx) / 2
                    if not pass_:
                        spoilt[row, column] = value / area
                    elif value == value and area != 0 and spoilt[row, column] <= TOUCHED:
                        mask[b, row, column] = True
                        out[b, row, column] = value / area if mean else value if area > 0 else -value


@compiled
def _windowed(x: Any, y: Any, k: int, mean: bool, flux: Any, good: Any, variance: Any, out: Any, mask: Any, ivar: Any) -> None:
    """One image by windows of input pixels: areas with variances, or means of several samples."""
    height, width = flux.shape[1:]
    window, scratch = np.zeros(64), np.zeros(96)
    for row in range(out.shape[1]):
        for column in range(out.shape[2]):
            for _ in (0, 1):
                if k:
                    bottom, left, high, wide = _sampled(x, y, row, column, k, height, width, window)
                else:
                    bottom, left, high, wide = _overlapped(x, y, row, column, height, width, window, scratch)
                if high >= 0:
                    break
                window, scratch = np.zeros(-high * wide), np.zeros(-high * (wide + 2))
            if high > 0:
                scale = 1.0 if mean or not k else _area(x, y, row, column, k)
                _taken(row, column, bottom, left, high, wide, mean, scale, window, flux, good, variance, out, mask, ivar)


@compiled
def resampled(x: Any, y: Any, k: int, mean: bool, flux: Any, good: Any, variance: Any, out: Any, mask: Any, ivar: Any) -> None:
    """Fill a batch of images.

    Parameters
    ----------
    x, y : float64 array, (image, k * size + 2, k * size + 2), or (image, size + 1, size + 1) where k is 0
        Samples in input pixels, counted from 0 at the centre of the first, and one more all around; with k = 0 the corners of
        output pixels, for overlaps.
    k : int
        Samples along a side of an output pixel; 0: overlapping areas.
    mean : bool
        Brightness; else flux per pixel, which goes with the area of the pixels.
    flux, good, variance : array, (image, band, y, x)
        float32, bool, float32, all zero where not good; `variance` may be (image, 0, 0, 0).
    out, mask, ivar : array, (image, band, size, size)
        Filled; zeros before.
    """
    height, width = flux.shape[2:]
    for i in range(out.shape[0]):
        clean = good[i].all()
        planes = (flux.shape[1], height * width)
        if k == 1:
            spread = variance[i].reshape((planes[0], variance[i].size // planes[0]))
            _interpolated(x[i], y[i], height, width, clean, mean, flux[i].reshape(planes), good[i].reshape(planes), spread, out[i], mask[i], ivar[i])
        elif k and not variance.size:
            _averaged(x[i], y[i], k, height, width, clean, mean, flux[i].reshape(planes), good[i].reshape(planes), out[i], mask[i])
        elif k == 0 and not variance.size:
            _conserved(x[i], y[i], clean, mean, flux[i], good[i], out[i], mask[i])
        else:
            _windowed(x[i], y[i], k, mean, flux[i], good[i], variance[i], out[i], mask[i], ivar[i])
