"""timm, of which only the models are wanted, without torchvision, which its readers of pictures import and which has no build for CPUs alone."""

import importlib.util
import sys
import types
from pathlib import Path

import torch

STANDING_IN = {
    "torchvision": {}, "torchvision.ops": {}, "torchvision.ops.misc": {"FrozenBatchNorm2d": torch.nn.BatchNorm2d}, "torchvision.models": {},
    "torchvision.models.feature_extraction": {"create_feature_extractor": None, "get_graph_node_names": None},
}  # fmt: skip


def load():
    """The module timm, or None where it is not installed (``pip install --no-deps timm``)."""
    found = importlib.util.find_spec("timm")
    if found is None or "timm" in sys.modules:
        return sys.modules.get("timm")
    folder = Path(found.origin).parent / "data"
    spec = importlib.util.spec_from_file_location("timm.data.constants", folder / "constants.py")
    constants = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(constants)
    made = {"timm.data": vars(constants), "timm.data.constants": vars(constants)}
    if importlib.util.find_spec("torchvision") is None:
        made |= STANDING_IN
    for name, names in made.items():
        module = types.ModuleType(name)
        module.__dict__.update({k: v for k, v in names.items() if not k.startswith("__")})
        module.__path__ = []
        sys.modules[name] = module
    import timm

    for name in STANDING_IN:
        sys.modules.pop(name, None)
    return timm
