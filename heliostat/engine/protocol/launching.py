"""Starts the processes of an operation, which may be before there is a loop to await them, or asyncio is imported."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from heliostat.engine.errors import EngineError

OWN_VIRTUALENV = "venv"
"""Where a plugin that names no virtual environment may have one, below its folder; the CLI runs no plugin without."""

Started = subprocess.Popen[bytes]


def launcher(arguments: Sequence[str]) -> list[str]:
    """The command that runs `arguments` until it ends or this process dies."""
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name("spawn.py")), str(os.getpid()), *arguments]


def interpreter(options: Mapping[str, Any], root: Path, environment: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The Python that `runtime.options` name (`virtualenv`, relative to `root`), else this one, and its environment."""
    if not options.get("virtualenv"):
        return sys.executable, dict(environment)
    folder = root / str(options["virtualenv"])
    python = folder / "bin" / "python"
    if not python.exists():
        raise EngineError(f"there is no Python in the virtual environment {folder}: {python} does not exist; make it first")
    path = f"{python.parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    return str(python), {**environment, "VIRTUAL_ENV": str(folder), "PATH": path}


def executable_of(package: str) -> str:
    """What the plugin of a provider is called where it is a program: the official CLI's name for it."""
    return f"pulumi-resource-{package}"


def command_of(name: str, folder: Path, environment: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """How the plugin in `folder` is run, but for its arguments, and in which environment.

    Raises EngineError where the folder holds no plugin that can be run here.
    """
    described = folder / "PulumiPlugin.yaml"
    if not described.exists():
        executable = folder / executable_of(name)
        if executable.exists():
            return [str(executable)], dict(environment)
        raise EngineError(f"no plugin for provider '{name}': {folder} holds neither PulumiPlugin.yaml nor {executable.name}")
    runtime = (yaml.safe_load(described.read_text()) or {}).get("runtime")
    kind, options = (runtime.get("name"), runtime.get("options") or {}) if isinstance(runtime, dict) else (runtime, {})
    if kind != "python":
        raise EngineError(
            f"plugin '{name}' has runtime {kind!r}, and the embedded engine runs Python plugins only; "
            "use the official CLI for this program"
        )
    if not (folder / "__main__.py").exists():
        raise EngineError(f"plugin '{name}' cannot be run: there is no {folder / '__main__.py'}")
    if (folder / OWN_VIRTUALENV / "bin" / "python").exists():
        options = {"virtualenv": OWN_VIRTUALENV, **options}
    python, its_environment = interpreter(options, folder, environment)
    return [python, "-u", str(folder)], its_environment


def start(arguments: Sequence[str], folder: Path, environment: Mapping[str, str], inherited: Sequence[int] = ()) -> Started:
    """Starts a process in a session of its own, which ends with this one."""
    return subprocess.Popen(  # noqa: S603
        launcher(arguments),
        cwd=folder,
        env=environment,
        pass_fds=inherited,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


@dataclass(frozen=True)
class Host:
    """The process that a program will run in: it imports the SDK, and waits on `pipe` to be told what to run."""

    process: Started
    pipe: socket.socket

    @classmethod
    def start(cls, options: Mapping[str, Any], root: Path, main: Path, environment: Mapping[str, str]) -> Host:
        """Starts it in the interpreter of the project. Raises EngineError where there is none."""
        python, its_environment = interpreter(options, root, environment)
        script = Path(__file__).with_name("language_host") / "__main__.py"
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = start([python, "-u", str(script), str(theirs.fileno())], main, its_environment, [theirs.fileno()])
        except BaseException:
            ours.close()
            raise
        return cls(process, ours)


@dataclass
class Ahead:
    """What was started before the operation that needs it; each is taken once, and what nobody took ends with this."""

    host: Host | None = None
    plugins: dict[str, Started] = field(default_factory=dict)

    def take_host(self) -> Host | None:
        """The program's host, if it is there still."""
        host, self.host = self.host, None
        return host

    def close(self) -> None:
        """Ends what is left."""
        left = [*self.plugins.values()]
        self.plugins.clear()
        if host := self.take_host():
            host.pipe.close()
            left.append(host.process)
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
