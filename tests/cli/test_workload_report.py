"""`heliostat report`: one page that is whole in itself, of what monitors and the ledger left."""

from __future__ import annotations

import itertools
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from browsed import browser, needs_chromium
from platform_stack import PlatformStack
from rollout_records import entry

from heliostat.cli.reports.charts import Point, both_sides, chart
from heliostat.cli.reports.gathering import _windows
from heliostat.monitoring.alarms import Alarm, Alarms, Status
from heliostat.monitoring.bias import Residuals
from heliostat.monitoring.drifting import ColumnReport, Drift
from heliostat.monitoring.intervals import Interval
from heliostat.monitoring.looking import WindowReport
from heliostat.monitoring.other_versions import OtherVersion
from heliostat.monitoring.proposals import Proposal
from heliostat.monitoring.quality import Figure, Quality
from heliostat.monitoring.state import MonitorState
from heliostat.spec.analysis import AnalysisResult, CheckResult, Verdict
from heliostat.spec.audit import NOTHING, AuditEntry, content_of
from heliostat.spec.audit import key_of as audit_key
from heliostat.spec.findings import Aspect, Finding, State
from heliostat.spec.ledger import EntryKind
from heliostat.spec.monitoring import Acceptance, Refusal, proposal_key, states, window_key
from heliostat.spec.predictions import schedule_key
from heliostat.systems.objects import Directory
from heliostat.systems.revisions import Revisions

DAY = timedelta(days=1)
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
ODD = "<script>alert(1)</script>"


def report(number: int, area: float) -> WindowReport:
    start = MONDAY + number * DAY
    name, end = f"{start:%Y-%m-%d}", start + DAY
    state = State.BREACH if area < 0.62 else State.OK
    found = {"monitor": "flights", "window": name, "at": end}
    findings = (
        Finding(aspect=Aspect.QUALITY, subject="roc_auc", state=state, value=area, limit=0.62, text=f"it is {area}", **found),
        Finding(aspect=Aspect.DRIFT, subject=ODD, state=State.OK, value=0.02, limit=0.1, text=f"{ODD} is stable", **found),
    )
    figure = Figure(rows=900, interval=Interval(value=area, low=area - 0.02, high=area + 0.02, rows=900))
    return WindowReport(
        window=name, rows=1_000, labels=900, start=start, end=end, model_uri="models:/flights/3", findings=findings,
        quality=(Quality(metric="roc_auc", overall=figure),),
        residuals=Residuals(rows=900, mean=0.25, deviation=2, quantiles={"0.05": -3, "0.95": 3}, slope=0.1, spread_ratio=1.5),
        drift=Drift(reference_rows=9_000, rows=1_000, columns=(ColumnReport(name=ODD, status="stable", text="so"),)),
    )  # fmt: skip


@pytest.fixture
def watched(stack):
    platform = PlatformStack(stack)
    platform.exports(platform=platform.platform())
    store, reports = platform.store, [report(number, 0.66 - 0.03 * number) for number in range(3)]
    for each in reports:
        store.put(window_key("flights", each.window), each.model_dump_json().encode())
    store.put(window_key("flights", "old"), b'{"of": "another release"}')
    last = reports[-1].findings[0]
    alarm = Alarm(key=last.key, status=Status.FIRING, severity=last.severity, finding=last, since=last.at)
    findings = {each.key: each for each in reports[-1].findings}
    state = MonitorState(
        looked_at=last.at, model_uri="models:/flights/3", newest_window=last.window, findings=findings,
        alarms=Alarms(alarms={last.key: alarm}), new_rows=12_345,
        others={"2": OtherVersion(findings={last.key: last.model_copy(update={"text": "of version 2: late"})}, at=last.at)},
    )  # fmt: skip
    Revisions(store, states("flights")).change(lambda _: state.model_dump_json().encode())
    proposal = Proposal(application="flights", at=MONDAY, model_uri="models:/flights/3", reasons=("it decays",), new_rows=9)
    store.put(proposal_key("flights", "1"), proposal.model_dump_json().encode())
    refusal = Refusal(at=MONDAY.timestamp() + 60, candidate="models:/m-9", reasons=("0.2 worse",))
    store.put("monitors/flights/refusals/r.json", refusal.model_dump_json().encode())
    accepted = Acceptance(at=MONDAY.timestamp() + 90, version="models:/flights/4", summary="roc_auc 0.71, version 3 0.63")
    store.put("monitors/flights/acceptances/s.json", accepted.model_dump_json().encode())
    store.put(schedule_key("monitor.flights"), b"{}")
    platform.remember(entry(1, before=None, after=1, rollout=1))
    said = {"id": "a", "at": MONDAY.timestamp(), "by": "ada", "known": True, "subject": "flights"}
    words = [
        AuditEntry(
            **said, action="rollout.approve", reason="looks well", before={"rollout": 4, "step": 0}, number=1, previous=NOTHING
        ),
        AuditEntry(**said, action="alarm.silence", reason="no rollout's", number=2, previous=NOTHING),
        AuditEntry(**{**said, "subject": "geese"}, action="rollout.abort", reason="geese's", number=3, previous=NOTHING),
    ]
    for each in words:
        store.put(audit_key(each.number), content_of(each))
    return platform


def test_the_page_has_what_people_said_to_its_rollouts_and_nothing_else_that_they_did(watched, stack):
    page = stack.ok("report", "flights", "-o", "-")
    for text in ("ada", "approved", "rollout 4, step 1 - looks well"):
        assert text in page, text
    assert "no rollout&#39;s" not in page and "geese" not in page
    assert json.loads(stack.ok("report", "flights", "--json"))["people"][0]["by"] == "ada"


def test_the_page_has_all_of_it_and_needs_nothing_else(watched, stack):
    ran = stack("report", "flights")
    assert ran.out == "" and ran.err.count("flights-report.html") == 1, "it is said once where it lies"
    page = (stack.folder / "flights-report.html").read_text()
    for text in (
        "1 open alarm",
        "models:/flights/3",
        "it is 0.6",
        "heliostat monitor acknowledge flights quality/roc_auc",
        "12,345",
        "it decays",
        "models:/m-9 refused",
        "Versions that do not serve",
        "of version 2: late",
        "models:/flights/4 accepted",
        "version 3 0.63",
        "rollout 1",
        "canary",
        "Residuals in 2026-03-04, of 900 rows: labels are +0.25 beyond predictions on average, with a deviation of 2",
        "where predictions are high they spread 1.5 times as far",
    ):
        assert text in page, text
    assert ODD not in page and "&lt;script&gt;" in page, "a column's name is no markup"
    assert not re.findall(r"(?:src|href)=\"(?!data:)[^\"#]", page), "nothing is loaded from elsewhere"
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert page.count("<svg") == 1 and "beyond its limit in 2026-03-04" in page
    assert 'name="viewport"' in page


@needs_chromium
def test_a_browser_shows_the_page_whole_on_a_phone_and_asks_nobody(watched, stack, tmp_path):
    file = tmp_path / "report.html"
    stack.ok("report", "flights", "-o", str(file))
    with browser(tmp_path / "profile") as shown:
        for width in (390, 1280):
            shown.show(file, width)
            assert "models:/flights/3" in shown.asks("document.body.innerText")
            assert shown.asks("innerWidth") == width
            assert shown.asks("document.documentElement.scrollWidth") <= width, "no scrolling sideways"
            assert shown.requests == [file.as_uri()]
            assert shown.complaints == []


def test_a_program_reads_it_as_json(watched, stack):
    told = json.loads(stack.ok("report", "flights", "--json"))
    assert [each["window"] for each in told["windows"]] == ["2026-03-02", "2026-03-03", "2026-03-04"]
    assert [each["what"] for each in told["trainings"]] == [
        "models:/flights/4 accepted", "models:/m-9 refused", "proposed, accepted, and does not serve yet",
    ]  # fmt: skip
    assert (told["rollouts"][0]["number"], told["rollouts"][0]["strategy"]) == ("1", "canary")
    assert "unfinished" not in told


def test_of_what_was_never_watched_there_is_what_the_ledger_has(stack):
    platform = PlatformStack(stack)
    platform.exports(platform=platform.platform())
    assert "nothing is known of flights" in stack("report", "flights").err
    platform.remember(entry(1, before=None, after=1, rollout=1))
    page = stack.ok("report", "flights", "-o", "-")
    assert "not watched" in page and "rollout 1" in page and "<svg" not in page
    check = CheckResult(check="roc_auc", verdict=Verdict.PASS, candidate=0.71, serving=0.63, limit="at most 0.02 worse")
    judged = (AnalysisResult(step=0, verdict=Verdict.PASS, findings=(check,), began_at=1),)
    ended = entry(2, before=1, after=2, rollout=2)
    platform.remember(ended.model_copy(update={"kind": EntryKind.END, "analyses": judged}))
    told = json.loads(stack.ok("report", "flights", "--json"))["rollouts"]
    assert [(each["number"], each["figures"]) for each in told] == [
        ("2", "step 1: roc_auc 0.71, what served had 0.63 (at most 0.02 worse)"), ("1", "\N{EN DASH}"),
    ]  # fmt: skip
    facts = stack.ok("report", "flights", "-o", "-").partition("Serves")[2][:80]
    assert ended.target.version.label in facts, "the newest entry says what serves"
    assert "nothing of flights was simulated here" in stack("report", "flights", "--simulated").err


def test_a_chart_marks_what_is_beyond_its_limit_and_takes_one_window_as_well():
    svg = chart([Point("a", 0.6, 0.5, 0.7, 0.62, is_wrong=True), Point("b", 0.7, limit=0.62)], "area")
    assert svg.count("var(--bad)") == 1 and svg.count('class="limit"') == 2
    assert 'aria-label="area: 0.7 in b; beyond its limit in a"' in svg
    assert "NaN" not in chart([Point("a", 1.0)], "area") and chart([], "area") == ""
    assert "&lt;b&gt;" in chart([Point("<b>", 1.0)], "area")


@pytest.mark.parametrize("count", [1, 2, 6, 12, 40], ids="{} windows".format)
@pytest.mark.parametrize("name", ["2013-{:02d}", "rows {0}500-{0}999"], ids=["months", "counts"])
def test_names_of_windows_do_not_run_into_each_other(name, count):
    drawn = chart([Point(name.format(number), 0.5) for number in range(count)], "area")
    places = re.findall(r'<text x="([\d.]+)" y="201" text-anchor="(\w+)" class="tick">([^<]+)<', drawn)
    reach = {"start": (0, 1), "middle": (0.5, 0.5), "end": (1, 0)}
    spans = []
    for x, anchor, text in places:
        left, right = (12 * len(text) * share for share in reach[anchor])
        spans.append((float(x) - left, float(x) + right))
    assert places[-1][2] == name.format(count - 1), "what is newest is named"
    assert spans and all(before[1] < after[0] for before, after in itertools.pairwise(spans))


def test_a_value_that_has_a_limit_on_each_side_is_shown_between_both():
    points = [Point("a", 0.9, limit=0.8), Point("b", 1.2, limit=1.25), Point("c", 0.85, limit=0.8), Point("d", 1.0)]
    assert [each.opposite for each in both_sides(points)] == [1.25, 0.8, 1.25, None]
    assert chart(both_sides(points), "ratio").count('class="limit"') == 6
    assert [each.opposite for each in both_sides([Point("a", 0.9, limit=0.8)])] == [None], "nobody named another one"
    assert chart(points, "ratio").count('class="limit"') == 3


def test_lines_of_a_chart_are_round_numbers_that_differ():
    drawn = chart([Point("a", 0.587), Point("b", 0.6634)], "area")
    assert re.findall(r'class="tick">([-.\d]+)<', drawn) == ["0.55", "0.60", "0.65", "0.70"]
    drawn = chart([Point("a", 1_001.2), Point("b", 1_003.9)], "rows")
    assert re.findall(r'class="tick">([-.\d]+)<', drawn) == ["1000", "1001", "1002", "1003", "1004", "1005"]


def test_what_is_beyond_a_limit_can_be_told_without_colours(watched, stack):
    svg = chart([Point("a", 0.6, is_wrong=True), Point("b", 0.7)], "area")
    assert svg.count("<polygon") == 1 and svg.count("<circle") == 1
    assert ".drift .bad::before" in stack.ok("report", "flights", "-o", "-")


def test_figures_beside_a_chart_have_room():
    drawn = chart([Point("a", 0.00946123), Point("b", 0.0237)], "area")
    assert all(len(text) <= 6 for text in re.findall(r'text-anchor="end" class="tick">([-.\d]+)<', drawn))


def test_only_the_windows_that_are_shown_are_read(tmp_path, monkeypatch):
    store, read = Directory(tmp_path), []
    for number in range(3):
        store.put(window_key("birds", report(number, 0.7).window), report(number, 0.7).model_dump_json().encode())
        store.put(window_key("birds", f"rows {number * 500}-{number * 500 + 499}"), b'{"of": "another release"}')
    monkeypatch.setattr("heliostat.cli.reports.gathering._MOST_WINDOWS", 2)
    get = store.get
    monkeypatch.setattr(store, "get", lambda key: (read.append(key), get(key))[1])
    assert _windows(store, "birds") == (report(1, 0.7), report(2, 0.7))
    assert len(read) == 4, "two by time, and two of so many rows"
