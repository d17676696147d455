"""Real or bogus: is a detection in a difference image something in the sky?"""

from astrofuse_lab.recipes.schema import Part, Recipe, Source
from astrofuse_lab.recipes.systems import System

VGG6 = [
    ["conv", 16], ["relu"], ["conv", 16], ["relu"], ["max_pool", 2], ["dropout", 0.25], ["conv", 32], ["relu"], ["conv", 32], ["relu"], ["max_pool", 4],
    ["dropout", 0.25], ["flatten"], ["dense", 256], ["relu"], ["dropout", 0.5],
]  # fmt: skip
"""Duev et al. 2019, table 2: 312,081 parameters for stamps of 63 x 63 x 3, with one output."""
SOURCE = Source("Real-bogus classification for the Zwicky Transient Facility using deep learning", 2019, "arXiv:1907.11259", "https://github.com/dmitryduev/braai")
DEPARTURES = (
    "Not trained on the authors' alerts: 11,556 of them are public (1 GB, not in the mirror). What is trained anew here is trained on simulated triplets.",
    "The published weights are reproduced: the packets' own drb, see measured.",
    "Trained anew on 4,000 simulated triplets (24 epochs, three seeds averaged; published: about 9,400 alerts, up to 200) it is a little below a random forest on stamp statistics, whose peaks over the "
    "noise tell the simulation's artefacts: ROC-AUC 0.988 against 0.994; most is lost of the kind noise (0.91 against 1.00). Rows divided by their norm no longer say how bright anything is. "
    "The rate (1e-3) was chosen on simulated triplets that are not tested.",
    "Weights of the encoder begin as Keras draws them (with PyTorch's, on 2,500 triplets and 16 epochs, two of three seeds stood still at first: 0.959); the last layer's as PyTorch does. Trained with the "
    "package's optimiser (AdamW) and averaged weights; turned by 90 degrees beside the published flips.",
)
REPORTED = {"FNR at 0.5": 0.011, "FPR at 0.5": 0.029}

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        "braai", "braai: VGG6 on science, reference and difference", {"image": Part.of("layers", layers=VGG6, project=False, initialisation="glorot")}, Part("join"),
        Part.of("classification", hidden=0, single=True), inputs={"image": Part.of("l2", along="rows", side=63, pad=1e-9)},
        schedule=Part.of("end_to_end", epochs=200, batch_size=64, learning_rate=3e-4, patience=0.25, validation=0.1, shape="constant"), source=SOURCE, fidelity="reproduces",
        departures=DEPARTURES, reported=REPORTED, data=("braai-alerts", "practice-triplets"),
    ),
)  # fmt: skip

SYSTEMS: tuple[System, ...] = (
    System(
        "braai", "braai: real or bogus in ZTF alerts", "triplet of stamps, 63 x 63 x 3; VGG6", SOURCE, "reproduces", DEPARTURES, REPORTED,
        ("braai-alerts", "ztf-alerts", "practice-triplets"), ("braai",), {"braai": 312_081}, True,
    ),
)  # fmt: skip
"""braai"""
