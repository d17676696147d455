"""What a run makes of samples before any answer: unit vectors to search, compare and probe by."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.training.batches import batches
from astrofuse_lab.training.run import Run
from astrofuse_lab.training.self_supervised import COMPARED
from astrofuse_lab.training.self_supervised_base import unit_of, unit_vectors

if TYPE_CHECKING:
    from astropy.table import Table


def embed(run: Run, samples: SampleSet) -> "Table":
    """One row a sample: see `Run.embed`."""
    from astropy.table import MaskedColumn, Table

    run.preparation.check(samples)
    # only objectives that compare vectors train the projection; others leave it as it was drawn
    projected = run.recipe.objective.name in COMPARED
    pieces: dict[str, list[Any]] = {}
    masks: dict[str, list[Any]] = {}
    for batch in batches(run.preparation, samples, np.arange(len(samples)), run.device):
        with torch.inference_mode():
            model = run.model.eval()
            tokens = model.encode(batch.values, batch.masks, batch.present)[0]
            vectors, there = unit_vectors(model, tokens, projected)
            if "all" in model.fusions:
                vectors = {"fused": unit_of(model, model.fusions["all"](tokens), projected), **vectors}
                there = {"fused": torch.stack(list(there.values())).any(0), **there}
        for name, one in vectors.items():
            pieces.setdefault(name, []).append(one.float().cpu().numpy())
            masks.setdefault(name, []).append(~there[name].cpu().numpy())
    table = Table({"object_id": samples.object_ids})
    for name, found in pieces.items():
        values, lacking = np.concatenate(found), np.concatenate(masks[name])
        table[name] = MaskedColumn(values, mask=np.broadcast_to(lacking[:, None], values.shape)) if lacking.any() else values
    table.meta.update(recipe=run.recipe.name, simulated=samples.simulated, projected=projected)
    return table
