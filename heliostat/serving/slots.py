"""How much a replica takes on at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class Slots:
    """How many requests a replica works on at a time; further ones wait in the order in which they came."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._ongoing = 0
        self._waiting: deque[Callable[[], None]] = deque()

    @property
    def requests(self) -> int:
        """That are worked on or wait."""
        return self._ongoing + len(self._waiting)

    @property
    def free(self) -> bool:
        """Whether a request may begin."""
        return self._ongoing < self.limit and not self._waiting

    def wait(self, begin: Callable[[], None]) -> None:
        """Call `begin` once there is a slot."""
        self._waiting.append(begin)

    def take(self) -> None:
        """A request that began goes on in a thread."""
        self._ongoing += 1

    def leave(self) -> None:
        """It ended."""
        self._ongoing -= 1
        self.fill()

    def fill(self) -> None:
        """Let begin what may."""
        while self._waiting and self._ongoing < self.limit:
            self._waiting.popleft()()
