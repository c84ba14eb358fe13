"""What HAProxy counts, held against what clients saw."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest
from traffic_plane import FakeReplica, ask, client, predictions, serving, until

from heliostat.spec.latencies import BOUNDS_MS, BUCKETS, Counts, bucket_of
from heliostat.systems import haproxy, haproxy_counts
from heliostat.systems.haproxy_config import Plane, Route


def is_so(part: str, seen: dict[str, str | int]) -> bool:
    """Whether a condition's part holds: a small reading of the few words that the rules use."""
    name, *words = part.strip("!{} ").split()
    value, kept = seen.get(name), [word for word in words if word not in ("-m", "int", "str", "found")]
    if isinstance(value, int) and kept:
        low = kept[-1].partition(":")[0]
        tests = {"le": value <= int(low), "gt": value > int(low), "ge": value >= int(low)}
        ranges = [each.split(":") for each in kept if each not in tests]
        holds = tests.get(kept[0], any(int(each[0]) <= value <= int(each[-1]) for each in ranges))
    else:
        holds = value is not None and (not kept or value in kept)
    return holds is not part.startswith("!")


def counted(took_us: int, status: int = 200, route: str = "predict", replied: bool = True) -> list[int]:
    """The counters that the rules add to."""
    seen: dict[str, str | int] = {"sc0_tracked": "", "status": status, "var(txn.route)": route, "var(txn.took)": took_us}
    seen |= {"var(txn.replied)": ""} if replied else {}
    found = []
    for line in haproxy_counts.rules():
        rule, action, *condition = line.split(maxsplit=2)
        word, _, text = condition[0].partition(" ") if condition else ("if", "", "")
        any_of = [re.findall(r"!?\{[^}]*\}", each) for each in text.split("||")]
        holds = any(all(is_so(part, seen) for part in all_of) for all_of in any_of) is not (word == "unless")
        if rule != "http-after-response" or not holds:
            continue
        if action == "allow":
            break
        if counter := re.search(r"gpc\((\d+),0\)", action):
            found.append(int(counter.group(1)))
    return found


@pytest.mark.parametrize("took_us", [-5, 0, 500, 501, 619, 620, 621, 5_000, 84_700, 84_701, 300_000, 14_349_300, 20_000_000])
def test_each_time_is_counted_in_its_bucket_and_in_no_other(took_us: int) -> None:
    assert counted(took_us) == [bucket_of(took_us / 1000)]


def test_every_bucket_has_its_rule() -> None:
    assert [counted(round(bound * 1000)) for bound in BOUNDS_MS] == [[bucket] for bucket in range(BUCKETS - 1)]


ERRORS, UNFIT, REJECTED, CUT_OFF, BEGUN = range(BUCKETS, BUCKETS + 5)


@pytest.mark.parametrize(
    ("status", "counter"),
    [(500, ERRORS), (503, ERRORS), (599, ERRORS)]
    + [(status, REJECTED) for status in (400, 413, 415, 422)]
    + [(status, UNFIT) for status in (301, 401, 404, 405, 429, 499)]
    + [(status, CUT_OFF) for status in (408, 414, 431)]
    + [(200, 0), (204, 0)],
)
def test_a_prediction_counts_by_its_status_in_one_place_alone(status: int, counter: int) -> None:
    assert counted(1, status) == [counter]


@pytest.mark.parametrize(("status", "counter"), [(200, 0), (301, 0), (404, 0), (405, 0), (422, 0), (500, ERRORS)])
@pytest.mark.parametrize("route", ["healthz", "openapi.json", "docs", "other"])
def test_any_other_request_fails_only_where_the_server_does(route: str, status: int, counter: int) -> None:
    assert counted(1, status, route) == [counter]


@pytest.mark.parametrize(("status", "counter"), [(400, CUT_OFF), (408, CUT_OFF), (502, ERRORS), (504, ERRORS)])
def test_what_no_replica_said_is_a_clients_doing_below_500(status: int, counter: int) -> None:
    assert counted(1, status, replied=False) == [counter]


def line(counters: dict[int, int], key: str = "flights-blue/predict") -> str:
    """What HAProxy says of a route of flights-blue."""
    told = " ".join(f"gpc{number}={counters.get(number, 0)}" for number in range(haproxy_counts.COUNTERS))
    return f"0x1: key={key} use=3 exp=0 shard=0 {told}\n"


def parsed(*lines: str, ended: int = 0) -> dict[str, Counts]:
    """By route, of flights-blue; another backend's statistics say nothing."""
    text = "# table: public, type: string\n" + "".join(lines)
    return haproxy_counts.parse(text, {"flights-blue": ended, "flights-green": 7})["flights-blue"]


def test_the_table_is_read_whatever_else_is_in_its_lines() -> None:
    found = parsed(line({number: number for number in range(haproxy_counts.COUNTERS)}))
    latencies = tuple(range(BUCKETS))
    failed = ERRORS + UNFIT
    assert found == {
        "/predict": Counts(requests=sum(latencies) + failed, failed=failed, rejected=REJECTED, latencies=latencies)
    }


def test_each_route_has_its_own_counts() -> None:
    keys = ("predict", "healthz", "openapi.json", "docs", "other")
    found = parsed(*(line({4: number}, f"flights-blue/{key}") for number, key in enumerate(keys)))
    assert {route: counts.requests for route, counts in found.items()} == {
        "/predict": 0, "/healthz": 1, "/openapi.json": 2, "/docs": 3, "other": 4,
    }  # fmt: skip


def test_an_empty_table_has_no_counts() -> None:
    assert haproxy_counts.parse("# table: public, type: string, size:100000, used:0\n", {"flights-blue": 0}) == {}


@pytest.mark.parametrize(
    ("answered", "failed", "ended", "requests", "failures"),
    [
        (10, 2, 2, 12, 2),  # all are over
        (10, 2, 0, 12, 2),  # two answers of 500 are still on their way to their clients
        (10, 2, 5, 15, 5),  # three ended without an answer
        (0, 0, 1, 1, 1),
    ],
)
def test_what_ended_as_an_error_that_nobody_was_sent_is_one_more_request_and_a_failure(
    answered: int, failed: int, ended: int, requests: int, failures: int
) -> None:
    found = parsed(line({4: answered, ERRORS: failed}), ended=ended)["/predict"]
    assert (found.requests, found.failed, sum(found.latencies)) == (requests, failures, answered)


def test_a_page_that_ended_without_an_answer_is_no_prediction_that_failed() -> None:
    pages = line({4: 5, ERRORS: 1, BEGUN: 8}, "flights-blue/healthz")
    # Of the four that ended as errors, one was answered; two pages began and have not ended: the last was a prediction.
    found = parsed(line({4: 10, BEGUN: 11}), pages, ended=4)
    assert (found["/predict"].failed, found["/healthz"].failed) == (1, 1)
    assert parsed(line({4: 10, BEGUN: 11}), pages, ended=3)["/predict"].failed == 0


def test_a_page_on_its_way_hides_a_lost_prediction_for_a_moment_which_counts_once() -> None:
    def at(pages_begun: int) -> Counts:
        pages = line({4: 5, BEGUN: pages_begun}, "flights-blue/healthz")
        return parsed(line({4: 10, BEGUN: 11}), pages, ended=1)["/predict"]

    known, failed = at(5), 0
    for begun in (6, 5, 6, 5):
        now = at(begun)
        failed += now.since(known).failed
        known = now.no_less_than(known)
    assert (known.failed, failed) == (1, 0)


def test_counters_that_begin_anew_are_told_from_those_that_rise() -> None:
    before = parsed(line({4: 100, ERRORS: 1}), ended=3)["/predict"]
    again = parsed(line({4: 2}))["/predict"]
    assert again.since(before) == again.no_less_than(before) == again


async def ask_and_go_away(plane: Plane, blue: FakeReplica) -> None:
    """A request whose client does not wait for the answer that comes then."""
    blue.hold.clear()
    gone = asyncio.create_task(ask(plane, "/flights/predict"))
    await until(plane, lambda found: found.backends["flights-blue"]["blue"].in_flight == 1)
    gone.cancel()
    blue.hold.set()
    await until(plane, lambda found: found.backends["flights-blue"]["blue"].in_flight == 0)


@pytest.mark.local_stack
async def test_each_answer_is_counted_once_for_the_colour_that_gave_it(running: Plane) -> None:
    await haproxy.set_share(running, "flights", 3_000)

    async def ask_often() -> list[str]:
        async with client(running) as connected:
            return [(await connected.ask("/flights/predict")).body["label"] for _ in range(100)]

    labels = [label for some in await asyncio.gather(*(ask_often() for _ in range(8))) for label in some]
    counts = predictions(await haproxy.snapshot(running))
    assert {colour: counts[f"flights-{colour}"].requests for colour in ("blue", "green")} == {
        colour: labels.count(colour) for colour in ("blue", "green")
    }
    assert all(sum(each.latencies) == each.requests > 0 == each.failed for each in counts.values())


@pytest.mark.local_stack
async def test_what_reaches_no_backend_makes_no_entry(running: Plane) -> None:
    assert (await ask(running, "/weather/predict")).status == 404
    assert (await ask(running, "/flights/-/golden")).status == 404
    assert (await haproxy.snapshot(running)).counts == {"flights-blue": {}, "flights-green": {}}


@pytest.mark.local_stack
async def test_an_answer_is_counted_by_how_long_it_took(running: Plane, replicas: dict[str, FakeReplica]) -> None:
    for seconds in (0.03, 0.3):
        replicas["blue"].seconds = seconds
        before = predictions(await haproxy.snapshot(running))["flights-blue"]
        began = asyncio.get_running_loop().time()
        await ask(running, "/flights/predict")
        at_most = asyncio.get_running_loop().time() - began
        new = predictions(await haproxy.snapshot(running))["flights-blue"].since(before)
        assert bucket_of((seconds - 0.002) * 1000) <= new.latencies.index(1) <= bucket_of(at_most * 1000)


@pytest.mark.local_stack
@pytest.mark.parametrize(
    ("status", "ends"),
    [(200, (1, 0, 0)), (422, (0, 0, 1)), (415, (0, 0, 1)), (404, (1, 1, 0)), (500, (1, 1, 0)), (503, (1, 1, 0))],
)
async def test_a_prediction_is_answered_rejected_or_failed(
    running: Plane, replicas: dict[str, FakeReplica], status: int, ends: tuple[int, int, int]
) -> None:
    replicas["blue"].status = status
    assert (await ask(running, "/flights/predict")).status == status
    found = predictions(await haproxy.snapshot(running))["flights-blue"]
    assert (found.requests, found.failed, found.rejected) == ends
    assert sum(found.latencies) == (status == 200), "what failed fast was no fast answer"


@pytest.mark.local_stack
async def test_a_request_that_is_tried_again_and_answered_is_one_request_and_no_failure(
    running: Plane, replicas: dict[str, FakeReplica]
) -> None:
    replicas["blue"].breaks_off = 1
    assert (await ask(running, "/flights/predict")).status == 200
    assert len(replicas["blue"].seen) == 2
    found = predictions(await haproxy.snapshot(running))["flights-blue"]
    assert (found.requests, found.failed) == (1, 0)


@pytest.mark.local_stack
async def test_errors_that_haproxy_makes_itself_are_failures_of_the_backend(
    plane: Plane, replicas: dict[str, FakeReplica]
) -> None:
    blue = replicas["blue"]
    async with serving(replace(plane, answer_timeout_seconds=0.4), Route("flights", 0, (blue.server,))):
        blue.breaks_off = 100
        assert (await ask(plane, "/flights/predict")).status == 502
        blue.breaks_off, blue.seconds = 0, 5.0
        assert (await ask(plane, "/flights/predict")).status == 504
        found = predictions(await haproxy.snapshot(plane))["flights-blue"]
        assert (found.requests, found.failed) == (2, 2)
        assert sum(found.latencies) == 0


@pytest.mark.local_stack
async def test_a_request_whose_only_replica_dies_is_a_failure_although_nobody_is_told_of_it(
    running: Plane, replicas: dict[str, FakeReplica]
) -> None:
    blue = replicas["blue"]
    async with client(running) as kept:
        assert (await kept.ask("/flights/predict")).status == 200
        blue.hold.clear()
        on_its_way = asyncio.create_task(kept.ask("/flights/predict"))
        await until(running, lambda found: found.backends["flights-blue"]["blue"].in_flight == 1)
        found = predictions(await haproxy.snapshot(running))["flights-blue"]
        assert (found.requests, found.failed) == (1, 0), "what is on its way has not failed"
        blue.kill()
        with pytest.raises(asyncio.IncompleteReadError):
            await on_its_way
    lost = await until(running, lambda found: predictions(found)["flights-blue"].requests == 2)
    found = predictions(lost)["flights-blue"]
    assert (found.failed, sum(found.latencies)) == (1, 1)
    # Green answers what comes now, and blue's loss is none of its.
    await until(running, lambda found: not found.backends["flights-blue"]["blue"].usable)
    assert (await ask(running, "/flights/predict")).status == 200
    counts = predictions(await haproxy.snapshot(running))
    assert {name: (each.requests, each.failed) for name, each in counts.items()} == {
        "flights-blue": (2, 1),
        "flights-green": (1, 0),
    }


@pytest.mark.local_stack
async def test_a_client_that_goes_away_is_no_failure_of_a_replica_that_dies_later(
    running: Plane, replicas: dict[str, FakeReplica]
) -> None:
    await ask_and_go_away(running, replicas["blue"])
    replicas["blue"].kill()
    await until(running, lambda found: not found.backends["flights-blue"]["blue"].usable)
    found = predictions(await haproxy.snapshot(running))["flights-blue"]
    assert (found.requests, found.failed) == (1, 0)


@pytest.mark.local_stack
async def test_what_nobody_is_there_to_answer_is_held_against_no_version(
    plane: Plane, replicas: dict[str, FakeReplica]
) -> None:
    async with serving(plane, Route("flights", 10_000, (replicas["blue"].server,))):
        await haproxy.drain(plane, "flights-blue", "blue")
        answer = await ask(plane, "/flights/predict")
        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"
        assert answer.body["detail"] == "No healthy replica now."
        found = predictions(await haproxy.snapshot(plane))
        assert (found["flights-nobody"].requests, found["flights-nobody"].failed) == (1, 1)
        assert found["flights-blue"].requests == found["flights-green"].requests == 0


@pytest.mark.local_stack
async def test_a_client_that_goes_away_counts_as_its_replica_answered_and_is_no_failure(
    running: Plane, replicas: dict[str, FakeReplica]
) -> None:
    await ask_and_go_away(running, replicas["blue"])
    assert (await ask(running, "/flights/predict")).status == 200
    found = predictions(await haproxy.snapshot(running))["flights-blue"]
    assert (found.requests, found.failed) == (2, 0)


@pytest.mark.local_stack
async def test_a_reload_begins_at_nothing_and_the_difference_is_still_right(
    running: Plane, replicas: dict[str, FakeReplica]
) -> None:
    for _ in range(3):
        await ask(running, "/flights/predict")
    before = predictions(await haproxy.snapshot(running))["flights-blue"]
    haproxy.write(running, (Route("flights", 0, (replicas["blue"].server,)), Route("weather")))
    await haproxy.reload(running)
    found = await until(running, lambda found: "weather-blue" in found.backends)
    assert found.counts["flights-blue"] == found.counts["weather-green"] == {}
    await ask(running, "/flights/predict")
    after = predictions(await haproxy.snapshot(running))["flights-blue"]
    assert (before.requests, after.since(before).requests) == (3, 1)
