"""`python -m heliostat.traffic`: one member of a controller's traffic plane, with a HAProxy of its own.

It ends on SIGTERM: no longer ready at once, it waits until clients are gone, for --settle-seconds and --drain-seconds at most.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from filelock import FileLock, Timeout
from pydantic import ValidationError

from heliostat.spec.controller import TrafficSettings
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.traffic.agent import Agent
from heliostat.traffic.link import ControllerLink
from heliostat.traffic.probes import create_app
from heliostat.traffic.settings import AgentSettings

_log = logging.getLogger("heliostat.traffic")


def main() -> None:
    """Run until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stdout)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("filelock").setLevel(logging.WARNING)
    arguments = _parser().parse_args()
    directory = Path(arguments.directory)
    try:
        settings = settings_of(arguments)
        directory.mkdir(parents=True, exist_ok=True)
        with FileLock(directory / "agent.lock", timeout=0):
            asyncio.run(serve(settings))
    except Timeout:
        sys.exit(f"another agent runs in {directory}: stop it first, or give this one another folder")
    except OSError as error:
        sys.exit(f"{directory} cannot be used: {error.strerror or error}")
    except (PermanentError, RetryableError) as error:
        sys.exit(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="heliostat.traffic", description=__doc__)
    parser.add_argument("--controller", metavar="URL", required=True, help="where the controller's API answers")
    token = parser.add_mutually_exclusive_group(required=True)
    token.add_argument("--token-file", metavar="FILE", help="the file that holds the controller's token")
    token.add_argument("--token-variable", metavar="NAME", help="the environment variable that holds it")
    parser.add_argument("--directory", metavar="DIR", required=True, help="a folder for HAProxy's files; absolute")
    parser.add_argument("--member", default=socket.gethostname(), help="this member's name, another for each; the host's")
    parser.add_argument("--host", default="0.0.0.0", help="where HAProxy and the probes listen")  # noqa: S104 - it is a pod's
    parser.add_argument("--public-port", type=int, default=8080, help="where HAProxy listens for clients")
    parser.add_argument("--port", type=int, default=8081, help="where /healthz, /readyz and /peer answer")
    parser.add_argument("--url", help="where the other members reach that port, e.g. http://10.0.0.7:8081")
    parser.add_argument("--settle-seconds", type=float, help="until nobody sends clients to what is not ready")
    parser.add_argument("--drain-seconds", type=float, help="for what clients have on their way at the end")
    parser.add_argument("--threads", type=int, help="of HAProxy")
    parser.add_argument("--max-connections", type=int, help="of clients, at a time")
    parser.add_argument("--answer-timeout-seconds", type=float, help="how long a replica may take for one answer")
    return parser


def settings_of(arguments: argparse.Namespace) -> AgentSettings:
    """What the arguments say.

    Raises:
        PermanentError: some of it is wrong; all mistakes at once.
    """
    given = {key: value for key, value in vars(arguments).items() if value is not None}
    traffic = {key: given.pop(key) for key in TrafficSettings.model_fields if key in given}
    file, variable, url = given.pop("token_file", None), given.pop("token_variable", None), given.pop("controller")
    credential = {"kind": "file", "path": file} if file else {"kind": "environment", "variable": variable}
    try:
        controller = {"url": url, "credential": credential}
        return AgentSettings.model_validate({**given, "controller": controller, "traffic": traffic})
    except ValidationError as error:
        mistakes = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}, not {each['input']!r}" for each in error.errors())
        raise PermanentError("; ".join(mistakes)) from None


async def serve(settings: AgentSettings) -> None:
    """HAProxy first, with what it had; then the probes, and the controller."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    link = ControllerLink(settings.controller, settings.member)
    agent = Agent(settings, link)
    await agent.adopt()
    config = uvicorn.Config(
        create_app(agent), host=settings.host, port=settings.port, log_level="warning", access_log=False, lifespan="off"
    )
    server = _Server(config)
    probes, running = asyncio.create_task(server.serve()), asyncio.create_task(agent.run())
    stopped = asyncio.create_task(stop.wait())
    _log.info("%s: clients on %s:%s, probes on %s", settings.member, settings.host, settings.public_port, settings.port)
    await asyncio.wait({probes, running, stopped}, return_when=asyncio.FIRST_COMPLETED)
    ended = next((each for each in (running, probes) if each.done()), None)
    if ended is not None:
        stopped.cancel()
        # Whoever supervises this starts it again, and it finds HAProxy as it is.
        await ended
        raise PermanentError(f"the probes cannot listen on {settings.host}:{settings.port}: choose another --port")
    draining = asyncio.create_task(agent.drain())
    await asyncio.wait({draining, running}, return_when=asyncio.FIRST_COMPLETED)
    for task in (draining, running):
        task.cancel()
    await asyncio.gather(draining, running, return_exceptions=True)
    await agent.leave()
    server.should_exit = True
    await probes
    await link.close()


class _Server(uvicorn.Server):
    """One that leaves signals alone: probes are answered while clients leave."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


if __name__ == "__main__":
    main()
