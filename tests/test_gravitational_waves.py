"""GraceDB and GWOSC over HTTP on loopback; answers to the documented formats."""

import io
import json

import h5py
import numpy as np
import pytest
from answering import Answering
from test_sky_maps import multi_order

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.surveys import gracedb, gwosc
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Targets

# https://gracedb.ligo.org/documentation/rest.html, in the words of a superevent of our own
SUPEREVENT = {
    "superevent_id": "S190425z", "gw_id": "GW190425", "category": "Production", "created": "2019-04-25 08:18:26 UTC", "submitter": "somebody",
    "preferred_event": "G330564", "t_start": 1240215502.011549, "t_0": 1240215503.011549, "t_end": 1240215504.018242, "far": 4.5e-13,
    "time_coinc_far": None, "space_coinc_far": None, "labels": ["PE_READY", "ADVOK"], "links": {"self": "https://gracedb.ligo.org/api/superevents/S190425z/"},
    "preferred_event_data": {"graceid": "G330564", "group": "CBC", "pipeline": "gstlal", "search": "AllSky", "instruments": "H1,L1,V1", "far": 4.5e-13,
                             "gpstime": 1240215503.011549},
}  # fmt: skip
NAMES = ("bayestar.multiorder.fits", "bayestar.multiorder.fits,0", "bayestar.fits.gz", "Bilby.multiorder.fits,0", "Bilby.multiorder.fits", "p_astro.json")
FILES = dict.fromkeys(NAMES, "https://gracedb.ligo.org/...")


@pytest.fixture
def server():
    made = Answering()
    yield made
    made.close()


def moved(row, url, **more):
    from dataclasses import replace

    return replace(row, url=url, timeout=5.0, **more)


def fetch(survey, names, **wanted):
    raws = list(survey.query(Targets.from_identifiers(names), Ask(**wanted)))
    assert sorted(i for raw in raws for i in raw.target_ids) == sorted(names)  # each in exactly one answer
    return raws, {k: v for raw in raws for k, v in survey.read(raw)}


def test_a_superevent_is_a_row(server):
    server.routes["/superevents/S190425z/"] = (200, json.dumps(SUPEREVENT).encode(), "application/json")
    _, rows = fetch(moved(gracedb.ROWS["gracedb/table"], server.url), ["S190425z", "S000000a"])
    assert list(rows) == ["S190425z"]  # the other is not there, which is no failure
    row = rows["S190425z"]
    assert row.values["far"] == 4.5e-13 and row.values["instruments"] == "H1,L1,V1" and row.values["labels"] == "PE_READY ADVOK"
    assert row.values["mjd"] == pytest.approx(58598 + (8 * 3600 + 18 * 60 + 5.011549) / 86400, abs=1e-9)  # 2019-04-25 08:18:05 UTC
    assert row.roles["superevent_id"] == "id" and all(row.roles[n] == "other" for n in ("group", "labels", "t_0", "mjd")) and row.units["far"] == "Hz"
    assert row.provenance.query.endswith("/superevents/S190425z/")


def test_times_that_are_none_are_refused():
    for time in ("-inf", "1e999", "nan"):
        raw = Raw("gracedb/table", ("t",), json.dumps({**SUPEREVENT, "t_end": time}).encode(), "")
        with pytest.raises(ArchiveError, match=r"gracedb/table, target t: .*its times are"):
            list(gracedb.ROWS["gracedb/table"].read(raw))


def test_names_are_quoted_and_the_archives_own_words_come_through(server):
    server.routes["/superevents/*"] = (503, b'{"detail": "throttled, back in a minute"}', "application/json")
    with pytest.raises(ArchiveError, match=r"gracedb/table, target ../../x: HTTP 503.*back in a minute") as caught:
        fetch(moved(gracedb.ROWS["gracedb/table"], server.url), ["../../x"])
    assert caught.value.transient and server.asked[0].path == "/superevents/..%2F..%2Fx/"


def test_the_best_sky_map_is_fetched_documented_format(server):
    server.routes["/superevents/S190425z/files/"] = json.dumps(FILES).encode()
    server.routes["/superevents/S190425z/files/Bilby.multiorder.fits"] = multi_order()
    server.routes["/superevents/S190426c/files/"] = b'{"p_astro.json": "x"}'
    raws, maps = fetch(moved(gracedb.ROWS["gracedb/sky_map"], server.url), ["S190425z", "S190426c", "S1"])
    assert list(maps) == ["S190425z"] and raws[0].extra == {"file": "Bilby.multiorder.fits"}
    assert len(maps["S190425z"].uniq) == 15 and maps["S190425z"].provenance.query.endswith("Bilby.multiorder.fits")


@pytest.mark.parametrize(
    ("names", "wanted", "best"),
    [
        (["bayestar.fits.gz", "bayestar.multiorder.fits"], "", "bayestar.multiorder.fits"), (["cWB.fits.gz", "psd.xml.gz"], "", "cWB.fits.gz"),
        (["LALInference.multiorder.fits", "bayestar.multiorder.fits"], "", "LALInference.multiorder.fits"), (["a.png"], "", None),
        (["bayestar.multiorder.fits", "x.fits"], "x.fits", "x.fits"), (["x.fits"], "y.fits", None),
    ],
)  # fmt: skip
def test_which_file_is_the_sky_map(names, wanted, best):
    assert gracedb.best(dict.fromkeys(names, "u"), wanted) == best


MERGER = 57279 + (9 * 3600 + 50 * 60 + 45.4) / 86400  # GW150914: 2015-09-14 09:50:45.4 UTC


# GWOSC ---------------------------------------------------------------------------------------------

EVENTS = [
    {"name": "GW150914-v3", "shortName": "GW150914", "gps": 1126259462.4, "version": 3, "catalog": "GWTC-1-confident", "detectors": ["H1", "L1"], "default_parameters": [
        {"name": "mass_1_source", "best": 35.6, "upper_error": 4.7, "lower_error": -3.1, "unit": "M_sun", "is_upper_limit": False},
        {"name": "far", "best": 1e-7, "upper_error": None, "lower_error": None, "unit": "1/y", "is_upper_limit": True}]},
    {"name": "GW190412_053044-v2", "shortName": "GW190412_053044", "gps": 1239082262.2, "version": 2, "catalog": "GWTC-2.1-confident", "detectors": ["H1"],
     "grace_id": "S190412m", "default_parameters": []},
]  # fmt: skip


def listing(server, rows, size=1):
    def page(asked):
        number = int(asked.query.get("page", 1))
        more = f"{server.url}/event-versions?page={number + 1}" if number * size < len(rows) else None
        return (200, json.dumps({"next": more, "results": rows[(number - 1) * size : number * size]}).encode(), "application/json")

    return page


def hdf5(start=1126259447, seconds=32, rate=64, dq=None, name="strain/Strain", **create):
    """The layout of https://gwosc.org/view_file, at fewer samples a second."""
    file = io.BytesIO()
    with h5py.File(file, "w") as made:
        values = np.arange(seconds * rate, dtype=np.float64) * 1e-21
        values[5] = np.nan
        strain = made.create_dataset(name, data=values, **create)
        strain.attrs.update({"Npoints": len(values), "Xstart": start, "Xspacing": 1 / rate, "Xunits": "second"})
        made["quality/simple/DQmask"] = np.full(seconds, 127, dtype=np.uint32) if dq is None else dq
        made["meta/GPSstart"] = start
        made["meta/Detector"] = "H1"
    return file.getvalue()


def test_events_are_rows_and_pages_are_followed(server):
    server.routes["/event-versions"] = listing(server, EVENTS)
    raws, rows = fetch(moved(gwosc.ROWS["gwosc/table"], server.url), ["GW150914", "S190412m", "gw190412", "GW999999"])
    assert len(raws) == 1 and server.asked[0].query == {"include-default-parameters": "true", "lastver": "true", "pagesize": "500", "format": "json"}
    assert len(server.asked) == 2 and list(rows) == ["GW150914", "S190412m", "gw190412"]
    row = rows["GW150914"]
    assert row.values["mass_1_source"] == 35.6 and row.values["mass_1_source_lower"] == -3.1 and row.units["mass_1_source"] == "M_sun"
    assert row.values["far_upper"] is None and row.values["far_is_limit"] is True and row.roles["far"] == "other" and "mass_1_source" not in row.roles
    assert row.values["mjd"] == pytest.approx(MERGER, abs=1e-9) and row.roles["event"] == "id"
    assert rows["S190412m"].values == rows["gw190412"].values


def test_a_page_elsewhere_is_not_followed(server):
    server.routes["/event-versions"] = json.dumps({"next": "http://169.254.169.254/", "results": []}).encode()
    with pytest.raises(ArchiveError, match="another place"):
        fetch(moved(gwosc.ROWS["gwosc/table"], server.url), ["GW150914"])


def strain_files(server, detectors=("H1", "L1"), duration=32):
    server.routes["/event-versions"] = listing(server, EVENTS, 10)
    rows = [{"detector": d, "gps_start": 1126259447, "sample_rate_kHz": 4, "duration": duration, "file_format": f, "download_url": f"{server.url}/{d}.{e}"}
            for d in detectors for f, e in (("HDF", "hdf5"), ("GWF", "gwf"))]  # fmt: skip
    server.routes["/event-versions/GW150914-v3/strain-files"] = json.dumps({"next": None, "results": rows}).encode()


def test_strain_of_all_detectors_documented_format(server):
    strain_files(server)
    server.routes["/H1.hdf5"] = hdf5()
    server.routes["/L1.hdf5"] = hdf5(dq=np.r_[np.full(14, 127), 126, np.full(17, 1)].astype(np.uint32))
    _, series = fetch(moved(gwosc.ROWS["gwosc/strain"], server.url), ["GW150914", "GW000000"], options={"window": 4.0})
    assert list(series) == ["GW150914"] and next(a for a in server.asked if a.path.endswith("strain-files")).query["duration"] == "32"
    one = series["GW150914"]
    assert one.channels == ("H1", "L1") and one.values.shape == (2, 256) and one.step == 1 / 64 and one.unit == "strain"
    assert one.start == pytest.approx(MERGER - 2 / 86400, abs=1 / 64 / 86400)
    first = round((1126259462.4 - 2 - 1126259447) * 64)
    assert one.values[0, 0] == pytest.approx(first * 1e-21) and one.mask[0].all()
    bad = np.floor((np.arange(256) + first) / 64) == 14
    assert np.array_equal(one.mask[1], ~bad) and bad.any() and not one.values[1, bad].any()  # bit 0 of that second is unset: no data
    assert "H1.hdf5" in one.provenance.query


def test_bands_are_detectors_and_windows_have_limits(server):
    strain_files(server)
    server.routes["/L1.hdf5"] = hdf5()
    strain = moved(gwosc.ROWS["gwosc/strain"], server.url)
    assert fetch(strain, ["GW150914"], bands=("L1", "V1"))[1]["GW150914"].channels == ("L1",)
    assert fetch(strain, ["GW150914"], bands=("V1",))[1] == {}
    with pytest.raises(InputError, match="at most 4096"):
        fetch(strain, ["GW150914"], options={"window": 5000.0})


def external(path):
    file = io.BytesIO()
    with h5py.File(file, "w") as made:
        made["strain/Strain"] = h5py.ExternalLink(path, "/strain/Strain")
        made["quality/simple/DQmask"] = np.ones(32)
    return file.getvalue()


def virtual(path):
    file = io.BytesIO()
    with h5py.File(file, "w") as made:
        layout = h5py.VirtualLayout(shape=(2048,), dtype="f8")
        layout[:] = h5py.VirtualSource(path, "strain/Strain", shape=(2048,))
        made.create_virtual_dataset("strain/Strain", layout)
    return file.getvalue()


def test_no_other_file_of_this_machine_is_read(tmp_path):
    secret = tmp_path / "secret.h5"
    secret.write_bytes(hdf5())
    raw_storage = hdf5(external=[(str(secret), 0, 2048 * 8)], chunks=None)
    for content in (external(str(secret)), virtual(str(secret)), raw_storage):
        raw = Raw("gwosc/strain", ("t",), content, "", extra={"lengths": [len(content)], "detectors": ["H1"], "window": 32.0, "gps": None})
        with pytest.raises(ArchiveError, match=r"gwosc/strain, target t: .*(in the file itself|in another file)"):
            list(gwosc.ROWS["gwosc/strain"].read(raw))


@pytest.mark.parametrize("content", [hdf5()[:2000], hdf5(name="other/Strain"), hdf5(dq=np.ones(3)), hdf5()[:8] + bytes(3000)])
def test_strain_files_that_are_none_are_refused(content):
    raw = Raw("gwosc/strain", ("t",), content, "", extra={"lengths": [len(content)], "detectors": ["H1"], "window": 32.0, "gps": 1126259462.4})
    with pytest.raises(ArchiveError, match="gwosc/strain, target t"):
        list(gwosc.ROWS["gwosc/strain"].read(raw))


@pytest.mark.remote
@pytest.mark.parametrize("row", [gracedb.ROWS["gracedb/table"], gracedb.ROWS["gracedb/sky_map"]], ids=lambda row: row.name)
def test_the_real_gracedb(row):
    assert list(fetch(row, ["S190425z"])[1]) == ["S190425z"]


@pytest.mark.remote
def test_the_real_gwosc():
    row = fetch(gwosc.ROWS["gwosc/table"], ["GW150914"])[1]["GW150914"]
    assert 30 < row.values["mass_1_source"] < 40
    series = fetch(gwosc.ROWS["gwosc/strain"], ["GW150914"], bands=("H1",), options={"window": 4.0})[1]["GW150914"]
    assert series.values.shape == (1, 16384) and series.mask.all()
