"""Fused models on real data beside each modality alone, boosted trees and a linear model on the same inputs, and chance.

Four sets with grouped splits, three seeds, paired 95 % intervals over groups (`benchmarks/ztf_alerts.py` is the fifth):

eros1        variable stars of the LMC, 4 classes, the kit's published split: folded curve, its statistics, catalogue table
crts         Catalina variable stars, 7 classes: DMDT image, folded curve, statistics (period found in the data, unsupervised)
tess         transit candidates, planet or not, whole stars on one side: three folded views and stellar scalars
supernovae   4 classes: spectrum at rest with its continuum divided out, light curve at rest, table; with shortcut controls

Recipes were chosen on a part of the training part (a fifth or a quarter of its groups); no test score guided a choice. Trees and the
linear model see the modalities as the networks do (`inputs=` of the recipe), principal components where these are many numbers.

    python benchmarks/real_sets.py [eros1 crts tess supernovae] [--quick] [--json] [--seeds 3]
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from reporting import RESULTS, Line, machine, save_results

import astrofuse_lab as af
from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.recipes.starter import ENCODERS
from astrofuse_lab.samples.arrays import ModalityData

SEEDS, RESAMPLES, METRIC = 3, 1000, "balanced_accuracy"
BANDS = ["B", "V", "R", "I", "g", "r", "i"]
Part = af.Part
Case = tuple[af.SampleSet, af.Split, Recipe, tuple[str, ...], str]


def seen_as(samples: af.SampleSet, views: dict[str, tuple[str, dict[str, Any]] | None]) -> af.SampleSet:
    """The light curve under further names: shown as something else and kept, or (None) as it is, for the recipe to show."""
    curve = samples.data_of("light_curve")
    data = {name: samples.data_of(name) for name in samples.modalities if name != "table"}
    for name, view in views.items():
        if view is None:
            data[name] = ModalityData(replace(curve.spec, name=name), curve.fields, curve.present)
            continue
        shown = samples.represent("light_curve", view[0], **view[1])
        arrays = shown.arrays("light_curve")
        data[name] = ModalityData(replace(shown.spec("light_curve"), name=name), {k: v for k, v in arrays.items() if k != "present"}, arrays["present"])
    return samples.with_data(data)


def known(samples: af.SampleSet, target: str) -> af.SampleSet:
    """Objects whose target is known."""
    return samples.take(np.flatnonzero(~np.ma.getmaskarray(samples.column(target))))


def recipe_of(name: str, title: str, steps: int, **more: Any) -> Recipe:
    """The encoders everyone starts with; images made of light curves are not turned."""
    options: dict[str, Any] = {"fusion": Part.of("gated", modality_dropout=0.1), "encoders": ENCODERS, **more}
    return Recipe(name, title, schedule=Part.of("end_to_end", steps=steps, batch_size=64), augment=(), **options)


def eros1(steps: int) -> Case:
    """Variable stars of the LMC in two bands."""
    samples = seen_as(af.load_samples("eros1-variables", progress=False), {"folded": ("folded_global", {"bins": 64, "period": "period_raw"}), "statistics": None})
    recipe = recipe_of(
        "eros1", "Folded curve, statistics and table, one network each, probabilities averaged", steps, inputs={"statistics": Part.of("features", period="period_raw")},
        encoders={**ENCODERS, "folded": Part("conv1d_series"), "statistics": Part("mlp")}, fusion=Part("concatenation"), decision=Part("average"),
    )  # fmt: skip
    return samples, samples.split(by="published"), recipe, ("folded", "statistics", "table"), "label"


def crts(steps: int) -> Case:
    """Catalina's variable stars."""
    samples = known(af.load_samples("crts-variables", progress=False), "main_class")
    samples = samples.take(np.flatnonzero(samples.present("light_curve")))
    statistics = samples.represent("light_curve", "features", shortest=0.1, longest=500.0)
    arrays, channels = statistics.arrays("light_curve"), statistics.spec("light_curve").channels
    period = 10 ** np.where(arrays["mask"], arrays["values"], np.nan)[:, channels.index("log_period")]
    samples = samples.with_data({"light_curve": samples.data_of("light_curve")}, columns={"period_found": (period, "d")})
    samples = seen_as(samples, {"dmdt": ("dmdt", {"norm": "l2"}), "folded": ("folded_global", {"bins": 64, "period": "period_found"}), "statistics": None})
    recipe = recipe_of(
        "crts", "DMDT image, folded curve and statistics, gated", steps, inputs={"statistics": Part.of("features", period="period_found")},
        encoders={**ENCODERS, "dmdt": Part("conv2d"), "folded": Part("conv1d_series"), "statistics": Part("mlp")},
    )  # fmt: skip
    return samples, samples.split(test=0.25, seed=0), recipe, ("dmdt", "folded", "statistics"), "main_class"


def tess(steps: int) -> Case:
    """Transit candidates."""
    samples = af.load_samples("tess-transits", progress=False)
    return samples, samples.split(test=0.25, seed=0), recipe_of("tess", "Three views and scalars, gated", steps), ("global_view", "half_phase", "local_view", "table"), "is_planet"


def supernovae(steps: int) -> Case:
    """Types of supernovae: all that depends on the redshift is brought to rest with it."""
    samples = known(af.load_samples("supernovae", progress=False), "main_class")
    rest = ("rest_frame", {"redshift": "z"})
    samples = af.align(
        samples, spectrum=af.LogGrid(3500, 8000, 2e-3), light_curve=af.TimeGrid(bands=BANDS), steps={"spectrum": [rest, "divide_continuum"], "light_curve": [rest]}, progress=False,
    )  # fmt: skip
    recipe = recipe_of(
        "supernovae", "Spectrum, light curve and table, one network each, probabilities multiplied", steps, inputs={"light_curve": Part.of("asinh", epochs=80)},
        encoders={**ENCODERS, "spectrum": Part("spectrum_transformer"), "light_curve": Part("recurrent")}, fusion=Part("concatenation"), decision=Part("product"),
    )  # fmt: skip
    return samples, samples.split(test=0.3, seed=0), recipe, ("spectrum", "light_curve", "table"), "main_class"


CASES: dict[str, tuple[Callable[[int], Case], int]] = {"eros1": (eros1, 900), "crts": (crts, 900), "tess": (tess, 900), "supernovae": (supernovae, 600)}


def measured(name: str, seeds: int, quick: bool, quiet: bool) -> dict[str, Any]:
    """Compare, and keep all that the table shows."""
    begin = time.monotonic()
    make, steps = CASES[name]
    samples, split, recipe, modalities, target = make(60 if quick else steps)
    table = af.compare(
        recipe, samples, target, modalities, 1 if quick else seeds, split=split, metric=METRIC, trees="both", trees_each=True, linear=True, resamples=RESAMPLES, progress=not quiet
    )
    rows = [{n: (v.item() if hasattr(v, "item") else v) for n, v in zip(table.colnames, row, strict=True)} for row in table]
    rows = [{k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in row.items()} for row in rows]
    return {
        "set": name, "recipe": recipe.to_json(), "target": target, "seeds": table.meta["seeds"], "test_samples": table.meta["test_samples"], "test_groups": table.meta["test_groups"],
        "train_samples": len(split.train), "rows": rows, "verdict": table.meta["verdict"], "seconds": time.monotonic() - begin,
        "controls": controls(samples, split, target) if name == "supernovae" else [],
    }  # fmt: skip


def controls(samples: af.SampleSet, split: af.Split, target: str) -> list[dict[str, Any]]:
    """Shortcuts of the supernovae: which bands exist and the date, the redshift, the spectrum's coverage, by trees."""
    from sklearn.ensemble import ExtraTreesClassifier

    from astrofuse_lab.training import metrics

    truth = np.unique(samples.column(target).data, return_inverse=True)[1]
    curves = samples.arrays("light_curve")
    owner = np.repeat(np.arange(len(samples)), np.diff(curves["offsets"]))
    counts = np.zeros((len(samples), len(samples.spec("light_curve").channels)))
    np.add.at(counts, (owner, curves["band"]), 1)
    known_by = {
        "which bands, with counts": counts, "redshift": np.ma.filled(samples.column("z").astype(float), -1.0)[:, None],
        "the spectrum's coverage": samples.arrays("spectrum")["mask"].astype(float),
    }  # fmt: skip
    train, test = samples.positions(split.train), samples.positions(split.test)
    rows = []
    for name, values in known_by.items():
        said = ExtraTreesClassifier(400, class_weight="balanced", random_state=0).fit(values[train], truth[train]).predict_proba(values[test])
        low, high = metrics.interval(metrics.resampled(metrics.balanced_accuracy, truth[test], said, np.arange(len(test)), RESAMPLES))
        rows.append({"control": name, "value": metrics.value(metrics.balanced_accuracy, truth[test], said), "low": low, "high": high})
    return rows


def lines(part: dict[str, Any]) -> Iterator[Line]:
    """The claims of a set: fused at or above the best reference, and above our best single modality."""
    rows = part["rows"]
    fused = next(row for row in rows if row["model"].startswith("fused"))
    classical = ("trees", "linear", "boosting", "extra_trees")
    singles = [row for row in rows if row["modalities"] and "+" not in row["modalities"] and not row["model"].startswith(classical)]
    references = [row for row in rows if row["model"].startswith(classical)]
    for rival, what, strict in ((max(singles, key=lambda r: r["value"]), "the best single modality", True), (max(references, key=lambda r: r["value"]), "the best reference", False)):
        bound = rival["difference_low"] if strict else rival["difference_high"]
        yield Line(
            work=f"{part['set']}: fused balanced accuracy {fused['value']:.3f} [{fused['low']:.3f}, {fused['high']:.3f}], {part['test_groups']} groups, {part['seeds']} seed(s), "
            + ("above " if strict else "not below ") + what,
            peer=f"{rival['model']}: {rival['value']:.3f}, difference {rival['difference']:+.3f} [{rival['difference_low']:+.3f}, {rival['difference_high']:+.3f}]",
            equal=bool(bound > 0), error=max(0.0, -bound), tolerance=0.0, seconds=fused["seconds"], peer_seconds=rival["seconds"],
        )  # fmt: skip


def as_markdown(parts: dict[str, dict[str, Any]]) -> str:
    """The tables a person reads."""
    text = ["# Fused models on real data", "", f"Made by `python benchmarks/real_sets.py`. {machine()}. Balanced accuracy, 95 % intervals over groups; differences are paired: fused minus the row.", ""]
    for name, part in parts.items():
        text += [f"## {name}", "", f"Target `{part['target']}`, {part['train_samples']} to train, {part['test_samples']} to test in {part['test_groups']} groups, {part['seeds']} seed(s). {part['verdict']}", ""]
        text += ["| model | modalities | balanced accuracy | fused minus this |", "|---|---|---|---|"]
        for row in part["rows"]:
            over = "" if row["difference"] is None else f"{row['difference']:+.3f} [{row['difference_low']:+.3f}, {row['difference_high']:+.3f}]"
            text.append(f"| {row['model']} | {row['modalities']} | {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}] | {over} |")
        text += [f"| control: {row['control']} | | {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}] | |" for row in part["controls"]] + [""]
    return "\n".join(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", help=f"any of {', '.join(CASES)}; none: all")
    parser.add_argument("--quick", action="store_true", help="one seed, few steps; nothing is written")
    parser.add_argument("--json", action="store_true", help="JSON lines alone")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    args = parser.parse_args()
    unknown = sorted(set(args.sets) - set(CASES))
    if unknown:
        parser.error(f"there is no set {unknown[0]!r}; there are {', '.join(CASES)}")
    for name in args.sets or CASES:
        part = measured(name, args.seeds, args.quick, args.json)
        if not args.json:
            print(part["verdict"], flush=True)
        for line in lines(part):
            line.print()
        if not args.quick:
            save_results(f"real_sets_{name}", {"lines": [line.to_json() for line in lines(part)], **part})
            (RESULTS / f"real_sets_{name}.md").write_text(as_markdown({name: part}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
