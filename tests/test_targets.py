"""Targets from tables: positions checked, rows named, nothing guessed silently."""

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from hypothesis import given
from hypothesis import strategies as st

from astrofuse_lab.errors import TargetError
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
        Targets.from_table({"ra": ["10h"], "dec": [1.0]})
    with pytest.raises(TargetError, match="cannot read"):
        Targets.from_table([1, 2, 3])


def test_select_keeps_order_and_refuses_unknown():
    targets = Targets.from_table({"id": ["a", "b", "c"], "ra": [1, 2, 3], "dec": [0, 0, 0]})
    assert targets.select(["c", "a"]).ids == ("c", "a")
    with pytest.raises(TargetError, match="'z'"):
        targets.select(["z"])


def test_proper_motion_moves_barnards_star():
    # Gaia DR3: pmra -801.551, pmdec 10362.394 mas/yr; 100 years are about 1039 arcsec
    star = Targets([Target("Barnard", 269.448502, 4.739420, 2016.0, -801.551, 10362.394)])
    moved = star.at(2116.0)[0]
    assert (moved.dec - 4.739420) * 3600 == pytest.approx(1036.24, abs=0.01)
    assert (moved.ra - 269.448502) * np.cos(np.radians(4.739)) * 3600 == pytest.approx(-80.155, abs=0.01)


@given(st.lists(st.tuples(st.floats(0, 360), st.floats(-90, 90)), max_size=20))
def test_any_position_on_the_sky_is_taken(positions):
    ra, dec = [p[0] for p in positions], [p[1] for p in positions]
    targets = Targets.from_table({"ra": ra, "dec": dec})
    assert len(targets) + len(targets.notes) == len(positions)
    assert np.array_equal(targets.ra, np.array([t.ra for t in targets]))
