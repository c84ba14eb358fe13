"""What an agent is started with, and what it finds in its folder."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from heliostat.spec.addresses import TokenFile, TokenVariable
from heliostat.spec.endpoints import Endpoint
from heliostat.systems.errors import PermanentError
from heliostat.systems.haproxy_config import Plane, Route, render
from heliostat.traffic.__main__ import _parser, settings_of
from heliostat.traffic.memory import AgentMemory
from heliostat.traffic.messages import WantedRoutes
from heliostat.traffic.routes import ApplicationRoute, ColourRoute

NEEDED = ("--controller", "http://heliostat.ml.svc:9000", "--directory", "/traffic")
WANTED = WantedRoutes(revision=7, routes={"flights": ApplicationRoute(1, ColourRoute(), ColourRoute())})


def parsed(*given: str) -> argparse.Namespace:
    return _parser().parse_args([*NEEDED, *given])


def test_a_pods_arguments_are_few() -> None:
    found = settings_of(parsed("--token-file", "/token", "--member", "traffic-7f9", "--url", "http://10.0.0.7:8081"))
    assert (found.host, found.public_port, found.port) == ("0.0.0.0", 8080, 8081)
    assert found.controller.credential == TokenFile(path="/token")
    assert (found.settle_seconds, found.drain_seconds, found.traffic.threads) == (5.0, 30.0, 1)
    assert settings_of(parsed("--token-variable", "TOKEN")).controller.credential == TokenVariable(variable="TOKEN")


def test_all_mistakes_are_told_at_once_with_what_was_given() -> None:
    with pytest.raises(PermanentError) as raised:
        settings_of(
            parsed("--token-file", "token", "--port", "80", "--threads", "0", "--member", "a/b", "--drain-seconds", "-1")
        )
    for part in ("controller.credential", "port: ", "traffic.threads", "member: ", "drain_seconds", "not 80", "not 'a/b'"):
        assert part in str(raised.value)


def test_a_folder_that_is_new_has_nothing(tmp_path: Path) -> None:
    found = AgentMemory(tmp_path / "new")
    assert (found.wanted, found.routes(), found.peers) == (None, {}, ())


def test_what_was_kept_is_found_again(tmp_path: Path) -> None:
    kept, route = AgentMemory(tmp_path), Route("flights", 1, (Endpoint("a", "10.0.0.1", 80),))
    kept.save_wanted(WANTED)
    kept.save_route(route)
    kept.save_peers(("http://10.0.0.7:8081",))
    found = AgentMemory(tmp_path)
    assert (found.wanted, found.routes(), found.peers) == (WANTED, {"flights": route}, ("http://10.0.0.7:8081",))


def test_what_cannot_be_written_is_done_all_the_same(tmp_path: Path) -> None:
    kept = AgentMemory(tmp_path)
    (tmp_path / "wanted.json").mkdir()
    kept.save_wanted(WANTED)
    assert kept.wanted == WANTED
    assert kept.faults.error


def test_files_that_are_not_understood_are_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "wanted.json").write_text('{"revision": -1}')
    with pytest.raises(PermanentError, match="remove its JSON files"):
        AgentMemory(tmp_path)


def test_only_one_of_several_haproxies_can_send_its_clients_away(tmp_path: Path) -> None:
    alone = Plane("127.0.0.1", 8080, tmp_path, tmp_path, 1, 256, 10.0)
    several = Plane("127.0.0.1", 8080, tmp_path, tmp_path, 1, 256, 10.0, one_of_several=True)
    assert "proc.leaving" not in render(alone, ())
    assert "connection close if { stopping } || { var(proc.leaving) -m bool }" in render(several, ())
