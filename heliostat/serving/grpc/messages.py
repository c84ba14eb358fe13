"""Message classes, made of descriptors in a pool of their own: another library in the process may have the same ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from heliostat.serving.grpc import health, open_inference


def classes_of(descriptor: bytes, package: str) -> Callable[[str], Any]:
    """From a message's name in `package` to its class."""
    pool = DescriptorPool()
    pool.AddSerializedFile(descriptor)
    return lambda name: GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))


_inference = classes_of(open_inference.DESCRIPTOR, "inference")
_health = classes_of(health.DESCRIPTOR, "grpc.health.v1")

ServerLiveResponse = _inference("ServerLiveResponse")
ServerReadyResponse = _inference("ServerReadyResponse")
ServerMetadataResponse = _inference("ServerMetadataResponse")
ModelReadyRequest = _inference("ModelReadyRequest")
ModelReadyResponse = _inference("ModelReadyResponse")
ModelMetadataRequest = _inference("ModelMetadataRequest")
ModelMetadataResponse = _inference("ModelMetadataResponse")
ModelInferRequest = _inference("ModelInferRequest")
ModelInferResponse = _inference("ModelInferResponse")
HealthCheckRequest = _health("HealthCheckRequest")
HealthCheckResponse = _health("HealthCheckResponse")
SERVING: int = HealthCheckResponse.SERVING
