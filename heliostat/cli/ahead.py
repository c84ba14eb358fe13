"""Starts the program's host and our own plugin before the engine is imported, the passphrase checked and the stack locked.

Neither does anything yet: the host imports the SDK and waits to be told what to run, the plugin imports what its resources
need and waits for calls.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import heliostat
from heliostat.cli.session import Session
from heliostat.engine.errors import EngineError
from heliostat.engine.protocol import launching
from heliostat.engine.protocol.launching import Ahead, Host
from heliostat.engine.protocol.locating import PluginPlaces
from heliostat.engine.state.urns import PROVIDER_TYPE_PREFIX
from heliostat.layout import SETTINGS

CONFIG_FILE = "HELIOSTAT_CONFIG_FILE"
"""Tells the program which file its config is of, for what it says of mistakes."""
_NAME = "heliostat"
_FOLDER = Path(heliostat.__file__).parent / "provider"


def environment(session: Session, variables: Mapping[str, str]) -> dict[str, str]:
    """That of the program and of its plugins."""
    return {**os.environ, CONFIG_FILE: str(session.config.file), **variables}


@contextmanager
def ahead(session: Session, variables: Mapping[str, str], *, program: bool) -> Iterator[Ahead]:
    """What an operation on the stack will need; what it did not take is ended with the block."""
    started = Ahead()
    try:
        # What is wrong is told by the engine, which starts it then.
        with suppress(EngineError, OSError):
            _start(started, session, environment(session, variables), program=program)
        yield started
    finally:
        started.close()


def _start(started: Ahead, session: Session, variables: Mapping[str, str], *, program: bool) -> None:
    project = session.project
    if program:
        started.host = Host.start(project.runtime_options, project.root, project.main, variables)
    types = _types(session)
    for name, folder in _ours(session, types, variables):
        command, its_variables = launching.command_of(name, folder, {**variables, "PULUMI_PROJECT": project.name})
        started.plugins[name] = launching.start([*command, f"--expected={','.join(types)}"], project.main, its_variables)


def _ours(session: Session, types: Sequence[str], variables: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    """Our plugin, as the project names it or else as an installed command; others may want the engine's address at once."""
    project = session.project
    yield from ((name, folder) for name, folder in project.plugins.items() if folder.resolve() == _FOLDER.resolve())
    # Of a stack without resources the project alone tells whether it will have some of ours.
    uses = f"{PROVIDER_TYPE_PREFIX}{_NAME}" in types if types else (project.root / SETTINGS).is_file()
    if _NAME in project.plugins or not uses:
        return
    places = PluginPlaces.of({}, project.runtime_options, project.root, variables)
    if folder := places.find(_NAME):
        yield _NAME, folder


def _types(session: Session) -> list[str]:
    deployment = (session.seen.deployment if session.seen else None) or {}
    return sorted({str(one["type"]) for one in deployment.get("resources") or []})
