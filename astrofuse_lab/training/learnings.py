"""Which `Learning` a plan asks for."""

from typing import Any

from numpy.typing import NDArray

from astrofuse_lab.models.build import FusionModel
from astrofuse_lab.models.lora import adapt, adaptable
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.training.anchors import make_anchor
from astrofuse_lab.training.distillation import Distilled
from astrofuse_lab.training.learning import Learning, Supervised
from astrofuse_lab.training.objectives import make_objective
from astrofuse_lab.training.plan import Plan
from astrofuse_lab.training.schedules import matching
from astrofuse_lab.training.self_supervised import SELF_SUPERVISED, make_self_supervised


def make_learning(plan: Plan, model: FusionModel, codes: NDArray[Any]) -> Learning:
    """The model with what turns its predictions into a loss, on the CPU; new layers follow torch's random state.

    It begins with the weights that the plan starts from, and has what the schedule adds to it.

    Parameters
    ----------
    plan : Plan
    model : FusionModel
    codes : array, (sample,)
        The targets of the training part, as the trainer gives them to the learning.
    """
    if plan.start is not None:
        plan.start.into(model)
    learning = _learning(plan, model, codes)
    schedule = plan.schedule
    if schedule.lora:
        adapt(model, matching(schedule.lora, adaptable(model), "lora"), schedule.lora_rank, schedule.lora_alpha)
    learning.anchor = make_anchor(plan, learning)
    return learning


def _learning(plan: Plan, model: FusionModel, codes: NDArray[Any]) -> Learning:
    objective = plan.recipe.objective
    head, decision = plan.recipe.head.name, plan.recipe.decision
    if plan.problem.task == "self_supervised" and head == "reconstruction" and objective.name == "auto":
        objective = Part("reconstruction", objective.options)
    if plan.problem.task == "self_supervised" and objective.name in SELF_SUPERVISED:
        return make_self_supervised(objective, model)
    balanced = plan.problem.task == "classification" and plan.schedule.sampler == "balanced"
    made = make_objective(objective, plan.problem.task, codes, plan.problem.outputs, balanced, head, decision.name if decision else "")
    if plan.teacher is not None:
        return Distilled(model, made, plan.problem.task, plan.schedule.taught, plan.schedule.temperature)
    return Supervised(model, made)
