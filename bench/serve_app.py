"""The stack's own application as Ray Serve's documentation has one: Serve handles each request, and asks it by ASGI.

In the stack a replica answers on its port itself (`heliostat.serving.rest.connection`). Left to that, it would not be
Serve that is measured in Serve's rows.
"""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from heliostat.serving import replica
from heliostat.serving.rest.asgi import AsgiApplication


class Replica(replica.Replica):
    """The same model, contract, validation and prediction log."""

    @override
    async def __serve_build_asgi_app__(self) -> AsgiApplication:
        """Asked by Serve once the replica is made."""
        return AsgiApplication(self._answers)


def build(args: dict[str, Any]) -> Any:
    """The Serve application for a stack's own arguments."""
    return replica.deployed(args, Replica)
