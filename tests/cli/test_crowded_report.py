"""The page about a workload where there is much of everything, hardly anything, and where names are no plain words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from browsed import CONTRASTS, browser, needs_chromium
from test_workload_report import ODD, report

from heliostat.cli.reports.gathering import Gathered
from heliostat.cli.reports.page import page
from heliostat.monitoring.alarms import Alarm, Alarms, Status
from heliostat.monitoring.reference import ReferenceAbout
from heliostat.monitoring.state import MonitorState
from heliostat.spec.findings import Aspect, Severity

NOW = datetime(2026, 3, 9, tzinfo=UTC)
UNBROKEN = "no_space_in_it_" * 12


def crowded() -> Gathered:
    """Four months of windows, fifty rollouts, a hundred columns, and names and reasons that are markup, or never end."""
    windows = []
    for number in range(120):
        one = report(number, 0.7 - number / 1_000)
        drift = [each for each in one.findings if each.subject == ODD]
        columns = [each.model_copy(update={"subject": f"{ODD}{UNBROKEN}{place}"}) for each in drift for place in range(100)]
        windows.append(
            one.model_copy(update={"findings": (*one.findings, *columns), "model_uri": f"models:/{UNBROKEN}/{number}"})
        )
    last = windows[-1].findings
    alarms = {
        each.key: Alarm(
            key=each.key, status=Status.FIRING, severity=Severity.CRITICAL, finding=each, since=NOW, acknowledged_by=ODD
        )
        for each in last[:40]
    }
    state = MonitorState(
        looked_at=NOW, model_uri=f"models:/{UNBROKEN}/9", findings={each.key: each for each in last},
        alarms=Alarms(alarms=alarms), problems=(f"{ODD} {UNBROKEN}",),
    )  # fmt: skip
    rollouts = tuple(
        (str(number), "2026-03-01 10:00", f"{ODD} {number}", "blue-green", UNBROKEN, f"step 1: {UNBROKEN}")
        for number in range(50)
    )
    trainings = tuple(("2026-03-01 10:00", f"models:/{UNBROKEN} refused", f"{ODD} {UNBROKEN}") for _ in range(50))
    people = tuple(("2026-03-01 10:00", ODD, "approved", UNBROKEN) for _ in range(50))
    reference = ReferenceAbout(
        digest="e" * 64, model_uri="models:/x/1", dataset_digest="d" * 64, since=NOW, trained_rows=1, newest_row=NOW, rows=1
    )  # fmt: skip
    return Gathered(
        name=f"{ODD}{UNBROKEN}", state=state, windows=tuple(windows), reference=reference, rollouts=rollouts,
        data={"rows": {ODD: 9}, "label": UNBROKEN}, serves=UNBROKEN, people=people, trainings=trainings,
    )  # fmt: skip


def bare() -> Gathered:
    """A training that failed: nothing was ever rolled out, and the monitor has found nothing."""
    state = MonitorState(looked_at=NOW, problems=(f"no training came to its end: {ODD}",))
    return Gathered(name="birds", state=state)


@needs_chromium
@pytest.mark.parametrize("found", [crowded, bare])
def test_the_page_fits_a_phone_and_takes_no_name_for_markup(found, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(page(found(), NOW))
    assert ODD not in file.read_text()
    with browser(tmp_path / "profile") as shown:
        for width in (390, 1280):
            shown.show(file, width)
            assert shown.asks("document.documentElement.scrollWidth") <= width, "no scrolling sideways"
            wide = "[...document.querySelectorAll('section, header')].filter(each => each.scrollWidth > each.clientWidth + 1)"
            assert shown.asks(f"{wide}.map(each => each.innerText.slice(0, 40))") == [], "nothing is cut off"
            assert shown.asks("document.scripts.length") == 0
            assert shown.requests == [file.as_uri()] and shown.complaints == []


def year() -> Gathered:
    """Twelve windows of five inputs, of which the newest ones drift, and something that is not watched."""
    windows = []
    for number in range(12):
        one = report(number, 0.66)
        drift = next(each for each in one.findings if each.aspect is Aspect.DRIFT)
        inputs = [
            drift.model_copy(update={"subject": f"scheduled_input_{place}", "value": 0.01 * number + place / 1_000})
            for place in range(5)
        ]
        windows.append(one.model_copy(update={"findings": (one.findings[0], *inputs)}))
    state = MonitorState(looked_at=NOW, model_uri="models:/birds/9", problems=("drift of seen is not watched: times go on",))
    return Gathered(name="birds", state=state, windows=tuple(windows), trainings=(("2026-03-01", "proposed, open", "x"),))


@needs_chromium
def test_paper_has_all_windows_of_the_drift_and_tables_as_they_are(tmp_path):
    file = tmp_path / "report.html"
    file.write_text(page(year(), NOW))
    with browser(tmp_path / "profile") as shown:
        shown.call("Emulation.setEmulatedMedia", media="print")
        shown.show(file, 720)
        assert shown.asks("getComputedStyle(document.querySelector('.scroll')).overflowX") == "visible", "no one scrolls there"
        assert shown.asks("document.querySelector('table.drift').getBoundingClientRect().right") <= 720
        assert shown.asks("getComputedStyle(document.querySelector('table.stacked tr')).display") == "table-row"


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_its_ground(scheme, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(page(year(), NOW, simulated=True, unfinished="It has not come to its end."))
    with browser(tmp_path / "profile") as shown:
        shown.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        shown.show(file, 390)
        assert shown.asks(CONTRASTS) == [], "WCAG's 4.5 to 1"


def test_the_newest_window_of_the_drift_comes_first_beside_the_limit():
    text = page(year(), NOW).partition('table class="drift"')[2].partition("</table>")[0]
    assert text.index("2026-03-13") < text.index("2026-03-02")
    first = text.partition("<tbody>")[2].partition("</tr>")[0]
    assert "scheduled_input_4" in first and "limit 0.1" in first
    assert first.index("0.114<") < first.index("0.004<")
