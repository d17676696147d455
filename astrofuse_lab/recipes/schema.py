"""What a recipe is: only names and numbers, so that JSON holds all of it."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

from astrofuse_lab.errors import InputError

Option = float | int | str | bool | None | list[Any]
FIDELITIES = ("reproduces", "follows", "inspired by", "own")
PARTS = ("fusion", "head", "decision", "objective", "schedule", "stack", "pretrain")
OPTIONAL = ("decision", "stack", "pretrain")
SEVERAL = ("augment", "adapt")
"""Fields that are a sequence of parts."""
"""Fields of a recipe that are one part."""


@dataclass(frozen=True)
class Part:
    """One building block, by its name in `astrofuse_lab.models`, with its options.

    Attributes
    ----------
    name : str
        E.g. ``"conv2d"``; see ``af.list_parts()``.
    options : mapping
        Keyword arguments of the part: numbers, text, booleans, lists of these.
    """

    name: str
    options: Mapping[str, Option] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise InputError(f"a part needs a name, not {self.name!r}; see af.list_parts().")
        options = {name: _plain(f"part {self.name!r}: option {name}={value!r}", value) for name, value in self.options.items()}
        object.__setattr__(self, "options", MappingProxyType(options))

    def __reduce__(self) -> tuple[Any, ...]:  # a read-only mapping does not pickle
        return type(self), (self.name, dict(self.options))

    @classmethod
    def of(cls, name: str, **options: Option) -> "Part":
        """``Part.of("conv2d", width=32)``."""
        return cls(name, options)


def _plain(what: str, value: Any) -> Any:
    """The value as JSON would give it back."""
    if isinstance(value, list | tuple):
        return [_plain(what, one) for one in value]
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise InputError(f"{what}: options are finite numbers, text, booleans, or lists of these.")


@dataclass(frozen=True)
class Source:
    """The publication a recipe comes from."""

    title: str = ""
    year: int = 0
    identifier: str = ""
    code: str = ""


@dataclass(frozen=True)
class Recipe:
    """A whole system: one encoder per modality kind, a fusion, a head, and how to train them.

    Attributes
    ----------
    name, title : str
    encoders : mapping of modality name or kind to Part
        A modality's own name wins over its kind.
    fusion : Part
        Feature level: tokens of all modalities to one vector.
    head : Part
        What is predicted, and how: a head of ``af.list_parts()``; ``auto`` takes what the target needs.
    decision : Part, optional
        Decision level: each modality gets a fusion and head of its own, and the predictions are combined.
    objective, schedule : Part
    inputs : mapping of modality name or kind to Part
        How a modality is shown to its encoder, where not by the default of its kind: a scaling (`astrofuse_lab.samples.preparation`) or a
        representation (`astrofuse_lab.alignment.representations`), e.g. ``{"light_curve": Part.of("dmdt", edges="scope")}``.
    augment : sequence of Part
        How training samples are varied, batch by batch; see `astrofuse_lab.alignment.augmentation`. By default images are
        turned: what an object is does not depend on its position angle. ``()``: nothing is.
    width : int
        Width of the tokens and of the fused vector.
    stack : Part, optional
        Data level: which modalities are joined into one before any encoder, e.g. ``Part.of("channels", modalities=["g_image", "r_image"])``.
    adapt : sequence of Part
        What is done to inputs inside the network, before their encoders and learned with them: shrinking by the errors, matching
        resolutions, calibration. Each goes to all modalities it can read, or to the one that its option ``modality`` names.
    pretrain : Part, optional
        A self-supervised objective to train with first, without labels, e.g. ``Part.of("masked", epochs=20)``.
    source, fidelity, departures, reported, data
        Where the idea comes from and how true to it this is; `fidelity` is one of "reproduces" (original weights or
        numbers), "follows" (the paper), "inspired by", "own".
    """

    name: str
    title: str
    encoders: Mapping[str, Part]
    fusion: Part
    head: Part = Part("auto")
    decision: Part | None = None
    objective: Part = Part("auto")
    schedule: Part = Part("end_to_end")
    inputs: Mapping[str, Part] = field(default_factory=dict)
    width: int = 64
    source: Source = Source()
    fidelity: str = "own"
    departures: tuple[str, ...] = ()
    reported: Mapping[str, float] = field(default_factory=dict)
    data: tuple[str, ...] = ()
    augment: tuple[Part, ...] = (Part("turn"),)
    stack: Part | None = None
    adapt: tuple[Part, ...] = ()
    pretrain: Part | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise InputError(f"a recipe needs a name, not {self.name!r}.")
        if isinstance(self.width, bool) or not isinstance(self.width, int) or self.width < 1:
            raise InputError(f"recipe {self.name!r}: width={self.width!r}; a whole number, e.g. 64.")
        if self.fidelity not in FIDELITIES:
            raise InputError(f"recipe {self.name!r}: fidelity {self.fidelity!r} is none of {', '.join(FIDELITIES)}.")
        if not self.encoders:
            raise InputError(f"recipe {self.name!r} has no encoder; give one a modality or kind, e.g. encoders={{'image': Part('conv2d')}}.")
        for name in PARTS:
            self._check_part(name, getattr(self, name), name in OPTIONAL)
        for name in ("encoders", "inputs"):
            for key, part in getattr(self, name).items():
                self._check_part(f"{name}[{key!r}]", part)
        for name in SEVERAL:
            given = getattr(self, name)
            if isinstance(given, Part | str) or not all(isinstance(part, Part) for part in given):
                raise InputError(f"recipe {self.name!r}: {name}={given!r} is no sequence of Parts; write {name}=(Part('turn'), Part.of('noise', share=0.3)).")
        for name in ("encoders", "inputs", "reported"):  # recipes share what they are made of, so nobody may alter it
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        for name in ("departures", "data", *SEVERAL):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def _check_part(self, what: str, part: Any, optional: bool = False) -> None:
        if not isinstance(part, Part) and not (optional and part is None):
            raise InputError(f"recipe {self.name!r}: {what}={part!r} is no Part; write Part({part!r}).")

    def __reduce__(self) -> tuple[Any, ...]:  # a read-only mapping does not pickle
        return type(self).from_json, (self.to_json(),)

    def change(self, **changes: Any) -> "Recipe":
        """A copy with some fields changed: ``recipe.change(fusion="gated")``, or with options ``fusion=Part.of("gated", dropout=0.2)``."""
        _check_fields(changes)
        made: dict[str, Any] = {name: Part(value) if name in PARTS and isinstance(value, str) else value for name, value in changes.items()}
        return replace(self, **made)

    def encoder_for(self, modality: str, kind: str) -> Part:
        """The encoder of a modality: by its own name, else by its kind."""
        for key in (modality, kind):
            if key in self.encoders:
                return self.encoders[key]
        raise InputError(
            f"recipe {self.name!r} has no encoder for {modality!r} (kind {kind!r}); it has {', '.join(self.encoders)}. "
            f"Leave it out with modalities=[...], or add one: recipe.change(encoders={{**recipe.encoders, {modality!r}: Part(...)}})."
        )

    def to_json(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold."""
        return {f.name: _as_json(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Recipe":
        """From such a dictionary; `to_json` and `from_json` are inverse.

        Raises
        ------
        InputError
            Where a field is unknown, lacking or no recipe's.
        """
        if not isinstance(data, Mapping):
            raise InputError(f"a recipe is a mapping of field to value, not {type(data).__name__}.")
        _check_fields(data)
        lacking = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING and f.name not in data]
        if lacking:
            raise InputError(f"the recipe {data.get('name', '')!r} lacks {lacking[0]!r}.")
        values = dict(data)
        for name in ("encoders", "inputs"):
            values[name] = {key: _part(f"{name}[{key!r}]", value) for key, value in data.get(name, {}).items()}
        for name in set(SEVERAL) & set(data):
            values[name] = tuple(_part(f"{name}[{i}]", value) for i, value in enumerate(data[name]))
        for name in PARTS:
            if name in data:
                values[name] = None if data[name] is None else _part(name, data[name])
        source = data.get("source", {})
        unknown = sorted(set(source) - {f.name for f in fields(Source)})
        if unknown:
            raise InputError(f"a recipe's source has no field {unknown[0]!r}; it has {', '.join(f.name for f in fields(Source))}.")
        return cls(**{**values, "source": Source(**source)})


def _check_fields(names: Mapping[str, Any]) -> None:
    known = {f.name for f in fields(Recipe)}
    unknown = sorted(set(names) - known)
    if unknown:
        raise InputError(f"a recipe has no field {unknown[0]!r}; it has {', '.join(sorted(known))}.")


def _part(what: str, data: Any) -> Part:
    if not isinstance(data, Mapping) or "name" not in data:
        raise InputError(f"the recipe's {what} is {data!r}; a part is a mapping with 'name' and 'options'.")
    return Part(data["name"], data.get("options", {}))


def _as_json(value: Any) -> Any:
    if isinstance(value, Part):
        return {"name": value.name, "options": _as_json(value.options)}
    if isinstance(value, Source):
        return asdict(value)
    if isinstance(value, Mapping):
        return {key: _as_json(one) for key, one in value.items()}
    return [_as_json(one) for one in value] if isinstance(value, list | tuple) else value
