"""What a run looks at: attributions, attention, embeddings and the worth of each modality. Nothing heavy is imported before it is used."""

import importlib
from typing import Any

# no module here is named like one of these: importing it would put the module in the function's place
_DOOR = {
    "attribute": ("attribution", "attribute"),
    "Attribution": ("attribution", "Attribution"),
    "attention": ("attention_maps", "attention"),
    "Attention": ("attention_maps", "Attention"),
    "embed": ("embedding", "embed"),
    "Embedding": ("embedding", "Embedding"),
    "contributions": ("coalitions", "contributions"),
    "Contributions": ("coalitions", "Contributions"),
}

__all__ = ["Attention", "Attribution", "Contributions", "Embedding", "attention", "attribute", "contributions", "embed"]


def __getattr__(name: str) -> Any:
    if name not in _DOOR:
        raise AttributeError(f"module 'astrofuse_lab.explain' has no attribute {name!r}; it has {', '.join(__all__)}.")
    module, attribute = _DOOR[name]
    value = getattr(importlib.import_module(f"astrofuse_lab.explain.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
