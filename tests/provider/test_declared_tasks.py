"""What a declared task, or a metric of one's own, makes anew and what it leaves as it is; what the preview says of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import test_dataset
import test_model_version
import test_train_job
from ml_world import World

from heliostat.provider import gate as gates
from heliostat.provider import inspecting
from heliostat.provider.dataset import DatasetHandler
from heliostat.provider.model_version import ModelVersionHandler
from heliostat.provider.train_job import TrainJobHandler, identity_of, why
from heliostat.spec.problem import CustomMetric, Problem
from heliostat.spec.tasks import Binary, Free, Multiclass, Ranking, Regression, Task
from heliostat.spec.training_resources import TrainJobOutputs
from heliostat.spec.workload import Gate
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store

PETS = Problem(task=Multiclass(classes=("cat", "dog")))
COST = CustomMetric(name="cost", function="workloads.flights.costs:cost", higher_is_better=False, code_digest="c" * 64)
ASSUMED = (None, Problem(), Problem(task=Binary()), Problem(task=Regression()))

world = test_model_version.world


def test_a_task_that_was_taken_anyway_makes_nothing_anew(world: World) -> None:
    trainings = [test_train_job.inputs(world, problem=problem) for problem in ASSUMED]
    assert len({identity_of(each) for each in trainings}) == 1
    assert "problem" in TrainJobHandler().insignificant_inputs(trainings[0], trainings[2])
    data = [test_dataset.inputs(world, problem=problem) for problem in ASSUMED]
    assert all("problem" in DatasetHandler().insignificant_inputs(data[0], each) for each in data)
    versions = [test_model_version.inputs(world, problem=problem) for problem in ASSUMED]
    assert all("problem" in ModelVersionHandler().insignificant_inputs(versions[0], each) for each in versions)


def test_another_task_makes_the_snapshot_the_training_and_the_evaluation_anew(world: World) -> None:
    old, new = (test_train_job.inputs(world, problem=problem) for problem in (None, PETS))
    assert identity_of(old) != identity_of(new)
    outputs = TrainJobOutputs(**dict(old), digest="d" * 64, run_id="r", model_uri="m", metrics={})
    assert why(outputs, new) == ": its task changed"
    assert "problem" not in DatasetHandler().insignificant_inputs(
        test_dataset.inputs(world), test_dataset.inputs(world, problem=PETS)
    )
    assert "problem" not in ModelVersionHandler().insignificant_inputs(
        test_model_version.inputs(world), test_model_version.inputs(world, problem=PETS)
    )


def test_a_metric_of_one_s_own_trains_nothing_and_is_measured_anew_with_its_code(world: World) -> None:
    with_metric = Problem(task=Binary(), metrics=(COST,))
    assert identity_of(test_train_job.inputs(world)) == identity_of(test_train_job.inputs(world, problem=with_metric))
    old, new = test_dataset.inputs(world), test_dataset.inputs(world, problem=with_metric)
    assert "problem" in DatasetHandler().insignificant_inputs(old, new)
    changed = Problem(task=Binary(), metrics=(COST.model_copy(update={"code_digest": "e" * 64}),))
    versions = [test_model_version.inputs(world, problem=problem) for problem in (None, with_metric, changed)]
    handler = ModelVersionHandler()
    assert "problem" not in handler.insignificant_inputs(versions[0], versions[1])
    assert "problem" not in handler.insignificant_inputs(versions[1], versions[2])


async def test_what_was_measured_is_not_measured_again_until_the_task_or_a_metric_s_code_changes(world: World) -> None:
    with_metric = Problem(task=Binary(), metrics=(COST,))
    changed = Problem(task=Binary(), metrics=(COST.model_copy(update={"code_digest": "e" * 64}),))
    counts = []
    for problem in (None, Problem(task=Binary()), with_metric, with_metric, changed):
        await ModelVersionHandler().create(world.context, test_model_version.inputs(world, problem=problem))
        counts.append(len(world.submitted))
    assert counts == [1, 1, 2, 2, 3]


async def test_an_evaluation_of_before_is_found_again_under_the_metric_s_former_name(world: World) -> None:
    handler = ModelVersionHandler()
    world.figures = {"models:/m-1": 0.7}

    def evaluated(specification: dict[str, Any]) -> Any:
        report = {
            "metric": "pr_auc",
            "higherIsBetter": True,
            "candidate": {"overall": {"pr_auc": 0.7}, "slices": {}},
            "baseline": {"overall": {"pr_auc": 0.6}, "slices": {}},
            "incumbent": None,
        }
        open_store(world.store).put(specification["resultKey"], json.dumps(report).encode())
        return test_model_version.JobResult()

    world.outcome = evaluated
    for metric in ("pr_auc", "average_precision"):
        found = await handler.create(world.context, test_model_version.inputs(world, gate=Gate(metric=metric)))
        assert found.outputs.verdict == "accepted"
    assert len(world.submitted) == 1
    assert "average_precision 0.7000, baseline 0.6000" in world.told["info"][0]


async def test_a_model_without_any_metric_is_registered_once_it_answered(world: World) -> None:
    def evaluated(specification: dict[str, Any]) -> Any:
        assert specification["problem"]["task"]["kind"] == "free"
        part = {"overall": {}, "slices": {}}
        report = {"metric": None, "higherIsBetter": True, "candidate": part, "baseline": None, "incumbent": None}
        open_store(world.store).put(specification["resultKey"], json.dumps(report).encode())
        return test_model_version.JobResult()

    world.outcome = evaluated
    asked = test_model_version.inputs(world, problem=Problem(task=Free()))
    created = await ModelVersionHandler().create(world.context, asked)
    assert created.outputs.verdict == "accepted"
    assert "not judged: the task has no metric" in world.told["info"][0]
    assert gates.unjudged().reasons == ()


LABELS = {"kind": "multiclass", "unmet": {"every class": "no label is of the class dog"}, "counts": {"cat": 9, "dog": 0}}
TOLD_APART = {"kind": "multiclass", "unmet": {}, "counts": {"cat": 4, "dog": 5}}
ALONE = {"kind": "ranking", "unmet": {"any": "no group says anything of an order: 9 of 9 are of one row"}}


@pytest.mark.parametrize(
    ("task", "metric", "test", "told"),
    [
        (PETS.task, None, {"label": TOLD_APART}, ""),
        (PETS.task, "roc_auc_ovr", {"label": TOLD_APART}, ""),
        (PETS.task, "roc_auc_ovr", {"label": LABELS}, "for no label is of the class dog; there are accuracy"),
        (PETS.task, "log_loss", {"label": LABELS}, ""),
        (Ranking(group="carrier"), None, {"label": ALONE}, "ndcg is not defined on 'late', for no group says anything"),
        (Binary(), None, {"classBalance": {"0": 4, "1": 5}}, ""),
        (
            Binary(),
            None,
            {"classBalance": {"0": 4, "2": 5}},
            "a label of the test split is 2, and the task binary has 0 and 1",
        ),
        (Binary(), None, {"classBalance": {"1": 5}}, "all labels of the test split are alike"),
        (Regression(), None, {"classBalance": {"0": 4, "1": 5}}, ""),
        (Regression(), "r2", {"classBalance": {"3": 5}}, "all labels of the test split are alike"),
        (Regression(), "rmse", {"classBalance": {"3": 5}}, ""),
        (PETS.task, None, {"classBalance": {"cat": 4, "dog": 5}}, ""),
    ],
)
async def test_the_preview_holds_the_gate_against_the_snapshot_as_the_task_has_it(
    world: World, task: Task, metric: str | None, test: dict[str, Any], told: str
) -> None:
    world.snapshot({})
    key = f"datasets/flights/{'d' * 64}/statistics.json"
    open_store(world.store).put(key, json.dumps({"test": {"rows": 9, **test}}).encode())
    asked = test_train_job.inputs(world, gate=Gate(metric=metric), problem=Problem(task=task))
    if not told:
        await TrainJobHandler().preview(world.context, None, asked)
        return
    with pytest.raises(PermanentError) as refused:
        await TrainJobHandler().preview(world.context, None, asked)
    assert told in str(refused.value)


async def test_a_metric_of_one_s_own_needs_nothing_of_the_labels(world: World) -> None:
    world.snapshot({"1": 9})
    asked = test_train_job.inputs(world, gate=Gate(metric="cost"), problem=Problem(metrics=(COST,)))
    await TrainJobHandler().preview(world.context, None, asked)


@pytest.mark.parametrize(
    ("gate", "problem", "path", "told"),
    [
        (Gate(metric="f1"), PETS, "gate.metric", "'f1' is none of accuracy"),
        (Gate(metric="auc"), None, "gate.metric", "did you mean `roc_auc`?"),
        (Gate(beat_baseline_by=0.1), Problem(task=Free()), "gate.beatBaselineBy", "has no baseline"),
    ],
)
async def test_resources_that_are_declared_by_themselves_are_held_to_their_task_too(
    world: World, gate: Gate, problem: Problem | None, path: str, told: str
) -> None:
    given = test_model_version.inputs(world, gate=gate, problem=problem).model_dump(mode="json", by_alias=True)
    (found,) = inspecting.gate_failures(given)
    assert found.path == path
    assert told in found.reason


def test_an_application_s_checks_are_held_to_the_task_that_they_carry() -> None:
    def strategy(**check: Any) -> dict[str, Any]:
        given = {"kind": "model-metric", "field": "p", "limit": 1, **check}
        return {"kind": "blue-green", "before": {"checks": [given]}}

    of = PETS.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert list(inspecting.metric_failures(strategy(metric="accuracy", of=of))) == []
    (found,) = inspecting.metric_failures(strategy(metric="r2", of=of))
    assert (found.path, found.reason[:25]) == ("strategy.before.checks[0].metric", "'r2' is none of accuracy,")
    assert list(inspecting.answer_mistakes(strategy(metric="accuracy", of=of), {"p": False})) == []
    (found,) = inspecting.answer_mistakes(strategy(metric="accuracy"), {"p": False})
    assert "is no number" in found.reason
    own = Problem(task=Regression(), metrics=(COST,)).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert inspecting.metrics_asked(strategy(metric="cost", of=own)) == {COST.function: "strategy.before.checks[0].metric"}
