"""Says of a function whose result is not known yet what to call in its place; the SDK would fail on the missing result."""

from __future__ import annotations

import functools
import re
import sys
from typing import Any

import pulumi.runtime


class UnknownResultError(Exception):
    """A result that only an output can hold, asked for as a plain value."""


def message(token: str) -> str:
    """What to do about a function of which a plain value is asked that is not known."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", token.rpartition(":")[2]).lower()
    return (
        f"the result of the function {token} is not known in this preview: it depends on what is not made yet, or no plugin "
        f"of its provider is on this machine. Call {name}_output(...) instead, whose result is an output and may be unknown, "
        "write the value into the stack's configuration, or use the official CLI for this program"
    )


def explain_unknown_results() -> None:
    """Has functions that return plain values raise UnknownResultError in place of a result that is not known."""
    module = sys.modules["pulumi.runtime.invoke"]  # the package has the function under this name
    invoke = getattr(module, "invoke", None)
    if invoke is None:
        return

    @functools.wraps(invoke)
    def plainly(tok: str, *args: Any, **kwargs: Any) -> Any:
        result = invoke(tok, *args, **kwargs)
        if not getattr(result, "is_known", True):
            raise UnknownResultError(message(tok))
        return result

    vars(module)["invoke"] = vars(pulumi.runtime)["invoke"] = plainly
