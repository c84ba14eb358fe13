"""HAProxy's configuration as text, and the real HAProxy with small servers in place of replicas."""

from __future__ import annotations

import asyncio

import pytest
from traffic_plane import MADE_ID, FakeReplica, ask, client, predictions, until

from heliostat.spec.endpoints import Endpoint
from heliostat.systems import haproxy
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.haproxy_config import Plane, Route, render, render_map


def test_only_what_may_take_requests_is_in_the_file(plane: Plane) -> None:
    text = render(plane, (Route("flights", 0, (Endpoint("r1", "127.0.0.1", 30001),)),))
    assert "server r1 127.0.0.1:30001 check" in text
    assert text.count("\nbackend flights-") == 2


def test_the_map_says_each_share(plane: Plane) -> None:
    assert render_map((Route("weather", 25), Route("flights", 10_000))) == "flights 10000\nweather 25\n"


def test_everything_listens_on_loopback(plane: Plane) -> None:
    binds = [line.split()[1] for line in render(plane, ()).splitlines() if line.strip().startswith("bind")]
    assert binds == [f"127.0.0.1:{plane.public_port}"]


def test_every_error_that_haproxy_makes_by_itself_is_json(plane: Plane) -> None:
    """Those that nothing asked for: 401, 403, 405, 407, 410, 425 and 429 are made by rules that are not there."""
    replies = [line.split()[2:5] for line in render(plane, ()).splitlines() if line.strip().startswith("http-error ")]
    assert sorted(replies) == [
        [status, "content-type", "application/json"] for status in ("400", "408", "413", "500", "501", "502", "503", "504")
    ]


@pytest.mark.local_stack
async def test_the_path_is_rewritten_for_the_colour(running: Plane, replicas: dict[str, FakeReplica]) -> None:
    answer = await ask(running, "/flights/predict?x=1")
    assert (answer.status, answer.body) == (200, {"label": "blue", "path": "/_/flights/blue/predict?x=1"})


@pytest.mark.local_stack
@pytest.mark.parametrize("name", ["mine", "!+-.~", "0" * 128])
async def test_a_clients_id_of_a_request_goes_to_the_replica_and_back(
    running: Plane, replicas: dict[str, FakeReplica], name: str
) -> None:
    answer = await ask(running, "/flights/predict", {"x-request-id": name})
    _, seen = replicas["blue"].seen[0]
    assert (seen["x-request-id"], answer.headers["x-request-id"]) == (name, name)


@pytest.mark.local_stack
@pytest.mark.parametrize("name", [None, "", "a b", "a,b", "\u00fc", "a\tb", "0" * 129, "one\r\nx-request-id: two"])
async def test_what_is_no_id_does_not_reach_the_replica_whose_own_the_client_is_told(
    running: Plane, replicas: dict[str, FakeReplica], name: str | None
) -> None:
    answer = await ask(running, "/flights/predict", {} if name is None else {"x-request-id": name})
    _, seen = replicas["blue"].seen[0]
    assert "x-request-id" not in seen
    assert answer.headers["x-request-id"] == MADE_ID


@pytest.mark.local_stack
@pytest.mark.parametrize(
    "path", ["/flights/-/golden", "/flights/-/tap", "/flights/%2D/golden", "/flights/-%2fgolden", "/flights//-/golden"]
)
async def test_internal_paths_are_refused_however_they_are_spelt(
    running: Plane, replicas: dict[str, FakeReplica], path: str
) -> None:
    answer = await ask(running, path)
    assert answer.status == 404
    assert replicas["blue"].seen == []


@pytest.mark.local_stack
async def test_a_client_cannot_keep_itself_out_of_the_prediction_log(running: Plane, replicas: dict[str, FakeReplica]) -> None:
    await ask(running, "/flights/predict", {"x-heliostat-replay": "1"})
    _, seen = replicas["blue"].seen[0]
    assert "x-heliostat-replay" not in seen


@pytest.mark.local_stack
async def test_an_unknown_application_is_404_and_one_without_replicas_503_with_retry_after(
    running: Plane, replicas: dict[str, FakeReplica]
) -> None:
    answer = await ask(running, "/weather/predict")
    assert (answer.status, answer.headers["content-type"], "detail" in answer.body) == (404, "application/json", True)
    for colour in ("blue", "green"):
        await haproxy.drain(running, f"flights-{colour}", colour)
    answer = await ask(running, "/flights/predict")
    assert (answer.status, answer.headers["retry-after"], "detail" in answer.body) == (503, "1", True)


@pytest.mark.local_stack
async def test_a_share_moves_at_once_and_without_a_reload(running: Plane) -> None:
    await haproxy.set_share(running, "flights", 10_000)
    assert (await ask(running, "/flights/predict")).body["label"] == "green"
    await haproxy.set_share(running, "flights", 5_000)
    labels = [(await ask(running, "/flights/predict")).body["label"] for _ in range(60)]
    assert set(labels) == {"blue", "green"}
    assert (await haproxy.snapshot(running)).shares == {"flights": 5_000}


@pytest.mark.local_stack
async def test_a_new_replica_gets_nothing_before_its_probe_was_answered(
    running: Plane, replicas: dict[str, FakeReplica]
) -> None:
    stranger = await FakeReplica("stranger", "/_/other/blue").start()
    try:
        await haproxy.add_server(running, "flights-blue", stranger.server)
        found = await until(running, lambda s: s.backends["flights-blue"]["stranger"].answers is False)
        assert not found.backends["flights-blue"]["stranger"].usable
        for _ in range(10):
            await ask(running, "/flights/predict")
        assert stranger.seen == []
        # One that is ill as well is known to be drained, and can be removed.
        assert (await haproxy.snapshot(running)).backends["flights-blue"]["stranger"].draining
        assert await haproxy.remove_server(running, "flights-blue", "stranger")
    finally:
        stranger.kill()


@pytest.mark.local_stack
async def test_a_replica_that_dies_loses_no_request(running: Plane, replicas: dict[str, FakeReplica]) -> None:
    second = await FakeReplica("second", "/_/flights/blue").start()
    await haproxy.add_server(running, "flights-blue", second.server)
    await until(running, lambda s: s.backends["flights-blue"]["second"].answers)
    await haproxy.admit(running, "flights-blue", "second")
    second.kill()
    statuses = [(await ask(running, "/flights/predict")).status for _ in range(30)]
    assert set(statuses) == {200}


@pytest.mark.local_stack
async def test_a_replica_that_dies_holds_up_what_it_would_have_had_for_less_than_a_second(
    running: Plane, replicas: dict[str, FakeReplica]
) -> None:
    """HAProxy waits before it asks the one that is left; a second of that is its default."""
    second = await FakeReplica("second", "/_/flights/blue").start()
    await haproxy.add_server(running, "flights-blue", second.server)
    await until(running, lambda s: s.backends["flights-blue"]["second"].answers)
    await haproxy.admit(running, "flights-blue", "second")
    replicas["blue"].kill()
    began = asyncio.get_running_loop().time()
    answers = await asyncio.gather(*(ask(running, "/flights/predict") for _ in range(4)))
    assert [each.body["label"] for each in answers] == ["second"] * 4
    assert asyncio.get_running_loop().time() - began < 0.8
    second.kill()


@pytest.mark.local_stack
async def test_a_drained_replica_finishes_what_it_has_before_it_can_be_removed(
    running: Plane, replicas: dict[str, FakeReplica]
) -> None:
    replicas["blue"].hold.clear()
    answer = asyncio.create_task(ask(running, "/flights/predict"))
    await until(running, lambda s: s.backends["flights-blue"]["blue"].in_flight == 1)
    await haproxy.drain(running, "flights-blue", "blue")
    replicas["blue"].hold.set()
    assert (await answer).status == 200
    await until(running, lambda s: s.backends["flights-blue"]["blue"].in_flight == 0)
    async with asyncio.timeout(60):
        while not await haproxy.remove_server(running, "flights-blue", "blue"):  # noqa: ASYNC110 - so does the loop
            await asyncio.sleep(0.05)
    assert "blue" not in (await haproxy.snapshot(running)).backends["flights-blue"]


@pytest.mark.local_stack
async def test_a_replica_that_begins_to_stop_leaves_by_its_own_probe(running: Plane, replicas: dict[str, FakeReplica]) -> None:
    replicas["blue"].draining = True
    await until(running, lambda s: not s.backends["flights-blue"]["blue"].usable)
    # The other colour helps out where the drawn one has nobody left.
    assert (await ask(running, "/flights/predict")).body["label"] == "green"


@pytest.mark.local_stack
async def test_a_reload_brings_a_new_application_and_keeps_the_others(
    running: Plane, replicas: dict[str, FakeReplica]
) -> None:
    routes = (Route("flights", 10_000, (), (replicas["green"].server,)), Route("weather"))
    haproxy.write(running, routes)
    await haproxy.reload(running)
    found = await until(running, lambda s: "weather-blue" in s.backends)
    assert found.shares == {"flights": 10_000, "weather": 0}
    assert (await ask(running, "/flights/predict")).body["label"] == "green"


@pytest.mark.local_stack
async def test_a_connection_kept_over_a_reload_gets_what_holds_now_and_is_told_to_close(
    running: Plane, replicas: dict[str, FakeReplica]
) -> None:
    async with client(running) as kept, client(running) as other:
        assert (await kept.ask("/flights/predict")).headers.get("connection") != "close"
        await other.ask("/flights/predict")
        green = (replicas["green"].server,)
        haproxy.write(running, (Route("flights", 10_000, (), green), Route("weather")))
        await haproxy.reload(running)
        await until(running, lambda found: found.backends.get("flights-green", {}).get("green", None) is not None)
        answer = await kept.ask("/flights/predict", {"x-request-id": "mine"})
        assert (answer.body["label"], answer.headers["x-request-id"]) == ("green", "mine")
        assert answer.headers["connection"] == "close"
        unknown_to_the_old = await other.ask("/weather/predict")
        assert (unknown_to_the_old.status, unknown_to_the_old.headers["connection"]) == (503, "close")
    counts = predictions(await haproxy.snapshot(running))
    assert {name: (each.requests, each.failed) for name, each in counts.items() if each.requests} == {
        "flights-green": (1, 0),
        "weather-nobody": (1, 1),
    }


@pytest.mark.local_stack
async def test_reloads_lose_no_request_of_clients_that_keep_their_connections(
    running: Plane, replicas: dict[str, FakeReplica]
) -> None:
    over = asyncio.Event()
    statuses: list[int] = []

    async def ask_on() -> None:
        while not over.is_set():
            async with client(running) as kept:
                closed = False
                while not over.is_set() and not closed:
                    answer = await kept.ask("/flights/predict")
                    statuses.append(answer.status)
                    closed = answer.headers.get("connection") == "close"
                    await asyncio.sleep(0.001 * (len(statuses) % 7))

    clients = [asyncio.create_task(ask_on()) for _ in range(20)]
    routes = Route("flights", 0, (replicas["blue"].server,)), Route("weather")
    reloads = 0
    while reloads < 6 or len(statuses) < 200:
        reloads += 1
        haproxy.write(running, routes[: 1 + reloads % 2])
        await haproxy.reload(running)
        await until(running, lambda found, reload=reloads: ("weather-blue" in found.backends) == bool(reload % 2))  # type: ignore[misc]
    over.set()
    await asyncio.gather(*clients)
    assert set(statuses) == {200}


@pytest.mark.local_stack
async def test_a_configuration_that_haproxy_refuses_leaves_the_old_one_at_work(running: Plane) -> None:
    running.config_file.write_text(running.config_file.read_text() + "\nbackend broken\n    no such keyword\n")
    with pytest.raises(PermanentError, match="refused its configuration"):
        await haproxy.reload(running)
    assert (await ask(running, "/flights/predict")).status == 200


async def test_a_haproxy_that_is_not_there_is_an_error_that_may_pass(plane: Plane) -> None:
    with pytest.raises(RetryableError, match="does not answer"):
        await haproxy.snapshot(plane)
