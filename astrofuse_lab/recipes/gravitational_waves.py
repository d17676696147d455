"""Sky maps of gravitational-wave alerts through convolutional branches: the GWSkyNet family."""

from astrofuse_lab.recipes.schema import Part, Recipe, Source
from astrofuse_lab.recipes.systems import System

SKY = [
    ["residual", [["separable", 16, 3, "same"], ["relu"]]], ["max_pool", 2], ["residual", [["separable", 16, 3, "same"], ["relu"]]], ["max_pool", 2],
    ["separable", 32], ["relu"], ["global_average"], ["dense", 32], ["relu"], ["dense", 4], ["relu"],
]  # fmt: skip
"""Cabero et al. 2020, figure 1: the branch of the sky map; the map of one channel is added to each of 16."""
VOLUME = [
    ["separable", 16], ["relu"], ["max_pool", 2], ["residual", [["separable", 16, 3, "same"], ["relu"]]], ["max_pool", 2], ["separable", 32], ["relu"],
    ["global_average"], ["dense", 4], ["relu"],
]  # fmt: skip
DETECTORS = ["H1", "L1", "V1"]
OWN = [["dense", 1], ["relu"]]
"""Each scalar has a unit of its own, which may die: in the published network two of five are dead."""
V1_COLUMNS = [*DETECTORS, "distmean", "sky_max", "distmu_max", "distsigma_max", "distnorm_max"]
MULTI_COLUMNS = [*DETECTORS, "distmean", "distmax", "vol0_max", "vol1_max", "vol2_max", "sky_max", "log_bsn", "log_bci"]
II_COLUMNS = [*DETECTORS, "distmean", "sky_max", "vol0_max", "vol1_max", "vol2_max", "log_bci", "log_bsn"]

RAW = Part.of("asinh", background="none", stretch="none")
"""Pictures as they are: divided by their largest value already."""
INPUTS = {"image": RAW, "table": Part.of("largest", clip=20.0)}
SINGLE = Part.of("classification", hidden=0, single=True)
TRAINING = Part.of("end_to_end", learning_rate=3e-3, batch_size=32, epochs=30)


def _branches(volume: str, columns: list[str], keep: int) -> dict[str, Part]:
    """Encoders: two of pictures, and the scalars, of which the first `keep` are joined as they are."""
    return {
        volume: Part.of("layers", layers=VOLUME, project=False), "sky_map": Part.of("layers", layers=SKY, project=False),
        "table": Part.of("layers", layers=[["each", OWN, keep]], columns=columns, project=False),
    }  # fmt: skip


V1 = Source("GWSkyNet: a real-time classifier for public gravitational-wave candidates", 2020, "arXiv:2010.11829", "https://github.com/GWML/GWSkyNet")
MULTI = Source("GWSkyNet-Multi: a machine-learning multiclass classifier for LIGO-Virgo public alerts", 2022, "arXiv:2111.04015", "https://github.com/GWML/GWSkyNet")
II = Source("GWSkyNet II: a refined machine-learning pipeline for real-time classification of public gravitational-wave alerts", 2024, "arXiv:2408.06491", "https://pypi.org/project/gwskynet")

UNPUBLISHED = "The authors' training maps (2,900 simulated mergers, 1,300 glitches of the detectors) are not public: numbers of training anew are of simulated alerts, whose glitches are an approximation."
ALIKE = "The network has the published size and layers; learning rate, batch and epochs are not in a source at hand, so they are ours."
REAL_MAPS = "Real maps at hand are of nside 32 and without distance layers: their volume branch stays empty, and what the published weights then say is shown, not a reproduction."
CELL = "The largest probability is of a cell as wide as the FITS file's (BAYESTAR's rule of refinement; 22 of 23 real files agree), since that is what the networks were given."
CARRIED = "The published weights take the simulation's glitches for real ones (see measured): they know those of the detectors, whose maps look otherwise. Trained anew it tells them apart as well as trees."
SHARED = (UNPUBLISHED, ALIKE, REAL_MAPS, CELL)
V1_DEPARTURES = (*SHARED, CARRIED)
MULTI_DEPARTURES = (
    *SHARED,
    "Three networks trained anew on 2,000 simulated alerts stay a little below trees on the same scalars: one seed, pictures pooled by four, and of eleven scalars scaled by their largest most are near zero.",
    "The volume is rendered by our own code at 131 pixels, not at 262 and pooled, and which way along each axis is positive is arbitrary (in the original, too).",
)
II_DEPARTURES = (
    UNPUBLISHED, ALIKE,
    "The authors' weights are GPL-2.0-or-later and no part of this package: af.Run.original('gwskynet_ii') reads them where the user has installed gwskynet and onnx.",
    "As published, convolutions learned first stay and the dense layers are trained again; here both on simulated alerts, first O3's, then O4's, at 90 x 180 and 131 x 131 pixels.",
    "The package's README gives 5.6 % FNR at a threshold of 0.7 and 24.4 % at 0.4, which cannot be: a lower threshold misses fewer. The crossing, 7.3 % at 0.805, is what is quoted.",
)  # fmt: skip
V1_REPORTED = {"accuracy": 0.935, "FNR at 0.5": 0.076, "FPR at 0.5": 0.043, "FNR = FPR at 0.06": 0.051, "precision": 0.977, "recall": 0.924}
MULTI_REPORTED = {"right of 40 O3a alerts": 36.0}
II_REPORTED = {"FNR = FPR at 0.805": 0.073}

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        "gwskynet", "GWSkyNet: sky map, distance layers and five scalars, real or glitch", _branches("distance_layers", V1_COLUMNS, 3), Part("join"), SINGLE,
        inputs=INPUTS, schedule=TRAINING, augment=(), source=V1, fidelity="reproduces", departures=V1_DEPARTURES, reported=V1_REPORTED, data=("practice-gw-maps",),
    ),
    Recipe(
        "gwskynet_multi", "GWSkyNet-Multi: one class against all, by sky map, volume and scalars", _branches("volume", MULTI_COLUMNS, 8), Part("join"), SINGLE,
        inputs=INPUTS, schedule=TRAINING, augment=(), source=MULTI, fidelity="reproduces", departures=MULTI_DEPARTURES, reported=MULTI_REPORTED, data=("practice-gw-maps",),
    ),
    Recipe(
        "gwskynet_ii", "GWSkyNet II: sky map, volume and seven scalars, real or glitch", _branches("volume", II_COLUMNS, 3), Part("join"), SINGLE,
        inputs=INPUTS, schedule=TRAINING, augment=(), source=II, fidelity="follows", departures=II_DEPARTURES, reported=II_REPORTED, data=("practice-gw-maps",),
    ),
)  # fmt: skip

SYSTEMS: tuple[System, ...] = (
    System(
        "gwskynet", "GWSkyNet: is an alert of a merger real?", "sky map 90 x 180, distance layers 90 x 180 x 3, 8 scalars; separable residual CNN", V1, "reproduces",
        V1_DEPARTURES, V1_REPORTED, ("practice-gw-maps", "gw-sky-maps"), ("gwskynet",), {"gwskynet": 3687}, True,
    ),
    System(
        "gwskynet_multi", "GWSkyNet-Multi: glitch, neutron stars or black holes", "sky map 90 x 180, volume 131 x 131 x 3, 11 scalars; three networks, one class against all", MULTI,
        "reproduces", MULTI_DEPARTURES, MULTI_REPORTED, ("practice-gw-maps", "gw-sky-maps"), ("gwskynet_multi",), {"gwskynet_multi": 3686}, True,
    ),
    System(
        "gwskynet_ii", "GWSkyNet II: frozen convolutions, dense layers trained again", "sky map 180 x 360, volume 262 x 262 x 3, 10 scalars; separable residual CNN", II, "follows",
        II_DEPARTURES, II_REPORTED, ("practice-gw-maps", "gw-sky-maps"), ("gwskynet_ii",), {"gwskynet_ii": 3693}, True,
    ),
)  # fmt: skip
