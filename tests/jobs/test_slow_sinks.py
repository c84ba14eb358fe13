"""What waits to be told, where a sink is away: others are told, nothing is lost, and a look comes to its end."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from heliostat.jobs import monitor as job
from heliostat.monitoring.alarms import Alarms, advance
from heliostat.monitoring.deliveries import SENDING, Outbox, delivered, enqueue, failed, take
from heliostat.monitoring.state import MonitorState, state_of
from heliostat.spec.monitors import Monitor
from heliostat.spec.notifications import AlarmPolicy, Webhook
from heliostat.systems.errors import RetryableError
from heliostat.systems.objects import Directory
from heliostat.systems.revisions import Revisions
from tests.monitoring.found import BREACH, START, finding

AWAY, THERE = (Webhook(name=name, url="http://127.0.0.1:1/x") for name in ("away", "there"))
MANY = 40


class Sinks:
    """One that lets everybody wait for ten seconds, and one that takes what it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.got, self.tried, self.is_away = 0.0, Counter[str](), Counter[str](), True
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(job, "send", self.send)

    def send(self, sink: Any, delivery: Any) -> None:
        self.tried[sink.name] += 1
        if sink.name == "away" and self.is_away:
            self.now += 10
            raise RetryableError("the sink away does not answer within 10 s")
        self.got[f"{sink.name} {delivery.notification.id}"] += 1


def test_one_that_does_not_answer_holds_up_no_other_and_is_told_all_of_it_once_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    findings = [finding(BREACH, subject=f"column-{number}") for number in range(MANY)]
    _, told = advance(Alarms(), findings, AlarmPolicy(), START)
    outbox = enqueue(Outbox(), told, [AWAY, THERE])
    revisions = Revisions(Directory(tmp_path), "states/")
    revisions.change(lambda _: MonitorState(outbox=outbox).model_dump_json().encode())
    sinks, monitor, now = Sinks(monkeypatch), Monitor(drift={}, sinks=(AWAY, THERE)), START
    job.deliver(revisions, monitor, now)
    assert sinks.now <= 30, "a look is not held up for as long as there are alarms"
    assert (sinks.tried["away"], sinks.tried["there"]) == (3, MANY)
    for _ in range(3):
        now += timedelta(seconds=1)
        job.deliver(revisions, monitor, now)
    attempts = [each.attempts for each in state_of(revisions.newest()[1]).outbox.waiting]
    assert len(attempts) == MANY and sum(each > 0 for each in attempts) == 12, "each has its turn"
    sinks.is_away = False
    job.deliver(revisions, monitor, now + timedelta(minutes=1))
    assert state_of(revisions.newest()[1]).outbox == Outbox()
    assert len(sinks.got) == 2 * MANY and set(sinks.got.values()) == {1}


def test_of_two_looks_at_once_one_tells_each_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, told = advance(Alarms(), [finding(BREACH, subject=f"column-{n}") for n in range(8)], AlarmPolicy(), START)
    revisions = Revisions(Directory(tmp_path), "states/")
    revisions.change(lambda _: MonitorState(outbox=enqueue(Outbox(), told, [THERE])).model_dump_json().encode())
    both, got = threading.Barrier(2), Counter[str]()

    def met(*given: Any) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(1.0)  # the other one is sending too
        got[given[1]] += 1

    monkeypatch.setattr(job.alarm_sinks, "post", met)
    monitor = Monitor(drift={}, sinks=(THERE,))
    looks = [threading.Thread(target=job.deliver, args=(revisions, monitor, START)) for _ in range(2)]
    for each in looks:
        each.start()
    for each in looks:
        each.join()
    assert len(got) == 8 and set(got.values()) == {1}
    assert state_of(revisions.newest()[1]).outbox == Outbox()


def test_what_a_killed_look_was_sending_is_sent_by_the_next_one_once_it_is_late() -> None:
    _, told = advance(Alarms(), [finding(BREACH)], AlarmPolicy(), START)
    outbox = enqueue(Outbox(), told, [THERE])
    [one] = outbox.waiting
    taken = take(outbox, one, START)
    assert taken is not None and take(taken, one, START + SENDING / 2) is None
    assert take(taken, one, START + SENDING) is not None
    assert take(taken, one, START - timedelta(days=1)) is not None, "of clocks that are apart none waits for the other"
    assert take(delivered(taken, one), one, START + SENDING) is None
    [failing] = failed(taken, one, "no answer", permanent=False, now=START).waiting
    assert failing.taken is None and take(failed(taken, one, "", False, START), one, START + SENDING) is None
