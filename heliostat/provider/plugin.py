"""The plugin as a process: serves the provider on loopback, says its port, and ends with the engine that started it."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc

from heliostat.provider import registry
from heliostat.provider.reports import Reporter
from heliostat.provider.servicer import Provider
from heliostat.pulumi_proto import provider_pb2_grpc
from heliostat.systems.loopback import past_proxies

_MESSAGE_LIMIT = 400 * 1024 * 1024
"""Bytes of one message, as in Pulumi's own SDKs."""
_THREADS = 64
_LOOK_SECONDS = 1.0
EXPECTED = "--expected="
"""The flag of an engine that starts this process before it needs it: resource types, of which most will be asked."""


def main(arguments: Sequence[str]) -> None:
    """Serve until the engine ends; `arguments` hold its address among flags that are the CLI's own."""
    os.environ.update(past_proxies(os.environ))
    # httpx imports a command line of its own, with rich and pygments, where they are there; it does without where not.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
    registry.load(next((argument.removeprefix(EXPECTED) for argument in arguments if argument.startswith(EXPECTED)), ""))
    gc.freeze()
    addresses = [argument for argument in arguments if not argument.startswith("-")]
    asyncio.run(_serve(addresses[0] if addresses else None))


async def _serve(engine: str | None) -> None:
    parent = os.getppid()
    # Waiting for the world takes threads, not cores: by default two cores get 6, and handlers would wait for each other.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="handler"))
    reporter = Reporter()
    if engine:
        reporter.attach(engine)
    limits = [("grpc.max_receive_message_length", _MESSAGE_LIMIT), ("grpc.max_send_message_length", _MESSAGE_LIMIT)]
    server = grpc.aio.server(options=limits)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(reporter), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    _silence_stdout()
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells of a parent's death but this
        await asyncio.sleep(_LOOK_SECONDS)
    # The engine was killed. Whatever a handler is at can be killed as well: the next update takes it up again.
    os._exit(0)


def _silence_stdout() -> None:
    """Nothing else may reach stdout: what a library prints goes to stderr."""
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
