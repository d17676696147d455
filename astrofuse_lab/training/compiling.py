"""``torch.compile``, with a way back."""

from collections.abc import Callable
from typing import Any

import torch

from astrofuse_lab.training.learning import Learning


def compiled(learning: Learning, say: Callable[[str], None]) -> None:
    """Have a learning's model translated at its first call; where that fails, it runs as it is and `say` is told why.

    Worth it where many small operations follow one another and shapes stay: the first call of every new shape takes tens of
    seconds. Weights, their names and the model that is kept are the same with and without.

    Parameters
    ----------
    learning : Learning
    say : callable
    """
    model = learning.model
    plain = model._call_impl
    model.compile(dynamic=None)
    translated: Any = model._compiled_call_impl

    def first(*args: Any, **options: Any) -> Any:
        try:
            return translated(*args, **options)
        except torch._dynamo.exc.TorchDynamoException as error:
            model._compiled_call_impl = None
            lines = str(error).splitlines() or [""]
            say(f"torch.compile could not translate the model and it runs as it is ({type(error).__name__}: {lines[0][:200]}). compile=True needs a C++ compiler, e.g. g++.")
            return plain(*args, **options)

    model._compiled_call_impl = first
