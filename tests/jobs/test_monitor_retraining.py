"""A retraining is proposed once, ends as accepted or refused, and a refused candidate is an alarm."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from pydantic import ValidationError
from test_monitor_job import NEXT, breached, contents, data, receiver, world
from watched_birds import DAY, MONDAY, Watched, birds

from heliostat.jobs import monitor
from heliostat.monitoring.proposals import Proposal, until_of
from heliostat.spec.ledger import Entry, EntryKind, key_of
from heliostat.spec.monitoring import Refusal
from heliostat.spec.retraining import RetrainingPolicy
from heliostat.spec.rollouts import Phase
from heliostat.spec.strategies import BlueGreen
from heliostat.testing import desired

__all__ = ["contents", "data", "receiver", "world"]
ASKED = {
    "drift": {},
    "retraining": {
        "triggers": [{"kind": "finding", "aspects": ["drift"], "windows": 2}],
        "dataParameter": "last_day", "cooldownSeconds": 0, "refusedCooldownSeconds": 0, "leastNewRows": 1,
    },
}  # fmt: skip


def heavier(world: Watched, days: int) -> dt.datetime:
    """Days on which birds are heavier, with labels; when the last one is looked at."""
    world.look(MONDAY - DAY / 2, **ASKED)
    for number in range(days):
        rows = birds(400, number + 2, heavier=2.0)
        world.log(MONDAY + number * DAY, rows)
        world.label(MONDAY + number * DAY, rows)
        world.look(NEXT + number * DAY, **ASKED)
    return NEXT + (days - 1) * DAY


def test_two_bad_windows_propose_one_retraining_with_what_is_to_change(world: Watched) -> None:
    last = heavier(world, 2)
    state = world.state
    assert state.decision is not None and state.decision.proposed
    proposal = state.proposal
    assert proposal is not None
    assert proposal.change == (("birds", "dataParameters", "last_day"), "2026-03-03")
    assert "birds/drift/weight in 2 windows one after another" in proposal.text
    assert "sets last_day to 2026-03-03" in proposal.text and "800 labelled rows are new to it" in proposal.facts[0]
    kept = [info.key for info in world.store.list("monitors/birds/proposals/")]
    assert [Proposal.model_validate(json.loads(world.store.get(key))) for key in kept] == [proposal]
    again = world.look(last + dt.timedelta(minutes=1), **ASKED)
    assert again.proposal == proposal
    assert again.decision is not None and again.decision.held_back == ("one is running",)
    assert again.of_retraining == proposal.text, "it is proposed still, and nothing says that it is not"


def test_one_bad_window_proposes_nothing(world: Watched) -> None:
    heavier(world, 1)
    assert world.state.proposal is None
    assert not [*world.store.list("monitors/birds/proposals/")]


def test_a_refused_candidate_is_an_alarm_until_a_version_comes(world: Watched) -> None:
    last = heavier(world, 2)
    refused = Refusal(at=last.timestamp() + 60, candidate="models:/m-9", reasons=("error is 0.2 worse",), report="file:///r")
    world.store.put("monitors/birds/refusals/run.json", refused.model_dump_json().encode())
    state = world.look(last + dt.timedelta(minutes=5), **ASKED)
    assert "retraining/candidate" in breached(state)
    assert "models:/m-9 was refused: error is 0.2 worse; see file:///r" in state.findings["birds/retraining/candidate"].text
    assert [each.outcome for each in state.retrainings] == ["refused"]
    specification = world.specification(last + DAY, **ASKED)
    monitor.watch(specification.model_copy(update={"model_uri": "models:/birds/4"}))
    assert "retraining/candidate" not in breached(world.state)


def test_another_version_ends_what_was_proposed(world: Watched) -> None:
    last = heavier(world, 2)
    specification = world.specification(last + DAY, **ASKED)
    monitor.watch(specification.model_copy(update={"model_uri": "models:/birds/4"}))
    assert [each.outcome for each in world.state.retrainings] == ["accepted"]
    assert world.state.proposal is None


def test_what_is_merged_and_trains_nothing_ends_without_a_candidate_and_is_an_alarm(world: Watched) -> None:
    last = heavier(world, 2)
    declared = world.specification(last + DAY, **ASKED).model_copy(update={"data_value": "2026-03-02"})
    monitor.watch(declared)
    assert world.state.proposal is not None, "the change is not merged yet"
    updated = declared.model_copy(update={"data_value": "2026-03-03", "at": (last + 2 * DAY).timestamp()})
    monitor.watch(updated)
    state = world.state
    assert state.proposal is None
    assert [(each.outcome, each.cost_usd) for each in state.retrainings] == [("failed", 0.0)]
    assert "retraining/candidate" in breached(state)
    assert "no version came of the retraining" in state.findings["birds/retraining/candidate"].text
    assert state.decision is not None and any("the same data would come out" in text for text in state.decision.held_back)
    came = updated.model_copy(update={"model_uri": "models:/birds/4", "at": (last + 3 * DAY).timestamp()})
    monitor.watch(came)
    assert "retraining/candidate" not in breached(world.state)


@pytest.mark.parametrize(
    ("phase", "before", "outcomes"),
    [(Phase.FAILED, 1, ["refused"]), (Phase.FAILED, 2, []), (Phase.SUCCEEDED, 1, [])],
    ids=["it went back", "it went back and had the same model", "it is through"],
)
def test_a_candidate_that_its_rollout_went_back_from_ends_what_was_proposed(
    world: Watched, phase: Phase, before: int, outcomes: list[str]
) -> None:
    last = heavier(world, 2)
    told = Entry(
        number=1, id="1", application="birds", at=last.timestamp() + 60, kind=EntryKind.END, rollout=3, phase=phase,
        strategy=BlueGreen(), previous=desired(before), target=desired(2), weights={}, error="success rate 0 %\nof 100",
    )  # fmt: skip
    world.store.put(key_of("birds", 1), told.model_dump_json().encode())
    state = world.look(last + dt.timedelta(minutes=5), **ASKED)
    assert [each.outcome for each in state.retrainings] == outcomes
    assert ("retraining/candidate" in breached(state)) == bool(outcomes)
    if outcomes:
        text = state.findings["birds/retraining/candidate"].text
        assert "models:/none/2 was refused: rollout 3 went back: success rate 0 %; see file:///" in text


def asked_with(**more: object) -> dict[str, object]:
    return {**ASKED, "retraining": {**ASKED["retraining"], **more}}


def test_where_rows_are_ingested_the_end_of_the_newest_labelled_day_is_proposed(world: Watched) -> None:
    heavier(world, 2)
    again = asked_with(dataParameter="data.until", continues=True)
    for key in [*world.store.list("monitors/birds/state/")]:
        world.store.delete(key.key)
    state = world.look(NEXT + DAY, **again)
    proposal = state.proposal
    assert proposal is not None and proposal.change == (("birds", "data", "until"), "2026-03-04T00:00:00Z")
    assert proposal.changes == {
        ("birds", "data", "until"): "2026-03-04T00:00:00Z",
        ("birds", "training", "continueFrom"): "models:/birds/3",
    }
    assert "It continues from models:/birds/3" in proposal.facts


@pytest.mark.parametrize(
    ("newest", "until"),
    [
        (dt.datetime(2026, 3, 3, 22, 1, tzinfo=dt.UTC), "2026-03-04T00:00:00Z"),
        (dt.datetime(2026, 3, 4, 3, 1, 7, tzinfo=dt.UTC), "2026-03-04T03:02:00Z"),
        (dt.datetime(2026, 3, 4, 4, 59, 59, tzinfo=dt.UTC), "2026-03-04T05:00:00Z"),
        (None, "2026-03-04T00:00:00Z"),
        (dt.datetime(2026, 3, 5, tzinfo=dt.UTC), "2026-03-04T00:00:00Z"),
    ],
    ids=["a day that is over", "of today what is over", "this minute", "without labels", "a clock that is ahead"],
)
def test_no_row_is_proposed_that_is_still_to_come(newest: dt.datetime | None, until: str) -> None:
    assert until_of(newest, dt.datetime(2026, 3, 4, 5, 0, tzinfo=dt.UTC)) == until


def test_an_ensemble_with_what_serves_is_proposed_where_the_policy_says_so(world: Watched) -> None:
    heavier(world, 2)
    for key in [*world.store.list("monitors/birds/state/")]:
        world.store.delete(key.key)
    proposal = world.look(NEXT + DAY, **asked_with(dataParameter="data.until", ensemble=True)).proposal
    assert proposal is not None and proposal.changes == {
        ("birds", "data", "until"): "2026-03-04T00:00:00Z",
        ("birds", "training", "ensemble", "model"): "models:/birds/3",
    }
    assert "Its model answers together with models:/birds/3" in proposal.facts


@pytest.mark.parametrize("how", ["continues", "ensemble"])
def test_to_keep_what_was_known_takes_a_change_of_the_config(how: str) -> None:
    with pytest.raises(ValidationError, match=f"`{how}` changes the config, and so it takes a `dataParameter`"):
        RetrainingPolicy.model_validate({"triggers": [{"kind": "new-data", "rows": 9}], how: True})


def test_a_model_goes_on_from_the_old_one_or_answers_beside_it() -> None:
    both = {"triggers": [{"kind": "new-data", "rows": 9}], "dataParameter": "day", "continues": True, "ensemble": True}
    with pytest.raises(ValidationError, match="`continues` and `ensemble` exclude each other"):
        RetrainingPolicy.model_validate(both)
