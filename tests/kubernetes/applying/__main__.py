"""Pulumi's provider of Kubernetes as far as this project's programs need it, by kubectl: the real one is in no registry here.

It applies on the server with strict validation and one field manager, waits for what pulumi-kubernetes waits for, keeps the
inputs as the state and gives back the status of what is there. A Helm release is taken for made: the test plays KubeRay's
operator. KUBECTL names the program, KUBECONFIG the cluster.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format

from heliostat.pulumi_proto import provider_pb2 as pb

sys.path.insert(0, str(Path(__file__).parents[2]))

from played_provider import UNKNOWN, PlayedProvider, at, bare, difference, kind_and_name, serve, struct

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


def manifest(urn: str, inputs: dict[str, Any]) -> dict[str, Any]:
    group, version_kind = kind_and_name(urn)[0].removeprefix("kubernetes:").split("/", 1)
    version, kind = version_kind.split(":")
    return {**bare(inputs), "apiVersion": version if group == "core" else f"{group}/{version}", "kind": kind}


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
    if kind_and_name(urn)[0] == RELEASE:
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


class Applying(PlayedProvider):
    name, version = "kubernetes", "4.0.0"

    async def DiffConfig(self, request: Any, context: Any) -> Any:
        return difference(request, REPLACES)

    async def Diff(self, request: Any, context: Any) -> Any:
        return difference(request, REPLACES)

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
            await context.abort(grpc.StatusCode.UNKNOWN, f"{kind_and_name(urn)[0]}: {error}")
            raise

    async def Read(self, request: Any, context: Any) -> Any:
        state, inputs = json_format.MessageToDict(request.properties), json_format.MessageToDict(request.inputs)
        if kind_and_name(request.urn)[0] == RELEASE:
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
        if kind_and_name(request.urn)[0] != RELEASE:
            wanted = manifest(request.urn, json_format.MessageToDict(request.properties))
            await kubectl("delete", *place(wanted), "--ignore-not-found", f"--timeout={AWAITED}")
        return empty_pb2.Empty()


def groups(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Of a RayCluster: how many workers each has at the moment is what others write."""
    found = at(values, "spec.workerGroupSpecs")
    return found if isinstance(found, list) else []


serve(Applying())
