"""The part of `heliostat report` about groups of people: what monitors found, what the gate measured, and neither."""

from __future__ import annotations

from dataclasses import replace

import pytest
from browsed import browser, needs_chromium
from test_crowded_report import NOW, UNBROKEN, bare, crowded
from test_workload_report import ODD

from heliostat.cli.reports.fairness import Judged, section
from heliostat.cli.reports.page import page
from heliostat.monitoring.fairness import GroupFairness, GroupRates
from heliostat.monitoring.intervals import Interval
from heliostat.monitoring.judging import Judge
from heliostat.monitoring.looking import WindowReport
from heliostat.monitoring.state import MonitorState
from heliostat.spec.fairness import Fairness, FairnessAtGate, FairnessMetric
from heliostat.spec.fairness_watches import FairnessWatch

WATCH = FairnessWatch(column=ODD, metric=FairnessMetric.DEMOGRAPHIC_PARITY, at_most=0.1)
CHECK = Fairness(column="sex", at_most=0.1)


def rate(value: float, rows: int = 900) -> Interval:
    return Interval(value=value, low=value - 0.02, high=value + 0.02, rows=rows)


def report(number: int, groups: int = 2, value: float | None = 0.2) -> WindowReport:
    names = [f"{ODD}{UNBROKEN}{place}" for place in range(groups)]
    rates = {name: GroupRates(rows=1_000 - place, selection_rate=rate(0.3)) for place, name in enumerate(names)}
    found = GroupFairness(
        column=ODD, metric=WATCH.metric, threshold=0.5, rows=9_000, compared=groups, groups=rates if value is not None else {},
        value=rate(value) if value is not None else None, reason="" if value is not None else f"no {ODD}",
        farthest=tuple(names[-1:]), between=f"{ODD} and another", small={ODD: 1}, small_groups=1,
    )  # fmt: skip
    window = f"2026-03-{number:02}"
    return WindowReport(
        window=window, rows=1_000, labels=900, fairness=(found,), findings=(Judge("x", window, NOW).fairness(found, WATCH),)
    )


def judged(groups: int = 2, **told) -> Judged:
    rates = {"rows": 100.0, "positives": 40, "selectionRate": 0.5, "truePositiveRate": 0.25, "falsePositiveRate": None}
    named = {f"{ODD}{UNBROKEN}{place}": rates for place in range(groups)}
    given = {"value": 0.3, "groups": named, "leftOut": {ODD: 3}, "missing": 2, **told}
    return Judged(f"models:/{UNBROKEN}/3 accepted", "2026-03-01", (FairnessAtGate.of(CHECK, given),))


def test_windows_become_a_chart_and_the_groups_of_the_newest_that_tells_something():
    found = section([report(1, value=0.08), report(2), report(3, value=None)], [])
    [(title, svg)] = found["charts"]
    assert title == f"demographic_parity_difference by {ODD}"
    assert svg.count("<circle") == svg.count("<polygon") == 1 and svg.count("var(--bad)") == 1
    [table] = found["served"]
    assert table.title.endswith("2026-03-02") and table.tone == "bad" and len(table.rows) == 2 and table.left == 0
    assert table.rows[0][1:] == ("1,000", "30.0% (28.0 to 32.0)", "\N{EN DASH}", "\N{EN DASH}")
    [alone] = section([report(3, value=None)], [])["served"]
    assert alone.tone == "wait" and alone.told == f"no {ODD}" and alone.rows == ()


def test_of_many_groups_the_largest_are_shown_with_those_that_are_farthest_apart():
    [table] = section([report(1, groups=90)], [])["served"]
    assert len(table.rows) == 13 and table.rows[-1][0].endswith("89") and table.left == 77


def test_what_the_gate_measured_has_wilson_s_intervals_and_an_earlier_release_s_has_none():
    [table] = section([], [judged()])["gate"]
    assert table.rows[0][1:] == ("100", "50.0% (40.4 to 59.6)", "25.0% (14.2 to 40.2)", "\N{EN DASH}")
    assert "at most 0.1 is taken" in table.told and f"{ODD} (3)" in table.told and "2 rows are of no group" in table.told
    old = {"g": {"rows": 10.0, "selectionRate": 0.5, "truePositiveRate": 0.5, "falsePositiveRate": 0.1}}
    [table] = section([], [Judged("m", "d", (FairnessAtGate.of(CHECK, {"groups": old}),))])["gate"]
    assert table.rows == (("g", "10", "50.0% (23.7 to 76.3)", "50.0%", "10.0%"),) and "could not be told" in table.told


def test_ten_thousand_groups_of_a_gate_are_kept_as_some():
    rates = {f"g{place}": {"rows": float(place), "selectionRate": 0.5} for place in range(10_000)}
    kept = FairnessAtGate.of(CHECK, {"groups": rates, "leftOut": dict.fromkeys(rates, 1)})
    assert len(kept.groups) == len(kept.left_out) == 100 and "g9999" in kept.groups


def test_a_workload_without_any_of_it_has_no_such_part():
    for found in (bare(), crowded()):
        assert "airness" not in page(found, NOW)
    assert section([], []) == {}
    assert "no training came to its end" in page(bare(), NOW), "what a look met is told where nothing was found, too"
    assert 'id="findings"' not in page(replace(bare(), state=MonitorState()), NOW)


def everything():
    windows = tuple(report(number, groups=90) for number in range(1, 28))
    return replace(crowded(), windows=windows, judged=tuple(judged(groups=90) for _ in range(9)))


def gate_alone():
    return replace(bare(), judged=(judged(),))


@needs_chromium
@pytest.mark.parametrize("found", [everything, gate_alone])
def test_it_fits_a_phone_and_takes_no_name_for_markup(found, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(page(found(), NOW))
    assert ODD not in file.read_text()
    with browser(tmp_path / "profile") as shown:
        for width in (390, 1280):
            shown.show(file, width)
            shown.asks("document.querySelectorAll('details').forEach(each => each.open = true)")
            assert shown.asks("document.documentElement.scrollWidth") <= width, "no scrolling sideways"
            wide = "[...document.querySelectorAll('section, header')].filter(each => each.scrollWidth > each.clientWidth + 1)"
            assert shown.asks(f"{wide}.map(each => each.innerText.slice(0, 40))") == [], "nothing is cut off"
            assert shown.complaints == []
