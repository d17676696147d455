"""HDF5 from a network: read by a process of its own, which may hang or crash without harm."""

import io
import time

import h5py
import numpy as np
import pytest
from test_sun import netcdf

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.surveys import hdf5_child, hdf5_files


def made(values, **attributes) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as out:
        out["group/data"] = values
        out["group/data"].attrs.update(attributes)
    return file.getvalue()


def test_values_and_attributes_come_as_they_are():
    content = made(np.arange(5, dtype=">i2"), unit="m", text=np.bytes_(b"bytes"), scale=0.5, flags=np.array([1, 2], "u1"), many=np.zeros(1000))
    found = hdf5_files.read(content, ["group/data"], "s")["group/data"]
    assert found.values.tolist() == [0, 1, 2, 3, 4] and found.values.dtype.kind == "i"
    assert found.attributes == {"unit": "m", "text": "bytes", "scale": 0.5, "flags": [1, 2], "many": None}


@pytest.mark.parametrize(
    ("content", "path", "words"),
    [
        (made(np.zeros((2, 2))), "group/data", "2 dimensions"), (made(np.array([b"abc"])), "group/data", "S3"), (made(np.zeros(101)), "group/data", "101 values"),
        (made(np.zeros(3)), "group", "no dataset"), (made(np.zeros(3)), "group/none", "in the file itself"), (made(np.zeros(3))[:500], "group/data", "no complete HDF5"),
        (b"PK", "group/data", "does not begin"),
    ],
)  # fmt: skip
def test_what_is_not_asked_for_is_refused(content, path, words):
    with pytest.raises(ArchiveError, match=rf"s, target t: .*{words}"):
        hdf5_files.read(content, [path], "s", "t", most=100)


def test_a_byte_that_hangs_the_library_does_not_hang_us():
    """Found by mutation: with HDF5 1.14 this file keeps the library busy for ever, and the interpreter's lock with it."""
    content = bytearray(netcdf("2021-01-01"))
    content[1600] = 0x13
    begin = time.monotonic()
    with pytest.raises(ArchiveError, match=r"damaged HDF5 file: it could not be read in 5 s|no complete HDF5 file"):
        hdf5_files.read(bytes(content), ["time", "xrsa_flux"], "s", "t", limit=5.0)
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize(("script", "words"), [("import time; time.sleep(60)", "not be read in 1 s"), ("import os; os.abort()", "gave up on it"), ("print('nothing')", "HDF5 file")])
def test_a_reader_that_hangs_crashes_or_babbles_is_an_error(monkeypatch, tmp_path, script, words):
    place = tmp_path / "child.py"
    place.write_text(script)
    monkeypatch.setattr(hdf5_child, "__file__", str(place))
    monkeypatch.setattr(hdf5_files, "LIMIT", 1.0 if "sleep" in script else 60.0)
    with pytest.raises(ArchiveError, match=words):
        hdf5_files.read(made(np.zeros(3)), ["group/data"], "s", "t")
