"""Alert packets from files as a sample set."""

import packets
import pytest

import astrofuse_lab as af
from astrofuse_lab.errors import SampleSetError


def test_a_folder_of_packets_is_a_set(tmp_path):
    history = [packets.seen(2459000.5 - d, 18.5, fid=1 + d % 2) for d in (1, 2, 3)]
    content = packets.container(packets.ZTF, [packets.ztf("ZTF19aaaaaaa", 1, history=history), packets.ztf("ZTF19bbbbbbb", 2, 2459001.5, ra=151.0)])
    (tmp_path / "night.avro").write_bytes(content)
    for path in (tmp_path, tmp_path / "night.avro"):
        samples = af.read_samples(path)
        assert list(samples.object_ids) == ["ZTF19aaaaaaa", "ZTF19bbbbbbb"]
        assert set(samples.modalities) == {"image", "light_curve", "table"}
        assert samples.spec("image").shape[0] == 3 and samples.present("image").all()
        assert len(samples[0]["light_curve"].time) == 4 and len(samples[1]["light_curve"].time) == 1
    only = af.read_samples(tmp_path, modalities=["light_curve"])
    assert list(only.modalities) == ["light_curve"]


def test_files_that_are_no_packets(tmp_path):
    (tmp_path / "bad.avro").write_bytes(b"Obj\x01 and nothing more")
    with pytest.raises(SampleSetError, match=r"bad\.avro cannot be read as alert packets"):
        af.read_samples(tmp_path / "bad.avro")
    with pytest.raises(SampleSetError, match="packets have no 'spectrum'"):
        af.read_samples(tmp_path / "bad.avro", modalities=["spectrum"])
