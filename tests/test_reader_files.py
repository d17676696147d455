"""What readers of data sets share: bounded, suspicious file reading; magnitudes to light curves; who is one source."""

import io
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.samples.readers import crts_variables, files, frb_morphology, tess_transits
from astrofuse_lab.samples.readers.curves import end_to_end, from_magnitudes, has_epoch
from astrofuse_lab.samples.readers.places_on_sky import same_place

# ---- numpy archives -------------------------------------------------------------------------------------------------


def archive(path, **members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def saved(array, **more):
    buffer = io.BytesIO()
    np.save(buffer, array, **more)
    return buffer.getvalue()


def claiming(shape, content=b"\0" * 80):
    buffer = io.BytesIO()
    npy.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return buffer.getvalue() + content


class Run:
    """Would leave a file behind if it were ever unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_arrays_are_read_as_they_are(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.arange(6.0).reshape(2, 3), s=np.array(["b", "a"]), unread=np.zeros(3))
    got = files.npz(path, {"x": ("f", 2), "s": ("U", 1)})
    assert set(got) == {"x", "s"} and got["s"].tolist() == ["b", "a"]
    np.testing.assert_array_equal(got["x"], [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (claiming((10**12,)), "do not hold"), (claiming((10**9, 10**9, 10**9)), "axes"), (claiming((9,)), "do not hold"), (claiming((-10,)), "a.npz"), (b"not numpy", "cannot be read"),
        (b"", "cannot be read"), (saved(np.array([1, 2])), "of kind 'f'"), (saved(np.zeros((2, 2))), "1 axes"),
    ],
)  # fmt: skip
def test_arrays_that_are_not_what_they_claim(tmp_path, content, why):
    with pytest.raises(SampleSetError, match=why):
        files.npz(archive(tmp_path / "a.npz", x=content), {"x": ("f", 1)})


def test_nothing_is_unpickled(tmp_path):
    left = tmp_path / "left"
    content = saved(np.array([Run(left)], dtype=object), allow_pickle=True)
    for kinds in ("f", "O"):
        with pytest.raises(SampleSetError, match=r"a\.npz"):
            files.npz(archive(tmp_path / "a.npz", x=content), {"x": (kinds, 1)})
    assert not left.exists()


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_UNPACKED", 1000)
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(200))
    with pytest.raises(SampleSetError, match="unpacks to 1728 bytes; at most 1000"):
        files.npz(tmp_path / "a.npz", {"x": ("f", 1)})


def test_a_missing_array_or_archive(tmp_path):
    with pytest.raises(SampleSetError, match="has no array 'y'"):
        files.npz(archive(tmp_path / "a.npz", x=saved(np.zeros(2))), {"y": ("f", 1)})
    (tmp_path / "b.npz").write_bytes(b"PK\3\4 no archive")
    with pytest.raises(SampleSetError, match=r"b\.npz cannot be read"):
        files.npz(tmp_path / "b.npz", {"x": ("f", 1)})
    with pytest.raises(SampleSetError, match=r"c\.npz is missing"):
        files.npz(tmp_path / "c.npz", {"x": ("f", 1)})


# ---- tables ---------------------------------------------------------------------------------------------------------


def test_columns_of_a_table(tmp_path):
    table = pa.table({"n": [1, 2, 3], "f": [0.5, None, 2.5], "t": ["a", None, "c"], "b": [True, None, False], "v": [[1.0, 2.0], [], [3.0]], "w": [[1, 2], [3, 4], [5, 6]]})
    pq.write_table(table, tmp_path / "t.parquet")
    read = files.parquet(tmp_path / "t.parquet", ("n", "v"))
    file = tmp_path / "t.parquet"
    assert files.whole(file, read, "n").tolist() == [1, 2, 3] and np.isnan(files.number(file, read, "f")[1])
    assert files.texts(file, read, "t").tolist() == ["a", "", "c"] and files.flag(file, read, "b").tolist() == [True, False, False]
    offsets, values = files.lists(file, read, "v")
    assert offsets.tolist() == [0, 2, 2, 3] and values.tolist() == [1, 2, 3]
    assert files.rectangle(file, read, "w", 2).tolist() == [[1, 2], [3, 4], [5, 6]]
    for wrong in (
        lambda: files.whole(file, read, "f"), lambda: files.number(file, read, "t"), lambda: files.texts(file, read, "n"), lambda: files.flag(file, read, "n"),
        lambda: files.lists(file, read, "n"), lambda: files.rectangle(file, read, "v", 2), lambda: files.parquet(file, ("absent",)), lambda: files.parquet(file, most=2),
    ):
        with pytest.raises(SampleSetError, match=r"t\.parquet"):
            wrong()


def test_commas(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,c\n1,,x\n2,0.5,\n")
    table = files.csv(tmp_path / "t.csv", ("a",))
    assert table.column("b").to_pylist() == [None, 0.5] and table.column("c").to_pylist() == ["x", None]
    with pytest.raises(SampleSetError, match="at most 1 rows"):
        files.csv(tmp_path / "t.csv", most=1)
    (tmp_path / "t.csv").write_bytes(b"a,b\n1\n\xff,2,3\n")
    with pytest.raises(SampleSetError, match=r"t\.csv cannot be read"):
        files.csv(tmp_path / "t.csv")


# ---- light curves ---------------------------------------------------------------------------------------------------


def test_magnitudes_become_fluxes_in_order_of_time():
    offsets, time = np.array([0, 3, 3, 5]), np.array([3.0, 1.0, 2.0, 9.0, 8.0])
    magnitude, error = np.array([20.0, 18.0, np.nan, 99.0, 19.0]), np.array([0.1, 0.05, 0.1, 0.1, 0.0])
    got = from_magnitudes(offsets, time, magnitude, error, limit=np.array([False, False, False, False, True]), sigma=3.0)
    assert got["time"].tolist() == [1, 2, 3, 8, 9] and got["mask"].tolist() == [True, False, True, True, False]
    np.testing.assert_allclose(got["flux"], [3631e6 * 10**-7.2, 0, 3631e6 * 10**-8.0, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(got["flux_err"][[0, 3]], [3631e6 * 10**-7.2 * 0.05 * np.log(10) / 2.5, 3631e6 * 10**-7.6 / 3], rtol=1e-6)
    assert got["limit"].tolist() == [False, False, False, True, False] and has_epoch(got).tolist() == [True, False, True]


def test_bands_kept_apart_are_merged_object_by_object():
    first, second = (np.array([0, 2, 2]), (np.array([1.0, 2.0]),)), (np.array([0, 1, 3]), (np.array([3.0, 4.0, 5.0]),))
    offsets, (values,), part = end_to_end([first, second])
    assert offsets.tolist() == [0, 3, 5] and values.tolist() == [1, 2, 3, 4, 5] and part.tolist() == [0, 0, 1, 1, 1]


# ---- one source -----------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.floats(0, 360), st.floats(-90, 90)), min_size=1, max_size=30), st.integers(0, 2**32 - 1))
def test_sources_are_the_same_whatever_the_order(places, seed):
    ra, dec = (np.array(v) for v in zip(*places, strict=True))
    group = same_place(ra, dec, 2.0)
    order = np.random.default_rng(seed).permutation(len(ra))
    again = same_place(ra[order], dec[order], 2.0)
    np.testing.assert_array_equal(group[order][:, None] == group[order][None], again[:, None] == again[None])
    assert (group <= np.arange(len(ra))).all()


def test_sources_across_the_border_at_the_pole_and_without_position():
    ra, dec = np.array([359.9999, 0.0001, 10.0, 190.0, np.nan, np.nan, 50.0]), np.array([0.0, 0.0, 89.9999, 89.9999, 1.0, 1.0, 0.0])
    assert same_place(ra, dec, 1.0).tolist() == [0, 0, 2, 2, 4, 5, 6]
    assert len(same_place(np.zeros(0), np.zeros(0), 1.0)) == 0


# ---- small mirrors of two sets --------------------------------------------------------------------------------------


def small_crts(folder, **changed):
    arrays = {
        "crts_id": np.array([11, 12, 13]), "label": np.array(["EW", "LADS", "RRab"]), "ra": np.array([10, 10.0001, 20], np.float32), "dec": np.zeros(3, np.float32),
        "offset": np.array([0, 2, 3, 5]), "t_1e5day_since_mjd53000": np.array([100000, 200000, 5, 7, 6]), "mag_millimag": np.array([15000, 15100, 16000, 17000, 17500]),
        "magerr_1e4mag": np.full(5, 500),
    } | changed  # fmt: skip
    np.savez(folder / crts_variables.CURVES, **arrays)
    return folder


def test_a_small_crts(tmp_path):
    samples = crts_variables.read(small_crts(tmp_path))
    assert samples.column("group").tolist() == ["11", "11", "13"] and samples.column("main_class").filled("-").tolist() == ["EW", "-", "RRab"]
    curve = samples[2]["light_curve"]
    np.testing.assert_allclose(curve.time, 53000 + np.array([6e-5, 7e-5]))
    np.testing.assert_allclose(23.9 - 2.5 * np.log10(curve.flux), [17.5, 17.0], atol=1e-3)
    assert samples.inputs == ()


@pytest.mark.parametrize("changed", [{"offset": np.array([0, 2, 3, 6])}, {"offset": np.array([0, 3, 2, 5])}, {"label": np.array(["EW"])}, {"magerr_1e4mag": np.full(4, 500)}])
def test_crts_that_does_not_fit_itself(tmp_path, changed):
    with pytest.raises(SampleSetError, match=r"crts_labelled_lightcurves\.npz"):
        crts_variables.read(small_crts(tmp_path, **changed))


def small_tess(folder, n=6, **changed):
    rng = np.random.default_rng(0)
    arrays = {
        "split": np.array(["train", "test", "train", "validate", "test", "train"]), "source": np.full(n, "dl3"), "tic_id": np.array([5, 5, 6, 6, 7, 8]),
        "disposition": np.array(["KP", "KP", "J", "J", "EB", "PC"]), "scalar_names": np.array(["Depth", "Teff"]), "extra_names": np.array(["Period"]),
        **{name: rng.normal(size=(n, width)).astype(np.float32) for name, width in tess_transits.WIDTHS.items()},
        "scalars": rng.normal(size=(n, 2)).astype(np.float32), "extra": rng.normal(size=(n, 1)).astype(np.float32),
    } | changed  # fmt: skip
    np.savez(folder / tess_transits.VIEWS, **arrays)
    return folder


def test_a_small_tess(tmp_path):
    samples = tess_transits.read(small_tess(tmp_path))
    assert samples.inputs == ("Depth", "Teff") and samples.object_ids.tolist() == ["TIC5-0", "TIC5-1", "TIC6-0", "TIC6-1", "TIC7-0", "TIC8-0"]
    assert samples.column("is_planet").tolist() == [True, True, False, False, False, True]
    split = samples.split(by="published")
    assert "1 of 2 test samples share their 'tic_id'" in split.note and "1 of 1 validation" in split.note
    half = samples.arrays("half_phase")
    with np.load(tmp_path / tess_transits.VIEWS) as raw:
        np.testing.assert_array_equal(half["values"][:, 1], raw["half_phase_view"][:, 81:])


@pytest.mark.parametrize("changed", [{"local_view": np.zeros((6, 80), np.float32)}, {"tic_id": np.arange(5)}, {"scalars": np.zeros((6, 3), np.float32)}])
def test_tess_that_does_not_fit_itself(tmp_path, changed):
    with pytest.raises(SampleSetError, match=r"nigraha_labelled_views\.npz"):
        tess_transits.read(small_tess(tmp_path, **changed))


def test_votes_in_another_order_are_refused(tmp_path):
    (tmp_path / frb_morphology.SCORES).write_text(",".join((*frb_morphology.INPUTS, "actual_type")) + "\n1,0,0,0,0,I\n0,1,0,0,0,II\n")
    votes = tmp_path / frb_morphology.VOTES
    votes.write_text("correct_type,predict_type\nA,A\nB,B\n")
    assert frb_morphology.read(tmp_path).column("voted_type").tolist() == ["I", "II"]
    votes.write_text("correct_type,predict_type\nB,B\nA,A\n")
    with pytest.raises(SampleSetError, match="do not list the same bursts"):
        frb_morphology.read(tmp_path)
