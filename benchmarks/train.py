"""Training beside a bare loop written by hand: a step, the wait for data, attention weights that nobody asked for; on a GPU also its use.

    python benchmarks/train.py [--quick] [--json]

The bare loop has the same model, batches, loss, AdamW, clipping and averaged weights, and nothing else: no masks to check, no checkpoints,
no events. Both are run in turns. Samples are of the practice sky, whose content does not matter here.
"""

import copy
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from reporting import Line, interleaved, report
from torch import Tensor, nn

import astrofuse_lab as af
from astrofuse_lab.models.attention import TransformerLayer
from astrofuse_lab.recipes.catalogue import get_recipe
from astrofuse_lab.training.cost import flops_of
from astrofuse_lab.training.devices import make_fabric
from astrofuse_lab.training.plan import make_plan
from astrofuse_lab.training.trainer import Trainer

RECIPE, WIDTH, BATCH, OBJECTS = "joint_attention", 128, 64, 300
LEAST = 0.05
"""Seconds of a step for which the claim is made."""
STEP_GOAL, DATA_GOAL, ATTENTION_GOAL = 0.95, 20.0, 0.97
LOSS_TOLERANCE, OUTPUT_TOLERANCE = 1e-5, 1e-5


def make_trainer(samples: Any, device: str, precision: str = "32", augment: bool = False) -> Trainer:
    """Ours, made as `af.train` makes it; with the recipe's augmentations where what is timed is data."""
    base = get_recipe(RECIPE)
    recipe = base.change(width=WIDTH, augment=base.augment if augment else (), schedule=af.Part.of("end_to_end", batch_size=BATCH, checkpoint_seconds=1e9))
    trainer = Trainer(make_plan(recipe, samples, "label", None, samples.split(test=0.1, seed=0), 0, 1000), make_fabric(device, precision))
    trainer._kept_at = time.monotonic()
    return trainer


class Ours:
    """Epochs of the trainer, without their validation."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer, self.losses, self.waited, self.total = trainer, [], 0.0, 0.0
        self.stop = threading.Event()
        self.given = trainer.feed.training
        trainer.feed.training = self._timed  # type: ignore[method-assign]

    def _timed(self, *what: Any) -> Iterator[Any]:
        batches = self.given(*what)
        while True:
            begin = time.perf_counter()
            one = next(batches, None)
            self.waited += time.perf_counter() - begin
            if one is None:
                return
            yield one

    def epoch(self) -> None:
        """One pass."""
        begin = time.perf_counter()
        state = self.trainer.state
        self.trainer._epoch(self.stop, None)
        synchronise(self.trainer.fabric.device)
        self.total += time.perf_counter() - begin
        self.losses.append(state["loss"] / state["weight"])
        state["epoch"], state["batch"], state["loss"], state["weight"] = state["epoch"] + 1, 0, 0.0, 0.0


class Bare:
    """The same by hand."""

    def __init__(self, trainer: Trainer) -> None:
        self.like, self.model = trainer, copy.deepcopy(trainer.learning.model).train()
        self.average = copy.deepcopy(self.model)
        schedule = trainer.schedule
        matrices = [p for p in self.model.parameters() if p.ndim >= 2 and p.shape[0] > 1]
        vectors = [p for p in self.model.parameters() if not (p.ndim >= 2 and p.shape[0] > 1)]
        groups = [{"params": matrices, "weight_decay": schedule.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=schedule.learning_rate, betas=(0.9, 0.99), foreach=True)
        self.data, self.lengths, self.target = trainer.feed.kept, trainer.feed.lengths, trainer.target
        self.weight = trainer.learning.objective.class_weights.to(self.target.device)  # type: ignore[union-attr]
        self.half = trainer.fabric.device.type == "cuda" and "bf16" in str(trainer.fabric._precision.precision)
        self.losses: list[float] = []
        # what is decided before a loop: order, rates and seeds
        total = (schedule.epochs or 1) * schedule.steps_per_epoch(trainer.n_train)
        self.rates = [schedule.rate(step, total) for step in range(total)]
        self.seeds = [trainer._seed(2, step, 0) for step in range(64 * schedule.steps_per_epoch(trainer.n_train))]
        self.step, self.epochs = 0, 0

    def orders(self) -> list[Tensor]:
        """The batches of the next epoch."""
        rng = np.random.default_rng([self.like.plan.seed, 1, self.epochs])
        order = rng.permutation(self.like.n_train)
        return [torch.from_numpy(order[b : b + BATCH]).to(self.target.device) for b in range(0, len(order), BATCH)]

    def epoch(self) -> None:
        """One pass."""
        loss_sum = torch.zeros((), device=self.target.device)
        weight_sum = torch.zeros((), device=self.target.device)
        ours, theirs = list(self.average.parameters()), list(self.model.parameters())
        data = self.data
        assert data is not None
        for index in self.orders():
            torch.manual_seed(self.seeds[self.step])
            for group in self.optimiser.param_groups:
                group["lr"] = self.rates[self.step]
            rows = index.cpu().numpy()
            ends = {name: int(lengths[rows].max()) for name, lengths in self.lengths.items()}  # the same batches: without padding that all share
            values, masks = ({name: (t[:, : ends[name]] if name in ends else t)[index] for name, t in part.items()} for part in data[:2])
            present = {name: t[index] for name, t in data.present.items()}
            target = self.target[index]
            with torch.autocast("cuda", torch.bfloat16, enabled=self.half):
                out = self.model(values, masks, present).values
            loss = F.cross_entropy(out.float(), target, self.weight)
            self.optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(theirs, self.like.schedule.clip)
            self.optimiser.step()
            pull = 1.0 - min(self.like.schedule.average, (1 + self.step) / (10 + self.step))
            with torch.no_grad():
                torch._foreach_lerp_(ours, theirs, pull)
                weight = self.weight[target].sum()
                loss_sum += loss * weight
                weight_sum += weight
            self.step += 1
        synchronise(self.target.device)
        self.losses.append(float(loss_sum / weight_sum))
        self.epochs += 1


def synchronise(device: torch.device) -> None:
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def described(trainer: Trainer) -> str:
    """Model and batch in words."""
    parameters = sum(p.numel() for p in trainer.learning.parameters())
    return f"{RECIPE}, width {WIDTH}, {', '.join(trainer.plan.modalities)}, {parameters / 1e6:.2f} M parameters, batch {BATCH}, {torch.get_num_threads()} thread(s)"


def step_line(samples: Any, pairs: int, device: str = "cpu", precision: str = "32") -> tuple[Line, Trainer]:
    """A training step beside the bare loop's."""
    trainer = make_trainer(samples, device, precision)
    bare, ours = Bare(trainer), Ours(trainer)
    seconds, peer = interleaved(ours.epoch, bare.epoch, pairs)
    steps = trainer.schedule.steps_per_epoch(trainer.n_train)
    error = abs(ours.losses[0] - bare.losses[0]) / abs(bare.losses[0])  # of the first epoch: later, AdamW has made much of rounding
    tolerance = LOSS_TOLERANCE if precision == "32" else 1e-2
    note = "" if peer / steps >= LEAST else f"; a step below {LEAST * 1e3:.0f} ms: the claim is not made for it"
    return Line(
        work=f"training step: {described(trainer)}{'' if device == 'cpu' else f', {torch.cuda.get_device_name()}, {precision}'}{note}",
        peer="bare PyTorch loop: same model, batches, loss, AdamW, clipping, averaged weights", equal=error <= tolerance, error=error, tolerance=tolerance,
        seconds=seconds / steps, peer_seconds=peer / steps, goal=STEP_GOAL if peer / steps >= LEAST else None,
    ), trainer  # fmt: skip


def data_line(samples: Any, pairs: int, where: str) -> Line:
    """The wait for data beside the step it is for."""
    trainer = make_trainer(samples, "cpu", augment=True)
    if where == "disk":
        trainer.feed.kept = None
    ours = Ours(trainer)
    ours.epoch()
    ours.waited = ours.total = 0.0
    for _ in range(pairs):
        ours.epoch()
    steps = pairs * trainer.schedule.steps_per_epoch(trainer.n_train)
    share = ours.waited / ours.total
    return Line(
        work=f"wait for a batch, samples {'in memory' if where == 'memory' else 'read from disk, one batch ahead'}: {100 * share:.2f} % of a step",
        peer=f"the training step: {described(trainer)}", equal=share <= 0.05, error=share, tolerance=0.05, seconds=ours.waited / steps,
        peer_seconds=ours.total / steps, goal=DATA_GOAL,
    )  # fmt: skip


class BareLayer(nn.Module):
    """A pre-norm transformer layer by hand, on the weights of one of ours."""

    def __init__(self, layer: TransformerLayer) -> None:
        super().__init__()
        self.norm, self.mlp, self.heads = layer.attention_norm, layer.mlp, layer.attention.heads
        self.project, self.out = layer.attention.project, layer.attention.out

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (batch, token, width) to the same shape."""
        batch, count, width = tokens.shape
        query, key, value = self.project(self.norm(tokens)).view(batch, count, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(batch, count, width)
        tokens = tokens + self.out(seen)
        return tokens + self.mlp(tokens)  # type: ignore[no-any-return]


def attention_line(pairs: int) -> Line:
    """Layers that could show their weights, not asked to, beside layers that cannot."""
    torch.manual_seed(0)
    ours = [TransformerLayer(WIDTH, 4, dropout=0.0) for _ in range(4)]
    bare = [BareLayer(layer) for layer in ours]
    tokens = torch.randn(BATCH, 128, WIDTH)
    kept: dict[str, Tensor] = {}

    def run(name: str, layers: Any) -> None:
        own = tokens.clone().requires_grad_()
        out = own
        for layer in layers:
            out = layer(out)
        out.square().mean().backward()
        assert own.grad is not None
        kept[name] = torch.stack([out.detach(), own.grad])

    seconds, peer = interleaved(lambda: run("ours", ours), lambda: run("bare", bare), pairs)
    error = float((kept["ours"] - kept["bare"]).abs().max())
    return Line(
        work=f"4 transformer layers whose attention weights nobody asked for, forward and backward, {BATCH} x 128 tokens of {WIDTH}",
        peer="the same layers on F.scaled_dot_product_attention, which have no weights to show", equal=error <= OUTPUT_TOLERANCE, error=error,
        tolerance=OUTPUT_TOLERANCE, seconds=seconds, peer_seconds=peer, goal=ATTENTION_GOAL,
    )  # fmt: skip


def asked_line(trainer: Trainer, pairs: int) -> Line:
    """A whole model's predictions, weights not asked for beside asked for: what asking costs is what is saved."""
    model, batch = trainer.averaged.model.eval(), trainer.feed.batch(np.arange(BATCH))
    kept: dict[bool, Tensor] = {}

    def run(attention: bool) -> None:
        with torch.inference_mode():
            kept[attention] = model(batch.values, batch.masks, batch.present, attention=attention).values

    seconds, peer = interleaved(lambda: run(False), lambda: run(True), pairs)
    error = float((kept[False] - kept[True]).abs().max())
    return Line(
        work=f"prediction of {BATCH} samples, attention weights not asked for", peer="the same, asked for", equal=error <= OUTPUT_TOLERANCE, error=error,
        tolerance=OUTPUT_TOLERANCE, seconds=seconds, peer_seconds=peer,
    )  # fmt: skip


def peak_flops(device: torch.device) -> float:
    """Operations a second that a large product of bfloat16 matrices reaches here."""
    a, b = (torch.randn(8192, 8192, device=device, dtype=torch.bfloat16) for _ in range(2))
    a @ b
    synchronise(device)
    begin = time.perf_counter()
    for _ in range(20):
        a @ b
    synchronise(device)
    return 20 * 2 * 8192**3 / (time.perf_counter() - begin)


def gpu_lines(samples: Any, pairs: int) -> Iterator[Line]:
    """Samples a second beside the bare loop, and the share of the GPU's arithmetic that is the model's."""
    line, trainer = step_line(samples, pairs, "cuda", "bf16")
    yield line
    device = trainer.fabric.device
    flops = 3 * BATCH * (flops_of(trainer.averaged.model, trainer.feed.batch(np.arange(8))) or 0)
    peak = peak_flops(device)
    yield Line(
        work=f"{BATCH / line.seconds:,.0f} samples a second; model arithmetic (3 x forward) at {100 * flops / line.seconds / peak:.1f} % of the peer's",
        peer=f"products of 8192 x 8192 bfloat16 matrices on {torch.cuda.get_device_name()}: {peak / 1e12:.0f} TFLOP/s", equal=True, error=0.0, tolerance=0.0,
        seconds=line.seconds, peer_seconds=flops / peak,
    )  # fmt: skip


def lines(quick: bool) -> Iterator[Line]:
    """All of it."""
    pairs = 3 if quick else 9
    samples = af.load_samples("practice", n=OBJECTS, progress=False)
    first, trainer = step_line(samples, pairs)
    yield first
    yield data_line(samples, 1 if quick else 3, "memory")
    with tempfile.TemporaryDirectory() as folder:
        yield data_line(af.SampleSet.open(samples.save(Path(folder) / "set")), 1 if quick else 3, "disk")
    yield attention_line(5 * pairs)
    yield asked_line(trainer, 5 * pairs)
    if torch.cuda.is_available():
        yield from gpu_lines(samples, pairs)
    else:
        print("no GPU here: samples a second and model FLOP utilisation are not measured", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(report("train", __doc__, lines))
