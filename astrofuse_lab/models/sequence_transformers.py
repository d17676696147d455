"""Transformers of spectra and series: patches that attend to each other, alone or with convolutions between."""

from torch import Tensor, nn
from torch.nn import functional as F

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.attention import FeatureDropout, SelfAttention, TransformerLayer
from astrofuse_lab.models.distance import DistanceBias
from astrofuse_lab.models.encoder import place_of
from astrofuse_lab.models.sequence_tokens import Patches, SequenceEncoder
from astrofuse_lab.models.tokens import InputLayout


class SpectrumTransformer(SequenceEncoder):
    """Spectra and series to tokens by attention between patches of their axis.

    The transformer of Dosovitskiy et al. 2021 (arXiv:2010.11929) along one axis, as spectra are cut in Parker et al. 2024
    (arXiv:2310.03024); its maps lie between patches, which are the tokens given unless there are more than `tokens`.

    Parameters
    ----------
    layout : InputLayout
        Shape (pixel,) or (channel, sample).
    width : int
    layers, heads : int
    patch : int
        Pixels or samples of a patch.
    tokens : int
        Tokens that are given, at most; more patches are pooled.
    distance : bool
        Attention falls with the distance along the axis (in log wavelength on a log grid), by slopes that each head learns; see `DistanceBias`.
    dropout : float
    """

    kinds = ("spectrum", "series")
    attends = True

    def __init__(
        self, layout: InputLayout, width: int, *, layers: int = 2, heads: int = 4, patch: int = 32, tokens: int = 128, distance: bool = False,
        dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(layout, width, patch, tokens)
        self.layers = nn.ModuleList(TransformerLayer(width, heads, dropout=dropout) for _ in range(layers))
        self.distance = DistanceBias(("patches",), heads) if distance else None

    def mix(self, tokens: Tensor, mask: Tensor, days: Tensor | None, maps: list[Tensor] | None) -> Tensor:
        """Tokens (batch, token, width) to as many."""
        bias = None
        if self.distance is not None:
            assert isinstance(self.embed, Patches)
            bias = self.distance.of("patches", place_of(self.embed.axes, self.embed.box), tokens.shape[1], tokens.device)
        for layer in self.layers:
            tokens = layer(tokens, mask, maps, bias=bias)
        return tokens


class DepthwiseConvolution(nn.Conv2d):
    """A convolution of each feature along the tokens, with a filter of its own.

    An image of one row to PyTorch: on a CPU its kernels for images are twice as fast as those for lines.

    Parameters
    ----------
    width : int
    kernel : int
        Odd.
    """

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__(width, width, (1, kernel), padding=(0, kernel // 2), groups=width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (batch, token, width) to the same shape."""
        return super().forward(tokens.transpose(1, 2)[:, :, None])[:, :, 0].transpose(1, 2)


class ConvolutionModule(nn.Module):
    """What a Conformer has between attention and the second half of the MLP (Gulati et al. 2020, figure 2).

    A gated linear map, a convolution of each feature along the tokens, a linear map. Layer normalisation where the paper has batch
    normalisation, so that a batch of one works and no sample depends on another.

    Parameters
    ----------
    width, kernel : int
    """

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.before = nn.LayerNorm(width)
        self.gated = nn.Linear(width, 2 * width)
        self.along = DepthwiseConvolution(width, kernel)
        self.after = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Tokens (batch, token, width) and their mask to the same shape."""
        features = F.glu(self.gated(self.before(tokens)), -1) * mask[..., None]
        mixed: Tensor = self.out(F.silu(self.after(self.along(features))))
        return mixed


class ConformerLayer(nn.Module):
    """Half an MLP, attention, convolution, half an MLP, each added to its input (Gulati et al. 2020, arXiv:2005.08100, equation 1).

    Parameters
    ----------
    width, heads, kernel : int
    expansion : int
        Width of the MLPs' hidden layer, in widths.
    dropout : float
    """

    def __init__(self, width: int, heads: int, kernel: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.first, self.last = (
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, expansion * width), nn.SiLU(), nn.Linear(expansion * width, width)) for _ in range(2)
        )
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.convolution = ConvolutionModule(width, kernel)
        self.norm = nn.LayerNorm(width)
        self.dropout = FeatureDropout(dropout)

    def forward(self, tokens: Tensor, mask: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """Tokens (batch, token, width) and their mask to the same shape."""
        tokens = tokens + 0.5 * self.dropout(self.first(tokens))
        tokens = tokens + self.dropout(self.attention(self.attention_norm(tokens), mask, maps))
        tokens = tokens + self.dropout(self.convolution(tokens, mask))
        tokens = tokens + 0.5 * self.dropout(self.last(tokens))
        normed: Tensor = self.norm(tokens)
        return normed


class ConformerEncoder(SequenceEncoder):
    """Spectra and series to tokens by layers of attention, which sees all, and convolution, which sees what is near.

    Gulati et al. 2020 (arXiv:2005.08100). Patches take the place of the paper's strided convolutions, learned positions that of its relative ones.

    Parameters
    ----------
    layout : InputLayout
        Shape (pixel,) or (channel, sample).
    width : int
    layers, heads : int
    kernel : int
        Tokens that the convolution of a layer sees; odd.
    expansion : int
        Width of the MLPs' hidden layer, in widths.
    patch : int
        Pixels or samples of a patch.
    tokens : int
        Tokens that are given, at most; more patches are pooled.
    dropout : float
    """

    kinds = ("spectrum", "series")
    attends = True

    def __init__(
        self, layout: InputLayout, width: int, *, layers: int = 2, heads: int = 4, kernel: int = 15, expansion: int = 2, patch: int = 16,
        tokens: int = 16, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(layout, width, patch, tokens)
        if kernel % 2 == 0:
            raise InputError(f"kernel={kernel} has no middle. Take an odd number, e.g. {kernel + 1}.")
        self.layers = nn.ModuleList(ConformerLayer(width, heads, kernel, expansion, dropout) for _ in range(layers))

    def mix(self, tokens: Tensor, mask: Tensor, days: Tensor | None, maps: list[Tensor] | None) -> Tensor:
        """Tokens (batch, token, width) to as many."""
        for layer in self.layers:
            tokens = layer(tokens, mask, maps)
        return tokens
