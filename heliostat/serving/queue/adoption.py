"""Whose tasks a version's workers take: its own, and those of versions that have no workers any more.

A task belongs to the version that took it, whose replicas clients reach by the traffic's shares: so tasks are shared as
requests are, and a version that no client reaches yet has none. What a retired version left, those that serve take over.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from heliostat.systems.brokers.base import TaskBroker
from heliostat.systems.errors import RetryableError

_log = logging.getLogger(__name__)

BEAT_SECONDS: Final = 3.0
GRACE_SECONDS: Final = 5.0
"""How long nothing is heard of a version's workers before others take its tasks."""
UNPROVEN_GRACE_SECONDS: Final = 60.0
"""The same where those others were given no task themselves yet: it may be that no client is to reach them."""


class Labels:
    """The labels that one worker asks for, its own first."""

    def __init__(self, broker: TaskBroker, own: str) -> None:
        self._broker = broker
        self._own = own
        self._labels: tuple[str, ...] = (own,)

    def __call__(self) -> tuple[str, ...]:
        """As they were found last."""
        return self._labels

    def refresh(self) -> None:
        """Say that the own version has workers, and look for those that have none."""
        broker, own = self._broker, self._own
        broker.beat(own, 3 * BEAT_SECONDS)
        orphans = [label for label in broker.orphans(GRACE_SECONDS) if label != own]
        if orphans and own not in broker.depth().versions:
            alone = not any(label != own for label in broker.alive())
            orphans = [label for label in broker.orphans(UNPROVEN_GRACE_SECONDS) if label != own] if alone else []
        if (found := (own, *orphans)) != self._labels:
            _log.info("takes tasks of %s", ", ".join(found))
        self._labels = found

    def keep_fresh(self, stop: threading.Event, each: Callable[[], None] = lambda: None) -> threading.Thread:
        """Refresh every few seconds in a thread, and do `each`, until `stop`."""

        def loop() -> None:
            while True:
                began = time.monotonic()
                try:
                    self.refresh()
                    each()
                except RetryableError as error:
                    _log.warning("the queue's versions are not known: %s", error)
                if stop.wait(max(0.1, BEAT_SECONDS - (time.monotonic() - began))):
                    return

        thread = threading.Thread(target=loop, name="beat", daemon=True)
        thread.start()
        return thread
