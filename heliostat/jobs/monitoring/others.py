"""Judges versions that do not serve by their own answers, where labels came for them since they were looked at last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from heliostat.data import arrow_files
from heliostat.jobs.monitoring.asked import Looking
from heliostat.jobs.monitoring.log import Joined
from heliostat.jobs.monitoring.reference import features_of
from heliostat.jobs.specification import progress
from heliostat.monitoring.looking import Look, WindowReport
from heliostat.monitoring.other_versions import Cut, OtherVersion, cut, judged_by_labels, told_of, unanswered
from heliostat.monitoring.reference import ReferenceAbout, labelled_of
from heliostat.monitoring.sampling import Labelled
from heliostat.monitoring.state import MonitorState, number_of
from heliostat.monitoring.windows import Looked, micros
from heliostat.spec.findings import Finding
from heliostat.spec.monitoring import MonitorSpecification, references
from heliostat.spec.watches import CalendarWindows
from heliostat.systems.objects import ObjectMissingError, ObjectStore


@dataclass(frozen=True)
class Others:
    """What a look found of them."""

    versions: dict[str, OtherVersion]
    """By their numbers."""
    reports: tuple[tuple[str, WindowReport], ...] = ()
    """The windows that were looked at, with the version's number."""
    waits: bool = False
    """Whether one has rows in a window that is not over."""


def others_of(asked: Looking, log: Joined, state: MonitorState, first: datetime) -> Others:
    """Look at the windows of other versions; `first`: the first moment of what was read."""
    monitor = asked.specification.monitor
    if not (monitor.quality or monitor.bias or judged_by_labels(monitor).fairness):
        return Others({})
    versions: dict[str, OtherVersion] = {}
    reports: list[tuple[str, WindowReport]] = []
    waits = False
    for version in filter(str.isdigit, log.others):
        rows, before = log.by(version), _looked(asked, state, version)
        found = cut(monitor.windows, log.times[rows], log.timed[rows], log.labelled[rows], before, first, asked.now)
        waits = waits or found.waits
        fresh = _reports(asked, log, version, found) if found.due else []
        looked = {n: found.held[n] if n in found.due else before[n] for n in found.held if n in found.due or n in before}
        if looked:
            newest: dict[str, Finding] = {each.key: each for report in fresh for each in report.findings}
            versions[version] = OtherVersion(looked=looked, findings=newest, at=asked.now)
        reports += [(version, report) for report in fresh]
    return Others(versions, tuple(reports), waits)


def _looked(asked: Looking, state: MonitorState, version: str) -> dict[int, Looked]:
    """What each window of a version held when it was looked at last, be it while it served."""
    if version in state.others:
        return state.others[version].looked
    served = number_of(state.model_uri) == version and isinstance(asked.specification.monitor.windows, CalendarWindows)
    return state.looked if served else {}


def _reports(asked: Looking, log: Joined, version: str, found: Cut) -> list[WindowReport]:
    """The report of each window, the oldest first."""
    specification = asked.specification
    model_uri = f"{specification.model_uri.rpartition('/')[0]}/{version}"
    labelled = _labelled(asked.store, specification, model_uri)
    monitor = judged_by_labels(specification.monitor)
    features = features_of(asked.reference)
    looking = Look(monitor, specification.name, specification.problem, labelled, found.number_of, features)
    for table in log.tables(version):
        numbers = found.number_of(*micros(table["time"]))
        looking.add(table.filter(pa.array(np.isin(numbers, found.due))))
    reports = []
    for number in found.due:
        window = found.name_of(number)
        progress(f"labels came for version {version}, which is not watched now: looking at {window.name}")
        report = looking.report(number, window)
        why = unanswered(report.rows, report.unpredicted, monitor.field)
        findings = [each.model_copy(update={"text": why}) if why else each for each in report.findings]
        told = tuple(told_of(each, version) for each in findings)
        reports.append(report.model_copy(update={"findings": told, "looked_at": asked.now, "model_uri": model_uri}))
        looking.forget(number)
    return reports


def _labelled(store: ObjectStore, specification: MonitorSpecification, model_uri: str) -> Labelled:
    """What a version that does not serve answered to the rows it was tested on, as it was kept while it did.

    Nothing where none is kept, or one of answers of another shape: then a margin has nothing to be held against.
    """
    for info in store.list(references(specification.name)):
        top, _, name = info.key.rpartition("/")
        if name != "about.json":
            continue
        try:
            if ReferenceAbout.model_validate_json(store.get(info.key)).model_uri != model_uri:
                continue
            found = labelled_of(arrow_files.from_file(store.get(f"{top}/labelled.arrow")))
        except ObjectMissingError:
            continue
        except (ValidationError, KeyError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            progress(f"the reference at {store.uri(top)} cannot be read, and nothing is held against it: {reason}")
            continue
        if found.predictions.shape[1:] == _no_rows(specification).predictions.shape[1:]:
            return found
    return _no_rows(specification)


def _no_rows(specification: MonitorSpecification) -> Labelled:
    task = specification.problem.task
    width = task.width if task is not None else None
    return Labelled(np.zeros(0), np.zeros(0 if width is None else (0, width)), np.zeros(0, dtype=np.uint64))
