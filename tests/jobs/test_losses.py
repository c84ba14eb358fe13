"""Which lost workers count against a training, and how many workers an elastic one starts with."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest


@pytest.fixture(scope="module")
def losses() -> Any:
    return pytest.importorskip("heliostat.jobs.losses")


def lost(by_code: bool = False) -> Any:
    from ray.exceptions import RayActorError
    from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError
    from ray.train.v2.api.exceptions import WorkerGroupError

    failure = ValueError("no") if by_code else WorkerHealthCheckFailedError("gone", RayActorError())
    return WorkerGroupError("failed", {0: ValueError("connection reset"), 1: failure})


def decided(losses: Any, kept: Any, error: Any, max_failures: int = 0) -> str:
    from ray.train import FailureConfig

    policy = losses.ElasticFailurePolicy(FailureConfig(max_failures=max_failures), kept)
    return str(policy.make_decision(error).value)


def test_a_lost_worker_does_not_count_where_a_checkpoint_was_kept_since(losses: Any) -> None:
    kept = losses.Kept()
    assert decided(losses, kept, lost()) == "RAISE"
    kept.after_report(SimpleNamespace(checkpoint=None), [])
    assert decided(losses, kept, lost()) == "RAISE", "figures alone are no progress"
    kept.after_report(SimpleNamespace(checkpoint="somewhere"), [])
    assert decided(losses, kept, lost()) == "RETRY"


def test_what_is_lost_again_and_again_without_progress_ends_the_training(losses: Any) -> None:
    from ray.train import FailureConfig

    kept = losses.Kept()
    kept.after_report(SimpleNamespace(checkpoint="somewhere"), [])
    policy = losses.ElasticFailurePolicy(FailureConfig(max_failures=1), kept)
    assert [policy.make_decision(lost()).value for _ in range(3)] == ["RETRY", "RETRY", "RAISE"]


def test_what_the_workload_s_own_code_raises_counts_always(losses: Any) -> None:
    kept = losses.Kept()
    kept.after_report(SimpleNamespace(checkpoint="somewhere"), [])
    assert decided(losses, kept, lost(by_code=True)) == "RAISE"
    assert not losses.is_loss(lost(by_code=True))


class Policy:
    """An elastic policy over nodes that a test fills."""

    def __init__(self, monkeypatch: Any, low: int, high: int) -> None:
        from ray.train import ScalingConfig

        from heliostat.jobs import elastic

        self.now, self.free = 100.0, {"a": {"CPU": 0.0}}
        monkeypatch.setattr(elastic, "available_resources_per_node", lambda: self.free)
        monkeypatch.setattr(elastic.time, "monotonic", lambda: self.now)
        self.policy = elastic.Elastic(ScalingConfig(num_workers=(low, high), resources_per_worker={"CPU": 1}))
        monkeypatch.setattr(self.policy, "_maybe_send_resource_request", lambda: None)

    def starts(self) -> int | None:
        return getattr(self.policy.make_decision_for_non_running_worker_group(), "num_workers", None)

    def grows(self, workers: int) -> int | None:
        state = SimpleNamespace(num_workers=workers, start_time=0.0)
        self.policy._latest_monitor_time = float("-inf")
        return getattr(self.policy.make_decision_for_running_worker_group(state, None), "num_workers", None)


def test_an_elastic_training_starts_with_what_is_free_once_that_settles(monkeypatch: Any) -> None:
    pytest.importorskip("ray.train")
    policy = Policy(monkeypatch, 1, 4)
    policy.free = {"a": {"CPU": 1.5}, "b": {"CPU": 1.0, "memory": 9.0}}
    assert policy.starts() is None, "what a lost group held may be free in a moment"
    policy.now += 2.5
    assert policy.starts() == 2


def test_an_elastic_training_starts_at_once_where_there_is_room_for_all(monkeypatch: Any) -> None:
    pytest.importorskip("ray.train")
    policy = Policy(monkeypatch, 1, 4)
    policy.free = {"a": {"CPU": 9.0}}
    assert policy.starts() == 4


def test_an_elastic_training_waits_for_its_fewest_workers(monkeypatch: Any) -> None:
    pytest.importorskip("ray.train")
    policy = Policy(monkeypatch, 3, 4)
    policy.free = {"a": {"CPU": 2.0}}
    assert policy.starts() is None
    policy.now += 60
    assert policy.starts() is None


def test_an_elastic_training_grows_by_what_is_free_beside_it_and_never_shrinks_by_itself(monkeypatch: Any) -> None:
    pytest.importorskip("ray.train")
    policy = Policy(monkeypatch, 1, 4)
    assert policy.grows(2) is None
    policy.free = {"a": {"CPU": 1.0}}
    assert policy.grows(2) == 3
    policy.free = {"a": {"CPU": 9.0}}
    assert policy.grows(2) == 4


def test_what_is_left_of_a_group_is_ended_before_the_room_is_counted(monkeypatch: Any) -> None:
    pytest.importorskip("ray.train")
    policy = Policy(monkeypatch, 1, 2)
    policy.policy.release = lambda: policy.free.update(a={"CPU": 2.0})
    assert policy.starts() == 2
