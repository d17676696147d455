"""What the scalings of all kinds share: their record, and a robust width."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.column_scaling import width_of
from astrofuse_lab.alignment.representations import options_of
from astrofuse_lab.samples.represented import Shown

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
    shown : Shown, optional
        The representation that comes first; kind and layout are of what it gives.
    given : list
        Then, the layout of the modality that it is made of.
    """

    kind: str
    layout: list[Any]
    options: Mapping[str, Any]
    fitted: Mapping[str, list[float]]
    shown: Shown | None = None
    given: list[Any] = field(default_factory=list)

    @property
    def made(self) -> str:
        """The kind that encoders are given: a spectrum with errors or LSF beside it is a series of channels."""
        return "series" if self.kind == "spectrum" and (self.options.get("errors") or self.options.get("lsf")) else self.kind

    def to_json(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold."""
        data: dict[str, Any] = {"kind": self.kind, "layout": self.layout, "options": dict(self.options), "fitted": {k: list(v) for k, v in self.fitted.items()}}
        return data | ({"representation": {"name": self.shown.name, "options": dict(self.shown.options), "of": self.given}} if self.shown else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Scaling":
        """From such a dictionary; KeyError, TypeError or ValueError if it is damaged."""
        shown, given = None, []
        if "representation" in data:
            one = data["representation"]
            shown, given = Shown(one["name"], options_of(one["name"], one["options"])), list(one["of"])
        return cls(data["kind"], list(data["layout"]), dict(data["options"]), dict(data["fitted"]), shown, given)


def spread(values: NDArray[Any]) -> float:
    """A robust width of a sample: 1.4826 times the median absolute deviation, never zero."""
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return 1.0
    return width_of(values)
