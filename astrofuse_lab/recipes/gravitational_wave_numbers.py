"""Alerts as nine numbers: GWSkyNet-Multi II, its explanation, and the mass gap."""

from astrofuse_lab.recipes.schema import Part, Recipe, Source
from astrofuse_lab.recipes.systems import System

CODE = "https://github.com/nayyer-raza/GWSkyNet-Multi"
MULTI_II = Source("GWSkyNet-Multi II: an updated deep learning model for rapid classification of gravitational-wave events", 2025, "arXiv:2502.00297", CODE)
EXPLAINED = Source("Explaining the GWSkyNet-Multi machine learning classifier predictions for gravitational-wave events", 2023, "arXiv:2308.12357", CODE)
MASS_GAP = Source("Training a neural network to rapidly identify candidate gravitational-wave events in the lower mass gap", 2026, "arXiv:2605.00391")
NUMBERS = {"table": Part.of("alert_numbers")}
HIDDEN = [["dense", 8], ["relu"], ["dense", 8], ["relu"]]
"""80 + 72 parameters before the last layer."""
PLAIN = Part.of("cross_entropy", class_weights="none")
LONG = Part.of("end_to_end", learning_rate=0.01, weight_decay=0.0, steps=1500)
"""How the authors trained is not published; 188 parameters take large steps, and many."""

CLASSES = ("Glitch", "BBH", "NSBH", "BNS")
MATRICES = {
    "O4a + O4b, in the updated class": ((14, 4, 2, 1), (1, 166, 3, 1), (0, 0, 2, 1), (0, 0, 0, 0)),
    "O3, in the class of GWTC-3": ((24, 0, 2, 6), (0, 35, 5, 0), (0, 0, 1, 1), (0, 0, 0, 1)),
}
"""Alerts that the authors counted, true class by class of GWSkyNet-Multi II, both in the order of `CLASSES`: figures of their repository @ 15c5973, July 2025."""

MULTI_DEPARTURES = (
    "Published weights are exact. An infinite volume, of which the authors' code makes NaN, is put at the largest of their training set.",
    "Their training set is not published: trained anew, the network learns from simulated alerts, and says little of real glitches.",
    "No map of a retracted alert is at hand, so glitches cannot be counted on real data; alerts' classes are p_astro of the pipelines, the final catalogue's for neither.",
    "The cells of the lecture's O4 matrix (168 of 180) are in no source at hand; drawn is the authors' own later edition (182 of 195).",
    "S240422ed (published: Glitch 58 +- 17, BNS 41 +- 16) cannot be computed again: its Bayes factors and distances are not at hand.",
)
MULTI_REPORTED = {"O4a + O4b alerts in the updated class": 182 / 195, "O4 alerts, the lecture's matrix": 168 / 180, "O3 alerts in the class of GWTC-3": 61 / 75}
EXPLAINED_DEPARTURES = (
    "The paper explains GWSkyNet-Multi (maps and volumes); here the same questions are asked of its successor with nine numbers, whose weights are published twenty times.",
    "Its twenty retrainings are the twenty published members. O3a alerts with a map are 22, and none of them was retracted.",
    "Shapley values are exact, over all 2^9 sets of inputs; inputs that are left out are drawn from other alerts.",
)
GAP_DEPARTURES = (
    "No layer list, weights or training data are published: 9-8-8-2 with sigmoids (170 parameters) is inferred from GWSkyNet-Multi II.",
    "Trained and measured on simulated mergers only; labels are yes or no by the masses drawn, whose cross entropy is least at the probabilities. Published errors are of real O4a alerts "
    "against posteriors of masses, so the two are different quantities.",
    "On the same simulated mergers P(mass gap) is behind boosted trees (mean error 0.189 against 0.172, paired 0.008 to 0.025), P(NS) ahead (0.058 against 0.065).",
)
GAP_REPORTED = {"mean error of P(mass gap), O4a": 0.09, "mean error of P(NS), O4a": 0.06}

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        "gwskynet_multi_ii", "GWSkyNet-Multi II: nine numbers of an alert to glitch, BBH, NSBH or BNS", {"table": Part.of("layers", layers=HIDDEN, project=False)}, Part("join"),
        Part.of("classification", hidden=0), objective=PLAIN, schedule=LONG, inputs=NUMBERS, source=MULTI_II, fidelity="reproduces", departures=MULTI_DEPARTURES,
        reported=MULTI_REPORTED, data=("gw-alerts", "practice-gw-alerts"), augment=(),
    ),
    Recipe(
        "gwskynet_massgap", "GWSkyNet-MassGap: nine numbers of an alert to P(mass gap), P(NS)", {"table": Part.of("layers", layers=HIDDEN, project=False)}, Part("join"),
        Part.of("multi_label", hidden=0), objective=Part.of("binary", class_weights="none"), schedule=LONG, inputs=NUMBERS, source=MASS_GAP, fidelity="inspired by", departures=GAP_DEPARTURES,
        reported=GAP_REPORTED, data=("practice-gw-alerts",), augment=(),
    ),
)  # fmt: skip

SYSTEMS: tuple[System, ...] = (
    System(
        "gwskynet_explained", "GWSkyNet-Multi explained: inputs scaled, and shares of the score", "nine numbers, each times 0.25 to 4; exact Shapley values", EXPLAINED, "follows",
        EXPLAINED_DEPARTURES, {"misclassified O3 events explained": 15, "models behind each band": 20}, ("gw-alerts", "practice-gw-alerts"), ("gwskynet_multi_ii",), {}, True,
    ),
    System(
        "gwskynet_multi_ii", "GWSkyNet-Multi II: glitch, BBH, NSBH or BNS", "nine numbers; 9-8-8-4, ensemble of 20", MULTI_II, "reproduces", MULTI_DEPARTURES, MULTI_REPORTED,
        ("gw-alerts", "practice-gw-alerts"), ("gwskynet_multi_ii",), {"gwskynet_multi_ii": 188}, True,
    ),
    System(
        "gwskynet_massgap", "GWSkyNet-MassGap: P(mass gap) and P(NS)", "nine numbers; 9-8-8-2, inferred", MASS_GAP, "inspired by", GAP_DEPARTURES, GAP_REPORTED,
        ("practice-gw-alerts",), ("gwskynet_massgap",), {"gwskynet_massgap": 170}, False,
    ),
)  # fmt: skip
"""gwskynet_explained gwskynet_multi_ii gwskynet_massgap"""
