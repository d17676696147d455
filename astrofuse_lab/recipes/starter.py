"""The recipes everyone starts with: one set of small encoders, four ways to fuse them."""

from astrofuse_lab.recipes.schema import Part, Recipe

ENCODERS = {
    "image": Part.of("conv2d"),
    "spectrum": Part.of("conv1d"),
    "light_curve": Part.of("time_transformer"),
    "series": Part.of("conv1d_series"),
    "table": Part.of("mlp"),
    "text": Part.of("ngram_mlp"),
}


def _fused_by(name: str, title: str, fusion: Part, **more: object) -> Recipe:
    return Recipe(name, title, ENCODERS, fusion, **more)  # type: ignore[arg-type]


RECIPES = (
    _fused_by("late_fusion", "Encoders, concatenation, one head", Part.of("concatenation", modality_dropout=0.2)),
    _fused_by("gated_fusion", "Encoders, a learned gate per modality, one head", Part.of("gated", modality_dropout=0.2)),
    _fused_by("joint_attention", "Encoders, attention between the tokens of all modalities, one head", Part.of("joint_attention", modality_dropout=0.2)),
    _fused_by("decision_average", "One network per modality, probabilities averaged", Part.of("concatenation"), decision=Part.of("average")),
)
