"""The output `platform` of a stack, which workloads of other stacks stand on, and what to say where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PLATFORM = "platform"
"""The name of the output."""


def platform_in(outputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The platform among the outputs of a stack; empty where its `up` did not make one."""
    found = outputs.get(PLATFORM)
    return found if isinstance(found, Mapping) else {}


def no_platform(stack: str) -> str:
    """What to say of a stack that exports no platform, with the command that helps."""
    name = stack.rpartition("/")[2]
    return (
        f"the stack {name!r} exports no platform: it was never brought up, was destroyed, or its last `up` did not come to "
        f"its end. Bring it up with `heliostat up -s {name}`"
    )
