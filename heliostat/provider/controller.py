"""`heliostat:index:Controller`: the resident process of a cluster, with HAProxy, on this machine."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import shutil
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from heliostat.provider import planned_releases, underlying
from heliostat.provider.checks import dumped
from heliostat.provider.local import absolute, brought_up
from heliostat.provider.resource import Context, Created, Handler
from heliostat.spec.addresses import RayAddress, variables_of
from heliostat.spec.controller import KEEPER_SERVICE, SERVICE, SETTINGS_FILE, TOKEN_FILE, TRAFFIC_SERVICE, ControllerSettings
from heliostat.spec.platform_resources import ControllerInputs, ControllerOutputs
from heliostat.systems import keeper, ports, processes
from heliostat.systems.controller_api import ControllerClient
from heliostat.systems.errors import PermanentError, RetryableError, explained
from heliostat.systems.http import read_token
from heliostat.systems.mlflow_client import TRACKING_VARIABLES

_ADDRESS = ("host", "api_port", "credential", "public_port")
"""What decides where it answers, and to whom."""
_START_SECONDS = 90.0
_STOP_SECONDS = 10.0
_LOOK_SECONDS = 0.2
_FLUSH_SECONDS = 15.0
"""For the ledger's last entries."""


class ControllerHandler(Handler[ControllerInputs, ControllerOutputs]):
    """Its identifier is its data folder. A change restarts the controller alone: HAProxy goes on with its traffic."""

    token = "heliostat:index:Controller"  # noqa: S105 - a type token
    inputs = ControllerInputs
    outputs = ControllerOutputs
    gone = "the controller does not run any more; the next `up` starts it again, and it goes on with all that it knew"
    replace_on = frozenset({"directory"})
    delete_before_replace = True

    def preview_outputs(self, old: ControllerOutputs | None, new: ControllerInputs) -> Mapping[str, Any]:
        """An update keeps its addresses."""
        if old is None or any(getattr(old, name) != getattr(new, name) for name in _ADDRESS):
            return {}
        return {"address": dumped(old.address), "public_url": old.public_url}

    async def preview(self, context: Context, old: ControllerOutputs | None, new: ControllerInputs) -> None:
        """Say what of that which it works on does not answer.

        Raises:
            PermanentError: some of it cannot be used as it is.
        """
        if old is not None:
            planned_releases.note(old.address.url, old.code, new.code)
        for problem in await underlying.unanswered(new):
            context.warn(problem)

    async def create(self, context: Context, inputs: ControllerInputs) -> Created[ControllerOutputs]:
        """Start it, or adopt it where it runs as declared; return when it and HAProxy answer.

        Raises:
            PermanentError: it cannot be started, or what it works on cannot be used as it is.
            RetryableError: it does not answer in time.
        """
        directory = absolute(inputs.directory)
        await self.preview(context, None, inputs)
        settings = await asyncio.to_thread(_prepare, directory, inputs)
        work = _start(context, directory, settings)
        await brought_up(work, lambda: _halt(directory), inputs.directory, lambda: _outputs(settings))
        return Created(inputs.directory, _outputs(settings))

    async def read(self, context: Context, identifier: str, outputs: ControllerOutputs) -> ControllerOutputs | None:
        """None where the controller is gone; it brings back HAProxy itself."""
        return outputs if processes.find(Path(outputs.directory), SERVICE) else None

    async def imported(self, context: Context, identifier: str) -> ControllerOutputs | None:
        """The controller that runs in the folder `identifier`."""
        directory = absolute(identifier)
        try:
            settings = ControllerSettings.model_validate_json((directory / SETTINGS_FILE).read_bytes())
        except (OSError, ValidationError):
            return None
        return await self.read(context, identifier, _outputs(settings))

    async def update(
        self, context: Context, identifier: str, old: ControllerOutputs, new: ControllerInputs
    ) -> ControllerOutputs:
        """Restart the controller with its new settings."""
        directory = absolute(new.directory)
        await self.preview(context, old, new)
        settings = await asyncio.to_thread(_prepare, directory, new)
        await _start(context, directory, settings)
        return _outputs(settings)

    async def delete(self, context: Context, identifier: str, outputs: ControllerOutputs) -> None:
        """End the controller, then HAProxy, which outlives a dead controller on purpose; remove the folder.

        Raises:
            RetryableError: the folder holds entries that the ledger was not told yet; nothing was removed.
        """
        directory = Path(outputs.directory)
        context.progress("stopping the controller and HAProxy")
        await _end(directory)
        await _halt(directory)
        await asyncio.to_thread(_clear, directory)


def _prepare(directory: Path, inputs: ControllerInputs) -> ControllerSettings:
    """Claim ports, and write the settings and the token where they are not there yet.

    Raises:
        PermanentError: a port is taken, the folder cannot be written, or the token that is declared is not there.
    """
    settings = ControllerSettings(
        inputs=inputs,
        before=_before(directory, inputs),
        api_port=ports.claim(directory, "api", inputs.api_port),
        public_port=ports.claim(directory, "public", inputs.public_port),
        serve_port=ports.claim(directory, "serve"),
        runtime_directory=str(processes.runtime_directory(directory)),
    )
    try:
        token = directory / TOKEN_FILE
        if inputs.credential is None and (not token.exists() or not token.read_text().strip()):
            processes.write_private(token, secrets.token_hex(32))
        processes.write_private(directory / SETTINGS_FILE, _text(settings))
    except OSError as error:
        raise explained(error, f"write the controller's settings in {directory}") from error
    read_token(settings.address)
    return settings


def _before(directory: Path, inputs: ControllerInputs) -> RayAddress | None:
    """The cluster that the controller of this folder worked on before, where it is another one."""
    try:
        known = ControllerSettings.model_validate_json((directory / SETTINGS_FILE).read_bytes())
    except (OSError, ValidationError):
        return None
    return known.before if known.inputs.ray.url == inputs.ray.url else known.inputs.ray


async def _start(context: Context, directory: Path, settings: ControllerSettings) -> None:
    service = _service(directory, settings)
    if not processes.is_as(service):
        await processes.stop(directory, SERVICE, _STOP_SECONDS)
        context.progress("starting the controller")
        await asyncio.to_thread(processes.start, service)
    await _until_healthy(context, directory, settings)
    watch = _keeper(directory, settings)
    if not processes.is_as(watch):
        await processes.stop(directory, KEEPER_SERVICE, grace_seconds=0)
        await asyncio.to_thread(processes.start, watch)


async def _halt(directory: Path) -> None:
    await processes.stop(directory, SERVICE, _STOP_SECONDS)
    await processes.stop(directory, KEEPER_SERVICE, grace_seconds=0)
    await processes.stop(directory, TRAFFIC_SERVICE, grace_seconds=2)


async def _end(directory: Path) -> None:
    """End the controller, with nothing left that the ledger was not told; otherwise it runs on as before.

    Raises:
        RetryableError: the object store does not take the entries.
        PermanentError: the controller's database cannot be read.
    """
    ran = processes.find(directory, SERVICE) is not None
    await processes.stop(directory, SERVICE, _STOP_SECONDS)
    try:
        await _flush(directory)
    except (RetryableError, PermanentError):
        if ran:
            settings = ControllerSettings.model_validate_json((directory / SETTINGS_FILE).read_bytes())
            await asyncio.to_thread(processes.start, _service(directory, settings))
        raise


async def _flush(directory: Path) -> None:
    """Have the ledger told what only the folder knows, by a process that does nothing else."""
    if not (directory / SETTINGS_FILE).exists():
        return
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
    module = (sys.executable, "-P", "-m", "heliostat.controller")
    argv = (*module, "--directory", str(directory), "--flush", f"{_FLUSH_SECONDS:g}")
    process = await asyncio.create_subprocess_exec(*argv, stdout=PIPE, stderr=PIPE, env=environment, cwd=directory)
    try:
        async with asyncio.timeout(_FLUSH_SECONDS + _START_SECONDS):
            told, complaint = await process.communicate()
    except TimeoutError:
        text = f"whether the ledger was told everything is not known: that took over {_FLUSH_SECONDS + _START_SECONDS:g} s"
        raise RetryableError(f"{text}; nothing of {directory} was removed, run it again") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        backlog = json.loads(told)
        waiting, error, file = int(backlog["waiting"]), backlog["error"], backlog["file"]
    except (ValueError, KeyError, TypeError):
        text = complaint.decode(errors="replace").strip()
        raise PermanentError(f"what the ledger is yet to be told cannot be read in {directory}: {text}") from None
    if waiting:
        raise RetryableError(
            f"{waiting} {'entry is' if waiting == 1 else 'entries are'} not in the ledger yet: {error}. Nothing was removed. "
            f"Put the object store right and run it again; to give up {'it' if waiting == 1 else 'them'}, remove {file} first"
        )


def _service(directory: Path, settings: ControllerSettings) -> processes.Service:
    # The digest makes other settings another service, whenever an earlier attempt to restart it was killed.
    environment = {"HELIOSTAT_SETTINGS": hashlib.sha256(_text(settings).encode()).hexdigest()}
    argv = (sys.executable, "-m", "heliostat.controller", "--directory", str(directory))
    return processes.Service(directory, SERVICE, argv, environment, kept=True, secrets=_secrets(settings))


def _secrets(settings: ControllerSettings) -> tuple[str, ...]:
    """The variables that hold what the controller is let in with, and who calls it."""
    inputs = settings.inputs
    mlflow = inputs.tracking_access.credential if inputs.tracking_access else None
    before = settings.before.credential if settings.before else None
    named = (each for found in (inputs.ray.credential, before, inputs.credential, mlflow) for each in variables_of(found))
    return tuple(sorted({*named, *TRACKING_VARIABLES} & os.environ.keys()))


def _keeper(directory: Path, settings: ControllerSettings) -> processes.Service:
    # Without `site` and the environment's packages: it takes a few MiB.
    argv = (sys.executable, "-I", "-S", keeper.__file__, str(directory), *settings.inputs.keeps)
    # Another version of its program is another service.
    version = hashlib.sha256(Path(keeper.__file__).read_bytes()).hexdigest()
    environment = {"HELIOSTAT_KEEPER": version}
    # What it starts again inherits them from it.
    return processes.Service(directory, KEEPER_SERVICE, argv, environment, kept=True, secrets=_secrets(settings))


async def _until_healthy(context: Context, directory: Path, settings: ControllerSettings) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + _START_SECONDS
    async with ControllerClient(settings.address) as client:
        while True:
            missing = await _missing(client)
            if missing is None:
                return
            if processes.find(directory, SERVICE) is None:
                tail = processes.log_tail(directory, SERVICE)
                raise PermanentError(f"the controller ended while it started; its log ends with:\n{tail}")
            if loop.time() > end:
                log = processes.log_path(directory, SERVICE)
                raise RetryableError(f"the controller runs, but after {_START_SECONDS:g} s {missing}; see {log}")
            context.progress("waiting for the controller and HAProxy")
            await asyncio.sleep(_LOOK_SECONDS)


async def _missing(client: ControllerClient) -> str | None:
    """What is not as it should be; None where all is."""
    try:
        health = await client.health()
    except (RetryableError, PermanentError, ValueError) as error:
        return f"its API does not answer ({error})"
    return None if health.haproxy else "HAProxy does not run"


def _outputs(settings: ControllerSettings) -> ControllerOutputs:
    inputs = settings.inputs
    return ControllerOutputs(
        **{name: getattr(inputs, name) for name in ControllerInputs.model_fields},
        address=settings.address,
        public_url=settings.public_url,
    )


def _text(settings: ControllerSettings) -> str:
    return settings.model_dump_json(by_alias=True, exclude_none=True, indent=1)


def _clear(directory: Path) -> None:
    ports.release(directory)
    shutil.rmtree(processes.runtime_directory(directory), ignore_errors=True)
    if (directory / SETTINGS_FILE).exists():
        shutil.rmtree(directory, ignore_errors=True)
