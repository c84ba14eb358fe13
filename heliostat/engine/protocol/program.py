"""The user's program in a process of its own, in the interpreter that Pulumi.yaml names."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heliostat.engine.protocol.children import Child
from heliostat.engine.protocol.launching import Ahead, Host
from heliostat.engine.protocol.registrations import Register, RegistrationPipe

STOP_TIMEOUT_S = 3.0
TOLD_ALREADY = 32
"""The exit code by which the program's host says that it has explained the failure."""


@dataclass(frozen=True)
class Invocation:
    """What a program is told of the operation that it is part of."""

    project: str
    stack: str
    organization: str
    project_root: Path
    main: Path
    monitor_address: str
    engine_address: str
    parallel: int
    preview: bool
    config: Mapping[str, str]
    config_secret_keys: tuple[str, ...]
    runtime_options: Mapping[str, Any]
    environment: Mapping[str, str]
    ahead: Ahead = field(default_factory=Ahead)

    def arguments(self) -> list[str]:
        """The command line of the program's host."""
        return [
            "--project",
            self.project,
            "--stack",
            self.stack,
            "--organization",
            self.organization,
            "--root-directory",
            str(self.project_root),
            "--pwd",
            str(self.main),
            "--parallel",
            str(self.parallel),
            "--dry-run",
            "true" if self.preview else "false",
            "--monitor",
            self.monitor_address,
            "--engine",
            self.engine_address,
            str(self.main),
        ]

    def variables(self) -> dict[str, str]:
        """What the SDK reads from the environment."""
        return {
            "PULUMI_CONFIG": json.dumps(dict(self.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(self.config_secret_keys),
            "PULUMI_ORGANIZATION": self.organization,
            "PULUMI_PROJECT": self.project,
            "PULUMI_STACK": self.stack,
        }


class Program:
    """A program that runs; `wait` gives its exit code, `ask` asks its host, `stop` ends it."""

    def __init__(self, process: Child, pipe: RegistrationPipe, readers: list[asyncio.Task[None]]) -> None:
        self._process, self._pipe, self._readers = process, pipe, readers

    @classmethod
    async def start(cls, invocation: Invocation, register: Register, log: Callable[[str], None]) -> Program:
        """Starts it; `register` answers its registrations, `log` gets each line that it prints."""
        host = invocation.ahead.take_host()
        if host is None:
            host = Host.start(invocation.runtime_options, invocation.project_root, invocation.main, invocation.environment)
        process = await Child.of(host.process)
        pipe = await RegistrationPipe.open(host.pipe, register)
        pipe.send(json.dumps([invocation.arguments(), invocation.variables()]).encode())
        readers = [asyncio.create_task(_follow(stream, log)) for stream in (process.stdout, process.stderr)]
        return cls(process, pipe, readers)

    async def ask(self, question: bytes) -> bytes:
        """What its host answers, which knows the SDKs of its Python. Raises Unanswered."""
        return await self._pipe.ask(question)

    async def wait(self) -> int:
        """Its exit code, with all that it printed told."""
        code = await self._process.wait()
        await asyncio.wait(self._readers, timeout=1.0)
        return code

    async def stop(self) -> None:
        """Ends it and its children; nothing that it says from now on counts."""
        self._pipe.close()
        for reader in self._readers:
            reader.cancel()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.returncode is not None:
                return
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await self._process.wait()


async def _follow(stream: asyncio.StreamReader, tell: Callable[[str], None]) -> None:
    while line := await stream.readline():
        tell(line.decode(errors="replace").rstrip("\n"))
