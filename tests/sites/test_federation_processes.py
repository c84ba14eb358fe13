"""A coordinator and its sites as real processes, which are killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from federation_world import FederationWorld, rounds_of


@pytest.fixture
def world(tmp_path: Path) -> Iterator[FederationWorld]:
    found = FederationWorld(tmp_path, ("berlin", "lyon"), processes=True)
    yield found
    found.finish()


def assert_trained(world: FederationWorld, rounds: int) -> None:
    found, wanted = world.result(), world.expected(rounds)
    assert all(found[name].tobytes() == np.asarray(wanted[name]).tobytes() for name in wanted)


def test_what_a_site_sent_counts_though_both_were_killed_since(world: FederationWorld) -> None:
    first = world.coordinator(rules={"rounds": 1})
    berlin = world.site("berlin")
    berlin.await_line("fitted on 20 rows")
    _await((world.tmp_path / "objects/federations/tiny" / ("d" * 64) / "open/1-1.fit.berlin").is_file)
    berlin.kill()
    first.kill()
    second = world.coordinator(rules={"rounds": 1})
    world.site("lyon")
    assert second.rest() == 0
    assert_trained(world, 1)


@pytest.mark.long
def test_a_killed_site_comes_back_and_goes_on(world: FederationWorld) -> None:
    coordinator = world.coordinator()
    world.site("berlin")
    slow = world.site("lyon", FIT_SECONDS="60")
    slow.await_line("takes part in tiny with 40 rows")
    slow.kill()
    world.site("lyon")
    assert coordinator.rest() == 0
    assert_trained(world, 3)


@pytest.mark.long
def test_the_token_stands_in_nobody_s_arguments_and_in_no_file_of_the_coordinator(world: FederationWorld) -> None:
    coordinator = world.coordinator()
    sites = [world.site(name) for name in world.names]
    tokens = [token.encode() for token in world.tokens.values()]
    for each in (coordinator, *sites):
        arguments = Path(f"/proc/{each.process.pid}/cmdline").read_bytes()  # type: ignore[union-attr]
        assert not any(token in arguments for token in tokens)
    assert coordinator.rest() == 0
    kept = [path.read_bytes() for path in world.tmp_path.rglob("*") if path.is_file()]
    said = "\n".join(line for each in (coordinator, *sites) for line in each.lines).encode()
    assert not any(token in content for token in tokens for content in (*kept, said))
    assert len(rounds_of(coordinator)) == 3


def _await(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not done():
        assert time.monotonic() < until
        time.sleep(0.02)
