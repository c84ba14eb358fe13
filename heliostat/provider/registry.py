"""Which file holds which resource. A handler is loaded at its first use, so that the plugin starts at once."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from heliostat.provider.resource import Handler

HANDLERS = {
    "heliostat:index:ObjectStore": "heliostat.provider.object_store:ObjectStoreHandler",
    "heliostat:index:TrackingServer": "heliostat.provider.tracking_server:TrackingServerHandler",
    "heliostat:index:RayCluster": "heliostat.provider.ray_cluster:RayClusterHandler",
    "heliostat:index:Controller": "heliostat.provider.controller:ControllerHandler",
    "heliostat:index:Handover": "heliostat.provider.handover:HandoverHandler",
    "heliostat:index:Dataset": "heliostat.provider.dataset:DatasetHandler",
    "heliostat:index:TrainJob": "heliostat.provider.train_job:TrainJobHandler",
    "heliostat:index:FederatedTraining": "heliostat.provider.federated_training:FederatedTrainingHandler",
    "heliostat:index:ModelVersion": "heliostat.provider.model_version:ModelVersionHandler",
    "heliostat:index:ExternalModel": "heliostat.provider.external_model:ExternalModelHandler",
    "heliostat:index:ModelPackage": "heliostat.provider.model_package:ModelPackageHandler",
    "heliostat:index:ModelDelivery": "heliostat.provider.model_delivery:ModelDeliveryHandler",
    "heliostat:index:BatchPrediction": "heliostat.provider.batch_prediction:BatchPredictionHandler",
    "heliostat:index:Monitor": "heliostat.provider.monitor:MonitorHandler",
    "heliostat:index:Application": "heliostat.provider.application:ApplicationHandler",
    "heliostat:index:ExistingCluster": "heliostat.provider.existing_cluster:ExistingClusterHandler",
    "heliostat:index:Access": "heliostat.provider.access:AccessHandler",
    "heliostat:index:Token": "heliostat.provider.token:TokenHandler",
}

_AT_FIRST_CALL = ("anyio", "h11", "httpcore")
"""What httpx imports with the first request, and not before."""


@cache
def handler_of(token: str) -> Handler[Any, Any]:
    """The handler of a resource type.

    Raises:
        KeyError: there is no such type.
    """
    module, _, name = HANDLERS[token].partition(":")
    handler: Handler[Any, Any] = getattr(importlib.import_module(module), name)()
    return handler


def load(tokens: str) -> None:
    """Load the handlers of resource types, comma-separated, with all that their first call would wait for."""
    expected = HANDLERS.keys() & set(tokens.split(","))
    for token in expected:
        handler = handler_of(token)
        handler.inputs.model_rebuild()
        handler.outputs.model_rebuild()
    for library in _AT_FIRST_CALL if expected else ():
        importlib.import_module(library)
