"""Targets from tables: positions checked, rows named, nothing guessed silently."""

import tracemalloc
import warnings
from dataclasses import replace

import astropy.units as u
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, Table
from astropy.time import Time
from hypothesis import example, given, settings
from hypothesis import strategies as st

from astrofuse_lab.errors import InputError, TargetError
from astrofuse_lab.positions import close_pairs, within
from astrofuse_lab.targets import Target, Targets


def test_from_mapping_table_and_rows_agree():
    columns = {"name": ["a", "b"], "ra": [10.0, 20.0], "dec": [-1.0, 2.0]}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    expected = Targets([Target("a", 10.0, -1.0), Target("b", 20.0, 2.0)])
    for table in (columns, rows, Table(columns)):
        assert list(Targets.from_table(table)) == list(expected)


def test_units_are_converted():
    table = Table({"RAJ2000": [1.0], "DEJ2000": [np.pi / 4]}, units={"RAJ2000": "hourangle", "DEJ2000": "rad"})
    target = Targets.from_table(table)[0]
    assert target.ra == pytest.approx(15.0) and target.dec == pytest.approx(45.0)


@pytest.mark.parametrize(
    ("ra", "dec", "word"),
    [(400.0, 0.0, "RA 400"), (-1.0, 0.0, "RA -1"), (10.0, 91.0, "swapped"), (np.nan, 0.0, "not a number"), (10.0, np.inf, "not a number")],
)
def test_positions_off_the_sky_name_the_row(ra, dec, word):
    with pytest.raises(TargetError, match="row 1.*" + word):
        Targets.from_table({"ra": [1.0, ra], "dec": [1.0, dec]})


def test_a_masked_position_is_named():
    table = Table({"ra": MaskedColumn([1.0, 2.0], mask=[False, True]), "dec": [0.0, 0.0]})
    with pytest.raises(TargetError, match="row 1"):
        Targets.from_table(table)


def test_repeated_rows_are_noted_and_repeated_ids_refused():
    targets = Targets.from_table({"id": ["a", "a", "b"], "ra": [1, 1, 2], "dec": [0, 0, 0]})
    assert targets.ids == ("a", "b") and "row 1" in targets.notes[0]
    with pytest.raises(TargetError, match="already given in row 0"):
        Targets.from_table({"id": ["a", "a"], "ra": [1, 2], "dec": [0, 0]})


def test_missing_columns_say_what_to_type():
    with pytest.raises(TargetError, match="from_table"):
        Targets.from_table({"lon": [1.0], "lat": [2.0]})
    with pytest.raises(TargetError, match="not numeric"):
        Targets.from_table({"ra": ["ten"], "dec": [1.0]})
    with pytest.raises(TargetError, match="cannot read"):
        Targets.from_table([1, 2, 3])


def test_select_keeps_order_and_refuses_unknown():
    targets = Targets.from_table({"id": ["a", "b", "c"], "ra": [1, 2, 3], "dec": [0, 0, 0]})
    assert targets.select(["c", "a"]).ids == ("c", "a")
    with pytest.raises(TargetError, match="'z'"):
        targets.select(["z"])


def moved_by_astropy(ra, dec, pmra, pmdec, years):
    start = Time(2000.0, format="jyear", scale="tdb")
    rates = {"pm_ra_cosdec": pmra * u.mas / u.yr, "pm_dec": pmdec * u.mas / u.yr}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ERFA assumes a distance where none is given, and says so
        return SkyCoord(ra * u.deg, dec * u.deg, obstime=start, **rates).apply_space_motion(dt=years * u.yr)


def test_proper_motion_moves_barnards_star():
    # Gaia DR3: pmra -801.551, pmdec 10362.394 mas/yr; 100 years are about 1039 arcsec
    star = Targets([Target("Barnard", 269.448502, 4.739420, 2016.0, -801.551, 10362.394)])
    moved = star.at(2116.0)[0]
    assert (moved.dec - 4.739420) * 3600 == pytest.approx(1036.24, abs=0.02)
    truth = moved_by_astropy(269.448502, 4.739420, -801.551, 10362.394, 100.0)
    assert SkyCoord(moved.ra * u.deg, moved.dec * u.deg).separation(truth).arcsec < 1e-3
    back = Targets([moved]).at(2016.0)[0]
    # what moved straight on is a little farther away, which no one knows without its radial velocity: a second-order term
    assert (back.ra, back.dec, back.pmra, back.pmdec) == pytest.approx((269.448502, 4.739420, -801.551, 10362.394), rel=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0, 360), st.one_of(st.floats(-89, 89), st.floats(89, 89.98), st.floats(-89.98, -89)),
    st.floats(-11000, 11000), st.floats(-11000, 11000), st.floats(-200, 200),
)  # fmt: skip
def test_motion_is_that_of_erfa_also_across_a_pole(ra, dec, pmra, pmdec, years):
    moved = Targets([Target("x", ra, dec, 2000.0, pmra, pmdec)]).at(2000.0 + years)
    truth = moved_by_astropy(ra, dec, pmra, pmdec, years)
    assert -90 <= moved.dec[0] <= 90 and 0 <= moved.ra[0] <= 360
    # nearer to a pole than 0.02 deg ERFA's d(RA)/dt turns round within a year, and is of no use
    assert SkyCoord(moved.ra * u.deg, moved.dec * u.deg).separation(truth).mas[0] < 2


@pytest.mark.parametrize("dec", [90.0, -90.0])
@pytest.mark.parametrize("ra", [0.0, 77.0, 300.0])
def test_motion_away_from_a_pole_itself(ra, dec):
    """East of RA 77 deg is towards RA 167 deg; north at the north pole is on along the meridian, towards RA 257 deg."""
    east = Targets([Target("x", ra, dec, 2000.0, 3600.0, 0.0)]).at(2100.0)[0]
    assert abs(dec) - abs(east.dec) == pytest.approx(0.1, rel=1e-5) and east.ra == pytest.approx((ra + 90) % 360)
    over = Targets([Target("x", ra, dec, 2000.0, 0.0, np.sign(dec) * 3600.0)]).at(2100.0)[0]
    assert abs(dec) - abs(over.dec) == pytest.approx(0.1, rel=1e-5) and over.ra == pytest.approx((ra + 180) % 360)


def test_what_does_not_move_keeps_its_position_to_the_last_bit():
    still = Targets([Target("a", 123.456789012345, -89.999999, 2000.0), Target("b", 360.0, 1.0, 2000.0, 5.0, 5.0)])
    assert still.at(2016.0)[0] == replace(still[0], epoch=2016.0)
    assert list(still.at(2000.0)) == list(still)


@given(st.lists(st.tuples(st.floats(0, 360), st.floats(-90, 90)), max_size=20))
def test_any_position_on_the_sky_is_taken(positions):
    ra, dec = [p[0] for p in positions], [p[1] for p in positions]
    targets = Targets.from_table({"ra": ra, "dec": dec})
    assert len(targets) == len(positions) and all("both kept" in note for note in targets.notes)
    assert np.array_equal(targets.ra, np.array([t.ra for t in targets]))


COLUMNS = {"id": ["a", "b"], "ra": [10.0, 20.0], "dec": [-1.0, 2.0], "pmra": [3.0, np.nan], "ref_epoch": [2015.5, np.nan]}


@pytest.mark.parametrize("kind", [dict, Table, pd.DataFrame, pa.table])
def test_all_kinds_of_tables_agree(kind):
    assert list(Targets.from_table(kind(COLUMNS))) == [Target("a", 10.0, -1.0, 2015.5, 3.0), Target("b", 20.0, 2.0)]


def test_missing_values_of_pandas_are_no_values():
    frame = pd.DataFrame({"source_id": [1, 2], "ra": [1.0, 2.0], "dec": [0.0, 0.0], "pmra": pd.array([7, None], dtype="Int64")})
    assert [t.pmra for t in Targets.from_table(frame)] == [7.0, 0.0]


def test_units_of_motions_are_converted():
    table = Table({"ra": [1.0], "dec": [2.0], "pmRA": [0.5], "pmDE": [-0.25]}, units={"pmRA": "arcsec/yr", "pmDE": "arcsec/yr"})
    assert (Targets.from_table(table)[0].pmra, Targets.from_table(table)[0].pmdec) == pytest.approx((500.0, -250.0))


def test_the_epoch_is_a_number_or_a_column():
    columns = {"ra": [1.0, 2.0], "dec": [0.0, 0.0], "when": [1991.25, 2000.0]}
    assert [t.epoch for t in Targets.from_table(columns, epoch=2000.0)] == [2000.0, 2000.0]
    assert [t.epoch for t in Targets.from_table(columns, epoch="when")] == [1991.25, 2000.0]
    with pytest.raises(TargetError, match=r"row 1.*Julian year"):
        Targets.from_table({**columns, "when": [2000.0, 51544.5]}, epoch="when")
    with pytest.raises(TargetError, match="no column for epoch"):
        Targets.from_table(columns, epoch="date")


def test_positions_may_be_text_in_any_notation():
    targets = Targets.from_table({"ra": ["10:00:24", "150.1", "10h00m24s"], "dec": ["+02:12:00", "2.2", "2d12m"]}, near=0)
    assert targets.ra == pytest.approx([150.1] * 3) and targets.dec == pytest.approx([2.2] * 3)
    degrees = Table({"ra": ["10:30:00"], "dec": ["1:0:0"]}, units={"ra": "deg"})
    assert Targets.from_table(degrees).ra[0] == 10.5


BAD = {"id": ["a", "b", "c", "", "a", "b"], "ra": [1.0, 400.0, np.nan, 4.0, 1.0, 6.0], "dec": [0.0] * 6}


def test_bad_rows_are_left_out_by_number_and_value():
    targets = Targets.from_table(BAD, errors="skip")
    assert targets.ids == ("a", "b") and targets.ra[1] == 6.0
    words = "\n".join(targets.notes)
    assert all(part in words for part in ("row 1 ('b'): RA 400.0", "row 2 ('c')", "row 3 (''): the id is empty", "row 4: 'a' repeats row 0"))
    with pytest.raises(TargetError, match=r"row 1.*RA 400.*2 others: rows 2, 3.*errors='skip'"):
        Targets.from_table(BAD)
    with pytest.raises(InputError, match="errors='ignore'"):
        Targets.from_table(BAD, errors="ignore")


def test_the_same_id_elsewhere_is_left_out_and_said():
    targets = Targets.from_table({"id": ["a", "a"], "ra": [1, 2], "dec": [0, 0]}, errors="skip")
    assert targets.ids == ("a",) and "already given in row 0" in targets.notes[0]


def test_neighbours_are_named_and_kept():
    targets = Targets.from_table({"id": ["a", "b", "c"], "ra": [0.0, 359.9999, 10.0], "dec": [0.0, 0.0, 5.0]}, near=1.0)
    assert len(targets) == 3 and len(targets.notes) == 1
    assert "row 1: 'b' lies 0.36 arcsec from 'a' (row 0)" in targets.notes[0]
    assert not Targets.from_table({"ra": [0.0, 359.9999], "dec": [0.0, 0.0]}, near=0.1).notes
    with pytest.raises(InputError, match="near=-1"):
        Targets.from_table({"ra": [0.0], "dec": [0.0]}, near=-1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([5, 260]), st.sampled_from([(0.0, 0.0), (359.999, 40.0), (77.0, 89.9999), (0.0, -90.0)]), st.floats(0, 30))
def test_every_object_with_a_neighbour_is_found(seed, n, centre, tolerance):
    """Against all pairs, on either side of the size from which a tree is used, at RA 0 and at the poles."""
    rng = np.random.default_rng(seed)
    ra = (centre[0] + rng.normal(0, 0.02, n)) % 360
    dec = np.clip(centre[1] + rng.normal(0, 0.02, n), -90, 90)
    ra[n // 2 :: 3], dec[n // 2 :: 3] = ra[0], dec[0]
    place = SkyCoord(ra * u.deg, dec * u.deg)
    apart = place[:, None].separation(place[None]).arcsec
    np.fill_diagonal(apart, np.inf)
    if np.any(np.abs(apart - tolerance) < 1e-5):
        return  # on the border, rounding decides
    pairs = close_pairs(ra, dec, tolerance)
    named = {row for one in pairs for row in one[:2]}
    assert named == set(np.flatnonzero(apart.min(axis=1) <= tolerance))
    assert all(one > other and distance == pytest.approx(apart[one, other], abs=1e-5) for one, other, distance in pairs)


def test_a_time_window_of_all_or_of_each():
    columns = {"id": ["a", "b"], "ra": [1.0, 2.0], "dec": [0.0, 0.0], "time_start": [57000.0, np.nan], "time_stop": [57001.0, np.nan]}
    targets = Targets.from_table(columns, time=("2020-01-01", Time("2020-01-03")))
    assert targets[0].time == (57000.0, 57001.0) and targets[1].time == pytest.approx((58849.0, 58851.0))
    assert targets.during(1.0, 2.0)[0].time == (1.0, 2.0) and targets.during(1.0, 2.0).ids == targets.ids
    with pytest.raises(InputError, match="no interval"):
        targets.during(2.0, 1.0)
    with pytest.raises(InputError, match="no date"):
        targets.during("yesterday", 1.0)
    with pytest.raises(InputError, match="not a pair"):
        Targets.from_table(columns, time=3.0)
    with pytest.raises(TargetError, match=r"row 0.*no interval"):
        Targets.from_table({**columns, "time_stop": [56000.0, np.nan]})


def test_copies_carry_time_and_identifier():
    first = Targets([Target("a", 1.0, 2.0, time=(1.0, 2.0)), Target("b", 3.0, 4.0, identifier="B"), Target("c", 5.0, 6.0, 2000.0, 1.0, 2.0)])
    assert list(Targets.from_table(first.to_dict())) == list(first)
    moved = first.at(2050.0)
    assert [(t.time, t.identifier) for t in moved] == [((1.0, 2.0), ""), (None, "B"), (None, "")]
    assert list(first.select(["b", "a"])) == [first[1], first[0]] and list(first[1:]) == [first[1], first[2]] and first[-1] == first["c"]
    assert "time_start" not in Targets([Target("c", 5.0, 6.0)]).to_dict()
    with pytest.raises(IndexError):
        first[3]
    with pytest.raises(TargetError, match="2 times"):
        first.select(["a", "a"])


def test_targets_without_position_are_equal_to_themselves():
    events = Targets.from_identifiers(["GW150914"])
    assert events[0] == Target("GW150914", identifier="GW150914") and not events[0].has("position")
    assert Targets.from_times({"flare": ("2017-09-06", "2017-09-07")})[0].time == pytest.approx((58002.0, 58003.0))


def test_columns_cannot_be_changed_from_outside():
    targets = Targets([Target("a", 1.0, 2.0)])
    with pytest.raises(ValueError, match="read-only"):
        targets.ra[0] = 5.0


def test_a_hundred_thousand_targets_stay_small():
    n = 100_000
    ra, dec = np.linspace(0, 359.99, n), np.linspace(-89, 89, n)
    ids = [f"object-{i}" for i in range(n)]
    tracemalloc.start()
    targets = Targets.from_table({"id": ids, "ra": ra, "dec": dec})
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(targets) == n and targets[n - 1].object_id == f"object-{n - 1}"
    assert held < 12e6 and peak < 120e6


@given(st.lists(st.sampled_from("abc"), max_size=6), st.integers(0, 2**16))
@example(["a", "a"], 0)
def test_skipping_keeps_the_first_of_each_id(ids, seed):
    ra = np.random.default_rng(seed).choice([1.0, 2.0, 500.0], len(ids))
    targets = Targets.from_table({"id": ids, "ra": ra, "dec": np.zeros(len(ids))}, errors="skip", near=0)
    sound = {}
    for one, place in zip(ids, ra, strict=True):
        if place <= 360:
            sound.setdefault(one, place)
    assert dict(zip(targets.ids, targets.ra, strict=True)) == sound
    assert sum("left out" in note for note in targets.notes) == len(ids) - len(sound)


@pytest.mark.parametrize("place", [(0.0, 0.0), (359.9999, 60.0), (10.0, 90.0), (200.0, -89.9999)])
def test_what_lies_within_a_radius_nearest_first(place):
    rng = np.random.default_rng(5)
    ra, dec = (place[0] + rng.normal(0, 1e-3, 200)) % 360, np.clip(place[1] + rng.normal(0, 1e-3, 200), -90, 90)
    ra[::7] = np.nan  # no position
    rows, distance = within(*place, ra, dec, 3.0)
    good = np.isfinite(ra)
    far = np.full(200, np.inf)
    far[good] = SkyCoord(*place, unit="deg").separation(SkyCoord(ra[good], dec[good], unit="deg")).arcsec
    assert set(rows) == set(np.flatnonzero(far <= 3.0)) and len(rows) and (np.diff(distance) >= 0).all()
    np.testing.assert_allclose(distance, far[rows], atol=1e-6)
    assert len(within(*place, ra[:0], dec[:0], 3.0)[0]) == 0
