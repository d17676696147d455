"""Attribution by hiding many things at once and fitting a weighted sum: LIME and KernelSHAP, as captum draws, weighs and fits them."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from astrofuse_lab.explain.attribution_forward import taken
from astrofuse_lab.explain.attribution_result import place_axes
from astrofuse_lab.explain.methods_hiding import shared, windows_of
from astrofuse_lab.explain.methods_question import Found, Question, deviation, places
from astrofuse_lab.models.tokens import Tokens

WINDOWS = {"image": 4, "spectrum": 16, "series": 12, "light_curve": 12, "text": 12}
"""Windows along each axis: fewer than occlusion hides, since each coalition of them is one draw."""
KERNEL_WIDTH = 0.25
"""Of LIME's weights, in cosine distances between what is shown and all: that of its authors for images."""
ALPHA = 0.01
"""Of LIME's lasso, in standard deviations of the scores."""
CERTAIN = 1_000_000.0
"""Weight of the coalitions of none and of all in KernelSHAP: captum's."""


@lru_cache(maxsize=64)
def shap_coalitions(features: int, draws: int, seed: int) -> Tensor:
    """What captum's `KernelShap` draws after ``torch.manual_seed(seed)``: all, none, then coalitions by the Shapley kernel; bool, (draw, feature)."""
    luck = torch.Generator().manual_seed(seed)
    size = torch.arange(features, dtype=torch.float)
    chance = torch.tensor(features - 1) / (size * (features - size))
    chance[0] = 0.0
    chance = (chance / chance.sum())[None]
    drawn = [torch.ones(features, dtype=torch.bool), torch.zeros(features, dtype=torch.bool)]
    for _ in range(max(0, draws - 2)):
        count = int(torch.multinomial(chance, 1, True, generator=luck))
        value = torch.randn(1, features, generator=luck)[0]
        drawn.append(value > value.kthvalue(features - count).values)
    return torch.stack(drawn[:draws])


@lru_cache(maxsize=64)
def lime_coalitions(features: int, draws: int, seed: int) -> Tensor:
    """What captum's `Lime` draws after ``torch.manual_seed(seed)``: each feature by a coin; bool, (draw, feature)."""
    luck = torch.Generator().manual_seed(seed)
    return torch.cat([torch.bernoulli(torch.full((1, features), 0.5), generator=luck) for _ in range(draws)]).bool()


def lime_similarity(original: object, perturbed: object, coalition: Tensor, **rest: object) -> Tensor:
    """exp(-d^2 / 2 w^2) of the cosine distance d between what is shown and all, (draw,): a `similarity_func` for captum's `Lime`."""
    near = (coalition.float().mean(-1)).sqrt()
    return torch.exp(-((1 - near) ** 2) / (2 * KERNEL_WIDTH**2))


def kernel_shap(question: Question) -> Found:
    """Lundberg & Lee 2017, arXiv:1705.07874: the weighted sum whose coefficients are Shapley values, fitted to random coalitions."""
    from captum._utils.models.linear_model import SkLearnLinearRegression

    def weigh(shown: Tensor) -> Tensor:
        return torch.where(shown.all(1) | ~shown.any(1), CERTAIN, 1.0)

    return _fitted(question, shap_coalitions, weigh, lambda scores: SkLearnLinearRegression())


def lime(question: Question) -> Found:
    """Ribeiro et al. 2016, arXiv:1602.04938: a sparse weighted sum that is right near the sample.

    captum's lasso with its alpha of 0.01, times the standard deviation of the scores, so that as much is kept of probabilities as of log-odds.
    """
    from captum._utils.models.linear_model import SkLearnLasso

    return _fitted(question, lime_coalitions, lambda shown: lime_similarity(None, None, shown), lambda scores: SkLearnLasso(alpha=ALPHA * float(scores.std()) or ALPHA))


def draws_for(features: int, draws: int) -> int:
    """Draws of one repeat: as asked, else twice the features and some more, so that the sum can be fitted."""
    return draws or 2 * features + 32


def _fitted(
    question: Question, draw: Callable[[int, int, int], Tensor], weigh: Callable[[Tensor], Tensor], model: Callable[[Tensor], Any]
) -> Found:
    """Each sample by itself, as captum does: its own features, which are those windows that hiding changes."""
    windows, settings = {**WINDOWS, **question.settings.windows}, question.settings
    groups = [windows_of(value, mask, kind, windows) for value, mask, kind in zip(question.inputs, question.masks, question.kinds, strict=True)]
    values = [torch.zeros_like(value) for value in question.inputs]
    errors = [torch.zeros_like(places(v, m, place_axes(k, v.ndim))) for v, m, k in zip(values, question.masks, question.kinds, strict=True)]
    passes = torch.zeros(len(values[0]), dtype=torch.long)
    for row in range(len(values[0])):
        own = features_of(question, groups, row)
        count = int(max(int(one.max()) for one in own)) + 1
        if count == 0:
            continue
        number = draws_for(count, settings.draws)
        # one feature has the whole difference: captum's draws are not defined for it
        shown = torch.ones(0, count, dtype=torch.bool) if count == 1 else torch.cat([draw(count, number, settings.seed + r) for r in range(settings.repeats)])
        scores = score_coalitions(question, row, own, shown)
        found = [
            question.difference[row].view(1) if count == 1 else _fit(model, shown[at : at + number], scores[at : at + number], weigh)
            for at in range(0, max(1, len(shown)), number)
        ]
        _lay(question, row, own, found, values, errors)
        passes[row] = len(shown)
    return Found(tuple(values), tuple(errors), passes=passes)


def features_of(question: Question, groups: Sequence[Tensor], row: int) -> list[Tensor]:
    """Feature number of each value of one sample, (1, ...) a modality, counted through all of them; -1 where hiding changes nothing."""
    out, first = [], 0
    for value, baseline, group in zip(question.inputs, question.baselines, groups, strict=True):
        changed = value[row] != baseline[row]
        ids = group[row if len(group) > 1 else 0].expand(changed.shape)
        real = torch.unique(ids[changed])
        own = torch.full(changed.shape, -1, dtype=torch.long, device=value.device)
        # a window's unchanged values go with it, so that a window is what captum is told it is
        at = torch.searchsorted(real, ids.contiguous()).clamp(max=max(0, len(real) - 1))
        if len(real):
            own = torch.where(real[at] == ids, at + first, own)
        first += len(real)
        out.append(own[None])
    return out


def _fit(make: Callable[[Tensor], Any], shown: Tensor, scores: Tensor, weigh: Callable[[Tensor], Tensor]) -> Tensor:
    """Coefficients of captum's own model of scores by coalitions."""
    model = make(scores)
    data = TensorDataset(shown.float(), scores.cpu().float(), weigh(shown).float())
    model.fit(DataLoader(data, batch_size=len(shown)))
    return torch.as_tensor(model.representation()).flatten()


def _lay(question: Question, row: int, own: Sequence[Tensor], found: Sequence[Tensor], values: list[Tensor], errors: list[Tensor]) -> None:
    """The mean coefficients on the values of their features, and the standard error of their sums over places."""
    for m, (value, baseline, mask, kind) in enumerate(zip(question.inputs, question.baselines, question.masks, question.kinds, strict=True)):
        one, start, real = value[row : row + 1], baseline[row : row + 1], mask[row : row + 1]
        each = []
        for weights in found:
            lost = torch.cat([weights.to(one), one.new_zeros(1)])[own[m]]  # -1 finds the zero at the end
            each.append(shared(lost, one, start, own[m].clamp(min=0)) if bool((own[m] >= 0).any()) else torch.zeros_like(one))
        values[m][row] = torch.stack(each).mean(0)[0]
        errors[m][row] = deviation([places(part, real, place_axes(kind, one.ndim)) for part in each])[0]


def score_coalitions(question: Question, row: int, own: Sequence[Tensor], shown: Tensor) -> Tensor:
    """The sample's score with only some of its features shown, (draw,).

    Where encoders are independent, each modality is encoded once for every way in which its own features are shown: coalitions of few or of
    nearly all features, which KernelSHAP draws most, hide or show most modalities whole.
    """
    forward = question.forward
    if not len(shown):
        return question.difference.new_zeros(0)
    with torch.no_grad():
        if not forward.separable:
            return _in_pieces(question, row, own, shown, lambda inputs, rows: forward(*inputs, rows))
        tokens = {name: _encoded(question, m, row, own[m], shown) for m, name in enumerate(forward.explained)}
        scores = []
        for begin in range(0, len(shown), question.rows.now):
            index = torch.arange(begin, min(begin + question.rows.now, len(shown)), device=forward.goal.device)
            rows = torch.full_like(index, row)
            some = {name: taken(one, inverse[index], len(one.values)) for name, (one, inverse) in tokens.items()}
            scores.append(forward.read({**forward.held_tokens(rows), **some}, rows))
        return torch.cat(scores)


def _shown_values(question: Question, m: int, row: int, own: Tensor, shown: Tensor) -> Tensor:
    """One modality of one sample with some of its features at their baseline, (draw, ...)."""
    every = torch.cat([shown, shown.new_ones(len(shown), 1)], 1).to(own.device)  # what no feature holds is always shown
    return torch.where(every[:, own[0]], question.inputs[m][row], question.baselines[m][row])


def _in_pieces(
    question: Question, row: int, own: Sequence[Tensor], shown: Tensor, score: Callable[[tuple[Tensor, ...], Tensor], Tensor]
) -> Tensor:
    scores = []
    for begin in range(0, len(shown), question.rows.now):
        some = shown[begin : begin + question.rows.now]
        inputs = tuple(_shown_values(question, m, row, one, some) for m, one in enumerate(own))
        scores.append(score(inputs, torch.full((len(some),), row, device=question.forward.goal.device)))
    return torch.cat(scores)


def _encoded(question: Question, m: int, row: int, own: Tensor, shown: Tensor) -> tuple[Tokens, Tensor]:
    """Tokens of one modality for each way in which its features are shown, and which of these each draw has."""
    here = torch.unique(own[own >= 0]).cpu()
    if len(here):
        ways, inverse = torch.unique(shown[:, here], dim=0, return_inverse=True)
    else:
        ways, inverse = shown[:1, here], torch.zeros(len(shown), dtype=torch.long)
    whole = shown.new_ones(len(ways), shown.shape[1])
    whole[:, here] = ways
    pieces: list[Tokens] = []
    for begin in range(0, len(ways), question.rows.now):
        some = _shown_values(question, m, row, own, whole[begin : begin + question.rows.now])
        pieces.append(question.forward.encoded(question.forward.explained[m], some, torch.full((len(some),), row, device=some.device)))
    return _joined(pieces), inverse.to(own.device)


def _joined(pieces: Sequence[Tokens]) -> Tokens:
    place = dict(pieces[0].place)
    if "coordinates" in place:
        place["coordinates"] = {name: torch.cat([one.place["coordinates"][name] for one in pieces]) for name in place["coordinates"]}
    return Tokens(torch.cat([one.values for one in pieces]), torch.cat([one.mask for one in pieces]), place)
