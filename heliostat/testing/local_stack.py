"""A whole stack of a repository in a folder of its own: platform, training, application, and nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx
import psutil

from heliostat.layout import data_folder
from heliostat.systems import proc
from heliostat.testing import commands
from heliostat.testing.asking import answers_by_calls, ask
from heliostat.testing.commands import CommandError, CommandResult
from heliostat.testing.stack_configs import patch_file, sections_of, stack_file, standalone

_LEFT_OUT: Final = frozenset({".git", ".venv", ".heliostat", ".pulumi", "__pycache__", "node_modules"})
_KEPT: Final = frozenset({"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "HELIOSTAT_RUNTIME_DIR"})
"""Of a shell's settings for Pulumi and for this library, those that say nothing of which stack, state or engine is meant."""
_MARK: Final = "HELIOSTAT_LOCAL_STACK"
"""Names the folder in the environment of every process that a stack starts, and of all that those start."""
_KILL_SECONDS: Final = 30.0


class LocalStack:
    """A stack of a copy of `repository`, on this machine; as a context manager it ends, and goes, with its block.

    The copy has the virtual environment of this process, a state and ports of its own, and the config of `stack`, changed by
    `config`: sections (`platform`, `workloads`) as a JSON merge patch. It lies in `folder`, or in a temporary one that goes
    with it. `exclude` names what is not copied, `link` what is linked in place of that, both by their first part of the path;
    `environment` is laid over that of this process. What a node keeps between stacks, such as models by their content, stays
    in the system's temporary folder.

    Raises:
        ValueError: the platform of the stack is elsewhere.
        FileNotFoundError: the repository has no such stack.
    """

    def __init__(
        self,
        repository: str | os.PathLike[str],
        *,
        stack: str = "local",
        folder: Path | None = None,
        config: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        exclude: Iterable[str] = (),
        link: Iterable[str] = (),
    ) -> None:
        self.repository, self.stack = Path(repository).resolve(), stack
        self._changes = [standalone(sections_of(stack_file(self.repository, stack)), stack), config or {}]
        self._temporary = Path(tempfile.mkdtemp(prefix="heliostat-stack-")) if folder is None else None
        self.root = (folder or self._temporary or Path()).resolve()
        """The copy."""
        self._exclude, self._link = frozenset(exclude), tuple(link)
        self.environment = {**_inherited(), **self._own_variables(), **(environment or {})}
        """Of every command."""

    def __enter__(self) -> Self:
        try:
            self.make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.close()
        except CommandError as left:
            if error is None:
                raise
            error.add_note(f"and then: {left}")

    @property
    def data(self) -> Path:
        """The folder of what its platform keeps."""
        return data_folder(self.root, self.stack)

    @property
    def workloads(self) -> list[str]:
        """The workloads that its config declares."""
        return list(sections_of(stack_file(self.root, self.stack)).get("workloads") or {})

    def make(self) -> None:
        """Copy the repository, and write the config."""
        self.root.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self.repository, self.root, ignore=self._ignored, symlinks=True, dirs_exist_ok=True)
        (self.root / ".heliostat" / "state").mkdir(parents=True)
        (self.root / ".venv").symlink_to(sys.prefix)
        for name in self._link:
            (self.root / name).symlink_to(self.repository / name)
        for changes in self._changes:
            self.configure(changes)

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Change the config, as `config` does: `{"workloads": {"tumours": {"serving": {"replicas": 1}}}}`."""
        patch_file(stack_file(self.root, self.stack), changes)

    def up(self, *flags: str, check: bool = True, seconds: float = 900.0) -> CommandResult:
        """Bring it up, from nothing or from where it is: `heliostat up --yes --skip-preview`, and `flags`.

        Raises:
            CommandError: it failed and `check` is not False, or took longer than `seconds`; with what it wrote.
        """
        if not self._exists:
            self.heliostat("stack", "select", "--create", self.stack)
        arguments = ("--stack", self.stack, "--yes", "--skip-preview", *flags)
        return self.heliostat("up", *arguments, check=check, seconds=seconds)

    def destroy(self, *flags: str, check: bool = True, seconds: float = 300.0) -> CommandResult:
        """Take it down: `heliostat destroy --yes --skip-preview`, and `flags`.

        Raises:
            CommandError: it failed and `check` is not False, or took longer than `seconds`; with what it wrote.
        """
        arguments = ("--stack", self.stack, "--yes", "--skip-preview", *flags)
        return self.heliostat("destroy", *arguments, check=check, seconds=seconds)

    def heliostat(self, *arguments: str, check: bool = True, seconds: float = 600.0) -> CommandResult:
        """Run a command of the command line in the copy.

        Raises:
            CommandError: it failed and `check` is not False, or took longer than `seconds`; with what it wrote.
        """
        return self.run([*_HELIOSTAT, *arguments], check=check, seconds=seconds)

    def run(self, command: Sequence[str], *, check: bool = True, seconds: float = 600.0) -> CommandResult:
        """Run any command in the copy; a relative path is one of the copy's.

        Raises:
            CommandError: it failed and `check` is not False, or took longer than `seconds`; with what it wrote.
        """
        result = commands.run(command, self.root, self.environment, seconds)
        if check and result.code:
            raise commands.failure(result)
        return result

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs: `platform`, and each workload by its name.

        Raises:
            CommandError: there is no stack yet.
        """
        command = [*_HELIOSTAT, "stack", "output", "--json", "--stack", self.stack]
        found: dict[str, Any] = json.loads(commands.run(command, self.root, self.environment, 60.0, apart=True).output)
        return found

    def _exported(self) -> dict[str, Any]:
        """The stack's state, as it is exported."""
        command = [*_HELIOSTAT, "stack", "export", "--stack", self.stack]
        found: dict[str, Any] = json.loads(commands.run(command, self.root, self.environment, 60.0, apart=True).output)
        return found

    def url(self, workload: str | None = None) -> str:
        """Where a workload answers, e.g. `http://127.0.0.1:8080/tumours`; it need not be named where there is but one.

        Raises:
            ValueError: there are several; or it is not up.
        """
        return str(self._application(workload)["url"])

    def predict(self, workload: str | None = None, request: Any = None) -> httpx.Response:
        """Ask a workload; by default for the example of its own contract. The answer may be an error.

        One whose interface is `grpc` is asked by a call of the Open Inference Protocol, so `request` is one of that, and the
        response has a JSON object of its answer's outputs.

        Raises:
            ValueError: there are several workloads and none is named; it is not up; or its request is none of the protocol.
            httpx.HTTPError: nothing answers.
            RetryableError, PermanentError: the call fails.
        """
        application, name = self._application(workload), workload or self.workloads[0]
        return ask(name, application, request, by_calls=answers_by_calls(name, self._exported()))

    def processes(self) -> list[psutil.Process]:
        """List every living process that it started, and all that those started."""
        mark = f"{_MARK}={self.environment[_MARK]}".encode()
        found = [each for each, environment in proc.environments() if mark in environment.split(b"\0")]
        return [each for each in found if each.is_running() and not proc.is_ending(each.pid)]

    def close(self) -> None:
        """Take it down, end what is left of it, and remove the copy where it was in a temporary folder.

        Raises:
            CommandError: `destroy` failed, or processes outlived it; they are killed all the same.
        """
        from heliostat.systems import processes  # which no system but Linux can import

        failed = ""
        try:
            if self._exists:
                self.destroy()
        except CommandError as error:
            failed = str(error)
        finally:
            left = self._kill()
            for service in self.data.glob("*") if failed or left else ():
                shutil.rmtree(processes.runtime_directory(service), ignore_errors=True)
            self._remove()
        if failed or left:
            outlived = f"processes outlived `destroy` and were killed: {', '.join(left)}" if left else ""
            raise CommandError("\n".join(part for part in (failed, outlived) if part))

    @property
    def _exists(self) -> bool:
        """Whether there is a stack, whatever is up of it."""
        return any(path.is_file() for path in (self.root / ".heliostat" / "state").rglob(f"{self.stack}.json"))

    def _application(self, workload: str | None) -> Mapping[str, Any]:
        names = self.workloads
        if workload is None and len(names) != 1:
            raise ValueError(f"name a workload: the stack has {', '.join(names) or 'none'}")
        name = workload or names[0]
        outputs = self.outputs() if self._exists else {}
        found = outputs.get(name)
        if not isinstance(found, Mapping):
            raise ValueError(f"{name!r} is not up, {', '.join(outputs) or 'nothing'} is: call up() first")
        return found

    def _ignored(self, folder: str, names: list[str]) -> set[str]:
        """Whatever tools and runs leave in a checkout, its virtual environments, and what was named."""
        at_top = Path(folder) == self.repository
        out = _LEFT_OUT | (self._exclude | set(self._link) if at_top else set())
        caches = {name for name in names if name.startswith(".") and name.endswith("_cache")}
        own = {name for name in names if Path(folder, name, "pyvenv.cfg").exists() or Path(folder, name) == self.root}
        return caches | own | (out & set(names))

    def _own_variables(self) -> dict[str, str]:
        return {
            "HELIOSTAT_ENGINE": "embedded",
            "PULUMI_BACKEND_URL": (self.root / ".heliostat" / "state").as_uri(),
            "NO_COLOR": "1",
            # Which stack is meant is known: told, it would stand before what is JSON.
            "HELIOSTAT_PLACE_TOLD": "1",
            _MARK: str(self.root),
        }

    def _kill(self) -> list[str]:
        """End whatever is left, again and again: what is killed may have just started another. In words, what was."""
        told: dict[int, str] = {}
        while left := self.processes():
            for process in left:
                try:
                    told.setdefault(process.pid, f"{process.name()} ({process.pid})")
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
            _, alive = psutil.wait_procs(left, timeout=_KILL_SECONDS)
            if alive:
                raise CommandError(f"{alive} live on {_KILL_SECONDS:g} s after SIGKILL")
        return list(told.values())

    def _remove(self) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)


def _inherited() -> dict[str, str]:
    """What this process hands on: nothing of a shell's own stacks."""
    return {
        name: value for name, value in os.environ.items() if name in _KEPT or not name.startswith(("PULUMI_", "HELIOSTAT_"))
    }


def _command() -> tuple[str, ...]:
    """The command line of this process's own environment."""
    script = Path(sys.executable).with_name("heliostat")
    return (str(script),) if script.exists() else (sys.executable, "-m", "heliostat.cli.main")


_HELIOSTAT: Final = _command()
