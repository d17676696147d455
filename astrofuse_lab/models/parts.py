"""The parts that recipes may name, by role and name, and how one is made with its options."""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models import fusion_elementwise
from astrofuse_lab.models.adapt import Adapter, Calibrate, FiLM, MatchResolution, Shrink
from astrofuse_lab.models.convolution import Conv1dEncoder, Conv2dEncoder, SeriesEncoder
from astrofuse_lab.models.decision import Average, Decision, Product, Voting
from astrofuse_lab.models.decision_evidence import Evidential
from astrofuse_lab.models.decision_stacking import Bagging, BoostingStacking, ForestStacking, LogisticStacking, NetworkStacking, VectorStacking
from astrofuse_lab.models.decision_weights import ScoreConcatenation, WeightedAverage
from astrofuse_lab.models.encoder import Encoder
from astrofuse_lab.models.fusion import Concatenation, Fusion, Gated
from astrofuse_lab.models.fusion_attention import CoAttention, JointAttention, OneWayAttention
from astrofuse_lab.models.fusion_discriminant import Discriminant
from astrofuse_lab.models.fusion_generated import Generated, MultimodalVAE
from astrofuse_lab.models.fusion_join import Join
from astrofuse_lab.models.fusion_relays import BilevelAttention, BottleneckAttention, TokenChain
from astrofuse_lab.models.fusion_tensor import LowRankTensor, MixtureOfExperts, Projection
from astrofuse_lab.models.heads import ClassificationHead, EvidentialHead, Head, MultiLabelHead, RegressionHead
from astrofuse_lab.models.heads_classes import HierarchicalHead, OrdinalHead
from astrofuse_lab.models.heads_numbers import ForecastHead, MixtureDensityHead, QuantilesHead
from astrofuse_lab.models.heads_taxonomy import TaxonomyHead
from astrofuse_lab.models.heads_unlabelled import AnomalyHead, ProjectionHead, ReconstructionHead
from astrofuse_lab.models.image_cnn import LeNet5Encoder, VggEncoder
from astrofuse_lab.models.image_families import EpsaEncoder, InceptionEncoder, ResNetEncoder
from astrofuse_lab.models.image_separable import ConvNeXtEncoder, EfficientNetEncoder, XceptionEncoder
from astrofuse_lab.models.image_sequences import Conv3dEncoder
from astrofuse_lab.models.image_transformers import SwinEncoder, VitEncoder
from astrofuse_lab.models.layered import LayeredEncoder
from astrofuse_lab.models.mlp import TableEncoder, WordEncoder
from astrofuse_lab.models.pairwise import PairwiseHead
from astrofuse_lab.models.perceiver import PerceiverEncoder
from astrofuse_lab.models.recurrent import RecurrentEncoder
from astrofuse_lab.models.sequence_convolution import ResNet1dEncoder
from astrofuse_lab.models.sequence_epochs import SinusoidalTimeEncoder, TimeModulationEncoder
from astrofuse_lab.models.sequence_informer import InformerEncoder
from astrofuse_lab.models.sequence_transformers import ConformerEncoder, SpectrumTransformer
from astrofuse_lab.models.stack import ChannelStack, FlatStack, Stack
from astrofuse_lab.models.state_space import StateSpaceEncoder
from astrofuse_lab.models.table_encoders import BayesianTableEncoder, FeatureTransformer, QuantileTransformer
from astrofuse_lab.models.text_encoders import SentenceEncoder
from astrofuse_lab.models.transformer import TimeTransformerEncoder
from astrofuse_lab.models.weights import GENERIC
from astrofuse_lab.recipes.schema import Part

ENCODERS: dict[str, type[Encoder]] = {
    "conv2d": Conv2dEncoder,
    "conv1d": Conv1dEncoder,
    "time_transformer": TimeTransformerEncoder,
    "conv1d_series": SeriesEncoder,
    "resnet1d": ResNet1dEncoder,
    "spectrum_transformer": SpectrumTransformer,
    "conformer": ConformerEncoder,
    "time_modulation": TimeModulationEncoder,
    "sinusoidal_time": SinusoidalTimeEncoder,
    "informer": InformerEncoder,
    "perceiver": PerceiverEncoder,
    "recurrent": RecurrentEncoder,
    "state_space": StateSpaceEncoder,
    "mlp": TableEncoder,
    "ngram_mlp": WordEncoder,
    "lenet5": LeNet5Encoder,
    "vgg": VggEncoder,
    "resnet": ResNetEncoder,
    "epsa": EpsaEncoder,
    "inception": InceptionEncoder,
    "xception": XceptionEncoder,
    "efficientnet": EfficientNetEncoder,
    "convnext": ConvNeXtEncoder,
    "conv3d": Conv3dEncoder,
    "vit": VitEncoder,
    "swin": SwinEncoder,
    "ft_transformer": FeatureTransformer,
    "quantile_transformer": QuantileTransformer,
    "bayesian_mlp": BayesianTableEncoder,
    "sentence_mlp": SentenceEncoder,
    "layers": LayeredEncoder,
}
FUSIONS: dict[str, type[Fusion]] = {
    "concatenation": Concatenation,
    "join": Join,
    "feed_forward": fusion_elementwise.FeedForward,
    "weighted_average": fusion_elementwise.WeightedAverage,
    "weighted_sum": fusion_elementwise.WeightedSum,
    "sum": fusion_elementwise.Sum,
    "product": fusion_elementwise.Product,
    "max": fusion_elementwise.Maximum,
    "gated": Gated,
    "projection": Projection,
    "discriminant": Discriminant,
    "low_rank_tensor": LowRankTensor,
    "mixture_of_experts": MixtureOfExperts,
    "joint_attention": JointAttention,
    "one_way_attention": OneWayAttention,
    "co_attention": CoAttention,
    "bilevel_attention": BilevelAttention,
    "bottleneck": BottleneckAttention,
    "token_chain": TokenChain,
    "multimodal_vae": MultimodalVAE,
    "generated": Generated,
}
DECISIONS: dict[str, type[Decision]] = {
    "average": Average,
    "product": Product,
    "voting": Voting,
    "weighted_average": WeightedAverage,
    "score_concatenation": ScoreConcatenation,
    "evidential": Evidential,
    "stacking_logistic": LogisticStacking,
    "stacking_forest": ForestStacking,
    "stacking_svm": VectorStacking,
    "stacking_boosting": BoostingStacking,
    "stacking_mlp": NetworkStacking,
    "bagging": Bagging,
}
HEADS: dict[str, type[Head]] = {
    "classification": ClassificationHead,
    "hierarchical": HierarchicalHead,
    "ordinal": OrdinalHead,
    "evidential": EvidentialHead,
    "pairwise": PairwiseHead,
    "multi_label": MultiLabelHead,
    "taxonomy": TaxonomyHead,
    "regression": RegressionHead,
    "mixture_density": MixtureDensityHead,
    "quantiles": QuantilesHead,
    "forecast": ForecastHead,
    "projection": ProjectionHead,
    "reconstruction": ReconstructionHead,
    "anomaly_score": AnomalyHead,
}
AUTO_HEADS = {
    "classification": "classification",
    "multi_label": "multi_label",
    "regression": "regression",
    "multi_regression": "regression",
    "self_supervised": "projection",
}
"""The head that `auto` takes for each task."""
STACKS: dict[str, type[Stack]] = {"channels": ChannelStack, "concatenation": FlatStack}
ADAPTERS: dict[str, type[Adapter]] = {"shrink": Shrink, "film": FiLM, "match_resolution": MatchResolution, "calibrate": Calibrate}
RENAMED = {("fusion", "cross_attention"): "joint_attention"}
"""Names that runs of before may hold: the first `cross_attention` was self-attention between all tokens."""
PARTS: dict[str, Mapping[str, type[nn.Module]]] = {"encoder": ENCODERS, "fusion": FUSIONS, "decision": DECISIONS, "head": HEADS, "stack": STACKS, "adapter": ADAPTERS}


def options_of(part: type[nn.Module]) -> dict[str, Any]:
    """The options a part has, with their defaults."""
    return {name: p.default for name, p in inspect.signature(part).parameters.items() if p.kind is p.KEYWORD_ONLY}


def make_part(role: str, part: Part, *given: Any) -> Any:
    """A part by its name in the tables, with its options.

    Parameters
    ----------
    role : {"encoder", "fusion", "decision", "head", "stack", "adapter"}
    part : Part
    *given
        What the model itself gives: layout and width, modalities, outputs.

    Raises
    ------
    UnknownNameError
        If no part has this name.
    InputError
        If the part has no such option, or the option cannot have this value.
    """
    table = PARTS[role]
    part = Part(RENAMED.get((role, part.name), part.name), part.options)
    if part.name not in table:
        raise UnknownNameError(role, part.name, table, "Type af.list_parts() to see them all.")
    known = options_of(table[part.name])
    for name, value in part.options.items():
        if name not in known:
            raise InputError(f"{role} {part.name!r} has no option {name!r}; it has {', '.join(known) or 'none'}.")
        _check_value(f"{role} {part.name!r}: {name}={value!r}", name, value, known[name])
    return table[part.name](*given, **part.options)


def generic_options(part: Part) -> dict[str, Any]:
    """The options that every encoder has, `weights` and `frozen`, as a part sets them; InputError for what they cannot be."""
    options = {**GENERIC, **{name: value for name, value in part.options.items() if name in GENERIC}}
    for name, value in options.items():
        _check_value(f"encoder {part.name!r}: {name}={value!r}", name, value, GENERIC[name])
    return options


def _check_value(what: str, name: str, value: Any, default: Any) -> None:
    kind = type(default)
    if kind is bool or isinstance(value, bool):
        good = kind is bool and isinstance(value, bool)
    elif kind is float:
        good = isinstance(value, int | float)
    elif kind is tuple:
        good = isinstance(value, list | tuple)
    else:
        good = isinstance(value, kind)
    if not good:
        raise InputError(f"{what} is {type(value).__name__}, not {kind.__name__}; the default is {default!r}.")
    if name.endswith("dropout") and not 0 <= value < 1:
        raise InputError(f"{what}: a share from 0 to below 1; the default is {default!r}.")
    if kind is int and value < (0 if name in ("depth", "hidden", "layers", "history", "crop", "profile") else 1):
        raise InputError(f"{what} is too small; the default is {default!r}.")
