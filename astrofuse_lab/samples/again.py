"""A sample set that is aligned again: its own products, and what of it stays."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.grids import PixelGrid
from astrofuse_lab.errors import InputError
from astrofuse_lab.modalities import Modality
from astrofuse_lab.samples.arrays import ModalityData
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card, shortened
from astrofuse_lab.targets import Target, Targets


class Again:
    """The modalities of some kinds as if they came from surveys of their names.

    Parameters
    ----------
    samples : SampleSet
    kinds : sequence of str
        Whose modalities are taken; the others are left as they are.

    Attributes
    ----------
    grid : PixelGrid or None
        Of its images: what they stay on where no other is asked for.
    unplaced : bool
        None of its images has a place on the sky.
    """

    def __init__(self, samples: SampleSet, kinds: Sequence[str]) -> None:
        self.samples = samples
        self.surveys = tuple(name for name, spec in samples.modalities.items() if spec.kind in kinds and spec.kind != "table")
        specs = [spec for spec in samples.modalities.values() if spec.kind == "image" and "image" in kinds]
        self.unplaced = bool(specs) and not any(spec.oriented for spec in specs)
        self.grid = PixelGrid(specs[0].shape[-1], specs[0].scale or 1.0, specs[0].angle) if specs else None
        has = samples.roles
        if "image" in kinds and not self.unplaced and not {"ra", "dec"} <= set(has):
            raise InputError(f"images are aligned about positions, and this set has no columns ra and dec; it has {', '.join(has)}.")
        lon, lat = (np.ma.filled(samples.column(name).astype(float), np.nan) if name in has else np.full(len(samples), np.nan) for name in ("ra", "dec"))
        # who has no position on the sky has no image on it either; any will do
        self.targets = Targets(
            Target(str(i), float(a) if np.isfinite(a) else 0.0, float(d) if np.isfinite(d) else 0.0) for i, a, d in zip(samples.object_ids, lon, lat, strict=True)
        )

    def get(self, survey: str, object_id: str) -> Modality | None:
        """One product, or None."""
        position = int(self.samples.positions([object_id])[0])
        return self.samples.one(survey, position)

    def about(self, position: int) -> Mapping[str, Any]:
        """What is known of an object: all its columns."""
        return self.samples.columns_of(position)

    def replaced(self, data: Mapping[str, ModalityData], notes: Sequence[str], columns: Mapping[str, tuple[NDArray[Any], str]]) -> SampleSet:
        """The set with these modalities in the place of those that were taken, and what steps measured as columns."""
        old = self.samples
        kept = {name: old.data_of(name) for name, spec in old.modalities.items() if name not in self.surveys and spec.kind != "table"}
        shown = (*old.card.notes, *shortened(notes))
        card: Card = replace(old.card, notes=shown)
        return old.with_data({**kept, **data}, card, columns)
