"""Looks at an application once, and tells who is to be told. Run by the provider's Monitor, and by the controller when a look
is due, as a Ray job.

Reports are written first, under their windows' names; then alarms, what waits to be sent and what was looked at, as one
revision; then what waits is sent, and each delivery is noted. Whoever is killed leaves a state that the next look goes on
from: what was sent and not noted is sent again, under its id. Of two looks at once one sends each.
"""

from __future__ import annotations

import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from heliostat.jobs.monitoring.asked import Looking
from heliostat.jobs.monitoring.look import declared_digest, look
from heliostat.jobs.monitoring.model import Answers
from heliostat.jobs.monitoring.reference import reference_of
from heliostat.jobs.monitoring.serving import of_what_serves, registered_data
from heliostat.jobs.monitoring.snapshot import with_what_is_left
from heliostat.jobs.monitoring.through import through_its_contract
from heliostat.jobs.specification import progress, run
from heliostat.monitoring.deliveries import Delivery, delivered, due, failed, take
from heliostat.monitoring.fitting import Fitted
from heliostat.monitoring.messages import as_json, as_mail, as_slack
from heliostat.monitoring.state import MonitorState, after, state_of
from heliostat.spec.monitoring import MonitorSpecification, other_window_key, proposal_key, states, window_key
from heliostat.spec.monitors import Monitor
from heliostat.spec.notifications import Email, Sink, Slack
from heliostat.systems import alarm_sinks
from heliostat.systems.erasures import erasures
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import ObjectStore, open_store
from heliostat.systems.revisions import Revisions

_MOST_DELIVERIES: Final = 1_000
"""In one look; what is left waits for the next."""
_PATIENCE: Final = 30.0
"""Seconds of one look that a sink which does not answer may take from the others; its alarms wait, each in its turn."""


def watch(specification: MonitorSpecification) -> None:
    """Look at the version that serves, through the contract that it serves with, with the model that the registry has."""
    store = open_store(specification.store)
    serving = of_what_serves(specification, store, registered_data(specification))
    if serving.is_other:
        progress(
            f"{serving.specification.model_uri} serves and is looked at, and not {specification.model_uri}, which is declared"
        )
    with through_its_contract(serving, store) as through:
        watch_with(through.specification, through.answering, serving.problem, through.fit)


def watch_with(specification: MonitorSpecification, answering: Answers, problem: str = "", fit: Fitted | None = None) -> None:
    """Look, keep what was found and what is not known beforehand, and send what waits.

    `fit`: what of the monitor holds for the version; by default all of it.

    Raises:
        RetryableError: rows of a person who was deleted meanwhile may be in it; nothing is kept.
    """
    declared, fit = declared_digest(specification), fit or Fitted(specification.monitor)
    specification = specification.model_copy(update={"monitor": fit.monitor})
    store = open_store(specification.store)
    before = erasures(store)
    specification = with_what_is_left(specification, store)
    revisions = Revisions(store, states(specification.name))
    now = datetime.now(UTC) if specification.at is None else datetime.fromtimestamp(specification.at, UTC)
    reference = reference_of(specification, store, answering, now)
    state = _state(specification, store, revisions)
    with tempfile.TemporaryDirectory(prefix="heliostat-monitor-") as folder:
        found, reports, others = look(
            Looking(specification, store, reference, answering, state, now, declared, fit), Path(folder)
        )
    if erasures(store) != before:
        raise RetryableError("a person's rows were deleted while they were looked at: look again")
    if problem:
        others_told = (each for each in found.problems if each != problem)
        found = found.model_copy(update={"problems": (problem, *others_told)})
    for report in reports:
        store.put(window_key(specification.name, report.window), report.model_dump_json(indent=2).encode())
    for version, report in others.reports:
        key = other_window_key(specification.name, version, report.window)
        store.put(key, report.model_dump_json(indent=2).encode())
    revisions.change(lambda content: _written(after(state_of(content), found, specification.monitor)))
    if (proposal := state_of(revisions.newest()[1]).proposal) is not None:
        key = proposal_key(specification.name, f"{proposal.at:%Y%m%dT%H%M%S}")
        store.put(key, proposal.model_dump_json(indent=2).encode(), only_if_absent=True)
    deliver(revisions, specification.monitor, now)
    _tell(specification, store, reference.about.digest, declared, state_of(revisions.newest()[1]))


def _state(specification: MonitorSpecification, store: ObjectStore, revisions: Revisions) -> MonitorState:
    try:
        return state_of(revisions.newest()[1])
    except ValueError as error:
        where, why = store.uri(states(specification.name)), " ".join(str(error).split())[:200]
        raise PermanentError(
            f"what the monitor remembers cannot be read, its newest revision in {where}: {why}. Remove that revision, and it "
            "goes on from the one before; alarms that were told since may be told again"
        ) from None


def _written(state: MonitorState) -> bytes:
    return state.model_dump_json().encode()


def deliver(revisions: Revisions, monitor: Monitor, now: datetime) -> None:
    """Send what waits to be sent now, and note what became of each."""
    sinks = {sink.name: sink for sink in monitor.sinks}
    failing = dict.fromkeys(sinks, 0.0)
    for _ in range(_MOST_DELIVERIES):
        outbox = state_of(revisions.newest()[1]).outbox
        waiting = [each for each in due(outbox, now) if each.sink in sinks and failing[each.sink] < _PATIENCE]
        waiting = [each for each in waiting if not each.is_taken(datetime.now(UTC))]
        if not waiting:
            return
        for each in waiting:
            if failing[each.sink] < _PATIENCE and _take(revisions, each):
                failing[each.sink] += _deliver(revisions, sinks[each.sink], each, now)


def _take(revisions: Revisions, delivery: Delivery) -> bool:
    """Have nobody else send it, as another look at the same time; whether it is this one's."""
    mine = False

    def taken(content: bytes | None) -> bytes | None:
        nonlocal mine
        state = state_of(content)
        outbox = take(state.outbox, delivery, datetime.now(UTC))
        mine = outbox is not None
        return _written(state.model_copy(update={"outbox": outbox})) if mine else None

    revisions.change(taken)
    return mine


def _deliver(revisions: Revisions, sink: Sink, delivery: Delivery, now: datetime) -> float:
    """Send one, and note what became of it; how many seconds were lost on a sink that does not take it now."""
    error, is_permanent, begun = "", False, time.monotonic()
    try:
        send(sink, delivery)
    except (RetryableError, PermanentError) as problem:
        error, is_permanent = str(problem), isinstance(problem, PermanentError)
        progress(f"{sink.name} was not told: {error}")
    lost = time.monotonic() - begun if error and not is_permanent else 0.0

    def noted(content: bytes | None) -> bytes:
        state = state_of(content)
        outbox = failed(state.outbox, delivery, error, is_permanent, now) if error else delivered(state.outbox, delivery)
        return _written(state.model_copy(update={"outbox": outbox}))

    revisions.change(noted)
    return lost


def send(sink: Sink, delivery: Delivery) -> None:
    """Send one notification.

    Raises:
        RetryableError, PermanentError: it is not taken.
    """
    notification = delivery.notification
    if isinstance(sink, Email):
        alarm_sinks.mail(sink, notification.id, *as_mail(notification))
    elif isinstance(sink, Slack):
        alarm_sinks.post(sink, notification.id, as_slack(notification))
    else:
        alarm_sinks.post(sink, notification.id, as_json(notification))


def _tell(specification: MonitorSpecification, store: ObjectStore, reference: str, declared: str, state: MonitorState) -> None:
    count = len(state.open_alarms)
    progress(f"{count} alarm{' is' if count == 1 else 's are'} open; newest window: {state.newest_window or 'none yet'}")
    if specification.result_key:
        told = {"reference": reference, "window": state.newest_window, "declared": declared}
        store.put(specification.result_key, json.dumps(told).encode())


if __name__ == "__main__":
    run(MonitorSpecification, watch)
