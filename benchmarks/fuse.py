"""Every fusion operator at one size: its time forward and backward beside plain concatenation, and beside PyTorch's own layers.

    python benchmarks/fuse.py [--quick] [--json]

Concatenation is what an operator costs more than; PyTorch's `nn.TransformerEncoder` and `nn.MultiheadAttention`, on the same weights, are
what attention is measured by. Run in turns, forward and backward, while training, without dropout.
"""

import sys
from collections.abc import Callable, Iterator

import torch
from reporting import Line, interleaved, report
from torch import Tensor, nn

from astrofuse_lab.models.attention import SelfAttention, TransformerLayer
from astrofuse_lab.models.parts import FUSIONS, make_part, options_of
from astrofuse_lab.models.tokens import Tokens
from astrofuse_lab.recipes.schema import Part

COUNTS = {"image": 16, "spectrum": 32, "light_curve": 64, "table": 1}
BATCH, WIDTH, HEADS, DEPTH = 128, 64, 4, 2
TOLERANCE, PEER_GOAL = 1e-5, 0.95


def tokens_of(seed: int = 0) -> dict[str, Tokens]:
    """Tokens of four modalities, a fifth of the samples without any one of them."""
    luck = torch.Generator().manual_seed(seed)
    made = {}
    for name, count in COUNTS.items():
        there = torch.rand(BATCH, 1, generator=luck) > (0.0 if name == "table" else 0.2)
        made[name] = Tokens(torch.randn(BATCH, count, WIDTH, generator=luck), there.expand(BATCH, count).clone(), {})
    return made


def fusion(name: str) -> nn.Module:
    """An operator with its own defaults, without what is random."""
    torch.manual_seed(0)
    known = options_of(FUSIONS[name])
    still = {option: 0.0 for option in ("dropout", "modality_dropout") if option in known}
    made: nn.Module = make_part("fusion", Part(name, still), tuple(COUNTS), WIDTH)
    return made.train()


def back(module: nn.Module, tokens: dict[str, Tokens], kept: dict[str, Tensor], name: str) -> Callable[[], None]:
    """Its vector and the gradient of its inputs."""
    given = {key: one._replace(values=one.values.clone().requires_grad_()) for key, one in tokens.items()}

    def run() -> None:
        module.zero_grad()
        for one in given.values():
            one.values.grad = None
        vector = module(given).vector
        vector.square().mean().backward()
        kept[name] = vector.detach()

    return run


def operator_line(name: str, pairs: int) -> Line:
    """One operator beside concatenation."""
    tokens, kept = tokens_of(), dict[str, Tensor]()
    ours, peer = fusion(name), fusion("concatenation")
    for module in (ours, peer):
        if getattr(module, "fits", False):
            module.fit(tokens, torch.arange(BATCH) % 3)  # type: ignore[operator]
    seconds, other = interleaved(back(ours, tokens, kept, "ours"), back(peer, tokens, kept, "peer"), pairs)
    fine = bool(torch.isfinite(kept["ours"]).all()) and kept["ours"].shape == kept["peer"].shape
    parameters = sum(p.numel() for p in ours.parameters())
    return Line(
        work=f"{name}: forward and backward, {BATCH} samples, {' + '.join(map(str, COUNTS.values()))} tokens of {WIDTH}, {parameters / 1e3:.1f} k parameters",
        peer="concatenation", equal=fine, error=0.0 if fine else 1.0, tolerance=0.0, seconds=seconds, peer_seconds=other,
    )  # fmt: skip


def torch_layer(layer: TransformerLayer) -> nn.TransformerEncoderLayer:
    """PyTorch's own layer on the weights of one of ours."""
    made = nn.TransformerEncoderLayer(WIDTH, HEADS, 2 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
    norm, wide, _, narrow = layer.mlp
    given = {
        "self_attn.in_proj": layer.attention.project, "self_attn.out_proj": layer.attention.out, "norm1": layer.attention_norm, "norm2": norm,
        "linear1": wide, "linear2": narrow,
    }  # fmt: skip
    state = {}
    for name, module in given.items():
        mark = "_" if name.endswith("in_proj") else "."
        state |= {f"{name}{mark}weight": module.weight, f"{name}{mark}bias": module.bias}
    made.load_state_dict(state)
    return made


def beside(ours: Callable[[Tensor, Tensor], Tensor], peer: Callable[[Tensor, Tensor], Tensor], pairs: int, work: str, name: str) -> Line:
    """Ours and PyTorch's on the same masked tokens."""
    every = tokens_of()
    tokens, mask = torch.cat([one.values for one in every.values()], 1), torch.cat([one.mask for one in every.values()], 1)
    kept: dict[str, Tensor] = {}

    def run(key: str, of: Callable[[Tensor, Tensor], Tensor]) -> None:
        own = tokens.clone().requires_grad_()
        out = of(own, mask) * mask[:, :, None]
        out.square().mean().backward()
        assert own.grad is not None
        kept[key] = torch.stack([out.detach(), own.grad])

    seconds, other = interleaved(lambda: run("ours", ours), lambda: run("peer", peer), pairs)
    error = float((kept["ours"] - kept["peer"]).abs().max())
    return Line(
        work=f"{work}: forward and backward, {BATCH} samples, {tokens.shape[1]} tokens of {WIDTH}, some missing", peer=name, equal=error <= TOLERANCE,
        error=error, tolerance=TOLERANCE, seconds=seconds, peer_seconds=other, goal=PEER_GOAL,
    )  # fmt: skip


def attention_lines(pairs: int) -> Iterator[Line]:
    """What joint attention is made of, beside PyTorch's own."""
    torch.manual_seed(0)
    layers = nn.ModuleList(TransformerLayer(WIDTH, HEADS, dropout=0.0) for _ in range(DEPTH))
    theirs = nn.ModuleList(torch_layer(layer) for layer in layers)  # type: ignore[arg-type]

    def stacked(tokens: Tensor, mask: Tensor) -> Tensor:
        for layer in layers:
            tokens = layer(tokens, mask)
        return tokens

    def stacked_theirs(tokens: Tensor, mask: Tensor) -> Tensor:
        for layer in theirs:
            tokens = layer(tokens, src_key_padding_mask=~mask)
        return tokens

    yield beside(stacked, stacked_theirs, pairs, f"joint attention, {DEPTH} layers", "nn.TransformerEncoderLayer on the same weights")
    attention = SelfAttention(WIDTH, HEADS)
    peer = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
    peer.load_state_dict({
        "in_proj_weight": attention.project.weight, "in_proj_bias": attention.project.bias, "out_proj.weight": attention.out.weight,
        "out_proj.bias": attention.out.bias,
    })  # fmt: skip
    yield beside(
        attention, lambda tokens, mask: peer(tokens, tokens, tokens, key_padding_mask=~mask, need_weights=False)[0], pairs,
        "self-attention", "nn.MultiheadAttention on the same weights, need_weights=False",
    )  # fmt: skip


def lines(quick: bool) -> Iterator[Line]:
    """Each operator, then attention."""
    pairs = 3 if quick else 15
    for name in FUSIONS:
        if name != "concatenation":
            yield operator_line(name, pairs)
    yield from attention_lines(pairs)


if __name__ == "__main__":
    sys.exit(report("fuse", __doc__, lines))
