"""TransiNet at a narrow width: detections in what it makes of simulated pairs, and, without having seen any, of real ZTF pairs, beside subtractions."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from systems_parts import RUNS, Number, interval, paired

import astrofuse_lab as af
from astrofuse_lab.alignment.subtraction import matched_difference, plain_difference
from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.samples import simulated_image_pairs
from astrofuse_lab.training.metrics_detections import Detections, matched, of_images, peaks, precision_recall, recall_at

PUBLISHED = 0.984
"""Precision at which the paper gives its recall."""
SMOOTH = 1.2
"""Width of the filter for points in a difference, pixels; the network's output needs none."""
SNRS = (4, 8, 16, 32, 80)


def trained(quick: bool) -> Any:
    """The narrow network, on pairs of its own seed."""
    pairs = af.load_samples("practice-image-pairs", n=1600 if quick else 8000, seed=1, progress=False)
    recipe = af.get_recipe("transinet_small")
    schedule = Part.of("end_to_end", epochs=10 if quick else 20, batch_size=8, learning_rate=1.5e-3, weight_decay=0.0)
    return af.train(recipe.change(schedule=schedule), pairs, seed=0, device="cpu", out=Path(RUNS) / f"transinet-{quick}" if RUNS else None, progress=False)


def found(run: Any, pairs: Any) -> dict[str, list[NDArray[Any]]]:
    """Images to look for peaks in: the network's, a matched difference in units of its error, and a plain one."""
    science, reference = (np.asarray(pairs.arrays(name)["flux"][:, 0], float) for name in ("science", "reference"))
    made = run.extras(pairs)["reconstruction"][:, 0]
    both = list(zip(science, reference, strict=True))
    return {"network": list(made), "matched subtraction": [matched_difference(s, r).significance for s, r in both], "plain subtraction": [plain_difference(s, r) for s, r in both]}


def detections(images: dict[str, list[NDArray[Any]]], x: NDArray[Any], y: NDArray[Any]) -> dict[str, Detections]:
    """Peaks held against the truth; none within 7 pixels of the edge, where the matched difference has no pixel."""
    out = {}
    for name, planes in images.items():
        inner = [np.pad(np.asarray(one, float)[7:-7, 7:-7], 7, constant_values=np.nan) for one in planes]
        out[name] = matched([peaks(one, sigma=0.0 if name == "network" else SMOOTH) for one in inner], x, y)
    return out


def average_precision(one: Detections) -> float:
    """Area under precision over recall, in steps."""
    table = precision_recall(one)
    return float(np.sum(np.diff(np.concatenate([[0], table["recall"]])) * np.asarray(table["precision"]))) if len(table) else 0.0


def compared(what: str, metric: Any, dets: dict[str, Detections], has: NDArray[np.bool_], data: str, draws: int, groups: NDArray[Any] | None = None, **more: Any) -> Number:
    """The network's number beside that of the matched subtraction, on the same images, with intervals over images, or over groups of them."""
    both = (dets["network"], dets["matched subtraction"])
    images = np.arange(len(has))

    def of(drawn: NDArray[Any], which: NDArray[Any]) -> float:
        return float(metric(of_images(both[int(which[0])], drawn, has)))

    ours, theirs = np.zeros(len(has)), np.ones(len(has))
    return Number(
        what, metric(both[0]), *interval(of, images, ours, groups, draws), n=len(has), data=data, reference_name="matched subtraction (Alard & Lupton)", reference=metric(both[1]),
        difference=paired(of, images, ours, theirs, groups, draws), higher_is_better=True, **more,
    )  # fmt: skip


def measure(quick: bool) -> Any:
    """Numbers on simulated and on real pairs."""
    run, draws = trained(quick), 100 if quick else 1000
    yield Number("parameters, published width", 154_899_317, published=154_899_317, note="counted in tests/test_image_to_image.py")
    note = f"1/16 of the published width ({run.parameters:,} parameters), {len(run.split.train)} simulated pairs, one seed"
    pairs = af.load_samples("practice-image-pairs", n=400 if quick else 2000, seed=2, progress=False)
    x, y = (np.ma.filled(np.ma.asarray(pairs.column(name), float), np.nan) for name in ("x", "y"))
    inside = (np.abs(x) < 24) & (np.abs(y) < 24)
    x, y = np.where(inside, x, np.nan), np.where(inside, y, np.nan)
    pairs, x, y = _without(pairs, np.asarray(pairs.column("has_transient")).astype(bool) & ~inside, x, y)
    has, images = np.isfinite(x), found(run, pairs)
    dets, data = detections(images, x, y), "practice-image-pairs, simulated"
    yield compared(f"recall at precision {PUBLISHED}", lambda one: recall_at(one, PUBLISHED)[0], dets, has, data, draws, published=0.755, note=note)
    yield compared("recall at precision 0.9", lambda one: recall_at(one, 0.9)[0], dets, has, data, draws)
    yield compared("average precision", average_precision, dets, has, data, draws)
    yield Number("average precision, plain subtraction", average_precision(dets["plain subtraction"]), n=len(has), data=data)
    snr = np.ma.filled(np.ma.asarray(pairs.column("snr"), float), np.nan)
    for low, high in itertools.pairwise(SNRS):
        some = np.flatnonzero(has & (snr >= low) & (snr < high))
        values = {}
        for name in ("network", "matched subtraction"):
            level = recall_at(dets[name], 0.9)[1]
            one = dets[name]
            values[name] = float(np.isin(some, one.image[one.true & (one.height >= level)]).mean())
        yield Number(f"recall at precision 0.9, S/N {low} to {high}", values["network"], n=len(some), data=data, reference_name="matched subtraction", reference=values["matched subtraction"])
    yield from real(run, draws, quick)


def _without(pairs: Any, drop: NDArray[np.bool_], x: NDArray[Any], y: NDArray[Any]) -> tuple[Any, NDArray[Any], NDArray[Any]]:
    """Pairs whose transient lies where the matched difference has no pixel are left out."""
    kept = np.flatnonzero(~drop)
    return pairs.take(kept), x[kept], y[kept]


def real(run: Any, draws: int, quick: bool) -> Any:
    """Zero-shot on real pairs whose alert is brighter in the science image: is the brightest peak the alert, and is the picture like the pipeline's difference?"""
    try:
        alerts = af.load_samples("ztf-alerts", progress=False)
    except SampleSetError:  # no mirror here
        return
    pairs = simulated_image_pairs.of_alerts(alerts)
    positive = np.ma.filled(np.ma.asarray(pairs.column("c_isdiffpos")), False).astype(bool)
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(positive))[: 200 if quick else None]
    pairs = pairs.take(np.sort(chosen))
    images, groups = found(run, pairs), np.asarray(pairs.column("group")).astype(str)
    centre = np.zeros(len(pairs))
    dets, has, data = detections(images, centre, centre), np.ones(len(pairs), bool), "ztf-alerts, real pairs, zero-shot"
    note = "true: within 2.5 pixels of the alert; other peaks count as false, though some may vary too"
    yield compared("average precision, real", average_precision, dets, has, data, draws, groups, note=note)
    yield compared("recall at precision 0.9, real", lambda one: recall_at(one, 0.9)[0], dets, has, data, draws, groups)
    pipeline = np.asarray(pairs.arrays("difference")["flux"][:, 0], float)
    alike = {name: np.array([_alike(a, b) for a, b in zip(planes, pipeline, strict=True)]) for name, planes in images.items()}
    ours, theirs = alike["network"], alike["matched subtraction"]
    middle = lambda values, _: float(np.nanmedian(values))  # noqa: E731
    low, high = interval(middle, ours, ours, groups, draws)
    difference = interval(middle, ours - theirs, ours, groups, draws)
    yield Number(
        "correlation with the pipeline's difference, central 21 x 21, median", float(np.nanmedian(ours)), low, high, len(pairs), data, "matched subtraction", float(np.nanmedian(theirs)), difference,
        note="difference: median of the paired differences", higher_is_better=True,
    )  # fmt: skip


def _alike(image: NDArray[Any], difference: NDArray[Any]) -> float:
    a, b = (np.asarray(one, float)[21:42, 21:42].ravel() for one in (image, difference))
    return float(np.corrcoef(a, b)[0, 1]) if np.isfinite(a).all() and a.std() > 0 else float("nan")
