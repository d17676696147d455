"""Encoders of tables: quantile tokens, attention between columns, weights that are distributions."""

import numpy as np
import pytest
import torch
from conftest import make_toy_samples
from scipy.stats import norm, rankdata
from torch.distributions import Normal, kl_divergence

from astrofuse_lab.models.parts import ENCODERS
from astrofuse_lab.models.table_encoders import BayesianLinear
from astrofuse_lab.models.tokens import InputLayout
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.samples.preparation import Preparation


def _encoder(name, columns=3, width=16, **options):
    torch.manual_seed(0)
    return ENCODERS[name](InputLayout("table", tuple("abcdef"[:columns]), (columns,)), width, **options).eval()


def _rows(columns=3, count=64):
    torch.manual_seed(1)
    values = torch.randn(count, columns)
    return values, torch.rand(count, columns) > 0.1


# ---- quantile tokens ----------------------------------------------------------------------------------------------


def test_bins_are_quantiles_of_the_training_part():
    samples = make_toy_samples(40)
    prepared = Preparation.fit(samples, ["table"], {"table": Part.of("quantile")})
    batch = prepared.batch(samples)
    encoder = _encoder("quantile_transformer", batch.values["table"].shape[1], bins=4)
    filled = encoder.encoded(batch.values["table"]).numpy()
    magnitude = samples.arrays("table")["values"][:, 0]
    share = (rankdata(magnitude) - 0.5) / len(magnitude)
    assert np.allclose(filled[:, 0].sum(1) / 4, share, atol=1e-4)
    # a quarter of the training samples lie in each bin
    assert np.bincount(np.floor(share * 4).astype(int)).tolist() == [10, 10, 10, 10]
    assert np.allclose(filled[:, 0], np.clip(share[:, None] * 4 - np.arange(4), 0, 1), atol=1e-4)


def test_one_bin_is_the_tokenizer_of_atat():
    encoder = _encoder("quantile_transformer", bins=1)
    values, _ = _rows()
    rank = torch.from_numpy(norm.cdf(values.numpy()))[..., None].float()
    assert torch.allclose(encoder.embed(values), rank * encoder.scale[:, 0] + encoder.shift, atol=1e-5)


def test_what_lies_beyond_the_training_range_stays_in_the_last_bin():
    encoder = _encoder("quantile_transformer", 1, bins=5)
    assert torch.allclose(encoder.encoded(torch.tensor([[60.0], [-60.0]])), torch.tensor([[[1.0] * 5], [[0.0] * 5]]))


# ---- attention between columns ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ft_transformer", "quantile_transformer"])
def test_columns_tell_each_other_and_a_missing_one_tells_nothing(name):
    encoder = _encoder(name)
    values, mask = _rows()
    mask[:] = True
    before = encoder(values, mask).values
    other = values.clone()
    other[:, 0] += 1.0
    assert not torch.allclose(encoder(other, mask).values[:, 1:], before[:, 1:], atol=1e-3)
    mask[:, 0] = False
    assert torch.equal(encoder(other, mask).values[:, 1:], encoder(values, mask).values[:, 1:])
    maps = []
    encoder(values, mask, maps)
    assert len(maps) == 2
    assert all((one[..., 0] == 0).all() and torch.allclose(one.sum(-1), torch.ones(())) for one in maps)


def test_a_feature_token_is_the_value_times_a_vector_plus_a_vector():
    encoder = _encoder("ft_transformer")
    values, _ = _rows()
    expected = torch.einsum("nc,cw->ncw", values, encoder.scale) + encoder.shift
    assert torch.allclose(encoder.embed(values), expected, atol=1e-6)


def test_the_layers_are_those_of_torch():
    encoder = _encoder("ft_transformer", layers=1, dropout=0.0)
    mine = encoder.layers[0]
    peer = torch.nn.TransformerEncoderLayer(16, 4, 32, 0.0, "gelu", batch_first=True, norm_first=True).eval()
    names = {
        "self_attn.in_proj_weight": mine.attention.project.weight, "self_attn.in_proj_bias": mine.attention.project.bias,
        "self_attn.out_proj.weight": mine.attention.out.weight, "self_attn.out_proj.bias": mine.attention.out.bias,
        "linear1.weight": mine.mlp[1].weight, "linear1.bias": mine.mlp[1].bias, "linear2.weight": mine.mlp[3].weight, "linear2.bias": mine.mlp[3].bias,
        "norm1.weight": mine.attention_norm.weight, "norm1.bias": mine.attention_norm.bias, "norm2.weight": mine.mlp[0].weight, "norm2.bias": mine.mlp[0].bias,
    }  # fmt: skip
    peer.load_state_dict({k: v.detach() for k, v in names.items()})
    values, mask = _rows()
    mask[:, 0] = True
    tokens = encoder.norm(peer(encoder.embed(values.masked_fill(~mask, 0.0)), src_key_padding_mask=~mask))
    assert torch.allclose(encoder(values, mask).values, tokens, atol=1e-5)


# ---- weights that are distributions -------------------------------------------------------------------------------


def _layer():
    torch.manual_seed(0)
    layer = BayesianLinear(6, 4, start=0.5)
    with torch.no_grad():
        layer.weight_rho += torch.randn(4, 6)
    return layer


def test_draws_have_the_mean_and_variance_that_drawn_weights_give():
    layer, x = _layer(), torch.randn(2, 6)
    torch.manual_seed(2)
    drawn = layer.train()(x.expand(20_000, 2, 6)).detach()
    deviation = [torch.nn.functional.softplus(rho).detach() for rho in (layer.weight_rho, layer.bias_rho)]
    # weights drawn one by one, the other way round
    weight = layer.weight + deviation[0] * torch.randn(20_000, 4, 6)
    bias = layer.bias + deviation[1] * torch.randn(20_000, 4)
    direct = (torch.einsum("sow,nw->sno", weight, x) + bias[:, None]).detach()
    error = direct.std(0) / np.sqrt(20_000)
    assert ((drawn.mean(0) - direct.mean(0)).abs() < 7 * error).all()
    assert torch.allclose(drawn.std(0), direct.std(0), rtol=0.03)
    assert torch.allclose(layer.eval()(x), torch.nn.functional.linear(x, layer.weight, layer.bias))


def test_the_divergence_is_that_of_normal_distributions():
    layer = _layer()
    expected = sum(
        kl_divergence(Normal(mean, torch.nn.functional.softplus(rho)), Normal(0.0, layer.prior)).sum()
        for mean, rho in ((layer.weight, layer.weight_rho), (layer.bias, layer.bias_rho))
    )
    assert torch.allclose(layer.kl(), expected, rtol=1e-5)
    encoder = _encoder("bayesian_mlp", divergence=0.5)
    assert torch.allclose(encoder.kl(), 0.5 * sum(m.kl() for m in encoder.modules() if isinstance(m, BayesianLinear)))


def test_rows_are_drawn_by_themselves_in_training_and_not_at_all_in_evaluation():
    encoder = _encoder("bayesian_mlp")
    values, _ = _rows()
    same = values[:1].expand(8, -1), torch.ones(8, 3, dtype=torch.bool)
    assert torch.equal(encoder(*same).values, encoder(*same).values)
    drawn = encoder.train()(*same).values
    assert all(not torch.allclose(drawn[0], one) for one in drawn[1:])


def test_weights_learn_how_sure_they_are():
    """Training by draws ends at the exact posterior of a linear model."""
    torch.manual_seed(0)
    layer = BayesianLinear(2, 1, start=0.5)
    x = torch.randn(400, 2)
    y = 2 * x[:, :1] + 0.1 * torch.randn(400, 1)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.05)
    for _ in range(500):
        loss = 0.5 * ((layer(x) - y) / 0.5).square().mean() + layer.kl() / 400
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    # the posterior of a linear model with noise 0.5 is normal with variance 1 / (sum x^2 / 0.25 + 1 / prior^2)
    exact = 1 / torch.sqrt(x.square().sum(0) / 0.25 + 1 / layer.prior**2)
    assert torch.allclose(torch.nn.functional.softplus(layer.weight_rho)[0], exact, rtol=0.25)
    assert abs(layer.weight[0, 0].item() - 2) < 0.1
