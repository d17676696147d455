"""Augmentations by name: an object as it might as well have been observed. A recipe asks for them (``augment``); they touch training batches only.

Those that change the object itself (its redshift, the dust before it) must be followed by all that is known of it: they are
refused beside a modality that cannot follow, such as a table of magnitudes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.alignment import augmented_images, augmented_sources
from astrofuse_lab.alignment.augmented_images import dihedral
from astrofuse_lab.alignment.scene import Scene, Seen, owners
from astrofuse_lab.errors import AlignmentError, InputError, UnknownNameError
from astrofuse_lab.modalities import Image, LightCurve, Spectrum

SEEN = augmented_sources.SEEN
Fast = Callable[..., tuple[Tensor, Tensor]]


class Augmentation(NamedTuple):
    """One way to vary objects.

    Attributes
    ----------
    run : callable
        ``run(scene, rng, **options) -> scene``, on arrays as they are stored.
    options : mapping
        The options and their defaults.
    follows : tuple of str
        Kinds of modality that it changes.
    whole : bool
        It changes the object: whatever else is known of it must be of these kinds, too.
    says : str
    fast : callable, optional
        The same on what encoders are given, ``fast(values, masks, generator, **options)``, where the scaling has nothing to
        say: prepared batches need not be made again.
    """

    run: Callable[..., Scene]
    options: Mapping[str, Any]
    follows: tuple[str, ...]
    whole: bool
    says: str
    fast: Fast | None = None


class Chosen(NamedTuple):
    """An augmentation with its options."""

    name: str
    what: Augmentation
    options: dict[str, Any]


def fewer_epochs(scene: Scene, rng: np.random.Generator, share: float = 0.2) -> Scene:
    """Up to `share` of the epochs of light curves masked at random, a share drawn for each; the last stays."""
    for name, seen in scene.modalities.items():
        if seen.kind == "light_curve":
            who, mask = owners(seen.arrays), seen.arrays["mask"]
            keep = rng.random(len(who)) >= (rng.random(scene.objects) * share)[who]
            last = np.full(scene.objects, -1)
            last[who[mask]] = np.flatnonzero(mask)
            scene = scene.put(name, seen.but(mask=mask & (keep | (np.arange(len(who)) == last[who]))))
    return scene


def _turned(values: Tensor, masks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    way = torch.randint(0, 8, (len(values),), generator=generator).to(values.device)
    return dihedral(values, way), dihedral(masks, way)


def _fewer_epochs(values: Tensor, masks: Tensor, generator: torch.Generator, share: float = 0.2) -> tuple[Tensor, Tensor]:
    drawn = torch.rand(len(values), 1, generator=generator) * share
    keep = (torch.rand(masks.shape, generator=generator) >= drawn).to(masks.device)
    last = masks & (masks.flip(1).cumsum(1).flip(1) == 1)
    return values, masks & (keep | last)


AUGMENTATIONS: dict[str, Augmentation] = {
    "turn": Augmentation(augmented_images.turn, {}, ("image",), False, "Images turned by quarters and mirrored", _turned),
    "rotate": Augmentation(augmented_images.rotate, {"degrees": 180.0}, ("image",), False, "Images rotated by any angle, bilinearly"),
    "crop": Augmentation(augmented_images.crop, {"pixels": 2}, ("image",), False, "Images cut off centre; what lies outside is masked"),
    "noise": Augmentation(augmented_sources.noise, {"share": 0.5}, SEEN, False, "Noise of up to a share of the errors; errors grow with it"),
    "depth": Augmentation(augmented_sources.depth, {"factor": 3.0, "sigma": None}, SEEN, False, "A shorter exposure: larger errors, the noise that goes with them, new limits"),
    "cadence": Augmentation(augmented_sources.cadence, {"share": 0.5, "nights": True}, ("light_curve",), False, "Nights of a light curve not observed"),
    "epoch_dropout": Augmentation(fewer_epochs, {"share": 0.2}, ("light_curve",), False, "Epochs of a light curve masked, never the last", _fewer_epochs),
    "dust": Augmentation(augmented_sources.dust, {"most": 0.3, "r_v": 3.1, "column": ""}, SEEN, True, "Milky Way dust in front (Fitzpatrick 1999)"),
    "redshift": Augmentation(
        augmented_sources.redshift, {"most": 0.1, "column": "redshift"}, ("spectrum", "light_curve"), True,
        "The source further away or nearer: lines, epochs, bands, flux and the redshift's column follow (Boone 2019)",
    ),
}  # fmt: skip
"""All augmentations; batches pass them in the order in which a recipe names them, those with a `fast` form last."""


def chosen(parts: Sequence[Any], kinds: Mapping[str, str] | None = None) -> tuple[Chosen, ...]:
    """Look augmentations up and check their options.

    Parameters
    ----------
    parts : sequence
        Recipe's Parts, names, or pairs of a name and its options.
    kinds : mapping of modality name to kind, optional
        The modalities that they are for.

    Raises
    ------
    UnknownNameError, InputError
        For a name, option or value that does not exist, or for one that changes objects beside a modality that cannot follow.
    """
    out = []
    for one in parts:
        name, given = (one.name, dict(one.options)) if hasattr(one, "options") else (one, {}) if isinstance(one, str) else (one[0], dict(one[1]))
        if name not in AUGMENTATIONS:
            raise UnknownNameError("augmentation", name, AUGMENTATIONS, "Type af.list_parts() to see them all.")
        what = AUGMENTATIONS[name]
        unknown = sorted(set(given) - set(what.options))
        if unknown:
            raise InputError(f"augmentation {name!r} has no option {unknown[0]!r}; it has {', '.join(what.options) or 'none'}.")
        left = [n for n, kind in (kinds or {}).items() if kind not in what.follows]
        if what.whole and left:
            raise InputError(
                f"augmentation {name!r} changes the object, and {left[0]!r} could not follow: it would show another object than the {' and the '.join(what.follows)}. "
                f"Train without it, modalities={[n for n in (kinds or {}) if n not in left]}, or without the augmentation."
            )
        out.append(Chosen(name, what, {**what.options, **given}))
    _tried(out)
    return tuple(out)


def _tried(plan: Sequence[Chosen]) -> None:
    """Let options that cannot be be found before anything is trained: on a scene without an object."""
    nothing: dict[str, NDArray[Any]] = {"offsets": np.zeros(1, np.int64), "time": np.zeros(0), "band": np.zeros(0, np.int8)}
    curve = {**nothing, **{f: np.zeros(0, np.float32) for f in ("flux", "flux_err")}, **{f: np.zeros(0, bool) for f in ("mask", "limit")}}
    for one in plan:
        columns = {str(one.options["column"]): np.zeros(0)} if one.options.get("column") else {}
        try:
            one.what.run(Scene({"light_curve": Seen("light_curve", ("r",), curve)}, columns), np.random.default_rng(0), **one.options)
        except (AlignmentError, TypeError, ValueError) as error:
            raise InputError(f"augmentation {one.name!r}: {error}") from error


def columns_of(plan: Sequence[Chosen]) -> tuple[str, ...]:
    """The columns that augmentations read or change."""
    return tuple(dict.fromkeys(str(one.options["column"]) for one in plan if one.options.get("column")))


def run(scene: Scene, plan: Sequence[Chosen], seed: Sequence[int]) -> Scene:
    """The scene after all augmentations; the same seed gives the same."""
    for number, one in enumerate(plan):
        scene = one.what.run(scene, np.random.default_rng([*seed, number]), **one.options)
    return scene


def augmented(product: Image | Spectrum | LightCurve, parts: Sequence[Any], seed: int = 0, **columns: float) -> Any:
    """One product as it might as well have been observed.

    Parameters
    ----------
    product : Image, Spectrum or LightCurve
    parts : sequence
        As of `chosen`.
    seed : int
    **columns : float
        Numbers of the object that augmentations need, e.g. ``redshift=0.1``.

    Returns
    -------
    product
        An image's WCS follows where its pixels went.

    Raises
    ------
    AlignmentError
        If a band is not known, or an image with a distorted WCS is moved.
    """
    curve = isinstance(product, LightCurve)
    if isinstance(product, LightCurve):
        bands, code = np.unique(product.band, return_inverse=True)
        arrays: dict[str, NDArray[Any]] = {
            "offsets": np.array([0, len(product.time)]),
            "time": product.time,
            "flux": product.flux,
            "flux_err": product.flux_err,
            "band": code.ravel(),
            "mask": product.mask,
        }
        if product.limit is not None:
            arrays["limit"] = product.limit
        seen = Seen("light_curve", tuple(map(str, bands)), arrays)
    elif isinstance(product, Spectrum):
        seen = Seen("spectrum", (), {"lambda": product.wavelength, "flux": product.flux[None], "ivar": product.ivar[None], "mask": product.mask[None]})
    else:
        fields = {"flux": product.flux[None], "mask": product.mask[None], **({} if product.ivar is None else {"ivar": product.ivar[None]})}
        seen = Seen("image", product.bands, fields, np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]))
    names = {k: np.array([float(v)]) for k, v in columns.items()}
    made = run(Scene({"one": seen}, names), chosen(parts, {"one": seen.kind}), [seed, 9]).modalities["one"]
    new: dict[str, Any] = {
        name: made.arrays[name] if curve else made.arrays[name][0] for name in ("flux", "mask", "ivar", "time", "flux_err", "limit") if name in made.arrays
    }
    if isinstance(product, Image):
        assert made.placed is not None
        return replace(product, wcs=moved_wcs(product.wcs, made.placed[0]), **new)
    return replace(product, **new)


def moved_wcs(wcs: Mapping[str, float | int | str], placed: NDArray[np.float64]) -> dict[str, float | int | str]:
    """The WCS of an image whose pixel ``(x, y)`` shows what was at ``placed @ (x, y, 1)``.

    Raises
    ------
    AlignmentError
        If the WCS is distorted: its polynomials are of the old pixels.
    """
    turn, move = placed[:, :2], placed[:, 2]
    if not wcs or (np.array_equal(turn, np.eye(2)) and not move.any()):
        return dict(wcs)
    bent = [k for k in wcs if k.startswith(("A_", "B_", "AP_", "BP_", "PV", "D2IM", "CPDIS"))]
    if bent:
        raise AlignmentError(f"wcs has the distortion {bent[0]}, which is of the pixels as they were. Put the image on a grid first, then move it.")
    keep = {k: v for k, v in wcs.items() if k not in ("CROTA2", "CDELT1", "CDELT2") and not k.startswith(("CD", "PC"))}
    number = lambda key, default: float(wcs.get(key, default))  # noqa: E731
    if any(k.startswith(("CD1_", "CD2_")) for k in wcs):
        linear = np.array([[number(f"CD{i}_{j}", 0.0) for j in (1, 2)] for i in (1, 2)])
    else:
        if "CROTA2" in wcs:
            angle = np.radians(number("CROTA2", 0.0))
            ratio = number("CDELT2", 1.0) / number("CDELT1", 1.0)
            pc = np.array([[np.cos(angle), -np.sin(angle) * ratio], [np.sin(angle) / ratio, np.cos(angle)]])
        else:
            pc = np.array([[number(f"PC{i}_{j}", float(i == j)) for j in (1, 2)] for i in (1, 2)])
        linear = np.diag([number("CDELT1", 1.0), number("CDELT2", 1.0)]) @ pc
    linear = linear @ turn
    centre = np.linalg.solve(turn, np.array([number("CRPIX1", 0.0), number("CRPIX2", 0.0)]) - 1 - move) + 1
    return {**keep, "CRPIX1": float(centre[0]), "CRPIX2": float(centre[1]), **{f"CD{i}_{j}": float(linear[i - 1, j - 1]) for i in (1, 2) for j in (1, 2)}}
