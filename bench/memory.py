"""What the idle stack occupies: PSS, which counts a page that several processes share once."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from psutil import Process

from bench.baseline import COMMIT
from bench.commands import MeasurementError
from bench.rows import BY_NAME, Result
from bench.session import Session
from bench.workspace import Workspace
from heliostat.systems import processes

_SETTLE_S = 15
_REPLICA = b"ServeReplica"


def idle(session: Session) -> Iterable[Result]:
    """All processes of the stack, found by the mark in their environment, some time after the last request.

    The build of before is measured first, and alone: what two stacks share would count for each by half.
    """
    before = _before(session)
    components = _settled(session.stack.workspace, session.tell)
    here, there = sum(components.values()), sum(before.values())
    yield BY_NAME["stack/memory"].result(here, **components)
    yield BY_NAME["stack/memory-before"].result(here / there, mib=here, mib_before=there)


def _before(session: Session) -> Mapping[str, float]:
    if "stack" in vars(session):
        raise MeasurementError(
            "the stack is up already, and the build of before has to be measured alone; name this row first"
        )
    session.tell(f"bringing up a stack of {COMMIT} from nothing")
    workspace = session.workspace_before
    workspace.first_up()
    try:
        return _settled(workspace, session.tell)
    finally:
        workspace.destroy()


def _settled(workspace: Workspace, tell: Callable[[str], None]) -> Mapping[str, float]:
    time.sleep(_SETTLE_S)
    components = by_component(workspace.data)
    if not components:
        raise MeasurementError(f"no process of the stack in {workspace.data} was found")
    for name, mib in components.items():
        tell(f"{name:<24}{mib:>7.0f} MiB")
    return components


def by_component(data: Path) -> Mapping[str, float]:
    """PSS in MiB by service (`ray/head`); a service's Serve replicas are counted on their own."""
    found: Counter[str] = Counter()
    for component, process in members(data):
        replicas = f"{component.rpartition('/')[0]}/replicas"
        found[replicas if _REPLICA in _command(process.pid) else component] += pss_kib(process.pid)
    return {name: round(kib / 1024, 1) for name, kib in found.most_common()}


def members(data: Path) -> Iterator[tuple[str, Process]]:
    """All processes of a stack, each with its service."""
    for record in sorted(data.rglob("*.pid.json")):
        folder, name = record.parent, record.name.removesuffix(".pid.json")
        for process in processes.marked(folder, name):
            yield f"{folder.relative_to(data)}/{name}", process


def pss_kib(pid: int) -> int:
    """PSS of a process in KiB; 0 for one that has ended."""
    try:
        return parse_pss(Path(f"/proc/{pid}/smaps_rollup").read_text())
    except OSError:
        return 0


def parse_pss(rollup: str) -> int:
    """The `Pss:` line of a smaps_rollup, in KiB.

    Raises:
        ValueError: there is none.
    """
    found = re.search(r"^Pss:\s+(\d+) kB$", rollup, re.MULTILINE)
    if found is None:
        raise ValueError(f"no line `Pss:` in {rollup[:200]!r}")
    return int(found[1])


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
