"""What all representations share: how they are described, and the epochs of light curves band by band."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, UnknownNameError

Arrays = dict[str, NDArray[Any]]
"""Fields of one modality for some objects, as `samples.arrays.FIELDS`, and ``present``."""
Options = Mapping[str, Any]
Columns = Mapping[str, NDArray[np.float64]]
"""Scalar columns of the same objects by name; NaN where missing."""


class Layout(NamedTuple):
    """What a modality looks like, without its arrays.

    Attributes
    ----------
    kind : str
    channels : tuple of str
    shape : tuple of int
        Of one object's values; empty where ragged.
    unit : str
    axis, axis_unit : str
        What the samples of a series run over.
    """

    kind: str
    channels: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    unit: str = ""
    axis: str = ""
    axis_unit: str = ""


@dataclass(frozen=True)
class Representation:
    """One way to show a modality as another.

    Attributes
    ----------
    reads : tuple of str
        Kinds it can be made of.
    gives : str
        Kind it makes.
    layout : callable (Layout, options) -> Layout
    run : callable (arrays, Layout, options, columns) -> arrays
        Pure; a batch of objects. What cannot be known is masked.
    source : str
    options : mapping
        All options and their defaults.
    columns : tuple of str
        Options that may name a scalar column instead of giving a number.
    scaling : mapping
        How what it gives is scaled before an encoder, where not by the default of its kind.
    """

    reads: tuple[str, ...]
    gives: str
    layout: Callable[[Layout, Options], Layout]
    run: Callable[[Arrays, Layout, Options, Columns], Arrays]
    source: str
    options: Mapping[str, Any] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    scaling: Mapping[str, Any] = field(default_factory=dict)

    def needs(self, options: Options) -> tuple[str, ...]:
        """The scalar columns that it reads with these options."""
        return tuple(dict.fromkeys(options[name] for name in self.columns if isinstance(options[name], str) and options[name] not in ("", SEARCH)))


SEARCH = "search"
"""As an option's value: not a column, but found in the data."""


def choice(what: str, value: Any, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    """The value, if it is one of the known names; else UnknownNameError."""
    if value not in known:
        raise UnknownNameError(what, value, known)
    return str(value)


def number(value: Any, option: str, objects: int, columns: Columns) -> NDArray[np.float64]:
    """An option as one number an object: the same for all, or a column's. Missing is NaN."""
    if isinstance(value, str):
        if value not in columns:
            raise InputError(f"{option}={value!r}: no column of that name was given; there are {', '.join(columns) or 'none'}.")
        return np.asarray(columns[value], dtype=np.float64)
    return np.full(objects, float(value), dtype=np.float64)


class Epochs(NamedTuple):
    """Usable epochs of many objects, sorted by object, band and time: those of object i and band b at ``offsets[i * bands + b]`` and on.

    Attributes
    ----------
    time : float64 array, (epoch,)
    value, error : float64 array, (epoch,)
        Flux, or AB magnitude.
    offsets : int64 array, (object x band + 1,)
    """

    time: NDArray[np.float64]
    value: NDArray[np.float64]
    error: NDArray[np.float64]
    offsets: NDArray[np.int64]


def epochs(arrays: Arrays, bands: int, magnitudes: bool) -> Epochs:
    """The detections of light curves, band by band; upper limits, masked epochs and (as magnitudes) fluxes below zero left out.

    Parameters
    ----------
    arrays : dict
        Of light curves; fluxes in microjansky, so that magnitudes are 23.9 - 2.5 log10(flux) (AB).
    bands : int
        Objects times this many groups; 1 takes all bands together.
    magnitudes : bool
    """
    objects = len(arrays["offsets"]) - 1
    owner = np.repeat(np.arange(objects), np.diff(arrays["offsets"]))
    flux, error = (np.asarray(arrays[name], dtype=np.float64) for name in ("flux", "flux_err"))
    good = arrays["mask"] & np.isfinite(arrays["time"]) & np.isfinite(flux) & np.isfinite(error) & (error > 0)
    if "limit" in arrays:
        good &= ~arrays["limit"]
    if magnitudes:
        good &= flux > 0
    key = owner * bands + (np.asarray(arrays["band"], dtype=np.int64) if bands > 1 else 0)
    pick = np.flatnonzero(good)
    time = np.asarray(arrays["time"], dtype=np.float64)
    later = (np.diff(key[pick]) < 0) | ((np.diff(key[pick]) == 0) & (np.diff(time[pick]) < 0))
    if later.any():
        pick = pick[np.lexsort((time[pick], key[pick]))]
    time, flux, error = time[pick], flux[pick], error[pick]
    if magnitudes:
        flux, error = 23.9 - 2.5 * np.log10(flux), error / flux * (2.5 / np.log(10))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(key[pick], minlength=objects * bands))]).astype(np.int64)
    return Epochs(time, flux, error, offsets)
