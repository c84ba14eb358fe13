"""The provider that the engine's own tests use: `lab`, whose resources do what their inputs say.

It keeps no world; each call is a line of JSON in the file LAB_LOG. Inputs that steer it:

  wait_for    a number: a create waits until this many creates are under way at once (at most 20 s)
  fail        the name of a call that fails ("create", "update", "delete", "read")
  closed      true: a read is let in to nothing, for want of credentials
  fail_until_open  true: every call fails until the file LAB_GATE exists
  leave       the name of a call that leaves what it began to itself, until the file LAB_GATE exists
  half        true: a create leaves something behind that is not well, unless an update comes
  complain    what a create says as it fails
  die         the name of a call at which the process kills itself
  hold        the name of a call that waits until the file LAB_GATE exists
  after       a name: every call waits until one for the resource of that name has come
  replace_*   a change of any such input needs a replacement; with `first` true, by deletion first
  secret_out  true: the output `token` is a secret inside a list

LAB_GONE names ids, joined by commas, that a read does not find. With LAB_PREVIEWS creates of a preview are calls too, and with
LAB_RESOURCES=no the provider takes no references to resources. LAB_START is "hang", "die" or "chatter" for a process that
does not come up.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import grpc
from google.protobuf import any_pb2, empty_pb2, json_format, struct_pb2

from heliostat.pulumi_proto import plugin_pb2, provider_pb2_grpc, status_pb2
from heliostat.pulumi_proto import provider_pb2 as pb

SIGNATURE, SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"


def bare(value):
    if isinstance(value, dict):
        return bare(value["value"]) if value.get(SIGNATURE) == SECRET else {k: bare(v) for k, v in value.items()}
    return [bare(v) for v in value] if isinstance(value, list) else value


def struct(values):
    message = struct_pb2.Struct()
    message.update(values)
    return message


def log(**call):
    with Path(os.environ["LAB_LOG"]).open("a") as file:
        file.write(json.dumps(call) + "\n")


def is_open():
    return Path(os.environ["LAB_GATE"]).exists()


def say(what, stream):
    stream.write(f"{what}\n")
    stream.flush()


class Lab(provider_pb2_grpc.ResourceProviderServicer):
    def __init__(self):
        self.creating = 0
        self.together = asyncio.Condition()
        self.cancelled = asyncio.Event()
        self.noted = set()

    async def note(self, method, urn, context, inputs, **more):
        name = urn.split("::")[-1]
        log(call=method, name=name, given=inputs, **more)
        if inputs.get("die") == method:
            say(f"{name} takes the process along", sys.stderr)
            os.kill(os.getpid(), signal.SIGKILL)
        if inputs.get("break_off") == method:
            say(f"{name} is left half-way", sys.stderr)
            await context.abort(grpc.StatusCode.CANCELLED, "")
        self.noted.add(name)
        while inputs.get("after", name) not in self.noted:  # noqa: ASYNC110 (a failure leaves by an exception)
            await asyncio.sleep(0.02)
        while inputs.get("hold") == method and not is_open():  # noqa: ASYNC110 (another process opens it)
            await asyncio.sleep(0.02)
        if inputs.get("fail") == method or (inputs.get("fail_until_open") and not is_open()):
            await context.abort(grpc.StatusCode.UNKNOWN, f"{method} of {name} was told to fail")
        if inputs.get("leave") == method and not is_open():
            going = json.dumps({"job": f"job-of-{name}"}).encode()
            await context.abort(grpc.StatusCode.ABORTED, f"{name} goes on", (("heliostat-goes-on-bin", going),))
        if method == "read" and inputs.get("closed"):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, f"nothing lets anybody in to {name}")
        if method == "create" and inputs.get("complain"):
            await context.abort(grpc.StatusCode.UNKNOWN, inputs["complain"])
        return name

    async def GetPluginInfo(self, request, context):
        return plugin_pb2.PluginInfo(version="1.0.0")

    async def GetSchema(self, request, context):
        return pb.GetSchemaResponse(schema=json.dumps({"name": "lab", "version": "1.0.0"}))

    async def CheckConfig(self, request, context):
        return pb.CheckResponse(inputs=request.news)

    async def DiffConfig(self, request, context):
        olds, news = bare(json_format.MessageToDict(request.old_inputs)), bare(json_format.MessageToDict(request.news))
        changed = [k for k in news if olds.get(k) != news[k]]
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if changed else pb.DiffResponse.DIFF_NONE,
            diffs=changed,
            replaces=[k for k in changed if k.startswith("replace_")],
        )

    async def Configure(self, request, context):
        self.config = bare(json_format.MessageToDict(request.args))
        takes = os.environ.get("LAB_RESOURCES") != "no"
        return pb.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptResources=takes)

    async def Check(self, request, context):
        news = json_format.MessageToDict(request.news)
        wrong = [pb.CheckFailure(property=k, reason=f"{k} is not known") for k in sorted(news) if k.startswith("wrong")]
        return pb.CheckResponse(failures=wrong) if wrong else pb.CheckResponse(inputs=request.news)

    async def Diff(self, request, context):
        olds, news = bare(json_format.MessageToDict(request.old_inputs)), bare(json_format.MessageToDict(request.news))
        changed = sorted(k for k in olds.keys() | news.keys() if olds.get(k) != news.get(k))
        replaces = [k for k in changed if k.startswith("replace_")]
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if changed else pb.DiffResponse.DIFF_NONE,
            diffs=changed,
            replaces=replaces,
            deleteBeforeReplace=bool(news.get("first")) and bool(replaces),
        )

    async def Create(self, request, context):
        inputs = json_format.MessageToDict(request.properties)
        if request.preview:
            if os.environ.get("LAB_PREVIEWS"):
                log(call="preview", name=request.urn.split("::")[-1], given=bare(inputs))
            return pb.CreateResponse(properties=request.properties)
        name = await self.note(
            "create", request.urn, context, bare(inputs), region=self.config.get("region"), seen=os.environ.get("LAB_SEEN")
        )
        if "wait_for" in inputs:
            async with self.together:
                self.creating += 1
                self.together.notify_all()
                await asyncio.wait_for(self.together.wait_for(lambda: self.creating >= inputs["wait_for"]), 20)
        outputs = {**inputs, "made": name}
        if inputs.get("secret_out"):
            outputs["tokens"] = [{"token": {SIGNATURE: SECRET, "value": "sesame"}}]
        if inputs.get("half"):
            detail = any_pb2.Any()
            reasons = ["it does not come up"]
            detail.Pack(pb.ErrorResourceInitFailed(id=f"{name}-id", properties=struct(outputs), reasons=reasons))
            status = status_pb2.Status(code=2, message="made, but not well", details=[detail])
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            await context.abort(grpc.StatusCode.UNKNOWN, "made, but not well")
        return pb.CreateResponse(id=f"{name}-id", properties=struct(outputs))

    async def Update(self, request, context):
        inputs = json_format.MessageToDict(request.news)
        if not request.preview:
            await self.note("update", request.urn, context, bare(inputs))
        return pb.UpdateResponse(properties=struct({**inputs, "made": request.urn.split("::")[-1]}))

    async def Read(self, request, context):
        state = json_format.MessageToDict(request.properties)
        await self.note("read", request.urn, context, bare(state))
        if request.id in os.environ.get("LAB_GONE", "").split(","):
            return pb.ReadResponse()
        return pb.ReadResponse(
            id=request.id,
            properties=struct(state or {"made": request.id}),
            inputs=request.inputs if request.inputs.fields else struct({"v": 1}),
        )

    async def Delete(self, request, context):
        await self.note("delete", request.urn, context, bare(json_format.MessageToDict(request.properties)), id=request.id)
        return empty_pb2.Empty()

    async def Cancel(self, request, context):
        log(call="cancel", name="")
        return empty_pb2.Empty()


async def main():
    start = os.environ.get("LAB_START")
    if start == "hang":
        say("waiting for a license server", sys.stderr)
        await asyncio.sleep(3600)
    if start == "die":
        sys.exit("no license found")
    if start == "chatter":
        say("Welcome to lab!", sys.stdout)
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Lab(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    say(port, sys.stdout)
    await server.wait_for_termination()


asyncio.run(main())
