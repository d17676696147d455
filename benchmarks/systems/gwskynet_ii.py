"""GWSkyNet II: convolutions learned on alerts of O3, dense layers trained again on those of O4, beside the same without, from scratch, and trees."""

from typing import Any

import numpy as np
from systems_parts import Number, interval, paired

import astrofuse_lab as af
from astrofuse_lab.recipes.gravitational_waves import II_COLUMNS
from systems import gw_sky

MODALITIES = ("sky_map", "volume", "table")


def convolutions(run: af.Run) -> list[str]:
    """Names of the parameters of the two branches' convolutions."""
    return [name for name, one in run.model.named_parameters() if name.startswith(("encoders.sky_map", "encoders.volume")) and (one.ndim == 4 or name.replace("bias", "weight") in _kernels(run))]


def _kernels(run: af.Run) -> set[str]:
    return {name for name, one in run.model.named_parameters() if one.ndim == 4}


def measure(quick: bool) -> Any:
    """Size, then four ways to a network for O4."""
    train, test = gw_sky.parts(gw_sky.maps(quick))
    yield Number("parameters", gw_sky.counted("gwskynet_ii", test, MODALITIES), reference_name="published", reference=3693, published=3693, data="none")
    before = gw_sky.maps(quick, "O3")
    recipe = gw_sky.as_trained(af.get_recipe("gwskynet_ii"), quick)
    first = gw_sky.trained("gwskynet_ii-O3", recipe, before, "origin", MODALITIES, 0)
    again = gw_sky.trained("gwskynet_ii-again", gw_sky.as_trained(af.get_recipe("gwskynet_ii"), quick, freeze=convolutions(first)), train, "origin", MODALITIES, 0, start=first)
    scratch = gw_sky.trained("gwskynet_ii-O4", recipe, train, "origin", MODALITIES, 0)
    moved = [name for name, one in again.model.named_parameters() if name in convolutions(first) and not bool((one == dict(first.model.named_parameters())[name]).all())]
    yield Number("convolutions that changed while the dense layers were trained", len(moved), reference_name="none", reference=0, data="none")
    truth = np.asarray(test.column("origin")) == "real"
    beside = gw_sky.trees(train, test, "origin", II_COLUMNS)[:, 1]
    said = {name: np.asarray(run.predict(test)["p_real"]) for name, run in (("retrained", again), ("as learned on O3", first), ("from scratch on O4", scratch))}
    how = f"{len(before)} alerts of O3, {len(train)} of O4, one seed, {gw_sky.how(quick)}; published: real glitches, another mixture"
    for other, reference in (("as learned on O3", said["as learned on O3"]), ("from scratch on O4", said["from scratch on O4"]), ("trees on the same scalars", beside)):
        for name, metric, published in (("FPR = FNR", gw_sky.crossing, 0.073), ("ROC-AUC", gw_sky.auc, None)):
            yield Number(
                f"{name}, frozen convolutions and retrained dense layers, beside {other}", metric(truth, said["retrained"]), *interval(metric, truth, said["retrained"]), n=len(test),
                data=gw_sky.SIMULATED + ", test part of O4", reference_name=other, reference=metric(truth, reference), difference=paired(metric, truth, said["retrained"], reference),
                published=published, note=how, higher_is_better=name == "ROC-AUC",
            )  # fmt: skip
