"""The attention weights that a fusion applied, between modalities and back on pixels, wavelengths, epochs, columns and words."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain.adapter import PLACE_AXES, Pace, device_of, explaining, some_samples, streams_of

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.models.tokens import Fused
    from astrofuse_lab.samples.preparation import Batch
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

MOST_MAPS = 256 * 1024**2
"""Bytes of full maps that are kept without being asked for."""


@dataclass(frozen=True)
class Attention:
    """Who looked at what.

    Attributes
    ----------
    between : float32 array, (n, modality, modality)
        From row to column, over the run's `modalities`: the mean over a modality's tokens of the attention they give to
        each modality, the class token's share left out. Rows of modalities present sum to one over those present;
        elsewhere zero, see `present`.
    from_class : float32 array, (n, modality)
        The same for the class token, which the head reads.
    present : bool array, (n, modality)
        True where the sample has the modality.
    modalities : tuple of str
    object_ids : str array, (n,)
    combine : str
        How layers were combined: ``mean`` or ``rollout``; of `only`, which layer and head.
    order : dict of str to slice
        Where ``class`` and each modality lie along the query and key axes of the fusion's maps, and its own tokens, ``relay``.
    places : dict of modality to mapping
        Where each token lies in its input: `Tokens.place`, with ``box`` as an int array.
    token_masks : dict of modality to bool array, (n, token)
        True where the token is real.
    """

    between: NDArray[np.float32]
    from_class: NDArray[np.float32]
    present: NDArray[np.bool_]
    modalities: tuple[str, ...]
    object_ids: NDArray[np.str_]
    combine: str
    order: dict[str, slice]
    places: dict[str, dict[str, Any]]
    token_masks: dict[str, NDArray[np.bool_]]
    _received: NDArray[np.float32]
    _maps: dict[str, NDArray[np.float32]] | None
    _shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def maps(self) -> dict[str, NDArray[np.float32]]:
        """The weights themselves, by layer (``fusion.0`` the first): (n, head, query, key).

        Rows sum to one, or are zero for tokens that look at nothing in that layer. The fusion's own tokens, where it has any, are last.

        Raises
        ------
        InputError
            If they were too large to be kept.
        """
        if self._maps is None:
            raise InputError(
                f"the maps of {len(self.object_ids)} samples take more than {MOST_MAPS // 1024**2} MB and were not kept. "
                "Ask for fewer samples, attention(run, samples[:20]), or insist with keep_maps=True."
            )
        return self._maps

    def _check(self, modality: str) -> None:
        if modality not in self.places:
            raise UnknownNameError("modality of this run", modality, self.places)

    def received(self, modality: str) -> NDArray[np.float32]:
        """Attention that each token of a modality got from the class token, layers combined: (n, token); zero where masked."""
        self._check(modality)
        return self._received[:, self.order[modality]]

    def on_input(self, modality: str) -> NDArray[np.float32]:
        """`received`, laid over the input: image (n, y, x), spectrum (n, pixel), light curve (n, epoch), table (n, column), text (n, word).

        A token's weight is spread evenly over the box it was made from, so that sums are kept. A token mixes more than
        its box (receptive fields are wider), so read this as where, not as exactly which pixel.
        """
        self._check(modality)
        return _lay(self.received(modality), self.places[modality], self._shapes[modality])

    @property
    def heads(self) -> dict[str, int]:
        """Layers of the fusion, ``fusion.0`` the first, and how many heads each has."""
        return {name: one.shape[1] for name, one in self.maps.items() if name.startswith("fusion.")}

    def only(self, layer: str, head: int | None = None) -> "Attention":
        """The same as if one layer, or one head of it, were all that the fusion has.

        Parameters
        ----------
        layer : str
            A key of `heads`.
        head : int, optional
            None: the mean of the layer's heads.

        Returns
        -------
        Attention
            With `between`, `from_class` and `received` of that layer or head, and `combine` naming it.

        Raises
        ------
        InputError
            If the maps were not kept, or the layer has no such head.
        UnknownNameError
            For a layer that the fusion does not have.
        """
        heads = self.heads
        if layer not in heads:
            raise UnknownNameError("layer of this fusion", layer, heads)
        if head is not None and not 0 <= head < heads[layer]:
            raise InputError(f"{layer} has no head {head}; it has 0 to {heads[layer] - 1}.")
        weights = self.maps[layer]
        flow = _folded(torch.from_numpy(weights.mean(1) if head is None else weights[:, head]), self.order)
        real = {name: torch.from_numpy(mask) for name, mask in self.token_masks.items()}
        between, from_class = _between(flow, self.order, real, self.modalities)
        named = layer if head is None else f"{layer}, head {head}"
        return replace(self, between=between.numpy(), from_class=from_class.numpy(), combine=named, _received=flow[:, 0].numpy())

    def table(self) -> "Table":
        """One row a sample: object_id and the class token's attention to each modality, masked where it is missing."""
        from astropy.table import MaskedColumn, Table

        table = Table({"object_id": self.object_ids})
        for i, name in enumerate(self.modalities):
            table[name] = MaskedColumn(self.from_class[:, i], mask=~self.present[:, i])
        table.meta["combine"] = self.combine
        return table

    def __repr__(self) -> str:
        return f"Attention({len(self.object_ids)} samples, {', '.join(self.modalities)}, layers by {self.combine})"


def _lay(weights: NDArray[np.float32], place: Mapping[str, Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Token weights (n, token) spread over their boxes: (n, *shape)."""
    out = np.zeros((len(weights), *shape), dtype=np.float32)
    box = place.get("box")
    for token in range(weights.shape[1]):
        # a token without a box stands for the whole input
        where = tuple(slice(None) for _ in shape) if box is None else tuple(slice(box[token][2 * a], box[token][2 * a + 1]) for a in range(len(shape)))
        covered = out[(slice(None), *where)]
        covered += (weights[:, token] / max(int(np.prod(covered.shape[1:])), 1)).reshape(-1, *[1] * len(shape))
    return out


# ---- layers to one matrix ------------------------------------------------------------------------------------------


def _mean(layers: Sequence[Tensor]) -> Tensor:
    """Mean over layers of the mean over heads; of each token over the layers in which it looks around."""
    each = torch.stack([layer.mean(1) for layer in layers])
    looks = (each.sum(-1) > 0).sum(0).clamp(min=1)
    return each.sum(0) / looks[..., None]


def _rollout(layers: Sequence[Tensor]) -> Tensor:
    """Attention rollout: the product over layers of (A + 1) / 2 (Abnar & Zuidema 2020, arXiv:2005.00928, equation 1).

    A token that does not look around in a layer goes through it as it is.
    """
    flow = None
    for layer in layers:
        mixed = layer.mean(1)
        step = 0.5 * (mixed + torch.diag_embed(2.0 - (mixed.sum(-1) > 0).to(mixed.dtype)))
        flow = step if flow is None else step @ flow
    assert flow is not None
    return flow


COMBINE: dict[str, Callable[[Sequence[Tensor]], Tensor]] = {"mean": _mean, "rollout": _rollout}


def _folded(flow: Tensor, order: Mapping[str, slice]) -> Tensor:
    """One matrix without the fusion's own tokens: what goes to them is passed on as they look at the modalities' tokens."""
    if "relay" not in order:
        return flow
    relay = order["relay"]
    onward = flow[:, relay, : relay.start].clone()
    onward[..., 0] = 0.0  # the class token is nobody's input
    return flow[:, : relay.start, : relay.start] + flow[:, : relay.start, relay] @ _rows(onward)


def _rows(weights: Tensor) -> Tensor:
    """Rows scaled to sum to one; rows of zeros stay."""
    total = weights.sum(-1, keepdim=True)
    return torch.where(total > 0, weights / total.clamp(min=torch.finfo(weights.dtype).tiny), 0.0)


def _between(flow: Tensor, order: Mapping[str, slice], real: Mapping[str, Tensor], modalities: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Modality-to-modality (n, m, m) and class-to-modality (n, m) shares of one matrix (n, token, token)."""
    to = torch.stack([flow[:, :, order[name]].sum(-1) for name in modalities], -1)
    rows = []
    for name in modalities:
        weight = real[name].to(flow.dtype)
        rows.append(torch.einsum("nqm,nq->nm", to[:, order[name]], weight) / weight.sum(1, keepdim=True).clamp(min=1))
    return _rows(torch.stack(rows, 1)), _rows(to[:, 0])


# ---- the verb ------------------------------------------------------------------------------------------------------


def attention(
    run: "Run", samples: "SampleSet", *, combine: str = "mean", encoders: bool = False, keep_maps: bool | None = None,
    rows: int = 32, on_progress: Callable[[dict[str, int]], None] | None = None, stop: threading.Event | None = None,
) -> Attention:  # fmt: skip
    """The attention weights of a run whose fusion has them.

    Parameters
    ----------
    run : Run
    samples : SampleSet
    combine : {"mean", "rollout"}
        How layers become the one matrix behind `Attention.between` and `Attention.received`: their mean, or rollout,
        which follows the paths through all layers.
    encoders : bool
        Also keep the maps of encoders that have attention of their own, ``light_curve.0`` the first.
    keep_maps : bool, optional
        Keep the full maps; None: where they take at most `MOST_MAPS` bytes.
    rows : int
        Samples that the model is given at once.
    on_progress : callable, optional
        Called with ``{"done": ..., "total": ...}``.
    stop : threading.Event, optional
        Set it to end after the chunk at hand.

    Returns
    -------
    Attention

    Raises
    ------
    InputError
        If the run's fusion has no attention, with recipes that have.
    UnknownNameError
        For another `combine`.
    """
    from astrofuse_lab.training.feed import trimmed

    if combine not in COMBINE:
        raise UnknownNameError("way to combine layers", combine, COMBINE)
    some_samples(samples)
    if not run.model.attends:
        raise InputError(why_none(run))
    kinds, batch = streams_of(run), run.batch(samples)
    sizes = {name: batch.values[name].shape if name in batch.values else (len(batch), *run.model.front.layouts[name].shape) for name in kinds}
    shapes = {name: tuple(sizes[name][axis] for axis in PLACE_AXES[kind]) for name, kind in kinds.items()}
    batch = trimmed(batch, kinds)  # padding that all samples share would only make the maps larger
    whole, fused = _collect(run, batch, COMBINE[combine], encoders, keep_maps, Pace(rows, on_progress, stop))
    places = {name: {k: v.cpu().numpy() if isinstance(v, Tensor) else v for k, v in fused.tokens[name].place.items()} for name in kinds}
    token_masks = {name: whole[f"mask:{name}"] for name in kinds}
    present = np.stack([token_masks[name].any(1) for name in kinds], 1)
    maps = {key.removeprefix("map:"): value for key, value in whole.items() if key.startswith("map:")}
    ids, order = np.asarray(samples.object_ids)[: len(present)], run.model.token_slices(fused)
    return Attention(
        whole["between"], whole["class"], present, tuple(kinds), ids, combine, order, places, token_masks, whole["received"], maps or None, shapes
    )


def _collect(
    run: "Run", batch: "Batch", together: Callable[[Sequence[Tensor]], Tensor], encoders: bool, keep: bool | None, pace: Pace
) -> tuple[dict[str, NDArray[Any]], "Fused"]:
    """What `_piece` keeps of all samples, and the last chunk's `Fused`, whose layout is everyone's."""
    model, fused = run.model, None
    pieces: list[dict[str, NDArray[Any]]] = []
    with explaining(model), torch.inference_mode():
        for index in pace.chunks(len(batch)):
            part = batch.take(index).to(device_of(model))
            fused = model(part.values, part.masks, part.present, attention="all" if encoders else True).fused
            if keep is None:
                keep = len(batch) * sum(one[0].nbytes for one in fused.attention.values()) <= MOST_MAPS
            pieces.append(_piece(fused, model.token_slices(fused), tuple(fused.tokens), together, keep))
    assert fused is not None
    return {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}, fused


def _piece(fused: "Fused", order: Mapping[str, slice], modalities: Sequence[str], together: Callable[[Sequence[Tensor]], Tensor], keep: bool) -> dict[str, Any]:
    """What is kept of one chunk, as arrays."""
    real = {name: fused.tokens[name].mask for name in modalities}
    layers = [one for key, one in fused.attention.items() if key.startswith("fusion.")]
    flow = _folded(together(layers), order)
    between, from_class = _between(flow, order, real, modalities)
    piece = {"between": between, "class": from_class, "received": flow[:, 0], **{f"mask:{name}": mask for name, mask in real.items()}}
    if keep:
        piece |= {f"map:{key}": one for key, one in fused.attention.items()}
    return {key: one.cpu().numpy() for key, one in piece.items()}


def recipes_with_attention() -> list[str]:
    """Names of the recipes whose fusion has attention."""
    from astrofuse_lab.models.parts import FUSIONS
    from astrofuse_lab.recipes.catalogue import RECIPES

    return [name for name, recipe in RECIPES.items() if recipe.decision is None and recipe.fusion.name in FUSIONS and FUSIONS[recipe.fusion.name].attends]


def why_none(run: "Run") -> str:
    """Why a run has no attention to show, and which recipes have; empty where it has."""
    if run.model.attends:
        return ""
    return f"Recipe {run.recipe.name!r} fuses without attention, so there are no weights to show. Train one that has them: {', '.join(recipes_with_attention())}."
