"""GWSkyNet-MassGap: P(mass gap) and P(NS) of simulated mergers, their error against chirp mass, beside trees and beside what the chirp mass itself would tell."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neighbors import KNeighborsRegressor
from systems_parts import Number, interval, paired

import astrofuse_lab as af
from systems.gwskynet_multi_ii import SIMULATED, counts, said

LABELS = ("has_mass_gap", "has_ns")
NAMES = {"has_mass_gap": "P(mass gap)", "has_ns": "P(NS)"}
PUBLISHED = {"has_mass_gap": 0.09, "has_ns": 0.06}
SHARES = {"BBH": 283 / 304, "NSBH": 12 / 304, "BNS": 9 / 304}
"""Of the real alerts of "gw-alerts"."""
EDGES = (0.8, 2.0, 4.0, 8.0, 15.0, 80.0)
"""Solar masses."""


def error(truth: NDArray[Any], guess: NDArray[Any]) -> float:
    """Mean absolute difference of probabilities."""
    return float(np.abs(truth - guess).mean())


def measure(quick: bool) -> Any:
    """Errors of both probabilities."""
    samples = af.load_samples("practice-gw-alerts", n=counts(quick), seed=1, progress=False)
    samples = samples.take(np.flatnonzero(~np.ma.getmaskarray(samples.column("has_ns"))))
    split = samples.split(0.3, seed=0)
    train, test = samples.select(list(split.train)), samples.select(list(split.test))
    seeds = (0, 1, 2) if quick else tuple(range(20))
    ours = af.train_ensemble("gwskynet_massgap", train, list(LABELS), seeds=seeds, device="cpu", progress=False)
    told = said(ours, test).mean(axis=0)
    x, y = (one.represent("table", "alert_numbers").arrays("table")["values"] for one in (train, test))
    chirp, known = (np.log(np.asarray(one.column("chirp_mass"), float)) for one in (test, train))
    common: dict[str, Any] = {"n": len(test), "data": SIMULATED + ", mergers"}
    for i, name in enumerate(LABELS):
        yes, learnt = (np.asarray(one.column(name)).astype(float) for one in (test, train))
        # what the chirp mass would tell, if it were known: the share among the training mergers next to it
        soft = KNeighborsRegressor(40).fit(known[:, None], learnt).predict(chirp[:, None])
        trees = HistGradientBoostingClassifier(random_state=0).fit(x, learnt > 0.5).predict_proba(y)[:, 1]
        yield Number(
            f"mean error of {NAMES[name]} against the share at its chirp mass", error(soft, told[:, i]), *interval(error, soft, told[:, i]), **common, reference_name="boosted trees",
            reference=error(soft, trees), difference=paired(error, soft, told[:, i], trees), published=PUBLISHED[name],
            note=f"{len(train)} training mergers, {len(seeds)} seeds; published: real O4a alerts against posteriors of masses", higher_is_better=False,
        )  # fmt: skip
        yield Number(
            f"mean error of {NAMES[name]} against yes or no", error(yes, told[:, i]), *interval(error, yes, told[:, i]), **common, reference_name="the chirp mass itself", reference=error(yes, soft),
            difference=paired(error, yes, told[:, i], soft), note="the chirp mass is not an input: it is what the network would have to infer",
        )  # fmt: skip
        kind = np.asarray(test.column("classification")).astype(str)
        mixed = sum(share * error(soft[kind == one], told[kind == one, i]) for one, share in SHARES.items())
        yield Number(f"mean error of {NAMES[name]}, classes in the shares of real alerts", float(mixed), **common, published=PUBLISHED[name], note="283 BBH, 12 NSBH, 9 BNS; against the share at its chirp mass", higher_is_better=False)
        for low, high in pairwise(EDGES):
            some = (np.exp(chirp) >= low) & (np.exp(chirp) < high)
            if some.sum() > 5:
                bounds = interval(error, yes[some], told[some, i])
                yield Number(f"mean error of {NAMES[name]} against yes or no, chirp mass {low:g} to {high:g}", error(yes[some], told[some, i]), *bounds, n=int(some.sum()), data=SIMULATED + ", mergers")
