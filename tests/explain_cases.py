"""Runs that the tests of explain share: real trained ones, made once a session, and one whose answers can be worked out by hand."""

from functools import lru_cache

import torch
from conftest import make_toy_samples
from torch import nn

from astrofuse_lab.models.tokens import Fused, Prediction, Tokens
from astrofuse_lab.recipes.catalogue import get_recipe
from astrofuse_lab.samples.preparation import Preparation
from astrofuse_lab.samples.split import Split
from astrofuse_lab.training.loop import train
from astrofuse_lab.training.problem import pose
from astrofuse_lab.training.run import Run

MODALITIES = ("image", "spectrum", "light_curve", "table", "text")


@lru_cache
def samples(n=40):
    return make_toy_samples(n)


@lru_cache
def trained(recipe="joint_attention", target="label", modalities=MODALITIES):
    return train(recipe, samples(), target, list(modalities), epochs=2, device="cpu", progress=False)


class LinearModel(nn.Module):
    """Logits that are a weighted sum of all real inputs: every attribution of it is known exactly."""

    attends = False

    def __init__(self, batch, outputs=3):
        super().__init__()
        self.modalities = tuple(batch.values)
        torch.manual_seed(3)
        # ragged axes have one weight for all their places
        shapes = {name: value.shape[1:] if name not in ("light_curve", "text") else value.shape[2:] for name, value in batch.values.items()}
        self.weights = nn.ParameterDict({name: nn.Parameter(torch.randn(outputs, *shape) * 0.1) for name, shape in shapes.items()})
        self.outputs = outputs

    def per_value(self, name, value):
        """What each value adds to each logit: (batch, output, ...)."""
        weight = self.weights[name]
        return value[:, None] * (weight[:, None] if name in ("light_curve", "text") else weight)

    def encode(self, values, masks, present=None, attention=False):
        tokens = {}
        for name in self.modalities:
            if name in values:
                mask = masks[name].view(*masks[name].shape, *[1] * (values[name].ndim - masks[name].ndim))
                added = self.per_value(name, values[name] * mask).flatten(2).sum(2)
                tokens[name] = Tokens(added[:, None], masks[name].flatten(1).any(1, keepdim=True), {})
        return tokens, {}

    def predict(self, tokens, attention=False):
        logits = torch.stack([one.values[:, 0] for one in tokens.values()]).sum(0)
        return Prediction(logits, Fused(logits, tokens))

    def forward(self, values, masks, present=None, *, attention=False):
        return self.predict(self.encode(values, masks)[0])


@lru_cache
def linear(modalities=MODALITIES):
    data = samples()
    preparation = Preparation.fit(data, modalities)
    model = LinearModel(preparation.batch(data))
    ids = tuple(map(str, data.object_ids))
    return Run(get_recipe("late_fusion"), pose(data, "label", []), preparation, model, Split(ids[:30], ids[30:]), [], {"state": "finished"})
