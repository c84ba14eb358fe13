"""What is done where a machine is too busy for the time that Ray gives its own processes to start."""

from __future__ import annotations

import asyncio

import pytest

from heliostat.systems.errors import PermanentError
from heliostat.systems.ray_nodes import _patiently

TOO_SLOW = "Ray's worker-1 ended while it started; its log ends with: The current node timed out during startup."


class Nodes:
    """Nodes of which the first attempts to start fail."""

    def __init__(self, *problems: str) -> None:
        self.problems, self.attempts, self.told = list(problems), list[int](), list[str]()

    async def start(self, attempt: int) -> None:
        self.attempts.append(attempt)
        if self.problems:
            raise PermanentError(self.problems.pop(0))

    def run(self) -> None:
        asyncio.run(_patiently(self.start, self.told.append))


def test_nodes_that_were_too_slow_are_started_again_and_it_is_said():
    nodes = Nodes(TOO_SLOW, TOO_SLOW)
    nodes.run()
    assert nodes.attempts == [1, 2, 3]
    assert [told.rpartition("again ")[2] for told in nodes.told] == ["(2 of 3)", "(3 of 3)"]


def test_nodes_that_start_are_started_once():
    nodes = Nodes()
    nodes.run()
    assert nodes.attempts == [1] and nodes.told == []


@pytest.mark.parametrize(("problems", "attempts"), [((TOO_SLOW,) * 3, [1, 2, 3]), (("the port is taken",), [1])])
def test_what_another_attempt_does_not_mend_is_an_error(problems: tuple[str, ...], attempts: list[int]):
    nodes = Nodes(*problems)
    with pytest.raises(PermanentError, match=problems[-1][:20]):
        nodes.run()
    assert nodes.attempts == attempts
