"""What an image says about the object in its middle whichever way it is turned: brightness, unevenness and elongation ring by ring.

The azimuthal harmonics of photometry (e.g. Rix & Zaritsky 1995, ApJ 447, 82: m = 1 lopsided, m = 2 elongated or barred).
A small set of images teaches a convolution this only slowly; here no direction has to be learned.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

FIRST, GROWTH = 1.0, 1.5
"""Outer radius of the first ring, pixels, and the ratio of the next ones."""
HARMONICS = (1, 2)
PER_RING = 2 + len(HARMONICS)


def rings(height: int, breadth: int) -> Tensor:
    """Which pixels lie in which ring around the middle: bool, (ring, height, breadth); rings without a pixel are left out."""
    y, x = (torch.arange(n) - (n - 1) / 2 for n in (height, breadth))
    radius = torch.hypot(y[:, None], x[None, :])
    edges, reach = [0.0, FIRST], min(height, breadth) / 2
    while edges[-1] < reach:
        edges.append(edges[-1] * GROWTH)
    parts = torch.stack([(radius >= low) & (radius < high) for low, high in pairwise(edges)])
    return parts[parts.flatten(1).any(1)]


class RadialProfile(nn.Module):
    """Statistics of rings around the middle of an image, read by an MLP.

    Parameters
    ----------
    bands, height, breadth : int
    width, hidden : int
    dropout : float
    """

    ring: Tensor
    waves: Tensor

    def __init__(self, bands: int, height: int, breadth: int, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        ring = rings(height, breadth).float()
        y, x = (torch.arange(n) - (n - 1) / 2 for n in (height, breadth))
        angle = torch.atan2(y[:, None].expand(height, breadth), x[None, :].expand(height, breadth))
        waves = torch.stack([part for m in HARMONICS for part in (torch.cos(m * angle), torch.sin(m * angle))])
        self.register_buffer("ring", ring.flatten(1), persistent=False)
        self.register_buffer("waves", (waves[:, None] * ring).flatten(2), persistent=False)
        features = bands * len(ring) * PER_RING
        self.layers = nn.Sequential(nn.Linear(features, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width))

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Values and mask (batch, band, y, x) to (batch, width)."""
        return self.layers(self.statistics(values, mask).flatten(1))

    def statistics(self, values: Tensor, mask: Tensor) -> Tensor:
        """(batch, band, 4, ring): mean, scatter and the amplitudes of m = 1 and m = 2 in each ring; zero where no pixel is real."""
        real = mask.flatten(2).to(values.dtype)
        flat = values.flatten(2).masked_fill(~mask.flatten(2), 0.0)
        count = (real @ self.ring.T).clamp(min=1.0)
        mean = flat @ self.ring.T / count
        scatter = ((flat.square() @ self.ring.T / count - mean.square()).clamp(min=0.0) + 1e-6).sqrt()
        rows = [mean, scatter]
        for i in range(len(HARMONICS)):
            # around the mean of the ring, so that missing pixels make no wave
            cosine, sine = ((flat @ wave.T - mean * (real @ wave.T)) / count for wave in self.waves[2 * i : 2 * i + 2])
            rows.append((cosine.square() + sine.square() + 1e-6).sqrt())
        return torch.stack(rows, 2)
