"""Named benchmarks, data only: a sample set, a fixed split, metrics, and the shortcuts that a score must be read beside."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class BenchmarkEntry:
    """One benchmark.

    Attributes
    ----------
    name, title : str
    samples : str
        A set of ``af.list_samples()``.
    target : str
        The column to predict; samples without a value take no part.
    task : str
        ``classification`` or ``regression``.
    modalities : tuple of str
        What a model may see.
    metrics : tuple of str
        The first decides the order.
    split : mapping
        Options of ``samples.split(...)``, or ``train`` and ``test``, each a mapping of column to a text that its values contain.
    objects, seed : int
        Of the practice sky: how many objects of which sky.
    digest : str
        Of the ids, the truth and the split, as they were when the benchmark was defined: what is compared must be the same.
    controls : mapping of str to tuple of str
        Shortcuts: columns that tell who observed rather than what; trees on them alone are a row of the baselines. ``modality:text`` is
        a modality.
    notes : tuple of str
    """

    name: str
    title: str
    samples: str
    target: str
    task: str
    modalities: tuple[str, ...]
    metrics: tuple[str, ...]
    split: Mapping[str, object]
    objects: int | None = None
    seed: int = 0
    digest: str = ""
    controls: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("split", "controls"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))


CLASSES = ("balanced_accuracy", "macro_f1", "roc_auc", "pr_auc", "accuracy", "log_loss", "brier")
YES_NO = ("roc_auc", "pr_auc", "balanced_accuracy", "tss", "brier")

BENCHMARKS = (
    BenchmarkEntry(
        "ztf-alerts/sso", "Solar-system objects among ZTF alerts, from one broker's archive to another's", "ztf-alerts", "is_sso", "classification",
        ("image", "light_curve"), YES_NO,
        {"train": {"src_repo": "fink-alert-simulator"}, "test": {"src_repo": "fink-broker", "src_path": "all_distribute_topics"}},
        controls={"schema and exposure": ("schemavsn", "c_exptime", "c_magzpsci", "nan_frac", "n_prv", "n_fp")},
        digest="93d98bde79fff10a", notes=(
            "Trained on alerts of 2018 and tested on another source: pooled scores over all sources partly measure the source.",
            "is_sso is the match to Minor Planet Center ephemerides; unlabelled alerts count as no solar-system object.",
        ),
    ),
    BenchmarkEntry(
        "supernovae/type", "Type of a supernova (Ia, II, Ibc, IIn) from spectrum, light curve and table", "supernovae", "main_class", "classification",
        ("spectrum", "light_curve", "table"), CLASSES, {"test": 0.3, "seed": 0},
        controls={
            "bands, counts and date": ("bands", "n_det", "n_ul", "n_bands", "n_spec", "time"), "text": ("modality:text",),
            "redshift": ("z",), "who discovered": ("discoverer", "sources"),
        },
        digest="33602b8c35d3dbec", notes=(
            "Types are spectroscopic, so a spectrum alone is partly circular. A gain of fusion over it was within the noise.",
            "A score is worth what it is above the controls: they tell who observed, not what.",
        ),
    ),
    BenchmarkEntry(
        "eros1-variables/class", "Class of a variable star of the LMC from a two-band light curve and a table", "eros1-variables", "label", "classification",
        ("light_curve", "table"), CLASSES, {"by": "published"}, controls={"position": ("ra", "dec"), "quality of the labels": ("quality",)},
        digest="bd16e8003ac55dda", notes=("The kit's own split. All stars are at one distance: magnitudes tell the class here and will not elsewhere.",),
    ),
    BenchmarkEntry(
        "crts-variables/main", "Seven main classes of CRTS variable stars from one light curve (as dmdt, features, or itself)", "crts-variables", "main_class",
        "classification", ("light_curve",), CLASSES, {"test": 0.25, "seed": 0}, controls={"position and epochs": ("ra", "dec", "epochs")},
        digest="703d2a9ba06dd7b3", notes=("The classes are nearly balanced by construction: shares say nothing of the sky.",),
    ),
    BenchmarkEntry(
        "tess-transits/planet", "Planet or not, from three folded views and stellar scalars", "tess-transits", "is_planet", "classification",
        ("global_view", "half_phase", "local_view", "table"), ("pr_auc", "roc_auc", "balanced_accuracy", "tss", "brier"), {"test": 0.25, "seed": 0},
        controls={"source of the row": ("source",), "search statistics": ("snr", "sde", "NumTransits")},
        digest="a5ae003790fa9ef8", notes=("Whole stars are on one side; the published split leaks. source tells the label.",),
    ),
    BenchmarkEntry(
        "practice-sky/class", "Six kinds of object of the practice sky from five modalities (simulated)", "practice", "label", "classification",
        ("image", "spectrum", "light_curve", "table", "text"), CLASSES, {"test": 0.25, "seed": 0}, objects=600,
        controls={"position and date": ("ra", "dec", "time")}, digest="c8a6f92bd51adbc4", notes=("Simulated: for classes and tests, not for papers.",),
    ),
    BenchmarkEntry(
        "practice-sky/redshift", "Redshift of the practice sky's galaxies, quasars and supernovae (simulated)", "practice", "redshift", "regression",
        ("image", "spectrum", "light_curve", "table"), ("redshift_nmad", "redshift_outliers", "redshift_bias", "rmse", "mae", "r2"),
        {"test": 0.25, "seed": 0}, objects=600, digest="0cdcac5e094ceec0", notes=("Simulated: for classes and tests, not for papers.",),
    ),
)  # fmt: skip
