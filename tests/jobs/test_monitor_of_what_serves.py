"""The version that serves is watched, whatever is declared: a candidate waits for a person for days, or is turned back."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from test_monitor_job import NEXT, breached, contents, data, receiver, world
from test_monitor_retraining import ASKED
from watched_birds import DAY, MONDAY, Watched, birds

from heliostat.jobs import monitor
from heliostat.jobs.monitoring.serving import serving_in
from heliostat.monitoring.state import MonitorState
from heliostat.spec.ledger import Entry, EntryKind, key_of
from heliostat.spec.rollouts import Desired, Phase
from heliostat.spec.strategies import BlueGreen
from heliostat.systems.errors import RetryableError
from heliostat.testing.declarations import desired, version

__all__ = ["contents", "data", "receiver", "world"]
ONE, OTHER = "models:/none/3", "models:/none/4"
AT_ONCE: dict[str, Any] = {**ASKED, "retraining": {**ASKED["retraining"], "triggers": [{"kind": "new-data", "rows": 100}]}}


def entry(
    number: int, kind: EntryKind, phase: Phase, at: dt.datetime, before: Desired | None, after: Desired, share: float = 0.0
) -> Entry:
    """What the ledger says, with the share of the requests that goes to the version that comes."""
    return Entry(
        number=number, id=str(number), application="birds", at=at.timestamp(), kind=kind, rollout=number, phase=phase,
        strategy=BlueGreen(), previous=before, target=after, weights={after.version.digest: share} if share else {},
    )  # fmt: skip


def told(world: Watched, number: int, kind: EntryKind, phase: Phase, at: dt.datetime, before: int | None, after: int) -> None:
    """An entry of the ledger, of versions with the code that the monitor has."""
    code = {"code_uri": world.store.uri(f"code/{'c' * 64}.zip"), "contract": world.contents.entry_point}
    sides = [None if each is None else desired(version=version(each, **code)) for each in (before, after)]
    assert sides[1] is not None
    found = entry(number, kind, phase, at, sides[0], sides[1])
    world.store.put(key_of("birds", number), found.model_dump_json().encode())


@pytest.fixture(autouse=True)
def known_data(world: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every version the registry says that it was trained on the same."""
    monkeypatch.setattr(monitor, "registered_data", lambda _: lambda uri: world.digest)


def look(world: Watched, model: str, now: dt.datetime, **changes: Any) -> MonitorState:
    monitor.watch(world.specification(now, **AT_ONCE).model_copy(update={"model_uri": model, **changes}))
    return world.state


def with_a_candidate(world: Watched) -> None:
    """One serves and its retraining is proposed; the other is declared and waits for a person."""
    told(world, 1, EntryKind.END, Phase.SUCCEEDED, MONDAY - DAY, None, 3)
    look(world, ONE, MONDAY - DAY / 2, data_value="2026-03-01")
    world.log(MONDAY)
    world.label(MONDAY)
    assert look(world, ONE, NEXT, data_value="2026-03-01").proposal is not None
    told(world, 2, EntryKind.SHIFT, Phase.WAITING, NEXT + DAY / 24, 3, 4)
    world.log(MONDAY + DAY, birds(400, 3, heavier=2.0))


def candidate(world: Watched, now: dt.datetime) -> MonitorState:
    return look(world, OTHER, now, data_value="2026-03-02")


def test_while_a_candidate_waits_the_one_that_serves_is_watched(world: Watched) -> None:
    with_a_candidate(world)
    state = candidate(world, NEXT + DAY)
    assert state.model_uri == ONE
    assert "drift/weight" in breached(state), "its rows are looked at"
    assert state.proposal is not None and not state.retrainings, "nothing came of it yet"


def test_where_a_person_turns_it_back_the_one_that_serves_is_watched_and_an_alarm_says_so(world: Watched) -> None:
    with_a_candidate(world)
    told(world, 3, EntryKind.END, Phase.FAILED, NEXT + DAY / 12, 3, 4)
    state = candidate(world, NEXT + DAY)
    assert state.model_uri == ONE
    assert {"drift/weight", "retraining/candidate"} <= breached(state)
    assert [each.outcome for each in state.retrainings] == ["refused"]


def test_once_it_is_through_it_is_watched_and_the_proposal_is_accepted(world: Watched) -> None:
    with_a_candidate(world)
    candidate(world, NEXT + DAY)
    told(world, 3, EntryKind.END, Phase.SUCCEEDED, NEXT + DAY, 3, 4)
    state = candidate(world, NEXT + 2 * DAY)
    assert state.model_uri == OTHER
    assert [each.outcome for each in state.retrainings] == ["accepted"]


def test_after_a_rollback_of_what_served_the_older_one_is_watched(world: Watched) -> None:
    with_a_candidate(world)
    told(world, 3, EntryKind.END, Phase.SUCCEEDED, NEXT + DAY / 12, 3, 4)
    assert candidate(world, NEXT + DAY / 6).model_uri == OTHER
    told(world, 4, EntryKind.END, Phase.SUCCEEDED, NEXT + DAY / 4, 4, 3)
    assert candidate(world, NEXT + DAY / 2).model_uri == ONE


def test_where_its_data_are_not_known_what_was_declared_is_watched_and_that_is_said(
    world: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(uri: str) -> str:
        raise RetryableError("MLflow does not answer")

    with_a_candidate(world)
    monkeypatch.setattr(monitor, "registered_data", lambda _: away)
    for moment in (NEXT + DAY, NEXT + DAY + dt.timedelta(minutes=5)):
        state = candidate(world, moment)
        said = [each for each in state.problems if f"{ONE} serves, and {OTHER} is looked at" in each]
        assert state.model_uri == OTHER and len(said) == 1 and "MLflow does not answer" in said[0]


def serving(kind: EntryKind, phase: Phase, share: float, *, is_first: bool = False) -> str | None:
    """What serves by an entry of a rollout from 3 to 4."""
    found = serving_in(entry(1, kind, phase, MONDAY, None if is_first else desired(3), desired(4), share))
    return found.model_uri if found is not None else None


def test_of_what_is_removed_or_never_came_the_ledger_says_nothing() -> None:
    assert serving(EntryKind.REMOVED, Phase.SUCCEEDED, 1.0) is None
    assert serving(EntryKind.END, Phase.FAILED, 0.0, is_first=True) is None


def test_what_was_there_before_serves_until_all_requests_go_to_the_other() -> None:
    assert serving(EntryKind.SHIFT, Phase.STARTING, 0.0) == ONE
    assert serving(EntryKind.SHIFT, Phase.SHIFTING, 0.9) == ONE, "it may go back still"
    assert serving(EntryKind.SHIFT, Phase.SHIFTING, 1.0) == OTHER
    assert serving(EntryKind.SHIFT, Phase.STARTING, 0.0, is_first=True) == OTHER
