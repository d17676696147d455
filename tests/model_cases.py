"""What the tests of models share: one small batch of every modality, and models made of parts by name."""

import torch
from conftest import make_toy_samples, with_series

from astrofuse_lab.models.build import build, layouts_of
from astrofuse_lab.models.parts import ENCODERS
from astrofuse_lab.recipes.schema import Part, Recipe
from astrofuse_lab.samples.preparation import Batch, Preparation

KINDS = ("image", "spectrum", "light_curve", "series", "table", "text")
OUTPUTS = {"classification": 3, "multi_label": 3, "regression": 1, "multi_regression": 2, "self_supervised": 0}
SAMPLES = with_series(make_toy_samples(24))
PREPARATION = Preparation.fit(SAMPLES, list(KINDS), {"text": Part.of("hashed", words=12, buckets=32)})
LAYOUTS = layouts_of(PREPARATION.to_json())
WHOLE = PREPARATION.batch(SAMPLES)


def recipe_of(encoders, fusion, head="auto", decision=None, **options):
    """A recipe of these encoders, each for the first kind it reads; a mapping says which kind."""
    parts = {kind: Part(name) for kind, name in (encoders.items() if isinstance(encoders, dict) else ((ENCODERS[name].kinds[0], name) for name in encoders))}
    return Recipe("tried", "A combination under test", parts, Part(fusion, options), Part(head), Part(decision) if decision else None, width=16)


def all_encoders():
    """One full set: the first encoder of every kind."""
    chosen = {}
    for name, encoder in ENCODERS.items():
        chosen.setdefault(encoder.kinds[0], name)
    return tuple(chosen.values())


def made(recipe, task, seed=0):
    torch.manual_seed(seed)
    layouts = {name: layout for name, layout in LAYOUTS.items() if name in recipe.encoders}
    return build(recipe, layouts, OUTPUTS[task], task).eval()


def part_of(batch, model, index=None, leave_out=()):
    """Only the model's modalities, some samples of them."""
    names = [name for name in model.modalities if name not in leave_out]
    index = torch.arange(len(batch)) if index is None else torch.as_tensor(index)
    return Batch(*({name: part[name][index].clone() for name in names} for part in batch))


def spoken(prediction):
    """All that a head says, as one tensor: its values and what lies beside them."""
    return torch.cat([prediction.values, *(one.reshape(len(one), -1).float() for one in prediction.extra.values())], 1)


def learn(model, batch):
    return model(batch.values, batch.masks, batch.present)


@torch.no_grad()
def run(model, batch, **options):
    return model(batch.values, batch.masks, batch.present, **options)
