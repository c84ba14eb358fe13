"""What a schedule's job calls: the stacks' monitors are asked, and told, by the command itself."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from story import Story, pull_of, story

from heliostat.engine.state import checkpoint
from heliostat.engine.state.backend import Backend, StackRef
from heliostat.engine.state.snapshot import Resource, Snapshot
from heliostat.monitoring.proposals import Proposal
from heliostat.monitoring.retraining import Outcome
from heliostat.monitoring.state import MonitorState, state_of
from heliostat.spec.monitoring import schedule_name, states
from heliostat.spec.predictions import schedule_key
from heliostat.systems.objects import Directory
from heliostat.systems.revisions import Revisions

PROPOSAL = Proposal(
    application="bees",
    at=dt.datetime(2026, 3, 4, 5, 6, 7, tzinfo=dt.UTC),
    model_uri="models:/bees/1",
    reasons=("quality in 2 windows",),
    new_rows=9,
    data_parameter="last_day",
    value="2026-03-03",
)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Story]:
    with story(tmp_path, monkeypatch, capsys, wrong="none") as found:
        yield found


class Monitored:
    """The stack staging with an application that is watched, and what its monitor remembers."""

    def __init__(self, told: Story) -> None:
        backend, ref = Backend.open(told.world.environment["PULUMI_BACKEND_URL"]), StackRef("heliostat", "staging")
        urn = "urn:pulumi:staging::heliostat::{}::bees".format
        stack = Resource(urn=urn("pulumi:pulumi:Stack"), type="pulumi:pulumi:Stack", custom=False)
        application = Resource(
            urn=urn("heliostat:index:Application"), type="heliostat:index:Application", custom=True, id="bees"
        )
        application.outputs.update(name="bees")
        encoder = checkpoint.Encoder(ref.full_name, None)
        backend.write(ref, encoder.document(encoder.body(Snapshot(resources=[stack, application])), checkpoint.manifest()))
        store = Directory(told.world.tests.folder / "objects")
        store.put(schedule_key(schedule_name("bees")), b"{}")
        self._revisions = Revisions(store, states("bees"))
        self.write(MonitorState(proposal=PROPOSAL))

    def write(self, state: MonitorState) -> None:
        self._revisions.change(lambda _: state.model_dump_json().encode())

    @property
    def state(self) -> MonitorState:
        return state_of(self._revisions.newest()[1])


def test_what_a_monitor_proposes_is_a_pull_request_and_closed_it_is_refused(told: Story):
    monitored = Monitored(told)
    for _ in range(2):
        (found,) = json.loads(told.heliostat("ci", "retrain", "-s", "staging", "-s", "production", "--json"))
        assert (found["standing"], found["told"]) == ("proposed", "quality in 2 windows")
    _, pull = pull_of("monitor/bees-in-staging", told.played)
    pull["state"] = "closed"
    assert "declined" in told.heliostat("ci", "retrain", "-s", "staging")
    assert monitored.state.proposal is None and [each.outcome for each in monitored.state.retrainings] == [Outcome.REFUSED]
    assert "No monitor in staging proposes" in told.heliostat("ci", "retrain", "-s", "staging")


def test_a_stack_that_does_not_answer_is_told_and_holds_up_no_other(told: Story):
    Monitored(told)
    (told.world.folder / "state/.pulumi/stacks/heliostat/live.json").write_text("{")
    said = json.loads(told.heliostat("ci", "retrain", "-s", "production", "-s", "staging", "--json", code=1))
    assert [(each["stack"], each["standing"]) for each in said] == [("production", "failed"), ("staging", "proposed")]
    (production,) = (line for line in told.heliostat("ci", "reconcile", "-s", "production", code=1).splitlines() if line)
    assert production.startswith("production: the stack: failed: ")
    said = json.loads(told.heliostat("ci", "outcomes", "-s", "production", "-s", "staging", "--json", code=1))
    assert said["failures"].keys() == {"production"} and said["pullRequests"] == []


def test_a_version_that_the_registry_does_not_have_is_not_promoted_and_nothing_is_pushed(told: Story):
    before = told.git("ls-remote", "origin")
    said = told.heliostat("promote", "bees", "--version", "models:/bees/9", "--to", "production", code=1)
    assert "models:/bees/9 is not in the registry" in said
    assert told.git("ls-remote", "origin") == before and told.played.repository.pulls == {}


def test_what_does_not_go_together_is_told(told: Story):
    for arguments, fix in (
        (("-s", "staging", "--reason", "x"), "name it"),
        (("bees", "-s", "staging"), "--set"),
        (("bees", "-s", "staging", "-s", "production", "--set", "a=1", "--reason", "x"), "the one stack"),
        ((), "--stack"),
    ):
        assert fix in told.heliostat("ci", "retrain", *arguments, code=2)
