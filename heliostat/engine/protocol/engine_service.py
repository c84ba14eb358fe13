"""The Engine service: what programs and plugins tell the engine besides their work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf import empty_pb2

from heliostat.engine.events import Diagnostic
from heliostat.pulumi_proto import engine_pb2, engine_pb2_grpc

SEVERITIES = {engine_pb2.DEBUG: "debug", engine_pb2.INFO: "info", engine_pb2.WARNING: "warning", engine_pb2.ERROR: "error"}


class EngineService(engine_pb2_grpc.EngineServicer):
    """Logs, and which resource is the stack's root."""

    def __init__(self, tell: Callable[[Diagnostic], None]) -> None:
        self._tell = tell
        self._root = ""

    async def Log(self, request: engine_pb2.LogRequest, context: Any) -> empty_pb2.Empty:
        """A message of a program or a plugin; an ephemeral one is progress."""
        self._tell(Diagnostic(SEVERITIES.get(request.severity, "info"), request.message, request.urn, request.ephemeral))
        return empty_pb2.Empty()

    async def GetRootResource(self, request: Any, context: Any) -> engine_pb2.GetRootResourceResponse:
        """The stack's resource."""
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    async def SetRootResource(self, request: Any, context: Any) -> engine_pb2.SetRootResourceResponse:
        """The program says which resource is the stack's."""
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()

    async def StartDebugging(self, request: Any, context: Any) -> empty_pb2.Empty:
        """Nothing of this engine attaches debuggers."""
        return empty_pb2.Empty()

    async def RequirePulumiVersion(self, request: Any, context: Any) -> Any:
        """A program that insists on a version of the CLI has to be run by it."""
        await context.abort(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"the program asks for the Pulumi CLI {request.pulumi_version_range}; this is the embedded engine",
        )
