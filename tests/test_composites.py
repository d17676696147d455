"""Composites: the mean of each class is numpy's, over what is known."""

import numpy as np
import pytest
from conftest import make_toy_samples, with_series
from test_represented import curves

from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.composites import class_means


@pytest.mark.parametrize("modality", ["image", "spectrum", "series"])
def test_means_are_numpys(modality):
    samples = with_series(make_toy_samples(40))
    table = class_means(samples, modality, "label")
    arrays, label, has = samples.arrays(modality), samples.column("label"), samples.present(modality)
    values = arrays["values" if modality == "series" else "flux"].astype(float)
    assert table["class"].tolist() == sorted(set(label)) and table["objects"].sum() == has.sum() and table.meta["simulated"]
    for row in table:
        mine = (label.data == row["class"]) & has
        expected = np.ma.array(values[mine], mask=~(arrays["mask"][mine] & np.isfinite(values[mine])))
        np.testing.assert_allclose(row["mean"], expected.mean(axis=0).filled(np.nan), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(row["spread"], expected.std(axis=0).filled(np.nan), rtol=1e-4, atol=1e-4)


def test_the_composites_of_two_kinds_of_light_curves_differ():
    table = class_means(curves(epochs=300).represent("light_curve", "dmdt", norm="l2"), "light_curve", "label")
    quick, slow = table["mean"]
    assert quick.shape == (2, 22, 24)
    hours = slice(1, 8)  # in which a slow star has not changed yet
    still = [mean[:, 10:12, hours].sum() / mean[:, :, hours].sum() for mean in (quick, slow)]
    assert still[1] > 0.8 and still[0] < 0.5


def test_what_has_no_mean_is_told():
    with pytest.raises(InputError, match=r"has no mean.*represent"):
        class_means(curves(), "light_curve", "label")
    with pytest.raises(InputError, match="no column"):
        class_means(make_toy_samples(6), "image", "nothing")
