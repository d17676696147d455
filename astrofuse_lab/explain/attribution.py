"""Which pixels, wavelengths, epochs, columns and words a prediction rests on."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain.adapter import chosen_modalities, device_of, score_of, some_samples
from astrofuse_lab.explain.attribution_ensembles import attribute_all
from astrofuse_lab.explain.attribution_result import CONVERGED, Attribution
from astrofuse_lab.explain.attribution_work import TOLERANCE, Plan, Told, Work, levels_of
from astrofuse_lab.explain.baselines import choose
from astrofuse_lab.explain.methods import METHODS
from astrofuse_lab.explain.methods_hiding import WINDOWS
from astrofuse_lab.explain.methods_layers import seen_by_convolutions
from astrofuse_lab.explain.methods_question import Settings
from astrofuse_lab.training.ensembles import Ensemble

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

__all__ = ["CONVERGED", "Attribution", "attribute"]


def attribute(
    run: "Run | Ensemble", samples: "SampleSet", method: str = "integrated_gradients", *, modalities: Sequence[str] | None = None, target: Any = None,
    baseline: str | Mapping[str, str] | None = None, steps: int | str = "auto", score: str | None = None, rows: int | str = "auto",
    tolerance: float = TOLERANCE, draws: int = 0, repeats: int = 4, windows: Mapping[str, int] | str | None = None, seed: int = 0,
    references: "SampleSet | None" = None, on_coarse: Callable[[Attribution], None] | None = None,
    on_progress: Callable[[dict[str, int]], None] | None = None, stop: threading.Event | None = None,
) -> Attribution:  # fmt: skip
    """Attribute the score of a class to every input value.

    Parameters
    ----------
    run : Run or Ensemble
        Of an ensemble: the mean over its members, of the class that they predict together, and their `spread`.
    samples : SampleSet
        The inputs and the attributions of all of them are held in memory.
    method : str
        One of `methods.METHODS`, which says of each what it tells and what not.
    modalities : sequence of str, optional
        Modalities to explain; the others are held at the sample's own values. None: all of the run.
    target : class, optional
        A class, label or target column by name, or its index. None: each sample's predicted class or most probable label.
    baseline : str or mapping of modality to str, optional
        See `astrofuse_lab.explain.baselines`; None: the first of each kind.
    steps : int or "auto"
        Points along the path of integrated gradients. ``"auto"``: 7, 15, 24, ... 192, on until the attributions sum to the difference within `tolerance`; a
        number: so many of captum's own nodes.
    score : {"log_odds", "logit", "probability"}, optional
        Classification: what of the class is explained; ``log_odds`` unless given.
    rows : int or "auto"
        Samples times steps that the model is given at once: bounds the memory. ``"auto"``: by the size of the inputs and the memory that is free.
        Half as many whenever memory runs out.
    tolerance : float
        Share of the difference that the attributions may miss, for ``steps="auto"``.
    draws : int
        Random draws a sample, for gradient SHAP, LIME and KernelSHAP; 0: as many as the method needs.
    repeats : int
        LIME and KernelSHAP: how often they begin anew; the mean is given, and its standard error.
    windows : mapping of kind to int, or "modality", optional
        Windows along each axis that are hidden: ``{"image": 16, "spectrum": 96}``. Feature ablation: ``"modality"`` hides modalities whole.
    seed : int
        Of all draws.
    references : SampleSet, optional
        Samples, e.g. of the training part, that gradient SHAP draws as baselines for images, spectra, series and tables.
    on_coarse : callable, optional
        Called once with a coarse Attribution of all samples, if a finer one follows: integrated gradients on 7 points, some of the draws, larger windows.
    on_progress : callable, optional
        Called with ``{"done": ..., "total": ...}`` after each chunk.
    stop : threading.Event, optional
        Set it to end after the chunk at hand; the result holds the samples done by then, as finely as they were.

    Returns
    -------
    Attribution

    Raises
    ------
    UnknownNameError
        For a method, modality, class, baseline or score that does not exist.
    InputError
        For an empty set, a number below one, or a method that this run's model does not allow.
    """
    some_samples(samples)
    numbers = check_numbers(method, steps, rows, tolerance, draws, repeats, windows)
    settings = numbers._replace(seed=int(seed))

    def plan_of(one: "Run", goal: Any, asked: Sequence[str] | None) -> Plan:
        return make_plan(one, samples, method, asked, baseline, score, goal, settings, rows, on_coarse is not None, references)

    told = Told(on_progress, on_coarse, stop)
    if isinstance(run, Ensemble):
        return attribute_all(run, samples, target, modalities, plan_of, told)
    return Work(run, samples, plan_of(run, target, modalities), told).go()


def check_numbers(
    method: str, steps: int | str, rows: int | str, tolerance: float, draws: int, repeats: int, windows: Mapping[str, int] | str | None
) -> Settings:
    """The numbers of a call as `Settings`; InputError for one that cannot be."""
    if method not in METHODS:
        raise UnknownNameError("attribution method", method, METHODS)
    for name, value in (("steps", steps), ("rows", rows)):
        if value != "auto" and (isinstance(value, str) or int(value) < 1):
            raise InputError(f"{name}={value!r}: at least 1, or 'auto'.")
    if int(draws) < 0 or int(repeats) < 1 or not 0 < float(tolerance) < 1:
        raise InputError(f"draws={draws}, repeats={repeats}, tolerance={tolerance}: draws are 0 or more, repeats 1 or more, the tolerance a share such as 0.01.")
    sizes = {} if windows is None or isinstance(windows, str) else {str(kind): int(count) for kind, count in windows.items()}
    if (isinstance(windows, str) and windows != "modality") or any(count < 1 for count in sizes.values()):
        raise InputError(f"windows={windows!r}: a number of windows by kind, e.g. {{'image': 16}}, or 'modality'.")
    if windows == "modality" and method != "feature_ablation":
        raise InputError("windows='modality' hides modalities whole, which method='feature_ablation' does; af.explain.contributions does it in all combinations.")
    return Settings(0 if steps == "auto" else int(steps), float(tolerance), draws=int(draws), repeats=int(repeats), windows=sizes, whole=windows == "modality")


def make_plan(
    run: "Run", samples: "SampleSet", method: str, modalities: Sequence[str] | None, baseline: str | Mapping[str, str] | None, score: str | None, target: Any, settings: Settings,
    rows: int | str, coarse: bool, references: "SampleSet | None",
) -> Plan:  # fmt: skip
    """What is to be done, after all that can be checked before any work."""
    chosen = METHODS[method]
    kinds = {name: run.preparation.scalings[name].made for name in chosen_modalities(run, modalities)}
    if chosen.gradients and not getattr(run.model, "differentiable", True):
        without = ", ".join(repr(name) for name, one in METHODS.items() if not one.gradients)
        raise InputError(
            f"method={method!r} follows gradients, and the decision {run.recipe.decision.name if run.recipe.decision else ''!r} of this run has none: "
            f"it counts votes, or asks a learner made of steps. Use a method that hides inputs and looks what is lost: {without}; or, for whole modalities, af.explain.contributions."
        )
    notes: tuple[str, ...] = ()
    if method == "grad_cam":
        able = seen_by_convolutions(run.model.eval(), kinds, run.batch(samples, [0]).to(device_of(run.model)), modalities is not None)
        notes = tuple(f"{name} has no convolutional encoder and is left out" for name in kinds if name not in able)
        kinds = able
    if method == "lrp" and run.classes:
        if score not in (None, "logit"):
            raise InputError(f"score={score!r}: layer-wise relevance propagation shares out a logit, which a layer makes; leave score out.")
        score = "logit"
        notes = ("explains the logit; what biases, masks and other modalities account for is missing from the sum",)
    baselines = choose(kinds, baseline)
    drawn = None
    if references is not None:
        if method != "gradient_shap":
            raise InputError(f"references= are many baselines, which method='gradient_shap' averages over; {method!r} has one. Leave references out.")
        some_samples(references)
        drawn = run.batch(references)
        baselines |= {name: "samples" for name, kind in kinds.items() if kind in ("image", "spectrum", "series", "table")}
    levels = levels_of(method, settings, coarse, {**WINDOWS, **settings.windows})
    return Plan(chosen, method, kinds, baselines, *score_of(run, score), target, levels, rows, drawn, notes)
