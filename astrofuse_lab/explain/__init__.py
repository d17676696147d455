"""What a run looks at: attributions, attention, embeddings and the worth of each modality. Nothing heavy is imported before it is used."""

import importlib
from typing import Any

# no module here is named like one of these: importing it would put the module in the function's place
_DOOR = {
    "attribute": ("attribution", "attribute"),
    "Attribution": ("attribution", "Attribution"),
    "attention": ("attention_maps", "attention"),
    "Attention": ("attention_maps", "Attention"),
    "embed": ("embedding_made", "embed"),
    "Embedding": ("embedding", "Embedding"),
    "embed_epochs": ("embedding_epochs", "embed_epochs"),
    "layers": ("spaces", "layers"),
    "column_shares": ("column_games", "column_shares"),
    "contributions": ("coalitions", "contributions"),
    "Contributions": ("coalitions", "Contributions"),
    "respond": ("responses", "respond"),
    "Response": ("responses", "Response"),
    "swap": ("interventions", "swap"),
    "edit": ("interventions", "edit"),
    "Interventions": ("interventions", "Interventions"),
    "uncertainty": ("doubts", "uncertainty"),
    "surrogate": ("surrogates", "surrogate"),
    "Surrogate": ("surrogates", "Surrogate"),
    "suggest": ("suggestions", "suggest"),
    "active_curve": ("active_curves", "active_curve"),
    "check": ("trust", "check"),
    "Checks": ("trust", "Checks"),
    "label_control": ("trust_models", "label_control"),
}

__all__ = [
    "Attention", "Attribution", "Checks", "Contributions", "Embedding", "Interventions", "Response", "Surrogate", "active_curve", "attention",
    "attribute", "check", "column_shares", "contributions", "edit", "embed", "embed_epochs", "label_control", "layers", "respond", "suggest", "surrogate", "swap",
    "uncertainty",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _DOOR:
        raise AttributeError(f"module 'astrofuse_lab.explain' has no attribute {name!r}; it has {', '.join(__all__)}.")
    module, attribute = _DOOR[name]
    value = getattr(importlib.import_module(f"astrofuse_lab.explain.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
