"""Heads: a fused vector to class logits, or to a value."""

from torch import nn

from astrofuse_lab.models.tokens import Fused, Prediction


class Head(nn.Module):
    """Base of the heads: one hidden layer.

    Parameters
    ----------
    width : int
        Of the fused vector.
    outputs : int
    hidden : int
        Width of the hidden layer; 0 for a linear head.
    dropout : float
    """

    task: str = ""

    def __init__(self, width: int, outputs: int, *, hidden: int = 64, dropout: float = 0.1) -> None:
        super().__init__()
        layers = [nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, outputs)] if hidden else [nn.Linear(width, outputs)]
        self.layers = nn.Sequential(*layers)

    def forward(self, fused: Fused) -> Prediction:
        """The prediction of each sample, float32 whatever the precision before."""
        return Prediction(self.layers(fused.vector).float(), fused)


class ClassificationHead(Head):
    """Logits of exclusive classes, (batch, class)."""

    task = "classification"


class RegressionHead(Head):
    """A standardised value, (batch, 1)."""

    task = "regression"
