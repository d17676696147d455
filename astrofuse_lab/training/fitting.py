"""What a model works out from training samples before an epoch, where gradients do not: see `FusionModel.fit`."""

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from astrofuse_lab.models.build import FusionModel
    from astrofuse_lab.training.feed import Feed

MOST = 4096
"""Samples looked at: enough for means of classes, and little beside an epoch."""
ROWS = 256


def fit_model(model: "FusionModel", feed: "Feed", target: Tensor, count: int) -> None:
    """Show the model its training samples as they were observed, evenly chosen among the first `count` of the feed.

    The same samples each epoch and in each process. The model is put in eval mode meanwhile.

    Parameters
    ----------
    model : FusionModel
        Nothing is done unless it `fits`.
    feed : Feed
    target : Tensor, (sample, ...)
        As `Problem` encodes them, in the feed's order.
    count : int
        Training samples; validation's come after them.
    """
    if not model.fits:
        return
    some = np.unique(np.linspace(0, count - 1, min(count, MOST)).astype(np.int64))
    indices = [some[begin : begin + ROWS] for begin in range(0, len(some), ROWS)]
    training = model.training
    model.eval()
    batches = zip(feed.batches(indices), indices, strict=True)
    model.fit((batch.values, batch.masks, batch.present, target[index]) for batch, index in batches)
    model.train(training)
