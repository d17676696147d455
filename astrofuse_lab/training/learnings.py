"""Which `Learning` a plan asks for."""

from typing import Any

from numpy.typing import NDArray

from astrofuse_lab.models.build import FusionModel
from astrofuse_lab.training.learning import Learning, Supervised
from astrofuse_lab.training.objectives import make_objective
from astrofuse_lab.training.plan import Plan


def make_learning(plan: Plan, model: FusionModel, codes: NDArray[Any]) -> Learning:
    """The model with what turns its predictions into a loss, on the CPU; new layers follow torch's random state.

    Parameters
    ----------
    plan : Plan
    model : FusionModel
    codes : array, (sample,)
        The targets of the training part, as the trainer gives them to the learning.
    """
    balanced = plan.problem.task == "classification" and plan.schedule.sampler == "balanced"
    return Supervised(model, make_objective(plan.recipe.objective, plan.problem.task, codes, plan.problem.outputs, balanced))
