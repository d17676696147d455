"""Variable stars: DMDT images, periods and features."""

from typing import Any

from astrofuse_lab.recipes.schema import Part, Recipe, Source
from astrofuse_lab.recipes.systems import System

MAHABAL = Source("Deep-learnt classification of light curves", 2017, "arXiv:1709.06257")
COUGHLIN = Source("The ZTF Source Classification Project - II. Periodicity and variability processing metrics", 2021, "arXiv:2009.14071", "https://github.com/mcoughlin/ztfperiodic")
IMAGE = {"light_curve": Part.of("dmdt", edges="crts")}
SHALLOW: list[Any] = [["conv", 32, 3], ["relu"], ["max_pool", 2], ["dropout", 0.25], ["flatten"], ["dense", 128], ["relu"], ["dropout", 0.5]]
DEEP: list[Any] = [
    ["conv", 32, 3], ["relu"], ["conv", 32, 3], ["relu"], ["max_pool", 2], ["dropout", 0.25],
    ["conv", 64, 3], ["relu"], ["conv", 64, 3], ["relu"], ["max_pool", 2], ["dropout", 0.25], ["flatten"], ["dense", 256], ["relu"], ["dropout", 0.5],
]  # fmt: skip
LAYERS_OURS = "No source at hand gives the layers' sizes: one convolution (shallow) and four (deep) are ours."
SAMPLE = (
    "crts-variables holds at most 1,000 curves of a class, the paper's sample is the survey's, in which one class (EW) prevails: 83 % is of other class shares. "
    "On the same test rows (five folds, 4,233 stars, 15 epochs) the shallow network is level with a random forest on 11 statistics (0.695 against 0.696), the deep one level with the shallow; "
    "a forest on the same images is ahead (0.713, paired 0.009 to 0.027). Rate and loss were chosen on stars of four of the folds; on the fifth alone it is 0.686 against 0.708 (-0.050 to 0.005).",
)
FOLDS = Part.of("end_to_end", epochs=40, batch_size=64, learning_rate=3e-3)
SLOWER = Part.of("end_to_end", epochs=20, batch_size=64, learning_rate=1e-3)
PLAIN = Part.of("cross_entropy", class_weights="none")
"""With rate and loss of the images' networks chosen on a part of the first fold's training stars: classes that are weighted cost accuracy (0.685 against 0.697 there)."""


def _dmdt(name: str, title: str, layers: list[Any]) -> Recipe:
    return Recipe(
        name, title, {"image": Part.of("layers", layers=layers, project=False)}, Part("join"), Part.of("classification", hidden=0), objective=PLAIN, schedule=SLOWER, inputs=IMAGE, augment=(),
        source=MAHABAL, fidelity="follows", departures=(LAYERS_OURS, *SAMPLE), reported={"accuracy": 0.83}, data=("crts-variables",),
    )  # fmt: skip


RECIPES: tuple[Recipe, ...] = (
    _dmdt("dmdt_shallow", "DMDT image of a light curve, one convolution", SHALLOW),
    _dmdt("dmdt_deep", "DMDT image of a light curve, four convolutions", DEEP),
    Recipe(
        "ztfperiodic", "Period by entropy, Lomb-Scargle and variance, and 36 features, to a small network", {"table": Part.of("mlp")}, Part("concatenation"),
        inputs={"light_curve": Part.of("features", which="published", method="nested")}, schedule=FOLDS, augment=(), source=COUGHLIN, fidelity="follows",
        departures=("The pipeline makes features and periods; the network that reads them here is ours.",), data=("crts-variables", "ztf-sources", "eros1-variables"),
    ),
)  # fmt: skip

SYSTEMS: tuple[System, ...] = (
    System(
        "dmdt", "DMDT CNN: light curves as images of magnitude and time differences", "light curve -> 22 x 24 image of all pairs -> shallow or deep CNN, 7 classes",
        MAHABAL, "follows", (LAYERS_OURS, *SAMPLE, "The lecture says 23 x 24; the published edges (23 and 25 of them) make 22 x 24."),
        {"accuracy, 7 classes": 0.83}, ("crts-variables",), ("dmdt_shallow", "dmdt_deep"),
    ),
    System(
        "ztfperiodic", "ztfperiodic: periods and 36 features of ZTF's light curves", "light curve -> conditional entropy, Lomb-Scargle, analysis of variance -> period -> 22 statistics + 14 of a Fourier fit",
        COUGHLIN, "follows",
        (
            "Written from the formulas of the papers cited: the original is under the GPL. It runs on GPUs, this on processor cores.",
            "No published period is at hand for its own sources: recovery is measured on EROS-1 curves (period_raw / div_period, noted by a person) and on simulated ones; "
            "on Catalina and ZTF DR5 curves only rates and aliases are.",
            "The published 1 s a light curve is of frequencies up to 288 per day on other hardware; ours go as far as the cadence of the set asks.",
        ),
        {"seconds a light curve": 1.0, "features": 36}, ("eros1-variables", "crts-variables", "ztf-sources"), ("ztfperiodic",),
    ),
)  # fmt: skip
"""dmdt ztfperiodic"""
