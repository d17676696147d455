"""Attention weights that a fusion and its encoders applied, between modalities and back on pixels, wavelengths, epochs, columns and words."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain.adapter import PLACE_AXES, Pace, answers, score_of, some_samples, streams_of
from astrofuse_lab.explain.attention_chunks import MOST_MAPS, Asked, collect
from astrofuse_lab.explain.attention_layers import COMBINE, between, flows, folded
from astrofuse_lab.explain.attention_places import keys_of, lay, received

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run


@dataclass(frozen=True)
class Attention:
    """Who looked at what.

    Attributes
    ----------
    between : float32 array, (n, modality, modality)
        From row to column, over the run's `modalities`: the mean over a modality's tokens of the attention they give to
        each modality, the class token's share left out. Rows of modalities present sum to one over those present;
        elsewhere zero, see `present`. With ``combine="gradient"`` a row is zero, too, where nothing of it moved the score upwards.
    from_class : float32 array, (n, modality)
        The same for the class token, which the head reads.
    present : bool array, (n, modality)
        True where the sample has the modality.
    modalities : tuple of str
    object_ids : str array, (n,)
    combine : str
        How layers were combined: ``mean``, ``rollout`` or ``gradient``; of `only`, which layer and head.
    order : dict of str to slice
        Where ``class`` and each modality lie along the query and key axes of the fusion's maps, and its own tokens, ``relay``.
    places : dict of modality to mapping
        Where each token lies in its input: `Tokens.place`, with ``box`` as an int array.
    token_masks : dict of modality to bool array, (n, token)
        True where the token is real.
    target : tuple
        Of ``combine="gradient"``, the class, label or column whose score is meant, per sample; else empty.
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
    _weighted: dict[str, NDArray[np.float32]] | None = None
    _flows: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
    target: tuple[Any, ...] = ()

    @property
    def maps(self) -> dict[str, NDArray[np.float32]]:
        """The weights themselves, by layer (``fusion.0`` the first): (n, head, query, key).

        Rows sum to one, or are zero for tokens that look at nothing in that layer. The fusion's own tokens, where it has any, are last.
        With ``encoders=True`` those of encoders too (``light_curve.0`` the first), between the tokens that they mix.

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

    @property
    def weighted(self) -> dict[str, NDArray[np.float32]]:
        """`maps` as `combine` reads them: of ``combine="gradient"`` (gradient x weight)+, how far each weight moved the target's score up; else the weights."""
        return self.maps if self._weighted is None else self._weighted

    def _check(self, modality: str) -> None:
        if modality not in self.places:
            raise UnknownNameError("modality of this run", modality, self.places)

    def received(self, modality: str) -> NDArray[np.float32]:
        """Attention that each token of a modality got from the class token, layers combined: (n, token); zero where masked.

        With ``combine="gradient"`` it is relevance: how far attention to this token moved the score, in its units.
        """
        self._check(modality)
        return self._received[:, self.order[modality]]

    def on_input(self, modality: str, layer: str | None = None, head: int | None = None) -> NDArray[np.float32]:
        """`received`, laid over the input: image (n, y, x), spectrum (n, pixel), light curve (n, epoch), table (n, column), text (n, word).

        A token's weight is spread evenly over the box it was made from, so that sums are kept. A token mixes more than
        its box (receptive fields are wider), so read this as where, not as exactly which pixel.

        Parameters
        ----------
        modality : str
        layer : str, optional
            One layer of the fusion (see `heads`), or of the modality's own encoder (see `encoder_heads`): there, what each place got from the
            encoder's real tokens on average. None: what the class token gave, layers combined.
        head : int, optional
            Of that layer; None: the mean of its heads.

        Raises
        ------
        InputError
            If the maps were not kept, or the layer has no such head.
        UnknownNameError
            For a modality or layer that is not there.
        """
        self._check(modality)
        if layer is None:
            return lay(self.received(modality), self.places[modality], self._shapes[modality])
        if layer in self.heads:
            return self.only(layer, head).on_input(modality)
        own = {name: count for name, count in self.encoder_heads.items() if name.rpartition(".")[0] == modality}
        weights = self._of_layer(layer, head, {**self.heads, **own})
        return lay(received(weights, self.maps[layer]), keys_of(self.places[modality], int(layer.rpartition(".")[2])), self._shapes[modality])

    @property
    def heads(self) -> dict[str, int]:
        """Layers of the fusion, ``fusion.0`` the first, and how many heads each has."""
        return {name: one.shape[1] for name, one in self.maps.items() if name.startswith("fusion.")}

    @property
    def encoder_heads(self) -> dict[str, int]:
        """Layers of encoders that have attention of their own, ``light_curve.0`` the first, and how many heads each has; empty unless ``encoders=True``."""
        return {name: one.shape[1] for name, one in self.maps.items() if not name.startswith("fusion.")}

    def _of_layer(self, layer: str, head: int | None, heads: Mapping[str, int]) -> NDArray[np.float32]:
        """One layer's `weighted`, or one head's, (n, query, key)."""
        if layer not in heads:
            raise UnknownNameError("layer of this fusion, or of this encoder", layer, heads)
        if head is not None and not 0 <= head < heads[layer]:
            raise InputError(f"{layer} has no head {head}; it has 0 to {heads[layer] - 1}.")
        weights = self.weighted[layer]
        return np.asarray(weights.mean(1) if head is None else weights[:, head])

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
            With `between`, `from_class`, `received` and `flow` of that layer or head, and `combine` naming it.

        Raises
        ------
        InputError
            If the maps were not kept, or the layer has no such head.
        UnknownNameError
            For a layer that the fusion does not have.
        """
        weights = torch.from_numpy(self._of_layer(layer, head, self.heads))
        flow = folded(weights, self.order)
        real = {name: torch.from_numpy(mask) for name, mask in self.token_masks.items()}
        to, from_class = between(flow, self.order, real, self.modalities)
        ran = flows([weights[:, None]], self.order, real)
        named = layer if head is None else f"{layer}, head {head}"
        return replace(
            self, between=to.numpy(), from_class=from_class.numpy(), combine=named, _received=flow[:, 0].numpy(), _flows=(ran[0].numpy(), ran[1].numpy())
        )

    def flow(self, sample: int | None = None) -> "Table":
        """How attention runs between modalities, layer by layer, as rows of a flow diagram.

        Parameters
        ----------
        sample : int, optional
            Position of one sample; None: the mean over samples.

        Returns
        -------
        Table
            layer (0 the first), source, target, weight, reaching. Source and target are modalities, ``class`` or the fusion's own tokens,
            ``relay``. weight is the share that the source has in what the target's tokens look at: of each layer and target they sum to one
            (over the samples in which it looks). reaching is what came this way of all that the class token holds at the end, what stays where
            it is included, as in a rollout: the rows of a layer sum to one, and what leaves a target in the next layer has come to it in this one.
        """
        from astropy.table import Table

        assert self._flows is not None
        shares, reaching = self._flows
        if sample is not None and not -len(shares) <= sample < len(shares):
            raise InputError(f"no sample at position {sample}; positions are 0 to {len(shares) - 1}.")
        if sample is not None:
            shares, reaching = shares[[sample]], reaching[[sample]]
        looks = np.maximum((shares.sum(-1) > 0).sum(0), 1)
        weight, mass = shares.sum(0) / looks[..., None], reaching.mean(0)
        names = tuple(self.order)
        found = [
            (layer, names[s], names[t], float(weight[layer, t, s]), float(mass[layer, t, s]))
            for layer in range(len(weight)) for t in range(len(names)) for s in range(len(names)) if weight[layer, t, s] > 0 or mass[layer, t, s] > 0
        ]  # fmt: skip
        table = Table(rows=found or None, names=("layer", "source", "target", "weight", "reaching"), dtype=(int, str, str, float, float))
        table.meta["combine"] = self.combine
        return table

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


def attention(
    run: "Run", samples: "SampleSet", *, combine: str = "mean", encoders: bool = False, target: Any = None, score: str | None = None,
    keep_maps: bool | None = None, rows: int = 32, on_progress: Callable[[dict[str, int]], None] | None = None, stop: threading.Event | None = None,
) -> Attention:  # fmt: skip
    """The attention weights of a run whose fusion has them.

    Parameters
    ----------
    run : Run
    samples : SampleSet
    combine : {"mean", "rollout", "gradient"}
        How layers become the one matrix behind `Attention.between` and `Attention.received`: their mean; rollout, which follows the paths
        through all layers; or gradient, which follows only the attention that moved the target's score up (Chefer et al. 2021, arXiv:2103.15679).
    encoders : bool
        Also keep the maps of encoders that have attention of their own, ``light_curve.0`` the first.
    target : class, optional
        Of ``combine="gradient"``, as in `attribute`: a class, label or target column; None: each sample's predicted class.
    score : {"log_odds", "logit", "probability"}, optional
        Of ``combine="gradient"``, as in `attribute`.
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
        If the run's fusion has no attention, with recipes that have; for a target or score with another `combine`.
    UnknownNameError
        For another `combine`.
    """
    from astrofuse_lab.training.feed import trimmed

    if combine not in COMBINE:
        raise UnknownNameError("way to combine layers", combine, COMBINE)
    if combine != "gradient" and (target is not None or score is not None):
        raise InputError(f"combine={combine!r} does not ask what is predicted; a target and a score go with combine='gradient'.")
    some_samples(samples)
    if not run.model.attends:
        raise InputError(why_none(run))
    asked = Asked(combine, encoders, keep_maps, target, score_of(run, score)[1] if combine == "gradient" else None)
    kinds, batch = streams_of(run), run.batch(samples)
    sizes = {name: batch.values[name].shape if name in batch.values else (len(batch), *run.model.front.layouts[name].shape) for name in kinds}
    shapes = {name: tuple(sizes[name][axis] for axis in PLACE_AXES[kind]) for name, kind in kinds.items()}
    batch = trimmed(batch, kinds)  # padding that all samples share would only make the maps larger
    whole, fused = collect(run, batch, asked, Pace(rows, on_progress, stop))
    places = {name: {k: v.cpu().numpy() if isinstance(v, Tensor) else v for k, v in fused.tokens[name].place.items()} for name in kinds}
    for name in (name for name in kinds if f"order:{name}" in whole):
        places[name]["order"] = whole[f"order:{name}"]
    token_masks = {name: whole[f"mask:{name}"] for name in kinds}
    present = np.stack([token_masks[name].any(1) for name in kinds], 1)
    kept = {what: {key.removeprefix(what): value for key, value in whole.items() if key.startswith(what)} or None for what in ("map:", "weighted:")}
    goals = tuple(answers(run)[i] if answers(run) else run.target for i in whole["goal"]) if "goal" in whole else ()
    return Attention(
        whole["between"], whole["class"], present, tuple(kinds), np.asarray(samples.object_ids)[: len(present)], combine, run.model.token_slices(fused), places,
        token_masks, whole["received"], kept["map:"], shapes, kept["weighted:"], (whole["shares"], whole["reaching"]), goals,
    )  # fmt: skip


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
