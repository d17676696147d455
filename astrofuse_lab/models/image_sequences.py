"""Sequences of images of one place, epoch after epoch: convolutions over the sky and over time."""

from collections.abc import Sequence

from torch import Tensor, nn

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.image_blocks import group_norm, sizes
from astrofuse_lab.models.image_cnn import ImageEncoder
from astrofuse_lab.models.tokens import InputLayout

BESIDE = ("error:", "psf:")
"""How the names of channels begin that stand beside those of the flux."""


class Conv3dEncoder(ImageEncoder):
    """Image sequences to tokens of sky cells, by convolutions of 3 x 3 x 3 over epoch, y and x (Tran et al. 2015, arXiv:1412.0767).

    The image's channels are epochs by bands, epoch by epoch: g1, r1, g2, r2, ... with ``bands=2``. Each stage halves the pixels
    along each axis and, but for the first, the epochs; what is left of the epochs stays apart until the projection, so
    that their order counts. With ``bands`` the number of all channels it is a network of one epoch. Errors and PSF widths beside
    the flux are further channels of their epoch.

    Parameters
    ----------
    layout : InputLayout
        Shape (epoch times band, y, x).
    width : int
    bands : int
        Bands of each epoch; divides the number of channels.
    channels, layers : list of int
        Of each stage: channels and convolutions.
    tokens : int
        Cells along each axis of the sky, at most.
    crop : int
        Only the central so many pixels along each axis are looked at; 0: all.
    dropout : float
        Share of feature channels set to zero while training.

    Raises
    ------
    InputError
        If `bands` does not divide the channels.
    """

    def __init__(
        self, layout: InputLayout, width: int, *, bands: int = 1, channels: Sequence[int] = [12, 24, 48], layers: Sequence[int] = [1, 1, 1], tokens: int = 4,
        crop: int = 0, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(layout, width, crop)
        flux = [name for name in layout.channels if not name.startswith(BESIDE)]
        if not flux or len(flux) % bands:
            raise InputError(f"bands={bands} does not divide the {len(flux)} channels {', '.join(flux)}; they are epochs by bands.")
        epochs = len(flux) // bands
        self.laid = (-1, epochs, bands)
        stages: list[nn.Module] = []
        wide, inputs = sizes("channels", channels), self.inputs // epochs
        for stage, (outputs, count) in enumerate(zip(wide, sizes("layers", layers, len(wide)), strict=True)):
            ahead = 1 if stage == 0 else 2
            for i in range(count):
                stride = (ahead, 2, 2) if i == 0 else (1, 1, 1)
                stages += [nn.Conv3d(inputs if i == 0 else outputs, outputs, 3, stride, 1, bias=False), group_norm(outputs), nn.ReLU()]
            inputs, epochs = outputs, -(-epochs // ahead)
        self.trunk = nn.Sequential(*stages)
        self.read_out(inputs * epochs, 2 ** len(wide), tokens, dropout)

    def features(self, inputs: Tensor) -> Tensor:
        """Values and masks (batch, 2 * epoch * band, y, x) to features of each square, the remaining epochs beside each other as channels."""
        # flux, its errors, ..., and the same of the masks: each epochs by bands
        planes = inputs.contiguous().unflatten(1, self.laid)
        return self.trunk(planes.transpose(2, 3).flatten(1, 2)).flatten(1, 2)
