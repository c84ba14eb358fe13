"""The server of a Serve replica: uvicorn, which Serve starts on the port that it gave the replica, and stops with it.

Serve has no setting for the protocol that uvicorn speaks on a connection (uvicorn's own setting `http`), so it is set between
the making of the server and its start, in the process of the replica alone. Everything else about the server is Serve's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from heliostat.systems.errors import PermanentError

START = "start_asgi_http_server"


def listen_with(protocol: Callable[..., asyncio.Protocol]) -> None:
    """Have `protocol` made for each connection to this replica; to be called before Serve lets it listen.

    `protocol` is called by uvicorn with `config`, `server_state` and `app_state`.

    Raises:
        PermanentError: this Serve starts its server differently.
    """
    import ray
    from ray.serve._private import replica

    start: Any = getattr(replica, START, None)
    if start is None:
        raise PermanentError(
            f"Ray Serve {ray.__version__} starts the server of a replica in a way that heliostat.systems.serve_ingress "
            "does not know; install the release that requirements.lock names"
        )

    async def start_with(*arguments: Any, **options: Any) -> tuple[asyncio.Task[None], Any]:
        task, server = await start(*arguments, **options)
        # The task has not run yet: uvicorn reads its settings at its first step.
        server.config.http = protocol
        return task, server

    setattr(replica, START, start_with)
