"""Exact Shapley values of columns beside the sum over orders that defines them, and beside KernelSHAP's weighted least squares over all coalitions."""

import itertools
from math import comb, factorial

import numpy as np
import pytest

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.samples.simulated_gw_alerts import simulated_alerts

GROUPS = {"detectors": ["H1", "L1", "V1"], "distance": ["distmean_mpc", "diststd_mpc"], "bayes": ["log_bsn", "log_bci"]}


@pytest.fixture(scope="module")
def alerts():
    return simulated_alerts(36, 2)


@pytest.fixture(scope="module")
def ensemble(alerts):
    return af.train_ensemble("gwskynet_multi_ii", alerts, "classification", seeds=(0, 1), epochs=3, device="cpu", progress=False)


def literal(run, samples, background, goal, players):
    """Scores of all sets of players for one sample, one row at a time, through `Run`'s own weights as plain sums."""
    w = {name: tensor.detach().double().numpy() for name, tensor in run.model.state_dict().items()}
    x, b = (one.represent("table", "alert_numbers").arrays("table")["values"].astype(np.float32).astype(float) for one in (samples, background))

    def score(row):
        h = np.maximum(row @ w["encoders.table.layers.steps.0.weight"].T + w["encoders.table.layers.steps.0.bias"], 0)
        h = np.maximum(h @ w["encoders.table.layers.steps.2.weight"].T + w["encoders.table.layers.steps.2.bias"], 0)
        p = np.exp(h @ w["heads.all.layers.0.weight"].T + w["heads.all.layers.0.bias"])
        p = p[goal] / p.sum()
        return np.log(p / (1 - p))

    game = {}
    for inside in itertools.product([False, True], repeat=len(players)):
        own = [c for here, some in zip(inside, players, strict=True) if here for c in some]
        values = []
        for other in b:
            row = other.copy()
            row[own] = x[0, own]
            values.append(score(row))
        game[inside] = np.mean(values)
    return game


def over_orders(game, count):
    """The definition: what each adds, averaged over all orders of joining."""
    found = np.zeros(count)
    for order in itertools.permutations(range(count)):
        inside = [False] * count
        for player in order:
            before = game[tuple(inside)]
            inside[player] = True
            found[player] += game[tuple(inside)] - before
    return found / factorial(count)


def kernel_shap(game, count):
    """Lundberg & Lee 2017, theorem 2: the weighted least squares whose weights are the Shapley kernel, none and all held exactly."""
    none, whole = game[(False,) * count], game[(True,) * count]
    rows = [inside for inside in game if 0 < sum(inside) < count]
    weight = np.array([(count - 1) / (comb(count, sum(one)) * sum(one) * (count - sum(one))) for one in rows])
    z = np.array(rows, float)
    y = np.array([game[one] for one in rows]) - none - z[:, -1] * (whole - none)
    a = z[:, :-1] - z[:, -1:]
    first = np.linalg.solve(a.T @ (weight[:, None] * a), a.T @ (weight * y))
    return np.append(first, whole - none - first.sum())


def test_exact_values_of_each_member_and_their_spread(alerts, ensemble):
    one, background = alerts.take(np.array([3])), alerts.take(np.arange(30, 36))
    got = af.explain.column_shares(ensemble, one, background, groups=GROUPS)
    assert got.players == ("map_vol90_mpc3", "map_area90_deg2", "detectors", "distance", "bayes")
    players = [[0], [1], [2, 3, 4], [5, 6], [7, 8]]
    goal = ensemble.classes.index(got.target[0])
    games = [literal(run, one, background, goal, players) for run in ensemble]
    each = np.array([over_orders(game, 5) for game in games])
    assert got.shapley[0] == pytest.approx(each.mean(axis=0), abs=2e-5) and got.spread[0] == pytest.approx(each.std(axis=0), abs=2e-5)
    assert got.shapley.sum() == pytest.approx(float(got.score[0] - got.base[0]), abs=1e-6)
    assert each[0] == pytest.approx(kernel_shap(games[0], 5))
    table, total = got.table(), got.total
    assert table["bayes_spread"][0] == got.spread[0, 4] and table.meta["simulated"] and list(total["mean_abs_shapley"]) == sorted(total["mean_abs_shapley"], reverse=True)


def test_nine_columns_and_a_column_that_is_not_used(alerts, ensemble):
    """All 2^9 sets; a column whose weights are zero has exactly nothing."""
    import copy

    run = ensemble.runs[0]
    deaf = copy.copy(run)
    deaf.model = copy.deepcopy(run.model)
    deaf.model.state_dict()["encoders.table.layers.steps.0.weight"][:, 5] = 0
    got = af.explain.column_shares(deaf, alerts.take(np.arange(2)), alerts.take(np.arange(30, 33)), target="BBH", score="probability")
    assert got.shapley.shape == (2, 9) and (np.abs(got.shapley[:, 5]) < 1e-9).all() and set(got.target) == {"BBH"} and (got.spread == 0).all()
    assert got.shapley.sum(axis=1) == pytest.approx(got.score - got.base, abs=1e-6)
    assert got.score == pytest.approx(deaf.outputs(alerts.take(np.arange(2)))[0][:, deaf.classes.index("BBH")], abs=1e-6)


def test_what_cannot_be_shared(alerts, ensemble):
    few = alerts.take(np.arange(2))
    with pytest.raises(UnknownNameError):
        af.explain.column_shares(ensemble, few, few, groups={"a": ["distmean"]})
    with pytest.raises(InputError, match="two groups"):
        af.explain.column_shares(ensemble, few, few, groups={"a": ["H1"], "b": ["H1"]})
    with pytest.raises(InputError):
        af.explain.column_shares(ensemble, few, few, modality="image")
