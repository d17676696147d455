"""The one attention: against PyTorch's own, masks included, and its weights against what the kernel applied."""

import pytest
import torch
from torch import nn

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.attention import FeatureDropout, SelfAttention, TransformerLayer, attend, attention_weights


@pytest.fixture
def qkv():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(3, 2, count, 8, generator=generator) for count in (5, 7, 7)]


@pytest.fixture
def mask():
    mask = torch.ones(3, 7, dtype=torch.bool)
    mask[1, 2:5] = False
    mask[2, 0] = False
    return mask


def test_equals_pytorch_multihead_attention(mask):
    torch.manual_seed(0)
    ours, peer = SelfAttention(16, 4), nn.MultiheadAttention(16, 4, batch_first=True)
    with torch.no_grad():
        peer.in_proj_weight.copy_(ours.project.weight)
        peer.in_proj_bias.copy_(ours.project.bias)
        peer.out_proj.weight.copy_(ours.out.weight)
        peer.out_proj.bias.copy_(ours.out.bias)
    tokens, maps = torch.randn(3, 7, 16), []
    expected, weights = peer(tokens, tokens, tokens, key_padding_mask=~mask, average_attn_weights=False)
    got = ours(tokens, mask, maps)
    assert torch.allclose(got, expected, atol=1e-6)
    assert torch.allclose(maps[0], weights, atol=1e-6)


def test_weights_are_what_the_kernel_applied(qkv, mask):
    query, key, value = qkv
    weights = attention_weights(query, key, mask)
    assert torch.allclose(weights @ value, attend(query, key, value, mask), atol=1e-6)
    assert torch.allclose(weights.sum(-1), torch.ones(3, 2, 5), atol=1e-6)
    assert (weights[~mask[:, None, None, :].expand_as(weights)] == 0).all()
    assert torch.allclose(attention_weights(query, key) @ value, attend(query, key, value), atol=1e-6)


def test_masked_keys_change_nothing(qkv, mask):
    query, key, value = qkv
    other_key, other_value = key.clone(), value.clone()
    other_key[1, :, 2:5], other_value[1, :, 2:5] = 1e4, -1e4
    assert torch.equal(attend(query, key, value, mask)[1], attend(query, other_key, other_value, mask)[1])


def test_without_a_real_key_the_result_is_zero_with_finite_gradients(qkv, mask):
    query, key, value = (t.requires_grad_() for t in qkv)
    mask[0] = False
    out, weights = attend(query, key, value, mask), attention_weights(query, key, mask)
    assert (out[0] == 0).all()
    assert (weights[0] == 0).all()
    (out.sum() + weights.sum()).backward()
    assert all(t.grad.isfinite().all() for t in (query, key, value))
    assert (value.grad[0] == 0).all()


def test_the_first_queries_alone_get_what_they_get_among_all(mask):
    torch.manual_seed(0)
    layer, tokens = TransformerLayer(16, 4).eval(), torch.randn(3, 7, 16)
    assert torch.allclose(layer(tokens, mask, first=1), layer(tokens, mask)[:, :1], atol=1e-6)


def test_bfloat16_stays_near(qkv, mask):
    query, key, value = qkv
    with torch.autocast("cpu", torch.bfloat16):
        low = attend(query.bfloat16(), key.bfloat16(), value.bfloat16(), mask)
    assert torch.allclose(low.float(), attend(query, key, value, mask), atol=0.05)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(InputError, match=r"heads=5 does not divide the width 16.*\[1, 2, 4, 8, 16\]"):
        SelfAttention(16, 5)


def test_feature_dropout_takes_the_same_features_from_all_tokens_and_keeps_the_mean():
    torch.manual_seed(0)
    drop, ones = FeatureDropout(0.25), torch.ones(400, 3, 50)
    out = drop.train()(ones)
    assert torch.equal(out[:, 0], out[:, 2])
    assert abs(float((out == 0).float().mean()) - 0.25) < 0.02
    assert abs(float(out.mean()) - 1) < 0.03
    assert torch.equal(drop.eval()(ones), ones)
