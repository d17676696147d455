"""Do attributions point at what was planted? Every method on tasks of the practice sky whose signal lies where we put it.

The pointing rate is the share of held-out samples whose largest attribution falls on the signal (tests/planted_cases.py says how it is planted,
beside a decoy as strong). Beside it: maps of pure noise, and maps of models without training, which point at what stands out. Then the verdict of
`af.explain.check` on the trained model and on the models without training.

    python benchmarks/planted.py [--quick] [--json]
"""

import argparse
import sys
import time
from typing import Any

import numpy as np
import torch
from reporting import ROOT, Line, save_results

sys.path.insert(0, str(ROOT / "tests"))

import planted_cases as cases

from astrofuse_lab import explain
from astrofuse_lab.errors import InputError
from astrofuse_lab.explain.methods import METHODS
from astrofuse_lab.explain.trust_models import randomised

PAGE, DOCS = ROOT / "benchmarks/results/planted.md", ROOT / "docs/trust.md"
MARKS = ("<!-- planted -->\n", "<!-- /planted -->")
"""What the table stands between in the documentation."""
GOAL, UNTRAINED, RESAMPLES = 0.9, 3, 2000
EVERYWHERE = {"feature_ablation": ("line", "arc", "arc_or_star", "dip", "word")}
"""Methods that hide a whole band, channel or bucket at once and say nothing of where in it."""


def interval(hits: np.ndarray, objects: np.ndarray) -> tuple[float, float]:
    """95 % of the rate, by bootstrap over objects."""
    rng, names = np.random.default_rng(0), np.unique(objects)
    of = [hits[objects == name] for name in names]
    rates = [np.concatenate([of[i] for i in rng.integers(len(of), size=len(of))]).mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(rates, [2.5, 97.5])
    return float(low), float(high)


def row(task: str, method: str, hits: np.ndarray | None, objects: np.ndarray, seconds: float, why: str = "") -> dict[str, Any]:
    """One cell of the table."""
    if hits is None:
        return {"task": task, "method": method, "rate": None, "low": None, "high": None, "samples": 0, "seconds": None, "why": why}
    low, high = interval(hits, objects)
    return {"task": task, "method": method, "rate": float(hits.mean()), "low": low, "high": high, "samples": len(hits), "seconds": seconds, "why": why}


def pointing_rows(name: str, quick: bool) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """All methods on one task, what they are compared with, and what the model is worth."""
    task, run = cases.planted(name), cases.taught(name)
    where = task.tested()
    said = run.outputs(task.samples.take(task.samples.positions(task.split.test)))[0].argmax(1)
    truth = np.asarray(task.samples.column(cases.TARGET))[task.samples.positions(task.split.test)]
    where = where[run.outputs(task.samples.take(where))[0].argmax(1) == 1]  # of a sample that was missed there is nothing to point at
    few, objects = task.samples.take(where), np.asarray(task.samples.column("object"))[where]
    rows = []
    for method in ["integrated_gradients", "occlusion"] if quick else METHODS:
        if name in EVERYWHERE.get(method, ()):
            rows.append(row(name, method, None, objects, 0.0, "hides whole bands, channels or buckets, in all places at once"))
            continue
        begin = time.perf_counter()
        try:
            found = explain.attribute(run, few, method, target=1)
        except InputError as error:
            rows.append(row(name, method, None, objects, 0.0, str(error).partition(". ")[0]))
            continue
        rows.append(row(name, method, cases.pointing(found, task, where), objects, time.perf_counter() - begin))
    real = found.place_mask(task.modality)
    rows.append(row(name, "noise", np.mean([cases.pointing_of(np.random.default_rng(i).normal(size=real.shape), real, task, where) for i in range(20)], 0), objects, 0.0))
    begin = time.perf_counter()
    untrained = [cases.pointing(explain.attribute(randomised(run, seed), few, target=1), task, where) for seed in range(UNTRAINED)]
    rows.append(row(name, "untrained", np.mean(untrained, 0), objects, (time.perf_counter() - begin) / UNTRAINED))
    return rows, {"task": name, "modality": task.modality, "accuracy": float((said == truth).mean()), "test_samples": len(truth), "objects": len(np.unique(task.samples.column("object")))}


def numbers(one: dict[str, Any]) -> dict[str, Any]:
    """What JSON can hold: a check that was not done has no numbers."""
    return {name: None if isinstance(value, float) and not np.isfinite(value) else value for name, value in one.items()}


def verdict_rows(name: str) -> list[dict[str, Any]]:
    """What `check` says of the trained model, and of models without training."""
    task, run, rows = cases.planted(name), cases.taught(name), []
    for who, one in (("trained", run), *((f"untrained {seed}", randomised(run, 100 + seed)) for seed in range(2))):
        found = explain.check(one, task.samples, checks=["skill", "learned", "randomised", "deletion", "insertion", "noise", "shuffled", "artefacts", "position"], most=32)
        rows.append({"task": name, "model": who, "passed": found.passed, "verdict": found.verdict, "checks": [numbers(one._asdict()) for one in found.rows]})
    return rows


def line_of(name: str, rows: list[dict[str, Any]]) -> Line:
    """Integrated gradients reach the goal, and stand out from models without training."""
    own, other = (next(r for r in rows if r["method"] == method) for method in ("integrated_gradients", "untrained"))
    reached = own["rate"] > GOAL and own["low"] > other["rate"]
    return Line(f"pointing at {name}, integrated gradients", "the same of models without training", reached, 1 - own["rate"], 1 - GOAL, own["seconds"], other["seconds"])


def page(rows: list[dict[str, Any]], models: list[dict[str, Any]], verdicts: list[dict[str, Any]]) -> str:
    """The tables to read."""
    tasks = [model["task"] for model in models]
    methods = list(dict.fromkeys(r["method"] for r in rows))
    text = ["| method | " + " | ".join(tasks) + " |", "|---" * (len(tasks) + 1) + "|"]
    reasons: dict[str, str] = {}
    for method in methods:
        cells = []
        for task in tasks:
            one = next(r for r in rows if r["task"] == task and r["method"] == method)
            if one["rate"] is None:
                reasons.setdefault(method, one["why"])
                cells.append("–")
            else:
                shown = f"{one['rate']:.2f} ({one['low']:.2f}–{one['high']:.2f})"
                cells.append(f"**{shown}**" if one["rate"] > GOAL else shown)
        label = {"noise": "*maps of noise*", "untrained": "*model without training, integrated gradients*"}.get(method, f"`{method}`")
        text.append(f"| {label} | " + " | ".join(cells) + " |")
    text += ["", "The models' accuracy on held-out objects: " + ", ".join(f"{m['task']} {m['accuracy']:.2f}" for m in models) + "."]
    if reasons:
        text += ["", "–: does not apply. " + " ".join(f"`{method}`: {why}." for method, why in reasons.items())]
    text += ["", "| task | model | verdict of `af.explain.check` |", "|---|---|---|"]
    text += [f"| {one['task']} | {one['model']} | {one['verdict']} |" for one in verdicts]
    return "\n".join(text) + "\n"


def write(text: str) -> None:
    """The tables beside the results, and in the documentation."""
    PAGE.write_text(text)
    before, _, rest = DOCS.read_text().partition(MARKS[0])
    DOCS.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{rest.partition(MARKS[1])[2]}")


def main(args: list[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two tasks, two methods; nothing is written")
    parser.add_argument("--json", action="store_true", help="JSON lines alone")
    given = parser.parse_args(args)
    torch.set_num_threads(1)
    rows, models, verdicts, lines = [], [], [], []
    for name in ("column", "word") if given.quick else cases.SIGNALS:
        found, model = pointing_rows(name, given.quick)
        rows += found
        models.append(model)
        verdicts += [] if given.quick else verdict_rows(name)
        lines.append(line_of(name, found))
        lines[-1].print()
        if not given.json:
            print("  " + ", ".join(f"{r['method']} {r['rate']:.2f}" for r in found if r["rate"] is not None), flush=True)
    if not given.quick:
        save_results("planted", {"goal": GOAL, "rows": rows, "models": models, "verdicts": verdicts})
        write(page(rows, models, verdicts))
    # where a decoy is half of the evidence, pointing is reported and no goal
    trained = all(one["passed"] == (one["model"] == "trained") for one in verdicts if one["task"] != "arc_or_star")
    return 0 if trained and all(line.equal for line in lines if "arc_or_star" not in line.work) else 1


if __name__ == "__main__":
    sys.exit(main())
