"""The Gaia client through pyvo, over HTTP, against a TAP service on loopback."""

import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table
from loopback import LOGIN_PAGE, PAGE, Archive, replying, slow, votable

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import TableRow
from astrofuse_lab.surveys.gaia import COLUMNS, ROLES, UNITS, gaia_table
from astrofuse_lab.surveys.survey import Ask, Raw, Survey
from astrofuse_lab.targets import Target, Targets


@pytest.fixture
def archive():
    server = Archive()
    yield server
    server.close()


@pytest.fixture
def gaia(archive):
    return gaia_table(url=f"{archive.url}/tap", timeout=1.0)


def ask(gaia, targets, **wanted):
    raws = list(gaia.query(targets, Ask(**wanted)))
    return raws, {k: v for raw in raws for k, v in gaia.read(raw)}


TARGETS = Targets([Target("a", 10.0, 5.0), Target("nothing there", 80.0, -30.0), Target("b <i>2</i>", 12.0002, 5.0)])


def test_follows_the_protocol(gaia):
    assert isinstance(gaia, Survey)


def test_rows_come_back_under_the_ids_asked_for(gaia, archive):
    raws, rows = ask(gaia, TARGETS, radius=3.0)
    assert len(raws) == len(archive.requests) == 1  # one query for all positions
    assert raws[0].target_ids == TARGETS.ids
    assert list(rows) == ["a", "b <i>2</i>"]
    row = rows["b <i>2</i>"]
    assert isinstance(row, TableRow)
    assert set(row.values) == {*COLUMNS, "match_distance", "match_count"}
    assert row.values["source_id"] == "4583627001381815938"
    assert row.values["match_distance"] == pytest.approx(0.0002 * 3600 * np.cos(np.radians(5)), rel=1e-6)
    assert row.values["match_count"] == 1
    assert row.values["phot_g_mean_mag"] == 12.0
    assert row.provenance.survey == "gaia/table" and row.provenance.release == "Gaia DR3"
    assert "SELECT" in row.provenance.query


def test_missing_values_are_none_and_never_a_number(gaia):
    _, rows = ask(gaia, Targets([Target("x", 12.0, 5.0), Target("y", 11.0, 5.0)]))
    assert rows["x"].values["parallax"] is None  # NaN in the answer
    assert rows["x"].values["radial_velocity"] == 12.0
    assert rows["y"].values["radial_velocity"] is None  # null in the answer
    assert rows["y"].values["in_qso_candidates"] is False


def test_the_nearest_of_several_is_taken_and_counted(gaia, archive):
    archive.sky = np.array([[50.0, 0.0005], [50.0, 0.0001], [50.0, -0.0004]])
    _, rows = ask(gaia, Targets([Target("crowded", 50.0, 0.0)]), radius=3.0)
    assert rows["crowded"].values["match_count"] == 3
    assert rows["crowded"].values["dec"] == 0.0001


def test_targets_are_moved_to_the_epoch_of_gaia(gaia, archive):
    """Barnard's star moves 10.4 arcsec a year: at epoch 2000 it is 166 arcsec from where Gaia has it."""
    old = Target("Barnard", 269.45207696, 4.69336497, 2000.0, -801.551, 10362.394)
    archive.sky = np.array([[269.44850252, 4.73942005]])  # Gaia DR3 4472832130942575872, J2016.0
    _, rows = ask(gaia, Targets([old]), radius=1.0)
    assert rows["Barnard"].values["match_distance"] < 0.5


def test_an_answer_cut_at_the_row_limit_is_asked_for_in_halves(gaia, archive):
    archive.limit = 3
    targets = Targets(Target(f"t{i}", 10.0 + i, 5.0) for i in range(8))
    raws, rows = ask(gaia, targets)
    assert list(rows) == list(targets.ids)
    assert sorted(i for raw in raws for i in raw.target_ids) == sorted(targets.ids)  # each in one answer
    archive.limit = 0
    with pytest.raises(ArchiveError, match="smaller radius"):
        ask(gaia, targets[:1])


@pytest.mark.parametrize(
    ("reply", "words", "transient"),
    [
        (replying(200, PAGE, "text/html"), r"web page.*down until Monday", True),
        (replying(200, LOGIN_PAGE, "text/html"), "login", True),
        (replying(302, b"", Location="/login"), "login", True),
        (replying(403, b"members only"), "refuses access.*members only", False),
        (replying(503, b"back soon"), "HTTP 503.*back soon", True),
        (replying(429, b"slow down", Retry_After="7"), "HTTP 429", True),
        (replying(400, b'<?xml version="1.0"?><VOTABLE><RESOURCE type="results"><INFO name="QUERY_STATUS" value="ERROR">Cannot parse <b>query</b></INFO></RESOURCE></VOTABLE>',
                  "application/x-votable+xml"), "HTTP 400.*Cannot parse query", False),
        (replying(200, b'<?xml version="1.0"?><VOTABLE><RESOURCE type="results"><INFO name="QUERY_STATUS" value="ERROR">out of memory</INFO></RESOURCE></VOTABLE>',
                  "application/x-votable+xml"), "out of memory", False),
        (replying(200, b"half of", announced=5000), "cut|reached|failed", True),
        (slow(3), "in time", True),
    ],
)  # fmt: skip
def test_a_failure_says_what_the_archive_said(gaia, archive, reply, words, transient):
    archive.replies.append(reply)
    with pytest.raises(ArchiveError, match=rf"(?s)gaia/table.*({words})") as caught:
        ask(gaia, TARGETS)
    assert caught.value.transient is transient
    assert "<b>" not in str(caught.value)
    if "429" in words:
        assert caught.value.retry_after == 7.0


def test_no_server_at_all():
    with pytest.raises(ArchiveError, match="cannot be reached") as caught:
        ask(gaia_table(url="http://127.0.0.1:9/tap", timeout=1.0), TARGETS)
    assert caught.value.transient


@pytest.mark.parametrize("content", [b"", b"<VOTABLE><RESOURCE>", b"\x00\x01\x02", b"<VOTABLE/>"])
def test_what_is_no_votable_is_refused(gaia, content):
    with pytest.raises(ArchiveError, match="VOTable"):
        list(gaia.read(Raw("gaia/table", ("a",), content, "")))


def test_a_votable_cut_short_is_refused(gaia):
    raws, _ = ask(gaia, TARGETS)
    content = raws[0].content
    for end in (len(content) // 2, len(content) - 40):
        with pytest.raises(ArchiveError, match="VOTable"):
            list(gaia.read(Raw("gaia/table", TARGETS.ids, content[:end], "")))


def test_a_row_number_that_was_not_asked_for_is_refused(gaia):
    raws, _ = ask(gaia, TARGETS)
    with pytest.raises(ArchiveError, match="row 2 of 1"):
        list(gaia.read(Raw("gaia/table", ("a",), raws[0].content, "")))


def test_objects_in_a_region(gaia, archive):
    targets = gaia.objects_in(12.0, 5.0, 1.5, 10)
    assert targets.ids == ("Gaia DR3 1001", "Gaia DR3 1002", "Gaia DR3 1003")
    assert targets[0].pmra == 1.5 and targets[1].pmra == 0.0 and targets[0].epoch == 2016.0
    assert len(gaia.objects_in(12.0, 5.0, 1.5, 2)) == 2
    assert "ORDER BY random_index" in archive.adql[0]


def listing(ids, ra, status="OK"):
    table = Table({"designation": ids, "ra": ra, "dec": [5.0] * len(ids), "pmra": [1.5] * len(ids), "pmdec": [np.nan] * len(ids)})
    return replying(200, votable(table, status), "application/x-votable+xml")


def test_rows_of_a_region_that_are_no_targets_are_left_out_and_counted(gaia, archive):
    ids = ["west", "west", "twin", "twin", "nowhere", "", ""]
    archive.replies.append(listing(ids, [-1.5, -1.5, 10.0, 10.0 + 1 / 3600, np.nan, 11.0, 12.0]))
    with pytest.warns(UserWarning, match="gaia/table: 1 of 7 rows have no position and are left out"):
        targets = gaia.objects_in(0.0, 5.0, 20.0, 100)
    assert targets.ids == ("west", "twin (10.000000 +5.000000)", "twin (10.000278 +5.000000)", "gaia/table-00005", "gaia/table-00006")
    assert targets[0].ra == 358.5 and targets[0].pmra == 1.5 and targets[0].pmdec == 0.0 and targets.whole and "1 of 7 rows" in targets.notes[0]


def test_a_region_is_asked_for_more_where_rows_repeat_and_says_when_it_was_cut(gaia, archive):
    archive.replies.extend([listing(["a"] * 3, [10.0] * 3), listing(["a"] * 9 + ["b", "c"], [10.0] * 9 + [10.1, 10.2])])
    targets = gaia.objects_in(10.0, 5.0, 1.0, 3)  # three rows of one source are not all there is
    assert targets.ids == ("a", "b", "c") and targets.whole and len(archive.requests) == 2
    archive.replies.append(listing(["a", "b"], [10.0, 10.1], "OVERFLOW"))
    assert not gaia.objects_in(10.0, 5.0, 1.0, 3).whole
    archive.replies.append(listing(["a", "b", "c"], [10.0, 10.1, 10.2], "OVERFLOW"))
    assert gaia.objects_in(10.0, 5.0, 1.0, 3).whole  # as many as were asked for


def test_columns_and_units_are_those_of_the_archive():
    """Against a genuine answer of ESA's archive, which astroquery ships for its own tests."""
    from astropy.io.votable import parse_single_table

    path = Path(find_spec("astroquery").origin).parent / "gaia" / "tests" / "data" / "1710099405832VAL-result.vot"
    if not path.is_file():
        pytest.skip("this astroquery was installed without its test data")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fields = {f.name: f for f in parse_single_table(str(path)).fields}
    for name, (unit, _) in COLUMNS.items():
        assert name in fields, name
        sent = fields[name].unit
        if "log" in str(sent):  # log(cm.s**-2) is no unit that astropy can compute with
            assert u.Unit(unit) == u.dex(u.cm / u.s**2)
        else:
            assert (str(u.Unit(unit)) if unit else "None") == str(sent), name


def test_roles_keep_positions_and_the_archives_own_verdicts_from_models():
    assert all(ROLES[name] == "other" for name in COLUMNS if name.startswith(("classprob", "in_", "phot_variable", "non_single")) or name in ("ra", "dec"))
    assert ROLES["source_id"] == "id" and "parallax" not in ROLES and UNITS["parallax"] == "mas"


@pytest.mark.remote
def test_the_real_archive():
    barnard = Targets([Target("Barnard", 269.45207696, 4.69336497, 2000.0, -801.551, 10362.394)])
    _, rows = ask(gaia_table(), barnard)
    assert rows["Barnard"].values["source_id"] == "4472832130942575872"
