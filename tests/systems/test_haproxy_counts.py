"""What HAProxy counts, held against what clients saw."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest
from traffic_plane import FakeReplica, ask, client, serving, until

from heliostat.spec.latencies import BOUNDS_MS, BUCKETS, Counts, bucket_of
from heliostat.systems import haproxy, haproxy_counts
from heliostat.systems.haproxy_config import Plane, Route


def counted(took_us: int, status: int = 200) -> list[int]:
    """The counters that the rules add to: a small reading of the few words that they use."""
    tests = {"le": lambda bound: took_us <= bound, "gt": lambda bound: took_us > bound}
    found = []
    for line in haproxy_counts.rules():
        _, action, *condition = line.split(maxsplit=2)
        text = condition[0] if condition else ""
        if match := re.search(r"-m int (?:(\w+) )?(\d+)(?::(\d+))?", text):
            word, low, high = match.group(1), int(match.group(2)), match.group(3)
            holds = tests[word](low) if word else low <= took_us <= int(high)
        else:
            holds = "status ge 500" in text and status >= 500
        if holds and action == "allow":
            break
        if holds:
            found.append(int(re.search(r"gpc\((\d+),0\)", action).group(1)))  # type: ignore[union-attr]
    return found


@pytest.mark.parametrize("took_us", [-5, 0, 500, 501, 619, 620, 621, 5_000, 84_700, 84_701, 300_000, 14_349_300, 20_000_000])
def test_each_time_is_counted_in_its_bucket_and_in_no_other(took_us: int) -> None:
    assert counted(took_us) == [bucket_of(took_us / 1000)]


def test_every_bucket_has_its_rule() -> None:
    assert [counted(round(bound * 1000)) for bound in BOUNDS_MS] == [[bucket] for bucket in range(BUCKETS - 1)]


def test_a_failure_has_a_counter_of_its_own_beside_the_bucket() -> None:
    assert sorted(counted(1, 500)) == sorted(counted(1, 503)) == [0, BUCKETS]
    assert counted(1, 499) == [0]


def line(counters: dict[int, int]) -> str:
    """What HAProxy says of flights-blue."""
    told = " ".join(f"gpc{number}={counters.get(number, 0)}" for number in range(BUCKETS + 1))
    return f"# table: public, type: string\n0x1: key=flights-blue use=3 exp=0 shard=0 {told}\n"


def test_the_table_is_read_whatever_else_is_in_its_lines() -> None:
    found = haproxy_counts.parse(line({number: number for number in range(BUCKETS + 1)}), {})
    latencies = tuple(range(BUCKETS))
    assert found == {"flights-blue": Counts(requests=sum(latencies), failed=BUCKETS, latencies=latencies)}


def test_an_empty_table_has_no_counts() -> None:
    assert haproxy_counts.parse("# table: public, type: string, size:100000, used:0\n", {"flights-blue": 0}) == {}


@pytest.mark.parametrize(
    ("answered", "failed", "ended", "requests", "failures"),
    [
        (10, 2, 2, 10, 2),  # all are over
        (10, 2, 0, 10, 2),  # two answers of 500 are still on their way to their clients
        (10, 2, 5, 13, 5),  # three ended without an answer
        (0, 0, 1, 1, 1),
        (3, 4, 4, 3, 3),  # read between the two counters of one failure
    ],
)
def test_what_ended_as_an_error_that_nobody_was_sent_is_one_more_request_and_a_failure(
    answered: int, failed: int, ended: int, requests: int, failures: int
) -> None:
    found = haproxy_counts.parse(line({4: answered, BUCKETS: failed}), {"flights-blue": ended, "flights-green": 7})[
        "flights-blue"
    ]
    assert (found.requests, found.failed, sum(found.latencies)) == (requests, failures, answered)


def test_one_more_or_less_between_two_counters_is_no_new_beginning() -> None:
    before = haproxy_counts.parse(line({4: 100, BUCKETS: 1}), {"flights-blue": 3})["flights-blue"]
    # A failure whose bucket is not counted yet, read in that moment.
    within = haproxy_counts.parse(line({4: 100, BUCKETS: 2}), {"flights-blue": 3})["flights-blue"]
    assert within.requests == before.requests - 1
    assert within.since(before) == Counts()
    again = haproxy_counts.parse(line({4: 2}), {"flights-blue": 0})["flights-blue"]
    assert again.since(before) == again


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
    counts = (await haproxy.snapshot(running)).counts
    assert {colour: counts[f"flights-{colour}"].requests for colour in ("blue", "green")} == {
        colour: labels.count(colour) for colour in ("blue", "green")
    }
    assert all(sum(each.latencies) == each.requests > 0 == each.failed for each in counts.values())


@pytest.mark.local_stack
async def test_what_reaches_no_backend_makes_no_entry(running: Plane) -> None:
    assert (await ask(running, "/weather/predict")).status == 404
    assert (await ask(running, "/flights/-/golden")).status == 404
    assert (await haproxy.snapshot(running)).counts == {"flights-blue": Counts(), "flights-green": Counts()}


@pytest.mark.local_stack
async def test_an_answer_is_counted_by_how_long_it_took(running: Plane, replicas: dict[str, FakeReplica]) -> None:
    for seconds in (0.03, 0.3):
        replicas["blue"].seconds = seconds
        before = (await haproxy.snapshot(running)).counts["flights-blue"]
        began = asyncio.get_running_loop().time()
        await ask(running, "/flights/predict")
        at_most = asyncio.get_running_loop().time() - began
        new = (await haproxy.snapshot(running)).counts["flights-blue"].since(before)
        assert bucket_of((seconds - 0.002) * 1000) <= new.latencies.index(1) <= bucket_of(at_most * 1000)


@pytest.mark.local_stack
@pytest.mark.parametrize(("status", "failed"), [(422, 0), (404, 0), (500, 1), (503, 1)])
async def test_only_what_a_server_could_not_do_is_a_failure(
    running: Plane, replicas: dict[str, FakeReplica], status: int, failed: int
) -> None:
    replicas["blue"].status = status
    assert (await ask(running, "/flights/predict")).status == status
    found = (await haproxy.snapshot(running)).counts["flights-blue"]
    assert (found.requests, found.failed) == (1, failed)


@pytest.mark.local_stack
async def test_a_request_that_is_tried_again_and_answered_is_one_request_and_no_failure(
    running: Plane, replicas: dict[str, FakeReplica]
) -> None:
    replicas["blue"].breaks_off = 1
    assert (await ask(running, "/flights/predict")).status == 200
    assert len(replicas["blue"].seen) == 2
    found = (await haproxy.snapshot(running)).counts["flights-blue"]
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
        found = (await haproxy.snapshot(plane)).counts["flights-blue"]
        assert (found.requests, found.failed) == (2, 2)
        assert sum(found.latencies[bucket_of(390) :]) == 1


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
        found = (await haproxy.snapshot(running)).counts["flights-blue"]
        assert (found.requests, found.failed) == (1, 0), "what is on its way has not failed"
        blue.kill()
        with pytest.raises(asyncio.IncompleteReadError):
            await on_its_way
    found = (await until(running, lambda found: found.counts["flights-blue"].requests == 2)).counts["flights-blue"]
    assert (found.failed, sum(found.latencies)) == (1, 1)
    # Green answers what comes now, and blue's loss is none of its.
    await until(running, lambda found: not found.backends["flights-blue"]["blue"].usable)
    assert (await ask(running, "/flights/predict")).status == 200
    counts = (await haproxy.snapshot(running)).counts
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
    found = (await haproxy.snapshot(running)).counts["flights-blue"]
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
        assert answer.body == {"detail": "No healthy replica now."}
        found = (await haproxy.snapshot(plane)).counts
        assert (found["flights-nobody"].requests, found["flights-nobody"].failed) == (1, 1)
        assert found["flights-blue"].requests == found["flights-green"].requests == 0


@pytest.mark.local_stack
async def test_a_client_that_goes_away_counts_as_its_replica_answered_and_is_no_failure(
    running: Plane, replicas: dict[str, FakeReplica]
) -> None:
    await ask_and_go_away(running, replicas["blue"])
    assert (await ask(running, "/flights/predict")).status == 200
    found = (await haproxy.snapshot(running)).counts["flights-blue"]
    assert (found.requests, found.failed) == (2, 0)


@pytest.mark.local_stack
async def test_a_reload_begins_at_nothing_and_the_difference_is_still_right(
    running: Plane, replicas: dict[str, FakeReplica]
) -> None:
    for _ in range(3):
        await ask(running, "/flights/predict")
    before = (await haproxy.snapshot(running)).counts["flights-blue"]
    haproxy.write(running, (Route("flights", 0, (replicas["blue"].server,)), Route("weather")))
    await haproxy.reload(running)
    found = await until(running, lambda found: "weather-blue" in found.backends)
    assert found.counts["flights-blue"] == found.counts["weather-green"] == Counts()
    await ask(running, "/flights/predict")
    after = (await haproxy.snapshot(running)).counts["flights-blue"]
    assert (before.requests, after.since(before).requests) == (3, 1)
