"""On the practice sky: the metric for every subset of modalities, trained with and without modality dropout.

A model that always saw everything leans on what it saw; one trained with modality dropout degrades gracefully when something is missing.

    python benchmarks/practice_sky.py [--quick] [--json]
"""

import argparse
import sys
import time

import numpy as np
from reporting import Line, save_results

import astrofuse_lab as af

RECIPE = "cross_attention"


def subset_scores(dropout: float, samples: af.SampleSet, split: af.Split, seed: int, epochs: int | None) -> dict[str, float]:
    """Balanced accuracy on the test part for every subset of modalities, by the subset's name."""
    base = af.list_recipes.__globals__["get_recipe"](RECIPE)
    recipe = base.change(fusion=af.Part(base.fusion.name, {**base.fusion.options, "modality_dropout": dropout}))
    run = af.train(recipe, samples, target="label", split=split, seed=seed, epochs=epochs, progress=False)
    table = af.explain.contributions(run, samples.select(split.test)).subsets
    return {str(row["modalities"]): float(row["value"]) for row in table}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed")
    parser.add_argument("--json", action="store_true", help="JSON lines alone")
    args = parser.parse_args()
    begin = time.time()
    samples = af.load_samples("practice", n=600, progress=False)
    split = samples.split(test=0.25, seed=0)
    seeds = range(1 if args.quick else 3)
    scores = {d: [subset_scores(d, samples, split, seed, None) for seed in seeds] for d in (0.2, 0.0)}
    names = sorted(scores[0.2][0], key=lambda name: (name.count("+"), name))
    rows = [{"modalities": n, "with_dropout": float(np.mean([s[n] for s in scores[0.2]])), "without": float(np.mean([s[n] for s in scores[0.0]]))} for n in names]
    if not args.json:
        print(f"balanced accuracy on {len(split.test)} test objects of the practice sky (simulated), {RECIPE}, mean of {len(seeds)} seed(s)")
        print(f"{'modalities':55s} with dropout   without")
        for row in rows:
            print(f"{row['modalities']:55s} {row['with_dropout']:12.3f} {row['without']:9.3f}")
    # one modality lost: the mean over the subsets of all but one
    most = max(n.count("+") for n in names)
    lost = [r for r in rows if r["modalities"].count("+") == most - 1]
    ours, peer = (float(np.mean([r[k] for r in lost])) for k in ("with_dropout", "without"))
    line = Line(
        work="balanced accuracy with one modality missing, trained with modality dropout", peer="the same recipe without modality dropout",
        equal=bool(ours >= peer - 0.02), error=max(0.0, peer - ours), tolerance=0.02, seconds=time.time() - begin, peer_seconds=time.time() - begin, goal=None,
    )  # fmt: skip
    line.print()
    if not args.quick:
        save_results("practice_sky", {"rows": rows, "seeds": len(seeds), "test_objects": len(split.test)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
