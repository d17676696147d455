"""What the scalings of all kinds share: their record, and a robust width."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Scaling:
    """How one modality becomes a tensor: options and the numbers fitted on the training part.

    Attributes
    ----------
    kind : str
    layout : list
        Channels, shape and unit of the set it was fitted on; another layout is refused.
    options : mapping
    fitted : mapping of str to list of float
    """

    kind: str
    layout: list[Any]
    options: Mapping[str, Any]
    fitted: Mapping[str, list[float]]

    def to_json(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold."""
        return {"kind": self.kind, "layout": self.layout, "options": dict(self.options), "fitted": {k: list(v) for k, v in self.fitted.items()}}


def spread(values: NDArray[Any]) -> float:
    """A robust width of a sample: 1.4826 times the median absolute deviation, never zero."""
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return 1.0
    width = 1.4826 * float(np.median(np.abs(values - np.median(values))))
    return width if width > 0 else (float(np.std(values)) or 1.0)
