"""Pulumi's provider of Kubernetes as far as this project's programs need it, by kubectl: the real one is in no registry here.

It applies on the server with strict validation and one field manager, waits for what pulumi-kubernetes waits for, keeps the
inputs as the state and gives back the status of what is there. A Helm release is taken for made: the test plays KubeRay's
operator. KUBECTL names the program, KUBECONFIG the cluster.
"""

import asyncio
import json
import os
import sys
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2

from heliostat.pulumi_proto import plugin_pb2, provider_pb2_grpc
from heliostat.pulumi_proto import provider_pb2 as pb

SIGNATURE, SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
MESSAGES = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
RELEASE = "kubernetes:helm.sh/v3:Release"
SKIP, WAIT = "pulumi.com/skipAwait", "pulumi.com/waitFor"
REPLACES = (
    "kind",
    "apiVersion",
    "metadata.name",
    "metadata.namespace",
    "spec.selector.matchLabels",
    "spec.volumeClaimTemplates",
)
AWAITED = "15m"


class Refused(Exception):
    pass


async def kubectl(*arguments: str, text: str = "") -> str:
    """Run it; what it printed."""
    ran = await asyncio.create_subprocess_exec(
        os.environ["KUBECTL"], *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=-1
    )
    out, told = await ran.communicate(text.encode())
    if ran.returncode:
        raise Refused(told.decode().strip())
    return out.decode()


def bare(value: Any) -> Any:
    if isinstance(value, dict):
        return bare(value["value"]) if value.get(SIGNATURE) == SECRET else {key: bare(each) for key, each in value.items()}
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return [bare(each) for each in value] if isinstance(value, list) else value


def at(values: Any, path: str) -> Any:
    for part in path.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def struct(values: dict[str, Any]) -> struct_pb2.Struct:
    message = struct_pb2.Struct()
    message.update(values)
    return message


def manifest(urn: str, inputs: dict[str, Any]) -> dict[str, Any]:
    group, version_kind = kind_of(urn).removeprefix("kubernetes:").split("/", 1)
    version, kind = version_kind.split(":")
    return {**bare(inputs), "apiVersion": version if group == "core" else f"{group}/{version}", "kind": kind}


def kind_of(urn: str) -> str:
    return urn.split("::")[2].rpartition("$")[2]


def place(found: dict[str, Any]) -> list[str]:
    """What kubectl calls an object by."""
    group, _, version = found["apiVersion"].rpartition("/")
    kind = f"{found['kind']}.{version}.{group}" if group else found["kind"]
    namespace = found["metadata"].get("namespace")
    return [f"{kind}/{found['metadata']['name']}", *(("-n", namespace) if namespace else ())]


async def live(wanted: dict[str, Any]) -> dict[str, Any] | None:
    found = await kubectl("get", *place(wanted), "--ignore-not-found", "-o", "json")
    return dict(json.loads(found)) if found.strip() else None


async def apply(urn: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Apply, wait, and give what is there as the state."""
    if kind_of(urn) == RELEASE:
        return {**inputs, "status": {"status": "deployed"}}
    wanted = manifest(urn, inputs)
    annotations = wanted["metadata"].get("annotations") or {}
    options = ["--server-side", "--field-manager=heliostat", "--validate=strict", "--force-conflicts", "-f", "-"]
    await kubectl("apply", *options, text=json.dumps(wanted))
    if annotations.get(SKIP) != "true":
        if wanted["kind"] in ("Deployment", "StatefulSet"):
            await kubectl("rollout", "status", *place(wanted), f"--timeout={AWAITED}")
        for condition in json.loads(annotations.get(WAIT, "[]")):
            await kubectl("wait", *place(wanted), f"--for={condition}", f"--timeout={AWAITED}")
    found = await live(wanted) or {}
    return {**inputs, **({"status": found["status"]} if "status" in found else {})}


class Applying(provider_pb2_grpc.ResourceProviderServicer):
    async def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="4.0.0")

    async def GetSchema(self, request: Any, context: Any) -> Any:
        return pb.GetSchemaResponse(schema=json.dumps({"name": "kubernetes", "version": "4.0.0"}))

    async def CheckConfig(self, request: Any, context: Any) -> Any:
        return pb.CheckResponse(inputs=request.news)

    async def DiffConfig(self, request: Any, context: Any) -> Any:
        return difference(request)

    async def Configure(self, request: Any, context: Any) -> Any:
        return pb.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptResources=False)

    async def Check(self, request: Any, context: Any) -> Any:
        return pb.CheckResponse(inputs=request.news)

    async def Diff(self, request: Any, context: Any) -> Any:
        return difference(request)

    async def Create(self, request: Any, context: Any) -> Any:
        inputs = json_format.MessageToDict(request.properties)
        if request.preview:
            return pb.CreateResponse(properties=struct({**inputs, "status": UNKNOWN}))
        metadata = bare(inputs).get("metadata") or {}
        identifier = "/".join(filter(None, (metadata.get("namespace"), metadata.get("name")))) or bare(inputs).get("name")
        return pb.CreateResponse(id=str(identifier), properties=struct(await self._applied(request.urn, inputs, context)))

    async def Update(self, request: Any, context: Any) -> Any:
        inputs = json_format.MessageToDict(request.news)
        if request.preview:
            return pb.UpdateResponse(properties=struct({**inputs, "status": UNKNOWN}))
        return pb.UpdateResponse(properties=struct(await self._applied(request.urn, inputs, context)))

    async def _applied(self, urn: str, inputs: dict[str, Any], context: Any) -> dict[str, Any]:
        try:
            return await apply(urn, inputs)
        except Refused as error:
            await context.abort(grpc.StatusCode.UNKNOWN, f"{kind_of(urn)}: {error}")
            raise

    async def Read(self, request: Any, context: Any) -> Any:
        state, inputs = json_format.MessageToDict(request.properties), json_format.MessageToDict(request.inputs)
        if kind_of(request.urn) == RELEASE:
            return pb.ReadResponse(id=request.id, properties=struct(state), inputs=struct(inputs))
        found = await live(manifest(request.urn, inputs))
        if found is None:
            return pb.ReadResponse()
        for mine, theirs in zip(groups(inputs), groups(found), strict=False):
            mine["replicas"] = theirs.get("replicas")
        for mine, theirs in zip(groups(state), groups(found), strict=False):
            mine["replicas"] = theirs.get("replicas")
        return pb.ReadResponse(id=request.id, properties=struct(state), inputs=struct(inputs))

    async def Delete(self, request: Any, context: Any) -> Any:
        if kind_of(request.urn) != RELEASE:
            wanted = manifest(request.urn, json_format.MessageToDict(request.properties))
            await kubectl("delete", *place(wanted), "--ignore-not-found", f"--timeout={AWAITED}")
        return empty_pb2.Empty()

    async def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()


def groups(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Of a RayCluster: how many workers each has at the moment is what others write."""
    found = at(values, "spec.workerGroupSpecs")
    return found if isinstance(found, list) else []


def difference(request: Any) -> Any:
    olds, news = bare(json_format.MessageToDict(request.old_inputs)), bare(json_format.MessageToDict(request.news))
    changed = sorted(key for key in olds.keys() | news.keys() if olds.get(key) != news.get(key) and key != "version")
    replaced = [path for path in REPLACES if at(olds, path) != at(news, path)]
    changes = pb.DiffResponse.DIFF_SOME if changed else pb.DiffResponse.DIFF_NONE
    return pb.DiffResponse(changes=changes, diffs=changed, replaces=replaced, deleteBeforeReplace=bool(replaced))


async def main() -> None:
    server = grpc.aio.server(options=MESSAGES)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Applying(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


asyncio.run(main())
