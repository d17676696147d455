"""What can be changed in samples, in physical units, before any scaling: the same data a telescope would have sent.

Each edit takes a `Draft` and options that JSON can hold. What an object lacks (a modality, a redshift, a word) leaves it as it was.
"""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.spectral_lines import line_named
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.modalities import KINDS
from astrofuse_lab.samples.altered import altered
from astrofuse_lab.training.early_times import triggers

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet

Array = NDArray[Any]
LOGARITHMIC = {"mag": -2.5, "mag(AB)": -2.5, "ABmag": -2.5, "dex": 1.0}
"""Units of columns that are logarithms, and what ten times as much adds."""
KILOMETRES = 299_792.458


class Draft:
    """Samples that are being changed: copies of what an edit touches.

    Parameters
    ----------
    samples : SampleSet
    modalities : sequence of str
        Those that the model is given: no other can be edited.
    """

    def __init__(self, samples: "SampleSet", modalities: Sequence[str]) -> None:
        self.samples, self.modalities = samples, tuple(modalities)
        self._arrays: dict[str, dict[str, Array]] = {}
        self._columns: dict[str, Array] = {}

    def named(self, modality: str | None, *kinds: str) -> str:
        """The modality asked for, or the only one of these kinds.

        Raises
        ------
        InputError
            Where it is of another kind, the model is not given it, or there are none or several to choose from.
        """
        able = [name for name in self.modalities if self.samples.spec(name).kind in kinds]
        if modality is None and len(able) == 1:
            return able[0]
        if modality not in able:
            what = f"modality={modality!r}" if modality else "say which, modality=..."
            raise InputError(f"{what}: this is of {' or '.join(kinds)}, and of these the model is given {', '.join(able) or 'none'}.")
        return modality

    def arrays(self, name: str) -> dict[str, Array]:
        """Arrays of a modality, to be changed in place or exchanged."""
        if name not in self._arrays:
            # what is shared by views of the store must not be written to
            self._arrays[name] = {field: np.array(one) for field, one in self.samples.arrays(name).items()}
        return self._arrays[name]

    def column(self, name: str) -> Array:
        """A column's numbers, NaN where missing, to be changed in place."""
        if name not in self._columns:
            self._columns[name] = self.numbers(name)
        return self._columns[name]

    def numbers(self, name: str) -> Array:
        """A column's numbers as they stand, NaN where missing; a copy."""
        if name in self._columns:
            return self._columns[name].copy()
        column = self.samples.column(name)
        if column.dtype.kind not in "fiub":
            raise InputError(f"column {name!r} holds no numbers.")
        return np.ma.filled(column.astype(np.float64), np.nan)

    def owner(self, name: str) -> Array:
        """Which object each epoch is of, (epoch,)."""
        return np.repeat(np.arange(len(self.samples)), np.diff(self.arrays(name)["offsets"]))

    def redshifts(self, column: str) -> Array:
        """Redshift of each object, NaN where unknown; zero for all where the column is called ``""``."""
        if not column:
            return np.zeros(len(self.samples))
        if column not in self.samples.roles:
            raise InputError(f"these samples have no column {column!r} to tell a line's place; give redshift= another column, or redshift='' for lines at rest.")
        return self.numbers(column)

    def done(self) -> "SampleSet":
        """The samples as they are now."""
        return altered(self.samples, self._arrays, self._columns)


# ---- spectra ---------------------------------------------------------------------------------------------------------


def inside(draft: Draft, name: str, line: str | None, low: float | None, high: float | None, width: float, redshift: str) -> Array:
    """Pixels of a spectrum between two observed wavelengths (ångström), or within `width` km/s of a line at each object's redshift: (object, pixel)."""
    wavelength = np.asarray(draft.arrays(name)["lambda"], dtype=np.float64)
    if line is not None:
        with np.errstate(invalid="ignore"):
            centre = line_named(line)[1] * (1 + draft.redshifts(redshift))[:, None]
            return np.asarray(np.abs(wavelength / centre - 1) * KILOMETRES <= width / 2)
    if low is None or high is None or not low < high:
        raise InputError(f"low={low!r}, high={high!r}: give the window's ends, ascending, in ångström (observed), e.g. low=6500.0, high=6600.0.")
    return np.broadcast_to((wavelength >= low) & (wavelength <= high), (len(draft.samples), len(wavelength)))


def mask_window(
    draft: Draft, low: float | None = None, high: float | None = None, modality: str | None = None, fill: str = "masked", *, line: str | None = None,
    width: float = 3000.0, redshift: str = "redshift",
) -> None:  # fmt: skip
    """A stretch of the spectrum taken out: missing (``fill="masked"``), or a straight ``"continuum"`` between the medians on both sides."""
    name = draft.named(modality, "spectrum")
    arrays, out = draft.arrays(name), inside(draft, name, line, low, high, width, redshift)
    if fill == "masked":
        arrays["mask"] = arrays["mask"] & ~out
        return
    if fill != "continuum":
        raise InputError(f"fill={fill!r}: choose 'masked' or 'continuum'.")
    wavelength = np.asarray(arrays["lambda"], dtype=np.float64)
    for i in np.flatnonzero(out.any(1)):
        arrays["flux"][i] = _straight(wavelength, arrays["flux"][i], arrays["mask"][i], out[i])


def _straight(wavelength: Array, flux: Array, mask: Array, out: Array) -> Array:
    """Flux with a straight line in place of a stretch, between medians of as many pixels on either side; as it was where there are none."""
    pixels = np.flatnonzero(out)
    first, last, side = int(pixels[0]), int(pixels[-1]) + 1, max(3, len(pixels))
    ends = []
    for piece in (slice(max(0, first - side), first), slice(last, last + side)):
        fine = np.asarray(mask[piece] & np.isfinite(flux[piece]))
        if fine.any():
            ends.append((float(wavelength[piece][fine].mean()), float(np.median(flux[piece][fine]))))
    if not ends:
        return flux
    at, level = (np.array(one) for one in zip(*ends, strict=True))
    return np.where(out, np.interp(wavelength, at, level), flux)


def mask_line(draft: Draft, line: str, width: float = 3000.0, modality: str | None = None, fill: str = "masked", redshift: str = "redshift") -> None:
    """A line taken out of the spectrum, `width` km/s wide in all, where each object's redshift puts it."""
    mask_window(draft, None, None, modality, fill, line=line, width=width, redshift=redshift)


def shift_redshift(draft: Draft, by: float | None = None, to: float | None = None, modality: str | None = None, redshift: str = "redshift") -> None:
    """The spectrum as of an object at another redshift: every wavelength times (1 + new) / (1 + old), read off linearly on the same grid.

    The flux stays what it was, pixel by pixel; what comes from outside the grid is missing. Columns stay.
    """
    name = draft.named(modality, "spectrum")
    if (by is None) == (to is None):
        raise InputError(f"by={by!r}, to={to!r}: give one of them, a step of redshift or the new redshift.")
    old = draft.redshifts(redshift)
    new = old + by if by is not None else np.full(len(old), float(to or 0.0))
    arrays = draft.arrays(name)
    wavelength = np.asarray(arrays["lambda"], dtype=np.float64)
    for i in np.flatnonzero(np.isfinite(old)):
        if new[i] <= -1 or old[i] <= -1:
            raise InputError(f"a redshift of {min(new[i], old[i]):g} for {draft.samples.object_ids[i]}: it must be above -1.")
        _stretched(arrays, int(i), wavelength, (1 + new[i]) / (1 + old[i]))


def _stretched(arrays: dict[str, Array], i: int, wavelength: Array, factor: float) -> None:
    """One spectrum's wavelengths multiplied; a pixel is good where both that it is read from are."""
    fine = arrays["mask"][i] & np.isfinite(arrays["flux"][i])
    source = wavelength / factor
    there = (source >= wavelength.min()) & (source <= wavelength.max())
    rising = np.argsort(wavelength)
    for field in ("flux", "ivar", "lsf_sigma"):
        if field in arrays:
            values = np.where(np.isfinite(arrays[field][i]), arrays[field][i], 0.0)[rising]
            arrays[field][i] = np.interp(source, wavelength[rising], values) * (factor if field == "lsf_sigma" else 1.0)
    arrays["mask"][i] = there & (np.interp(source, wavelength[rising], fine[rising].astype(float)) > 1 - 1e-9)


# ---- images and light curves ---------------------------------------------------------------------------------------


def channel_of(draft: Draft, name: str, channel: str) -> int:
    """Position of a band or channel of a modality; UnknownNameError with those it has."""
    channels = draft.samples.spec(name).channels
    if channel not in channels:
        raise UnknownNameError(f"band of {name!r}", channel, channels)
    return channels.index(channel)


def drop_band(draft: Draft, band: str, modality: str | None = None) -> None:
    """A band of the images, or a light curve's epochs in it, or a channel of a series, never observed."""
    if modality is None:
        able = [n for n in draft.modalities if draft.samples.spec(n).kind in ("image", "light_curve", "series") and band in draft.samples.spec(n).channels]
        names = able or [draft.named(None, "image", "light_curve", "series")]
    else:
        names = [draft.named(modality, "image", "light_curve", "series")]
    for name in names:
        arrays, index = draft.arrays(name), channel_of(draft, name, band)
        if draft.samples.spec(name).kind == "light_curve":
            arrays["mask"] = arrays["mask"] & (arrays["band"] != index)
        else:
            arrays["mask"][:, index] = False


def limit_time(draft: Draft, days: float, after: str = "first", modality: str | None = None) -> None:
    """Epochs later than `days` after the ``first`` epoch, or after the first ``detection`` at five sigma, not yet observed.

    Without any detection nothing is known: all epochs are dropped, as `af.evaluate(early=...)` does.
    """
    name = draft.named(modality, "light_curve")
    arrays, owner = draft.arrays(name), draft.owner(name)
    if after == "detection":
        begin = triggers(draft.samples, name)
    elif after == "first":
        begin = np.full(len(draft.samples), np.inf)
        fine = arrays["mask"] & np.isfinite(arrays["time"])
        np.minimum.at(begin, owner[fine], arrays["time"][fine])
    else:
        raise InputError(f"after={after!r}: choose 'first' or 'detection'.")
    with np.errstate(invalid="ignore"):
        arrays["mask"] = arrays["mask"] & (arrays["time"] <= begin[owner] + days)


def drop_epochs(draft: Draft, share: float, modality: str | None = None, seed: int = 0) -> None:
    """A share of each object's epochs, drawn at random, never observed."""
    name = draft.named(modality, "light_curve")
    if not 0 <= share <= 1:
        raise InputError(f"share={share!r}: the share of epochs to drop, from 0 to 1.")
    arrays = draft.arrays(name)
    kept = arrays["mask"].copy()
    for object_id, (begin, end) in zip(draft.samples.object_ids, pairwise(arrays["offsets"]), strict=True):
        good = np.flatnonzero(arrays["mask"][begin:end]) + begin
        # the same epochs of an object, whatever stands beside it
        rng = np.random.default_rng([seed, *str(object_id).encode()])
        kept[rng.permutation(good)[: round(share * len(good))]] = False
    arrays["mask"] = kept


# ---- columns, words, whole modalities ----------------------------------------------------------------------------------


def set_column(draft: Draft, column: str, value: float | None = None) -> None:
    """Another number in a column, for all objects; None: missing."""
    _used(draft, column)
    draft.column(column)[:] = np.nan if value is None else value


def _used(draft: Draft, column: str) -> None:
    used = draft.samples.inputs if any(draft.samples.spec(n).kind == "table" for n in draft.modalities) else ()
    if column not in used:
        raise UnknownNameError("column that the model is given", column, used)


def remove_words(draft: Draft, words: Sequence[str], modality: str | None = None) -> None:
    """Words taken out of the texts wherever they stand, whole, in any case."""
    name = draft.named(modality, "text")
    wanted = [words] if isinstance(words, str) else list(words)
    if not wanted or not all(isinstance(one, str) and one.strip() for one in wanted):
        raise InputError(f"words={words!r}: the words to take out, e.g. words=['broad', 'lines'].")
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(one.strip())}(?!\w)" for one in wanted), re.IGNORECASE)
    arrays = draft.arrays(name)
    content, offsets = arrays["utf8"].tobytes(), arrays["offsets"]
    texts = [pattern.sub("", content[b:e].decode("utf-8", "replace")).encode() for b, e in pairwise(offsets)]
    arrays["utf8"] = np.frombuffer(b"".join(texts), dtype=np.uint8)
    arrays["offsets"] = np.concatenate([[0], np.cumsum([len(one) for one in texts])]).astype(np.int64)


def drop_modality(draft: Draft, modality: str) -> None:
    """The whole modality never observed."""
    name = draft.named(modality, *KINDS)
    if draft.samples.spec(name).kind != "table":
        draft.arrays(name)["present"][:] = False
        return
    for column in draft.samples.inputs:
        draft.column(column)[:] = np.nan


def scale(
    draft: Draft, factor: float, modality: str | None = None, band: str | None = None, column: str | None = None, low: float | None = None,
    high: float | None = None, line: str | None = None, width: float = 3000.0, redshift: str = "redshift",
) -> None:  # fmt: skip
    """Something made brighter or fainter: a modality, one band or channel of it, a stretch of its spectrum (or a line), or a column.

    Fluxes and columns are multiplied; of columns that are logarithms (units ``mag``, ``dex``) what they are the logarithm of is. Errors,
    masks and times stay: an object that is brighter, observed as before.
    """
    if not np.isfinite(factor) or factor <= 0:
        raise InputError(f"factor={factor!r}: a number above zero, e.g. 0.25 to 4.")
    if column is not None:
        _used(draft, column)
        slope = LOGARITHMIC.get(draft.samples.units.get(column, ""))
        values = draft.column(column)
        values[:] = values * factor if slope is None else values + slope * np.log10(factor)
        return
    name = draft.named(modality, "image", "spectrum", "light_curve", "series")
    arrays, kind = draft.arrays(name), draft.samples.spec(name).kind
    field = "values" if kind == "series" else "flux"
    if kind == "spectrum":
        where = inside(draft, name, line, low, high, width, redshift) if line is not None or low is not None or high is not None else np.True_
    elif band is None:
        where = np.True_
    elif kind == "light_curve":
        where = arrays["band"] == channel_of(draft, name, band)
    else:
        where = (np.arange(arrays[field].shape[1]) == channel_of(draft, name, band)).reshape(1, -1, *[1] * (arrays[field].ndim - 2))
    arrays[field] = np.where(where, arrays[field] * np.asarray(factor, dtype=arrays[field].dtype), arrays[field])


EDITS: dict[str, Callable[..., None]] = {
    "mask_line": mask_line, "mask_window": mask_window, "shift_redshift": shift_redshift, "drop_band": drop_band, "limit_time": limit_time,
    "drop_epochs": drop_epochs, "set_column": set_column, "remove_words": remove_words, "drop_modality": drop_modality, "scale": scale,
}  # fmt: skip
