"""The scheduling priority of a training that shares a machine with an application."""

from __future__ import annotations

import os

_NICE = 15


def lower_priority() -> None:
    """Leave the cores to what serves, for this thread and those that it starts; alone on a machine it makes no difference."""
    os.setpriority(os.PRIO_PROCESS, 0, max(_NICE, os.getpriority(os.PRIO_PROCESS, 0)))
