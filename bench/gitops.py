"""How long a branch waits, what one costs, and what many leave behind."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from bench.branches import Branches
from bench.commands import MeasurementError
from bench.memory import by_component
from bench.rows import BY_NAME, Result
from bench.session import Session

_ROUNDS = 3
_MANY = 20
_SETTLE_S = 15


def environment(session: Session) -> Iterable[Result]:
    """From the push of a branch to the first prediction of its environment, where all that main made is known.

    Each branch changes what its application answers with, and nothing that is trained.
    """
    branches = Branches.of(session)
    before = branches.world()
    took = []
    for number in range(_ROUNDS):
        branch = f"bench/first-{number}"
        branches.checkout(branch)
        _edit(session, "workloads/flights/contract.py", f"\nBRANCH = {number}\n")
        branches.commit()
        with branches.measured() as once:
            branches.predicts(branches.push(branch))
        session.tell(f"push to prediction: {once.seconds:.1f} s, {once.cpu_seconds:.1f} s of CPU time")
        took.append(once)
        branches.down(branch)
    if trained := branches.world().runs - before.runs:
        raise MeasurementError(f"something was trained: {', '.join(sorted(trained))}")
    yield BY_NAME["gitops/environment"].result(
        max(each.seconds for each in took),
        seconds=[each.seconds for each in took],
        cpu_seconds=[each.cpu_seconds for each in took],
    )


def document(session: Session) -> Iterable[Result]:
    """From the push of a change in a comment and in a document to the end of the environment's update, which does nothing."""
    branches = Branches.of(session)
    branch = "bench/document"
    branches.checkout(branch)
    branches.predicts(branches.push(branch))
    runs, rollouts, took = branches.world().runs, branches.rollouts(), []
    for number in range(_ROUNDS):
        _edit(session, "workloads/flights/train.py", f"\n# Comment {number}.\n")
        _edit(session, "workloads/flights/contract.py", f"\n# Comment {number}.\n")
        _edit(session, "configs/Pulumi.preview.yaml", f"# Comment {number}.\n")
        branches.commit()
        with branches.measured() as once:
            branches.push(branch)
        session.tell(f"push to the end of nothing: {once.seconds:.1f} s, {once.cpu_seconds:.1f} s of CPU time")
        took.append(once)
    if branches.world().runs != runs or branches.rollouts() != rollouts:
        raise MeasurementError("a comment trained or rolled out something")
    branches.down(branch)
    yield BY_NAME["gitops/document"].result(
        max(each.seconds for each in took),
        seconds=[each.seconds for each in took],
        cpu_seconds=[each.cpu_seconds for each in took],
    )


def side_by_side(session: Session) -> Iterable[Result]:
    """Many environments beside each other, each asked; their branches are deleted, and one sweep takes all of them down."""
    branches = Branches.of(session)
    names = [f"bench/many-{number:02}" for number in range(_MANY)]
    for name in names:
        branches.checkout(name)
        branches.names.append(name)
    before, memory = branches.world(), _settled(session)
    came = [_come(session, branches, name) for name in names]
    for each in came:
        branches.predicts(each)
    urls = {each["urls"]["flights"] for each in came}
    if len(urls) != _MANY:
        raise MeasurementError(f"{_MANY} environments have {len(urls)} addresses")
    beside, meanwhile = _settled(session), branches.world()
    one = (sum(beside.values()) - sum(memory.values())) / _MANY
    session.tell(f"each costs {one:.0f} MiB (PSS)")
    branches.drop(*names)
    began = time.monotonic()
    swept = branches.sweep()["swept"]
    seconds = time.monotonic() - began
    if failed := [each for each in swept if each["failure"]]:
        raise MeasurementError(f"{len(failed)} were not swept: {failed[0]}")
    left = branches.world().left_since(before)
    yield BY_NAME["gitops/memory"].result(one, mib_before=memory, mib_beside=beside, replicas=len(meanwhile.replicas))
    yield BY_NAME["gitops/left"].result(sum(map(len, left.values())), left=left, swept=len(swept), sweep_seconds=seconds)


def _come(session: Session, branches: Branches, name: str) -> dict[str, Any]:
    branches.checkout(name)
    with branches.measured() as once:
        came = branches.push(name)
    session.tell(f"{name}: {once.seconds:.1f} s, {once.cpu_seconds:.1f} s of CPU time")
    return came


def _settled(session: Session) -> dict[str, float]:
    time.sleep(_SETTLE_S)
    return dict(by_component(session.stack.workspace.data))


def _edit(session: Session, file: str, text: str) -> None:
    path = session.stack.workspace.root / file
    path.write_text(path.read_text() + text)
