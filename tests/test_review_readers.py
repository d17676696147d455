"""The review's data sets, read from tiny folders of the layout that each reader states; the files themselves are not at hand."""

import json

import numpy as np
import pytest
from PIL import Image

import astrofuse_lab as af
from astrofuse_lab.errors import SampleSetError

NAMES = ("smtd", "mpild", "rgz-md", "msfpd", "radiogalaxynet")


def png(file, value=128, width=20, height=10, mode="L"):
    file.parent.mkdir(parents=True, exist_ok=True)
    shape = (height, width) if mode == "L" else (height, width, 3)
    Image.fromarray(np.full(shape, value, dtype=np.uint8)).save(file)


@pytest.mark.parametrize("name", [*NAMES, "multimodal-universe"])
def test_another_layout_is_said_with_what_is_expected(name, tmp_path):
    (tmp_path / "something.txt").write_text("else")
    with pytest.raises(SampleSetError, match=r"Expected: |the layout of the Multimodal Universe"):
        af.read_samples(tmp_path, name)


def test_smtd_pairs_by_name_and_groups_by_region(tmp_path):
    png(tmp_path / "continuum/alpha/HARP377_20110213.png", 10)
    png(tmp_path / "magnetogram/alpha/HARP377_20110213.png", 10)
    png(tmp_path / "magnetogram/betax/HARP0401_1.png", 10)
    samples = af.read_samples(tmp_path)
    assert samples.column("label").tolist() == ["Alpha", "Beta-x"] and samples.column("region").tolist() == ["377", "401"]
    assert samples.present("continuum").tolist() == [True, False] and samples.present("magnetogram").all()
    assert samples.spec("continuum").shape == (1, 80, 160) and samples.roles["region"] == "group"
    png(tmp_path / "continuum/gamma/x.png")
    with pytest.raises(SampleSetError, match="gamma is no class"):
        af.read_samples(tmp_path)


def test_mpild_reads_names_with_and_without_colons_and_joins_properties(tmp_path):
    for time in ("2011-02-13-05:00:00", "2011-02-13-06-00-00"):
        for mask in ("PIL", "RoPI", "CHPIL"):
            png(tmp_path / f"377/harp377_{time}_BLOS_{mask}_FST100G_LT14pix.png", 255 if mask == "PIL" else 0, 74, 37)
    (tmp_path / "377/properties.csv").write_text("HARPNUM,T_REC,size\n377,2011.02.13_06:00:00_TAI,14\n377,2011.02.14_06:00:00_TAI,15\n")
    samples = af.read_samples(tmp_path, "mpild", size=16)
    assert samples.column("time").tolist() == ["2011-02-13T05:00:00", "2011-02-13T06:00:00"] and samples.column("width").tolist() == [74, 74]
    assert set(samples.modalities) == {"pil", "ropi", "convex_hull", "table"} and samples.arrays("pil")["flux"].min() == 1 and samples.arrays("ropi")["flux"].max() == 0
    assert samples.column("size").tolist() == [None, 14.0] and samples.roles["size"] == "input" and samples.roles["harp"] == "group"
    (tmp_path / "377/properties.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SampleSetError, match="no column of regions"):
        af.read_samples(tmp_path, "mpild")


def test_rgz_md_takes_the_tags_out_of_the_text(tmp_path):
    (tmp_path / "subjects.csv").write_text("subject_id,tags,text,votes\nARG1,double|asymmetric,A clear double lobe #asymmetric,3\nARG2,,,\n")
    png(tmp_path / "images/ARG1.png", 7, mode="RGB")
    np.save(tmp_path / "text_embeddings.npy", np.ones((2, 768), dtype=np.float32))
    samples = af.read_samples(tmp_path, "rgz-md")
    assert samples[0]["text"].text == "A clear lobe" and samples[1]["text"] is None
    assert samples.column("tag_double").tolist() == [True, False] and samples.roles["tag_double"] == "target"
    assert samples.spec("image").shape == (3, 64, 64) and samples.present("image").tolist() == [True, False] and samples.spec("text_embeddings").shape == (1, 768)
    assert "double" in af.read_samples(tmp_path, "rgz-md", strip=False)[0]["text"].text
    np.save(tmp_path / "text_embeddings.npy", np.ones((3, 768), dtype=np.float32))
    with pytest.raises(SampleSetError, match=r"\(2, 768\) are expected"):
        af.read_samples(tmp_path, "rgz-md")


def test_msfpd_rasters_polygons_and_series(tmp_path):
    (tmp_path / "samples.csv").write_text("sample_id,harp,label,start,flares_24h\ns1,377,M,2011-02-13T05:00:00,2\ns2,378,FQ,2011-02-13T05:00:00,0\n")
    png(tmp_path / "rasters/s1.png", 255, 40, 20)
    (tmp_path / "polygons").mkdir()
    (tmp_path / "polygons/s1.csv").write_text("x,y\n0,0\n20,0\n20,20\n0,20\n")
    (tmp_path / "series").mkdir()
    (tmp_path / "series/s2.csv").write_text("size,flux\n1,2\n3,\n")
    samples = af.read_samples(tmp_path, "msfpd", size=16)
    assert samples.roles["label"] == "target" and samples.roles["harp"] == "group" and samples.inputs == ("flares_24h",)
    assert 0.4 < samples.arrays("hull", [0])["flux"].mean() < 0.6 and samples.present("hull").tolist() == [True, False]
    assert samples[1]["series"].values.tolist() == [[1, 3], [2, 0]] and samples[1]["series"].mask.tolist() == [[True, True], [True, False]]
    (tmp_path / "series/s1.csv").write_text("size,flux\n1,2\n")
    with pytest.raises(SampleSetError, match=r"s2.csv has 2 rows of size, flux; those before have 1"):
        af.read_samples(tmp_path, "msfpd")


def test_radiogalaxynet_is_coco_with_three_planes(tmp_path):
    annotations = [
        {"image_id": 1, "category_id": 2, "bbox": [0, 0, 10, 10], "area": 100, "segmentation": [[0, 0, 10, 0, 10, 10, 0, 10]], "keypoints": [4.0, 5.0]},
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 0, 3], "area": 0, "segmentation": []},
    ]
    told = {"images": [{"id": 1, "file_name": "J1rgb.png"}, {"id": 2, "file_name": "J2rgb.png"}], "annotations": annotations, "categories": [{"id": 1, "name": "FR-I"}, {"id": 2, "name": "FR-II"}]}
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/train.json").write_text(json.dumps(told))
    for name in ("J1rgb", "J2rgb"):
        png(tmp_path / f"train/{name}.png", 9, 20, 20, "RGB")
    samples = af.read_samples(tmp_path, size=20)
    assert samples.column("label").tolist() == ["FR-II", None] and samples.column("instances").tolist() == [1, 0] and samples.column("n_FR-I").tolist() == [0, 0]
    assert samples.column("host_x").tolist() == [4.0, None] and samples.roles["side"] == "split" and samples.spec("image").channels == ("radio", "radio_contrast", "W1")
    drawn = samples.arrays("segmentation")["flux"]
    assert drawn[0, 0].max() == 0 and drawn[0, 1, :10, :10].min() == 1 and drawn[0, 1, 12:, 12:].max() == 0
    (tmp_path / "train/J2rgb.png").unlink()
    with pytest.raises(SampleSetError, match=r"J2rgb.png is missing"):
        af.read_samples(tmp_path)
