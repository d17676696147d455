"""The parts that recipes may name, by role and name, and how one is made with its options."""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.convolution import Conv1dEncoder, Conv2dEncoder, SeriesEncoder
from astrofuse_lab.models.decision import Average, Product
from astrofuse_lab.models.encoder import Encoder
from astrofuse_lab.models.fusion import Concatenation, CrossAttention, Fusion, Gated
from astrofuse_lab.models.heads import ClassificationHead, Head, RegressionHead
from astrofuse_lab.models.mlp import TableEncoder, WordEncoder
from astrofuse_lab.models.transformer import TimeTransformerEncoder
from astrofuse_lab.recipes.schema import Part

ENCODERS: dict[str, type[Encoder]] = {
    "conv2d": Conv2dEncoder,
    "conv1d": Conv1dEncoder,
    "time_transformer": TimeTransformerEncoder,
    "conv1d_series": SeriesEncoder,
    "mlp": TableEncoder,
    "ngram_mlp": WordEncoder,
}
FUSIONS: dict[str, type[Fusion]] = {"concatenation": Concatenation, "gated": Gated, "cross_attention": CrossAttention}
DECISIONS: dict[str, type[nn.Module]] = {"average": Average, "product": Product}
HEADS: dict[str, type[Head]] = {"classification": ClassificationHead, "regression": RegressionHead}
PARTS: dict[str, Mapping[str, type[nn.Module]]] = {"encoder": ENCODERS, "fusion": FUSIONS, "decision": DECISIONS, "head": HEADS}


def options_of(part: type[nn.Module]) -> dict[str, Any]:
    """The options a part has, with their defaults."""
    return {name: p.default for name, p in inspect.signature(part).parameters.items() if p.kind is p.KEYWORD_ONLY}


def make_part(role: str, part: Part, *given: Any) -> Any:
    """A part by its name in the tables, with its options.

    Parameters
    ----------
    role : {"encoder", "fusion", "decision", "head"}
    part : Part
    *given
        What the model itself gives: layout and width, modalities, outputs.

    Raises
    ------
    UnknownNameError
        If no part has this name.
    InputError
        If the part has no such option, or the option cannot have this value.
    """
    table = PARTS[role]
    if part.name not in table:
        raise UnknownNameError(role, part.name, table, "Type af.list_parts() to see them all.")
    known = options_of(table[part.name])
    for name, value in part.options.items():
        if name not in known:
            raise InputError(f"{role} {part.name!r} has no option {name!r}; it has {', '.join(known) or 'none'}.")
        _check_value(f"{role} {part.name!r}: {name}={value!r}", name, value, known[name])
    return table[part.name](*given, **part.options)


def _check_value(what: str, name: str, value: Any, default: Any) -> None:
    kind = type(default)
    if kind is bool or isinstance(value, bool):
        good = kind is bool and isinstance(value, bool)
    elif kind is float:
        good = isinstance(value, int | float)
    else:
        good = isinstance(value, kind)
    if not good:
        raise InputError(f"{what} is {type(value).__name__}, not {kind.__name__}; the default is {default!r}.")
    if name.endswith("dropout") and not 0 <= value < 1:
        raise InputError(f"{what}: a share from 0 to below 1; the default is {default!r}.")
    if kind is int and value < (0 if name in ("depth", "hidden", "layers", "history", "crop", "profile") else 1):
        raise InputError(f"{what} is too small; the default is {default!r}.")
