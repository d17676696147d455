"""Alert packets from files: the Avro reader, what ZTF's and Rubin's packets say, and the survey of a folder."""

import gzip
import io
import json

import numpy as np
import packets as made
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astrofuse_lab import surveys
from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import Image, LightCurve, TableRow
from astrofuse_lab.surveys import alert_fields, alert_packets, avro_files
from astrofuse_lab.surveys.survey import Ask, Raw, Survey
from astrofuse_lab.targets import Target, Targets

HERE = Target("here", 150.0002, 20.0)
HISTORY = [made.seen(2458990.5, 19.0, sign="f"), made.unseen(2458985.5, 20.0, 2), made.seen(2458980.5, 18.5, 0.05, 2)]


@pytest.fixture
def folder(tmp_path):
    """Two alerts of one object, one of another, and a Rubin alert; one file packed, one a Parquet."""
    (tmp_path / "night").mkdir()
    later = made.ztf(candid=1002, jd=2459002.5, mag=17.5, history=[made.seen(2459000.5, 18.0), made.unseen(2458999.5, 20.2)])
    (tmp_path / "a.avro").write_bytes(made.container(made.ZTF, [made.ztf(history=HISTORY)]))
    (tmp_path / "night" / "many.avro").write_bytes(made.container(made.ZTF, [later, made.ztf("ZTF20other", 2001, ra=150.1)], "deflate", 2))
    (tmp_path / "night" / "r.avro.gz").write_bytes(gzip.compress(made.container(made.RUBIN, [made.rubin(history=[made.source(60990.0, 4000.0, 8999, "g")])])))
    (tmp_path / "notes.txt").write_text("no packet")
    return tmp_path


def fetched(survey, *targets, **wanted):
    raws = list(survey.query(Targets(targets), Ask(**wanted)))
    assert [raw.target_ids for raw in raws] == [(t.object_id,) for t in targets]
    return {k: v for raw in raws for k, v in survey.read(raw)}


# ---- Avro ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz", "snappy"])
def test_avro_documented_format(codec):
    packets = [made.ztf(history=HISTORY), made.ztf("ZTF20other", 7)]
    read = [packet.value for packet in avro_files.packets(made.container(made.ZTF, packets, codec, blocks=2))]
    assert [p["objectId"] for p in read] == ["ZTF19abguqsi", "ZTF20other"] and read[1]["prv_candidates"] is None
    first = read[0]
    assert first["candidate"]["jd"] == 2459000.5 and first["candidate"]["magpsf"] == 18.0 and first["candidate"]["candid"] == 1001
    assert [row["magpsf"] for row in first["prv_candidates"]] == [19.0, None, 18.5]
    assert first["cutoutScience"] == packets[0]["cutoutScience"]  # the stamps byte for byte


def test_all_kinds_of_avro_values():
    schema = {"type": "record", "name": "x.All", "fields": [
        {"name": "e", "type": {"type": "enum", "name": "kind", "symbols": ["A", "B"]}}, {"name": "f", "type": {"type": "fixed", "name": "four", "size": 4}},
        {"name": "m", "type": {"type": "map", "values": "int"}}, {"name": "again", "type": "x.four"}, {"name": "b", "type": "boolean"},
        {"name": "l", "type": {"type": "long", "logicalType": "timestamp-millis"}}, {"name": "next", "type": ["null", "All"]},
    ]}  # fmt: skip
    own = b"\x02" + b"abcd" + b"\x02\x04ab\x05\x00" + b"efgh" + b"\x01" + made.long(-(2**62))
    body = own + b"\x02" + own + b"\x00"
    head = b"Obj\x01" + b"\x01" + made.long(len(made.binary("avro.schema") + made.binary(json.dumps(schema))))  # a block that gives its size
    content = head + made.binary("avro.schema") + made.binary(json.dumps(schema)) + b"\x00" + made.SYNC + b"\x02" + made.binary(body) + made.SYNC
    (packet,) = avro_files.packets(content)
    one = {"e": "B", "f": b"abcd", "m": {"ab": -3}, "again": b"efgh", "b": True, "l": -(2**62)}
    assert packet.value == {**one, "next": {**one, "next": None}} and packet.content == body


def bombs():
    """Small files that claim much."""
    nulls = made.record("r", a={"type": "array", "items": "null"})
    many = b"Obj\x01\x02" + made.binary("avro.schema") + made.binary(json.dumps(nulls)) + b"\x00" + made.SYNC
    yield "array", many + b"\x02" + made.binary(made.long(2**60)) + made.SYNC
    yield "records", many + made.long(2**50) + made.binary(b"\x00") + made.SYNC
    yield "size", many + b"\x02" + made.long(2**50) + b"\x00"
    texts = b"Obj\x01\x02" + made.binary("avro.schema") + made.binary(json.dumps(made.record("r", a="bytes"))) + b"\x00" + made.SYNC
    yield "bytes", texts + b"\x02" + made.binary(made.long(2**40)) + made.SYNC
    yield "negative", texts + b"\x02" + made.binary(made.long(-5)) + made.SYNC
    endless = {"type": "record", "name": "r", "fields": [{"name": "next", "type": "r"}]}
    yield "endless", b"Obj\x01\x02" + made.binary("avro.schema") + made.binary(json.dumps(endless)) + b"\x00" + made.SYNC + b"\x02\x00" + made.SYNC
    deep = "int"
    for _ in range(400):
        deep = {"type": "array", "items": deep}
    yield "deep", b"Obj\x01\x02" + made.binary("avro.schema") + made.binary(json.dumps(made.record("r", a=deep))) + b"\x00" + made.SYNC
    yield "header", b"Obj\x01" + made.long(2**60) + b"\x00" * 3000
    packed = made.container(made.record("r", a="bytes"), [{"a": b"\x00" * 3_000_000}], "deflate")
    yield "deflate", packed
    yield "snappy", made.container(made.record("r", a="bytes"), [{"a": b"\x00" * 3_000_000}], "snappy")
    yield "unknown type", b"Obj\x01\x02" + made.binary("avro.schema") + made.binary('{"type": "record", "name": "r", "fields": [{"name": "a", "type": "thing"}]}') + b"\x00" + made.SYNC
    yield "codec", made.container(made.ZTF, [made.ztf()]).replace(b"\x08null\x00", b"\x08lzma\x00", 1)
    yield "stream", b"\x00\x00\x00\x00\x07rest of a message"


@pytest.mark.parametrize(("what", "content"), list(bombs()), ids=lambda v: v if isinstance(v, str) else "")
def test_files_that_claim_too_much_are_refused(what, content, monkeypatch):
    monkeypatch.setattr(avro_files, "LARGEST", 1_000_000)
    with pytest.raises(avro_files.AvroError):
        list(avro_files.packets(content))
    with pytest.raises(ArchiveError, match="t/light_curve, target x: the answer is no complete Avro file"):
        list(alert_packets.packets_of(content, "t/light_curve", "x"))


def test_mutated_packets_give_an_archive_error_or_a_product():
    """Cut and altered at random places, as Avro and as Parquet."""
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([made.ztf(history=HISTORY)]), file)
    rng, reached = np.random.default_rng(3), 0
    for whole in (made.container(made.ZTF, [made.ztf(history=HISTORY)]), made.container(made.RUBIN, [made.rubin()], "deflate"), file.getvalue()):
        schema_end = whole.find(made.SYNC) if made.SYNC in whole else 4
        for number in range(100):
            data = bytearray(whole)
            for place in rng.integers(schema_end if number % 2 else 4, len(whole), 3):
                data[place] = int(rng.integers(256))
            content = bytes(data[: int(rng.integers(len(data)))] if number % 5 == 0 else data)
            for kind in (LightCurve, Image, TableRow):
                survey = alert_packets.AlertPackets(name="t/x", gives=kind, url="", citation="", licence="", release="", files=())
                try:
                    for _, product in survey.read(Raw("t/x", ("t",), content, "", extra={"lengths": [len(content)]})):
                        reached += 1
                        if kind is not TableRow:
                            assert np.isfinite(product.flux).all()
                except ArchiveError as error:
                    assert error.target == "t" and error.survey == "t/x"
    assert reached > 60


# ---- what packets say ---------------------------------------------------------------------------------------------


def test_ztf_light_curve_with_limits(folder):
    survey = surveys.alerts(folder)
    assert isinstance(survey, Survey) and survey.gives is LightCurve
    curve = fetched(survey, HERE)["here"]
    # of both packets, each exposure once
    assert list(curve.time) == [58980.0, 58985.0, 58990.0, 58999.0, 59000.0, 59002.0] and list(curve.band) == ["r", "r", "g", "g", "g", "g"]
    assert list(curve.limit) == [False, True, False, True, False, False] and curve.mask.all() and curve.clock == "UTC" and curve.unit == "uJy"
    assert curve.flux[[0, 2, 5]] == pytest.approx([3631e6 * 10**-7.4, -3631e6 * 10**-7.6, 3631e6 * 10**-7.0])  # isdiffpos f: fainter than the reference
    assert curve.flux[1] == 0 and curve.flux_err[1] == pytest.approx(3631e6 * 10**-8.0 / 5)
    assert curve.flux_err[0] == pytest.approx(curve.flux[0] * 0.05 * np.log(10) / 2.5)
    assert "Patterson" in curve.provenance.citation and "2 of 2 packets" in curve.provenance.query
    assert list(fetched(survey, HERE, time=(58999.5, 59001.0))["here"].time) == [59000.0]


def test_ztf_forced_photometry(tmp_path):
    forced = [{"jd": 2458999.5, "fid": 1, "magzpsci": 26.4, "forcediffimflux": 100.0, "forcediffimfluxunc": 5.0, "procstatus": "0"},
              {"jd": 2458998.5, "fid": 2, "magzpsci": 26.4, "forcediffimflux": -99999.0, "forcediffimfluxunc": -99999.0, "procstatus": "61"}]  # fmt: skip
    (tmp_path / "p.avro").write_bytes(made.container(made.ZTF, [{**made.ztf(), "fp_hists": forced}]))
    curve = fetched(surveys.alerts(tmp_path / "p.avro"), HERE, options={"forced": True})["here"]
    assert list(curve.time) == [58998.0, 58999.0] and list(curve.mask) == [False, True] and curve.flux[1] == pytest.approx(10.0)  # 21.4 mag


def test_rubin_light_curve_stamps_and_row(folder):
    place = Target("sn", 53.0, -28.0)
    curve = fetched(surveys.alerts(folder), place)["sn"]
    assert curve.clock == "TAI" and list(curve.time) == [60990.0, 61000.0] and list(curve.band) == ["g", "r"]
    assert curve.flux == pytest.approx([4.0, -5.0]) and curve.flux_err == pytest.approx(0.1)  # nJy are not uJy
    forced = fetched(surveys.alerts(folder), place, options={"forced": True})["sn"]
    assert list(forced.time) == [60999.0] and forced.flux_err == pytest.approx(0.09)
    image = fetched(surveys.alerts(folder, gives="image"), place)["sn"]
    assert image.flux.shape == (3, 30, 30) and image.unit == "uJy" and image.flux[:, 0, 0] == pytest.approx([1.0, 0.9, 0.1])
    assert image.scale == pytest.approx(0.72) and image.wcs["CRVAL1"] == 53.0  # the stamp's own
    row = fetched(surveys.alerts(folder, gives="table"), place)["sn"]
    assert row.values["psfFlux"] == -5000.0 and row.units["psfFlux"] == "nJy" and row.values["diaObjectId"] == "77" and row.values["objectId"] == "77"
    assert row.roles["reliability"] == row.roles["midpointMjdTai"] == "other" and row.roles["diaSourceId"] == "id" and "snr" not in row.roles


def test_ztf_stamps(folder):
    survey = surveys.alerts(folder, gives="image")
    assert survey.bands == ("science", "reference", "difference")
    image = fetched(survey, HERE)["here"]
    assert isinstance(image, Image) and image.flux.shape == (3, 63, 63) and image.mask.all() and image.unit == "adu" and image.time == 59002.0
    assert image.flux[:, 5, 5] == pytest.approx([1.0, 2.0, 3.0]) and image.scale == pytest.approx(1.012)
    assert fetched(survey, HERE, options={"choose": "first"})["here"].time == 59000.0
    with pytest.raises(InputError, match="choose='best'"):
        fetched(survey, HERE, options={"choose": "best"})


def test_stamps_that_do_not_fit_or_explode_are_refused(tmp_path, monkeypatch):
    odd = {**made.ztf(), "cutoutScience": made.cutouts(side=40)["cutoutScience"]}
    (tmp_path / "odd.avro").write_bytes(made.container(made.ZTF, [odd]))
    with pytest.raises(ArchiveError, match="the stamps differ"):
        fetched(surveys.alerts(tmp_path / "odd.avro", gives="image"), HERE)
    (tmp_path / "some.avro").write_bytes(made.container(made.ZTF, [{**made.ztf(), "cutoutTemplate": None}]))
    image = fetched(surveys.alerts(tmp_path / "some.avro", gives="image"), HERE)["here"]
    assert image.mask[0].all() and not image.mask[1].any()
    monkeypatch.setattr(alert_fields, "LARGEST_STAMP", 10_000)
    with pytest.raises(ArchiveError, match="unpacks to more"):
        fetched(surveys.alerts(tmp_path / "some.avro", gives="image"), HERE)


def test_what_classifies_is_no_input(folder):
    row = fetched(surveys.alerts(folder, gives="table"), HERE)["here"]
    assert row.values["magpsf"] == 17.5 and row.units["magpsf"] == "mag" and "magpsf" not in row.roles and "distnr" not in row.roles
    assert {name: row.roles[name] for name in ("rb", "classtar", "ssdistnr", "ssnamenr", "ra", "jd", "candid", "objectId", "match_distance")} == {
        "rb": "other", "classtar": "other", "ssdistnr": "other", "ssnamenr": "other", "ra": "other", "jd": "other", "candid": "id", "objectId": "id",
        "match_distance": "other",
    }  # fmt: skip
    assert row.values["ssdistnr"] is None and row.values["ssnamenr"] is None  # -999 and 'null' are no values
    assert row.values["match_distance"] == pytest.approx(0.0002 * 3600 * np.cos(np.radians(20)), rel=1e-4) and row.values["match_count"] == 1
    assert row.values["candid"] == "1002"


# ---- the survey ---------------------------------------------------------------------------------------------------


def test_objects_are_found_by_name_number_or_place(folder):
    survey = surveys.alerts(folder)
    named = [Target("a", identifier="ZTF19abguqsi"), Target("b", identifier="1001"), Target("ZTF20other", 1.0, 1.0), Target("c", identifier="ZTF00none"), Target("d", 10.0, 10.0)]
    got = fetched(survey, *named)
    assert {k: len(v.time) for k, v in got.items()} == {"a": 6, "b": 6, "ZTF20other": 1}  # an alert's number stands for its object
    assert fetched(surveys.alerts(folder, gives="table"), Target("r", identifier="9001"))["r"].values["diaSourceId"] == "9001"
    with pytest.raises(InputError, match="neither"):
        fetched(survey, Target("day", time=(59000.0, 59001.0)))
    wide = fetched(surveys.alerts(folder, gives="table"), HERE, radius=1000.0)["here"]
    assert wide.values["match_count"] == 2 and wide.values["objectId"] == "ZTF19abguqsi"


def test_answers_hold_the_packets_as_they_are(folder):
    alone, many = (next(iter(surveys.alerts(folder, gives="table").query(Targets([t]), Ask()))) for t in (Target("r", 53.0, -28.0), HERE))
    assert alone.content == (folder / "night" / "r.avro.gz").read_bytes()  # a file of one packet, byte for byte
    (packet,) = avro_files.packets(many.content)
    assert packet.content in b"".join(p.content for p in avro_files.packets((folder / "night" / "many.avro").read_bytes()))


def test_packets_in_parquet(tmp_path):
    pq.write_table(pa.Table.from_pylist([made.ztf(history=HISTORY), made.ztf("ZTF20other", 5, ra=151.0)]), tmp_path / "fink.parquet")
    for gives, kind in alert_packets.KINDS.items():
        assert isinstance(fetched(surveys.alerts(tmp_path, gives=gives), HERE)["here"], kind)
    curve = fetched(surveys.alerts(tmp_path), HERE)["here"]
    assert list(curve.limit) == [False, True, False, False] and len(curve.time) == 4


def test_alerts_goes_through_fetch_and_its_cache(folder):
    import astrofuse_lab as af

    survey = surveys.alerts(folder, gives="table", name="mine/table")
    found = af.fetch(Targets([HERE, Target("nothing", 10.0, 10.0)]), [survey, "practice/table"])
    assert found.get("mine/table", "here").values["magpsf"] == 17.5
    assert list(found.status["state"][found.status["survey"] == "mine/table"]) == ["found", "empty"]


def test_what_is_said_of_folders_without_packets(tmp_path, folder):
    for given, words in ((tmp_path / "none.avro", "there is no file"), (tmp_path / "empty", "holds no packets"), ([], "no files were given")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=words):
            surveys.alerts(given)
    with pytest.raises(InputError, match="gives='spectrum'"):
        surveys.alerts(folder, gives="spectrum")
    (folder / "broken.avro").write_bytes(b"Obj\x01rubbish")
    with pytest.raises(ArchiveError, match=r"broken.avro.*no complete Avro file"):
        fetched(surveys.alerts(folder), HERE)
    assert surveys.alerts(folder).fingerprint != surveys.alerts(folder / "a.avro").fingerprint


def exposure(row):
    """A row of the mirror's histories as a record of a packet."""
    return {"jd": row["jd"], "fid": row["fid"], "pid": 0, "diffmaglim": row["diffmaglim"], "magpsf": row["magpsf"] if row["is_detection"] else None,
            "sigmapsf": row["sigmapsf"] if row["is_detection"] else None, "isdiffpos": "t" if row["isdiffpos"] else "f"}  # fmt: skip


def test_looking_through_files_ends_with_the_fetch(folder):
    import threading

    from astrofuse_lab.surveys import sessions

    ended, survey = threading.Event(), surveys.alerts(folder)
    ended.set()
    with sessions.patience(ended), pytest.raises(ArchiveError, match="has ended") as caught:
        fetched(survey, HERE)
    assert caught.value.transient and survey.index is None
    assert "here" in fetched(survey, HERE)


@pytest.mark.real
def test_real_ztf_alerts_through_packets(mirror, tmp_path):
    """Real candidates, histories and stamps of the mirror, packed in ZTF's schema and fetched: the light curves are those of the sample-set reader."""
    import h5py

    from astrofuse_lab.samples.readers.ztf_alerts import difference_flux

    folder = mirror / "ztf_alerts"
    if not (folder / "ztf_alerts.parquet").is_file():
        pytest.skip("real data: the mirror has no ztf_alerts")
    rows = pq.read_table(folder / "ztf_alerts.parquet").slice(0, 12).to_pylist()
    history = pq.read_table(folder / "ztf_lightcurves.parquet")
    with h5py.File(folder / "ztf_cutouts.h5") as h5:
        pixels = h5["cutouts"][:12]
    packed = []
    for row, stamps in zip(rows, pixels, strict=True):
        mine = history.filter(pa.compute.equal(history.column("candid"), row["candid"])).to_pylist()
        now = next(r for r in mine if r["is_current"])
        cut = {}
        for name, plane in zip(alert_fields.STAMP_FIELDS, stamps, strict=True):
            file = io.BytesIO()
            made.fits.PrimaryHDU(plane).writeto(file)
            cut[name] = {"fileName": "", "stampData": gzip.compress(file.getvalue())}
        packed.append({
            "schemavsn": "3.3", "publisher": "", "objectId": row["objectId"], "candid": row["candid"], "fp_hists": None,
            "candidate": {**exposure(now), "candid": row["candid"], "ra": row["c_ra"], "dec": row["c_dec"]}, "prv_candidates": [exposure(r) for r in mine if not r["is_current"]], **cut,
        })  # fmt: skip
    (tmp_path / "real.avro").write_bytes(made.container(made.ZTF, packed, "snappy", 3))
    targets = [Target(str(row["candid"]), identifier=str(row["candid"])) for row in rows]
    curves, images = (fetched(surveys.alerts(tmp_path, gives=gives), *targets) for gives in ("light_curve", "image"))
    single = [t for t, row in zip(targets, rows, strict=True) if sum(r["objectId"] == row["objectId"] for r in rows) == 1]
    assert len(single) > 5 and len(images) == 12
    for target in single:
        mine = history.filter(pa.compute.equal(history.column("candid"), int(target.object_id))).sort_by("jd").to_pydict()
        values = {n: np.array([np.nan if v is None else v for v in mine[n]], dtype=float) for n in ("magpsf", "sigmapsf", "diffmaglim", "fid")}
        other = difference_flux(values, np.array([bool(v) for v in mine["isdiffpos"]]), np.array(mine["is_detection"]))
        curve = curves[target.object_id]
        assert len(curve.time) == len(mine["jd"]) and curve.flux == pytest.approx(other["flux"], rel=1e-5) and curve.flux_err == pytest.approx(other["flux_err"], rel=1e-4)
        assert (curve.limit == other["limit"]).all() and (curve.mask == other["mask"]).all()
        shown, raw = images[target.object_id], pixels[[str(r["candid"]) for r in rows].index(target.object_id)]
        assert (shown.mask == np.isfinite(raw)).all() and np.array_equal(shown.flux, np.where(np.isfinite(raw), raw, 0))


@pytest.mark.real
def test_real_rubin_alerts_through_packets(mirror, tmp_path):
    """Real Rubin histories and stamps of the mirror in Rubin's schema, as Avro and as Parquet."""
    import h5py

    folder = mirror / "ztf_alerts"
    if not (folder / "rubin_alerts.parquet").is_file():
        pytest.skip("real data: the mirror has no Rubin alerts")
    rows = pq.read_table(folder / "rubin_alerts.parquet").to_pylist()[-8:]
    history = pq.read_table(folder / "rubin_lightcurves.parquet")
    with h5py.File(folder / "rubin_cutouts.h5") as h5:
        pixels = h5["cutouts"][-8:]
    packed = []
    for row, stamps in zip(rows, pixels, strict=True):
        mine = history.filter(pa.compute.equal(history.column("diaSourceId"), row["diaSourceId"])).to_pylist()
        lines = {kind: [{"midpointMjdTai": r["mjd_tai"], "psfFlux": r["psfFlux_nJy"], "psfFluxErr": r["psfFluxErr_nJy"], "band": r["band"], "diaSourceId": 0, "visit": 0,
                         "ra": row["d_ra"], "dec": row["d_dec"]} for r in mine if r["kind"] == kind] for kind in ("dia", "forced")}  # fmt: skip
        own = {name: row[f"d_{name}"] for name in made.SOURCE if f"d_{name}" in row} | {"diaSourceId": row["diaSourceId"], "diaObjectId": row["diaObjectId"]}
        cut = dict(zip(alert_fields.STAMP_FIELDS, (_nanojansky(plane) for plane in stamps), strict=True))
        packed.append({"diaSourceId": row["diaSourceId"], "diaSource": own, "prvDiaSources": lines["dia"] or None, "prvDiaForcedSources": lines["forced"] or None, **cut})
    (tmp_path / "real.avro").write_bytes(made.container(made.RUBIN, packed, "deflate"))
    (tmp_path / "fink").mkdir()
    pq.write_table(pa.Table.from_pylist(packed), tmp_path / "fink" / "real.parquet")
    targets = [Target(str(row["diaSourceId"]), row["d_ra"], row["d_dec"], identifier=str(row["diaSourceId"])) for row in rows]
    for source in ("real.avro", "fink"):
        curves, forced = (fetched(surveys.alerts(tmp_path / source), *targets, options={"forced": forced}) for forced in (False, True))
        images, table = (fetched(surveys.alerts(tmp_path / source, gives=gives), *targets) for gives in ("image", "table"))
        assert len(curves) == len(images) == len(table) == 8
        for target, packet, stamps in zip(targets, packed, pixels, strict=True):
            seen = {(round(s["midpointMjdTai"], 5), s["band"]): s["psfFlux"] for s in [*(packet["prvDiaSources"] or ()), packet["diaSource"]]}
            curve = curves[target.object_id]
            assert len(curve.time) == len(seen) and curve.clock == "TAI"
            assert sorted(curve.flux[curve.mask]) == pytest.approx(sorted(np.array([v for v in seen.values() if v is not None]) / 1000)[-curve.mask.sum() :], rel=1e-5)
            assert (target.object_id in forced) == bool(packet["prvDiaForcedSources"])
            shown = images[target.object_id]
            assert shown.unit == "uJy" and shown.flux[shown.mask] == pytest.approx(stamps[np.isfinite(stamps)] / 1000, rel=1e-5)
            assert table[target.object_id].values["diaSourceId"] == target.object_id and table[target.object_id].roles["reliability"] == "other"


def _nanojansky(plane):
    header = made.fits.Header()
    header["BUNIT"] = "nJy"
    file = io.BytesIO()
    made.fits.PrimaryHDU(plane, header).writeto(file)
    return file.getvalue()
