"""AstroFuse Lab: fetch, align, fuse and explain images, spectra, light curves, tables and text of the same objects.

The door: every public name is here, and nothing heavy is imported before it is used.
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

# Threads of torch that wait for one another by spinning stall on a shared machine (a class on one hub, a busy laptop):
# measured 9 times slower at four times more work than cores. Sleeping costs nothing measurable on an idle one.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_DOOR = {
    # name: module, attribute ("" for the module itself)
    "Targets": ("fetching", "Targets"),
    "fetch": ("fetching", "fetch"),
    "estimate": ("estimates", "estimate"),
    "cache": ("cache", ""),
    "Found": ("fetching", "Found"),
    "list_surveys": ("surveys", "list_surveys"),
    "surveys": ("surveys", ""),
    "PixelGrid": ("alignment.grids", "PixelGrid"),
    "LogGrid": ("alignment.grids", "LogGrid"),
    "LinearGrid": ("alignment.grids", "LinearGrid"),
    "TimeGrid": ("alignment.grids", "TimeGrid"),
    "align": ("samples.assemble", "align"),
    "match": ("samples.matching", "match"),
    "decide": ("samples.matching", "decide"),
    "ErrorRegion": ("alignment.match_regions", "ErrorRegion"),
    "pair_in_time": ("samples.asynchronous", "pair_in_time"),
    "class_means": ("samples.composites", "class_means"),
    "isolation_forest": ("samples.anomalies", "isolation_forest"),
    "SampleSet": ("samples.sample_set", "SampleSet"),
    "LabelBook": ("samples.annotations_book", "LabelBook"),
    "Split": ("samples.split", "Split"),
    "load_samples": ("samples.registry", "load_samples"),
    "list_samples": ("samples.registry", "list_samples"),
    "read_samples": ("samples.exchange", "read_samples"),
    "list_formats": ("samples.exchange", "list_formats"),
    "build_samples": ("samples.building", "build_samples"),
    "SampleSetWriter": ("samples.building", "SampleSetWriter"),
    "Recipe": ("recipes.schema", "Recipe"),
    "Part": ("recipes.schema", "Part"),
    "get_recipe": ("recipes.catalogue", "get_recipe"),
    "list_recipes": ("training.catalogues", "list_recipes"),
    "list_systems": ("training.catalogues", "list_systems"),
    "list_parts": ("training.catalogues", "list_parts"),
    "train": ("training.loop", "train"),
    "Run": ("training.run", "Run"),
    "list_runs": ("training.run_list", "list_runs"),
    "find_batch_size": ("training.batch_size", "find_batch_size"),
    "Ensemble": ("training.ensembles", "Ensemble"),
    "train_ensemble": ("training.ensembles", "train_ensemble"),
    "train_pairwise": ("training.pairwise", "train_pairwise"),
    "evaluate": ("training.evaluation", "evaluate"),
    "compare": ("training.comparison", "compare"),
    "label_curve": ("training.label_curves", "label_curve"),
    "FusionClassifier": ("training.estimators", "FusionClassifier"),
    "FusionRegressor": ("training.estimators", "FusionRegressor"),
    "list_benchmarks": ("training.benchmarks", "list_benchmarks"),
    "benchmark": ("training.benchmarks", "get_benchmark"),
    "explain": ("explain", ""),
    "FetchWidget": ("widgets.fetch", "FetchWidget"),
    "SamplesWidget": ("widgets.samples", "SamplesWidget"),
    "TrainWidget": ("widgets.train", "TrainWidget"),
    "EmbeddingWidget": ("widgets.embedding", "EmbeddingWidget"),
    "AttributionWidget": ("widgets.attribution", "AttributionWidget"),
    "AttentionWidget": ("widgets.attention", "AttentionWidget"),
    "ContributionWidget": ("widgets.contribution", "ContributionWidget"),
    "EvaluationWidget": ("widgets.evaluation", "EvaluationWidget"),
    "link_plot": ("widgets.linked_plots", "link_plot"),
    "LabelWidget": ("widgets.label", "LabelWidget"),
    "Selection": ("widgets.base", "Selection"),
    "SampLink": ("widgets.samp", "SampLink"),
    "Frame": ("widgets.embedded", "Frame"),
    "plot": ("widgets.plots", ""),
    "workbench": ("widgets.workbench", "workbench"),
    "lesson": ("classroom", ""),
    "doctor": ("checkup", "doctor"),
    "errors": ("errors", ""),
}

__all__ = sorted([*_DOOR, "__version__"])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("astrofuse-lab")
        except PackageNotFoundError:
            return "0+unknown"
    if name not in _DOOR:
        raise AttributeError(f"module 'astrofuse_lab' has no attribute {name!r}. dir(astrofuse_lab) shows what it has.")
    module, attribute = _DOOR[name]
    loaded = importlib.import_module(f"astrofuse_lab.{module}")
    value = getattr(loaded, attribute) if attribute else loaded
    # importing a room binds its name here; the door's name must win (a test holds it)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)


if "ipykernel" in sys.modules:  # a notebook: the lab extension, where there is one, shows jobs, memory and selections beside the cells
    importlib.import_module("astrofuse_lab.widgets.jobs").open_desk()


if TYPE_CHECKING:
    from astrofuse_lab.alignment.grids import LinearGrid as LinearGrid
    from astrofuse_lab.alignment.grids import LogGrid as LogGrid
    from astrofuse_lab.alignment.grids import PixelGrid as PixelGrid
    from astrofuse_lab.alignment.grids import TimeGrid as TimeGrid
    from astrofuse_lab.samples.sample_set import SampleSet as SampleSet
