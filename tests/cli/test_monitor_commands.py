"""`heliostat monitor`, and what `heliostat status` says of what is watched."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from alarms_over_http import alarms_of

from heliostat.monitoring.alarms import Alarm, Alarms, Status
from heliostat.monitoring.other_versions import OtherVersion
from heliostat.monitoring.state import MonitorState, state_of
from heliostat.spec.findings import Aspect, Finding, Severity, State
from heliostat.spec.monitoring import states
from heliostat.spec.predictions import schedule_key
from heliostat.systems.revisions import Revisions

NOW = datetime.now(UTC)
AREA = Finding(
    monitor="flights", aspect=Aspect.QUALITY, subject="roc_auc", state=State.BREACH, severity=Severity.CRITICAL,
    window="2026-03-01", at=NOW - timedelta(hours=2), value=0.58, limit=0.62, text="roc_auc is 0.58, below 0.62",
)  # fmt: skip
CARRIER = AREA.model_copy(
    update={"aspect": Aspect.DRIFT, "subject": "carrier", "state": State.OK, "text": "carrier is stable", "value": 0.01}
)

LATE = AREA.model_copy(update={"window": "2026-02-27", "text": "of version 2, which is not watched now: roc_auc is 0.57"})


@pytest.fixture
def watched(stack):
    """A monitor as its last look left it."""
    alarm = Alarm(key=AREA.key, status=Status.FIRING, severity=AREA.severity, finding=AREA, since=AREA.at, told=AREA.at)
    state = MonitorState(
        looked_at=NOW, model_uri="models:/flights/3", newest_window="2026-03-01", problems=("drift of seen is not watched",),
        findings={each.key: each for each in (AREA, CARRIER)}, alarms=Alarms(alarms={AREA.key: alarm}),
        others={"2": OtherVersion(findings={LATE.key: LATE}, at=NOW)},
    )  # fmt: skip
    from platform_stack import PlatformStack

    platform = PlatformStack(stack)
    platform.store.put(schedule_key("monitor.flights"), b"{}")
    revisions = Revisions(platform.store, states("flights"))
    revisions.change(lambda _: state.model_dump_json().encode())
    served, noted = alarms_of(platform.store_address)
    with served as url:
        platform.exports(platform=platform.platform(url))
        yield SimpleNamespace(state=lambda: state_of(revisions.newest()[1]), noted=noted.events)


def test_monitors_are_listed_with_their_newest_finding(watched, stack):
    shown = stack.ok("monitor", "list")
    assert "flights" in shown and "roc_auc is 0.58, below 0.62" in shown
    [told] = json.loads(stack.ok("monitor", "list", "--json"))
    assert (told["name"], told["openAlarms"], told["finding"]["state"]) == ("flights", [AREA.key], "breach")
    status = stack("status")
    assert "roc_auc is 0.58, below 0.62" in status.out
    assert json.loads(stack("status", "--json").out)["monitors"][0]["window"] == "2026-03-01"


def test_without_any_that_is_said(stack):
    from platform_stack import PlatformStack

    platform = PlatformStack(stack)
    platform.exports(platform=platform.platform())
    assert "Nothing is watched" in stack.ok("monitor", "list")
    assert "nothing is watched: declare `monitor`" in stack("monitor", "show").err


def test_what_is_wrong_is_shown_and_what_is_right_on_demand(watched, stack):
    shown = stack.ok("monitor", "show")
    assert "flights, models:/flights/3: looked at" in shown and "newest window 2026-03-01" in shown
    assert "roc_auc" in shown and "carrier" not in shown and "1 is right; `--all` shows it." in shown
    assert "2026-02-27, quality roc_auc: breach, of version 2, which is not watched now: roc_auc is 0.57" in shown
    assert "carrier is stable" in stack.ok("monitor", "show", "flights", "--all")
    remedy = "In 2026-03-01 the model is worse (quality/roc_auc), and no input is known to have drifted"
    assert remedy in shown and remedy in stack("monitor", "alarms").out
    told = json.loads(stack.ok("monitor", "show", "--json"))
    assert [each.startswith(remedy) for each in told["remedies"]] == [True]
    assert [each["subject"] for each in told["findings"]] == ["roc_auc", "carrier"]
    assert [(each["version"], each["window"]) for each in told["otherVersions"]] == [("2", "2026-02-27")]
    assert "demand is not watched" in stack("monitor", "show", "demand").err


def test_whoever_is_on_call_is_told_and_takes_an_alarm(watched, stack):
    ran = stack("monitor", "alarms")
    assert ran.code == 1 and "1 open alarm" in ran.out and "flights/quality/roc_auc" in ran.out
    assert "there is no open alarm 'flights/drift/carrier'" in stack("monitor", "acknowledge", "flights", "drift/carrier").err
    assert "flights/quality/roc_auc is looked after" in stack.ok("monitor", "acknowledge", "flights", "quality/roc_auc",
                                                                 "--by", "Ada")  # fmt: skip
    assert watched.state().alarms.alarms[AREA.key].status is Status.ACKNOWLEDGED
    assert "Ada looks after it" in stack.ok("monitor", "alarms", "flights")
    told = json.loads(stack.ok("monitor", "alarms", "--json"))
    assert told["alarms"][0]["acknowledgedBy"] == "Ada"


def test_alarms_are_silent_for_a_while_and_told_again(watched, stack):
    stack.ok("monitor", "silence", "flights", "quality/*", "--for", "2h", "--why", "labels are late", "--by", "Ada")
    [silence] = watched.state().alarms.silences
    assert (silence.keys, silence.why, silence.who) == ("flights/quality/*", "labels are late", "Ada")
    assert "silent until" in stack("monitor", "alarms").out
    stack.ok("monitor", "unsilence", "flights", "quality/*")
    assert watched.state().alarms.silences == ()
    assert [(each.action, each.by, each.reason) for each in watched.noted] == [
        ("alarm.silence", "Ada", "labels are late"), ("alarm.unsilence", getpass.getuser(), ""),
    ]  # fmt: skip
    assert "demand is not watched" in stack("monitor", "silence", "demand", "x", "--for", "2h", "--why", "x").err
    assert stack("monitor", "silence", "flights", "x", "--for", "never", "--why", "x").code != 0


def test_a_look_needs_a_monitor_that_is_declared(watched, stack):
    assert "exports no Ray cluster" in stack("monitor", "run").err
