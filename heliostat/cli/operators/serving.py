"""What serves, by what the controller tells of an application: versions, weights, replicas, since when; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from heliostat.cli.rollouts import messages
from heliostat.spec.rollouts import Rollout, Sample, Status
from heliostat.spec.task_queue import QueueDepth, WorkerCount


@dataclass(frozen=True)
class ServedVersion:
    """One version of an application that gets traffic, or is about to."""

    label: str
    role: str
    """`stable`, `candidate`, or `previous` of one that is kept for a while after a rollout."""
    weight: float
    """Its share of the traffic, 0 to 1."""
    replicas: int | None
    """Those that are healthy; None where that is not known."""
    since: float | None
    """When it got all traffic, Unix time; None where it never did, or nobody remembers."""


@dataclass(frozen=True)
class Application:
    """One application of a controller."""

    name: str
    url: str
    versions: tuple[ServedVersion, ...]
    desired_replicas: int | None
    rollout: Rollout | None
    """The one that is under way."""
    queue: QueueDepth | None = None
    """What is in its queue of tasks; None where it takes none, or that is not known."""

    @property
    def is_well(self) -> bool:
        """Whether clients are answered, or a rollout sees to it, or nothing is meant to answer."""
        answers = any(one.replicas for one in self.versions if one.role == "stable")
        return answers or self.rollout is not None or self.desired_replicas is None

    def as_json(self) -> dict[str, Any]:
        """For a program to read."""
        rollout = self.rollout
        return {
            "name": self.name,
            "url": self.url,
            "well": self.is_well,
            "desiredReplicas": self.desired_replicas,
            "versions": [
                {
                    "version": one.label,
                    "role": one.role,
                    "weight": one.weight,
                    "healthyReplicas": one.replicas,
                    "since": one.since,
                }
                for one in self.versions
            ],
            "rollout": rollout.model_dump(mode="json", exclude={"events", "analyses", "figures"}) if rollout else None,
            "tasks": self.queue.model_dump(mode="json") if self.queue else None,
        }


def workers_of(depth: QueueDepth) -> str:
    """The replicas of workers of each version; a dash where they are not known."""
    several = len(depth.workers) > 1
    return ", ".join(f"{each.version}: {count_of(each)}" if several else count_of(each) for each in depth.workers) or "-"


def count_of(workers: WorkerCount) -> str:
    """`2 of 3, at most 6`: running, asked for where that is another number, and the most where there may be more."""
    there = f"{workers.running} of {workers.replicas}" if workers.running != workers.replicas else f"{workers.replicas}"
    return f"{there}, at most {workers.max_replicas}" if workers.max_replicas > workers.replicas else there


def under_way(status: Status) -> Rollout | None:
    """The rollout that has not ended."""
    return status.rollout if status.rollout is not None and status.rollout.phase not in messages.ENDS else None


def application(
    status: Status, sample: Sample | None, past: Sequence[Rollout], queue: QueueDepth | None = None
) -> Application:
    """The versions and the rollout of `status`; `sample` are the newest figures of one under way, `past` are those before."""
    going = under_way(status)
    versions = _settled(status, past) if going is None else _moving(status, going, sample, past)
    desired = status.desired.replicas if status.desired is not None else None
    return Application(status.name, status.url, versions, desired, going, queue)


def _settled(status: Status, past: Sequence[Rollout]) -> tuple[ServedVersion, ...]:
    if status.serving is None:
        return ()
    label = status.serving.label
    return (ServedVersion(label, "stable", 1.0, status.healthy_replicas, since(label, status.rollout, past)),)


def _moving(status: Status, going: Rollout, sample: Sample | None, past: Sequence[Rollout]) -> tuple[ServedVersion, ...]:
    stable, target, weight = status.serving.label if status.serving else None, going.to_version, going.candidate_weight
    found = []
    if stable is not None:
        # A change of replicas alone has the same version on both sides.
        share = 1.0 if going.from_version == target else weight if stable == target else 1 - weight
        found.append(ServedVersion(stable, "stable", share, status.healthy_replicas, since(stable, going, past)))
    if stable != target:
        replicas = sample.candidate.replicas if sample is not None and sample.candidate is not None else None
        found.append(ServedVersion(target, "candidate", weight, replicas, None))
    elif going.from_version not in (None, target):
        found.append(ServedVersion(str(going.from_version), "previous", 1 - weight, None, None))
    return tuple(found)


def since(label: str, newest: Rollout | None, past: Sequence[Rollout]) -> float | None:
    """When a version got all traffic: by the events of the rollout that brought it, else by the end of that."""
    known: list[Rollout] = [*([newest] if newest is not None else ()), *past]
    brought = next((one for one in known if one.to_version == label and one.phase in messages.SETTLED), None)
    if brought is None:
        return None
    moved = [event.at for event in brought.events if event.phase in messages.SETTLED]
    return moved[0] if moved else brought.ended_at
