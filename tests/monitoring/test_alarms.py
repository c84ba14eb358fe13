from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliostat.monitoring.alarms import (
    Alarms,
    Event,
    Status,
    UnknownAlarmError,
    acknowledge,
    advance,
    end_silence,
    silence,
)
from heliostat.spec.findings import newest_first
from heliostat.spec.notifications import AlarmPolicy
from tests.monitoring.found import BREACH, CRITICAL, DAY, OK, START, UNKNOWN, finding

KEY = "flights/quality/roc_auc"
POLICY = AlarmPolicy(repeat_seconds=0)


def walk(states, policy=POLICY, state=None, first=0):
    """The state after a finding a day, and each day's events."""
    state, events = state or Alarms(), []
    for day, each in enumerate(states, first):
        state, told = advance(state, [finding(each, day)] if each else [], policy, START + day * DAY + timedelta(hours=1))
        events.append([notification.event for notification in told])
    return state, events


def test_an_alarm_is_told_when_it_begins_and_when_it_ends_and_not_between():
    state, events = walk([OK, BREACH, BREACH, OK, OK])
    assert events == [[], [Event.FIRING], [], [Event.RESOLVED], []]
    assert state.alarms[KEY].status is Status.RESOLVED


def test_nothing_wrong_is_no_alarm():
    state, events = walk([OK, OK, UNKNOWN])
    assert state.alarms == {} and events == [[], [], []]


def test_what_cannot_be_told_neither_begins_an_alarm_nor_ends_one():
    state, events = walk([UNKNOWN, BREACH, UNKNOWN])
    assert events == [[], [Event.FIRING], []] and state.alarms[KEY].status is Status.FIRING


def test_a_breach_must_be_found_as_often_as_declared_and_so_must_its_end():
    policy = AlarmPolicy(breaches=2, passes=2, repeat_seconds=0)
    _, events = walk([BREACH, OK, BREACH, BREACH, OK, BREACH, OK, OK], policy)
    assert events == [[], [], [], [Event.FIRING], [], [], [], [Event.RESOLVED]]


def test_the_same_findings_again_change_nothing():
    state, _ = walk([OK, BREACH])
    now = START + DAY + timedelta(hours=2)
    again, told = advance(state, [finding(OK, 0), finding(BREACH, 1)], AlarmPolicy(breaches=1, repeat_seconds=0), now)
    assert again == state and told == []


def test_late_labels_of_the_newest_window_may_begin_an_alarm_and_those_of_an_older_one_may_not():
    state, _ = walk([OK, OK])
    now = START + DAY + timedelta(hours=2)
    state, told = advance(state, [finding(BREACH, 0)], POLICY, now)
    assert told == []
    state, told = advance(state, [finding(BREACH, 1)], POLICY, now)
    assert [each.event for each in told] == [Event.FIRING]


def test_an_alarm_that_gets_worse_is_told_again_though_it_was_acknowledged():
    state, _ = walk([BREACH])
    state = acknowledge(state, KEY, "ada", START + DAY)
    state, told = advance(state, [finding(BREACH, 1, severity=CRITICAL)], POLICY, START + DAY)
    assert [(each.event, each.alarm.severity) for each in told] == [(Event.WORSE, CRITICAL)]
    assert state.alarms[KEY].status is Status.FIRING


def test_an_alarm_that_nobody_acknowledges_is_repeated_and_one_that_somebody_does_is_not():
    policy = AlarmPolicy(repeat_seconds=2 * 86_400)
    state, events = walk([BREACH, None, None, None, None, None], policy)
    assert events == [[Event.FIRING], [], [Event.REMINDER], [], [Event.REMINDER], []]
    state = acknowledge(state, KEY, "ada", START + 5 * DAY)
    assert acknowledge(state, KEY, "bob", START + 6 * DAY) == state, "the first one looks after it"
    _, events = walk([BREACH, None, None, OK], policy, state, first=6)
    assert events == [[], [], [], [Event.RESOLVED]]


def test_an_alarm_that_waits_too_long_for_an_acknowledgement_is_escalated_once_and_becomes_critical():
    policy = AlarmPolicy(repeat_seconds=86_400, escalate_seconds=2 * 86_400)
    state, events = walk([BREACH, None, None, None], policy)
    assert events == [[Event.FIRING], [Event.REMINDER], [Event.ESCALATED], [Event.REMINDER]]
    assert state.alarms[KEY].severity is CRITICAL and state.alarms[KEY].escalated
    taken, _ = walk([BREACH], policy)
    _, events = walk([None] * 5, policy, acknowledge(taken, KEY, "ada", START), first=1)
    assert events == [[]] * 5


def test_what_got_worse_after_it_was_taken_waits_anew_before_it_is_escalated():
    policy = AlarmPolicy(repeat_seconds=0, escalate_seconds=2 * 86_400)
    state = acknowledge(walk([BREACH], policy)[0], KEY, "ada", START)
    worse = finding(BREACH, 5, severity=CRITICAL)
    state, told = advance(state, [worse], policy, START + 5 * DAY)
    assert [each.event for each in told] == [Event.WORSE]
    assert walk([None, None, None], policy, state, first=6)[1] == [[], [Event.ESCALATED], []]


def test_what_got_worse_or_ended_in_a_silence_is_told_when_it_is_over_to_whoever_knew_of_it():
    state, _ = walk([BREACH])
    quiet = silence(state, KEY, START + 3 * DAY, "a known holiday", "ada", START)
    worse, told = advance(quiet, [finding(BREACH, 1, severity=CRITICAL)], POLICY, START + DAY)
    assert told == []
    assert walk([None, None, None], state=worse, first=2)[1] == [[], [Event.WORSE], []]
    taken = acknowledge(worse, KEY, "bob", START + 2 * DAY)
    assert walk([None, None], state=taken, first=3)[1] == [[], []], "somebody looks after it as it is"
    over, events = walk([OK, None, None, None], state=worse, first=2)
    assert events == [[], [Event.RESOLVED], [], []] and over.alarms[KEY].status is Status.RESOLVED
    again, events = walk([OK, BREACH, None], state=quiet, first=1)
    assert events == [[], [], [Event.FIRING]] and again.alarms[KEY].breaches == 1


def test_a_silence_has_a_reason_an_author_and_an_end_and_what_it_hid_is_told_when_it_is_over():
    state = silence(Alarms(), "flights/quality/*", START + 2 * DAY, "a known holiday", "ada", START)
    state, events = walk([BREACH, BREACH, BREACH], state=state)
    assert events == [[], [], [Event.FIRING]] and state.silences == ()


def test_what_began_and_ended_in_a_silence_is_told_to_nobody():
    state = silence(Alarms(), KEY, START + 2 * DAY, "a known holiday", "ada", START)
    state, events = walk([BREACH, OK, None], state=state)
    assert events == [[], [], []] and state.alarms[KEY].status is Status.RESOLVED


def test_a_silence_is_about_its_keys_alone_can_be_replaced_and_ended():
    state = silence(Alarms(), "flights/bias/*", START + 2 * DAY, "why", "ada", START)
    assert walk([BREACH], state=state)[1] == [[Event.FIRING]]
    longer = silence(state, "flights/bias/*", START + 5 * DAY, "longer", "bob", START)
    assert [each.why for each in longer.silences] == ["longer"]
    assert end_silence(longer, "flights/bias/*").silences == () == end_silence(Alarms(), "nothing").silences


def test_a_silence_that_is_over_already_is_refused():
    with pytest.raises(ValueError, match="until 2026-01-01 00:00 is over already"):
        silence(Alarms(), KEY, START, "why", "ada", START)
    with pytest.raises(ValueError, match="at least 1 character"):
        silence(Alarms(), KEY, START + DAY, "", "ada", START)


def test_only_an_open_alarm_is_acknowledged_and_the_open_ones_are_named():
    state, _ = walk([BREACH])
    with pytest.raises(UnknownAlarmError, match="no open alarm 'x'; open are flights/quality/roc_auc"):
        acknowledge(state, "x", "ada", START)
    resolved, _ = walk([BREACH, OK])
    with pytest.raises(UnknownAlarmError, match="open are none"):
        acknowledge(resolved, KEY, "ada", START)


def test_a_resolved_alarm_is_shown_for_a_month_and_the_next_breach_is_a_new_one():
    state, _ = walk([BREACH, OK])
    later, _ = advance(state, [], POLICY, START + 20 * DAY)
    assert KEY in later.alarms
    gone, _ = advance(state, [], POLICY, START + 40 * DAY)
    assert gone.alarms == {}
    again, told = advance(state, [finding(BREACH, 5)], POLICY, START + 5 * DAY)
    assert [each.event for each in told] == [Event.FIRING] and again.alarms[KEY].since == START + 5 * DAY


@given(st.lists(st.sampled_from([OK, BREACH, UNKNOWN, None]), max_size=30), st.integers(1, 3), st.integers(1, 3))
def test_whatever_is_found_beginnings_and_ends_take_turns_and_the_state_survives_json(states, breaches, passes):
    state, events = walk(states, AlarmPolicy(breaches=breaches, passes=passes, repeat_seconds=0))
    told = [event for day in events for event in day]
    assert told == [Event.FIRING if number % 2 == 0 else Event.RESOLVED for number in range(len(told))]
    assert Alarms.model_validate_json(state.model_dump_json()) == state


def test_the_newest_and_worst_finding_comes_first():
    findings = (finding(OK, 1), finding(BREACH, 0), finding(BREACH, 1, subject="f1"), finding(BREACH, 1, severity=CRITICAL))
    assert [(each.subject, each.state) for each in newest_first(findings)] == [
        ("roc_auc", BREACH),
        ("f1", BREACH),
        ("roc_auc", OK),
        ("roc_auc", BREACH),
    ]


def test_keys_of_slices_that_vanish_are_forgotten_but_not_those_that_are_wrong(monkeypatch):
    monkeypatch.setattr("heliostat.monitoring.alarms.MOST_GONE", 3)
    state, _ = walk([BREACH])
    for day in range(1, 9):
        state, told = advance(state, [finding(OK, day, subject=f"roc_auc[day={day}]")], POLICY, START + day * DAY)
        assert told == []
    assert sorted(state.judged) == [KEY, *(f"{KEY}[day={day}]" for day in (5, 6, 7, 8))]
    assert state.alarms[KEY].status is Status.FIRING
    again, told = advance(state, [finding(BREACH, 0)], POLICY, START + 9 * DAY)
    assert told == [] and again.alarms == state.alarms
