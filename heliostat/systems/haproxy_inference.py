"""HAProxy's rules for the Open Inference Protocol: which application a request is for, where its path does not say it first.

Clients of that protocol may know a host, and no path in front of `/v2`: `/v2/models/flights/infer` is asked as
`/flights/v2/models/flights/infer`, and what asks for the server alone goes to the first application by name.

**gRPC is HTTP/2 up to here.** HAProxy tells it by its first bytes, on the address of all clients, and passes a call on as
HTTP/1.1, over the same connections to the same replicas as any request; the trailers of an answer come back in its last chunk.
The path of a call names a service and a method. Of the protocol's own service the application is the first field of the
message, `model_name` or `name`; the contract's own has it in the service's name, `heliostat.flights.Predictor`, with dashes as
underscores. Where a message is compressed, or asks for the server alone, the metadatum `heliostat-application` names it, or
else it is the first application.

A call fails with HTTP status 200, and its own status in the head or behind the answer. So that failures count, a replica says
in the header `SAID` what the status would have been over HTTP.
"""

from __future__ import annotations

from typing import Final

SAID: Final = "x-heliostat-status"
"""In the head of an answer to a call that failed."""
_SERVICE: Final = "/inference.GRPCInferenceService/"
_HEALTH: Final = "/grpc.health.v1.Health/"
_OWN: Final = "/heliostat."
_INFER: Final = "^/[^/]+/v2/models/[^/]+(/versions/[^/]+)?/infer$"
IS_CALL: Final = "{ var(txn.call) -m found }"
"""The condition of gRPC."""
IS_INFERENCE: Final = "{ var(txn.infers) -m found }"
"""The condition of a prediction that is asked for by the protocol, over HTTP."""


def application(first: str, taken: bool) -> list[str]:
    """Which application a request is for, in `txn.app`, or in its path.

    `first`: the first application by name, empty where there is none; `taken`: whether one is called `v2`.
    """
    found, call = "http-request set-var(txn.app)", IS_CALL
    server = f"http-request set-path /{first}%[path]"
    http = [
        f"http-request set-path /%[path,field(4,/)]%[path] if {{ path_beg /v2/models/ }} !{call}",
        *([f"{server} if {{ path /v2 }} || {{ path_beg /v2/health/ }}"] if first else []),
    ]
    return [
        "http-request set-var(txn.call) bool(true) if { method POST } { req.hdr(content-type) -m beg application/grpc }",
        *([] if taken else http),
        f"{found} path,field(2,/) unless {call}",
        *([f"{found} str({first}) if {call}"] if first else []),
        f"{found} req.fhdr(heliostat-application) if {call} {{ req.fhdr(heliostat-application) -m found }}",
        f"{found} path,field(2,/),field(2,.),regsub(_,-,g) if {call} {{ path_beg {_OWN} }}",
        f"http-request set-var(txn.named) req.body,bytes(5),protobuf(1) if {call} {{ path_beg {_SERVICE}Model {_HEALTH} }} "
        "{ req.body,bytes(0,1),hex -m str 00 }",
        f"{found} var(txn.named) if {{ var(txn.named) -m len gt 0 }}",
    ]


def routes(prediction: str) -> list[str]:
    """Which requests are predictions, in `txn.route`; `prediction`: what that is called there."""
    rule = f"http-request set-var(txn.route) str({prediction})"
    return [
        f"http-request set-var(txn.infers) bool(true) if {{ method POST }} {{ path,url_dec -m reg '{_INFER}' }} !{IS_CALL}",
        f"{rule} if {IS_INFERENCE}",
        f"{rule} if {IS_CALL} {{ path {_SERVICE}ModelInfer }} || {IS_CALL} {{ path_beg {_OWN} }} {{ path_end /Predict }}",
    ]
