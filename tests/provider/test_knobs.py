"""A knob that is declared arrives, from the config at the controller, and comes back where it drifted."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from heliostat.provider.declaring import as_found, desired_of, digest_of
from heliostat.spec.addresses import TokenVariable
from heliostat.spec.base import Model, shared
from heliostat.spec.batch import Lookup
from heliostat.spec.expectations import Expectations, ExpectedField
from heliostat.spec.logged_models import ModelEnvironment
from heliostat.spec.personal import PersonalKey, Privacy
from heliostat.spec.postprocessing import PostprocessingStep
from heliostat.spec.review import Review, ReviewProbability
from heliostat.spec.rollouts import Desired, Runtime, Status, Version
from heliostat.spec.serving_resources import ApplicationInputs, ApplicationOutputs
from heliostat.spec.task_queue import RedisBroker, TaskQueue
from heliostat.spec.workload import AnswerSettings, Interface, Limits, PredictionLog, ReplicaScale, Serving

SCALE = ReplicaScale(replicas=5, cpus_per_replica=0.25, gpus_per_replica=0.5, max_ongoing_requests=7)
SETTINGS = AnswerSettings(
    prediction_log=PredictionLog(sampling_rate=0.5),
    limits=Limits(max_rows=3),
    lookup=Lookup(batch="nightly"),
    cors_origins=("https://app.example.com",),
    queue=TaskQueue(max_attempts=2),
    interface=Interface.BOTH,
    postprocessing=(PostprocessingStep(name="legal-removal", function="workloads.films.steps:remove"),),
    privacy=Privacy(keys=(PersonalKey(id="k1", secret=TokenVariable(variable="PERSONAL_KEY")),)),
    review=Review(answer=ReviewProbability(field="late_probability")),
    expectations=Expectations(columns={"distance": ExpectedField(type="double", minimum=0)}),
)
RUNTIME = Runtime(library="0.1.0", library_digest="b" * 64, library_uri="file:///library.zip")


def inputs(*parts: Model) -> ApplicationInputs:
    given: dict[str, Any] = {
        "name": "flights",
        "code": {"root": "/r", "files": ["a"], "digest": "a" * 64},
        "contract": "a:b",
        "model_uri": "models:/flights/1",
        "strategy": {"kind": "recreate"},
        "store": {"uri": "file:///o"},
        "tracking_uri": "http://mlflow",
        "controller": {"url": "http://controller"},
    }
    return ApplicationInputs.model_validate(given | {key: value for each in parts for key, value in each.model_dump().items()})


def status(desired: Desired) -> Status:
    return Status(name="flights", desired=desired, serving=desired.version, healthy_replicas=1, rollout=None, url="http://p")


@pytest.mark.parametrize("part", [SCALE, SETTINGS])
def test_the_values_of_this_test_are_all_others_than_by_default(part: Model) -> None:
    defaults = type(part)()
    assert [name for name in type(part).model_fields if getattr(part, name) == getattr(defaults, name)] == []


def test_each_kind_of_value_is_said_by_who_declares_and_by_who_is_asked() -> None:
    assert issubclass(Serving, ReplicaScale) and issubclass(Serving, AnswerSettings)
    assert issubclass(ApplicationInputs, ReplicaScale) and issubclass(ApplicationInputs, AnswerSettings)
    assert issubclass(Desired, ReplicaScale)
    assert set(AnswerSettings.model_fields) <= set(Version.model_fields)


def test_what_is_declared_arrives_whole() -> None:
    desired = desired_of(inputs(SCALE, SETTINGS), "file:///code.zip", RUNTIME)
    assert shared(desired, ReplicaScale) == shared(SCALE, ReplicaScale)
    assert shared(desired.version, AnswerSettings) == shared(SETTINGS, AnswerSettings)


def test_what_the_world_has_comes_back_whole() -> None:
    declared = inputs()
    outputs = ApplicationOutputs(
        **dict(declared), digest=digest_of(declared, RUNTIME), url="http://p", openapi_url="http://p/o"
    )
    found = as_found(outputs, status(desired_of(inputs(SCALE, SETTINGS), "file:///code/a.zip", RUNTIME)))
    assert shared(found, ReplicaScale) == shared(SCALE, ReplicaScale)
    assert shared(found, AnswerSettings) == shared(SETTINGS, AnswerSettings)


def test_each_setting_makes_another_version_and_no_scale_does() -> None:
    plain = digest_of(inputs(), RUNTIME)
    assert digest_of(inputs(SCALE), RUNTIME) == plain
    for name in AnswerSettings.model_fields:
        one = inputs(AnswerSettings(**{name: getattr(SETTINGS, name)}))
        assert digest_of(one, RUNTIME) != plain, name


def test_a_queue_in_a_file_needs_a_store_on_this_machine() -> None:
    bucket = inputs().model_dump() | {"store": {"uri": "s3://models"}}
    with pytest.raises(
        ValidationError, match="one of kind sqlite is a file beside a store on one machine, and this store is s3://"
    ):
        ApplicationInputs.model_validate(bucket | {"queue": TaskQueue().model_dump()})
    elsewhere = TaskQueue(broker=RedisBroker(url="redis://h:1"))
    assert ApplicationInputs.model_validate(bucket | {"queue": elsewhere.model_dump()}).queue == elsewhere
    assert ApplicationInputs.model_validate(bucket).queue is None


def test_packages_of_a_model_s_own_make_another_version_and_none_make_none() -> None:
    own = ModelEnvironment(digest="e" * 64, uri="file:///environments/e.zip", packages=("numpy==1.0",))
    with_them = inputs().model_copy(update={"environment": own})
    assert digest_of(with_them, RUNTIME) != digest_of(inputs(), RUNTIME)
    assert desired_of(with_them, "file:///code/a.zip", RUNTIME).version.environment == own
    assert "environment" not in inputs().model_dump(mode="json")
