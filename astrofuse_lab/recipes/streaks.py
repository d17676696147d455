"""Fast movers and image pairs: DeepStreaks and TransiNet."""

from typing import Any

from astrofuse_lab.recipes.schema import Part, Recipe, Source
from astrofuse_lab.recipes.systems import System

DEEPSTREAKS = Source("DeepStreaks: identifying fast-moving objects in the Zwicky Transient Facility data with deep learning", 2019, "arXiv:1904.05920", "github.com/dmitryduev/DeepStreaks")
TRANSINET = Source("Effective image differencing with convolutional neural networks for real-time transient hunting", 2018, "arXiv:1710.01422", "github.com/NimSed/TransiNet0-pytorch")
NEW = 0.8
"""Share of a new batch in the running means: a momentum of 0.2 in Keras."""
Rows = list[Any]


def vgg6(share: int = 1) -> Rows:
    """Two pairs of convolutions, one hidden layer (the network of braai); `share` divides its widths."""
    one, two = 16 // share, 32 // share
    rows: Rows = [["conv", one], ["relu"], ["conv", one], ["relu"], ["max_pool", 2], ["dropout", 0.25], ["conv", two], ["relu"], ["conv", two], ["relu"], ["max_pool", 4]]
    return [*rows, ["dropout", 0.25], ["flatten"], ["dense", 256 // share], ["relu"], ["dropout", 0.5]]


def resnet50(share: int = 1) -> Rows:
    """50 layers in four stages; here they widen to 256, 512, 512 and 1024 channels, as in the system's code."""
    stages = [["residual_stage", inner // share, outer // share, n, step, NEW] for inner, outer, n, step in ((64, 256, 3, 1), (128, 512, 4, 2), (256, 512, 6, 2), (512, 1024, 3, 2))]
    stem: Rows = [["pad", 3], ["conv", 64 // share, 7, "valid", 2], ["batch_norm", NEW, 1e-3], ["relu"], ["max_pool", 3, 2]]
    return [*stem, *stages, ["average_pool", 2], ["flatten"]]


def densenet121(share: int = 1) -> Rows:
    """121 layers in four dense blocks that grow by 32 channels a layer."""
    rows: Rows = [["pad", 3], ["conv", 64 // share, 7, "valid", 2, 1, False], ["batch_norm", NEW, 1.001e-5], ["relu"], ["pad", 1], ["max_pool", 3, 2]]
    for i, number in enumerate((6, 12, 24, 16)):
        rows += [*([["transition", 0.5, NEW]] if i else []), ["dense_block", number, 32 // share, NEW]]
    return [*rows, ["batch_norm", NEW, 1.001e-5], ["relu"], ["global_average"]]


NETWORKS = {"vgg6": ("VGG6", vgg6, 4), "resnet50": ("ResNet50", resnet50, 8), "densenet121": ("DenseNet121", densenet121, 8)}
"""Name, layers, and what the widths are divided by where it is trained here."""


def streak_net(name: str, small: bool) -> Recipe:
    """One of the three networks, at its published width, or narrow."""
    title, rows, share = NETWORKS[name]
    return Recipe(
        f"deepstreaks_{name}{'_small' if small else ''}", f"{title} of DeepStreaks for one of its tasks (rb, sl or kd){f', at 1/{share} of its width' if small else ''}",
        {"image": Part.of("layers", layers=rows(share if small else 1), project=False)}, Part("join"), Part.of("classification", hidden=0, dropout=0.0, single=True),
        source=DEEPSTREAKS, fidelity="follows", departures=(*STREAK_DEPARTURES, *((f"1/{share} of the published width",) if small else ())),
    )  # fmt: skip


def image_to_image(name: str, title: str, width: float, filled: float, departures: tuple[str, ...] = ()) -> Recipe:
    """The encoder-decoder at a width: reference and science in, the transient alone out."""
    down = {"image": Part.of("layers", layers=[["encoder_decoder", width]], project=False), "transient": Part.of("layers", layers=[["global_average"]], project=False)}
    return Recipe(
        name, title, down, Part("join"), Part.of("reconstruction", modality="transient", source="stack"),
        objective=Part.of("reconstruction", hidden=1.0, error="absolute", filled=filled), schedule=Part.of("end_to_end", learning_rate=1e-3, weight_decay=0.0),
        inputs={"transient": Part.of("asinh", background="none", stretch="none")}, augment=(), stack=Part.of("channels", modalities=["reference", "science"]),
        source=TRANSINET, fidelity="follows", departures=departures,
    )  # fmt: skip


STREAK_DEPARTURES = (
    "Trained on simulated objects on real ZTF difference stamps of 63 pixels, enlarged to 144: the labelled cutouts and the weights of the system are not public.",
    "Inputs are calibrated differences, median taken off and stretched with asinh; the system read JPEG previews from 0 to 255.",
    "Optimiser AdamW with a cosine schedule, a few epochs; the system took Adam at 1e-3 for 200 to 300.",
    "Bogus cutouts have no label in sl (short or long), which is trained on what is real.",
    "The shortcut's running means in ResNet50 follow the others (0.8); the code has 0.9 there.",
)
PAIR_DEPARTURES = (
    "Trained on simulated pairs of 63 pixels; the pairs of real supernovae and synthetic transients of the paper are not public, nor are weights.",
    "Inputs are stretched with asinh; of the loss, half falls to pixels that hold a transient, without which an empty image is long the best answer to L1.",
)

SHORT = (
    "The published rate of 96 to 98 % at less than 1 % is not reached (0.87 at 1 %): narrow networks, 1,500 training cutouts and 7 to 14 epochs in place of 16,000 to 25,000 cutouts and hundreds; "
    "half of what is missed is fainter than a signal-to-noise ratio of 10."
)
BELOW = (
    "Real pairs have no truth: a peak is right where the alert is, and the picture is compared with the pipeline's own difference.",
    "On simulated pairs the published recall is not reached, nor that of a matched subtraction: the network has 1/256 of the parameters and saw 6,800 pairs in twenty epochs.",
)

RECIPES: tuple[Recipe, ...] = (
    *(streak_net(name, small) for name in NETWORKS for small in (False, True)),
    image_to_image("transinet", "TransiNet: image pair to transient, at its published width", 2.0, 0.0),
    image_to_image("transinet_small", "TransiNet: image pair to transient, at 1/16 of its published width", 0.125, 0.5, PAIR_DEPARTURES),
)

SYSTEMS: tuple[System, ...] = (
    System(
        "deepstreaks", "DeepStreaks: fast-moving objects in difference images", "difference cutout 144 x 144 -> (real or bogus, short or long, keep or ditch) x (VGG6, ResNet50, DenseNet121)",
        DEEPSTREAKS, "follows", (*STREAK_DEPARTURES, SHORT), {"TPR, low": 0.96, "TPR, high": 0.98, "FPR, at most": 0.01, "known NEAs found (202 of 210)": 0.962},
        ("practice-streaks", "ztf-alerts"), tuple(f"deepstreaks_{name}{tail}" for name in NETWORKS for tail in ("", "_small")),
        {"VGG6": 2_114_033, "ResNet50": 17_348_993, "DenseNet121": 6_948_609},
    ),
    System(
        "transinet", "TransiNet: the transient alone, from an image pair", "reference and science image -> encoder-decoder at 7 scales, L1 -> transient image", TRANSINET, "follows",
        (*PAIR_DEPARTURES, *BELOW), {"recall at precision 0.984, real supernovae": 0.755},
        ("practice-image-pairs", "ztf-alerts"), ("transinet", "transinet_small"), {"TransiNet": 154_899_317},
    ),
)  # fmt: skip
