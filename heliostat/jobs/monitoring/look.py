"""One look: what came since the last one, the windows that are due, and what is found in each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from heliostat.jobs.monitoring.asked import Looking
from heliostat.jobs.monitoring.log import Joined, There, horizon, joined, there
from heliostat.jobs.monitoring.others import Others, others_of
from heliostat.jobs.monitoring.reference import features_of
from heliostat.jobs.monitoring.retraining import Evidence, considered
from heliostat.jobs.monitoring.trials import trials
from heliostat.jobs.monitoring.windows import kept_reports
from heliostat.jobs.specification import progress
from heliostat.monitoring.drifting import Distributions
from heliostat.monitoring.dueness import Windowed, next_end, windowed
from heliostat.monitoring.feedback import Feedback
from heliostat.monitoring.fitting import needs_answers
from heliostat.monitoring.judging import Judge
from heliostat.monitoring.log_health import health
from heliostat.monitoring.looking import Look, WindowReport
from heliostat.monitoring.reference import Reference
from heliostat.monitoring.state import Looks, MonitorState, number_of, with_windows
from heliostat.monitoring.windows import OUTSIDE, Looked, by_window, from_micros, micros, to_micros
from heliostat.spec.findings import Aspect, Finding
from heliostat.spec.monitoring import MonitorSpecification
from heliostat.spec.tasks import Multiclass
from heliostat.systems.errors import PermanentError

_ROWS_AT_ONCE: Final = 2_000_000
"""Windows are looked at together up to so many rows."""
_TREND_WINDOWS: Final = 24
"""Windows over which it is told whether a loop grows."""
_TRIED_ROWS: Final = 1_000_000
"""Rows of the newest window that a model is tried on, or loops are looked for in, at most."""


def look(asked: Looking, folder: Path) -> tuple[Looks, list[WindowReport], Others]:
    """What is to be found now, of the version that serves and of others; `folder` is empty, and holds what is read.

    Raises:
        PermanentError: what is declared cannot be looked at.
    """
    specification = asked.specification
    monitor, now = specification.monitor, asked.now
    windows = monitor.windows.model_dump_json()
    state = with_windows(asked.state, windows)
    within = timedelta(seconds=monitor.labels_within_seconds)
    objects = there(asked.store, specification.name, now, within)
    declared = asked.declared
    is_same = (objects.digest, declared, asked.reference.about.digest) == (state.seen, state.declared, state.reference)
    if is_same and (state.next_due is None or now < state.next_due):
        return _by_the_clock(asked, state), [], Others({})
    progress(f"reading {len(objects.predictions)} files of the log and {len(objects.labels)} of labels")
    log = _joined(asked, objects, folder)
    times, timed, labelled = log.times[log.own], log.timed[log.own], log.labelled[log.own]
    found = windowed(monitor.windows, times, timed, labelled, state, horizon(now, within), now)
    numbers = _numbers(state, declared, found)
    reports = list(_reports(asked, log, found, numbers))
    if not needs_answers(monitor):  # a version may answer no field that is watched: that a file lacks it is no news then
        log.reading.lacking.pop(f"prediction_{monitor.field}", None)
    others = others_of(asked, log, state, horizon(now, within))
    newest_window = _newest_window(state, found, numbers)
    newest = _newest(log, asked.reference)
    new_rows = _new_rows(log, asked.reference)
    retraining, told = considered(asked, state, Evidence(reports, new_rows, newest.get("labels"), newest_window))
    odd = retraining.pop("problems", ())
    of_windows = [finding for report in reports for finding in report.findings]
    of_log = health(specification.name, now, log.reading, log.counts, found.ahead, found.ahead_seconds, log.others)
    return (
        Looks(
            at=now,
            declared=declared,
            windows=windows,
            model_uri=specification.model_uri,
            reference=asked.reference.about.digest,
            seen=objects.digest,
            looked={number: found.held.get(number, Looked(0, 0)) for number in numbers},
            dropped=found.dropped,
            closed=dict(found.closed),
            newest_window=newest_window,
            next_due=found.next_due or (next_end(monitor.windows, now) if others.waits else None),
            newest=newest,
            new_rows=new_rows,
            findings=(*of_windows, *of_log, *_of_contract(asked), *_of_the_clock(asked, newest), *told),
            others=others.versions,
            problems=(*asked.reference.about.problems, *log.problems, *_odd(found), *_unpredicted(reports), *odd),
            **retraining,
        ),
        reports,
        others,
    )


def _joined(asked: Looking, objects: There, folder: Path) -> Joined:
    """What came of the version that is watched, with its labels."""
    specification = asked.specification
    task, version = specification.problem.task, number_of(specification.model_uri)
    classes = task.classes if isinstance(task, Multiclass) else ()
    field = specification.monitor.field
    return joined(asked.store, objects, field, _inputs(asked), classes, asked.now, folder, version)


def _numbers(state: MonitorState, declared: str, found: Windowed) -> list[int]:
    """The windows to look at, the oldest first: those that are due, and the newest again where it is declared otherwise."""
    again = {*state.looked} & {*found.held} if state.declared not in ("", declared) else set[int]()
    return sorted({*found.due, *([max(again)] if again else [])})


def _newest_window(state: MonitorState, found: Windowed, numbers: Sequence[int]) -> str:
    """The name of the newest window that was looked at by now: labels that come late have an older one looked at again."""
    if not numbers or numbers[-1] < max(state.looked, default=numbers[-1]):
        return state.newest_window
    return found.name_of(numbers[-1]).name


def declared_digest(specification: MonitorSpecification) -> str:
    """Of what is watched, so that another declaration is told from the same."""
    parts = (specification.monitor.model_dump_json(), specification.problem.model_dump_json())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _by_the_clock(asked: Looking, state: MonitorState) -> Looks:
    """Nothing came and no window is over: what is told by the time alone."""
    evidence = Evidence((), state.new_rows, state.newest.get("labels"), state.newest_window)
    retraining, told = considered(asked, state, evidence)
    retraining.pop("problems", ())  # they are what they were when something came
    return Looks(
        at=asked.now,
        declared=state.declared,
        windows=state.windows,
        model_uri=asked.specification.model_uri,
        reference=asked.reference.about.digest,
        seen=state.seen,
        next_due=state.next_due,
        newest=state.newest,
        new_rows=state.new_rows,
        findings=(*_of_the_clock(asked, state.newest), *told),
        problems=state.problems,
        **retraining,
    )


def _inputs(asked: Looking) -> tuple[str, ...]:
    """The inputs that are read of the log."""
    monitor, reference = asked.specification.monitor, asked.reference
    if monitor.skew is not None or monitor.fragility is not None:
        return asked.answering.inputs
    found = [*(reference.inputs.columns if reference.inputs is not None else ()), *reference.labelled.columns]
    found += [watch.column for watch in monitor.fairness]
    if (feedback := monitor.feedback) is not None:
        found += [feedback.key, *feedback.columns, *filter(None, [feedback.holdout])]
    return tuple(name for name in dict.fromkeys(found) if name in asked.answering.inputs)


def _reports(asked: Looking, log: Joined, found: Windowed, numbers: Sequence[int]) -> Iterator[WindowReport]:
    """The report of each window, the oldest first; memory holds some windows at a time."""
    specification, reference = asked.specification, asked.reference
    monitor, problem = specification.monitor, specification.problem
    looking = Look(monitor, specification.name, problem, reference.labelled, found.number_of, features_of(reference))
    about = reference.about
    distributions = Distributions(monitor, reference.inputs, reference.predictions, about.learned, problem.task)
    for group in _groups(numbers, found):
        tried: list[pa.Table] = []
        for number, rows in _rows(log, found, group):
            looking.add(rows)
            distributions.add(number, rows)
            if number == numbers[-1] and sum(each.num_rows for each in tried) < _TRIED_ROWS:
                tried.append(rows)
        for number in group:
            window = found.name_of(number)
            progress(f"looking at {window.name}")
            judge = Judge(specification.name, window.name, window.end)
            report = _reported(looking, number, found)
            inputs, predictions, findings = distributions.report(number, judge)
            changes: dict[str, Any] = {"drift": inputs, "prediction_drift": predictions}
            if number == numbers[-1]:
                rows = pa.concat_tables(tried) if tried else None
                more, told = trials(specification, asked.answering, rows, judge, partial(_loops_before, asked, window.start))
                changes, findings = {**changes, **more}, [*findings, *told]
            findings += [judge.unknown(*each) for each in asked.fit.lacking if each.aspect is not Aspect.RECENCY]
            changes |= {"findings": (*report.findings, *findings), "looked_at": asked.now, "model_uri": about.model_uri}
            yield report.model_copy(update=changes)
            looking.forget(number)
            distributions.forget(number)


def _loops_before(asked: Looking, start: datetime) -> list[Feedback]:
    """What was found of loops in the last windows before a moment, the oldest first."""
    kept = kept_reports(asked.store, asked.specification.name, _TREND_WINDOWS)
    found = [each for each in kept if each.feedback is not None and each.start is not None and each.start < start]
    return [each.feedback for each in sorted(found, key=lambda each: str(each.start)) if each.feedback is not None]


def _reported(looking: Look, number: int, found: Windowed) -> WindowReport:
    try:
        return looking.report(number, found.name_of(number))
    except ModuleNotFoundError as error:
        text = f"conceptDrift needs the package {error.name}, which is not on the cluster"
        raise PermanentError(f"{text}: install the extra heliostat[monitoring] there, or leave conceptDrift out") from None


def _groups(numbers: Sequence[int], found: Windowed) -> Iterator[list[int]]:
    group, rows = list[int](), 0
    for number in numbers:
        held = found.held[number].rows if number in found.held else 0
        if group and rows + held > _ROWS_AT_ONCE:
            yield group
            group, rows = [], 0
        group.append(number)
        rows += held
    if group:
        yield group


def _rows(log: Joined, found: Windowed, group: Sequence[int]) -> Iterator[tuple[int, pa.Table]]:
    """The rows of some windows, in parts of one window each."""
    for table in log.tables():
        numbers = found.number_of(*micros(table["time"]))
        yield from by_window(table, np.where(np.isin(numbers, group), numbers, OUTSIDE))


def _newest(log: Joined, reference: Reference) -> dict[str, datetime]:
    found: dict[str, datetime] = {}
    if log.timed.any():
        found["predictions"] = from_micros(int(log.times[log.timed].max()))
    if (known := log.timed & log.labelled).any():
        found["labels"] = from_micros(int(log.times[known].max()))
    if reference.about.newest_row is not None:
        found["training data"] = reference.about.newest_row
    return found


def _new_rows(log: Joined, reference: Reference) -> int:
    since = to_micros(reference.about.newest_row or reference.about.since)
    return int((log.timed & log.labelled & (log.times > since)).sum())


def _of_the_clock(asked: Looking, newest: Mapping[str, datetime]) -> list[Finding]:
    """What is found of the present moment, in no window."""
    judge = Judge(asked.specification.name, "", asked.now)
    lacking = [judge.unknown(*each) for each in asked.fit.lacking if each.aspect is Aspect.RECENCY]
    return [*lacking, *_recency(asked, judge, newest), *_awaited(asked, judge)]


def _of_contract(asked: Looking) -> list[Finding]:
    """What the version's contract and data do not have of what is watched; that they have all of it, where they had not."""
    judge = Judge(asked.specification.name, "", asked.now)
    if told := asked.fit.told:
        return [judge.unknown(Aspect.LOG, "contract", "; ".join(told))]
    if f"{asked.specification.name}/{Aspect.LOG}/contract" not in asked.state.findings:
        return []
    version = number_of(asked.specification.model_uri)
    return [judge.contract(f"version {version} has all that is watched")]


def _recency(asked: Looking, judge: Judge, newest: Mapping[str, datetime]) -> list[Finding]:
    watch = asked.specification.monitor.recency
    if watch is None:
        return []
    # A state of another release does not say since when: then it was long ago.
    since = asked.now if asked.state.looked_at is None else asked.state.since
    known = {name: newest.get(name) for name in ("predictions", "labels", "training data")}
    return list(judge.recency(known, watch, asked.now, since))


def _awaited(asked: Looking, judge: Judge) -> list[Finding]:
    """Whether there is anything yet to hold distributions against, where it is not the training data."""
    monitor, about = asked.specification.monitor, asked.reference.about
    watched = {
        Aspect.DRIFT: monitor.drift,
        Aspect.PREDICTION_DRIFT: monitor.prediction_drift,
        Aspect.CONCEPT_DRIFT: monitor.concept_drift,
    }
    if about.dataset_digest is not None:
        return []
    return [judge.first_answers(aspect, about.rows, about.awaited) for aspect, watch in watched.items() if watch]


def _unpredicted(reports: Sequence[WindowReport]) -> Iterator[str]:
    for each in reports:
        if each.unpredicted:
            rows = f"{each.unpredicted:,} of {each.rows:,} answers in {each.window}"
            yield f"{rows} have no finite prediction: quality, bias and estimates are without them"


def _odd(found: Windowed) -> list[str]:
    told = (
        [f"{found.untimed} rows of the log have no time, or none that a calendar has, and are in no window"]
        if found.untimed
        else []
    )
    told += [f"{found.early} rows are older than the first day that is read: clocks are apart"] if found.early else []
    told += [f"{found.late} rows came after their window was full, and are in none"] if found.late else []
    return told
