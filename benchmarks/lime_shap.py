"""LIME and KernelSHAP beside integrated gradients on three of the lecture's systems, and what the trust checks say of each.

The slide of the lecture (Linardatos et al. 2020, Entropy 23, 18) names LIME and SHAP. Here both, and integrated gradients, explain the same outputs of the same samples:
how alike their maps are (correlation over windows: LIME and SHAP weigh windows, so the gradients are summed over the same ones), whether deleting what they put first lowers
the score faster than in random order, and the verdict of the checks. Written to ``results/lime_shap.json``.

    python benchmarks/lime_shap.py [--quick] [--json]
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from reporting import Line, save_results

import astrofuse_lab as af
from astrofuse_lab.explain.trust_case import alike

METHODS = ("integrated_gradients", "lime", "kernel_shap")
CHECKS = ("learned", "randomised", "deletion", "insertion", "noise")


def cases(quick: bool) -> Iterator[tuple[str, Any, Any]]:
    """A run and samples of each system: published weights where there are, else trained here."""
    yield "braai (published weights, 20 real alerts)", af.Run.original("braai"), af.load_samples("braai-alerts")
    alerts = af.load_samples("gw-alerts")
    run = af.Run.original("gwskynet_multi_ii").runs[0]
    yield "gwskynet_multi_ii (published weights, real O3a alerts)", run, alerts.take(np.flatnonzero(run.outputs(alerts)[1]))  # those with a map
    samples = af.load_samples("tess-transits", n=600 if quick else 2500)
    split = samples.split(test=0.3, seed=0)
    run = af.train("nigraha_narrow", samples, "is_planet", split=split, epochs=2 if quick else 8, progress=False)
    yield f"nigraha (trained here on {len(split.train)} candidates)", run, samples.select(split.test)


def windows(maps: dict[str, Any]) -> dict[str, Any]:
    """Maps on the windows that LIME used: within each window all values are the mean of those there."""
    like, out = maps["lime"], dict(maps)
    for method, found in maps.items():
        values = {}
        for name in found.modalities:
            mine, theirs = np.asarray(found.values[name], dtype=float), np.asarray(like.values[name])
            values[name] = np.stack([_means(one, key) for one, key in zip(mine, theirs, strict=True)]) if mine.shape == theirs.shape else mine
        from dataclasses import replace

        out[method] = replace(found, values=values)
    return out


def _means(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    codes = np.unique(like, return_inverse=True)[1].ravel()
    means = np.bincount(codes, values.ravel()) / np.maximum(np.bincount(codes), 1)
    return means[codes].reshape(values.shape)


def rows(quick: bool) -> Iterator[dict[str, Any]]:
    """One row a system and method."""
    for system, run, samples in cases(quick):
        few = samples.take(np.arange(min(len(samples), 6 if quick else 20)))
        maps = {method: af.explain.attribute(run, few, method) for method in METHODS}
        on_windows = windows(maps)
        for method in METHODS:
            checks = af.explain.check(run, samples, method, most=6 if quick else 16, checks=CHECKS)
            yield {
                "system": system, "method": method, "samples": len(few), "verdict": checks.verdict, "passed": checks.passed,
                "alike": float(np.nanmean(alike(on_windows[method], on_windows["integrated_gradients"])[0])) if method != METHODS[0] else None,
                "checks": [{"check": r.check, "value": r.value, "low": r.low, "high": r.high, "passed": r.passed} for r in checks.rows],
            }  # fmt: skip


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few samples")
    parser.add_argument("--json", action="store_true", help="JSON lines alone")
    args = parser.parse_args()
    kept = []
    for row in rows(args.quick):
        kept.append(json.loads(json.dumps(row, default=float).replace("NaN", "null")))
        if args.json:
            Line(f"{row['method']} of {row['system']}: {row['verdict']}", "integrated_gradients", row["passed"], math.nan, math.nan, math.nan, math.nan).print()
        else:
            said = "" if row["alike"] is None else f"; alike {row['alike']:.2f}"
            print(f"{row['system']}: {row['method']}{said}: {row['verdict']}", flush=True)
    save_results("lime_shap" if not args.quick else "lime_shap_quick", {"rows": kept, "quick": args.quick})
    return 0


if __name__ == "__main__":
    sys.exit(main())
