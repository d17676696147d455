"""On the practice sky: the metric for every subset of modalities, trained with and without modality dropout.

A model that always saw everything leans on what it saw; one trained with modality dropout degrades gracefully when something is missing.

    python benchmarks/practice_sky.py [--quick] [--json]
"""

import argparse
import statistics
import sys
import time
from typing import Any, NamedTuple

import numpy as np
from reporting import Line, save_results

import astrofuse_lab as af
from astrofuse_lab.recipes.catalogue import get_recipe

RECIPE, OBJECTS, TEST = "joint_attention", 600, 0.25
DROPOUT = 0.2
TOLERANCE = 0.02


class Trained(NamedTuple):
    """One training: balanced accuracy on the test part and number of modalities, by subset, and the seconds that training and testing took."""

    scores: dict[str, float]
    counts: dict[str, int]
    seconds: float


def trained(dropout: float, samples: af.SampleSet, split: af.Split, seed: int, epochs: int | None = None) -> Trained:
    """Train with so much modality dropout, test on every subset of modalities."""
    base = get_recipe(RECIPE)
    recipe = base.change(fusion=af.Part(base.fusion.name, {**base.fusion.options, "modality_dropout": dropout}))
    begin = time.perf_counter()
    run = af.train(recipe, samples, target="label", split=split, seed=seed, epochs=epochs, progress=False)
    table = af.explain.contributions(run, samples.select(split.test)).subsets
    seconds = time.perf_counter() - begin
    names = [str(name) for name in table["modalities"]]
    return Trained(dict(zip(names, table["value"].tolist(), strict=True)), dict(zip(names, table["count"].tolist(), strict=True)), seconds)


def rows_of(ours: list[Trained], peer: list[Trained]) -> list[dict[str, Any]]:
    """One row a subset, the smallest first: how many modalities, and the mean over seeds with and without dropout."""
    sides = {"with_dropout": ours, "without": peer}
    means = {side: {name: float(np.mean([one.scores[name] for one in each])) for name in each[0].scores} for side, each in sides.items()}
    rows = [{"modalities": name, "count": ours[0].counts[name], **{side: mean[name] for side, mean in means.items()}} for name in means["without"]]
    return sorted(rows, key=lambda row: (row["count"], row["modalities"]))


def line_of(rows: list[dict[str, Any]], ours: list[Trained], peer: list[Trained]) -> Line:
    """The claim: with one modality lost, the model trained with dropout scores no less than the other."""
    whole = max(row["count"] for row in rows)
    one_lost = [row for row in rows if row["count"] == whole - 1]
    score, other = (float(np.mean([row[side] for row in one_lost])) for side in ("with_dropout", "without"))
    return Line(
        work=f"balanced accuracy with one modality missing, {RECIPE} trained with modality dropout: {score:.3f}",
        peer=f"the same recipe without modality dropout: {other:.3f}", equal=score >= other - TOLERANCE, error=max(0.0, other - score), tolerance=TOLERANCE,
        seconds=statistics.median(one.seconds for one in ours), peer_seconds=statistics.median(one.seconds for one in peer), goal=None,
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed")
    parser.add_argument("--json", action="store_true", help="JSON lines alone")
    args = parser.parse_args()
    samples = af.load_samples("practice", n=OBJECTS, progress=False)
    split = samples.split(test=TEST, seed=0)
    trained(DROPOUT, samples, split, 0, epochs=1)  # untimed: imports and first calls
    ours, peer = [], []
    for seed in range(1 if args.quick else 3):  # in turns, so that a busy machine slows both alike
        ours.append(trained(DROPOUT, samples, split, seed))
        peer.append(trained(0.0, samples, split, seed))
    rows = rows_of(ours, peer)
    line = line_of(rows, ours, peer)
    if not args.json:
        print(f"balanced accuracy on {len(split.test)} test objects of the practice sky (simulated), {RECIPE}, mean of {len(ours)} seed(s)")
        print(f"{'modalities':55s} with dropout   without")
        for row in rows:
            print(f"{row['modalities']:55s} {row['with_dropout']:12.3f} {row['without']:9.3f}")
    line.print()
    if not args.quick:
        save_results("practice_sky", {"lines": [line.to_json()], "rows": rows, "seeds": len(ours), "test_objects": len(split.test)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
