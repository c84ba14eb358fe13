"""The text of HAProxy's configuration: a pure function from routes to a file.

**One frontend, two backends an application.** Clients call `/<application>/...`, or by the Open Inference Protocol, also over
gRPC, as `heliostat.systems.haproxy_inference` has it; Serve's replicas answer below a
prefix of their colour, `/_/<application>/<colour>/...`, so the path is rewritten in the backend, where a retry on another
replica of the same colour finds it right. Which colour a request goes to is drawn by `rand(10000)` against the share of
green in a map: one `set map` on the runtime socket moves any share of 1/100 % at once, without a reload. Where the drawn
colour has no usable replica and the other one has, the other one answers: a colour that may not be used yet has none.

**A reload for a new application or another affinity, none for anything else.** Backends cannot be added at run time. Slots
made in advance would avoid the reload, at the price of a limit on the number of applications and of backends that nobody can
read in the statistics. A reload of the master hands the listening socket to a new worker, and the old one finishes its
requests. Connections that clients keep to it stay open: one that is closed while a request is on its way loses that request.
The next request on each is passed on to the new worker, which knows where it belongs, and the answer tells the client to
close. HTTP/2 has no such answer, but a frame that says the same and loses nothing. HAProxy sends it only where it may also
close connections by itself, with a chance that grows from 0 to 1 within `close-spread-time`: over HTTP/1.1 it has that chance
once, at the beginning. What nobody uses ends by itself after the time that an idle connection is kept.

**Retries.** A prediction changes nothing but its log, so asking a second replica the same is safe, POST or not. A request
is tried again where the connection failed, or closed without an answer, or answered junk: all three are what a replica
that was just killed looks like. A slow answer is not tried again (it would double the load of what is overloaded), and
neither is an error that the application itself answered. Only a request that fits the buffer, and was there as a whole
before it was passed on (`option http-buffer-request`), can be tried again: clients that send the head and the body in two
packets lost about one request for each replica that was killed under load, and lose none with it. An answer whose head was
read is never tried again, so replicas write head and body at once (`heliostat.serving.rest.connection`). Where the only
replica of a version dies, what it worked on is lost: a request that came over a kept connection to it has all its attempts
refused within milliseconds, and its client's connection is closed without an answer, as HAProxy does where a kept connection
was lost. `haproxy_counts` counts it as failed.

Before it tries again where one server or none is left in use, HAProxy waits for as long as a connection may take, at most 1 s,
even where the next attempt goes to a server that answers. So every replica that dies holds up what it worked on by that long,
and a connection may take 200 ms: one between two machines of a network takes a few milliseconds, and one whose first packet
was lost is not there before a second, by when another replica has answered.

**Health.** Two probes a second and replica: Serve's own `/-/healthz`, which turns 503 the moment a replica begins to stop
(it goes on answering for RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S), and the application's `/healthz` below its
prefix, which a foreign process that took over the port does not answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from heliostat.spec.base import REQUEST_ID
from heliostat.spec.endpoints import Endpoint, backend_name, route_prefix
from heliostat.spec.routes import PREDICT
from heliostat.spec.strategies import Affinity
from heliostat.systems import haproxy_affinity, haproxy_counts, haproxy_errors, haproxy_inference

SHARES = 10_000
"""Weights count in 1/100 %."""

COLOURS = ("blue", "green")

SUCCESSOR = "successor"
"""The backend by which a worker that was replaced reaches the one in its place."""
NOBODY = "nobody"
"""The backend of requests for which no replica of any version is there, and what they are counted as."""

CHECKS = "check inter 1s fastinter 250ms downinter 500ms fall 2 rise 1 observe layer4 error-limit 1 on-error sudden-death"
"""Also for servers that are added at run time, which inherit nothing."""

LEAVING = "proc.leaving"
"""A variable of the worker: whether clients are to go to another HAProxy."""

RUNTIME_SOCKET = "haproxy.sock"
_CONNECT_SECONDS = 0.2
_KEPT_SECONDS = 75
_STOP_MARGIN_SECONDS = 5


@dataclass(frozen=True)
class Route:
    """One application's place in the traffic plane; only servers that may take requests are in it."""

    application: str
    green_share: int = 0
    """Of 10,000."""
    blue: tuple[Endpoint, ...] = ()
    green: tuple[Endpoint, ...] = ()
    affinity: Affinity | None = None
    """What a client is known by; by default each request is drawn by chance."""
    salt: str = ""
    """Deals the clients anew."""


@dataclass(frozen=True)
class Plane:
    """What does not change while HAProxy runs."""

    host: str
    public_port: int
    directory: Path
    """Holds the configuration and the maps."""
    runtime_directory: Path
    """Holds the sockets."""
    threads: int
    max_connections: int
    answer_timeout_seconds: float
    one_of_several: bool = False
    """Whether clients may be sent away to another HAProxy."""

    @property
    def config_file(self) -> Path:
        """The configuration."""
        return self.directory / "haproxy.cfg"

    @property
    def map_file(self) -> Path:
        """Shares of green by application."""
        return self.directory / "traffic.map"

    @property
    def affinity_file(self) -> Path:
        """What clients are known by, by application."""
        return self.directory / "affinities.map"

    @property
    def salt_file(self) -> Path:
        """Salts of affinities by application."""
        return self.directory / "salts.map"

    @property
    def runtime_socket(self) -> Path:
        """The worker's socket: statistics, servers, maps."""
        return self.runtime_directory / RUNTIME_SOCKET

    @property
    def master_socket(self) -> Path:
        """The master's socket: reloads."""
        return self.runtime_directory / "haproxy-master.sock"


def render(plane: Plane, routes: tuple[Route, ...]) -> str:
    """The configuration file."""
    values = _values(plane)
    parts = [text.format(**values) for text in (_GLOBAL, _DEFAULTS)]
    parts += [_frontend(plane, routes), _NOBODY.format(**values), _SUCCESSOR.format(**values)]
    for route in sorted(routes, key=lambda route: route.application):
        for colour, servers in (("blue", route.blue), ("green", route.green)):
            parts.append(_backend(route.application, colour, servers))
    return "\n".join(parts)


def render_map(routes: tuple[Route, ...]) -> str:
    """The map file."""
    return "".join(f"{route.application} {route.green_share}\n" for route in sorted(routes, key=lambda r: r.application))


def render_affinity_map(routes: tuple[Route, ...]) -> str:
    """The map file of affinities."""
    return haproxy_affinity.render_affinities({route.application: route.affinity for route in routes if route.affinity})


def render_salt_map(routes: tuple[Route, ...]) -> str:
    """The map file of salts.

    Raises:
        ValueError: a salt is not one.
    """
    return haproxy_affinity.render_salts({route.application: route.salt for route in routes if route.affinity})


def _values(plane: Plane) -> dict[str, object]:
    answer = plane.answer_timeout_seconds
    return {
        "runtime_socket": plane.runtime_socket,
        "host": plane.host,
        "port": plane.public_port,
        "successor": SUCCESSOR,
        "nobody": NOBODY,
        "tracked": _lines(haproxy_counts.begin("var(txn.nobody)")),
        "unavailable": haproxy_errors.unavailable(),
        "threads": plane.threads,
        "connections": plane.max_connections,
        "buffer": haproxy_errors.BUFFER_BYTES,
        "headers": haproxy_errors.MOST_HEADERS,
        "errors": _lines(haproxy_errors.defaults()),
        "connect_ms": round(_CONNECT_SECONDS * 1000),
        "answer_ms": round(answer * 1000),
        "kept": _KEPT_SECONDS,
        "stop_ms": round((_KEPT_SECONDS + answer + _STOP_MARGIN_SECONDS) * 1000),
    }


_GLOBAL = """\
# Written by heliostat's controller, which writes it again at every change: do not edit.
global
    maxconn {connections}
    nbthread {threads}
    tune.bufsize {buffer}
    tune.http.maxhdr {headers}
    stats socket {runtime_socket} mode 600 level admin expose-fd listeners
    stats timeout 10s
    hard-stop-after {stop_ms}ms
    close-spread-time {kept}s
"""

_DEFAULTS = """\
defaults
    mode http
    timeout connect {connect_ms}ms
    timeout client {answer_ms}ms
    timeout server {answer_ms}ms
    timeout queue 10s
    timeout check 2s
    timeout http-request 15s
    timeout http-keep-alive {kept}s
    balance leastconn
    http-reuse always
    option http-buffer-request
    retries 3
    option redispatch 1
    retry-on conn-failure empty-response junk-response
{errors}"""

# Whoever logs a request decides its id, and tells it: what is no id does not get there, and answers are left as they are.
# Percent-encoded spellings of `/-/` reach the replica decoded, so it is looked for in the decoded path.
_FRONTEND = """\
frontend public
    bind {host}:{port}
{before}    http-request allow if {{ stopping }}
    {large_head}
    http-after-response set-header connection close if {{ stopping }}{leaving}
    use_backend {successor} unless {{ var(txn.app) -m found }}
{application}    http-request set-var(txn.share) var(txn.app),map_str_int({map},-1)
    {no_application} if {{ var(txn.share) -m int lt 0 }}
    acl internal path,url_dec -m sub /-/
    acl internal path,url_dec -m end /-
    {nothing_there} if internal
    http-request del-header x-heliostat-replay
    acl one_request_id req.fhdr_cnt(x-request-id) eq 1
    acl good_request_id req.fhdr(x-request-id) -m reg '{request_id}'
    http-request del-header x-request-id unless one_request_id good_request_id
    http-request set-var(txn.draw) rand({shares}),sub(txn.share)
{routes}{affinity}    acl to_green var(txn.draw) -m int lt 0
    http-request set-var-fmt(txn.blue) %[var(txn.app)]-blue
    http-request set-var-fmt(txn.green) %[var(txn.app)]-green
    acl has_blue var(txn.blue),nbsrv gt 0
    acl has_green var(txn.green),nbsrv gt 0
    use_backend %[var(txn.green)] if to_green has_green
    use_backend %[var(txn.blue)] if !to_green has_blue
    use_backend %[var(txn.green)] if has_green
    use_backend %[var(txn.blue)] if has_blue
    use_backend {nobody}
{counting}"""


# What no version can answer is held against none of them.
_NOBODY = """\
backend {nobody}
    http-request set-var-fmt(txn.nobody) %[var(txn.app)]-{nobody}
{tracked}    {unavailable}
"""

_SUCCESSOR = """\
backend {successor}
    server worker {host}:{port}
"""


def _frontend(plane: Plane, routes: tuple[Route, ...]) -> str:
    names = [route.application for route in routes]
    affinities = [route.affinity for route in routes if route.affinity]
    rules = haproxy_affinity.rules(affinities, plane.affinity_file, plane.salt_file, SHARES)
    return _FRONTEND.format(
        host=plane.host,
        port=plane.public_port,
        map=plane.map_file,
        shares=SHARES,
        successor=SUCCESSOR,
        nobody=NOBODY,
        request_id=REQUEST_ID,
        large_head=haproxy_errors.large_head(),
        leaving=f" || {{ var({LEAVING}) -m bool }}" if plane.one_of_several else "",
        no_application=haproxy_errors.not_found("No such application."),
        nothing_there=haproxy_errors.not_found("Not Found"),
        before=_lines(haproxy_counts.table()),
        application=_lines(haproxy_inference.application(min(names, default=""), "v2" in names)),
        routes=_lines(haproxy_counts.routes()),
        affinity=_lines(rules),
        counting=_lines(haproxy_counts.rules()),
    )


def _lines(rules: list[str]) -> str:
    return "".join(f"    {rule}\n" for rule in rules)


def _backend(application: str, colour: str, servers: tuple[Endpoint, ...]) -> str:
    prefix = route_prefix(application, colour)
    call, inference = haproxy_inference.IS_CALL, haproxy_inference.IS_INFERENCE
    prediction = haproxy_counts.IS_PREDICTION
    lines = [
        f"backend {backend_name(application, colour)}",
        *(f"    {line}" for line in haproxy_counts.begin(f"str({backend_name(application, colour)})")),
        # What counts as a prediction is asked as one, however it was spelt.
        f"    http-request set-path {prefix}%[path] if {call}",
        f"    http-request set-path {prefix}%[path,regsub(^/[^/]+,)] if !{call} !{prediction} || {inference}",
        f"    http-request set-path {prefix}{PREDICT} if {prediction} !{call} !{inference}",
        "    option httpchk",
        *_probe("/-/healthz"),
        *_probe(f"{prefix}/healthz"),
        *(f"    server {server.name} {server.host}:{server.port} {CHECKS}" for server in sorted(servers)),
    ]
    return "\n".join(lines) + "\n"


def _probe(path: str) -> list[str]:
    return [
        "    http-check connect",
        f"    http-check send meth GET uri {path} ver HTTP/1.1 hdr Host replica",
        "    http-check expect status 200",
    ]
