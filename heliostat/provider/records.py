"""What MLflow keeps of a resource outlives the server that answers for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from heliostat.provider.resource import Context
from heliostat.spec.base import Model
from heliostat.spec.model_resources import ModelVersionInputs
from heliostat.spec.platform_resources import ControllerInputs
from heliostat.spec.training_resources import FederatedTrainingInputs, TrainJobInputs
from heliostat.systems.errors import RetryableError
from heliostat.systems.mlflow_lineage import TRAINING_TAG
from heliostat.systems.mlflow_registry import Registry, Run

COMPLETE_TAG: Final = "heliostat.complete"
MODEL_TAG: Final = "heliostat.model_uri"

O = TypeVar("O", bound=Model)  # noqa: E741 - outputs


def open_registry(
    inputs: TrainJobInputs | FederatedTrainingInputs | ModelVersionInputs | ControllerInputs, seconds: float = 60.0
) -> Registry:
    """Open the registry that a resource names, as it is reached from here."""
    return Registry(inputs.tracking_uri, seconds=seconds, access=inputs.tracking_access)


def complete_runs(inputs: TrainJobInputs | FederatedTrainingInputs, identity: str, forgiving: bool) -> list[Run]:
    """The runs of trainings with this identity that went to their end, newest first.

    `forgiving`: none where MLflow is not up yet.

    Raises:
        RetryableError: MLflow does not answer, and that is not forgiven.
    """
    try:
        with open_registry(inputs) as registry:
            return registry.runs_of(inputs.name, {TRAINING_TAG: identity, COMPLETE_TAG: "true"})
    except RetryableError:
        if forgiving:
            return []
        raise


async def unless_deleted(context: Context, name: str, outputs: O, recorded: Callable[[], O | None]) -> O | None:
    """The outputs as they are `recorded`: None where what they name was deleted.

    A server that does not answer may be what this `up` is about to bring back, with all that it knew: what it keeps is taken
    as it was.
    """
    try:
        return await asyncio.to_thread(recorded)
    except RetryableError as error:
        context.info(f"{name}: taken as it was: {error}")
        return outputs
