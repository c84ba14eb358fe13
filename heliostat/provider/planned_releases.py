"""Which controllers the update that is previewed brings to this release: what is declared to one need not suit it as it is.

A preview asks the controller as it is, before its restart. Both previews are in the plugin's one process, the controller's
first: what is declared to it depends on it.
"""

from __future__ import annotations

_brought: set[str] = set()
"""URLs of controllers."""


def note(controller: str, before: str | None, after: str | None) -> None:
    """Remember whether the controller's code changes, given the digests of it, as its newest preview has it."""
    if before != after:
        _brought.add(controller)
    else:
        _brought.discard(controller)


def brings(controller: str) -> bool:
    """Whether this update starts the controller anew with the code of this release."""
    return controller in _brought
