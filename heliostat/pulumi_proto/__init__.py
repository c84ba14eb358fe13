"""The messages and services of Pulumi's protocol, as its SDK ships them, without the SDK around them.

Importing `pulumi.runtime.proto` runs the whole SDK (automation, tracing, pickling), which costs a process that only speaks
the protocol 0.2 s of every start. This package has the SDK's own folder of generated modules as its path instead. Both
names may be used in one process: protobuf knows a message by its name in the protocol, and has one class for it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pulumi.runtime.proto import alias_pb2 as alias_pb2
    from pulumi.runtime.proto import analyzer_pb2 as analyzer_pb2
    from pulumi.runtime.proto import analyzer_pb2_grpc as analyzer_pb2_grpc
    from pulumi.runtime.proto import callback_pb2 as callback_pb2
    from pulumi.runtime.proto import callback_pb2_grpc as callback_pb2_grpc
    from pulumi.runtime.proto import engine_pb2 as engine_pb2
    from pulumi.runtime.proto import engine_pb2_grpc as engine_pb2_grpc
    from pulumi.runtime.proto import errors_pb2 as errors_pb2
    from pulumi.runtime.proto import plugin_pb2 as plugin_pb2
    from pulumi.runtime.proto import provider_pb2 as provider_pb2
    from pulumi.runtime.proto import provider_pb2_grpc as provider_pb2_grpc
    from pulumi.runtime.proto import resource_pb2 as resource_pb2
    from pulumi.runtime.proto import resource_pb2_grpc as resource_pb2_grpc
    from pulumi.runtime.proto import status_pb2 as status_pb2


def _folder() -> str:
    """Where the SDK keeps the generated modules; finding a top-level package does not import it."""
    found = importlib.util.find_spec("pulumi")
    if found is None or not found.submodule_search_locations:
        raise ImportError("the package pulumi is not installed in this environment; install it beside heliostat")
    return str(Path(found.submodule_search_locations[0]) / "runtime" / "proto")


__path__ = [_folder()]
