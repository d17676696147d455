"""The engine: a step is the same however it is cut, memory that runs out is saved, precision, compiling, progress, cost."""

import json

import numpy as np
import pytest
import torch

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, TrainingError
from astrofuse_lab.training.cost import Meter, Rapl, energy_of
from astrofuse_lab.training.learning import Supervised
from astrofuse_lab.training.progress import Progress, ProgressLine, read_progress

PLAIN = {"table": af.Part.of("mlp", dropout=0.0), "text": af.Part.of("ngram_mlp", dropout=0.0)}


def recipe(**options):
    """Nothing random but the order."""
    parts = {"encoders": PLAIN, "fusion": af.Part.of("concatenation", dropout=0.0), "head": af.Part.of("auto", dropout=0.0)}
    return af.Recipe("plain", "Nothing random", schedule=af.Part.of("end_to_end", **{"batch_size": 16, "learning_rate": 1e-3, **options}), **parts)


def go(samples, chosen=None, **more):
    given = {"modalities": ["table", "text"], "epochs": 2, "progress": False, "device": "cpu", **more}
    return af.train(chosen or recipe(), samples, "label", **given)


def furthest(a, b):
    """Largest difference between the weights of two runs."""
    pairs = zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True)
    return max(float((x - y).abs().max()) for x, y in pairs if x.is_floating_point())


@pytest.fixture(scope="module")
def whole(toy_samples):
    return go(toy_samples)


# ---- batches in pieces -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [2, 5, 64])
def test_a_batch_in_pieces_gives_the_gradients_of_the_whole(toy_samples, parts):
    """16 samples in 2, 5 (unequal) and 64 (more than there are) pieces, to 1e-6 of the gradient's norm."""
    from astrofuse_lab.training.devices import make_fabric
    from astrofuse_lab.training.plan import make_plan
    from astrofuse_lab.training.trainer import Trainer

    trainer = Trainer(make_plan(recipe(), toy_samples, "label", ["table", "text"], None, 0, 1), make_fabric("cpu"))
    index = np.arange(16)
    batch, target = trainer.feed.batch(index), trainer.target[:16]
    weight = trainer.learning.weight(target).sum()
    told, made = [], []
    for cut in (1, parts):
        told.append(trainer.stepper.gradients(batch, target, weight, 7, cut)[0])
        made.append(torch.cat([p.grad.flatten().clone() for p in trainer.learning.parameters()]))
    assert float((made[0] - made[1]).norm()) < 1e-6 * float(made[0].norm()) and made[0].norm() > 0
    assert torch.allclose(*told, rtol=1e-6)


def test_accumulating_trains_what_one_large_batch_does(toy_samples, whole):
    cut = go(toy_samples, recipe(accumulate=4))
    assert furthest(cut, whole) < 1e-4  # a tenth of one step of AdamW, which takes gradients of rounding for gradients
    assert np.allclose(cut.history["train_loss"], whole.history["train_loss"], atol=1e-6)
    assert (cut.record["cost"]["at_once"], whole.record["cost"]["at_once"]) == (4, 16)
    with pytest.raises(InputError, match="accumulate=0"):
        go(toy_samples, recipe(accumulate=0))


# ---- memory ------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["OutOfMemoryError", "RuntimeError", "MemoryError", "backward"])
def small_memory(request, monkeypatch):
    """A machine where more than 5 samples at once do not fit, as its library says so."""
    plain = Supervised.forward

    class Heavy(torch.autograd.Function):
        @staticmethod
        def forward(ctx, loss):
            return loss.clone()

        @staticmethod
        def backward(ctx, grad):
            if len(grad) > 5:
                raise RuntimeError("[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes.")
            return grad

    def forward(self, values, masks, present, target):
        if self.training and len(target) > 5 and request.param != "backward":
            kinds = {"OutOfMemoryError": torch.OutOfMemoryError, "RuntimeError": RuntimeError, "MemoryError": MemoryError}
            raise kinds[request.param]("CUDA out of memory. Tried to allocate 20.00 GiB.")
        made = plain(self, values, masks, present, target)
        return made._replace(loss=Heavy.apply(made.loss)) if self.training and request.param == "backward" else made

    monkeypatch.setattr(Supervised, "forward", forward)
    return request.param


def test_memory_that_runs_out_is_saved_and_the_step_stays_the_same(toy_samples, whole, small_memory, tmp_path, capsys):
    run = go(toy_samples, out=tmp_path / "run", progress=True)
    assert furthest(run, whole) < 1e-4 and run.record["cost"]["at_once"] == 4
    said = [e["text"] for e in read_progress(tmp_path / "run") if e["event"] == "said"]
    assert len(said) == 2 and "16 samples at once" in said[0] and "8 at a time" in said[0] and "4 at a time" in said[1]
    assert said[1] in capsys.readouterr().out


def test_memory_that_cannot_be_saved_says_what_to_lower(toy_samples, small_memory):
    with pytest.raises(TrainingError, match=r"out of memory with 16 sample.*halve=False.*batch_size=8"):
        go(toy_samples, recipe(halve=False))
    with pytest.raises(TrainingError, match=r"compares the samples of a batch"):
        go(toy_samples, recipe().change(objective=af.Part.of("supervised_contrastive")))


def test_one_sample_too_large_says_so(toy_samples, monkeypatch):
    def forward(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Supervised, "forward", forward)
    with pytest.raises(TrainingError, match=r"single sample is too large.*pixels"):
        go(toy_samples)


def test_other_errors_are_not_taken_for_it(toy_samples, monkeypatch):
    def forward(*_):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(Supervised, "forward", forward)
    with pytest.raises(RuntimeError, match="mat1"):
        go(toy_samples)


def test_pieces_found_are_remembered_by_a_resumed_training(toy_samples, monkeypatch, tmp_path):
    """Else it would run out of memory again, and its pieces be cut elsewhere."""
    from tests.test_resume import StopAfter

    seen, plain = [], Supervised.forward

    def forward(self, values, masks, present, target):
        if self.training:
            seen.append(len(target))
            if len(target) > 5:
                raise torch.OutOfMemoryError("CUDA out of memory.")
        return plain(self, values, masks, present, target)

    monkeypatch.setattr(Supervised, "forward", forward)
    go(toy_samples, stop=StopAfter(3), out=tmp_path / "run")
    seen.clear()
    assert go(toy_samples, out=tmp_path / "run").state == "finished" and seen and max(seen) <= 5


def test_what_says_that_memory_is_used_up():
    from astrofuse_lab.training.devices import out_of_memory

    for error in (
        torch.OutOfMemoryError("x"), MemoryError(), RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."), RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"),
        np._core._exceptions._ArrayMemoryError((9,), np.dtype("f8")),
    ):  # fmt: skip
        assert out_of_memory(error), error
    assert not out_of_memory(RuntimeError("shapes")) and not out_of_memory(ValueError("out of memory"))


# ---- precision and compiling -------------------------------------------------------------------------------------------


def test_precision_is_what_was_asked_for(toy_samples, whole):
    half = go(toy_samples, precision="bf16")
    assert half.record["precision"] == "bf16-mixed" and whole.record["precision"] == "32-true"
    assert all(t.dtype == torch.float32 for t in half.model.state_dict().values() if t.is_floating_point())
    assert 0 < furthest(half, whole) < 0.05  # 8 bits of mantissa
    with pytest.raises(InputError, match="precision='16'"):
        go(toy_samples, precision="16")


def test_another_precision_is_another_training(toy_samples, tmp_path):
    from astrofuse_lab.errors import RunError

    go(toy_samples, out=tmp_path / "run")
    with pytest.raises(RunError, match="precision"):
        go(toy_samples, out=tmp_path / "run", precision="bf16")


def test_where_nothing_compiles_the_model_runs_as_it_is(toy_samples, whole, monkeypatch, tmp_path):
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setattr(config, "force_disable_caches", True)
    torch._dynamo.reset()
    run = go(toy_samples, compile=True, out=tmp_path / "run")
    assert furthest(run, whole) == 0.0
    said = [e["text"] for e in read_progress(tmp_path / "run") if e["event"] == "said"]
    assert len(said) == 1 and "C++ compiler" in said[0]


@pytest.mark.slow
def test_a_compiled_model_trains_the_same(toy_samples, whole):
    torch._dynamo.reset()
    run = go(toy_samples, compile=True)
    assert furthest(run, whole) < 1e-4 and list(run.model.state_dict()) == list(whole.model.state_dict())


# ---- progress ----------------------------------------------------------------------------------------------------------


def test_the_file_tells_what_the_function_is_told_and_is_whole_meanwhile(toy_samples, tmp_path):
    told, read = [], []

    def look(now):
        told.append(now)
        lines = (tmp_path / "run" / "progress.jsonl").read_bytes()
        assert lines.endswith(b"\n")
        read.append([json.loads(line) for line in lines.splitlines()])

    run = go(toy_samples, out=tmp_path / "run", on_epoch=look)
    assert [len(lines) for lines in read] == [2, 3]  # while it trains: the beginning, and each epoch so far
    events = read_progress(tmp_path / "run")
    assert [e["event"] for e in events] == ["begin", "epoch", "epoch", "end"] and events[-1]["state"] == "finished"
    for event, now, row in zip(events[1:3], told, run.history, strict=True):
        assert all(event[name] == now[name] == row[name] for name in ("epoch", "train_loss", "validation_loss", "metric"))
        assert event["memory"] > 1e6 and event["memory_total"] > event["memory"] and event["device"] == "cpu"


def test_half_a_line_and_an_epoch_told_twice_are_read_rightly(tmp_path):
    file = tmp_path / "progress.jsonl"
    file.write_text('{"event": "epoch", "epoch": 1, "x": 1}\n{"event": "epoch", "epoch": 2, "x": 1}\n[1]\n{"event": "epo')
    progress = Progress(ProgressLine("", False), tmp_path)
    progress.begin(step=3)
    progress.epoch({"epoch": 2, "x": float("nan")})
    told = read_progress(tmp_path)
    assert [(e["event"], e.get("epoch"), e.get("x")) for e in told] == [("epoch", 1, 1), ("begin", None, None), ("epoch", 2, None)]
    assert read_progress(tmp_path / "nowhere") == []


def test_a_training_that_fails_says_so_in_the_file(toy_samples, monkeypatch, tmp_path):
    monkeypatch.setattr(Supervised, "forward", lambda *_: (_ for _ in ()).throw(ZeroDivisionError("here")))
    with pytest.raises(ZeroDivisionError):
        go(toy_samples, out=tmp_path / "run")
    assert read_progress(tmp_path / "run")[-1] == {**read_progress(tmp_path / "run")[-1], "event": "end", "state": "failed"}


# ---- cost --------------------------------------------------------------------------------------------------------------


def counters(folder, joules, largest=1000.0):
    for i, value in enumerate(joules):
        zone = folder / f"intel-rapl:{i}"
        zone.mkdir(exist_ok=True)
        (zone / "name").write_text(f"package-{i}\n")
        (zone / "energy_uj").write_text(f"{int(value * 1e6)}\n")
        (zone / "max_energy_range_uj").write_text(f"{int(largest * 1e6)}\n")


def test_energy_is_read_from_the_packages_also_where_they_begin_anew(tmp_path):
    counters(tmp_path, [10.0, 990.0])
    core = tmp_path / "intel-rapl:0:0"
    core.mkdir()
    (core / "name").write_text("core\n")
    rapl = Rapl(tmp_path)
    counters(tmp_path, [17.5, 5.0])
    assert rapl.read() == pytest.approx(7.5 + 15.0)
    assert rapl.read() == 0.0


def test_energy_that_cannot_be_measured_is_none_not_a_guess(monkeypatch, tmp_path):
    from astrofuse_lab.training import cost

    monkeypatch.setattr(cost.Rapl.__init__, "__defaults__", (tmp_path / "none",))
    spent = Meter(torch.device("cpu"), {}).read()
    joules, method = energy_of(spent)
    assert joules is None and "not measured" in method
    counters(tmp_path, [3.0])
    monkeypatch.setattr(cost.Rapl.__init__, "__defaults__", (tmp_path,))
    meter = Meter(torch.device("cpu"), {})
    counters(tmp_path, [8.0])
    joules, method = energy_of(meter.read())
    assert joules == pytest.approx(5.0) and "RAPL" in method
    assert energy_of(Meter(torch.device("cpu"), spent).read())[0] is None  # part of it was not measured


def test_cost_is_in_the_record(whole):
    cost = whole.record["cost"]
    assert cost["seconds"] == whole.seconds > 0 and cost["processor_seconds"] > 0 and cost["peak_memory"] > 1e6
    assert cost["parameters"] == sum(p.numel() for p in whole.model.parameters()) and cost["device_memory"] is None
    assert (cost["joules"] is None) == ("not measured" in cost["energy_method"])


def test_arithmetic_is_counted_by_hand():
    """Linear layers, attention and an LSTM: two operations for each multiplication with its addition."""
    from torch import nn

    from astrofuse_lab.samples.preparation import Batch
    from astrofuse_lab.training.cost import flops_of

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.lstm = nn.Linear(8, 6), nn.LSTM(6, 5, batch_first=True)

        def forward(self, values, masks, present):
            x = self.lstm(self.linear(values["x"]))[0].unsqueeze(1)
            return nn.functional.scaled_dot_product_attention(x, x, x)

    steps, batch = 7, 3
    data = Batch({"x": torch.zeros(batch, steps, 8)}, {"x": torch.ones(batch, steps, dtype=torch.bool)}, {"x": torch.ones(batch, dtype=torch.bool)})
    linear, lstm, attention = steps * 8 * 6, steps * 4 * 5 * (6 + 5), 2 * steps * steps * 5
    assert flops_of(Model(), data) == 2 * (linear + lstm + attention)
