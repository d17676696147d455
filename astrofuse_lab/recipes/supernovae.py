"""Types of supernovae from spectra and light curves: SNIascore and CCSNscore."""

from typing import Any

from astrofuse_lab.recipes.schema import Part, Recipe, Source
from astrofuse_lab.recipes.systems import System

FREMLING = Source("SNIascore: Deep-learning Classification of Low-resolution Supernova Spectra", 2021, "arXiv:2104.12980")
SHARMA = Source("CCSNscore: A multi-input deep learning tool for classification of core-collapse supernovae using SED-Machine spectra", 2024, "arXiv:2412.08601")

RECURRENT: list[Any] = [
    ["lstm", 24, "both", "sequence"], ["dropout", 0.4], ["gru", 16, "forward", "sequence"], ["dropout", 0.45], ["lstm", 24, "both"], ["dropout", 0.4],
]  # fmt: skip
"""SNIascore's order of layers and its dropout; the sizes are in no source at hand, and ours."""
SPECTRUM: list[Any] = [
    ["lstm", 24, "both", "sequence", 1], ["dropout", 0.5], ["lstm", 24, "both", "last", 1], ["dropout", 0.1], ["dense", 64], ["relu"], ["dropout", 0.1], ["dense", 8], ["relu"],
]  # fmt: skip
CURVE: list[Any] = [
    ["lstm", 24, "forward", "sequence", 1], ["dropout", 0.5], ["lstm", 24, "forward", "sequence", 1], ["dropout", 0.5], ["lstm", 24, "forward", "last", 1], ["dropout", 0.5],
    ["dense", 8], ["relu"],
]  # fmt: skip
DMDT: list[Any] = [
    ["conv", 16], ["relu"], ["dropout", 0.5], ["conv", 8], ["relu"], ["dropout", 0.1], ["max_pool", 2], ["flatten"], ["dense", 64], ["relu"], ["dropout", 0.1], ["dense", 8], ["relu"],
]  # fmt: skip
"""CCSNscore: LSTM with one bias a gate, as Keras has it: 22,673 numbers with the spectrum alone, 153,313 with all five branches."""
HIERARCHY: dict[str, tuple[str, tuple[str, ...]]] = {
    "": ("hydrogen", ("Hrich", "Hpoor")), "Hrich": ("layer_2", ("II", "IIb-H", "IIn")), "Hpoor": ("layer_2", ("Ib", "Ic", "Ic-BL")),
}  # fmt: skip
"""CCSNscore's layers: below each class (the first below none) the column that holds the next ones, and which they are; see `astrofuse_lab.training.votes`."""

STANDARDISED = "What the published scale brings between 0 and 1 is then standardised (mean 0, width 1, of the training part): so the recurrent layers learn in tens of epochs."
IA_DEPARTURES = (
    "Its code and weights are closed, its spectra (SEDM) not at hand: trained on spectra of other instruments from the Open Supernova Catalog, WISeREP and SLSNe, lowered to R = 100.",
    "The grid (3790 to 9208.75 A, 256 points) and the scale stand in CCSNscore's public code, by the same group; sizes of layers are ours.",
    STANDARDISED,
    "Score and redshift are two runs with the same layers; the published one has both heads and a loss of its own for the redshift (here Huber's).",
    "The published rate is not reached: ninety passes over 2,637 spectra find 0.65 of the Ia (published 0.90), level with trees on the same pixels and with templates; the two highest of some 350 others set the "
    "threshold, so that little is told apart at that rate. Over the whole curve trees without continuum are ahead, and repository and instrument alone are behind.",
    "Non-Ia are a literature sample with superluminous ones, not a magnitude-limited survey's: the false positive rate is of another mixture.",
)
CC_DEPARTURES = (
    "Trained on 288 events of the literature (Open Supernova Catalog, WISeREP) in place of 2,768 with ZTF's photometry: r is r or R, g is g or V, many lack either.",
    "Light curves go through a Matern process in place of a squared-exponential one with white noise, and are whole: later than the spectrum, too.",
    "IIb-H is every IIb. Ic-BL has 11 events, IIb-H 25, Ib 31: layer 2 is shown, not claimed.",
    STANDARDISED,
    "The published accuracy is not reached: 900 steps a network (500 in layer 2) on one core and a tenth of the events; trees on the same rows are within its interval, and curves are not shown to help.",
    "Modality dropout of 0.2 stands for bands that many lack. Activations of the hidden dense layers (ReLU) are in no source at hand. "
    "AdamW to 5e-3 for hundreds of steps in place of Adam, 1e-3, up to 100 passes, twice; no mixing of spectra as augmentation.",
)
IA_INPUTS = {"spectrum": Part.of("low_resolution", stretch="asinh")}
AS_IS = Part.of("asinh", stretch="none")
CC_INPUTS = {
    "spectrum": Part.of("low_resolution", first=4200.0, last=9200.0, resolution=0.0, redshift="z", stretch="asinh"), "series": AS_IS, "image": Part.of("asinh", background="none", stretch="none"),
}  # fmt: skip
BRANCHES = {kind: Part.of("layers", layers=layers, project=False) for kind, layers in (("spectrum", SPECTRUM), ("series", CURVE), ("image", DMDT))}
IA_BRANCH = {"spectrum": Part.of("layers", layers=RECURRENT, project=False)}
IA_REPORTED = {"TPR at FPR 0.006": 0.90, "redshift scatter, 0.01 < z < 0.12": 0.005}
CC_REPORTED = {"accuracy, Hrich or Hpoor, gold": 0.94, "accuracy, Hrich or Hpoor, high-confidence part of gold": 0.98}
LONG = Part.of("end_to_end", epochs=30, batch_size=32, learning_rate=5e-3)

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        "sniascore", "Is it a type Ia? Two-way LSTM, GRU, two-way LSTM along a spectrum of R = 100", IA_BRANCH, Part("join"), Part.of("classification", hidden=0, single=True),
        schedule=LONG, inputs=IA_INPUTS, augment=(), source=FREMLING, fidelity="follows", departures=IA_DEPARTURES,
        reported={"TPR at FPR 0.006": 0.90}, data=("supernova-spectra",),
    ),
    Recipe(
        "sniascore_redshift", "Redshift of a type Ia, the same layers", IA_BRANCH, Part("join"), Part.of("regression", hidden=0), schedule=LONG,
        inputs=IA_INPUTS, augment=(), source=FREMLING, fidelity="follows", departures=IA_DEPARTURES,
        reported={"redshift scatter, 0.01 < z < 0.12": 0.005}, data=("supernova-spectra",),
    ),
    Recipe(
        "ccsnscore", "One class of core-collapse supernovae or not: spectrum, r and g curves, r and g DMDT images", BRANCHES, Part.of("join", modality_dropout=0.2),
        Part.of("classification", hidden=0, single=True), schedule=Part.of("end_to_end", steps=600, learning_rate=5e-3), inputs=CC_INPUTS, augment=(),
        source=SHARMA, fidelity="follows", departures=CC_DEPARTURES, reported=CC_REPORTED, data=("core-collapse",),
    ),
)  # fmt: skip

SYSTEMS: tuple[System, ...] = (
    System(
        "sniascore", "SNIascore: is a spectrum of R = 100 that of a type Ia, and at which redshift", "spectrum, 256 points at R = 100 -> BiLSTM-GRU-BiLSTM; score, redshift, both with errors by MC dropout",
        FREMLING, "follows", IA_DEPARTURES, IA_REPORTED, ("supernova-spectra",), ("sniascore", "sniascore_redshift"),
    ),
    System(
        "ccsnscore", "CCSNscore: types of core-collapse supernovae in two layers", "spectrum 256, r and g curves 200 x 2, r and g DMDT 24 x 24 -> five branches; a network a class, votes, MC dropout",
        SHARMA, "follows",
        (*CC_DEPARTURES, "The lecture's 98 % is of the high-confidence part (score from 0.8, error below 0.05) of the gold set; the gold set's own accuracy is about 94 %."),
        CC_REPORTED, ("core-collapse",), ("ccsnscore",), {"ccsnscore": 153_313, "ccsnscore, spectrum alone": 22_673},
    ),
)  # fmt: skip
"""sniascore ccsnscore"""
