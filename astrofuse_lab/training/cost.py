"""What a training cost: seconds, memory, energy, parameters and arithmetic. What cannot be measured is said to be unknown, never guessed."""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from astrofuse_lab.samples.preparation import Batch
from astrofuse_lab.training.devices import peak_memory

if TYPE_CHECKING:
    from astrofuse_lab.models.build import FusionModel
    from astrofuse_lab.training.plan import Plan
    from astrofuse_lab.training.run import Run

POWERCAP = Path("/sys/class/powercap")
NO_COUNTER = "not measured: this machine shows no energy counter (RAPL of the processor, NVML of the GPU)"
COUNTED = 8
"""Samples on which arithmetic is counted."""


class Rapl:
    """Energy counters of the processor packages (Intel's and AMD's running average power limit, by Linux' powercap).

    They count all that runs on the machine, and begin anew at a largest value some minutes or hours apart.

    Parameters
    ----------
    root : path
    """

    method = "processor packages by RAPL, all that ran on them included"

    def __init__(self, root: Path = POWERCAP) -> None:
        self.counters: list[tuple[Path, int]] = []
        self.before: list[int] = []
        for zone in sorted(root.glob("intel-rapl:*")) if root.is_dir() else ():
            try:
                if (zone / "name").read_text().startswith("package"):
                    counter = (zone / "energy_uj", int((zone / "max_energy_range_uj").read_text()))
                    self.before.append(int(counter[0].read_text()))
                    self.counters.append(counter)
            except (OSError, ValueError):  # most systems let only root read it
                continue

    def read(self) -> float:
        """Joules since the last reading."""
        joules = 0.0
        for i, (file, largest) in enumerate(self.counters):
            now = int(file.read_text())
            joules += (now - self.before[i] if now >= self.before[i] else now + largest - self.before[i]) / 1e6
            self.before[i] = now
        return joules


class Nvml:
    """Energy counter of one NVIDIA GPU, through the package ``nvidia-ml-py`` where it is installed.

    Parameters
    ----------
    device : torch.device
    """

    method = "GPU by NVML, all that ran on it included"

    def __init__(self, device: torch.device) -> None:
        self.counters: list[Callable[[], int]] = []
        try:
            import pynvml  # type: ignore[import-not-found, import-untyped, unused-ignore]

            pynvml.nvmlInit()
            handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
            self.before = int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))
            self.counters.append(lambda: int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)))
        except Exception:
            self.before = 0

    def read(self) -> float:
        """Joules since the last reading."""
        if not self.counters:
            return 0.0
        now = self.counters[0]()
        joules, self.before = (now - self.before) / 1e3, now
        return joules


class Meter:
    """Counts from its making on, in addition to what an earlier part of the same training spent.

    Parameters
    ----------
    device : torch.device
    spent : mapping
        What `read` gave before.
    seconds : float
        Time before.
    """

    def __init__(self, device: torch.device, spent: Mapping[str, Any], seconds: float = 0.0) -> None:
        self._before, self._begin, self._processor = seconds, time.monotonic(), time.process_time()
        self.spent = {"processor_seconds": 0.0, "joules": 0.0, "unmeasured": 0, **spent}
        wanted: list[Rapl | Nvml] = [Rapl(), Nvml(device)] if device.type == "cuda" else [Rapl()]
        self.counters = [one for one in wanted if one.counters]
        self.spent["methods"] = [one.method for one in self.counters]
        if not self.counters or not wanted[-1].counters:
            self.spent["unmeasured"] += 1

    @property
    def seconds(self) -> float:
        """Time so far, earlier parts included."""
        return self._before + time.monotonic() - self._begin

    def read(self) -> dict[str, Any]:
        """What was spent so far; to be asked every so often, as counters begin anew."""
        now = time.process_time()
        self.spent["processor_seconds"] += now - self._processor
        self._processor = now
        self.spent["joules"] += sum(one.read() for one in self.counters)
        return dict(self.spent)


def energy_of(spent: Mapping[str, Any]) -> tuple[float | None, str]:
    """Joules of a training and how they were measured; None where any part of it was not."""
    if not spent or spent["unmeasured"] or not spent["methods"]:
        return None, NO_COUNTER
    return float(spent["joules"]), "; ".join(spent["methods"])


def _attention(query: Any, key: Any, value: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    from torch.utils.flop_counter import sdpa_flop_count

    return int(sdpa_flop_count(query, key, value))


def _recurrent(tokens: Any, weight_in: Any, weight_on: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    return 2 * math.prod(tokens[:-1]) * (math.prod(weight_in) + math.prod(weight_on))


# torch's counter knows neither of these, by which attention and LSTM run on a processor
_ALSO: dict[Any, Any] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten.mkldnn_rnn_layer: _recurrent,
}


def flops_of(model: "FusionModel", batch: Batch) -> int | None:
    """Arithmetic of one prediction: floating-point operations a sample, a multiplication with its addition being two.

    Matrix products, convolutions, attention and recurrent layers are counted as torch runs them (``torch.utils.flop_counter``);
    what acts on one number at a time is not. A training step takes about three times as many.

    Parameters
    ----------
    model : FusionModel
    batch : Batch
        Samples as it is given them; None comes of an empty one.
    """
    if not len(batch):
        return None
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=_ALSO) as counter:
        model(batch.values, batch.masks, batch.present)
    return int(counter.get_total_flops()) // len(batch)


def cost_of(run: "Run", plan: "Plan", state: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """The ``cost`` of a run's record.

    Returns
    -------
    dict
        seconds and processor_seconds (all threads of this process) of training and validating; joules (None where unknown) and
        energy_method; peak_memory and device_memory in bytes (the process's and, on a GPU, its tensors'); parameters, those of
        the whole model and those trained; flops_per_sample of one prediction; at_once, the samples of a step that were computed together.
    """
    joules, method = energy_of(state["spent"])
    every: list[Tensor] = list(run.model.parameters())
    some = (plan.parts.validation if len(plan.parts.validation) else plan.parts.train)[:COUNTED]
    return {
        "seconds": state["seconds"], "processor_seconds": state["spent"].get("processor_seconds"), "joules": joules, "energy_method": method,
        "peak_memory": peak_memory(), "device_memory": int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else None,
        "parameters": sum(p.numel() for p in every), "flops_per_sample": flops_of(run.model, run.preparation.batch(plan.samples, some).to(run.device)),
        "at_once": -(-plan.schedule.batch_size // state["parts"]),
    }  # fmt: skip
