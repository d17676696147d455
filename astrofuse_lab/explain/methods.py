"""The ways to attribute, each by captum; an explicit table."""

from collections.abc import Callable
from typing import NamedTuple

from astrofuse_lab.explain.methods_gradients import DRAWS, POINTS, gradient_shap, integrated_gradients, saliency
from astrofuse_lab.explain.methods_hiding import feature_ablation, occlusion
from astrofuse_lab.explain.methods_layers import grad_cam
from astrofuse_lab.explain.methods_question import Found, Question, Settings
from astrofuse_lab.explain.methods_relevance import deep_lift, lrp
from astrofuse_lab.explain.methods_sampling import kernel_shap, lime

__all__ = ["METHODS", "Found", "Method", "Question", "Settings"]


class Method(NamedTuple):
    """A way to attribute.

    Attributes
    ----------
    function : callable
        `Question` to `Found`.
    complete : bool
        Its values promise to sum to the difference from the baseline.
    gradients : bool
        It needs gradients, which decisions that count votes have not.
    signed : bool
        Its values tell for from against.
    draws : bool
        It draws at random: seeded, and with a standard error.
    at_once : callable
        Rows that one sample is best given at once; bounds how many samples a chunk has.
    cost : str
        Passes of the model a sample.
    says, says_not : str
    """

    function: Callable[[Question], Found]
    complete: bool
    gradients: bool
    signed: bool
    draws: bool
    at_once: Callable[[Settings], int]
    cost: str
    says: str
    says_not: str


METHODS: dict[str, Method] = {
    "integrated_gradients": Method(
        integrated_gradients, True, True, True, False, lambda s: s.steps or POINTS[0], "7 to 192 forward and backward, as many as it takes",
        "how the difference between the sample's score and its baseline's is divided among the inputs; the parts sum to it",
        "anything without its baseline: another baseline is another question",
    ),
    "gradient_shap": Method(
        gradient_shap, True, True, True, True, lambda s: s.draws or DRAWS, "32 forward and backward",
        "the same, averaged over many baselines (draws of sky noise, training samples), with a standard error",
        "more than integrated gradients where there is one baseline only: then it is a noisier way to the same numbers",
    ),
    "deep_lift": Method(
        deep_lift, True, True, True, False, lambda s: 2, "2 forward, 1 backward",
        "what integrated gradients say, by one step from the baseline to the sample; the parts sum to the difference",
        "anything of models with parts for which it has no rule (recurrent ones): it refuses them",
    ),
    "lrp": Method(
        lrp, False, True, True, False, lambda s: 1, "1 forward and backward",
        "how the score itself, and not a difference, goes back through the layers to the inputs",
        "what biases, masks and modalities held account for: their share is missing from the sum; nor why this class and no other, since it explains a logit",
    ),
    "saliency": Method(
        saliency, False, True, False, False, lambda s: 1, "1 forward and backward",
        "how steep the score is at the sample", "how much of the score came from there; it has no sign and no sum",
    ),
    "occlusion": Method(
        occlusion, False, False, True, False, lambda s: 8, "1 forward a window, of its own modality's encoder only",
        "how much score is lost when one window, epoch, column or word takes its baseline, shared among the values that changed",
        "what several windows do together; the losses need not sum to anything",
    ),
    "feature_ablation": Method(
        feature_ablation, False, False, True, False, lambda s: 4, "1 forward a band, channel or column",
        "how much score is lost when a whole band, channel or column takes its baseline, wherever it is on the sky or along the axis",
        "where in it: occlusion hides places in all bands, feature ablation hides bands in all places",
    ),
    "grad_cam": Method(
        grad_cam, False, True, False, False, lambda s: 1, "1 forward and backward",
        "where the last features of a convolutional encoder spoke for the class",
        "anything finer than these features, what speaks against, or how much: it has no sum; only for images, spectra and series that a convolution reads",
    ),
    "lime": Method(
        lime, False, False, True, True, lambda s: 128, "4 times twice the features and 32 forward",
        "the sparse weighted sum of windows that is most like the model near the sample, with a standard error",
        "small effects: they are set to zero; nor does it sum to anything",
    ),
    "kernel_shap": Method(
        kernel_shap, True, False, True, True, lambda s: 128, "4 times twice the features and 32 forward",
        "what each window adds on average over all orders in which windows can be shown: Shapley values, sampled, with a standard error",
        "finer than its windows; and samples with a part hidden may be unlike all that the model was trained on",
    ),
}  # fmt: skip
