"""HDF5 files as the scripts of the Multimodal Universe write them (HSC, SDSS, PLAsTiCC, YSE), and hostile ones."""

import h5py
import numpy as np
import pytest

import astrofuse_lab as af
from astrofuse_lab.errors import SampleSetError


def file(folder, name="survey/config/healpix=0007/001-of-001.hdf5", **arrays):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as h5:
        for key, values in {"object_id": np.array([b"11", b"12"]), "ra": np.array([1.0, 2.0]), "dec": np.array([3.0, 4.0]), **arrays}.items():
            h5.create_dataset(key, data=values)
    return folder


def test_images_of_hsc(tmp_path):
    flux = np.arange(2 * 2 * 4 * 4, dtype=np.float32).reshape(2, 2, 4, 4)
    file(tmp_path, image_array=flux, image_ivar=np.ones_like(flux), image_mask=flux > 3, image_band=np.array([[b"hsc-g", b"hsc-r"]] * 2),
         image_psf_fwhm=np.full((2, 2), 0.7, np.float32), image_scale=np.full((2, 2), 0.168, np.float32), a_g=np.array([0.1, np.nan]))  # fmt: skip
    samples = af.read_samples(tmp_path / "survey" / "config")
    assert list(samples.object_ids) == ["11", "12"] and samples.spec("image").channels == ("hsc-g", "hsc-r") and samples.spec("image").scale == pytest.approx(0.168)
    np.testing.assert_array_equal(samples.arrays("image")["flux"], flux)
    np.testing.assert_array_equal(samples.arrays("image")["mask"], flux > 3)  # True: good
    assert samples.column("a_g").mask.tolist() == [False, True]


def test_spectra_of_sdss_are_padded_and_their_masks_mark_the_bad(tmp_path):
    wave = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, -1.0]], dtype=np.float32)
    file(tmp_path, spectrum_flux=np.ones((2, 3)), spectrum_ivar=np.ones((2, 3)), spectrum_lambda=wave, spectrum_mask=np.array([[True, False, False], [False, False, True]]), spectrum_lsf_sigma=np.ones((2, 3)))
    samples = af.read_samples(tmp_path, "multimodal-universe")
    assert samples.arrays("spectrum")["lambda"].tolist() == [1, 2, 3]
    assert samples.arrays("spectrum")["mask"].tolist() == [[False, True, True], [True, True, False]]
    file(tmp_path, spectrum_flux=np.ones((2, 3)), spectrum_lambda=wave + np.array([[0], [0.5]]))
    with pytest.raises(SampleSetError, match=r"001-of-001\.hdf5: the spectra of 'spectrum' have wavelengths of their own"):
        af.read_samples(tmp_path)


def test_light_curves_of_plasticc_lose_their_padding(tmp_path):
    cube = np.zeros((2, 6, 3, 4), dtype=np.float32)
    cube[0, 1, :, :2] = [[5, 3], [10, 11], [1, 1]]
    cube[0, 4, :, 0] = [4, 20, 2]
    file(tmp_path, lightcurve=cube, redshift=np.array([0.1, 0.2]))
    curve = af.read_samples(tmp_path)[0]["light_curve"]
    assert curve.time.tolist() == [3, 4, 5] and curve.band.tolist() == ["g", "z", "g"] and curve.flux.tolist() == [11, 20, 10]
    with pytest.raises(SampleSetError, match="2 bands"):
        af.read_samples(tmp_path, bands=("g", "r"))


def test_light_curves_of_yse_are_a_file_an_object(tmp_path):
    for i, name in enumerate(("a", "b")):
        time = np.array([[1.0, 2.0], [3.0, -99.0]])
        arrays = {"object_id": name, "ra": 1.0, "dec": 2.0, "redshift": 0.1 * i, "bands": "g,r", "time": time, "flux": np.array([[5.0, 6.0], [7.0, 0.0]]), "flux_err": np.ones((2, 2))}
        file(tmp_path, f"yse_dr1/healpix={i:04d}/{name}.hdf5", **arrays)
    samples = af.read_samples(tmp_path)
    assert list(samples.object_ids) == ["a", "b"] and samples[1]["light_curve"].band.tolist() == ["g", "g", "r"]


def test_several_data_sets_in_one_folder_are_asked_about(tmp_path):
    file(tmp_path, "one/healpix=0/001-of-001.hdf5")
    file(tmp_path, "two/healpix=0/001-of-001.hdf5")
    with pytest.raises(SampleSetError, match="several data sets: one, two"):
        af.read_samples(tmp_path)
    assert len(af.read_samples(tmp_path, config="two")) == 2


def test_hostile_files_are_refused(tmp_path):
    path = file(tmp_path) / "survey/config/healpix=0007/001-of-001.hdf5"
    with h5py.File(path, "a") as h5:
        h5["z"] = h5py.ExternalLink("/etc/passwd", "z")
    with pytest.raises(SampleSetError, match="'z' is no plain data set"):
        af.read_samples(path)
    with h5py.File(path, "a") as h5:
        del h5["z"]
        h5.create_dataset("image_flux", shape=(2, 1, 2**16, 2**15), chunks=(1, 1, 64, 64), dtype="f4")
    with pytest.raises(SampleSetError, match="'image_flux' claims the shape"):
        af.read_samples(path)
    with h5py.File(path, "a") as h5:
        del h5["image_flux"]
        h5.create_dataset("z", data=np.zeros(5))
    with pytest.raises(SampleSetError, match=r"'z' has shape \(5,\); the first axis must be the 2 objects"):
        af.read_samples(path)
    with h5py.File(path, "a") as h5:
        del h5["object_id"]
    with pytest.raises(SampleSetError, match="has no object_id"):
        af.read_samples(path)
