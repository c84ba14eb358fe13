"""How long a user waits: for the first prediction, and for an `up` that has nothing to do."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from bench.rows import BY_NAME, Result
from bench.session import Session

_ROUNDS = 5


def first_prediction(session: Session) -> Iterable[Result]:
    """`make up` where nothing is: no state, no data, no processes; the virtual environment is there.

    The operating system may have the packages' files in memory, as after the set-up that comes before a first `up`.
    """
    yield BY_NAME["stack/first-prediction"].result(session.stack.first_prediction_seconds)


def unchanged(session: Session) -> Iterable[Result]:
    """`up` with every resource there and as declared; `--expect-no-changes` fails it where that is not so."""
    workspace = session.stack.workspace
    seconds = []
    for _ in range(_ROUNDS):
        seconds.append(workspace.up("--expect-no-changes").seconds)
        session.tell(f"nothing to do: {seconds[-1]:.2f} s")
    yield BY_NAME["stack/up-unchanged"].result(median(seconds), seconds=seconds)
