"""Rules by which DeepLIFT and layer-wise relevance propagation go backwards through a model, whatever modules or functions it is made of.

captum hooks modules, and has rules for `nn.ReLU`, `nn.Sigmoid`, `nn.Tanh`, pooling and a few more, each used once; normalisation, GELU, SiLU,
attention and functions that are called without a module pass plain gradients, and the numbers no longer sum to anything. Here every call of a
torch function is seen (`torch.overrides.TorchFunctionMode`), and one with a rule is replaced by a function of the same value whose gradient is
what the rule sends back. On networks that captum has rules for, both give the same numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

Rule = Callable[..., Any]


def mark(tensor: Tensor) -> Tensor:
    """Note that a tensor depends on the inputs."""
    tensor._of_inputs = True  # type: ignore[attr-defined]
    return tensor


def marked(value: Any) -> bool:
    """Whether a tensor depends on the inputs, and its gradient can be asked for."""
    return isinstance(value, Tensor) and getattr(value, "_of_inputs", False)


def _any_marked(values: Any) -> bool:
    if isinstance(values, list | tuple):
        return any(_any_marked(one) for one in values)
    return marked(values)


def _mark_all(values: Any) -> None:
    for one in values if isinstance(values, list | tuple) else [values]:
        if isinstance(one, Tensor) and one.requires_grad:
            mark(one)


def _differs(pair: Tensor) -> bool:
    """Whether samples and baselines, the halves of a batch, are different; where they cannot be told apart, they may be."""
    halves = pair.detach().chunk(2) if pair.ndim else ()
    return len(halves) < 2 or len(pair) % 2 == 1 or not torch.equal(*halves)


class Rules(TorchFunctionMode):
    """Replaces torch's functions of what depends on the inputs by those of a table.

    Parameters
    ----------
    table : mapping of function name to Rule
        Called as the function itself, but for the function before its arguments.
    linear : set of str
        Functions that need no rule.
    pairs : bool
        The batch is of samples and their baselines: a function that gives both the same needs no rule either.

    Attributes
    ----------
    without : set of str
        Functions met that have no rule and are not linear.
    """

    def __init__(self, table: Mapping[str, Rule], linear: frozenset[str] = frozenset(), pairs: bool = False) -> None:
        super().__init__()
        self.table, self.linear, self.pairs = table, linear, pairs
        self.without: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        """One call: by its rule where it has one."""
        given = dict(kwargs or {})
        if not _any_marked([*args, *given.values()]):
            return func(*args, **given)
        name = getattr(func, "__name__", "").strip("_")
        if name in self.table:
            out = self.table[name](func, *args, **given)
        else:
            out = func(*args, **given)
            moved = [one for one in (out if isinstance(out, list | tuple) else [out]) if isinstance(one, Tensor) and one.requires_grad]
            if name not in self.linear and any(not self.pairs or _differs(one) for one in moved):
                self.without.add(name)
        _mark_all(out)
        return out


LINEAR = frozenset(word for line in (
    "add radd sub rsub neg cat concat stack view view_as reshape permute transpose movedim flatten unflatten squeeze unsqueeze expand expand_as repeat",
    "repeat_interleave getitem index_select gather take_along_dim select narrow where masked_fill masked_select to float double type contiguous clone sum",
    "mean linear conv1d conv2d conv3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d dropout dropout1d",
    "dropout2d pad unbind chunk split tensor_split unfold flip roll interpolate cumsum batch_norm diff scatter_add index_add iadd isub get set_ T mT addmm",
    "baddbmm matmul bmm mm einsum mul rmul imul truediv div identity swapaxes swapdims broadcast_to tile nan_to_num requires_grad_ register_hook",
    "retain_grad index_put copy_ new_zeros zeros_like ones_like hstack vstack alpha_dropout feature_dropout",
) for word in line.split())
"""Functions that are linear in what depends on the inputs, as long as only one of their arguments does: products of two have rules."""


# ---- DeepLIFT: pairs of a sample and its baseline, one half of the batch each ----------------------------------------

SMALL = 1e-5
"""Changes below this are followed by the gradient: their ratio would be rounding."""


def _swap(x: Tensor) -> Tensor:
    """The other half's values: each sample its baseline, each baseline its sample."""
    return torch.cat([half.detach() for half in reversed(x.chunk(2))])


def rescale(func: Callable[..., Tensor], x: Tensor, *rest: Any, **options: Any) -> Tensor:
    """The rescale rule of a function of each number by itself: what the output changed over what the input changed (Shrikumar et al. 2017, eq. 12)."""
    with torch.no_grad():
        y = func(x.detach().clone(), *rest, **options)
        step = x - _swap(x)
        ratio = (y - _swap(y)) / torch.where(step.abs() < SMALL, 1.0, step)
    with torch.enable_grad():
        at = x.detach().clone().requires_grad_()
        slope = torch.autograd.grad(func(at + 0.0, *rest, **options).sum(), at)[0]
    return y + torch.where(step.abs() < SMALL, slope, ratio) * (x - x.detach())


def product(func: Callable[..., Tensor], a: Any, b: Any, **options: Any) -> Tensor:
    """A product of two: each factor's change times the other's mean over the pair, which is the Shapley value of the two changes."""
    if not (marked(a) and marked(b)):
        return func(a, b, **options)
    y = func(a.detach(), b.detach(), **options)
    middle_a, middle_b = (a.detach() + _swap(a)) / 2, (b.detach() + _swap(b)) / 2
    return y + func(a - a.detach(), middle_b, **options) + func(middle_a, b - b.detach(), **options)


def _times(a: Tensor, b: Tensor) -> Tensor:
    return product(torch.mul, mark(a), mark(b))


def quotient(func: Callable[..., Tensor], a: Any, b: Any, **options: Any) -> Tensor:
    """a / b, as a times the reciprocal of b."""
    if not marked(b):
        return func(a, b, **options)
    below = mark(rescale(torch.reciprocal, b))
    return product(torch.mul, a, below) if marked(a) else below * a


def over(func: Callable[..., Tensor], x: Tensor, above: Any) -> Tensor:
    """A constant over x."""
    return rescale(torch.reciprocal, x) * above


def power(func: Callable[..., Tensor], x: Any, exponent: Any, **options: Any) -> Tensor:
    """x to a fixed power."""
    if marked(exponent):
        return func(x, exponent, **options)
    return rescale(func, x, exponent, **options)


def einsum(func: Callable[..., Tensor], equation: str, *factors: Any) -> Tensor:
    """A product of two by their indices; of more, by plain gradients."""
    given = list(factors[0]) if len(factors) == 1 and isinstance(factors[0], list | tuple) else list(factors)
    if len(given) != 2:
        return func(equation, *given)
    return product(lambda a, b: func(equation, a, b), given[0], given[1])


def _normalised(x: Tensor, dims: tuple[int, ...], eps: float) -> Tensor:
    centred = x - x.mean(dims, keepdim=True)
    wide = rescale(torch.square, centred).mean(dims, keepdim=True)
    return _times(centred, rescale(torch.rsqrt, wide + eps))


def layer_norm(
    func: Any, x: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5, *rest: Any
) -> Tensor:
    """Layer normalisation as what it is made of: squares, their mean, a root, a product."""
    out = _normalised(x, tuple(range(-len(normalized_shape), 0)), eps)
    out = out if weight is None else out * weight
    return out if bias is None else out + bias


def group_norm(func: Any, x: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5, *rest: Any) -> Tensor:
    """The same in groups of channels."""
    grouped = x.reshape(len(x), num_groups, -1)
    out = _normalised(grouped, (-1,), eps).reshape(x.shape)
    shape = (1, -1, *[1] * (x.ndim - 2))
    out = out if weight is None else out * weight.view(shape)
    return out if bias is None else out + bias.view(shape)


def _exponentials(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """exp(x - c) with the same c for both halves, and c."""
    finite = x.clamp(min=-1e4)  # -inf less -inf is nothing
    top = torch.maximum(finite.detach(), _swap(finite)).amax(dim, keepdim=True)
    return rescale(torch.exp, finite - top), top


def softmax(func: Any, x: Tensor, dim: int | None = None, *rest: Any, **options: Any) -> Tensor:
    """Exponentials over their sum."""
    along = options.pop("dim", dim)
    raised, _ = _exponentials(x, -1 if along is None else along)
    return _times(raised, rescale(torch.reciprocal, raised.sum(-1 if along is None else along, keepdim=True)))


def logsumexp(func: Any, x: Tensor, dim: int | Sequence[int], keepdim: bool = False, **options: Any) -> Tensor:
    """The logarithm of a sum of exponentials."""
    along = dim if isinstance(dim, int) else dim[0]
    raised, top = _exponentials(x, along)
    out = top + rescale(torch.log, raised.sum(along, keepdim=True))
    return out if keepdim else out.squeeze(along)


def log_softmax(func: Any, x: Tensor, dim: int | None = None, *rest: Any, **options: Any) -> Tensor:
    """x less the logarithm of the sum of its exponentials."""
    along = options.pop("dim", dim)
    return x - logsumexp(None, x, -1 if along is None else along, True)


def attention(
    func: Any, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, **options: Any,
) -> Tensor:  # fmt: skip
    """Scaled dot products, softmax, and a product with the values."""
    if is_causal or options.get("enable_gqa"):
        return func(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, **options)  # type: ignore[no-any-return]
    scores = product(torch.matmul, query, mark(key.transpose(-2, -1)) if marked(key) else key.transpose(-2, -1)) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -1e4) if attn_mask.dtype == torch.bool else scores + attn_mask.clamp(min=-1e4)
    if not (marked(query) or marked(key)):
        return scores.softmax(-1) @ value
    weights = mark(softmax(None, mark(scores), -1))
    return product(torch.matmul, weights, value)


def normalize(func: Any, x: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: None = None) -> Tensor:
    """x over its length."""
    if p != 2.0:
        return func(x, p, dim, eps)  # type: ignore[no-any-return]
    length = rescale(torch.sqrt, rescale(torch.square, x).sum(dim, keepdim=True).clamp(min=eps**2))
    return _times(x, rescale(torch.reciprocal, length))


def _winners(x: Tensor, y: Tensor, index: Tensor, dim: int) -> Tensor:
    """Maxima y = x[index] along an axis: the change is given to the largest of the sample and to the largest of its baseline.

    That of captum for `nn.MaxPool2d` where neither of the two was unchanged; with its sum kept also there.
    """
    half = len(x) // 2

    def own(one: Tensor) -> Tensor:
        return torch.cat([one[:half], one[:half]])

    def base(one: Tensor) -> Tensor:
        return torch.cat([one[half:], one[half:]])

    top = torch.maximum(own(y), base(y))
    out = y
    for where, change in ((own(index), top - base(y)), (base(index), own(y) - top)):
        here = x.gather(dim, where)
        moved = own(here.detach()) - base(here.detach())
        fine = moved.abs() >= SMALL
        out = out + torch.where(fine, change / torch.where(fine, moved, 1.0), 0.0) * (here - here.detach())
    return out


def max_pool(
    func: Any, x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False
) -> Tensor:
    """Maxima of windows along one or two axes."""
    axes = 1 if "1d" in getattr(func, "__name__", "") else 2
    pool: Any = torch.nn.functional.max_pool1d if axes == 1 else torch.nn.functional.max_pool2d
    y, index = pool(x.detach(), kernel_size, stride, padding, dilation, ceil_mode, return_indices=True)
    return _winners(x.flatten(-axes), y.flatten(-axes), index.flatten(-axes), x.ndim - axes).view(y.shape)


def largest(func: Any, x: Tensor, dim: Any = None, keepdim: bool = False, **options: Any) -> Any:
    """The largest along an axis."""
    if not isinstance(dim, int) or getattr(func, "__name__", "") != "amax":
        return func(x, *([] if dim is None else [dim]), **options)
    y, index = x.detach().max(dim, keepdim=True)
    out = _winners(x, y, index, dim)
    return out if keepdim else out.squeeze(dim)


UNARY = (
    "relu", "gelu", "silu", "mish", "elu", "celu", "selu", "leaky_relu", "tanh", "sigmoid", "hardtanh", "hardswish",
    "hardsigmoid", "softplus", "logsigmoid", "exp", "log", "log1p", "expm1", "sqrt", "rsqrt", "square", "reciprocal", "abs",
    "cos", "sin", "clamp", "clamp_min", "clamp_max", "softsign", "arctan", "asinh",
)
DEEP_LIFT: dict[str, Rule] = {
    **dict.fromkeys(UNARY, rescale), **dict.fromkeys(("mul", "rmul", "imul", "multiply", "matmul", "bmm", "mm"), product),
    **dict.fromkeys(("div", "truediv", "divide"), quotient), "rdiv": over, "rtruediv": over, "pow": power, "einsum": einsum, "layer_norm": layer_norm, "group_norm": group_norm,
    "softmax": softmax, "logsumexp": logsumexp, "log_softmax": log_softmax, "scaled_dot_product_attention": attention, "normalize": normalize,
    **dict.fromkeys(("max_pool1d", "max_pool2d", "boolean_dispatch", "fn"), max_pool), "amax": largest,
}  # fmt: skip
