"""GWSkyNet: the published weights on simulated alerts, trained anew beside trees on the same scalars, and what it says of real maps without volume."""

import os
from typing import Any

import numpy as np
from systems_parts import Number, interval, paired

import astrofuse_lab as af
from astrofuse_lab.errors import RunError, SampleSetError
from astrofuse_lab.recipes.gravitational_waves import V1_COLUMNS
from systems import gw_sky

MODALITIES = ("distance_layers", "sky_map", "table")
RATES = {
    "accuracy at 0.5": (gw_sky.right, 0.935, True), "FNR at 0.5": (gw_sky.missed, 0.076, False), "FPR at 0.5": (gw_sky.let_through, 0.043, False),
    "ROC-AUC": (gw_sky.auc, None, True),
}  # fmt: skip


def measure(quick: bool) -> Any:
    """Size, published weights, training anew, real maps."""
    train, test = gw_sky.parts(gw_sky.maps(quick))
    yield Number("parameters", gw_sky.counted("gwskynet", test, MODALITIES), reference_name="published", reference=3687, published=3687, data="none")
    truth = np.asarray(test.column("origin")) == "real"
    common: dict[str, Any] = {"n": len(test), "data": gw_sky.SIMULATED + ", test part"}
    beside = gw_sky.trees(train, test, "origin", V1_COLUMNS)[:, 1]
    try:
        said = np.asarray(af.Run.original("gwskynet").predict(test)["p_real"])
        yield Number(
            "ROC-AUC, published weights on simulated alerts", gw_sky.auc(truth, said), *interval(gw_sky.auc, truth, said), **common, reference_name="trees trained on the simulation",
            reference=gw_sky.auc(truth, beside), difference=paired(gw_sky.auc, truth, said, beside), note="another kind of glitches and another renderer than it was trained on",
        )  # fmt: skip
    except RunError:
        pass  # no weights here
    seeds = (0, 1) if quick else (0, 1, 2)
    runs = [gw_sky.trained("gwskynet", gw_sky.as_trained(af.get_recipe("gwskynet"), quick), train, "origin", MODALITIES, seed) for seed in seeds]
    each = np.array([np.asarray(run.predict(test)["p_real"]) for run in runs])
    how = f"{len(train)} training alerts, mean of {len(seeds)} seeds, {gw_sky.how(quick)}"
    for name, (metric, published, higher) in RATES.items():
        ours = each.mean(axis=0)
        yield Number(
            f"{name}, trained anew", metric(truth, ours), *interval(metric, truth, ours), **common, reference_name="trees on the same scalars", reference=metric(truth, beside),
            difference=paired(metric, truth, ours, beside), published=published, note=f"{how}; published: real glitches", higher_is_better=higher,
        )  # fmt: skip
    yield from real_maps()


def real_maps() -> Any:
    """The 23 real maps, whose volume and three scalars are missing."""
    if not os.environ.get("ASTROFUSE_MIRROR"):
        return
    try:
        samples = af.load_samples("gw-sky-maps", progress=False)
        said = np.asarray(af.Run.original("gwskynet").predict(samples)["p_real"])
    except (SampleSetError, RunError):
        return
    share = float((said >= 0.5).mean())
    yield Number(
        "share called real, published weights, real maps without distance layers", share, n=len(samples), data="gw-sky-maps",
        note="volume branch empty, three scalars missing: no reproduction; none of these alerts was retracted",
    )  # fmt: skip
