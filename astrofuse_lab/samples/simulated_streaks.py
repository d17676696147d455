"""Simulated streaks and their impostors as sample sets: on simulated noise, or painted on real ZTF difference stamps."""


import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, SampleSetError
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.simulated import simulated, version
from astrofuse_lab.samples.specification import Card, ModalitySpec
from astrofuse_lab.surveys.practice.observing import CITATION, LICENCE
from astrofuse_lab.surveys.simulators import streaks

VERSION = version(streaks)
NOTES = (
    "Simulated: no streak here was observed. rb: is it real (satellites and cosmic rays are); sl: of what is real, is it short; kd: keep, i.e. a streak of a moving object.",
    "kind, length (pixels of the 63-pixel stamp), snr, angle and fwhm are the truth of the simulation, never inputs.",
)
ON_REAL = (
    "Simulated objects on real backgrounds: ZTF difference stamps without a bright source, whose centre, where the alert's own source lay, is covered by another piece of the "
    "same stamp, in units of their noise.",
    "Split on 'group', the object of the background: one stamp carries several simulated objects.",
)
QUIET, HIDDEN = 8.0, 8
"""Largest deviation, in sigma, outside the centre of a background that is used; half side of the centre that is covered, pixels."""


def make(n: int, seed: int, progress: bool) -> SampleSet:
    """`n` cutouts on simulated noise."""
    card = Card("practice-streaks", f"Streaks and what is taken for them: {n} difference cutouts, seed {seed} (simulated)", True, CITATION, LICENCE, NOTES)
    return simulated("streak", n, seed, {"difference": streaks.IMAGE, "table": streaks.TABLE}, card, progress=progress)


def backgrounds(alerts: SampleSet) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Real difference stamps without a bright source, (background, 63, 63), zero median and unit noise, and the object of each.

    Parameters
    ----------
    alerts : SampleSet
        ``af.load_samples("ztf-alerts")``, or another with stamps of 63 x 63 whose last band is the difference.

    Raises
    ------
    SampleSetError
        If no stamp is quiet and whole.
    """
    stamps = np.asarray(alerts.arrays("image")["flux"][:, -1], np.float32)
    stamps = np.where(np.asarray(alerts.arrays("image")["mask"][:, -1]), stamps, np.nan)
    half = streaks.STAMP // 2
    centre = (np.abs(streaks.X) <= HIDDEN) & (np.abs(streaks.Y) <= HIDDEN)
    groups = np.asarray(alerts.column("group").filled("")).astype(str)
    kept: list[NDArray[np.float32]] = []
    of: list[str] = []
    for stamp, group in zip(stamps, groups, strict=True):
        if stamp.shape != (streaks.STAMP, streaks.STAMP) or not np.isfinite(stamp).all():
            continue
        stamp = stamp - np.median(stamp)
        stamp /= max(1.4826 * float(np.median(np.abs(stamp))), 1e-6)
        if np.abs(stamp[~centre]).max() > QUIET:
            continue
        side = 2 * HIDDEN + 1
        corner = [(1, 1), (1, -1 - side), (-1 - side, 1), (-1 - side, -1 - side)][len(kept) % 4]
        stamp[half - HIDDEN : half + HIDDEN + 1, half - HIDDEN : half + HIDDEN + 1] = stamp[corner[0] :, corner[1] :][:side, :side]
        kept.append(stamp)
        of.append(group)
    if not kept:
        raise SampleSetError(f"none of {len(alerts)} alerts has a whole difference stamp without a bright source.")
    return np.stack(kept), np.array(of)


def on_backgrounds(alerts: SampleSet, n: int, seed: int = 0) -> SampleSet:
    """Simulated objects on real ZTF difference stamps; where an object lies is drawn again for each.

    Parameters
    ----------
    alerts : SampleSet
        As for `backgrounds`.
    n, seed : int

    Returns
    -------
    SampleSet
        As ``af.load_samples("practice-streaks")``, with `group`, the background's object, to split on.

    Raises
    ------
    InputError, SampleSetError
        For an `n` that is no count; without a background.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise InputError(f"n={n!r} is no number of objects, at least 1.")
    under, groups = backgrounds(alerts)
    rng = np.random.default_rng([seed, 144])
    order = np.concatenate([rng.permutation(len(under)) for _ in range(-(-n // len(under)))])[:n]
    flux = np.empty((n, 1, streaks.SIDE, streaks.SIDE), np.float32)
    rows: list[dict[str, object]] = []
    for i, chosen in enumerate(order):
        kind, fwhm = str(rng.choice(streaks.KINDS, p=streaks.SHARES)), rng.uniform(1.7, 3.6)
        signal, truth = streaks.paint(rng, kind, fwhm)
        turned = np.rot90(under[chosen][:, :: rng.choice([-1, 1])], int(rng.integers(4)))
        flux[i, 0] = streaks.enlarged(turned + signal)
        known = {name: value if np.isfinite(value) else None for name, value in truth.items()}
        rows.append({"object_id": f"streak-ztf-{seed}-{i:06d}", "group": groups[chosen], "kind": kind, **streaks.labels(kind), **known, "fwhm": fwhm})
    provenance = Provenance("practice/streak_image", query=f"on {len(under)} backgrounds of {alerts.card.name}, seed {seed}", citation=f"{CITATION} {alerts.card.citation}", simulated=True)
    spec = ModalitySpec("difference", "image", ("difference",), flux.shape[1:], "sigma", scale=streaks.SCALE * streaks.STAMP / streaks.SIDE, oriented=False, provenance=provenance)
    title = f"Simulated streaks on {len(under)} real ZTF difference backgrounds: {n} cutouts, seed {seed} (simulated)"
    card = Card("practice-streaks", title, True, f"{CITATION} {alerts.card.citation}", alerts.card.licence, (*ON_REAL, *NOTES))
    data = {"difference": ModalityData(spec, {"flux": flux, "mask": np.isfinite(flux)}, np.ones(n, bool))}
    return SampleSet(pa.Table.from_pylist(rows), data, {"object_id": "id", "group": "group", **streaks.ROLES}, streaks.UNITS, card)
