"""What HAProxy counts of each backend's answers, by route: answers and their times, failures, rejections.

HAProxy counts itself, in a stick table with one entry a backend and route and one counter a bucket, so that nothing is lost
while the controller is away, and one look at the socket brings all of it. The rules run on whatever goes back to the client
(`http-after-response`), HAProxy's own errors among it; a request that was tried again is one request, and counts as its last
answer. Latency begins when the whole request has arrived, and ends when the head of its answer is there. What no version could
answer is counted apart from all of them, and an application that does not exist makes no entry. A reload or a restart begins
anew at 0, and what the worker before it still finishes is not counted.

**Predictions alone tell of a version.** The route comes from method and path, as the contract has them, and never from the
status: a probe that is answered well is no prediction that was. Of a prediction, a status of 2xx is an answer, one that the
contract rejects with is counted apart, and any other is a failure. Of the other routes, anything below 500 is an answer. A
call of gRPC that failed has 200 for its status; it counts by the one that it would have over HTTP (`haproxy_inference`).

**What a client did not do whole is neither.** A body that a client cut off, or sent too slowly, HAProxy answers itself, with
400 or 408: no replica said anything (`http-response` did not run). A replica itself says 408, 414 or 431. A client that does
not wait for its answer is counted as its replica answered it, or slowness would hide behind impatience.

**Requests that end without an answer.** Where the only replica of a version dies with a request that it was sent on a kept
connection, HAProxy closes the client's connection without a word, and no rule sees that. But it notes 503 as the request's
status all the same, and adds that to its statistics (`hrsp_5xx`) once the request is over. So what ended with 5xx there and
was never seen by a rule is lost. The statistics know no routes; but each entry also counts what began, so of the other routes
it is known how many have not ended: the rest of what was lost are predictions, each a failure. An error that was answered is
seen by the rules first and by the statistics later, and both only rise: so what is lost is never too much, at whatever moment
they are read, and is right once nothing is on its way.

An answer that breaks off behind its head is counted by its head. HAProxy has a counter of those too (`srv_abrt`), but one that
also counts, even twice, what is no replica's fault, such as a body that was refused as too large before all of it was there.
Replicas write head and body of an answer at once (`heliostat.serving.rest.connection`), so only long answers can break off.

The rules stop at the end of a bucket's group rather than go through all 48 buckets: most answers are in the first groups.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from heliostat.spec.latencies import BOUNDS_MS, BUCKETS, Counts
from heliostat.spec.routes import CUT_OFF, OTHER, PAGES, PREDICT, REJECTIONS, ROUTES
from heliostat.systems import haproxy_inference

TABLE = "public"
"""The frontend holds the table: as a section of its own it would be listed among the backends."""

SHOW = f"show table {TABLE}"

_ERRORS, _UNFIT, _REJECTED, _CUT_OFF, _BEGUN = range(BUCKETS, BUCKETS + 5)
"""Statuses of 500 and above, others that no prediction has, rejections, what did not come whole, and all that began."""
COUNTERS = BUCKETS + 5
_ENTRIES = 100_000
_GROUP = 6
_BOUNDS_US = tuple(round(bound * 1000) for bound in BOUNDS_MS)
_COUNTER = re.compile(r"gpc(\d+)=(\d+)")
_KNOWN = {route.strip("/"): route for route in ROUTES}
"""Routes as keys of the table have them."""

IS_PREDICTION = f"{{ var(txn.route) -m str {PREDICT.strip('/')} }}"
"""The condition, once `routes` were drawn."""


def table() -> list[str]:
    """The table, and when a request's time begins: the first lines of the frontend."""
    return [
        f"stick-table type string len 64 size {_ENTRIES} nopurge store gpc({COUNTERS})",
        "http-request set-var(txn.began) date(0,us)",
    ]


def routes() -> list[str]:
    """Which route a request asks for, in `txn.route`, decoded as the application will read it."""
    rule, pages = "http-request set-var(txn.route)", " ".join(page.strip("/") for page in PAGES)
    prediction, page = f"{{ method POST }} {IS_PREDICTION}", f"{{ method GET HEAD }} {{ var(txn.route) -m str {pages} }}"
    return [
        f"{rule} path,url_dec,field(3,/,0)",
        f"{rule} str({OTHER}) unless {prediction} || {page}",
        f"{rule} str({OTHER}) if {haproxy_inference.IS_CALL}",
        *haproxy_inference.routes(PREDICT.strip("/")),
    ]


def begin(key: str) -> list[str]:
    """The backend's own lines, which say by which expression its requests are counted."""
    return [
        f"http-request track-sc0 {key},concat(/,txn.route) table {TABLE}",
        f"http-request sc-inc-gpc({_BEGUN},0)",
    ]


def rules() -> list[str]:
    """Count an answer: the last lines of the frontend, for they end the rules of an answer."""
    rule, took = "http-after-response", "var(txn.took) -m int"
    rejections = " ".join(map(str, REJECTIONS))
    answered, rejected = "{ status 200:299 }", f"{{ status {rejections} }}"
    said = f"res.hdr({haproxy_inference.SAID})"
    failed_call, rejected_call = "{ var(txn.said) -m found }", f"{{ var(txn.said) -m int {rejections} }}"
    lines = [
        "http-response set-var(txn.replied) bool(true)",
        f"http-response set-var(txn.said) {said} if {{ {said} -m found }}",
        f"{rule} allow unless {{ sc0_tracked }}",
        *_counted(_ERRORS, "{ status ge 500 }"),
        *_counted(_CUT_OFF, f"!{{ var(txn.replied) -m found }} || {{ status {' '.join(map(str, CUT_OFF))} }}"),
        *_counted(_REJECTED, f"{IS_PREDICTION} {rejected} || {IS_PREDICTION} {rejected_call}"),
        *_counted(_UNFIT, f"{IS_PREDICTION} !{answered} || {IS_PREDICTION} {failed_call}"),
        f"{rule} set-var(txn.took) date(0,us),sub(txn.began)",
        # A clock that was set back gives a time below 0.
        f"{rule} sc-inc-gpc(0,0) if {{ {took} le {_BOUNDS_US[0]} }}",
    ]
    for bucket, (low, high) in enumerate(pairwise(_BOUNDS_US), start=1):
        lines.append(f"{rule} sc-inc-gpc({bucket},0) if {{ {took} {low + 1}:{high} }}")
        if bucket % _GROUP == _GROUP - 1:
            lines.append(f"{rule} allow if {{ {took} le {high} }}")
    return [*lines, f"{rule} sc-inc-gpc({BUCKETS - 1},0) if {{ {took} gt {_BOUNDS_US[-1]} }}"]


def _counted(counter: int, condition: str) -> list[str]:
    return [f"http-after-response sc-inc-gpc({counter},0) if {condition}", f"http-after-response allow if {condition}"]


@dataclass(frozen=True)
class _Entry:
    """The counters of one route of a backend."""

    numbers: tuple[int, ...]

    @property
    def latencies(self) -> tuple[int, ...]:
        return self.numbers[:BUCKETS]

    @property
    def unended(self) -> int:
        """What began, and has neither an answer nor an error that a rule saw."""
        return max(0, self.numbers[_BEGUN] - sum(self.numbers[:_BEGUN]))

    def counts(self, lost: int = 0) -> Counts:
        failed = self.numbers[_ERRORS] + self.numbers[_UNFIT] + lost
        answered = sum(self.latencies)
        return Counts(requests=answered + failed, failed=failed, rejected=self.numbers[_REJECTED], latencies=self.latencies)


def parse(text: str, ended: Mapping[str, int]) -> dict[str, dict[str, Counts]]:
    """The counts by backend and route, from the answer to `SHOW`; a route that had no request yet is not among them.

    `ended` is how many requests ended with a status of 500 or above by HAProxy's own statistics, by backend.
    """
    found = dict[str, dict[str, _Entry]]()
    for line in text.splitlines():
        _, key, rest = line.partition(" key=")
        if key:
            name, _, counters = rest.partition(" ")
            backend, _, route = name.partition("/")
            numbers = tuple(int(value) for _, value in _COUNTER.findall(counters))
            found.setdefault(backend, {})[_KNOWN[route]] = _Entry(numbers)
    return {backend: _counts(entries, ended.get(backend, 0)) for backend, entries in found.items()}


def _counts(entries: Mapping[str, _Entry], ended: int) -> dict[str, Counts]:
    lost = max(0, ended - sum(entry.numbers[_ERRORS] for entry in entries.values()))
    lost = max(0, lost - sum(entry.unended for route, entry in entries.items() if route != PREDICT))
    return {route: entry.counts(lost if route == PREDICT else 0) for route, entry in entries.items()}
