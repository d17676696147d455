"""The door's match: tables in, a table of pairs out, and a person's decisions back."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from test_match_regions import gaussian_map

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, TargetError

N = 300


@pytest.fixture(scope="module")
def fields():
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(10, 10.2, N), rng.uniform(-5, -4.8, N)
    return ra, dec, ra + rng.normal(0, 0.2, N) / 3600, dec + rng.normal(0, 0.2, N) / 3600


def kinds(ra, dec, toy):
    """The same positions in everything a person may hold."""
    del toy
    names = [f"s{i}" for i in range(len(ra))]
    return {
        "astropy": Table({"source_id": names, "RAJ2000": ra, "DEJ2000": dec}), "quantities": QTable({"name": names, "ra": ra * u.deg, "dec": (dec * u.deg).to(u.arcmin)}),
        "pandas": pd.DataFrame({"id": names, "ra": ra, "dec": dec}), "arrow": pa.table({"id": names, "ra": ra, "dec": dec}), "mapping": {"ra": ra, "dec": dec},
        "rows": [{"ra": a, "dec": d} for a, d in zip(ra, dec, strict=True)], "targets": af.Targets.from_table({"ra": ra, "dec": dec}), "coordinates": SkyCoord(ra, dec, unit="deg").galactic,
    }  # fmt: skip


@pytest.mark.parametrize("kind", list(kinds(np.zeros(1), np.zeros(1), None)))
def test_every_kind_of_table(fields, kind):
    ra, dec, lon, lat = fields
    made = kinds(ra, dec, None)[kind]
    got = af.match(made, {"ra": lon, "dec": lat}, radius=1 * u.arcsec, how="mutual")
    want = af.match({"ra": ra, "dec": dec}, {"ra": lon, "dec": lat}, radius=1.0, how="mutual")
    np.testing.assert_array_equal(got["right_row"], want["right_row"])
    np.testing.assert_allclose(got["separation"], want["separation"], atol=1e-6)
    assert ("left_id" in got.colnames) == (kind not in ("mapping", "rows", "coordinates"))
    assert np.mean(got["left_row"] == got["right_row"]) > 0.99 and got["separation"].unit == u.arcsec


def test_a_sample_set(toy_samples):
    table = toy_samples.table
    got = af.match(toy_samples, table, radius=0.1)
    assert list(got["left_id"]) == list(toy_samples.object_ids) == list(got["right_id"])


def test_columns_and_meta(fields):
    ra, dec, lon, lat = fields
    lost = ra.copy()
    lost[3] = np.nan
    got = af.match({"ra": lost, "dec": dec}, {"ra": lon, "dec": lat}, radius=20.0)
    assert got.colnames == ["left_row", "right_row", "separation", "candidates", "claims", "ambiguous", "chance", "false_rate", "review", "accepted"]
    assert 3 not in got["left_row"] and got.meta["unmatched"] == 1 and got.meta["notes"][0] == "left: 1 rows have no position and no match"
    assert 0 <= got.meta["false_rate"] <= 1 and got.meta["false_rate_error"] > 0
    np.testing.assert_array_equal(got["ambiguous"], (got["candidates"] > 1) | (got["claims"] > 1))
    # clear, to be looked at, hopeless: every pair is one of these
    clear, hopeless = ~got["review"] & (got["false_rate"] < 0.5), got["false_rate"] >= 0.5
    assert np.all(got["accepted"][clear]) and got["accepted"].mask[got["review"]].all() and not np.any(got["accepted"][hopeless])
    assert got["review"].sum() > 10 and not got["accepted"].mask[~got["review"]].any()
    bare = af.match({"ra": lost, "dec": dec}, {"ra": lon, "dec": lat}, radius=0.0, rates=False)
    assert len(bare) == 0 and "false_rate" not in bare.colnames


def test_sigma_with_errors_in_columns(fields):
    ra, dec, lon, lat = fields
    right = Table({"ra": lon, "dec": lat, "pos_err": np.full(N, 200.0) * u.mas})
    got = af.match({"ra": ra, "dec": dec}, right, sigma=4.0)
    assert np.mean(got["sigma"] ** 2) == pytest.approx(2, abs=0.3)  # Rayleigh
    same = af.match({"ra": ra, "dec": dec, "e": np.zeros(N)}, right, sigma=4.0, errors=("e", 0.2 * u.arcsec))
    np.testing.assert_allclose(same["sigma"], got["sigma"])
    gaia = {"ra": lon, "dec": lat, "ra_error": np.full(N, 0.2), "dec_error": np.full(N, 0.2), "ra_dec_corr": np.zeros(N)}
    np.testing.assert_allclose(af.match({"ra": ra, "dec": dec}, gaia, sigma=4.0)["sigma"], got["sigma"])
    oval = {"ra": lon, "dec": lat, "a": np.full(N, 0.2), "b": np.full(N, 0.2), "pa": np.full(N, 77.0)}
    np.testing.assert_allclose(af.match({"ra": ra, "dec": dec}, oval, sigma=4.0, errors=(None, {"major": "a", "minor": "b", "angle": "pa"}))["sigma"], got["sigma"])


def test_motions_are_followed(fields):
    ra, dec, *_ = fields
    stars = Table({"ra": ra, "dec": dec, "pmra": np.full(N, 3000.0), "pmdec": np.full(N, -1000.0), "ref_epoch": np.full(N, 2016.0)})
    then = af.Targets.from_table({"ra": ra, "dec": dec, "pmra": np.full(N, 3000.0), "pmdec": np.full(N, -1000.0), "epoch": 2016.0 + np.zeros(N)}).at(1955.0)
    plate = {"ra": then.ra, "dec": then.dec, "epoch": np.full(N, 1955.0)}
    assert len(af.match(stars, plate, radius=0.1)) == N == len(af.match(plate, stars, radius=0.1))
    assert len(af.match(stars, {"ra": then.ra, "dec": then.dec}, radius=0.1, epoch=1955.0)) == N
    assert len(af.match(stars, {"ra": then.ra, "dec": then.dec}, radius=0.1)) < N / 10
    undated = Table(stars, copy=True)
    undated.remove_column("ref_epoch")
    assert "not used" in af.match(undated, plate, radius=0.1).meta["notes"][0]


def test_three_lists(fields):
    ra, dec, lon, lat = fields
    got = af.match({"id": [f"a{i}" for i in range(N)], "ra": ra, "dec": dec}, {"ra": lon, "dec": lat}, {"ra": ra[:50], "dec": dec[:50]}, radius=1.0)
    assert set(got.colnames) >= {"row_0", "id_0", "row_1", "row_2", "ra", "dec", "spread", "members", "ambiguous", "review"}
    whole = got[got["members"] == 3]
    assert len(whole) >= 48 and np.all(whole["row_0"] == whole["row_2"]) and got["row_2"].mask.sum() == len(got) - (~got["row_2"].mask).sum()
    told = af.match({"ra": ra, "dec": dec}, {"ra": lon, "dec": lat}, {"ra": ra, "dec": dec}, sigma=4.0, errors=(0.1, 0.2, 0.1), rule="anchored")
    assert np.median(told["probability"]) > 0.99 and told.meta["rule"] == "anchored"


# decisions -----------------------------------------------------------------------------------------


@pytest.fixture
def pairs(fields):
    ra, dec, lon, lat = fields
    return af.match({"ra": ra, "dec": dec}, {"ra": lon, "dec": lat}, radius=20.0)


def test_decisions_are_given_back(pairs):
    open_rows = np.flatnonzero(pairs["accepted"].mask)
    one, two = int(open_rows[0]), int(open_rows[1])
    key = (int(pairs["left_row"][two]), int(pairs["right_row"][two]))
    got = af.decide(pairs, {one: True, key: False}, by="Ada")
    assert (bool(got["accepted"][one]), bool(got["accepted"][two])) == (True, False)
    assert list(got["decided_by"][[one, two]]) == ["Ada", "Ada"] and not got["review"][[one, two]].any()
    assert got["accepted"].mask.sum() == len(open_rows) - 2 and pairs["accepted"].mask[one]  # the first table is as it was
    again = af.decide(got, {one: False}, by="Bea")
    assert not again["accepted"][one] and again["decided_by"][one] == "Bea" and again["decided_by"][two] == "Ada"


@pytest.mark.parametrize("form", ["ecsv", "csv"])
def test_decisions_by_way_of_a_file(pairs, tmp_path, form):
    file = tmp_path / f"review.{form}"
    pairs.write(file, format=f"ascii.{form}")
    row = int(np.flatnonzero(pairs["accepted"].mask)[0])
    text = Table.read(file, format=f"ascii.{form}")
    if form == "csv":
        frame = pd.read_csv(file)
        frame["accepted"] = frame["accepted"].astype(object)
        frame.loc[row, "accepted"] = True
        text = frame
    else:
        text["accepted"][row] = True
    got = af.decide(pairs, text)
    assert bool(got["accepted"][row]) and list(np.flatnonzero(got["decided_by"] != "")) == [row]


def test_decisions_that_are_none(pairs):
    for wrong, words in (({10**6: True}, "there is no pair"), ({(1, 10**6): True}, "there is no pair"), ({0: "perhaps"}, "True or False"), ([1], "a mapping"), (Table({"left_row": [0]}), "a mapping")):
        with pytest.raises(InputError, match=words):
            af.decide(pairs, wrong)


# regions -------------------------------------------------------------------------------------------


def test_an_alert_against_a_catalogue():
    """A map with distances, a window of time; the host is found, and a share of one is given out."""
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(0, 360, 2000), np.degrees(np.arcsin(rng.uniform(-1, 1, 2000)))
    ra[0], dec[0] = 120.0, 35.0
    distance, when = rng.uniform(20, 400, 2000), rng.uniform(59800, 60200, 2000)
    distance[0], when[0] = 125.0, 60001.0
    table = Table({"name": [f"g{i}" for i in range(2000)], "ra": ra, "dec": dec, "distance": distance * u.Mpc, "mjd": when})
    got = af.match(table, gaussian_map(), level=0.9, window=(-1, 30))
    assert len(got) == 2000 and bool(got["inside"][0]) and got["left_id"][0] == "g0"
    assert np.all(got["level"][got["inside"]] <= 0.9) and np.all(got["volume_level"][got["inside"]] <= 0.9)
    assert np.all((got["delay"][got["inside"]] >= -1) & (got["delay"][got["inside"]] <= 30))
    assert got["share"].sum() == pytest.approx(1) and got["share"][0] == got["share"].max()
    kpc = Table(table, copy=True)
    kpc["distance"] = (distance * 1000) * u.kpc
    np.testing.assert_allclose(af.match(kpc, gaussian_map())["volume_density"], got["volume_density"])
    # without host: as many as chance gives, within Poisson noise
    flat = af.match({"ra": ra[1:], "dec": dec[1:]}, gaussian_map(distances=False))
    assert abs(flat.meta["inside"] - flat.meta["expected"]) < 4 * np.sqrt(flat.meta["expected"] + 1)
    assert "volume_level" not in flat.colnames


def test_an_error_region_with_a_window():
    region = af.ErrorRegion(10.0, 5.0, 1.0, time=60000.0)
    got = af.match({"ra": [10.1, 10.1, 10.1, 40.0], "dec": [5.0, 5.0, 5.0, 5.0], "time": [60000.5, 59990.0, np.nan, 60000.5]}, region, window=(-1, 1))
    assert got["inside"].tolist() == [True, False, True, False]
    assert got["share"].tolist() == pytest.approx([0.5, 0, 0.5, 0])


# bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda t: af.match(t, t), InputError, "needs a limit"),
        (lambda t: af.match(t, t, radius=-1), InputError, "radius=-1"),
        (lambda t: af.match(t, t, radius="far"), InputError, "radius='far'"),
        (lambda t: af.match(t, t, radius=1, how="best"), InputError, "how='best'"),
        (lambda t: af.match(t, t, sigma=3), InputError, "no list has errors"),
        (lambda t: af.match(t, t, sigma=3, errors=0.1), InputError, "one entry for each of the 2 lists"),
        (lambda t: af.match(t, t, sigma=3, errors=("e", None)), InputError, "left has no column 'e'"),
        (lambda t: af.match(t, t, sigma=3, errors=({"major": 1}, None)), InputError, "an ellipse has major, minor, angle"),
        (lambda t: af.match(t, t, radius=1, review=(0.5, 0.1)), InputError, "review="),
        (lambda t: af.match(t, t, t, radius=1, rule="all"), InputError, "rule='all'"),
        (lambda t: af.match({"x": [1]}, t, radius=1), TargetError, "match, left: no column for ra"),
        (lambda t: af.match(t, {"ra": [1.0, 2.0], "dec": [1.0, 95.0]}, radius=1), TargetError, r"match, right, row 1: RA 2.0, Dec 95.0 lies off the sky"),
        (lambda t: af.match(t, 5, radius=1), InputError, "a int is no list of sources"),
        (lambda t: af.match("file.csv", t, radius=1), InputError, "a str is no list of sources"),
        (lambda t: af.match(t, af.ErrorRegion(1, 2, 1), level=0), InputError, "level=0"),
        (lambda t: af.match(t, af.ErrorRegion(1, 2, 1), window=(0, 1)), InputError, "the region has no time"),
        (lambda t: af.match(t, af.ErrorRegion(1, 2, 1, time=6e4), window=(0, 1)), InputError, "no column of times"),
        (lambda t: af.match(t, af.ErrorRegion(1, 2, 1, time=6e4), window=(1, 0), time=[1.0]), InputError, "window="),
        (lambda t: af.match(t, af.ErrorRegion(1, 2, 1), t), InputError, "one list at a time"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words.replace("(", r"\(") if "(" in words else words):
        call({"ra": [1.0], "dec": [2.0]})


def test_the_page_runs():
    page = (Path(af.__file__).parents[1] / "docs" / "aligning.md").read_text()
    block = re.search(r"## Match\n.*?```python\n(.*?)```", page, re.DOTALL)[1]
    names: dict = {}
    exec(block, names)
    assert len(names["good"]) > 250 and len(names["objects"]) > 250 and names["inside"]["inside"].sum() > 50
