"""Images turned, rotated and moved, with their masks, inverse variances and places on the sky."""

import numpy as np
import torch
from torch import Tensor

from astrofuse_lab.alignment.scene import Numbers, Scene, Seen
from astrofuse_lab.errors import AlignmentError


def dihedral(image: Tensor, way: Tensor) -> Tensor:
    """One of the eight symmetries of the square per sample: bit 0 mirrors x, bit 1 mirrors y, bit 2 swaps x and y.

    Parameters
    ----------
    image : Tensor, (batch, ..., y, x)
        Where it is no square, x and y are not swapped.
    way : Tensor, (batch,)
        0 to 7.
    """
    pick = lambda bit: (way >> bit & 1).bool().view(-1, *[1] * (image.ndim - 1))  # noqa: E731
    image = torch.where(pick(0), image.flip(-1), image)
    image = torch.where(pick(1), image.flip(-2), image)
    return torch.where(pick(2), image.transpose(-1, -2), image) if image.shape[-1] == image.shape[-2] else image


def _images(scene: Scene) -> list[tuple[str, Seen]]:
    return [(name, seen) for name, seen in scene.modalities.items() if seen.kind == "image"]


def _composed(seen: Seen, matrix: Numbers) -> Numbers | None:
    """Where pixels lie after one more change, which is (object, 2, 3) from new to old."""
    if seen.placed is None:
        return None
    turn = seen.placed[:, :, :2] @ matrix[:, :, :2]
    move = (seen.placed[:, :, :2] @ matrix[:, :, 2:])[:, :, 0] + seen.placed[:, :, 2]
    return np.concatenate([turn, move[:, :, None]], axis=2)


def turn(scene: Scene, rng: np.random.Generator) -> Scene:
    """Each object's images turned by one quarter at random and mirrored at random, all its images alike."""
    way = rng.integers(0, 8, scene.objects)
    for name, seen in _images(scene):
        height, width = seen.arrays["flux"].shape[-2:]
        changed = {
            field: dihedral(torch.from_numpy(seen.arrays[field]), torch.from_numpy(way)).numpy() for field in ("flux", "mask", "ivar") if field in seen.arrays
        }
        flip_x, flip_y, swap = (way & 1).astype(bool), (way >> 1 & 1).astype(bool), (way >> 2 & 1).astype(bool) & (height == width)
        sign_x, sign_y, far_x, far_y = np.where(flip_x, -1.0, 1.0), np.where(flip_y, -1.0, 1.0), flip_x * (width - 1.0), flip_y * (height - 1.0)
        matrix = np.zeros((len(way), 2, 3))
        matrix[:, 0, 2], matrix[:, 1, 2] = far_x, far_y
        # the swap comes last, so the first axis of the new image is the second of the mirrored one
        matrix[:, 0, 0], matrix[:, 0, 1] = np.where(swap, 0.0, sign_x), np.where(swap, sign_x, 0.0)
        matrix[:, 1, 0], matrix[:, 1, 1] = np.where(swap, sign_y, 0.0), np.where(swap, 0.0, sign_y)
        scene = scene.put(name, seen.but(**changed)._replace(placed=_composed(seen, matrix)))
    return scene


def crop(scene: Scene, rng: np.random.Generator, pixels: int = 2) -> Scene:
    """Each object's images cut up to `pixels` off centre in x and y, in the same size; what lies outside is masked."""
    if pixels < 0:
        raise AlignmentError(f"crop: pixels={pixels}; zero or more.")
    move = rng.integers(-pixels, pixels + 1, (scene.objects, 2))
    for name, seen in _images(scene):
        height, width = seen.arrays["flux"].shape[-2:]
        y, x = np.arange(height) + move[:, 1:], np.arange(width) + move[:, :1]
        inside = ((y >= 0) & (y < height))[:, None, :, None] & ((x >= 0) & (x < width))[:, None, None, :]
        rows, columns = np.clip(y, 0, height - 1)[:, None, :, None], np.clip(x, 0, width - 1)[:, None, None, :]
        who, plane = np.arange(len(move))[:, None, None, None], np.arange(seen.arrays["flux"].shape[1])[None, :, None, None]
        changed = {
            field: np.where(inside, seen.arrays[field][who, plane, rows, columns], np.zeros((), seen.arrays[field].dtype))
            for field in ("flux", "mask", "ivar") if field in seen.arrays
        }  # fmt: skip
        matrix = np.zeros((len(move), 2, 3))
        matrix[:, 0, 0] = matrix[:, 1, 1] = 1.0
        matrix[:, :, 2] = move
        scene = scene.put(name, seen.but(**changed)._replace(placed=_composed(seen, matrix)))
    return scene


def rotate(scene: Scene, rng: np.random.Generator, degrees: float = 180.0) -> Scene:
    """Each object's images rotated about their centre by up to `degrees` either way, bilinearly.

    A pixel is good where all four that it is made of are; its inverse variance is that of their weighted mean.
    """
    angle = np.radians(rng.uniform(-abs(degrees), abs(degrees), scene.objects))
    for name, seen in _images(scene):
        height, width = seen.arrays["flux"].shape[-2:]
        cos, sin = np.cos(angle), np.sin(angle)
        matrix = np.stack([np.stack([cos, -sin], 1), np.stack([sin, cos], 1)], 1)
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        matrix = np.concatenate([matrix, (middle - (matrix @ middle))[:, :, None]], axis=2)
        scene = scene.put(name, _resampled(seen, matrix)._replace(placed=_composed(seen, matrix)))
    return scene


def _resampled(seen: Seen, matrix: Numbers) -> Seen:
    """Bilinear samples at the places that `matrix` gives for each pixel."""
    flux, mask = seen.arrays["flux"], seen.arrays["mask"]
    height, width = flux.shape[-2:]
    yy, xx = np.mgrid[:height, :width]
    where = matrix[:, :, :2] @ np.stack([xx.ravel(), yy.ravel()]) + matrix[:, :, 2:]
    x, y = where[:, 0], where[:, 1]
    inside = (x > -1e-9) & (x < width - 1 + 1e-9) & (y > -1e-9) & (y < height - 1 + 1e-9)
    left, bottom = (np.clip(np.floor(v), 0, max(0, n - 2)).astype(np.int64) for v, n in ((x, width), (y, height)))
    fx, fy = np.clip(x - left, 0, 1), np.clip(y - bottom, 0, 1)
    clean = np.where(mask, flux, 0.0).reshape(*flux.shape[:2], -1)
    variance = None
    if "ivar" in seen.arrays:
        ivar = np.asarray(seen.arrays["ivar"], dtype=np.float64)
        mask = mask & (ivar > 0)
        variance = np.where(mask, 1 / np.where(mask, ivar, 1.0), 0.0).reshape(clean.shape)
    value, spread, good = np.zeros(clean.shape), np.zeros(clean.shape), np.broadcast_to(inside[:, None, :], clean.shape).copy()
    flat = mask.reshape(clean.shape)
    for dy in (0, 1):
        for dx in (0, 1):
            weight = (np.where(dx, fx, 1 - fx) * np.where(dy, fy, 1 - fy))[:, None, :]
            index = np.minimum(bottom + dy, height - 1) * width + np.minimum(left + dx, width - 1)
            place = np.broadcast_to(index[:, None, :], clean.shape)
            value += weight * np.take_along_axis(clean, place, 2)
            good &= np.take_along_axis(flat, place, 2) | (weight < 1e-9)
            if variance is not None:
                spread += weight**2 * np.take_along_axis(variance, place, 2)
    shape = flux.shape
    out = {"flux": np.where(good, value, 0.0).reshape(shape).astype(flux.dtype), "mask": good.reshape(shape)}
    if variance is not None:
        out["ivar"] = np.where(good & (spread > 0), 1 / np.where(spread > 0, spread, 1.0), 0.0).reshape(shape).astype(seen.arrays["ivar"].dtype)
    return seen.but(**out)
