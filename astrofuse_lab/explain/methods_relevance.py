"""DeepLIFT and layer-wise relevance propagation of a chunk of samples, by the rules of `methods_rules`."""

from typing import Any

import torch
from torch import Tensor

from astrofuse_lab.errors import InputError
from astrofuse_lab.explain.methods_question import Found, Question
from astrofuse_lab.explain.methods_rules import DEEP_LIFT, LINEAR, Rule, Rules, mark, marked

SHARE = 0.01
"""DeepLIFT is refused where its numbers miss more of the difference than this."""
FLOOR = 1e-2


def deep_lift(question: Question) -> Found:
    """Shrikumar et al. 2017, arXiv:1704.02685, the rescale rule: differences from the baseline, sent back through every function.

    Raises
    ------
    InputError
        Where the numbers do not sum to the difference: the model has a function for which there is no rule.
    """
    count = len(question.inputs[0])
    pairs = tuple(torch.cat([value, start]).detach().requires_grad_() for value, start in zip(question.inputs, question.baselines, strict=True))
    slopes, rules = sent_back(question, pairs, question.forward.rows.repeat(2), DEEP_LIFT, True)
    values = tuple(slope[:count] * (value - start) for slope, value, start in zip(slopes, question.inputs, question.baselines, strict=True))
    total = torch.stack([value.flatten(1).sum(1) for value in values]).sum(0)
    missed = (total - question.difference).abs() / question.difference.abs().clamp(min=FLOOR)
    if rules.without or float(missed.max()) > SHARE:
        what = ", ".join(sorted(rules.without)) or "a function that mixes samples"
        raise InputError(
            f"DeepLIFT has no rule for all that this model does ({what}): its numbers would miss up to {float(missed.max()):.1%} of the difference. "
            "Take method='integrated_gradients', which any model with gradients allows."
        )
    return Found(values)


def sent_back(question: Question, inputs: tuple[Tensor, ...], rows: Tensor, table: dict[str, Rule], pairs: bool = False) -> tuple[tuple[Tensor, ...], Rules]:
    """Gradients of the score under rules, and the rules with what they met."""
    given = tuple(mark(value + 0.0) for value in inputs)
    with Rules(table, LINEAR, pairs) as rules:
        score = question.forward(*given, rows)
    return torch.autograd.grad(score.sum(), inputs), rules


# ---- layer-wise relevance propagation ------------------------------------------------------------------------------


def _proportional(func: Any, x: Tensor, *rest: Any, **options: Any) -> Tensor:
    """Activations pass relevance as it is: the ratio of output to input is held (Bach et al. 2015, eq. 56 with its epsilon going to zero)."""
    with torch.no_grad():
        y = func(x.detach().clone(), *rest, **options)
        ratio = torch.where(x.abs() < 1e-9, 0.0, y / torch.where(x.abs() < 1e-9, 1.0, x))
    return x * ratio + (y - x.detach() * ratio)


def _gate(func: Any, x: Tensor, *rest: Any, **options: Any) -> Tensor:
    """Gates weigh what passes and get no relevance (Arras et al. 2017, arXiv:1706.07206; attention: Ali et al. 2022, arXiv:2202.07304)."""
    return func(x.detach(), *rest, **options)  # type: ignore[no-any-return]


def _halves(func: Any, a: Any, b: Any, **options: Any) -> Tensor:
    """A product of two shares its relevance equally (Achtibat et al. 2024, arXiv:2402.05602, the uniform rule)."""
    if not (marked(a) and marked(b)):
        return func(a, b, **options)  # type: ignore[no-any-return]
    return (func(a, b.detach(), **options) + func(a.detach(), b, **options)) / 2  # type: ignore[no-any-return]


def _over(func: Any, a: Any, b: Any, **options: Any) -> Tensor:
    """What divides is a gate."""
    return func(a, b.detach() if isinstance(b, Tensor) else b, **options)  # type: ignore[no-any-return]


def _einsum(func: Any, equation: str, *factors: Any) -> Tensor:
    given = list(factors[0]) if len(factors) == 1 and isinstance(factors[0], list | tuple) else list(factors)
    return _halves(lambda a, b: func(equation, a, b), *given) if len(given) == 2 else func(equation, *given)


def _centred(x: Tensor, dims: tuple[int, ...], eps: float) -> Tensor:
    """Normalisation with its width held (Ali et al. 2022, the LN rule)."""
    middle = x - x.mean(dims, keepdim=True)
    return middle * (middle.detach().square().mean(dims, keepdim=True) + eps).rsqrt()


def _layer_norm(func: Any, x: Tensor, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5, *rest: Any) -> Tensor:
    out = _centred(x, tuple(range(-len(normalized_shape), 0)), eps)
    out = out if weight is None else out * weight
    return out if bias is None else out + bias


def _group_norm(func: Any, x: Tensor, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, *rest: Any) -> Tensor:
    out = _centred(x.reshape(len(x), num_groups, -1), (-1,), eps).reshape(x.shape)
    shape = (1, -1, *[1] * (x.ndim - 2))
    out = out if weight is None else out * weight.view(shape)
    return out if bias is None else out + bias.view(shape)


def _attention(func: Any, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **options: Any) -> Tensor:
    """The weights are a gate of the values."""
    return func(query.detach(), key.detach(), value, *rest, **options)  # type: ignore[no-any-return]


def _largest(func: Any, *args: Any, **options: Any) -> Any:
    """The winner takes all: the plain gradient."""
    return func(*args, **options)


_ACTIVATIONS = (
    "relu", "gelu", "silu", "mish", "elu", "celu", "selu", "leaky_relu", "tanh", "hardtanh", "hardswish", "softsign", "arctan", "asinh", "square", "sqrt", "abs",
    "log1p", "expm1", "pow",
)  # fmt: skip
_GATES = ("sigmoid", "hardsigmoid", "softmax", "exp", "softplus", "cos", "sin", "rsqrt", "reciprocal", "log", "rdiv", "rtruediv")
_MAXIMA = ("max_pool1d", "max_pool2d", "boolean_dispatch", "fn", "amax", "max", "maximum", "clamp")
LRP: dict[str, Rule] = {
    **dict.fromkeys(_ACTIVATIONS, _proportional), **dict.fromkeys(_GATES, _gate), **dict.fromkeys(_MAXIMA, _largest),
    **dict.fromkeys(("mul", "rmul", "imul", "multiply", "matmul", "bmm", "mm"), _halves), **dict.fromkeys(("div", "truediv", "divide"), _over),
    "einsum": _einsum, "layer_norm": _layer_norm, "group_norm": _group_norm, "scaled_dot_product_attention": _attention,
}  # fmt: skip


def lrp(question: Question) -> Found:
    """Layer-wise relevance propagation (Bach et al. 2015, doi:10.1371/journal.pone.0130140), the epsilon rule, with those of its successors for transformers.

    Relevance is the input times the gradient of the model with its ratios held (Ancona et al. 2018, arXiv:1711.06104, proposition 1).

    Raises
    ------
    InputError
        Where the model has a function for which there is no rule.
    """
    inputs = tuple(value.detach().requires_grad_() for value in question.inputs)
    slopes, rules = sent_back(question, inputs, question.forward.rows, LRP)
    if rules.without:
        raise InputError(
            f"layer-wise relevance propagation has no rule for {', '.join(sorted(rules.without))}, which this model uses. "
            "Take method='integrated_gradients' or 'deep_lift', which need none or say so."
        )
    values = tuple(slope * value.detach() for slope, value in zip(slopes, inputs, strict=True))
    if not any(bool(value.any()) for value in values):
        raise InputError(
            "no relevance reaches the inputs: what this run predicts is made of probabilities (a decision over several heads), which the rules take for gates. "
            "Take method='deep_lift' or 'integrated_gradients'."
        )
    return Found(values)
