"""`heliostat:index:RayCluster`: a head and worker nodes as processes of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heliostat.provider import planned_capacity
from heliostat.provider.checks import dumped
from heliostat.provider.local import absolute, brought_up, forget, remember, remembered
from heliostat.provider.resource import Context, Created, Handler
from heliostat.spec.platform_resources import RayClusterInputs, RayClusterOutputs
from heliostat.systems.ray_nodes import LocalCluster


class RayClusterHandler(Handler[RayClusterInputs, RayClusterOutputs]):
    """Its identifier is its data folder. Worker nodes come and go in place; whatever changes the head is a new cluster."""

    token = "heliostat:index:RayCluster"  # noqa: S105 - a type token
    inputs = RayClusterInputs
    outputs = RayClusterOutputs
    gone = "its head does not run any more, and what ran on it is gone with it; the next `up` starts the cluster anew"
    replace_on = frozenset(
        {"directory", "head", "object_store_mib", "dashboard_port", "s3_endpoint", "s3_region", "google_storage_endpoint"}
    )
    delete_before_replace = True

    async def preview(self, context: Context, old: RayClusterOutputs | None, new: RayClusterInputs) -> None:
        """Have what runs on it know that it grows."""
        if old is not None:
            planned_capacity.note(old.address.url, old.workers, new.workers)

    def preview_outputs(self, old: RayClusterOutputs | None, new: RayClusterInputs) -> Mapping[str, Any]:
        """An update leaves the head where it is."""
        if old is None:
            return {}
        return {"address": dumped(old.address), "gcs_address": old.gcs_address, "session": old.session}

    async def create(self, context: Context, inputs: RayClusterInputs) -> Created[RayClusterOutputs]:
        """Start what is missing; the same ports as before where the folder remembers them."""
        directory = absolute(inputs.directory)
        cluster = LocalCluster(directory)
        work = cluster.start(inputs, context.progress)
        await brought_up(work, cluster.halt, inputs.directory, lambda: _outputs(inputs))
        await asyncio.to_thread(remember, directory, inputs)
        return Created(inputs.directory, _outputs(inputs))

    async def read(self, context: Context, identifier: str, outputs: RayClusterOutputs) -> RayClusterOutputs | None:
        """None without a head; as many workers as live."""
        cluster = LocalCluster(Path(outputs.directory))
        if not cluster.head_runs:
            return None
        workers = outputs.workers.model_copy(update={"count": len(cluster.workers())})
        return outputs.model_copy(update={"workers": workers, "session": cluster.session})

    async def imported(self, context: Context, identifier: str) -> RayClusterOutputs | None:
        """The cluster that runs in the folder `identifier`."""
        inputs = await asyncio.to_thread(remembered, absolute(identifier), RayClusterInputs)
        return None if inputs is None else await self.read(context, identifier, _outputs(inputs))

    async def update(
        self, context: Context, identifier: str, old: RayClusterOutputs, new: RayClusterInputs
    ) -> RayClusterOutputs:
        """Add and remove worker nodes; also bring back a head that died since it was looked at."""
        await LocalCluster(Path(new.directory)).start(new, context.progress)
        await asyncio.to_thread(remember, Path(new.directory), new)
        return _outputs(new)

    async def delete(self, context: Context, identifier: str, outputs: RayClusterOutputs) -> None:
        """End all of it and remove its files; the folder too where nothing else is in it."""
        directory = Path(outputs.directory)
        context.progress("stopping the Ray cluster")
        await LocalCluster(directory).stop()
        await asyncio.to_thread(forget, directory)


def _outputs(inputs: RayClusterInputs) -> RayClusterOutputs:
    cluster = LocalCluster(Path(inputs.directory))
    return RayClusterOutputs(
        **{name: getattr(inputs, name) for name in RayClusterInputs.model_fields},
        address=cluster.address,
        gcs_address=cluster.gcs_address,
        session=cluster.session,
    )
