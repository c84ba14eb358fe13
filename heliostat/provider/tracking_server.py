"""`heliostat:index:TrackingServer`: an MLflow server as a process of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heliostat.provider.local import absolute, brought_up, forget, remember, remembered
from heliostat.provider.resource import Context, Created, Failure, Handler
from heliostat.spec.platform_resources import TrackingServerInputs, TrackingServerOutputs
from heliostat.spec.platforms.base import OnDestroy
from heliostat.systems.mlflow_server import MlflowServer
from heliostat.systems.storage.elsewhere import missing_clients


class TrackingServerHandler(Handler[TrackingServerInputs, TrackingServerOutputs]):
    """Its identifier is its data folder."""

    token = "heliostat:index:TrackingServer"  # noqa: S105 - a type token
    inputs = TrackingServerInputs
    outputs = TrackingServerOutputs
    gone = "MLflow does not run any more; the next `up` starts it again with all that it knew"
    replace_on = frozenset({"directory"})
    delete_before_replace = True

    async def mistakes(self, given: Mapping[str, Any]) -> list[Failure]:
        """A bucket that MLflow, and Ray beside it on this machine, have no client of."""
        artifacts = given.get("artifacts")
        uri = artifacts.get("uri") if isinstance(artifacts, Mapping) else None
        problem = missing_clients() if isinstance(uri, str) and uri.startswith("gs://") else None
        return [Failure("artifacts.uri", problem)] if problem else []

    def preview_outputs(self, old: TrackingServerOutputs | None, new: TrackingServerInputs) -> Mapping[str, Any]:
        """The address, where its port is declared or stays."""
        if new.port is not None:
            return {"tracking_uri": f"http://127.0.0.1:{new.port}"}
        return {"tracking_uri": old.tracking_uri} if old and old.port is None else {}

    async def create(self, context: Context, inputs: TrackingServerInputs) -> Created[TrackingServerOutputs]:
        """Start it on the database that is there, or a new one."""
        directory = absolute(inputs.directory)
        server = MlflowServer(directory)
        work = server.start(inputs, context.progress)
        await brought_up(work, server.halt, inputs.directory, lambda: _outputs(inputs))
        await asyncio.to_thread(remember, directory, inputs)
        return Created(inputs.directory, _outputs(inputs))

    async def read(self, context: Context, identifier: str, outputs: TrackingServerOutputs) -> TrackingServerOutputs | None:
        """None where its process is gone."""
        return outputs if MlflowServer(Path(outputs.directory)).runs else None

    async def imported(self, context: Context, identifier: str) -> TrackingServerOutputs | None:
        """The server that runs in the folder `identifier`."""
        inputs = await asyncio.to_thread(remembered, absolute(identifier), TrackingServerInputs)
        return _outputs(inputs) if inputs and MlflowServer(Path(identifier)).runs else None

    async def update(
        self, context: Context, identifier: str, old: TrackingServerOutputs, new: TrackingServerInputs
    ) -> TrackingServerOutputs:
        """Restart it as declared, where that makes a difference to the process."""
        await MlflowServer(absolute(new.directory)).start(new, context.progress)
        await asyncio.to_thread(remember, Path(new.directory), new)
        return _outputs(new)

    async def delete(self, context: Context, identifier: str, outputs: TrackingServerOutputs) -> None:
        """End it; its runs and models go only where that was asked for."""
        directory = Path(outputs.directory)
        server = MlflowServer(directory)
        context.progress("stopping MLflow")
        await server.stop()
        if outputs.on_destroy is OnDestroy.DELETE:
            context.progress("deleting runs and models")
            await asyncio.to_thread(server.erase, outputs.artifacts)
        await asyncio.to_thread(forget, directory)


def _outputs(inputs: TrackingServerInputs) -> TrackingServerOutputs:
    declared = {name: getattr(inputs, name) for name in TrackingServerInputs.model_fields}
    return TrackingServerOutputs(**declared, tracking_uri=MlflowServer(Path(inputs.directory)).url)
