"""Transits in folded light curves: Nigraha."""

from astrofuse_lab.recipes.schema import Part, Recipe, Source
from astrofuse_lab.recipes.systems import System

NIGRAHA = Source("Nigraha: Machine-learning-based pipeline to identify and evaluate planet candidates from TESS", 2021, "arXiv:2101.09227", "https://github.com/ExoplanetML/Nigraha")
ENSEMBLE = 10
"""Networks whose scores are averaged, published; ``af.train_ensemble("nigraha", samples, "is_planet", seeds=range(10))``."""


def pairs(kernel: int, pool: int, widths: tuple[int, ...]) -> list[list[object]]:
    """Two convolutions of each width, then pooling by 2; flattened at the end."""
    steps: list[list[object]] = []
    for width in widths:
        steps += [["conv", width, kernel, "same"], ["relu"], ["conv", width, kernel, "same"], ["relu"], ["max_pool", pool, 2]]
    return [*steps, ["flatten"]]


def views(name: str, title: str, share: int, rate: float, *departures: str) -> Recipe:
    """The network of three folded views and eleven scalars; every width divided by `share`."""
    wide, narrow = (tuple(w // share for w in widths) for widths in ((16, 32, 64, 128, 256), (16, 32)))
    encoders = {"global_view": pairs(7, 5, wide), "local_view": pairs(5, 3, narrow), "half_phase": pairs(5, 3, narrow), "table": []}
    return Recipe(
        name, title, {n: Part.of("layers", layers=steps, project=False) for n, steps in encoders.items()}, Part.of("join", layers=[["dense", 512 // share], ["relu"]] * 4),
        Part.of("classification", hidden=0, single=True), objective=Part("auto"), augment=(),
        inputs={"global_view": Part.of("view", channels=["centred"], clip=5.0), "local_view": Part.of("view", clip=5.0), "half_phase": Part.of("view", join=True, clip=5.0)},
        schedule=Part.of("end_to_end", epochs=8, batch_size=64, learning_rate=rate, weight_decay=0.0, shape="constant", sampler="balanced"), source=NIGRAHA, fidelity="follows",
        departures=(*DEPARTURES, *departures), reported={"auc": 0.908}, data=("tess-transits",),
    )  # fmt: skip


DEPARTURES = (
    "The learning rate is 3e-4, of the narrow network 1e-3 (published 1e-5), with 8 epochs at most (published 60) and the weights averaged over steps: for a CPU.",
    "Views are clipped at 5 times the baseline, where outliers reach hundreds; scalars are scaled by medians of the training part instead of all rows.",
    "The bias of the output begins at zero, not at the log of the classes' ratio: batches are balanced.",
    "Dropout is computed but not connected in the published code; here there is none.",
    "Split by star: the published split has stars on both sides.",
)
RECIPES: tuple[Recipe, ...] = (
    views("nigraha", "Transit candidates: global, local and half-phase views and stellar scalars, one network", 1, 3e-4),
    views("nigraha_narrow", "The same with a quarter of the width, for a CPU", 4, 1e-3, "A quarter of the published width: 193,885 parameters instead of 3,073,201."),
)

SYSTEMS: tuple[System, ...] = (
    System(
        "nigraha", "Nigraha: transit candidates of TESS", "201 global, 81 local, 162 half-phase samples, 11 scalars -> three convolutional branches, joined; ensemble of 10",
        NIGRAHA, "follows", DEPARTURES, {"ROC-AUC, published split": 0.908, "known planets above 0.7": 0.919}, ("tess-transits", "practice-transits"),
        ("nigraha", "nigraha_narrow"), {"nigraha": 3_073_201},
    ),
)  # fmt: skip
"""nigraha"""
