"""Language models as classifiers of alerts: AstroAlertBench, and a fusion model that answers in the same form."""

from astrofuse_lab.recipes.schema import Part, Recipe, Source
from astrofuse_lab.recipes.systems import System

SOURCE = Source("AstroAlertBench", 2026, "arXiv:2605.05573", "https://github.com/LLM-for-Astronomy/AstroAlertBench")
DEPARTURES = (
    "No language model is run here: none is at hand, and the 1,500 montages are not in the mirror. Scorer, prompt, client and our own contestant are; an endpoint is the user's.",
    "The gold labels of the published benchmark are the top class of ALeRCE's stamp classifier: it measures agreement with another network.",
    "Our contestant is trained and tested on ztf-alerts, whose labels come from ephemerides, catalogues and spectra: four classes (no human bogus label), other alerts. Not comparable with the leaderboard.",
    "On its own test alerts it is below gradient-boosted trees on the record (0.949 against 0.984, paired 95 % -0.066 to -0.012): 383 alerts are few to train a network. It was not tuned.",
    "The prompt asks, shows and wants back what is published, in our own words.",
    "firstmjd is told to language models, as published, and is no input of our contestant: as a date it tells which source an alert came from.",
)

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        "alert_contestant", "A contestant of AstroAlertBench: stamps and record, one network each, probabilities averaged",
        {"image": Part.of("conv2d", crop=31), "table": Part("mlp")}, Part("concatenation"), decision=Part.of("average"), inputs={"image": Part.of("asinh", scale="sample")},
        schedule=Part.of("end_to_end", steps=400, batch_size=64), source=SOURCE, fidelity="inspired by",
        departures=("Not part of the publication: what answers there are language models. " + DEPARTURES[2], DEPARTURES[3], DEPARTURES[5]), data=("ztf-alerts", "astroalertbench"),
    ),
)  # fmt: skip

SYSTEMS: tuple[System, ...] = (
    System(
        "astroalertbench", "AstroAlertBench: language models read alerts", "triplet and 19 fields; a vision-language model's three-part JSON", SOURCE, "follows", DEPARTURES,
        {"accuracy, best of 13 runs": 0.6060, "accuracy, worst of 13 runs": 0.0841}, ("astroalertbench", "ztf-alerts"), ("alert_contestant",),
    ),
)  # fmt: skip
"""astroalertbench"""
