"""What augmentations work on: the arrays of some objects in all their modalities, and the columns that follow them."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
Numbers = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Seen(NamedTuple):
    """One modality of some objects.

    Attributes
    ----------
    kind : str
    channels : tuple of str
        Bands of images and light curves.
    arrays : dict of array
        As sample sets hold them: images (object, band, y, x), spectra (object, pixel) with one ``lambda``, light curves end to
        end with ``offsets``.
    placed : array, (object, 2, 3), optional
        Of images: where in the original a pixel lies, ``(x, y)`` from ``(x, y, 1)``, counted from 0. None: nobody asks.
    """

    kind: str
    channels: tuple[str, ...]
    arrays: Arrays
    placed: Numbers | None = None

    def but(self, **arrays: NDArray[Any]) -> "Seen":
        """The same with some arrays changed."""
        return self._replace(arrays={**self.arrays, **arrays})


class Scene(NamedTuple):
    """Some objects.

    Attributes
    ----------
    modalities : dict of str to Seen
    columns : dict of str to array, (object,)
        Numbers that an augmentation may change, such as the redshift; NaN where unknown.
    """

    modalities: dict[str, Seen]
    columns: dict[str, Numbers]

    @property
    def objects(self) -> int:
        """How many."""
        for seen in self.modalities.values():
            if "offsets" in seen.arrays:
                return len(seen.arrays["offsets"]) - 1
            field = {"image": "flux", "spectrum": "flux"}.get(seen.kind, "values")
            return len(seen.arrays[field])
        return len(next(iter(self.columns.values()), ()))

    def put(self, name: str, seen: Seen) -> "Scene":
        """The same with one modality changed."""
        return self._replace(modalities={**self.modalities, name: seen})


def owners(arrays: Arrays) -> NDArray[np.int64]:
    """The object of each epoch."""
    return np.repeat(np.arange(len(arrays["offsets"]) - 1), np.diff(arrays["offsets"]))


def errors(seen: Seen) -> Numbers:
    """One-sigma errors of the flux of a modality, of its shape; NaN where they are not known.

    An image without inverse variance gets the scatter of each of its planes (1.4826 times the median absolute deviation).
    """
    arrays = seen.arrays
    if seen.kind == "light_curve":
        error = np.asarray(arrays["flux_err"], dtype=np.float64)
        return np.asarray(np.where(arrays["mask"] & (error > 0), error, np.nan))
    if "ivar" in arrays:
        ivar = np.asarray(arrays["ivar"], dtype=np.float64)
        fine = arrays["mask"] & (ivar > 0)
        return np.where(fine, 1 / np.sqrt(np.where(fine, ivar, 1.0)), np.nan)
    flux = np.where(arrays["mask"], arrays["flux"], np.nan).astype(np.float64)
    flat = flux.reshape(*flux.shape[:-2], -1)
    some = np.asarray(np.isfinite(flat).any(-1, keepdims=True))
    flat = np.where(some, flat, 0.0)
    scatter = 1.4826 * np.nanmedian(np.abs(flat - np.nanmedian(flat, axis=-1, keepdims=True)), axis=-1)[..., None, None]
    return np.where(np.isfinite(flux), scatter, np.nan)


def observed(seen: Seen, factor: Any, rng: np.random.Generator, wider: Any = 1.0, extra: Any = 0.0) -> Seen:
    """The same source so many times as bright, seen by the same instrument.

    What makes the noise, sky and detector, does not fade with the source: the error stays, and noise is added for what
    would be lacking. Where the source is brightened, its error is, too.

    Parameters
    ----------
    seen : Seen
        Image, spectrum or light curve.
    factor : array
        Broadcast against its flux; NaN masks.
    rng : Generator
    wider : array
        So many times the error besides: 2 for a quarter of the exposure.
    extra : array
        A further variance of the flux itself, with no noise to add for it.
    """
    arrays, by = seen.arrays, np.asarray(factor, dtype=np.float64)
    error = errors(seen)
    known = np.isfinite(error)
    error = np.where(known, error, 0.0)
    wanted = (np.maximum(np.where(np.isfinite(by), by, 1.0), 1.0) * wider * error) ** 2
    added = np.sqrt(np.clip(wanted - (by * error) ** 2, 0.0, None))
    flux = arrays["flux"] * by + rng.normal(size=error.shape) * np.nan_to_num(added)
    mask = arrays["mask"] & np.isfinite(by)
    limit = arrays.get("limit")
    if limit is not None:  # nothing was seen there, and the depth is the instrument's
        flux = np.where(limit, arrays["flux"], flux)
    flux = np.where(mask, flux, arrays["flux"]).astype(arrays["flux"].dtype)
    total = np.sqrt(wanted + extra)
    if seen.kind == "light_curve":
        return seen.but(flux=flux, mask=mask, flux_err=np.where(mask & known, total, arrays["flux_err"]).astype(arrays["flux_err"].dtype))
    if "ivar" not in arrays:
        return seen.but(flux=flux, mask=mask)
    ivar = np.where(mask & known, 1 / np.where(total > 0, total, np.inf) ** 2, np.where(mask, arrays["ivar"], 0.0))
    return seen.but(flux=flux, mask=mask, ivar=ivar.astype(arrays["ivar"].dtype))
