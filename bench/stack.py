"""How long a user waits: for the first prediction, and for an `up` that has nothing to do."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from statistics import median

from bench.baseline import COMMIT
from bench.memory import members
from bench.numbers import alternate, paired_ratio
from bench.rows import BY_NAME, Result
from bench.session import Session
from bench.workspace import Workspace

_ROUNDS = 5
_SETTLE_S = 5.0


def first_prediction(session: Session) -> Iterable[Result]:
    """`make up` where nothing is: no state, no data, no processes; the virtual environment is there.

    The operating system may have the packages' files in memory, as after the set-up that comes before a first `up`.
    """
    yield BY_NAME["stack/first-prediction"].result(session.stack.first_prediction_seconds)


def unchanged(session: Session) -> Iterable[Result]:
    """`up` with every resource there and as declared; `--expect-no-changes` fails it where that is not so.

    In turns with the build of before, whose stack is brought up beside this one, and trains nothing where it was up before.
    While one is measured the other one's processes are stopped: what they compute while idle is not this one's.
    """
    here, before = session.stack.workspace, session.workspace_before
    session.tell(f"bringing up a stack of {COMMIT}")
    before.up()

    def timed(workspace: Workspace) -> float:
        with _stopped(before if workspace is here else here):
            seconds = workspace.up("--expect-no-changes").seconds
        session.tell(f"nothing to do{'' if workspace is here else f', {COMMIT}'}: {seconds:.2f} s")
        return seconds

    try:
        now, then = alternate(lambda: timed(here), lambda: timed(before), _ROUNDS)
    finally:
        before.destroy()
    yield BY_NAME["stack/up-unchanged"].result(median(now), seconds=now)
    yield BY_NAME["stack/up-unchanged-before"].result(paired_ratio(now, then), seconds=now, seconds_before=then)


@contextmanager
def _stopped(workspace: Workspace) -> Iterator[None]:
    """For the length of the block; Ray takes ten times as long a silence for a death. Then they catch up."""
    stopped = [process for _, process in members(workspace.data)]
    for process in stopped:
        process.suspend()
    try:
        yield
    finally:
        for process in stopped:
            process.resume()
        time.sleep(_SETTLE_S)
