"""A provider of any package that makes nothing and keeps everything: what it was asked for, and what it said that it made.

Each call is a line of JSON in the file RECORDING; a secret in it stands as {"secret": VALUE} and what is not known yet as
{"unknown": true}. What there is lies beside it in `world-PACKAGE.json`, by URN: what was made and not deleted. Outputs
are the inputs with what `computed_PACKAGE.py` says that a cloud would add; in a preview these are not known.

    def computed(kind: str, name: str, inputs: dict) -> dict      what the cloud adds; `id` is the resource's
    def replaces(kind: str) -> tuple[str, ...]                    paths of inputs whose change needs a new resource (optional)
    def invoke(token: str, arguments: dict) -> dict               what a function answers (optional)

RECORDING_FAIL names a resource (its URN's end) whose create fails; RECORDING_GONE one that a read does not find.
"""

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format

from heliostat.pulumi_proto import provider_pb2 as pb

sys.path.insert(0, str(Path(__file__).parents[2]))

from played_provider import SECRET, SIGNATURE, UNKNOWN, PlayedProvider, bare, difference, kind_and_name, serve, struct

LOG = Path(os.environ["RECORDING"])


def shown(value: Any) -> Any:
    """Values as the log has them."""
    if isinstance(value, dict):
        return {"secret": shown(value["value"])} if value.get(SIGNATURE) == SECRET else {k: shown(v) for k, v in value.items()}
    if isinstance(value, list):
        return [shown(each) for each in value]
    return {"unknown": True} if value == UNKNOWN else bare(value)


def unknown(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(unknown, value.values()))
    return any(map(unknown, value)) if isinstance(value, list) else value == UNKNOWN


def cloud(token: str) -> Any:
    """What the package of a type adds; nothing where nobody said."""
    try:
        return importlib.import_module(f"computed_{token.split(':')[0]}")
    except ModuleNotFoundError:
        return None


def added(kind: str, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    package = cloud(kind)
    found = package.computed(kind, name, inputs) if package else {}
    return {"id": f"{name}-id", **found}


class Recording(PlayedProvider):
    async def DiffConfig(self, request: Any, context: Any) -> Any:
        return difference(request, ())

    async def Diff(self, request: Any, context: Any) -> Any:
        return difference(request, replaced_by(kind_and_name(request.urn)[0]))

    async def Create(self, request: Any, context: Any) -> Any:
        kind, name = kind_and_name(request.urn)
        inputs = json_format.MessageToDict(request.properties)
        note("preview" if request.preview else "create", request.urn, inputs)
        more = added(kind, name, bare(inputs))
        identifier = str(more.pop("id"))
        if request.preview:
            return pb.CreateResponse(properties=struct({**inputs, **dict.fromkeys(more, UNKNOWN)}))
        if unknown(inputs):
            await context.abort(grpc.StatusCode.INTERNAL, f"{name} was made with what nobody knows")
        if name == os.environ.get("RECORDING_FAIL"):
            await context.abort(grpc.StatusCode.UNKNOWN, f"{name} was told to fail")
        keep(request.urn, identifier)
        return pb.CreateResponse(id=identifier, properties=struct({**inputs, **more}))

    async def Update(self, request: Any, context: Any) -> Any:
        kind, name = kind_and_name(request.urn)
        inputs = json_format.MessageToDict(request.news)
        note("preview" if request.preview else "update", request.urn, inputs)
        more = added(kind, name, bare(inputs))
        more.pop("id")
        return pb.UpdateResponse(properties=struct({**inputs, **more}))

    async def Read(self, request: Any, context: Any) -> Any:
        if kind_and_name(request.urn)[1] == os.environ.get("RECORDING_GONE"):
            return pb.ReadResponse()
        state = json_format.MessageToDict(request.properties)
        return pb.ReadResponse(id=request.id, properties=struct(state), inputs=request.inputs)

    async def Delete(self, request: Any, context: Any) -> Any:
        note("delete", request.urn, {})
        keep(request.urn, None, request.id)
        return empty_pb2.Empty()

    async def Invoke(self, request: Any, context: Any) -> Any:
        arguments = json_format.MessageToDict(request.args)
        note("invoke", f"::::{request.tok}::", arguments)
        package = cloud(request.tok)
        if not hasattr(package, "invoke"):
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"nobody says what {request.tok} answers")
        return pb.InvokeResponse(**{"return": struct(package.invoke(request.tok, bare(arguments)))})


def replaced_by(kind: str) -> tuple[str, ...]:
    """The paths of inputs whose change needs a new resource."""
    package = cloud(kind) if kind else None
    return tuple(package.replaces(kind)) if hasattr(package, "replaces") else ()


def note(call: str, urn: str, inputs: dict[str, Any]) -> None:
    with LOG.open("a") as file:
        file.write(json.dumps({"call": call, "urn": urn, "inputs": shown(inputs)}) + "\n")


def keep(urn: str, identifier: str | None, gone: str = "") -> None:
    """One file a package, as each is a process."""
    file = LOG.with_name(f"world-{kind_and_name(urn)[0].split(':')[0]}.json")
    world = json.loads(file.read_text()) if file.exists() else {}
    if identifier is not None:
        world[urn] = identifier
    elif world.get(urn) == gone:
        del world[urn]
    file.write_text(json.dumps(world))


serve(Recording())
