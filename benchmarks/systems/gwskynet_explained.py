"""What GWSkyNet-Multi II goes by: inputs times 0.25 to 4, and exact Shapley values, on the published weights and real alerts."""

from typing import Any

import numpy as np
from systems_parts import Number

import astrofuse_lab as af
from systems.gwskynet_multi_ii import counts, with_maps

GROUPS = {"area and volume": ["map_area90_deg2", "map_vol90_mpc3"], "detectors": ["H1", "L1", "V1"], "distance": ["distmean_mpc", "diststd_mpc"]}
SCALED = ("map_vol90_mpc3", "map_area90_deg2", "distmean_mpc", "diststd_mpc", "log_bsn", "log_bci")
DATA = "gw-alerts, 22 O3a alerts with a map and a finite volume"


def measure(quick: bool) -> Any:
    """Response, shares, and checks of both."""
    published = af.Run.original("gwskynet_explained")
    seen = with_maps()
    seen = seen.take(np.flatnonzero(~np.ma.getmaskarray(seen.column("map_vol90_mpc3"))))
    background = af.load_samples("practice-gw-alerts", n=counts(quick), seed=1, progress=False).take(np.arange(40 if quick else 200))
    for target in ("Glitch", "BBH"):
        for column in SCALED:
            found = af.explain.respond(published, seen, column=column, target=target, score="probability")
            width = np.ptp(found.likely.mean(axis=0), axis=0)
            yield Number(
                f"change of P({target}) while {column} goes from a quarter to four times", float(width.mean()), *np.percentile(width, [2.5, 97.5]).tolist(), n=len(width), data=DATA,
                note=f"mean over alerts, interval their 95 % range; mean band of 20 members {found.likely.std(axis=0).mean():.3f}",
            )  # fmt: skip
    for target in ("Glitch", "BBH", "BNS"):
        shares = af.explain.column_shares(published, seen, background, target=target)
        gap = np.abs(shares.shapley.sum(axis=1) - (shares.score - shares.base)).max()
        total = shares.total
        for row in total[:3]:
            yield Number(
                f"mean |Shapley value| of {row['player']} in the log odds of {target}", float(row["mean_abs_shapley"]), n=len(seen), data=DATA,
                note=f"of nine columns; spread over 20 members {row['spread']:.2f}; background {len(background)} simulated alerts",
            )  # fmt: skip
        yield Number(f"largest gap between the sum of the shares and the score, {target}", float(gap), n=len(seen), data=DATA, higher_is_better=False)
        strength = np.abs(shares.shapley).mean(axis=0)
        ablated = _ablation(published, seen, background, target)
        if target == "Glitch":
            yield from _beside(published, seen, strength)
        yield Number(f"rank correlation of the shares with what is lost when one column takes the background's median, {target}", _rank(strength, ablated), n=9, data=DATA, note="a check by another question")
    together = af.explain.column_shares(published, seen, background, groups=GROUPS, target="Glitch").total
    for row in together[:2]:
        yield Number(f"mean |Shapley value| of the group {row['player']} in the log odds of Glitch", float(row["mean_abs_shapley"]), n=len(seen), data=DATA)


def _beside(published: Any, seen: Any, strength: Any) -> Any:
    """LIME and sampled KernelSHAP, which begin at one usual alert and not at many; and the trust checks."""
    for method in ("lime", "kernel_shap"):
        values = af.explain.attribute(published, seen, method, target="Glitch").values["table"]
        yield Number(f"rank correlation of the shares with {method}, Glitch", _rank(strength, np.abs(np.asarray(values)).mean(axis=0)), n=9, data=DATA, note="mean absolute value of each column; other baseline")
    checks = af.explain.check(published.runs[0], seen)
    done = [row for row in checks.rows if row.about and row.passed is not None]
    yield Number("trust checks passed, integrated gradients of one member", float(sum(bool(row.passed) for row in done)), n=len(done), data=DATA, note=checks.verdict)


def _ablation(published: Any, seen: Any, background: Any, target: str) -> Any:
    goal = published.classes.index(target)
    own, usual = (np.asarray(published.runs[0].batch(one).values["table"]) for one in (seen, background))

    def odds(rows: Any) -> Any:
        import torch

        given = published.runs[0].batch(seen)
        scores = []
        for run in published:
            values = run.model({"table": torch.from_numpy(rows)}, given.masks, given.present).values.detach().double()
            others = [i for i in range(values.shape[1]) if i != goal]
            scores.append((values[:, goal] - values[:, others].logsumexp(1)).numpy())
        return np.mean(scores, axis=0)

    lost = []
    for column in range(9):
        rows = own.copy()
        rows[:, column] = np.median(usual[:, column])
        lost.append(np.abs(odds(own) - odds(rows)).mean())
    return np.array(lost)


def _rank(one: Any, other: Any) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(one, other).statistic)
