"""A monitor holds for a version as far as its contract and its data have what is watched; what they lack is told."""

from __future__ import annotations

from typing import Any

from heliostat.monitoring.fitting import Fitted, Version, fitted, needs_answers
from heliostat.spec.monitors import Monitor
from heliostat.spec.problem import Problem
from heliostat.spec.tasks import Binary

HERE = Version("3", inputs=("carrier", "distance"), answer=("probability",), times=("departed",))


def fit(**declared: Any) -> Fitted:
    monitor = Monitor.model_validate({"field": "probability", **declared})
    return fitted(monitor, Problem(task=Binary()), HERE)


def keys(found: Fitted) -> list[str]:
    return [f"{each.aspect}/{each.subject}" for each in found.lacking]


def test_a_version_that_has_all_is_watched_as_declared() -> None:
    found = fit(drift={"columns": ["distance"], "season": "departed"}, quality=[{"limit": 0.5, "slices": ["carrier"]}])
    assert (found.lacking, found.told) == ((), ())
    assert found.monitor.drift is not None and found.monitor.drift.season == "departed"
    assert found.monitor.quality[0].slices == ("carrier",)


def test_a_field_that_is_not_answered_leaves_what_needs_no_answers() -> None:
    watches = {
        "quality": [{"metric": "roc_auc", "limit": 0.5}], "bias": {}, "predictionDrift": {}, "skew": {},
        "fairness": [{"column": "carrier", "metric": "demographic_parity_difference", "atMost": 0.1}],
        "estimate": [{"metric": "f1", "margin": 0.1}], "conceptDrift": [{}], "fragility": {"mostChange": 1},
        "feedback": {"key": "carrier", "columns": ["distance"]},
    }  # fmt: skip
    found = fit(field="score", drift={}, recency={"labelsSeconds": 60}, **watches)
    assert keys(found) == [
        "quality/roc_auc", "fairness/demographic_parity_difference by carrier", "estimate/f1", "concept-drift/error by adwin",
        "prediction-bias/ratio", "prediction-drift/prediction", "skew/schema", "fragility/inputs", "feedback/carrier",
    ]  # fmt: skip
    assert {each.text for each in found.lacking} == {"version 3 answers no field 'score', of probability"}
    assert not needs_answers(found.monitor)
    assert found.monitor.drift is not None and found.monitor.recency is not None


def test_inputs_that_it_does_not_take_are_left_out_each_with_its_reason() -> None:
    found = fit(
        quality=[{"metric": "roc_auc", "limit": 0.5, "slices": ["wind", "carrier"]}],
        fairness=[{"column": "wind", "metric": "demographic_parity_difference", "atMost": 0.1}],
        drift={"columns": ["wind", "distance"]},
        feedback={"key": "carrier", "columns": ["wind"]},
    )
    assert keys(found) == ["fairness/demographic_parity_difference by wind", "feedback/carrier", "drift/wind"]
    assert found.told == ("version 3 takes no input 'wind', of carrier, distance",)
    monitor = found.monitor
    assert monitor.quality[0].slices == ("carrier",) and monitor.fairness == () and monitor.feedback is None
    assert monitor.drift is not None and monitor.drift.columns == ("distance",)


def test_where_none_of_the_columns_is_there_drift_is_not_looked_for_in_all_others() -> None:
    assert fit(drift={"columns": ["wind"]}).monitor.drift is None


def test_times_that_its_training_data_lack_cost_their_season_and_the_age_of_the_data() -> None:
    recency = {"trainingDataSeconds": 60, "trainingDataColumn": "landed", "predictionsSeconds": 60}
    found = fit(drift={"season": "landed"}, recency=recency)
    assert keys(found) == ["recency/training data"]
    assert found.monitor.drift is not None and found.monitor.drift.season is None
    assert found.monitor.recency is not None and found.monitor.recency.training_data_seconds is None
    assert found.told[0].startswith("version 3 was trained on no column of times 'landed', of departed: what its seasons")
