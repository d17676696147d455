"""IceCube alerts and CHIME bursts: one answer for many targets, over HTTP on loopback; answers to the documented formats."""

from dataclasses import replace

import pytest
from answering import Answering

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.surveys import chime, icecube
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets


def page(*rows):
    """The table of https://gcn.gsfc.nasa.gov/amon_icecube_gold_bronze_events.html: two heading rows, links in the first cell, no closing tags of cells."""
    lines = "".join(f"<tr align=center><td><a href=notices/{r[0]}.amon>{r[0]}</a>" + "".join(f"<td>{c}" for c in r[1:]) + "\n" for r in rows)
    return f"<html><title>AMON</title><body><table border=1><tr><th colspan=6>EVENT<th colspan=8>OBSERVATION</tr><tr><th>RunNum_EventNum<th>Rev</tr>{lines}</table></body></html>".encode()


ROWS = [
    ("137840_57034692", "1", "23/04/16", "05:22:26.15", "BRONZE", "345.8200", "+9.0100", "30.0", "12.0", "1.2729e+02", "3.4064e-01", "2.5", "IceCube Bronze event."),
    ("137840_57034692", "0", "23/04/16", "05:22:26.15", "BRONZE", "346.0000", "+9.5000", "60.0", "25.0", "1.2729e+02", "3.4064e-01", "2.5", "First"),
    ("139644_63900267", "0", "24/07/14", "14:05:31.43", "GOLD", "10.0", "-5.0", "6.0", "3.0", "1.9e+02", "0.6", "0.5", "<script>alert(1)</script>Gold"),
    ("139644_63900268", "0", "24/07/14", "18:05:31.43", "GOLD", "10.01", "-5.0", "6.0", "3.0", "1.9e+02", "0.6", "0.5", "second of that day"),
    ("133000_1", "0", "19/10/01", "Network", "problem", "", "", "", "", "", "", "", ""),
]  # fmt: skip


@pytest.fixture
def server():
    made = Answering()
    yield made
    made.close()


def fetch(survey, server, targets, **wanted):
    survey = replace(survey, url=server.url + "/file", timeout=5.0)
    raws = list(survey.query(targets, Ask(**wanted)))
    assert [raw.target_ids for raw in raws] == [targets.ids] and len(server.asked) == 1  # one request for all
    return {k: v for raw in raws for k, v in survey.read(raw)}


def test_alerts_by_position_number_and_name_documented_format(server):
    server.routes["/file"] = (200, page(*ROWS), "text/html")
    names = [Target(n, identifier=n) for n in ("137840_57034692", "IceCube-230416A", "IC 240714A", "IceCube-200101A")]
    places = [Target("inside", 345.82, 9.45), Target("outside", 345.82, 9.6), Target("widened", 345.82, 9.6), Target("two", 10.006, -5.0)]
    rows = fetch(icecube.TABLE, server, Targets([*names, places[0], places[1], places[3]]), radius=3.0)
    assert list(rows) == ["137840_57034692", "IceCube-230416A", "inside", "two"]  # of two alerts on one day the name does not say which
    row = rows["inside"]
    assert row.values["error90"] == 30.0 and row.values["revision"] == 1 and row.values["match_distance"] == pytest.approx(0.44 * 3600, rel=1e-6)
    assert row.values["mjd"] == pytest.approx(60050 + (5 * 3600 + 22 * 60 + 26.15) / 86400, abs=1e-8) and row.units["energy"] == "TeV"
    assert row.roles["notice_type"] == row.roles["signalness"] == "target" and row.roles["ra"] == "other" and "error90" not in row.roles
    assert rows["two"].values["event"] == "139644_63900268" and rows["two"].values["match_count"] == 2 and rows["IceCube-230416A"].values == {**row.values, "match_distance": None}
    server.asked.clear()
    assert list(fetch(icecube.TABLE, server, Targets([places[2]]), radius=600.0)) == ["widened"]


def test_pages_without_alerts_are_refused(server):
    server.routes["/file"] = (200, b"<html><body>We have moved</body></html>", "text/html")
    with pytest.raises(ArchiveError, match=r"icecube/table, target a: .*no table of alerts"):
        fetch(icecube.TABLE, server, Targets([Target("a", 1.0, 2.0)]))
    with pytest.raises(ArchiveError, match="200000 cells"):
        list(icecube.TABLE.read(Raw("icecube/table", ("a",), b"<tr>" + b"<td>" * 200_001, "")))


HEADER = "tns_name,previous_name,repeater_name,ra,ra_err,dec,dec_err,gl,gb,bonsai_snr,dm_fitb,dm_fitb_err,bc_width,scat_time,scat_time_err,flux,fluence,fluence_notes,sub_num,mjd_400,width_fitb,excluded_flag"
BURSTS = [
    "FRB20180725A,180725.J0613+67,-9999,93.42,0.039,67.07,0.21,147.29,21.29,34.5,715.80930,0.00027,0.00295,0.001100,9e-05,1.7,4.1,\"lower limit, see text\",0,58324.25,0.000296,0",
    "FRB20180725A,180725.J0613+67,-9999,93.42,0.039,67.07,0.21,147.29,21.29,34.5,715.80930,0.00027,0.00295,0.001100,9e-05,1.7,4.1,,1,58324.25,0.000296,0",
    "FRB20180727A,,FRB20180727A,196.66,0.25,67.57,0.28,120.6,49.5,14.2,642.07,0.03,0.00295,<0.0017,-9999,0.58,2.31,,0,58326.0,0.00078,0",
]  # fmt: skip


@pytest.mark.parametrize("separator", [",", "\t"])
def test_bursts_by_position_and_name_documented_format(server, separator):
    text = "\n".join([HEADER, *BURSTS]).replace('"lower limit, see text"', "see text")
    server.routes["/file"] = text.replace(",", separator).encode()
    targets = Targets([Target("FRB 20180727a", identifier="FRB 20180727a"), Target("inside", 93.45, 67.2), Target("outside", 93.45, 69.0)])
    rows = fetch(chime.TABLE, server, targets)
    assert list(rows) == ["FRB 20180727a", "inside"]
    row, repeater = rows["inside"], rows["FRB 20180727a"]
    assert row.values["tns_name"] == "FRB20180725A" and row.values["sub_bursts"] == 2 and row.values["repeater"] is False and row.values["repeater_name"] is None
    assert row.values["match_distance"] == pytest.approx(470, abs=5) and row.values["match_count"] == 1 and row.values["scat_time_limit"] is None
    assert repeater.values["repeater"] is True and repeater.values["scat_time"] is None and repeater.values["scat_time_limit"] == 0.0017
    assert repeater.values["scat_time_err"] is None and repeater.units["dm_fitb"] == "pc / cm3" and repeater.units["fluence"] == "Jy ms"
    assert repeater.roles["repeater"] == repeater.roles["repeater_name"] == "target" and repeater.roles["tns_name"] == "id" and repeater.roles["ra"] == "other"


@pytest.mark.parametrize("content", [b"tns_name,ra,dec\nx,1,2\n", (HEADER + "\n" + BURSTS[0].replace("93.42", "ninety")).encode(), (HEADER + "\n" + BURSTS[2][:60]).encode()])
def test_other_tables_are_refused(content):
    with pytest.raises(ArchiveError, match="chime/table, target t"):
        list(chime.TABLE.read(Raw("chime/table", ("t",), content, "", extra={"radius": 3.0, "places": {"t": [1.0, 2.0]}})))


@pytest.mark.remote
def test_the_real_tables():
    rows = {k: v for raw in icecube.TABLE.query(Targets.from_identifiers(["IceCube-230416A"]), Ask()) for k, v in icecube.TABLE.read(raw)}
    assert rows["IceCube-230416A"].values["ra"] == pytest.approx(345.8, abs=1)
    rows = {k: v for raw in chime.TABLE.query(Targets.from_identifiers(["FRB20180725A"]), Ask()) for k, v in chime.TABLE.read(raw)}
    assert rows["FRB20180725A"].values["dm_fitb"] == pytest.approx(715.8, abs=1)
