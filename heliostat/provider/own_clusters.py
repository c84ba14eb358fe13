"""The cluster of a training's own: what it is made as, whether it could be made, and what is left of it."""

from __future__ import annotations

from heliostat.provider.resource import Context, PermanentError, RetryableError
from heliostat.spec.scaling import nodes_needed
from heliostat.spec.training_resources import TrainJobInputs
from heliostat.systems.kuberay_jobs import KubeRayJobs, OwnClusters


def own_clusters(inputs: TrainJobInputs) -> OwnClusters | None:
    """What the cluster of a training is made as; None where it runs on the platform's."""
    if inputs.own_cluster is None or inputs.own_cluster.pattern is None or inputs.group is None:
        return None
    return OwnClusters(
        pattern=inputs.own_cluster.pattern,
        group=inputs.group.name,
        replicas=nodes_needed(inputs.scaling, inputs.group),
        timeout_seconds=inputs.timeout_seconds,
        store=inputs.store,
    )


async def rehearse(inputs: TrainJobInputs, submission_id: str) -> None:
    """See that a training's cluster could be made, where that can be known already; nothing on the platform's.

    Raises:
        PermanentError: it could not.
    """
    own = own_clusters(inputs)
    if own is None:
        return
    try:
        async with KubeRayJobs(own, inputs.ray) as jobs:
            await jobs.rehearse(submission_id)
    except RetryableError:
        return  # the platform comes with this update


async def forget(context: Context, inputs: TrainJobInputs, work: str) -> None:
    """Delete the RayJobs of a training that have ended, which would hold up who deletes their namespace."""
    own = own_clusters(inputs)
    if own is None:
        return
    try:
        async with KubeRayJobs(own, inputs.ray) as jobs:
            await jobs.forget(work)
    except (PermanentError, RetryableError) as error:
        context.warn(f"RayJobs of {inputs.name} may be left in the namespace {own.pattern.namespace}: {error}")
