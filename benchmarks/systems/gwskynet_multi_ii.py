"""GWSkyNet-Multi II: the published networks on real and simulated alerts, areas and volumes by our code, and the network trained anew beside trees."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, chi
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from systems_parts import Number, interval, paired

import astrofuse_lab as af
from astrofuse_lab import credible_regions
from astrofuse_lab.samples.simulated_gw_alerts import simulated_alerts

Array = NDArray[Any]
REAL, SIMULATED = "gw-alerts, 23 O3a alerts with a map", "practice-gw-alerts (simulated), test part"


def counts(quick: bool) -> int:
    """Simulated alerts."""
    return 2400 if quick else 6000


def with_maps() -> Any:
    """The real alerts that have a map."""
    whole = af.load_samples("gw-alerts", progress=False)
    return whole.take(np.flatnonzero(~np.ma.getmaskarray(whole.column("log_bci"))))


def said(ensemble: Any, samples: Any) -> Array:
    """Probabilities of each member, (member, sample, class)."""
    return np.stack([run.outputs(samples)[0] for run in ensemble])


def balanced(truth: Array, guess: Array) -> float:
    """Mean over classes of the share that is found."""
    return float(np.mean([(guess[truth == c] == c).mean() for c in np.unique(truth)]))


def binomial(k: int, n: int) -> tuple[float, float]:
    """95 % interval of a share (Clopper & Pearson)."""
    found = binomtest(k, n).proportion_ci()
    return float(found.low), float(found.high)


def measure(quick: bool) -> Any:
    """Real alerts, then simulated ones."""
    published = af.Run.original("gwskynet_multi_ii")
    yield from on_real(published)
    yield from of_maps()
    samples = af.load_samples("practice-gw-alerts", n=counts(quick), seed=1, progress=False)
    yield from on_simulated(published, samples, quick)


def on_real(published: Any) -> Any:
    """Classes and uncertainties of the alerts with a map."""
    seen = with_maps()
    each = said(published, seen)
    classes = np.array(published.classes)
    guess, finite = classes[each.mean(axis=0).argmax(axis=1)], ~np.ma.getmaskarray(seen.column("map_vol90_mpc3"))
    alert = np.asarray(seen.column("alert_class")).astype(str)
    right = int((guess == alert)[finite].sum())
    yield Number(
        "alerts in the class of their p_astro, published weights", right / 22, *binomial(right, 22), n=22, data=REAL, reference_name="all BBH", reference=float((alert[finite] == "BBH").mean()),
        difference=paired(lambda t, g: float((t == g).mean()), alert[finite], guess[finite], np.full(22, "BBH")), published=182 / 195, note=f"{right} of 22; published: 195 alerts of O4a and O4b",
        higher_is_better=True,
    )  # fmt: skip
    gaps = []
    for i, name in enumerate(published.classes):
        for what, got in (("", each.mean(axis=0)), ("std_", each.std(axis=0))):
            gaps.append(np.nanmax(np.abs(np.ma.filled(seen.column(f"gwskynet2_{what}{name}").astype(float), np.nan) - 100 * got[:, i])))
    yield Number("largest difference from the independent run, per cent", float(max(gaps)), n=22, data=REAL, note="means and standard deviations of 20 members; that run is rounded to 0.1", higher_is_better=False)
    lost = each[:, ~finite, 0]
    yield Number("P(Glitch) of S190718y, whose volume is infinite", float(lost.mean()), float(lost.mean() - lost.std()), float(lost.mean() + lost.std()), n=1, data=REAL, note="interval: standard deviation of 20 members; p_astro 98 % terrestrial")
    top = each.std(axis=0)[np.arange(len(guess)), each.mean(axis=0).argmax(axis=1)]
    yield Number("spread over members of the predicted class, alerts in the alert's class", float(top[finite & (guess == alert)].mean()), n=right, data=REAL)
    yield Number("the same, the other alerts", float(top[finite & (guess != alert)].mean()), n=22 - right, data=REAL)


def of_maps() -> Any:
    """Areas of the real maps, and a volume that is known."""
    import pyarrow.parquet as pq

    table = pq.read_table(Path(os.environ["ASTROFUSE_MIRROR"]) / "gw_alerts" / "o3_bayestar_skymaps.parquet", columns=["area90_deg2", "prob_nside32_nested"])
    maps = np.array(table["prob_nside32_nested"].to_pylist(), np.float64)
    maps /= maps.sum(axis=1, keepdims=True)
    given = np.array(table["area90_deg2"])
    for name, one in (("90 % areas within 5 % of the table, of 23", credible_regions.finer(maps)), ("the same, cells of nside 32 as they are", maps)):
        error = np.abs(credible_regions.area(one) / given - 1)
        yield Number(name, float((error < 0.05).sum()), n=23, data=REAL, note=f"median error {np.median(error):.2%}, largest {error.max():.1%}; the table is of maps up to nside 1024")
    cells = 12 * 16**2
    got = credible_regions.volume(np.full(cells, 1 / cells), np.zeros(cells), np.full(cells, 50.0), np.ones(cells))
    yield Number("relative error of the 90 % volume of a Gaussian ball", abs(float(got) / (4 / 3 * np.pi * (50 * chi(3).ppf(0.9)) ** 3) - 1), data="a shape whose volume is known")


def on_simulated(published: Any, samples: Any, quick: bool) -> Any:
    """Trained anew, beside trees; and the published networks, which never saw this simulation."""
    split = samples.split(0.3, seed=0)
    train, test = samples.select(list(split.train)), samples.select(list(split.test))
    seeds = (0, 1, 2) if quick else tuple(range(20))
    ours = af.train_ensemble("gwskynet_multi_ii", train, "classification", seeds=seeds, device="cpu", progress=False)
    truth = np.asarray(test.column("classification")).astype(str)
    guess = np.array(ours.classes)[said(ours, test).mean(axis=0).argmax(axis=1)]
    x, y = (one.represent("table", "alert_numbers").arrays("table")["values"] for one in (train, test))
    label = np.asarray(train.column("classification")).astype(str)
    trees = {
        "boosted trees": HistGradientBoostingClassifier(random_state=0).fit(x, label).predict(y), "extra trees": ExtraTreesClassifier(400, min_samples_leaf=2, random_state=0).fit(x, label).predict(y),
        "distance alone": HistGradientBoostingClassifier(random_state=0).fit(x[:, 5:6], label).predict(y[:, 5:6]),
    }  # fmt: skip
    common: dict[str, Any] = {"n": len(test), "data": SIMULATED}
    note = f"{len(train)} training alerts, {len(seeds)} seeds"
    for name, theirs in trees.items():
        yield Number(
            f"balanced accuracy of four classes, trained anew, beside {name}", balanced(truth, guess), *interval(balanced, truth, guess), **common, reference_name=name, reference=balanced(truth, theirs),
            difference=paired(balanced, truth, guess, theirs), note=note, higher_is_better=True,
        )  # fmt: skip
    shifted = np.array(published.classes)[said(published, test).mean(axis=0).argmax(axis=1)]
    yield Number(
        "balanced accuracy of four classes, published weights", balanced(truth, shifted), *interval(balanced, truth, shifted), **common, reference_name="trained anew", reference=balanced(truth, guess),
        difference=paired(balanced, truth, shifted, guess), note="distribution shift: simulated glitches and mergers are not those that the authors trained on",
    )  # fmt: skip
    for name in published.classes:
        some = truth == name
        k = int((shifted[some] == "Glitch").sum())
        yield Number(f"simulated {name} of O4 that the published weights call Glitch", k / some.sum(), *binomial(k, int(some.sum())), n=int(some.sum()), data=SIMULATED)
    early = simulated_alerts(200 if quick else 1000, 3, "O3", "BBH")
    k = int((said(published, early).mean(axis=0).argmax(axis=1) == 0).sum())
    yield Number("simulated BBH of O3 that the published weights call Glitch", k / len(early), *binomial(k, len(early)), n=len(early), data="simulated")
