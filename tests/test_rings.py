"""The rings of an image: what a person would compute, the same whichever way the image is turned, and blind to what is masked."""

import numpy as np
import pytest
import torch

from astrofuse_lab.models.rings import RadialProfile, rings


def made(bands=2, side=33):
    return RadialProfile(bands, side, side, width=8, hidden=4, dropout=0.0).eval()


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (32, 32), (48, 48), (63, 31)])
def test_rings_part_the_inner_disc(shape):
    parts = rings(*shape)
    assert parts.flatten(1).any(1).all() and (parts.sum(0) <= 1).all()
    y, x = np.indices(shape)
    radius = np.hypot(y - (shape[0] - 1) / 2, x - (shape[1] - 1) / 2)
    assert parts.any(0).numpy()[radius < min(shape) / 2].all()


def test_means_and_scatters_are_those_of_numpy():
    rng = np.random.default_rng(0)
    image, mask = rng.normal(5, 2, (3, 2, 33, 33)).astype(np.float32), rng.random((3, 2, 33, 33)) > 0.2
    said = made().statistics(torch.from_numpy(image), torch.from_numpy(mask)).numpy()
    for k, ring in enumerate(rings(33, 33).numpy()):
        for i in range(3):
            for b in range(2):
                real = image[i, b][ring & mask[i, b]]
                if len(real):
                    assert said[i, b, 0, k] == pytest.approx(real.mean(), abs=1e-4)
                    assert said[i, b, 1, k] == pytest.approx(max(real.std(), 1e-3), abs=2e-3)


def test_turning_and_mirroring_change_nothing_and_elongation_shows():
    side = 33
    y, x = np.indices((side, side)) - side // 2
    trail = np.exp(-0.5 * ((x / 6) ** 2 + (y / 1.5) ** 2)).astype(np.float32)
    blob = np.exp(-0.5 * (x**2 + y**2) / 9).astype(np.float32)
    look = lambda image: made(1).statistics(torch.from_numpy(image.copy())[None, None], torch.ones(1, 1, side, side, dtype=torch.bool))[0, 0]  # noqa: E731
    for turned in (np.rot90(trail), trail[::-1], trail.T, np.rot90(trail[:, ::-1], 3)):
        assert torch.allclose(look(turned), look(trail), atol=1e-5)
    assert look(trail)[3].max() > 0.1 > 10 * look(blob)[3].max()
    assert look(np.roll(blob, 3, 1))[2].max() > 0.1 > 10 * look(blob)[2].max()  # off centre: m = 1


def test_what_is_masked_changes_nothing():
    torch.manual_seed(0)
    image, mask = torch.randn(2, 2, 33, 33), torch.rand(2, 2, 33, 33) > 0.5
    mask[1, 1] = False
    profile = made()
    for filling in (1e6, torch.nan, torch.inf):
        assert torch.equal(profile(image, mask), profile(image.masked_fill(~mask, filling), mask))
    assert torch.isfinite(profile.statistics(image, mask)).all()
    assert (profile.statistics(image, mask)[1, 1, 0] == 0).all()
