"""A policy pack without the SDK of policies: the protocol's service, what it was asked written to $LAB_ASKED.

Policies: `no-hoarding` (mandatory: no more `size` than the config's `most`), `a-name` (advisory: `label` is there),
`tidy` (remediates: `label` becomes lower case), and of stacks `not-alone` (mandatory: a lab has a companion).
"""

import json
import os
import sys
from concurrent import futures
from pathlib import Path

import grpc
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc, plugin_pb2

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
LEVELS = {"no-hoarding": 1, "a-name": 0, "tidy": 2, "not-alone": 2}


def note(call, **said):
    if path := os.environ.get("LAB_ASKED"):
        with Path(path).open("a") as file:
            file.write(json.dumps({"call": call, **said}) + "\n")


class Pack(analyzer_pb2_grpc.AnalyzerServicer):
    def __init__(self):
        self.levels, self.most = dict(LEVELS), 10

    def Handshake(self, request, context):
        note("handshake", root=request.root_directory, engine=request.engine_address)
        return analyzer_pb2.AnalyzerHandshakeResponse()

    def ConfigureStack(self, request, context):
        note("stack", stack=request.stack, preview=request.dry_run, config=dict(request.config))
        return analyzer_pb2.AnalyzerStackConfigureResponse()

    def GetAnalyzerInfo(self, request, context):
        info = analyzer_pb2.AnalyzerInfo(name="lab-pack", version="0.0.1", supportsConfig=True)
        for name, level in LEVELS.items():
            policy = info.policies.add(name=name, enforcementLevel=level, severity=3 if name == "no-hoarding" else 0)
            if name == "no-hoarding":
                policy.configSchema.properties.update({"most": {"type": "number", "minimum": 1, "default": 10}})
        return info

    def GetPluginInfo(self, request, context):
        return plugin_pb2.PluginInfo(version="0.0.1")

    def Configure(self, request, context):
        for name, config in request.policyConfig.items():
            self.levels[name] = config.enforcementLevel
            said = json_format.MessageToDict(config.properties)
            self.most = said.get("most", self.most)
        return empty_pb2.Empty()

    def violation(self, name, message, urn=""):
        return analyzer_pb2.AnalyzeDiagnostic(
            policyName=name,
            policyPackName="lab-pack",
            policyPackVersion="0.0.1",
            message=message,
            urn=urn,
            enforcementLevel=self.levels[name],
        )

    def Analyze(self, request, context):
        values = json_format.MessageToDict(request.properties)
        note("analyze", name=request.name, values=values, provider=request.provider.name, protect=request.options.protect)
        answer = analyzer_pb2.AnalyzeResponse()
        if request.type != "lab:index:Lab":
            return answer
        if values.get("breaks_the_pack"):
            raise KeyError("absent")
        size = values.get("size", 0)
        if size != UNKNOWN and size > self.most and self.levels["no-hoarding"] != 2:
            answer.diagnostics.append(self.violation("no-hoarding", f"size is {size:g}, at most {self.most:g}: ask for less"))
        if "label" not in values and self.levels["a-name"] != 2:
            token = json_format.MessageToDict(request.properties).get("token", {})
            said = token.get("value", "") if isinstance(token, dict) else token
            answer.diagnostics.append(self.violation("a-name", f"no label (token {said})"))
        return answer

    def AnalyzeStack(self, request, context):
        labs = [one for one in request.resources if one.type == "lab:index:Lab"]
        values = {one.name: json_format.MessageToDict(one.properties) for one in request.resources}
        needs = {one.name: [urn.rsplit("::", 1)[1] for urn in one.dependencies] for one in labs}
        note("analyze-stack", values=values, needs=needs, parents={one.name: one.parent for one in labs})
        answer = analyzer_pb2.AnalyzeResponse()
        if self.levels["not-alone"] != 2 and len(labs) == 1:
            answer.diagnostics.append(self.violation("not-alone", "one lab only: add another", labs[0].urn))
        return answer

    def Remediate(self, request, context):
        answer = analyzer_pb2.RemediateResponse()
        values = json_format.MessageToDict(request.properties)
        if self.levels["tidy"] == 3 and "label" in values and values["label"] != values["label"].lower():
            one = answer.remediations.add(policyName="tidy", policyPackName="lab-pack", policyPackVersion="0.0.1")
            one.properties.update({**values, "label": values["label"].lower()})
        return answer

    def Cancel(self, request, context):
        return empty_pb2.Empty()


note("start", preview=os.environ["PULUMI_DRY_RUN"], config=json.loads(os.environ["PULUMI_CONFIG"]), cwd=str(Path.cwd()))
server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
analyzer_pb2_grpc.add_AnalyzerServicer_to_server(Pack(), server)
sys.stderr.write(f"the pack is up, {os.environ['PULUMI_CONFIG']}\n")
sys.stdout.write(f"{server.add_insecure_port('127.0.0.1:0')}\n")
server.start()
server.wait_for_termination()
