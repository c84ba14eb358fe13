"""What is counted never goes back, and is found again by stretches of time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from test_store import state

from heliostat.controller.metering import Counters, Meter, counted
from heliostat.controller.points import MOST_POINTS, Point, counts_of, dumped, loaded, samples, stretch, thinned, windows
from heliostat.controller.store import Store
from heliostat.rollout.model import Colour, ColourStatus, Observed, State
from heliostat.spec.latencies import BUCKETS, Counts, bucket_of
from heliostat.spec.rollouts import Phase
from heliostat.spec.routes import PREDICT


def counts(requests: int, failed: int = 0, rejected: int = 0) -> Counts:
    latencies = [0] * BUCKETS
    latencies[bucket_of(5.0)] = max(0, requests - failed)
    return Counts(requests=requests, failed=failed, rejected=rejected, latencies=tuple(latencies))


def asked(requests: int, failed: int = 0, probes: int = 0) -> dict[str, Counts]:
    """By route."""
    return {PREDICT: counts(requests, failed)} | ({"/healthz": counts(probes)} if probes else {})


def point(at: float, blue: int = 0, green: int = 0, share: int = 0, failed: int = 0) -> Point:
    return Point(at, share, counts(blue), counts(green, failed), 2 if blue else 0, 2 if green else 0)


def serving(number: int = 1, phase: Phase = Phase.STARTING) -> State:
    found = state(phase, number)
    return found.with_slot(Colour.BLUE, desired=found.declared, replicas=2)


def seen() -> Observed:
    return Observed(blue=ColourStatus(usable=frozenset({"a", "b"}), healthy=frozenset({"a", "b"})))


def test_a_haproxy_that_begins_anew_takes_nothing_away() -> None:
    labels = {Colour.BLUE: "1"}
    first = counted(Counters(), {"blue": asked(100, 3)}, labels)
    second = counted(first, {"blue": asked(20)}, labels)
    third = counted(second, {"blue": asked(25, 1)}, labels)
    assert third.colours[Colour.BLUE][PREDICT].requests == 125
    assert third.versions["1"][PREDICT].failed == 4


def test_what_a_colour_still_answers_once_it_is_empty_counts_for_what_it_had() -> None:
    first = counted(Counters(), {"blue": asked(10)}, {Colour.BLUE: "1"})
    second = counted(first, {"blue": asked(12)}, {})
    third = counted(second, {"blue": asked(15)}, {Colour.BLUE: "3"})
    assert {label: each[PREDICT].requests for label, each in third.versions.items()} == {"1": 12, "3": 3}
    assert third.colours[Colour.BLUE][PREDICT].requests == 15


def test_versions_of_long_ago_are_forgotten_but_never_a_present_one() -> None:
    found = counted(Counters(), {"green": asked(1)}, {Colour.GREEN: "old but there"})
    for number in range(40):
        found = counted(found, {"blue": asked(number + 1)}, {Colour.BLUE: str(number)})
    assert len(found.versions) == 20
    assert "old but there" in found.versions
    assert "39" in found.versions
    assert "5" not in found.versions


def test_what_no_version_could_answer_is_told_apart_from_all_of_them() -> None:
    labels = {Colour.BLUE: "1"}
    first = counted(Counters(), {"blue": asked(100), "nobody": asked(7, 7)}, labels)
    assert (first.versions["1"][PREDICT].failed, first.versions["nobody"][PREDICT].failed) == (0, 7)
    second = counted(first, {"blue": asked(100), "nobody": asked(3, 3)}, labels)
    assert second.versions["nobody"][PREDICT].failed == 10, "HAProxy began anew"
    assert "nobody" not in counted(Counters(), {"blue": asked(100), "nobody": {}}, labels).versions


def test_each_route_is_counted_by_itself() -> None:
    labels = {Colour.BLUE: "1"}
    first = counted(Counters(), {"blue": asked(10, probes=500)}, labels)
    second = counted(first, {"blue": asked(15, 5, probes=900)}, labels)
    assert {route: each.requests for route, each in second.versions["1"].items()} == {PREDICT: 15, "/healthz": 900}
    assert second.versions["1"]["/healthz"].failed == 0


def test_predictions_are_told_from_the_beginning_though_nothing_was_asked() -> None:
    assert counted(Counters(), {"blue": {}}, {Colour.BLUE: "1"}).versions == {"1": {PREDICT: Counts()}}


def test_what_is_less_for_a_moment_is_not_counted_twice() -> None:
    labels, found = {Colour.BLUE: "1"}, Counters()
    for requests, failed in ((10, 3), (9, 2), (10, 3), (9, 2), (10, 3)):
        found = counted(
            found, {"blue": {PREDICT: counts(7).model_copy(update={"requests": requests, "failed": failed})}}, labels
        )
    told = found.versions["1"][PREDICT]
    assert (told.requests, told.failed) == (10, 3)


def test_a_window_holds_what_was_counted_in_its_stretch() -> None:
    points = [point(float(second), blue=100 * second, green=second) for second in range(41)]
    now = point(40.5, blue=4_050, green=60)
    found = windows(points, now, since=5.0, seconds=30.0)
    assert [round(each.seconds, 1) for each in found] == [30.5, 10.5, 5.5, 2.5]
    assert found[0].blue.requests == 4_050 - 1_000
    assert found[-1].green.requests == 60 - 38


def test_no_window_has_more_failures_than_requests() -> None:
    """As one would that was read between the two counters of a failure."""
    now = replace(point(2.0), green=counts(10).model_copy(update={"requests": 12, "failed": 3}))
    (found,) = windows([point(1.0, green=10)], now, since=1.0, seconds=60.0)
    assert (found.green.requests, found.green.failed) == (2, 2)


def test_requests_that_nobody_answered_are_failures_of_the_version_that_had_them() -> None:
    lost = counts(100).model_copy(update={"requests": 103, "failed": 3})
    first = counted(Counters(), {"green": asked(100)}, {Colour.GREEN: "2"})
    second = counted(first, {"green": {PREDICT: lost}}, {Colour.GREEN: "2"})
    third = counted(second, {"green": asked(4)}, {Colour.GREEN: "2"})
    found = third.versions["2"][PREDICT]
    assert (found.requests, found.failed, sum(found.latencies)) == (107, 3, 104)


def test_a_window_never_begins_before_its_step() -> None:
    points = [point(float(second), green=10 * second) for second in range(10)]
    (found,) = windows(points, point(9.5, green=100), since=8.0, seconds=60.0)
    assert found.green.requests == 20
    assert windows([], point(1.0), since=0.0, seconds=10.0)[0].blue.requests == 0


def test_the_time_before_a_moment_is_a_stretch_as_far_as_it_is_known() -> None:
    points = [point(float(second), blue=10 * second) for second in range(10, 31)]
    before = stretch(points, until=25.3, seconds=10.0)
    assert before is not None
    assert (before.seconds, before.blue.requests) == (10.0, 100)
    short = stretch(points, until=12.0, seconds=10.0)
    assert short is not None
    assert short.blue.requests == 20
    assert stretch(points, until=9.0, seconds=10.0) is None
    assert stretch([], until=9.0, seconds=10.0) is None


def test_samples_are_rates_between_points() -> None:
    found = samples([point(0.0, blue=10), point(2.0, blue=50, green=4, share=1_000, failed=1)], Colour.GREEN)
    assert len(found) == 1
    assert found[0].candidate_weight == 0.1
    assert found[0].serving is not None
    assert found[0].candidate is not None
    assert found[0].serving.requests_per_second == 20.0
    assert found[0].candidate.failed_per_second == 0.5
    assert found[0].candidate.p99_ms is not None


def test_pages_and_rejections_are_rates_beside_the_predictions() -> None:
    before = replace(point(0.0, green=10), green_others=100)
    after = replace(point(2.0), green=counts(14, rejected=6), green_others=900, green_healthy=2)
    (found,) = samples([before, after], Colour.GREEN)
    assert found.candidate is not None
    assert (found.candidate.requests_per_second, found.candidate.rejected_per_second) == (2.0, 3.0)
    assert found.candidate.others_per_second == 400.0


def test_a_version_that_is_not_there_has_no_sample() -> None:
    (found,) = samples([point(0.0, blue=10), point(1.0, blue=20)], Colour.GREEN)
    assert found.candidate is None


def test_what_no_version_could_answer_is_a_rate_of_its_own() -> None:
    before, after = replace(point(0.0, blue=10), nobody=0), replace(point(2.0, blue=10), nobody=30)
    assert [each.unanswered_per_second for each in samples([before, after, replace(after, at=3.0)], Colour.GREEN)] == [
        15.0,
        0.0,
    ]


def test_a_look_counts_what_no_version_could_answer_for_the_time_line(tmp_path: Path) -> None:
    meter, counted_by = Meter(Store(tmp_path)), {"flights-blue": asked(10), "flights-nobody": asked(4, 4)}
    meter.record(serving(), seen(), {"flights-blue": asked(10)}, 1.0)
    meter.keep(serving(), 1.0)
    meter.record(serving(), seen(), counted_by, 3.0)
    meter.keep(serving(), 3.0)
    meter.record(serving(), seen(), counted_by, 5.0)
    meter.keep(serving(), 5.0)
    found = samples(Store(tmp_path).points("flights", 1), Colour.GREEN)
    assert [each.unanswered_per_second for each in found] == [2.0, 0.0]


def test_a_point_is_the_same_once_it_was_kept() -> None:
    kept = replace(point(3.0, blue=7, green=9, share=250, failed=2), nobody=5)
    assert loaded(3.0, dumped(kept)) == kept
    of_before = dumped(kept).removesuffix(", 5, 0, 0, 0, 0]") + "]"
    assert loaded(3.0, of_before) == replace(kept, nobody=None)
    assert loaded(3.0, dumped(kept).removesuffix(", 0, 0, 0, 0]") + "]") == kept
    beside = replace(kept, blue=counts(7, rejected=3), green=counts(9, rejected=4), blue_others=70, green_others=90)
    assert loaded(3.0, dumped(beside)) == beside
    (found,) = samples([loaded(3.0, of_before), replace(kept, at=4.0, nobody=5000)], Colour.GREEN)
    assert found.unanswered_per_second == 0.0, "nobody knows since when"
    assert counts_of([0, 0]) == Counts()


def test_thinning_leaves_the_newer_half_and_the_ends_alone() -> None:
    points = [point(float(second)) for second in range(100)]
    found = thinned(points)
    assert len(found) == 75
    assert found[0] == points[0]
    assert found[25:] == points[50:]


def test_windows_and_counters_are_there_after_a_restart(tmp_path: Path) -> None:
    meter = Meter(Store(tmp_path))
    for second in range(8):
        meter.record(serving(), seen(), {"flights-blue": asked(10 * (second + 1))}, float(second))
        meter.keep(serving(), float(second))
    again = Meter(Store(tmp_path))
    again.record(serving(), seen(), {"flights-blue": asked(100)}, 8.0)
    (whole, *_) = again.windows(serving(), since=2.0, seconds=60.0)
    assert whole.blue.requests == 70
    assert again.versions("flights") == {"1-00000000": {PREDICT: counts(100)}}


def test_what_was_told_is_kept_before_it_is_told(tmp_path: Path) -> None:
    meter = Meter(Store(tmp_path))
    assert meter.versions("flights") is None
    meter.record(serving(), seen(), {"flights-blue": asked(10)}, 1.0)
    assert meter.versions("flights") is not None
    kept = Store(tmp_path).counters("flights")
    assert kept is not None
    assert Counters.model_validate_json(kept).versions["1-00000000"][PREDICT].requests == 10


def test_a_rollout_keeps_the_seconds_before_it_and_one_sample_a_second(tmp_path: Path) -> None:
    store = Store(tmp_path)
    meter = Meter(store)
    first, second = serving(1, Phase.SUCCEEDED), serving(2)
    for tenth in range(500):
        meter.record(first if tenth < 400 else second, seen(), {"flights-blue": asked(tenth)}, 1_000 + tenth / 10)
        meter.keep(first if tenth < 400 else second, 1_000 + tenth / 10)
    times = [each.at for each in store.points("flights", 2)]
    assert 1_029 < times[0] < 1_032
    assert times[-1] > 1_048
    assert 17 <= len(times) <= 23


def test_a_rollout_of_days_keeps_a_bounded_number_of_points(tmp_path: Path) -> None:
    store = Store(tmp_path)
    meter = Meter(store)
    for second in range(MOST_POINTS + 10):
        meter.record(serving(), seen(), {}, float(second))
        meter.keep(serving(), float(second))
    times = [each.at for each in store.points("flights", 1)]
    assert len(times) <= MOST_POINTS
    assert times[0] == 0.0
    assert times[-1] == MOST_POINTS + 9


def test_a_forgotten_application_begins_anew(tmp_path: Path) -> None:
    store = Store(tmp_path)
    meter = Meter(store)
    meter.record(serving(), seen(), {"flights-blue": asked(10)}, 1.0)
    meter.keep(serving(), 1.0)
    store.forget("flights")
    meter.forget("flights")
    assert store.points("flights", 1) == ()
    assert meter.versions("flights") is None
