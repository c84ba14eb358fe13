"""What HAProxy counts of each backend's answers: requests, failures, and how long they took.

HAProxy counts itself, in a stick table with one entry a backend and one counter a bucket, so that nothing is lost while the
controller is away, and one look at the socket brings all of it. The rules run on whatever goes back to the client
(`http-after-response`), HAProxy's own errors among it; a request that was tried again is one request, and counts as its last
answer. Latency begins when the whole request has arrived, and ends when the head of its answer is there. What a client did
not wait for is counted as its replica answered it. What no version could answer is counted apart from all of them, and an
application that does not exist makes no entry. A reload or a restart begins anew at 0, and what the worker before it still
finishes is not counted.

**Requests that end without an answer.** Where the only replica of a version dies with a request that it was sent on a kept
connection, HAProxy closes the client's connection without a word, and no rule sees that. But it notes 503 as the request's
status all the same, and adds that to its statistics (`hrsp_5xx`) once the request is over. So what ended with 5xx there and
was never seen by a rule is lost: one request more than there are answers, and a failure. A request on its way is in neither
of the two counters, and one whose client went away before its answer ends without a status. An error that was answered is
seen by the rules first and by the statistics later, and both only rise: so the greater of the two is never too high, at
whatever moment they are read, and is right once nothing is on its way.

An answer that breaks off behind its head is counted by its head. HAProxy has a counter of those too (`srv_abrt`), but one that
also counts, even twice, what is no replica's fault, such as a body that was refused as too large before all of it was there.
Replicas write the head and the body of an answer at once (`heliostat.ml.whole_answers`), so only long answers can break off.

The rules stop at the end of a bucket's group rather than go through all 48 buckets: most answers are in the first groups.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise

from heliostat.spec.latencies import BOUNDS_MS, BUCKETS, Counts

TABLE = "public"
"""The frontend holds the table: as a section of its own it would be listed among the backends."""

SHOW = f"show table {TABLE}"

_FAILED = BUCKETS
_ENTRIES = 100_000
_GROUP = 6
_BOUNDS_US = tuple(round(bound * 1000) for bound in BOUNDS_MS)
_COUNTER = re.compile(r"gpc(\d+)=(\d+)")


def table() -> list[str]:
    """The table, and when a request's time begins: the first lines of the frontend."""
    return [
        f"stick-table type string len 64 size {_ENTRIES} nopurge store gpc({BUCKETS + 1})",
        "http-request set-var(txn.began) date(0,us)",
    ]


def begin(key: str) -> str:
    """The backend's own line, which says by which expression its requests are counted."""
    return f"http-request track-sc0 {key} table {TABLE}"


def rules() -> list[str]:
    """Count an answer: the last lines of the frontend, for they end the rules of an answer."""
    rule, took = "http-after-response", "var(txn.took) -m int"
    lines = [
        f"{rule} allow unless {{ sc0_tracked }}",
        f"{rule} sc-inc-gpc({_FAILED},0) if {{ status ge 500 }}",
        f"{rule} set-var(txn.took) date(0,us),sub(txn.began)",
        # A clock that was set back gives a time below 0.
        f"{rule} sc-inc-gpc(0,0) if {{ {took} le {_BOUNDS_US[0]} }}",
    ]
    for bucket, (low, high) in enumerate(pairwise(_BOUNDS_US), start=1):
        lines.append(f"{rule} sc-inc-gpc({bucket},0) if {{ {took} {low + 1}:{high} }}")
        if bucket % _GROUP == _GROUP - 1:
            lines.append(f"{rule} allow if {{ {took} le {high} }}")
    return [*lines, f"{rule} sc-inc-gpc({BUCKETS - 1},0) if {{ {took} gt {_BOUNDS_US[-1]} }}"]


def parse(text: str, ended: Mapping[str, int]) -> dict[str, Counts]:
    """The counts by backend, from the answer to `SHOW`; a backend that had no request yet is not among them.

    `ended` is how many requests ended with a status of 500 or above by HAProxy's own statistics, by backend.
    """
    found = {}
    for line in text.splitlines():
        _, key, rest = line.partition(" key=")
        if key:
            name, _, counters = rest.partition(" ")
            found[name] = _counts([int(value) for _, value in _COUNTER.findall(counters)], ended.get(name, 0))
    return found


def _counts(counters: list[int], ended: int) -> Counts:
    latencies, answered = tuple(counters[:BUCKETS]), counters[_FAILED]
    failed = max(answered, ended)
    requests = sum(latencies) + failed - answered
    # A failure has its counter before its bucket: between the two it is no request yet.
    return Counts(requests=requests, failed=min(failed, requests), latencies=latencies)
