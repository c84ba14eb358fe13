import pytest
from rollout_records import BEGAN, failed, rollout, status, succeeded, version, waiting

from heliostat.cli.rollouts import messages, shares, view, watch
from heliostat.cli.rollouts.drawing import clock_text
from heliostat.spec.rollouts import Phase, VersionSample
from heliostat.systems.controller_api import serves_as_declared


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (None, "ms", "\N{EN DASH}"),
        (0.0, "", "0"),
        (1480, "", "1,480"),
        (1480.4, "", "1,480"),
        (9.8137, "ms", "9.81 ms"),
        (0.00213, "s", "0.00213 s"),
        (-0.25, "", "-0.25"),
    ],
)
def test_numbers_have_three_digits_that_count(value, unit, said):
    assert messages.number(value, unit) == said


def test_shares_of_requests_are_told_in_percent_with_what_is_missing():
    assert messages.measured("success rate", 0.9998) == "99.98 %"
    assert messages.measured("disagreement", 0.0132) == "1.32 %"
    assert messages.measured("latency p99", 12.34) == "12.3 ms"
    assert messages.measured("prediction-distance", 0.1) == "0.1"


def test_a_figures_unit_is_in_its_name():
    assert messages.figure("startup_seconds", 18.66) == ("startup", "18.7 s")
    assert messages.figure("seconds", 3) == ("time", "3 s")
    assert messages.figure("moved_by", "hand") == ("moved by", "hand")
    assert messages.figures({"shift_milliseconds": 2.0, "steps": [{"weight": 1}]}) == "shift 2 ms"


def test_lengths_of_time_go_from_seconds_to_days():
    assert [messages.span(one) for one in (-1, 0.25, 75, 3700, 90_000)] == ["0.0s", "0.2s", "1m15s", "1h01m", "1d01h"]
    assert [clock_text(one, 60) for one in (-3, 45)] == ["-3 s", "45 s"]
    assert [clock_text(one, 600) for one in (-65, 125)] == ["-1:05", "2:05"]
    assert clock_text(7320, 80_000) == "2:02 h"
    assert clock_text(187_200, 400_000) == "2d 04h"


@pytest.mark.parametrize(("share", "full"), [(0.0, 0), (0.0001, 1), (0.5, 12), (0.9999, 23), (1.0, 24)])
def test_a_bar_is_full_or_empty_only_where_that_is_so(share, full):
    assert shares.bar(share).count("█") == full


def test_steps_are_marked_by_what_became_of_them():
    def marks(**changes):
        return "".join(view.mark(rollout(**changes), step)[0] for step in range(4))

    assert marks(step=1, phase=Phase.ANALYSING) == "✓▸··"
    assert marks(step=1, phase=Phase.ROLLING_BACK) == "✓✗··"
    assert marks(step=3, phase=Phase.RETAINING) == "✓✓✓✓"
    assert marks(step=2, phase=Phase.SUPERSEDED) == "✓✓-·"


def test_what_is_timed_counts_down_and_says_what_follows():
    assert view.countdown(waiting().rollout, BEGAN + 3650) == "rolls back in 40s"
    assert view.countdown(rollout(phase=Phase.PAUSED, until=BEGAN + 60), BEGAN + 90) == "0.0s left"
    assert view.countdown(succeeded().rollout, BEGAN) == ""


def test_lines_are_told_once_and_an_answer_that_comes_late_is_passed_over():
    told = []
    lines = watch.Lines(told.append)
    old, new = status(waiting()), status(rollout=rollout(number=8, events=()))
    for one in (old, old, new, old):
        lines.show(one)
    assert len(told) == 1 + len(waiting().rollout.events) + 1
    assert told[-1].startswith("flights: rollout 8")


def test_a_rollout_that_is_through_is_not_waited_for_unless_another_is_about_to_begin():
    assert watch.is_through(status(rollout=rollout(phase=Phase.RETAINING)))
    assert not watch.is_through(status(rollout=rollout(phase=Phase.RETAINING)), to_the_end=True)
    assert not watch.is_through(status(rollout=rollout(phase=Phase.RETAINING), number=3))
    assert not watch.is_through(status(rollout=rollout(phase=Phase.ANALYSING)))
    assert watch.is_through(status(rollout=None))


def test_where_what_is_declared_served_all_along_a_failed_rollout_is_the_last_there_is_to_see():
    reverted = status(failed(), number=1, serving=version(1))
    assert watch.is_through(reverted)
    assert watch.is_through(reverted, to_the_end=True)
    coming = reverted.model_copy(update={"pending": True})
    assert not watch.is_through(coming), "a next one may be about to begin"
    assert not serves_as_declared(coming)
    assert not watch.is_through(reverted.model_copy(update={"serving": version(3)}))
    assert not watch.is_through(status(rollout=rollout(phase=Phase.ROLLING_BACK), number=1, serving=version(1)))
    assert not watch.is_through(status(number=2, pending=True))


def test_a_version_without_requests_has_no_latencies_to_show():
    quiet = VersionSample(replicas=2, requests_per_second=0, failed_per_second=0)
    assert (quiet.p50_ms, messages.number(quiet.p50_ms, "ms")) == (None, messages.NOTHING)
