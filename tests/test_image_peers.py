"""Image encoders of published sizes against timm's models with the same weights, where timm is installed; batch normalisation is replaced in both."""

import pytest
import torch
from test_image_encoders import PUBLISHED
from timm_peer import load
from torch import nn

from astrofuse_lab.models.image_blocks import group_norm
from astrofuse_lab.models.image_families import Residual
from astrofuse_lab.models.image_transformers import WindowLayer
from astrofuse_lab.models.parts import make_part
from astrofuse_lab.models.tokens import InputLayout
from astrofuse_lab.recipes.schema import Part

timm = load()
pytestmark = pytest.mark.skipif(timm is None, reason="needs timm: pip install --no-deps timm")
SIZE = 96
CNN = {
    "VGG-16": ("vgg16", {}), "ResNet-18": ("resnet18", {}), "ResNet-50": ("resnet50", {}), "Xception": ("legacy_xception", {}), "EfficientNet-B0": ("efficientnet_b0", {}),
    "ConvNeXt-T": ("convnext_tiny", {}),
}  # fmt: skip


def _without_batches(module):
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            norm = group_norm(child.num_features)
            # timm's layers of norm and activation in one
            setattr(module, name, nn.Sequential(norm, getattr(child, "drop", nn.Identity()), getattr(child, "act", nn.Identity())))
        else:
            _without_batches(child)
    return module


def _ordered(module):
    """Parameters in the order in which timm has them: the shortcut of Xception's blocks first, the bias of windows after their norm."""
    if isinstance(module, WindowLayer):
        inner = module.layer
        yield from inner.attention_norm.parameters()
        yield module.bias
        yield from (*inner.attention.parameters(), *inner.mlp.parameters())
    elif isinstance(module, Residual) and isinstance(module.act, nn.Identity):
        yield from (*module.skip.parameters(), *module.branch.parameters())
    else:
        yield from module._parameters.values()
        for child in module.children():
            yield from _ordered(child)


def _copy(ours, theirs):
    ours, theirs = [p for p in ours if p is not None], list(theirs)
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        with torch.no_grad():
            nn.init.normal_(other, 0.2 if other.ndim == 1 else 0.0, 0.1 if other.ndim == 1 else (2 / other[0].numel()) ** 0.5)
            if mine.ndim == 4 and mine.shape[1] == 2 * other.shape[1]:
                mine.zero_()
                mine[:, : other.shape[1]] = other
            elif mine.ndim == 2 and mine.shape == other.shape[::-1] != other.shape:
                mine.copy_(other.T)
            else:
                mine.copy_(other.reshape(mine.shape))


def _made(part, width=16, size=SIZE):
    torch.manual_seed(0)
    # double precision: deep networks of random weights make rounding larger
    return make_part("encoder", part, InputLayout("image", ("g", "r", "z"), (3, size, size)), width).eval().double(), torch.randn(2, 3, size, size, dtype=torch.double)


@pytest.mark.parametrize("name", CNN)
@torch.no_grad()
def test_features_are_those_of_timm(name):
    peer, options = CNN[name]
    ours, x = _made(PUBLISHED[name][1])
    theirs = _without_batches(timm.create_model(peer, pretrained=False, num_classes=0, **options)).eval().double()
    if name == "Xception":  # ours pads the borders of the first two convolutions as those of all others
        theirs.conv1.padding = theirs.conv2.padding = (1, 1)
    if name == "VGG-16":
        theirs.pre_logits, theirs.head = nn.Identity(), nn.Identity()
    _copy([*_ordered(ours.stem), *_ordered(ours.trunk)], [p for n, p in theirs.named_parameters() if not n.startswith("pre_logits")])
    seen, expected = ours.features(torch.cat([x, torch.ones_like(x)], 1)), theirs.forward_features(x)
    if name == "ConvNeXt-T":  # timm's last norm comes after pooling
        expected = theirs.head.norm(expected)
    assert seen.shape == expected.shape
    assert torch.allclose(seen, expected, atol=1e-8 * float(expected.abs().max()))


@torch.no_grad()
def test_vit_is_that_of_timm():
    ours, x = _made(Part.of("vit", patch=16, layers=3, heads=4, expansion=4), 64)
    theirs = timm.models.VisionTransformer(SIZE, 16, embed_dim=64, depth=3, num_heads=4, num_classes=0, class_token=False, global_pool="avg", fc_norm=False).eval().double()
    for norm in [m for m in ours.modules() if isinstance(m, nn.LayerNorm)]:
        norm.eps = 1e-6
    _copy(_ordered(ours), theirs.parameters())
    assert torch.allclose(ours(x, torch.ones_like(x, dtype=torch.bool)).values, theirs.forward_features(x), atol=1e-8)


@torch.no_grad()
def test_swin_is_that_of_timm():
    # 28 x 28 cells and more: shifted windows of 7 in the first two stages, none in the last
    ours, x = _made(Part.of("swin", patch=4, hidden=24, layers=[2, 2, 2], heads=[3, 6, 12], window=7, expansion=4), size=112)
    theirs = timm.models.SwinTransformer(112, 4, embed_dim=24, depths=(2, 2, 2), num_heads=(3, 6, 12), window_size=7, num_classes=0).eval().double()
    last = ours.project
    ours.project = nn.Identity()
    _copy(_ordered(ours), theirs.parameters())
    expected = theirs.forward_features(x).flatten(1, 2)
    assert last.in_features == expected.shape[-1]
    assert torch.allclose(ours(x, torch.ones_like(x, dtype=torch.bool)).values, expected, atol=1e-8)
