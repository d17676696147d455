"""What comes before the encoders: adapters of single inputs, then the stack that joins some of them."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from astrofuse_lab.errors import UnknownNameError
from astrofuse_lab.models.adapt import Adapter
from astrofuse_lab.models.parts import ADAPTERS, STACKS, make_part
from astrofuse_lab.models.stack import Stack
from astrofuse_lab.models.tokens import InputLayout
from astrofuse_lab.recipes.schema import Part, Recipe


class Front(nn.Module):
    """From the modalities of a model to the streams that its encoders read.

    Parameters
    ----------
    recipe : Recipe
        Its `adapt` and `stack`.
    layouts : mapping of modality to InputLayout

    Attributes
    ----------
    layouts : dict of stream to InputLayout
        In the order of the modalities; a stack stands where its first member stood. Without a stack, streams are the modalities.
    members : dict of stream to tuple of str
    """

    def __init__(self, recipe: Recipe, layouts: Mapping[str, InputLayout]) -> None:
        super().__init__()
        now = dict(layouts)
        adapters = []
        for part in recipe.adapt:
            adapter = _adapter(part, now)
            if adapter is not None:
                adapters.append(adapter)
                now |= adapter.layouts
        self.adapters = nn.ModuleList(adapters)
        self.stack = _stack(recipe.stack, now)
        self.layouts: dict[str, InputLayout] = {}
        self.members: dict[str, tuple[str, ...]] = {}
        for name, layout in now.items():
            if self.stack is None or name not in self.stack.members:
                self.layouts[name], self.members[name] = layout, (name,)
            else:
                self.layouts[self.stack.called], self.members[self.stack.called] = self.stack.layout, tuple(self.stack.members)

    def forward(self, values: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Values and masks of the modalities given to those of the streams that have any, in order."""
        values, masks = dict(values), dict(masks)
        for adapter in self.adapters:
            new = adapter(values, masks)
            values |= new[0]
            masks |= new[1]
        out, seen = {}, {}
        for stream, members in self.members.items():
            given = [name for name in members if name in values]
            if not given:
                continue
            if self.stack is not None and stream == self.stack.called:
                out[stream], seen[stream] = self.stack({n: values[n] for n in given}, {n: masks[n] for n in given})
            else:
                out[stream], seen[stream] = values[stream], masks[stream]
        return out, seen


def _adapter(part: Part, layouts: Mapping[str, InputLayout]) -> Adapter | None:
    """An adapter for all modalities it can read, or the one it names; None where the model has none of them (ablations leave some out)."""
    if part.name not in ADAPTERS:
        raise UnknownNameError("adapter", part.name, ADAPTERS, "Type af.list_parts() to see them all.")
    named = part.options.get("modality", "")
    own = {name: one for name, one in layouts.items() if named in ("", name)}
    able = {name: one for name, one in own.items() if ADAPTERS[part.name].reads(one)}
    if not able:
        ADAPTERS[part.name].check(own)
        return None
    made: Adapter = make_part("adapter", part, able, layouts)
    return made


def _stack(part: Part | None, layouts: Mapping[str, InputLayout]) -> Stack | None:
    if part is None:
        return None
    if part.name not in STACKS:
        raise UnknownNameError("stack", part.name, STACKS, "Type af.list_parts() to see them all.")
    wanted: Any = part.options.get("modalities", [])
    members = STACKS[part.name].chosen(layouts, list(wanted))
    if not members:
        return None
    made: Stack = make_part("stack", part, members)
    return made
