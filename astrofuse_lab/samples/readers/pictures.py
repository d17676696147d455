"""Pictures in folders, as the data sets that are not published as arrays have them: PNG, JPEG or FITS, looked at before they are unpacked."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.samples.readers import files

ENDINGS = (".png", ".jpg", ".jpeg", ".fits", ".fit", ".fits.gz", ".fz")
MOST_PIXELS = 64 * 1024**2


def folder(path: Path, layout: str, needed: Iterable[str]) -> None:
    """Raise SampleSetError, saying the layout, unless the folder holds what is needed (patterns)."""
    lacking = [pattern for pattern in needed if next(path.glob(pattern), None) is None]
    if lacking:
        raise SampleSetError(f"{path} is not of the layout that this reader expects: it lacks {lacking[0]!r}. Expected: {layout}")


def pictures(path: Path) -> list[Path]:
    """The pictures in a folder, sorted by name."""
    return sorted(f for f in path.iterdir() if f.name.lower().endswith(ENDINGS) and f.is_file())


def grey(file: Path) -> NDArray[np.float32]:
    """One plane, (y, x), as it is stored: 0 to 255 for pictures, the physical value for FITS; rows of pictures run downwards."""
    planes = picture(file)
    return planes.mean(axis=0, dtype=np.float32) if len(planes) > 1 else planes[0]


def picture(file: Path) -> NDArray[np.float32]:
    """All planes, (channel, y, x)."""
    files.exists(file)
    if not file.name.lower().endswith((".png", ".jpg", ".jpeg")):
        return _fits(file)
    from PIL import Image

    with files.reading(file, "a picture"), Image.open(file, formats=("PNG", "JPEG")) as opened:
        if opened.width * opened.height > MOST_PIXELS:
            raise SampleSetError(f"{file} claims {opened.width} x {opened.height} pixels; at most {MOST_PIXELS} are read.")
        values = np.asarray(opened.convert("RGB") if opened.mode in ("P", "RGBA", "CMYK", "YCbCr") else opened, dtype=np.float32)
    return values[None] if values.ndim == 2 else np.ascontiguousarray(np.moveaxis(values[..., :3], -1, 0))


def _fits(file: Path) -> NDArray[np.float32]:
    from astropy.io import fits

    with files.reading(file, "a FITS image"), fits.open(file, memmap=False) as hdus:
        for hdu in hdus:
            shape = getattr(hdu, "shape", ())
            if len(shape) in (2, 3) and hdu.is_image:
                if np.prod(shape, dtype=object) > MOST_PIXELS:
                    raise SampleSetError(f"{file} claims {shape} pixels; at most {MOST_PIXELS} are read.")
                values = np.asarray(hdu.data, dtype=np.float32)
                return values[None] if values.ndim == 2 else values
        raise SampleSetError(f"{file} has no image of two or three axes.")


def resized(plane: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """A plane on another number of pixels, bilinear."""
    from PIL import Image

    if plane.shape == (height, width):
        return plane
    return np.asarray(Image.fromarray(np.nan_to_num(plane)).resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32)


def stacked(planes: list[Any], width: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """One-band images (object, 1, y, x), their mask, and who has one; None where there is none."""
    flux = np.zeros((len(planes), 1, height, width), dtype=np.float32)
    have = np.zeros(len(planes), dtype=bool)
    for i, plane in enumerate(planes):
        if plane is not None:
            flux[i, 0], have[i] = resized(plane, width, height), True
    return flux, np.isfinite(flux) & have[:, None, None, None], have
