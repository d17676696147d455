"""scikit-learn's own checks on table-only input, and its tools on sample sets."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.model_selection import GroupKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import astrofuse_lab as af
from tests.conftest import make_toy_samples

# enough steps that blobs are told apart; small, since scikit-learn fits a hundred times
QUICK = af.Recipe(
    "quick", "For scikit-learn's checks", {"table": af.Part.of("mlp", dropout=0.0), "image": af.Part("conv2d"), "text": af.Part("ngram_mlp")}, af.Part.of("concatenation", dropout=0.0),
    schedule=af.Part.of("end_to_end", steps=60, learning_rate=1e-2, average=0.0), width=16, augment=(),
)  # fmt: skip


@pytest.mark.slow
@parametrize_with_checks([af.FusionClassifier(QUICK), af.FusionRegressor(QUICK)])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_a_table_in_a_pipeline_and_cross_validation():
    X, y = make_classification(240, 5, n_informative=4, n_redundant=0, class_sep=2.0, random_state=0)
    X[::9, 0] = np.nan
    names = np.array(["quasar", "star"])[y]
    scores = cross_validate(make_pipeline(StandardScaler(), af.FusionClassifier(QUICK)), X, names, cv=3)["test_score"]
    assert scores.mean() > 0.8


def test_modalities_of_a_sample_set_go_through_grouped_folds():
    samples = make_toy_samples(90)
    model = af.FusionClassifier(QUICK, samples=samples, modalities=["image", "text"], group="host", epochs=8)
    assert clone(model).samples is samples
    y, groups = samples.column("label").data, samples.column("host").data
    scores = cross_validate(model, samples.object_ids, y, groups=groups, cv=GroupKFold(3), return_estimator=True)
    assert scores["test_score"].mean() > 0.5
    fitted = scores["estimator"][0]
    assert fitted.run_.modalities == ("image", "text") and list(fitted.classes_) == sorted(set(y))
    some = samples.object_ids[[5, 3, 5]]
    probabilities = fitted.predict_proba(some)
    assert probabilities.shape == (3, 3) and np.array_equal(probabilities[0], probabilities[2])
    assert np.allclose(probabilities[1], fitted.run_.outputs(samples.select([samples.object_ids[3]]))[0][0], atol=1e-5)


def test_what_cannot_be_fitted_is_said():
    samples = make_toy_samples(20)
    with pytest.raises(ValueError, match="X is object ids"):
        af.FusionClassifier(QUICK, samples=samples).fit(np.zeros((20, 2)), samples.column("label").data)
    with pytest.raises(ValueError, match="one class"):
        af.FusionClassifier(QUICK).fit(np.zeros((5, 2)), np.ones(5))
    with pytest.raises(ValueError, match="toy-9999"):
        af.FusionClassifier(QUICK, samples=samples).fit(["toy-9999", "toy-0001"], ["a", "b"])
