"""A Kubernetes cluster that somebody else made, as a resource: it is looked at before anything is made in it."""

from __future__ import annotations

import asyncio

from heliostat.provider.resource import Context, Created, Handler, PermanentError, RetryableError
from heliostat.spec.cluster_requirements import ClusterRequirements, Survey, another_cluster, problems
from heliostat.spec.platform_resources import ExistingClusterInputs, ExistingClusterOutputs
from heliostat.systems.kubernetes_survey import survey


class ExistingClusterHandler(Handler[ExistingClusterInputs, ExistingClusterOutputs]):
    """Makes nothing, and unmakes nothing."""

    token = "heliostat:index:ExistingCluster"  # noqa: S105 - a type, no secret
    inputs = ExistingClusterInputs
    outputs = ExistingClusterOutputs

    async def preview(self, context: Context, old: ExistingClusterOutputs | None, new: ExistingClusterInputs) -> None:
        """Say what is in the way; where nobody is let in, that nothing was looked at: a plan can be made without."""
        try:
            found = await asyncio.to_thread(survey, new)
        except (PermanentError, RetryableError) as error:
            context.warn(f"the cluster was not looked at: {error}")
            return
        _refuse(_wrong(found, new, old))

    async def create(self, context: Context, inputs: ExistingClusterInputs) -> Created[ExistingClusterOutputs]:
        """Look at it."""
        outputs = await _looked_at(inputs, None)
        return Created(outputs.uid or inputs.namespace, outputs)

    async def read(self, context: Context, identifier: str, outputs: ExistingClusterOutputs) -> ExistingClusterOutputs | None:
        """See that it is still the same one. A preview asks too, and may have no way to it."""
        try:
            found = await asyncio.to_thread(survey, outputs)
        except (PermanentError, RetryableError) as error:
            context.warn(f"the cluster was not looked at: {error}")
            return outputs
        if wrong := another_cluster(outputs.uid, found, outputs):
            raise PermanentError(wrong)
        return outputs

    async def update(
        self, context: Context, identifier: str, old: ExistingClusterOutputs, new: ExistingClusterInputs
    ) -> ExistingClusterOutputs:
        """Look at it again."""
        return await _looked_at(new, old)

    async def delete(self, context: Context, identifier: str, outputs: ExistingClusterOutputs) -> None:
        """It is not this stack's to remove."""


async def _looked_at(inputs: ExistingClusterInputs, old: ExistingClusterOutputs | None) -> ExistingClusterOutputs:
    found = await asyncio.to_thread(survey, inputs)
    _refuse(_wrong(found, inputs, old))
    return ExistingClusterOutputs(**inputs.model_dump(), uid=found.uid or "")


def _wrong(found: Survey, wanted: ClusterRequirements, old: ExistingClusterOutputs | None) -> list[str]:
    other = another_cluster(old.uid, found, wanted) if old is not None else None
    return [other] if other else problems(found, wanted)


def _refuse(wrong: list[str]) -> None:
    if wrong:
        raise PermanentError("; ".join(wrong))
