from __future__ import annotations

import json
from datetime import timedelta

from heliostat.monitoring.alarms import Alarms, acknowledge, advance, silence
from heliostat.monitoring.deliveries import Outbox, delivered, due, enqueue, failed
from heliostat.monitoring.messages import as_json, as_mail, as_slack, summary, title
from heliostat.spec.addresses import TokenVariable
from heliostat.spec.notifications import AlarmPolicy, Slack, Webhook
from tests.monitoring.found import BREACH, CRITICAL, DAY, OK, START, finding

POLICY = AlarmPolicy(repeat_seconds=0, escalate_seconds=86_400)
HOOK = Webhook(name="hook", url="http://127.0.0.1:1/x")
PAGER = Slack(name="pager", url=TokenVariable(variable="URL"), only_escalated=True)
LOUD = Webhook(name="loud", url="http://127.0.0.1:1/y", least_severity=CRITICAL)


def told(state=None, *findings, now=START):
    return advance(state or Alarms(), findings or [finding(BREACH)], POLICY, now)


def test_a_sink_gets_what_it_wants_once_and_nothing_twice():
    state, first = told()
    outbox = enqueue(Outbox(), first, [HOOK, PAGER, LOUD])
    assert [each.sink for each in due(outbox, START)] == ["hook"]
    assert enqueue(outbox, first, [HOOK, PAGER, LOUD]) == outbox, "a look that was killed may be repeated"
    _, escalated = advance(state, [], POLICY, START + DAY)
    outbox = enqueue(Outbox(), escalated, [HOOK, PAGER, LOUD])
    assert [each.sink for each in outbox.waiting] == ["hook", "pager", "loud"], "what is escalated is critical"
    assert delivered(outbox, outbox.waiting[0]).waiting == outbox.waiting[1:]
    assert enqueue(Outbox(), [], [HOOK]) == Outbox()


def test_who_was_told_of_a_beginning_is_told_of_the_end_after_it():
    state, first = told()
    outbox = enqueue(Outbox(), first, [HOOK])
    _, end = advance(state, [finding(OK, 1)], POLICY, START + DAY)
    outbox = enqueue(outbox, end, [HOOK])
    [one] = due(outbox, START + DAY)
    assert one.notification.event == "firing"
    [other] = due(delivered(outbox, one), START + DAY)
    assert other.notification.event == "resolved"


def test_a_delivery_that_fails_is_tried_again_ever_later_and_given_up_after_two_days():
    _, first = told()
    outbox, now, waits = enqueue(Outbox(), first, [HOOK]), START, []
    while outbox.waiting:
        [one] = due(outbox, now)
        outbox = failed(outbox, one, "no answer", permanent=False, now=now)
        if outbox.waiting:
            assert due(outbox, now) == []
            waits.append((outbox.waiting[0].due - now).total_seconds())
            now = outbox.waiting[0].due
    assert waits[:3] == [30, 60, 120] and max(waits) == 3600
    assert now - START >= timedelta(days=2) and outbox.lost[0].error == "no answer"


def test_what_is_refused_for_good_is_not_tried_again_and_only_the_newest_losses_are_kept():
    outbox = Outbox()
    for number in range(120):
        _, first = told(None, finding(BREACH, subject=f"column-{number}"))
        outbox = enqueue(outbox, first, [HOOK])
        outbox = failed(outbox, outbox.waiting[0], "404", permanent=True, now=START)
    assert outbox.waiting == () and len(outbox.lost) == 100
    assert outbox.lost[-1].notification.alarm.finding.subject == "column-119"


def test_a_message_says_what_is_wrong_in_one_line_and_then_in_full():
    _, [first] = told(None, finding(BREACH, text="roc_auc is 0.61, below 0.65:\nlook at carrier <UA>", subject="roc_auc"))
    assert title(first) == "[warning] flights: quality of roc_auc is wrong"
    assert json.loads(json.dumps(as_json(first)))["alarm"]["finding"]["text"].startswith("roc_auc is 0.61")
    slack = as_slack(first)
    assert "&lt;UA&gt;" in slack["attachments"][0]["blocks"][0]["text"]["text"], "what a column is called is no markup"
    subject, text = as_mail(first)
    assert subject == title(first) and "alarm     flights/quality/roc_auc" in text and "window    2026-01-01" in text


def test_a_title_has_no_line_break_that_would_end_a_mails_header():
    _, [first] = told(None, finding(BREACH, subject="a\r\nBcc: all@example.org"))
    assert "\n" not in title(first) and "\r" not in title(first)


def test_the_end_of_an_alarm_is_green_and_told_as_such():
    state, _ = told()
    _, [end] = advance(state, [finding(OK, 1)], POLICY, START + DAY)
    assert title(end) == "[resolved] flights: quality of roc_auc is right again"
    assert as_slack(end)["attachments"][0]["color"] == "#2eb886"
    assert "not in the newest window" in as_mail(end)[1]


def test_the_summary_for_who_takes_over_has_the_worst_first_and_what_nobody_was_told():
    state, first = told(None, finding(BREACH), finding(BREACH, subject="f1", severity=CRITICAL), finding(BREACH, subject="r2"))
    state = acknowledge(state, "flights/quality/roc_auc", "ada", START)
    state, _ = advance(state, [finding(OK, 1, subject="r2")], POLICY, START + DAY)
    state = silence(state, "flights/quality/f1", START + 3 * DAY, "a known gap", "bob", START)
    outbox = enqueue(Outbox(), first, [HOOK])
    outbox = failed(outbox, outbox.waiting[0], "it answered 503", permanent=False, now=START)
    outbox = failed(outbox, outbox.waiting[1], "it answered 404", permanent=True, now=START)
    lines = summary(state, outbox, START + DAY).splitlines()
    assert lines[0] == "2 open alarms"
    assert lines[1] == "  critical  flights/quality/f1  for 1 d 0 h, silenced"
    assert lines[3] == "  warning   flights/quality/roc_auc  for 1 d 0 h, ada looks after it"
    assert lines[5] == "right again since yesterday: flights/quality/r2"
    assert lines[6] == "silent until 2026-01-04 00:00 UTC: flights/quality/f1 (bob: a known gap)"
    assert lines[7:] == [
        "hook does not take what it is told, 1 attempts: it answered 503",
        "hook never got 1 notifications: it answered 404",
    ]


def test_the_summary_of_nothing_says_so():
    assert summary(Alarms(), Outbox(), START) == "No alarm is open.\n"
