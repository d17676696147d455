"""The published systems that this package makes work: what each is, where it comes from, what it reported and what was measured here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.recipes.schema import FIDELITIES, Source

MEASURED = Path(__file__).with_name("measured")
"""One file a system, written by ``benchmarks/systems.py``: numbers with date, commit and machine."""


@dataclass(frozen=True)
class System:
    """One published system.

    Attributes
    ----------
    key, title : str
    inputs : str
        What goes in and what kind of network it is, in a few words.
    source : Source
    fidelity : str
        "reproduces" (original weights or numbers), "follows" (the paper) or "inspired by".
    departures : tuple of str
        Where and why it differs from the publication, and why a reported number is not reached.
    reported : mapping of str to float
        Published numbers, by what they measure.
    data : tuple of str
        Sample sets it is trained and measured on, of ``af.list_samples()``.
    recipes : tuple of str
        Of ``af.list_recipes()``: its networks.
    parameters : mapping of str to int
        Published sizes, by network.
    original : bool
        True where published weights make a run: ``af.Run.original(key)``.
    """

    key: str
    title: str
    inputs: str
    source: Source
    fidelity: str
    departures: tuple[str, ...] = ()
    reported: Mapping[str, float] = field(default_factory=dict)
    data: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    parameters: Mapping[str, int] = field(default_factory=dict)
    original: bool = False

    def __post_init__(self) -> None:
        if self.fidelity not in FIDELITIES:
            raise InputError(f"system {self.key!r}: fidelity {self.fidelity!r} is none of {', '.join(FIDELITIES)}.")
        for name in ("reported", "parameters"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def measured(self) -> dict[str, Any]:
        """What was measured here, as ``benchmarks/systems.py`` wrote it: date, commit, machine, and `numbers`, a list of mappings with name, value,
        low, high, n, data, reference and note; empty before it was."""
        file = MEASURED / f"{self.key}.json"
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def get_system(key: str) -> System:
    """A system by its key; UnknownNameError with the nearest ones."""
    from astrofuse_lab.recipes.catalogue import SYSTEMS

    if key not in SYSTEMS:
        raise UnknownNameError("system", key, SYSTEMS, "af.list_systems() lists them.")
    return SYSTEMS[key]
