from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from heliostat.monitoring.cbpe import Cbpe, CbpeOfClasses
from heliostat.monitoring.dle import Dle
from tests.monitoring.recorded_nannyml import binary, numbers

NANNYML = {
    "roc_auc": 0.7672188550227323,
    "accuracy": 0.7032696650462358,
    "precision": 0.7097787541539554,
    "recall": 0.7597168065324424,
    "f1": 0.733899254787194,
    "mae": 0.6873124695825078,
    "mse": 0.8101249769815226,
}
"""Of nannyml 0.13.1 on the same data, by recorded_nannyml.py."""


def test_estimates_of_classes_are_those_of_nannyml_and_near_what_labels_say():
    _, reference, truth = binary(seed=5)
    _, probabilities, labels = binary(seed=7, power=0.8)
    cbpe = Cbpe(reference, truth)
    told = (probabilities >= 0.5).astype(float)
    actual = {
        "roc_auc": metrics.roc_auc_score(labels, probabilities),
        "accuracy": metrics.accuracy_score(labels, told),
        "precision": metrics.precision_score(labels, told),
        "recall": metrics.recall_score(labels, told),
        "f1": metrics.f1_score(labels, told),
    }
    for metric, value in actual.items():
        found = cbpe.estimate(metric, probabilities)
        assert found.value == pytest.approx(NANNYML[metric], abs=1e-6), metric
        assert found.value == pytest.approx(value, abs=0.03), metric


def test_probabilities_that_are_too_sure_are_calibrated_and_taken_as_they_are_they_would_be_wrong():
    _, reference, truth = binary()
    found = Cbpe(reference, truth).estimate("accuracy", reference)
    uncalibrated = np.maximum(reference, 1 - reference).mean()
    actual = ((reference >= 0.5) == truth).mean()
    assert abs(found.value - actual) < 0.01 < abs(uncalibrated - actual)
    assert "calibrated" in found.preconditions[1].text


def test_every_estimate_says_that_concept_drift_cannot_be_seen_in_it():
    _, reference, truth = binary()
    found = Cbpe(reference, truth).estimate("roc_auc", reference)
    assert found.trusted and "concept drift cannot be seen" in found.text


def test_without_its_preconditions_nothing_is_estimated_and_the_reason_is_told():
    _, reference, truth = binary()
    few = Cbpe(reference[:100], truth[:100]).estimate("f1", reference)
    assert few.value is None and "100 labelled rows, fewer than 500" in few.text
    alike = Cbpe(reference, np.ones(len(reference))).estimate("f1", reference)
    assert alike.value is None and "one kind alone" in alike.text
    beyond = Cbpe(reference[reference < 0.9], truth[reference < 0.9]).estimate("f1", reference)
    assert beyond.value is None and "that the reference had none of" in beyond.text
    assert Cbpe(reference, truth).estimate("f1", reference[:0]).value is None
    with pytest.raises(KeyError):
        Cbpe(reference, truth).estimate("log_loss", reference)


def test_what_is_never_predicted_has_no_precision():
    _, reference, truth = binary()
    low = reference[reference < 0.4]
    assert Cbpe(reference, truth).estimate("precision", low).value is None
    assert Cbpe(reference, truth).estimate("recall", low).value == 0


def test_several_classes_are_estimated_by_the_class_that_the_model_told():
    random = np.random.default_rng(4)
    chances = random.dirichlet([2, 1, 1], 6_000)
    truth = (random.random((6_000, 1)) > chances.cumsum(axis=1)).sum(axis=1)
    sure = chances**2 / (chances**2).sum(axis=1, keepdims=True)
    cbpe, here = CbpeOfClasses(sure[:4_000], truth[:4_000]), sure[4_000:]
    told = here.argmax(axis=1)
    accuracy = cbpe.estimate("accuracy", here)
    assert accuracy.value == pytest.approx((told == truth[4_000:]).mean(), abs=0.03), accuracy.text
    assert cbpe.estimate("f1_macro", here).value == pytest.approx(
        metrics.f1_score(truth[4_000:], told, average="macro"), abs=0.03
    )
    assert CbpeOfClasses(sure[:50], truth[:50]).estimate("accuracy", here).value is None
    assert cbpe.estimate("accuracy", here[:0]).value is None


def test_estimates_of_numbers_are_those_of_nannyml_and_follow_the_rows_that_are_hard():
    features, predictions, labels = numbers(seed=6)
    dle = Dle(features, predictions, labels, ("x", "kind"), categorical=(1,))
    there, told, truth = numbers(seed=8, noisy=0.6)
    for metric, name in (("mean_absolute_error", "mae"), ("mean_squared_error", "mse")):
        found = dle.estimate(metric, there, told)
        assert found.value == pytest.approx(NANNYML[name], rel=0.05)
        assert found.value == pytest.approx(getattr(metrics, metric)(truth, told), rel=0.1)
    squared = dle.estimate("mean_squared_error", there, told).value
    assert dle.estimate("root_mean_squared_error", there, told).value == pytest.approx(squared**0.5)


def test_rows_unlike_the_reference_are_not_estimated_and_the_column_is_named():
    features, predictions, labels = numbers()
    dle = Dle(features, predictions, labels, ("x", "kind"), categorical=(1,))
    far, other, missing = features.copy(), features.copy(), features.copy()
    far[:100, 0], other[:100, 1], missing[:100, 0] = 7, 2, np.nan
    for given, name in ((far, "x"), (other, "kind"), (missing, "x")):
        found = dle.estimate("mean_absolute_error", given, predictions)
        assert found.value is None and f"2.5% of the rows have {name} that the reference had none of" in found.text
    assert dle.estimate("mean_absolute_error", features[:0], predictions[:0]).value is None
    few = Dle(features[:9], predictions[:9], labels[:9], ("x", "kind")).estimate("mean_squared_error", features, predictions)
    assert few.value is None and "9 labelled rows" in few.text
