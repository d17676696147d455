"""Fast radio bursts by the look of their dynamic spectra: Frabjous."""

from astrofuse_lab.recipes.schema import Part, Recipe, Source
from astrofuse_lab.recipes.systems import System

FRABJOUS = Source("Frabjous: Deep learning Fast Radio Burst morphologies", 2025, "arXiv:2507.14854", "https://github.com/ajay2609/frabjous")
CLASSES = ("I", "II", "III", "IV", "V")
"""In the order in which ties are decided. Type VI is simulated and never a class."""
THRESHOLDS = (("I", "II", 0.64), ("II", "IV", 0.2))
"""What the vote asks of evidence for a type against another, published; 0.5 of all other pairs."""
DENSE = {
    ("I", "II"): (64, 0.2, 8, 0.2), ("I", "III"): (64, 0.2, 32, 0.2), ("I", "IV"): (32, 0.25, 32, 0.15), ("II", "III"): (64, 0.2, 32, 0.2), ("II", "IV"): (64, 0.15, 16, 0.25),
}  # fmt: skip
"""Dense layers and dropout of the five pairs whose published files say them (models/*/keras_metadata.pb)."""
OTHERS = (64, 0.2, 32, 0.2)
"""Taken for the five pairs that are public in no form."""


def layers(width: int, last: int, pool: int, dense: tuple[int, float, int, float]) -> list[list[object]]:
    """Three convolutions, the last of `last` x `last` before a pooling by `pool`, and two dense layers."""
    steps: list[list[object]] = []
    for kernel, step in ((3, 2), (3, 2), (last, pool)):
        steps += [["conv", width, kernel], ["relu"], ["max_pool", step]]
    return [*steps, ["flatten"], ["dense", dense[0]], ["relu"], ["dropout", dense[1]], ["dense", dense[2]], ["relu"], ["dropout", dense[3]]]


def network(name: str, title: str, steps: list[list[object]], head: Part, *departures: str, fidelity: str = "follows") -> Recipe:
    """A network of one dynamic spectrum."""
    return Recipe(
        name, title, {"image": Part.of("layers", layers=steps, project=False)}, Part("join"), head, inputs={"image": Part.of("peak", to=255.0)}, augment=(),
        schedule=Part.of("end_to_end", epochs=30, batch_size=32, learning_rate=5e-4, weight_decay=0.0, shape="constant"), source=FRABJOUS, fidelity=fidelity,
        departures=(*DEPARTURES, *departures), data=("practice-bursts",),
    )  # fmt: skip


def pair_recipe(first: str, second: str, width: int = 32) -> Recipe:
    """The network of two types; of published size at 256 x 256 pixels and a width of 32."""
    dense = DENSE.get((first, second)) or DENSE.get((second, first)) or OTHERS
    return network(f"frabjous_{first}_{second}", f"Type {first} or {second} of a burst", layers(width, 5, 3, dense), Part.of("classification", hidden=0, single=True))


DEPARTURES = (
    "Trained on our own simulation: neither the waterfalls of CHIME nor weights are public, so the published 49.5 % and 55 % cannot be trained for here.",
    "30 epochs at most (published 200 to 300), with weights averaged over steps; no random search of sizes.",
    "Measured on simulated bursts of 64 x 64 pixels at half of the width (20 epochs, 3,000 bursts, two seeds averaged).",
)
RECIPES: tuple[Recipe, ...] = (
    pair_recipe("I", "II").change(name="frabjous_pair", title="Two archetypes of a burst from its dynamic spectrum: one of ten judges whose vote decides"),
    network(
        "frabjous_softmax", "Five archetypes of a burst from its dynamic spectrum, by one network", layers(32, 3, 5, (128, 0.3, 16, 0.2)), Part.of("classification", hidden=0),
    ).change(reported={"accuracy": 0.55}, data=("frb-morphology", "practice-bursts")),
    network(
        "frabjous_vote", "Five archetypes of a burst by one network that judges every two of them, and their vote", layers(32, 5, 3, OTHERS),
        Part.of("pairwise", hidden=0, thresholds=[list(one) for one in THRESHOLDS]), "One network with ten outputs instead of ten networks.", fidelity="inspired by",
    ),
)  # fmt: skip

SYSTEMS: tuple[System, ...] = (
    System(
        "frabjous", "Frabjous: archetypes of fast radio bursts", "256 x 256 dynamic spectrum -> ten networks of two types each and their vote; one softmax network beside it",
        FRABJOUS, "follows", DEPARTURES, {"accuracy of the vote, 535 CHIME bursts": 0.495, "accuracy of one softmax network, 267 CHIME bursts, trained on the other half": 0.55},
        ("frb-morphology", "practice-bursts"), ("frabjous_pair", "frabjous_softmax", "frabjous_vote"), {"I-II": 775_121, "I-IV": 405_985, "softmax": 610_917},
    ),
)  # fmt: skip
"""frabjous"""
