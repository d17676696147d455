"""What a sample set says of itself: its modalities, their axes and units, its card."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from astrofuse_lab.provenance import Provenance

NOTES_SHOWN = 20  # of products that could not be used
ROLES = ("input", "target", "group", "split", "id", "other")
"""What a scalar column may be used for; only ``input`` columns feed the modality ``table``, ``split`` is the side in a published split."""


@dataclass(frozen=True)
class ModalitySpec:
    """One modality of a set.

    Attributes
    ----------
    name, kind : str
        The kind (one of `modalities.KINDS`) decides the fields; the name is usually the same.
    channels : tuple of str
        Bands of an image or a light curve, channels of a series, columns of a table; empty for spectrum and text.
    shape : tuple of int
        Shape of one object's values: (band, y, x), (pixel,), (channel, sample); empty where ragged.
    unit : str
    scale : float
        arcsec per pixel (images).
    angle : float
        Position angle of the images' y axis, deg, north through east.
    clock : str
        Time scale (light curves).
    axis, axis_unit : str
        What the samples of a series run over, e.g. ``phase``.
    oriented : bool
        Images: False when the stamps' orientation on the sky is unknown; they then get no WCS.
    provenance : Provenance
    """

    name: str
    kind: str
    channels: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    unit: str = ""
    scale: float = 0.0
    angle: float = 0.0
    clock: str = ""
    axis: str = ""
    axis_unit: str = ""
    oriented: bool = True
    provenance: Provenance = Provenance("unknown")

    def to_json(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold."""
        return {**asdict(self), "channels": list(self.channels), "shape": list(self.shape)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ModalitySpec":
        """From such a dictionary."""
        values = {f.name: data[f.name] for f in fields(cls) if f.name in data}
        values.update(channels=tuple(data["channels"]), shape=tuple(data["shape"]), provenance=Provenance.from_json(data["provenance"]))
        return cls(**values)

    def layout(self) -> tuple[Any, ...]:
        """What a model depends on: kind, channels, shape and unit, without where the data came from."""
        return (self.kind, self.channels, self.shape, self.unit)


def shortened(notes: Sequence[str]) -> tuple[str, ...]:
    """The first notes on products that could not be used, and how many more there are."""
    more = len(notes) - NOTES_SHOWN
    return (*notes[:NOTES_SHOWN], *([f"and {more} products more that could not be used"] if more > 0 else []))


@dataclass(frozen=True)
class Card:
    """What a person should know before using a set.

    Attributes
    ----------
    name, title : str
    simulated : bool
        Shown as a badge in every view.
    citation, licence : str
    notes : tuple of str
        Warnings: shortcuts, how labels were made, what must not be quoted.
    """

    name: str = "unnamed"
    title: str = ""
    simulated: bool = False
    citation: str = ""
    licence: str = ""
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold."""
        return {**asdict(self), "notes": list(self.notes)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Card":
        """From such a dictionary."""
        values = {f.name: data[f.name] for f in fields(cls) if f.name in data}
        values["notes"] = tuple(values.get("notes", ()))
        return cls(**values)

    def bare(self) -> "Card":
        """The fields alone, without the set that a set's card knows."""
        return self if type(self) is Card else Card(**{f.name: getattr(self, f.name) for f in fields(Card)})
