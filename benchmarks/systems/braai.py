"""braai: the published weights on real packets, and the network trained anew on simulated triplets beside a random forest on stamp statistics.

Packets: the 20 of `braai-alerts`; any Avro packets whose folder the environment variable ASTROFUSE_PACKETS names are scored by ``astrofuse watch`` and compared with the
score they carry. `ztf-alerts` holds rounded stamps: the distribution of the errors is reported and nothing asked of it.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import ndimage
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from systems_parts import RUNS, Number, interval, paired

import astrofuse_lab as af
import astrofuse_lab.training.record  # these now: a long measurement should end with the code that it began with
import astrofuse_lab.training.run_folder
import astrofuse_lab.training.trainer
import astrofuse_lab.training.uncertainty_held
from astrofuse_lab.models.build import build
from astrofuse_lab.models.tokens import InputLayout
from astrofuse_lab.samples import simulated_triplets
from astrofuse_lab.surveys.alert_packets import packets_of
from astrofuse_lab.training.thresholds import error_rates, wilson

SIZES = {"quick": (1500, 600, 8, (0,)), "full": (4000, 2000, 24, (0, 1, 2))}
"""Triplets to train on and to test on, epochs, seeds."""


def measure(quick: bool) -> Iterator[Number]:
    """All numbers of braai."""
    model = build(af.get_recipe("braai"), {"image": InputLayout("image", ("a", "b", "c"), (3, 63, 63))}, 2, "classification")
    yield Number("parameters", model.parameter_count, reference_name="published", reference=312_081, published=312_081, data="none")
    published = af.Run.original("braai")
    yield from packets(published)
    yield from explained(published, 6 if quick else 10)
    yield from simulated(published, *SIZES["quick" if quick else "full"])


def packets(run: af.Run) -> Iterator[Number]:
    """The score that packets carry, on raw and on rounded stamps."""
    twenty = af.load_samples("braai-alerts")
    error = np.abs(run.outputs(twenty)[0][:, 1] - twenty.column("drb").data)
    yield Number("largest error of drb, unrounded packets", error.max(), n=len(error), data="braai-alerts, drbversion d6_m7", reference_name="goal", reference=1e-5, higher_is_better=False)
    alerts = af.load_samples("ztf-alerts")
    drb = np.ma.filled(alerts.column("c_drb").astype(float), np.nan)
    rows = np.flatnonzero(np.isfinite(drb) & alerts.present("image"))
    whole = np.asarray(alerts.column("nan_frac"))[rows] == 0
    error = np.abs(run.outputs(alerts, rows)[0][:, 1] - drb[rows])
    note = "stamps rounded to a part of their noise; sentinels were made NaN, so that their rows are not zero as for the original; the drbversion of a row is not in the mirror"
    for name, some in (("all", error), ("without missing pixels", error[whole])):
        for share in (50, 90, 99, 100):
            yield Number(f"error of drb on rounded stamps, {name}, {'largest' if share == 100 else f'{share} %'}", np.percentile(some, share), n=len(some), data="ztf-alerts with c_drb", note=note)
    yield Number("share of rounded stamps within 0.01 of drb", (error < 0.01).mean(), *_share(error < 0.01), n=len(error), data="ztf-alerts with c_drb", note=note)
    folder = os.environ.get("ASTROFUSE_PACKETS")
    if folder:
        yield from watched(run, Path(folder))


def _share(good: np.ndarray) -> tuple[float, float]:
    low, high = wilson(int(good.sum()), len(good))
    return float(low), float(high)


def watched(run: af.Run, folder: Path) -> Iterator[Number]:
    """Avro packets through the alert reader, as they arrive, one file after another and many at once."""
    import json
    import shutil

    from astrofuse_lab.watching import watch

    files = sorted(folder.glob("*.avro"))
    told = {str(p["candid"]): p["candidate"] for file in files for p in packets_of(file.read_bytes(), "packets") if p["candidate"].get("drb") is not None}
    for many in (1, 64):
        with tempfile.TemporaryDirectory() as place:
            for file in files:
                shutil.copy2(file, place)
            begin = time.process_time()
            summary = watch(run, place, once=True, batch=many, settle=0.0, patience=0.0)
            busy = time.process_time() - begin
            lines = [json.loads(line) for line in (Path(place) / "scores.jsonl").read_text().splitlines()]
        yield Number(f"packets a second, batches of {many}", summary.rate, n=summary.packets, data="Avro packets of kowalski and boom, from disk to scores on disk", note=f"one thread of a machine that others used as well; {summary.packets / busy:.0f} a second of processor time")
        yield Number(f"latency of a packet in a waiting pile, median, batches of {many}", float(np.median(summary.latencies)), n=summary.packets, data="the same", note="seconds, from the begin of the watch")
    with tempfile.TemporaryDirectory() as place:
        waiting = list(files)

        def arrive() -> None:
            if not waiting:
                raise KeyboardInterrupt
            shutil.copy(waiting.pop(), place)  # its date is now

        summary = watch(run, place, feeder=arrive, poll=0.3, settle=0.1)
    yield Number(f"latency of a packet that arrives, median, {0.1} s to settle, {0.3} s between looks", float(np.median(summary.latencies)), n=summary.packets, data="the same", note="seconds, from the file's last change to its score on the disk")
    d6_m7 = [line for line in lines if told[line["alert"].split(":")[1]]["drbversion"] == "d6_m7"]
    error = max(abs(line["p_real"] - told[line["alert"].split(":")[1]]["drb"]) for line in d6_m7)
    yield Number("largest error of drb, Avro packets through the alert reader", error, n=len(d6_m7), data="kowalski @ 51d0078, boom @ 8ebd463", reference_name="goal", reference=1e-5, higher_is_better=False)


def explained(run: af.Run, n: int) -> Iterator[Number]:
    """LIME and SHAP superpixels beside integrated gradients, and whether any of them may be believed."""
    from scipy.stats import spearmanr

    twenty = af.load_samples("braai-alerts")
    some = twenty.take(np.unique(np.linspace(0, len(twenty) - 1, n).astype(int)))
    whole = {}
    for method, options in (("integrated_gradients", {}), ("lime", {"windows": {"image": 7}, "repeats": 2}), ("kernel_shap", {"windows": {"image": 7}, "repeats": 2})):
        values = af.explain.attribute(run, some, method, target="real", **options).values["image"]
        whole[method] = values.reshape(len(some), 3, 7, 9, 7, 9).sum((1, 3, 5))  # superpixels of 9 x 9, which all three stamps share
    for method in ("lime", "kernel_shap"):
        each = np.array([spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(whole[method], whole["integrated_gradients"], strict=True)])
        yield Number(f"rank correlation of superpixels, {method} and integrated gradients", each.mean(), each.min(), each.max(), n=len(each), data="braai-alerts", note="mean; least and most of the alerts")
    for method, values in whole.items():
        share = np.abs(values[:, 2:5, 2:5]).sum((1, 2)) / np.abs(values).sum((1, 2))
        yield Number(f"share of the attribution within the middle 27 x 27 pixels, {method}", share.mean(), share.min(), share.max(), n=len(share), data="braai-alerts", reference_name="the middle's share of the area", reference=9 / 49)
    checks = af.explain.check(run, twenty, most=n, resamples=200, target="real", steps=16)
    passed = checks.table()["passed"]
    done = passed[~np.ma.getmaskarray(np.ma.asarray(passed))]
    yield Number("trust checks passed, integrated gradients", float(np.sum(done == True)), n=len(done), data="braai-alerts", note=str(checks.verdict))  # noqa: E712


def simulated(published: af.Run, n: int, tests: int, epochs: int, seeds: tuple[int, ...]) -> Iterator[Number]:
    """Trained anew on simulated triplets; every row on the same test triplets, which come of another seed."""
    train, test = simulated_triplets.make(n, 0, False), simulated_triplets.make(tests, 1, False)
    real = test.column("real_bogus").filled("") == "real"
    kinds = test.column("kind").filled("").astype(str)
    recipe = af.get_recipe("braai").change(schedule=af.Part.of("end_to_end", epochs=epochs, batch_size=32, learning_rate=1e-3))
    runs = [af.train(recipe, train, "real_bogus", split=_all(train), seed=seed, device="cpu", out=Path(RUNS) / f"braai-{n}-{epochs}-{seed}" if RUNS else None) for seed in seeds]
    ours = np.mean([run.outputs(test)[0][:, run.classes.index("real")] for run in runs], axis=0)
    forest = RandomForestClassifier(500, min_samples_leaf=2, random_state=0, n_jobs=1).fit(statistics(train), train.column("real_bogus").filled("") == "real")
    trees = forest.predict_proba(statistics(test))[:, 1]
    others = {"random forest on stamp statistics": trees, "published weights d6_m7, not trained on these": published.outputs(test)[0][:, 1]}
    data = f"practice-triplets (simulated): {n} to train on, {tests} to test on"
    note = f"{len(seeds)} seeds averaged, {epochs} epochs of at most 200 published"
    tuned = af.train(recipe.change(schedule=af.Part.of("end_to_end", epochs=5, batch_size=32, learning_rate=1e-3)), train, "real_bogus", split=_all(train), seed=0, device="cpu", start=published)
    better = tuned.outputs(test)[0][:, tuned.classes.index("real")]
    for name, said in (("random forest on stamp statistics", trees), ("the same network trained anew", ours)):
        yield Number(
            f"ROC-AUC, published weights trained on for 5 epochs, beside {name}", auc(real, better), *interval(auc, real, better), n=tests, data=data, reference_name=name,
            reference=auc(real, said), difference=paired(auc, real, better, said), note="seed 0", higher_is_better=True,
        )  # fmt: skip
    for name, said in others.items():
        yield Number(
            f"ROC-AUC beside {name}", auc(real, ours), *interval(auc, real, ours), n=tests, data=data, reference_name=name, reference=auc(real, said),
            difference=paired(auc, real, ours, said), note=note, higher_is_better=True,
        )  # fmt: skip
    rates = error_rates(real, ours)
    at = 50
    for name, value in (("FNR", 0.011), ("FPR", 0.029)):
        key = name.lower()
        theirs = error_rates(real, trees)[key][at]
        yield Number(
            f"{name} at 0.5", rates[key][at], rates[f"{key}_low"][at], rates[f"{key}_high"][at], n=int((real if name == "FNR" else ~real).sum()), data=data,
            reference_name="random forest", reference=theirs, published=value, note="published: on real alerts, vetted by eye",
        )  # fmt: skip
    threshold, rate = rates.meta["equal"]
    yield Number("equal error rate", rate, n=tests, data=data, reference_name="random forest", reference=error_rates(real, trees).meta["equal"][1], note=f"at a threshold of {threshold:.2f}")
    for kind in np.unique(kinds):
        mine = kinds == kind
        right = (ours[mine] >= 0.5) == real[mine]
        yield Number(f"{kind} told right at 0.5", right.mean(), *_share(right), n=int(mine.sum()), data=data, reference_name="random forest", reference=((trees[mine] >= 0.5) == real[mine]).mean())


def _all(samples: af.SampleSet) -> af.Split:
    return af.Split(samples.object_ids, ())


def auc(truth: np.ndarray, said: np.ndarray) -> float:
    """Area below the ROC curve."""
    return float(roc_auc_score(truth, said)) if truth.any() and not truth.all() else float("nan")


def statistics(samples: af.SampleSet) -> np.ndarray:
    """What a person would measure first: of each stamp background, noise, peak and sums in circles over the noise, width and roundness of the middle; of the
    difference also its lowest pixels there, and how much of the light lies in few pixels, in the middle's row and column."""
    arrays = samples.arrays("image")
    flux = np.where(arrays["mask"], arrays["flux"], np.nan)
    y, x = np.mgrid[-31:32, -31:32]
    far = np.hypot(x, y)
    made = []
    for stamps in flux:
        row: list[float] = []
        for stamp in stamps:
            outside = stamp[(far > 15) & np.isfinite(stamp)]
            level = np.median(outside) if len(outside) else 0.0
            noise = max(1.4826 * np.median(np.abs(outside - level)), 1e-3) if len(outside) else 1.0
            clean = np.where(np.isfinite(stamp), (stamp - level) / noise, 0.0)
            inside = np.where(far < 6, np.clip(clean, 0, None), 0.0)
            total = max(inside.sum(), 1e-6)
            moments = [(inside * part).sum() / total for part in (x, y, x * x, y * y, x * y)]
            core = clean[far < 5]
            row += [level, noise, core.max(), core.min(), *(clean[far < radius].sum() / radius for radius in (1.5, 3, 6)), *moments]
            row += [np.sort(core)[-3:].sum() / max(np.abs(core).sum(), 1e-6), (core < -3).sum(), np.median(clean[:, 31]), np.median(clean[31])]
            row += [ndimage.laplace(clean)[far < 3].min()]
        made.append(row)
    return np.array(made)
