"""Many yes-or-no questions about a source, a network each: SCoPe."""

from astrofuse_lab.recipes.schema import Part, Recipe, Source
from astrofuse_lab.recipes.systems import System

SCOPE = Source("The ZTF Source Classification Project: I. Methods and infrastructure", 2021, "arXiv:2102.11304", "https://github.com/ZwickyTransientFacility/scope-ml")
FULL = Source("The ZTF Source Classification Project: III. A catalog of variable sources", 2024, "arXiv:2312.00143", "https://github.com/ZwickyTransientFacility/scope-ml")

NUMBERS = [["dense", 256], ["relu"], ["dropout", 0.25], ["dense", 32], ["relu"]]
HE = [3, "valid", 1, "he"]
PAIRS = [
    ["separable", 16, *HE], ["relu"], ["separable", 16, *HE], ["relu"], ["dropout", 0.25], ["max_pool", 2],
    ["separable", 32, *HE], ["relu"], ["separable", 32, *HE], ["relu"], ["dropout", 0.25], ["global_average"],
]  # fmt: skip
VIEWS = {
    "features": ("light_curve", Part.of("features", which="published", longest=500.0)),
    "dmdt": ("light_curve", Part.of("dmdt", edges="scope")),
}
"""What is measured of a light curve, for ``astrofuse_lab.samples.views.measure``: statistics, period and Fourier fit; a DMDT image of 26 x 26 by its L2 norm."""
CRTS_QUESTIONS = ("e", "ea", "ew", "longt", "bis", "rscvn", "puls", "rrlyr", "rrab", "rrc")
"""Questions that the Catalina labels answer, of both taxonomies."""

SMALLER = (
    "4,652 Catalina light curves in one band with the survey's own classes, instead of 170,632 ZTF light curves with fractional votes: that training set is not public here.",
    "37 numbers a curve (22 statistics, log period, 14 of the Fourier fit) instead of 40, 35 or 61: no alerts and no cross-match with AllWISE, Gaia and Pan-STARRS, since "
    "these come from archives only. More columns of the table join in as they are.",
)
TRAINED = (
    "Periods are the highest Lomb-Scargle peak, from 0.1 to 500 days; published: conditional entropy, Lomb-Scargle and analysis of variance, nested, up to 288 cycles a day.",
    "Learning rate 3e-3 for every question (published: tuned a question, 0.0007 to 0.03) and 20 epochs at most, with weights averaged over steps and both answers weighing alike.",
    "The L2-normalised image is stretched by asinh to a unit spread, and separable layers begin with weights that keep it (He et al. 2015): with torch's, and Keras', the image's branch "
    "says nothing for the first thousand steps, which are few among 170,632 curves and all there are among some thousand.",
    "Columns are scaled by quantiles instead of between their extremes, which a single outlier moves; what is missing is the median, as there.",
    "Histogram gradient boosting of scikit-learn stands for XGBoost, without the search over its depth, weights and shares.",
)

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        "scope", "One question about a source: dense layers of its features beside separable convolutions of its DMDT image",
        {"table": Part.of("layers", layers=NUMBERS, project=False), "image": Part.of("layers", layers=PAIRS, project=False)},
        Part.of("join", layers=[["dropout", 0.4], ["dense", 16], ["relu"]]), Part.of("classification", hidden=0, single=True),
        inputs={"table": Part.of("quantile", impute="median"), "image": Part.of("asinh", background="none")}, augment=(),
        schedule=Part.of("end_to_end", epochs=20, batch_size=16, learning_rate=3e-3, weight_decay=0.0, shape="constant"), source=SCOPE,
        fidelity="follows", departures=(*SMALLER, *TRAINED), reported={"RR Lyrae precision": 0.89}, data=("crts-variables",),
    ),
)  # fmt: skip

SYSTEMS: tuple[System, ...] = (
    System(
        "scope", "SCoPe I: dichotomous classifiers in two taxonomies", "40 features and a DMDT image of 26 x 26 -> a network of two branches and boosted trees for each question",
        SCOPE, "follows", (*SMALLER, *TRAINED), {"RR Lyrae precision": 0.89}, ("crts-variables", "ztf-sources", "scope-predictions"), ("scope",), {"scope": 22_266},
    ),
    System(
        "scope_full", "SCoPe III: 210 million light curves of 77 fields", "61 features (39 of the light curve, 22 of cross-matches) and a DMDT image -> 52 questions", FULL, "follows",
        (
            "At least 20,000 real light curves of five surveys are measured, one band of one object each; the cost of 209,991,147 is extrapolated from them and said so.",
            "The lecture's 112,476,749 light curves in 40 fields are of the first version of the paper; the published one has 209,991,147 in 77.",
            "44 of the 52 questions have public scores, of 100 sources; their agreement is shown, nothing of it is trained on.",
            *SMALLER[1:], *TRAINED[:1],
        ),
        {"light curves": 209_991_147, "training light curves": 170_632, "fields": 77},
        ("crts-variables", "ztf-sources", "eros1-variables", "supernovae", "ztf-alerts", "scope-predictions"), ("scope",), {"scope": 27_642},
    ),
)  # fmt: skip
