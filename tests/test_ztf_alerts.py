"""The reader of ZTF alerts: roles, fluxes, masks, hostile files; and the real set against its README."""

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import astrofuse_lab as af
from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.samples.readers import ztf_alerts as reader


def small_mirror(root, n=6):
    """A mirror root with n invented alerts in the layout of the real ones."""
    folder = root / "ztf_alerts"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(n)
    candid = np.arange(n) + 10**15
    labels = ["SSO", "", "SN", "", "star", "SSO"]
    alerts = pa.table({
        "candid": candid, "objectId": [f"ZTF{i}" for i in range(n)], "group": [f"g{i // 2}" for i in range(n)], "fold": pa.array([i % 5 for i in range(n)]),
        "label": [labels[i % 6] for i in range(n)], "c_jd": 2458300.5 + np.arange(n), "c_ra": rng.uniform(0, 360, n), "c_dec": rng.uniform(-30, 80, n),
        "c_jdstarthist": 2458290.5 + np.zeros(n), "c_fid": np.ones(n, int), "c_magpsf": rng.uniform(16, 20, n).astype(np.float32),
        "c_sgscore1": np.where(np.arange(n) == 1, -999, 0.5).astype(np.float32), "c_ssdistnr": np.full(n, -999.0, np.float32),
        "c_ssnamenr": ["null"] * n, "c_isdiffpos": np.ones(n, bool), "c_objectidps1": np.full(n, -999), "fink_roid": ["3"] * n, "src_repo": ["a/b"] * n,
        "all_evidence": [""] * n, "weak_ps1_counterpart": ["none"] * n, "redshift": pa.array([0.1] + [None] * (n - 1)),
    })  # fmt: skip
    pq.write_table(alerts, folder / reader.ALERTS)
    with h5py.File(folder / reader.CUTOUTS, "w") as file:
        stamps = rng.normal(size=(n, 3, 63, 63)).astype(np.float32)
        stamps[:, 0, 0, 0] = candid - 10**15
        stamps[2, 1, :5] = np.nan
        file["cutouts"], file["candid"] = stamps, candid
    rows = pa.table({
        "candid": np.repeat(candid, 3), "jd": np.tile([2458299.5, 2458297.5, 2458298.5], n), "fid": np.tile([1, 2, 3], n).astype(np.int8),
        "magpsf": pa.array(np.tile([20.0, np.nan, 18.0], n), mask=np.tile([False, True, False], n)), "sigmapsf": pa.array(np.tile([0.1, 0, 0.05], n)),
        "diffmaglim": np.tile([20.5, 20.0, -1006.0], n), "isdiffpos": np.tile([False, False, True], n), "is_detection": np.tile([True, False, True], n),
    })  # fmt: skip
    pq.write_table(rows, folder / reader.LIGHT_CURVES)
    return root


@pytest.fixture
def folder(tmp_path):
    return small_mirror(tmp_path) / "ztf_alerts"


def rewritten(folder, file, change):
    table = pq.read_table(folder / file)
    pq.write_table(change(table), folder / file)


# ---- what is an input ---------------------------------------------------------------------------------------------


def test_no_input_knows_the_label_or_the_source(folder):
    samples = reader.read(folder)
    assert set(samples.inputs) == {"c_fid", "c_magpsf", "c_sgscore1", "c_isdiffpos", "history_days"}
    assert samples.roles["group"] == "group" and samples.roles["src_repo"] == "other"
    assert {samples.roles[t] for t in ("label", "is_sso", "redshift")} == {"target"}


def test_an_unknown_column_is_never_an_input(folder):
    rewritten(folder, reader.ALERTS, lambda t: t.append_column("c_answer", pa.array([1.0] * 6)).append_column("truth", pa.array([1] * 6)))
    samples = reader.read(folder)
    assert samples.roles["c_answer"] == samples.roles["truth"] == "other"


def test_sentinels_are_missing(folder):
    samples = reader.read(folder)
    assert samples.column("c_sgscore1").mask.tolist() == [False, True] + [False] * 4
    assert samples.column("c_ssdistnr").mask.all() and samples.column("c_ssnamenr").mask.all()
    assert samples.column("label").mask.tolist() == [False, True, False, True, False, False]
    assert samples.column("is_sso").tolist() == [True, False, False, False, False, True]
    assert not np.ma.getmaskarray(samples.column("is_sso")).any()
    assert "unknown to the Minor Planet Center" in samples.card.notes[0]


def test_narrow_integers_are_read_as_any_other(folder):
    """A mirror written by another tool may hold the filter number as int8, which cannot hold the sentinel."""
    for kind in (pa.int8(), pa.uint16()):
        rewritten(folder, reader.ALERTS, lambda t, kind=kind: t.set_column(t.schema.get_field_index("c_fid"), "c_fid", t.column("c_fid").cast(kind)))
        assert reader.read(folder).column("c_fid").tolist() == [1] * 6


# ---- light curves and stamps --------------------------------------------------------------------------------------


def test_fluxes_of_a_difference_image(folder):
    curve = reader.read(folder)[0]["light_curve"]
    # in order of time: limit (r, 20.0), positive i 18.0, negative g 20.0; AB: 3631 Jy at magnitude 0
    assert curve.unit == "uJy" and curve.clock == "UTC"
    np.testing.assert_allclose(curve.time, [58297.0, 58298.0, 58299.0])
    assert list(curve.band) == ["r", "i", "g"] and curve.limit.tolist() == [True, False, False]
    twenty, eighteen = 3631e6 * 10**-8.0, 3631e6 * 10**-7.2
    np.testing.assert_allclose(curve.flux, [0, eighteen, -twenty], rtol=1e-5)
    np.testing.assert_allclose(curve.flux_err, [twenty / 5, eighteen * 0.05 * np.log(10) / 2.5, twenty * 0.1 * np.log(10) / 2.5], rtol=1e-5)
    assert curve.mask.all()


def test_impossible_magnitudes_are_masked():
    rows = {"magpsf": np.array([np.nan, 20.0, 20.0]), "sigmapsf": np.array([0.1, 0.0, 0.1]), "diffmaglim": np.array([-1006.0, 20.0, 20.0]), "fid": np.array([1.0, 2.0, 7.0])}
    got = reader.difference_flux(rows, np.ones(3, bool), np.array([False, True, True]))
    assert not got["mask"].any() and np.isfinite(got["flux"]).all() and (got["flux"] == 0).all()


def test_nan_pixels_are_masked(folder):
    samples = reader.read(folder)
    got = samples.arrays("image")
    assert got["flux"].shape == (6, 3, 63, 63) and np.isfinite(got["flux"]).all()
    assert not got["mask"][2, 1, :5].any() and got["mask"].sum() == got["mask"].size - 5 * 63
    assert samples.spec("image").channels == ("science", "reference", "difference") and samples[0]["image"].wcs == {}


def test_rows_are_joined_by_candid_not_by_order(folder):
    order = np.array([4, 0, 5, 1, 3, 2])
    straight = reader.read(folder)
    rewritten(folder, reader.ALERTS, lambda t: t.take(order))
    rewritten(folder, reader.LIGHT_CURVES, lambda t: t.take(np.random.default_rng(0).permutation(len(t))))
    mixed = reader.read(folder)
    np.testing.assert_array_equal(mixed.arrays("image")["flux"][:, 0, 0, 0], order)
    for object_id in straight.object_ids:
        one, other = (s[str(object_id)]["light_curve"] for s in (straight, mixed))
        np.testing.assert_array_equal(one.time, other.time)


def test_alerts_without_stamp_or_history(folder):
    rewritten(folder, reader.LIGHT_CURVES, lambda t: t.slice(3))
    with h5py.File(folder / reader.CUTOUTS, "a") as file:
        file["candid"][1] = 7
    samples = reader.read(folder)
    assert samples.present("light_curve").tolist() == [False] + [True] * 5
    assert samples.present("image").tolist() == [True, False] + [True] * 4


# ---- wrong and hostile files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", reader.FILES)
@pytest.mark.parametrize("damage", ["missing", "cut", "text", "empty"])
def test_damaged_files(folder, file, damage):
    raw = (folder / file).read_bytes()
    (folder / file).unlink()
    if damage != "missing":
        (folder / file).write_bytes({"cut": raw[: len(raw) // 2], "text": b"<html>not found</html>", "empty": b""}[damage])
    with pytest.raises(SampleSetError, match=file.replace(".", r"\.")):
        reader.read(folder)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        (reader.ALERTS, lambda t: t.drop_columns(["label"])),
        (reader.ALERTS, lambda t: t.set_column(0, "candid", pa.array([5] * 6))),
        (reader.ALERTS, lambda t: t.set_column(0, "candid", pa.array(["a"] * 6))),
        (reader.ALERTS, lambda t: t.append_column("c_x", pa.array([[1]] * 6))),
        (reader.ALERTS, lambda t: t.set_column(t.schema.get_field_index("c_ra"), "c_ra", pa.array(["x"] * 6))),
        (reader.LIGHT_CURVES, lambda t: t.drop_columns(["jd"])),
        (reader.LIGHT_CURVES, lambda t: t.set_column(1, "jd", pa.array(["x"] * 18))),
        (reader.LIGHT_CURVES, lambda t: t.set_column(6, "isdiffpos", pa.array([1.0] * 18))),
    ],
)
def test_wrong_columns(folder, file, change):
    rewritten(folder, file, change)
    with pytest.raises(SampleSetError, match=file.replace(".", r"\.")):
        reader.read(folder)


def hostile(folder, make):
    path = folder / reader.CUTOUTS
    with h5py.File(path) as file:
        stamps, candid = file["cutouts"][:], file["candid"][:]
    path.unlink()
    with h5py.File(path, "w") as file:
        make(file, stamps, candid)


def _link(file, stamps, candid):
    file["candid"] = candid
    file["cutouts"] = h5py.ExternalLink("/etc/passwd", "/x")


def _outside(file, stamps, candid):
    file["candid"] = candid
    file.create_dataset("cutouts", stamps.shape, "f4", external=[("/etc/passwd", 0, 4 * stamps.size)])


def _virtual(file, stamps, candid):
    file["candid"] = candid
    layout = h5py.VirtualLayout(stamps.shape, "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", stamps.shape)
    file.create_virtual_dataset("cutouts", layout)


def _bomb(file, stamps, candid):
    file["candid"] = candid
    file.create_dataset("cutouts", (10**9, 3, 63, 63), "f4", chunks=(1, 3, 63, 63), compression="gzip")


def _chunk(file, stamps, candid):
    file["candid"] = candid
    file.create_dataset("cutouts", data=stamps, maxshape=(None, 3, 63, 63), chunks=(2000, 3, 63, 63), compression="gzip")


def _shape(file, stamps, candid):
    file["candid"], file["cutouts"] = candid, stamps[:, :, :30, :30]


def _kind(file, stamps, candid):
    file["candid"], file["cutouts"] = candid, np.zeros(stamps.shape, np.int16)


def _group(file, stamps, candid):
    file["candid"] = candid
    file.create_group("cutouts")


def _ids(file, stamps, candid):
    file["candid"], file["cutouts"] = candid.astype(float), stamps


@pytest.mark.parametrize("make", [_link, _outside, _virtual, _bomb, _chunk, _shape, _kind, _group, _ids])
def test_hostile_stamps(folder, make):
    hostile(folder, make)
    with pytest.raises(SampleSetError, match=r"ztf_cutouts\.h5"):
        reader.read(folder)


def test_limits_hold_without_checksums(folder, monkeypatch):
    monkeypatch.setattr(reader, "MOST_EPOCHS", 10)
    with pytest.raises(SampleSetError, match="at most 10 rows"):
        af.load_samples("ztf-alerts", mirror=folder.parent, verify=False)


# ---- the real set -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(mirror, tmp_path_factory):
    if not (mirror / "ztf_alerts").is_dir():
        pytest.skip(f"real data: {mirror} has no ztf_alerts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASTROFUSE_CACHE", str(tmp_path_factory.mktemp("real")))
        return af.load_samples("ztf-alerts", mirror=mirror)


@pytest.mark.real
def test_the_real_set_is_what_its_readme_says(real):
    assert len(real) == 2046
    assert list(real.modalities) == ["image", "light_curve", "table"]
    assert all(real.present(m).all() for m in real.modalities)
    assert real.column("is_sso").sum() == (real.column("label") == "SSO").sum() == 291
    mask = real.arrays("image")["mask"]
    # the README's share is of 2,662 alerts, of which this mirror holds 2,046
    assert (~mask).any(axis=(1, 2, 3)).mean() == pytest.approx(0.128, abs=0.01)


@pytest.mark.real
def test_no_real_input_is_forbidden(real):
    forbidden = ("c_ss", "fink_", "weak_", "src_", "c_jd", "c_ra", "c_dec", "c_field", "c_objectid", "label", "all_evidence", "is_sso")
    exact = {"group", "objectId", "candid", "c_pid", "c_nid", "c_rcid", "c_rfid", "c_tblid", "c_programid", "fold", "schemavsn", "n_fp", "time"}
    for name in real.inputs:
        assert not name.startswith(forbidden) and not name.endswith("_evidence") and name not in exact
    assert len(real.inputs) > 50
    arrays = real.arrays("table")
    assert not (arrays["values"][arrays["mask"]] == -999).any()


@pytest.mark.real
def test_the_current_epoch_is_the_alert(real):
    curves = real.arrays("light_curve")
    jd, magnitude, sign = (real.column(c).data for c in ("c_jd", "c_magpsf", "c_isdiffpos"))
    for i in range(0, 2046, 13):
        part = slice(*curves["offsets"][i : i + 2])
        now = np.abs(curves["time"][part] + 2400000.5 - jd[i]) < 1e-6
        flux = curves["flux"][part][now & ~curves["limit"][part]].astype(float)
        want = (1 if sign[i] else -1) * 3631e6 * 10 ** (-0.4 * magnitude[i])
        assert np.isclose(flux, want, rtol=1e-4).any()


@pytest.mark.real
def test_real_groups_stay_together(real):
    split = real.split(test=0.3, seed=1)
    one, other = (set(real.select(ids).column("group")) for ids in (split.train, split.test))
    assert not one & other
