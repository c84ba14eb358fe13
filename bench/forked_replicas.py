"""`python -m bench.forked_replicas ARGUMENTS`: replicas as Serve runs them, each in a process of its own, there in no time.

A replica of a cluster takes seconds to start. Here one process has all that it needs loaded, and forks: the application,
Serve's own HTTP server and its event loop are the real ones, and only what starts them is not. ARGUMENTS is a file with the
application's. Lines on stdin say what to do, one on stdout that it is done: `serve PORT` answers with the process, and
`kill PROCESS` sends it SIGKILL. With the end of stdin all of them end.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, NoReturn

from ray._private import async_compat
from ray.serve._private import http_util, replica
from ray.serve.config import HTTPOptions

from heliostat.serving.replica import Replica
from heliostat.serving.rest.asgi import Receive, Send
from heliostat.systems import serve_ingress

HOST = "127.0.0.1"
PROBE = "/-/healthz"


def main() -> None:
    """Do what stdin says."""
    arguments = json.loads(Path(sys.argv[1]).read_text())
    children: set[int] = set()
    try:
        for line in sys.stdin:
            command, _, number = line.strip().partition(" ")
            if command == "serve":
                child = _fork(arguments, int(number))
                children.add(child)
            else:
                child = int(number)
                children.remove(child)
                _kill(child)
            sys.stdout.write(f"{child}\n")
            sys.stdout.flush()
    finally:
        for child in children:
            _kill(child)


def _fork(arguments: dict[str, Any], port: int) -> int:
    child = os.fork()
    if child == 0:
        _live(arguments, port)
    return child


def _live(arguments: dict[str, Any], port: int) -> NoReturn:
    """The whole life of a replica: what it prints goes to the log, and its end never comes back into the caller."""
    try:
        os.dup2(2, 1)
        loop: asyncio.AbstractEventLoop = async_compat.get_new_event_loop()  # type: ignore[no-untyped-call]
        asyncio.set_event_loop(loop)
        loop.run_until_complete(_serve(arguments, port, loop))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


async def _serve(arguments: dict[str, Any], port: int, loop: asyncio.AbstractEventLoop) -> None:
    # From here on the server that Serve starts has our connections.
    await Replica(arguments).__serve_build_asgi_app__()

    async def ingress(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """What Serve's replica answers by itself."""
        status = 200 if scope["path"] == PROBE else 404
        for message in http_util.convert_object_to_asgi_messages("success", status):
            await send(message)

    options = http_util.configure_http_middlewares(
        http_util.configure_http_options_with_defaults(HTTPOptions(host=HOST, port=port))
    )
    server, _ = await getattr(replica, serve_ingress.START)(ingress, options, event_loop=loop)
    await server


def _kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


if __name__ == "__main__":
    main()
