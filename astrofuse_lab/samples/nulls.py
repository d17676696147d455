"""Twins of light curves without what is to be found in them: a null of the same survey, where sources known not to vary periodically are lacking."""

import numpy as np
import pyarrow as pa

from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.altered import altered
from astrofuse_lab.samples.annotations import with_column
from astrofuse_lab.samples.joining import joined
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card
from astrofuse_lab.samples.split import group_column

ORDERED = "ordered"
TWIN = "~shuffled"


def with_shuffled(samples: SampleSet, modality: str = "light_curve", seed: int = 0) -> SampleSet:
    """Each object, and a twin whose fluxes (with errors and flags) are given round among its own epochs, band by band (simulated).

    Epochs, magnitudes, errors and their distribution are those of the star: only the order is lost, so that nothing but order in time can tell twins apart,
    no survey, brightness or cadence. A split must keep them together: by ``group``.

    Parameters
    ----------
    samples : SampleSet
    modality : str
        Of kind light_curve; others are not kept.
    seed : int

    Returns
    -------
    SampleSet
        Twice as many objects; column ``ordered`` (target; False of twins), ``group``.

    Raises
    ------
    InputError
        For another kind of modality.
    """
    spec = samples.spec(modality)
    if spec.kind != "light_curve":
        raise InputError(f"{modality!r} is {spec.kind}; epochs to shuffle are in light curves.")
    arrays = samples.arrays(modality)
    owner = np.repeat(np.arange(len(samples)), np.diff(arrays["offsets"]))
    curve = owner * len(spec.channels) + arrays["band"].astype(np.int64)
    # epochs of a curve in order, beside the same in a random order
    here = np.argsort(curve, kind="stable")
    there = np.lexsort((np.random.default_rng([seed, 83]).random(len(curve)), curve))
    made = {name: array.copy() for name, array in arrays.items()}
    for name in ("flux", "flux_err", "mask", "limit"):
        if name in made:
            made[name][here] = arrays[name][there]
    group = group_column(samples) or "object_id"
    card = Card(samples.card.name, samples.card.title + "; half of them shuffled in time (simulated)", True, samples.card.citation, samples.card.licence)
    parts = []
    for own, ending, ordered in ((samples, "", True), (altered(samples, {modality: made}), TWIN, False)):
        table = pa.table({"object_id": [f"{one}{ending}" for one in samples.object_ids], "group": np.ma.filled(samples.column(group).astype(str), "")})
        bare = SampleSet(table, {modality: own.data_of(modality)}, {"group": "group"}, {}, card)
        parts.append(with_column(bare, ORDERED, pa.array([ordered] * len(bare)), "target"))
    return joined(parts)
