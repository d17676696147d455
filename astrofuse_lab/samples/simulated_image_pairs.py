"""Simulated image pairs as a sample set, and real ones of ZTF alerts in the same form."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.simulated import simulated, version
from astrofuse_lab.samples.specification import Card, ModalitySpec
from astrofuse_lab.surveys.practice.observing import CITATION, LICENCE
from astrofuse_lab.surveys.simulators import image_pairs

VERSION = version(image_pairs)
NOTES = (
    "Simulated: nothing here was observed. 'transient' is the truth, what the science image holds beyond the reference, without noise: to be made, never an input.",
    "x, y, snr, fwhm, shift and flux_scale are the truth of the simulation, never inputs.",
)
SURVEYS = {"reference": image_pairs.REFERENCE, "science": image_pairs.SCIENCE, "transient": image_pairs.TRANSIENT, "table": image_pairs.TABLE}


def make(n: int, seed: int, progress: bool) -> SampleSet:
    """`n` pairs."""
    card = Card("practice-image-pairs", f"Reference and science images, and their transient: {n} pairs, seed {seed} (simulated)", True, CITATION, LICENCE, NOTES)
    return simulated("pair", n, seed, SURVEYS, card, progress=progress)


def flux_scale(science: NDArray[np.floating], reference: NDArray[np.floating], share: float = 0.05) -> float:
    """By how much brighter the sources of one image are than those of another: the slope between their brightest pixels above the sky, 1 where there are none.

    Both (y, x), finite, without their background; the slope is the ratio of sums over the brightest pixels of a smoothed mean of both.
    """
    from scipy.ndimage import uniform_filter

    smooth = [uniform_filter(np.asarray(one, float), 9) for one in (science, reference)]
    bright = smooth[1] >= np.quantile(smooth[1], 1 - share)
    total = smooth[1][bright].sum()
    noise = 1.4826 * np.median(np.abs(smooth[1] - np.median(smooth[1])))
    if smooth[1][bright].mean() < 5 * noise or total <= 0:
        return 1.0
    return float(np.clip(smooth[0][bright].sum() / total, 0.1, 10.0))


def of_alerts(alerts: SampleSet, limit: int | None = None) -> SampleSet:
    """Real ZTF pairs in the form of `make`: science and reference without their medians, in units of the science image's noise, the reference at its flux scale.

    The pipeline's own difference image is a further modality, ``difference``: it is what a transient image is compared with, for there is no truth;
    ``transient`` is there by name and missing of all, so that a run trained on simulated pairs reads them.

    Parameters
    ----------
    alerts : SampleSet
        ``af.load_samples("ztf-alerts")``.
    limit : int, optional
        Only the first so many whole stamps.

    Raises
    ------
    SampleSetError
        If no alert has three whole stamps.
    """
    arrays = alerts.arrays("image")
    flux, mask = np.asarray(arrays["flux"], np.float32), np.asarray(arrays["mask"])
    whole = np.flatnonzero((mask & np.isfinite(flux)).all((1, 2, 3)))[:limit]
    if not len(whole):
        raise SampleSetError(f"none of {len(alerts)} alerts has three whole stamps.")
    flux = flux[whole] - np.median(flux[whole], axis=(2, 3), keepdims=True)
    scale = np.array([flux_scale(one[0], one[1]) for one in flux], np.float32)
    noise = np.maximum(1.4826 * np.median(np.abs(flux[:, 0]), axis=(1, 2)), 1e-3).astype(np.float32)
    made = {"reference": flux[:, 1] * scale[:, None, None], "science": flux[:, 0], "difference": flux[:, 2], "transient": np.zeros_like(flux[:, 2])}
    provenance = alerts.spec("image").provenance
    data = {}
    for name, planes in made.items():
        planes = (planes / noise[:, None, None])[:, None]
        spec = ModalitySpec(name, "image", (name,), planes.shape[1:], "sigma", scale=image_pairs.SCALE, oriented=False, provenance=provenance)
        data[name] = ModalityData(spec, {"flux": planes, "mask": np.full(planes.shape, name != "transient")}, np.full(len(whole), name != "transient"))
    columns = {name: [alerts.column(name)[i] for i in whole] for name in ("c_isdiffpos", "c_magpsf", "c_drb") if name in alerts.roles}
    plain: dict[str, list[Any]] = {name: [None if np.ma.is_masked(v) else v.item() if hasattr(v, "item") else v for v in values] for name, values in columns.items()}
    table = pa.table({"object_id": [alerts.object_ids[i] for i in whole], "group": [str(alerts.column("group")[i]) for i in whole], "flux_scale": scale, **plain})
    card = Card("ztf-pairs", f"{len(whole)} real pairs of ZTF alerts", False, alerts.card.citation, alerts.card.licence, alerts.card.notes)
    return SampleSet(table, data, {"object_id": "id", "group": "group"}, {}, card)
