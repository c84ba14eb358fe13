"""Several HAProxies are counted as one plane, whichever of them come, go or begin anew."""

from __future__ import annotations

from pathlib import Path

from test_metering import asked, seen, serving

from heliostat.controller.metering import Counters, Meter, counted_part
from heliostat.controller.store import Store
from heliostat.rollout.model import Colour, State
from heliostat.spec.endpoints import PartCounts
from heliostat.spec.routes import PREDICT

ONE, TWO, THREE = {Colour.BLUE: "1"}, {Colour.BLUE: "1", Colour.GREEN: "2"}, {Colour.BLUE: "3", Colour.GREEN: "2"}


def blue(found: Counters) -> int:
    return found.colours[Colour.BLUE][PREDICT].requests


def versions(found: Counters) -> dict[str, int]:
    return {label: routes[PREDICT].requests for label, routes in found.versions.items()}


def part(at: float, requests: int) -> PartCounts:
    return PartCounts(at, {"flights-blue": asked(requests)})


def test_members_are_added_up_and_each_is_counted_from_where_it_was() -> None:
    found = counted_part(Counters(), "one/1", {"blue": asked(10)}, ONE)
    found = counted_part(found, "two/1", {"blue": asked(5)}, ONE)
    found = counted_part(found, "one/1", {"blue": asked(12)}, ONE)
    assert (blue(found), versions(found)) == (17, {"1": 17})


def test_a_haproxy_that_began_anew_is_another_one_however_much_it_has_counted_since() -> None:
    found = counted_part(Counters(), "one/1", {"blue": asked(10)}, ONE)
    assert blue(counted_part(found, "one/2", {"blue": asked(30)}, ONE)) == 40


def test_what_a_silent_member_counted_is_of_the_version_that_the_colour_had_then_and_judges_no_other() -> None:
    found = counted_part(Counters(), "one/1", {"blue": asked(10)}, TWO)
    found = counted_part(found, "two/1", {"blue": asked(10)}, THREE)
    late = counted_part(found, "one/1", {"blue": asked(15, failed=5)}, THREE, silent=True)
    assert (blue(late), blue(found)) == (20, 20)
    assert versions(late) == {"1": 15, "3": 10}
    after = counted_part(late, "one/1", {"blue": asked(16, failed=5)}, THREE)
    assert versions(after) == {"1": 15, "3": 11}, "from here on it is heard in time"


def test_a_member_that_was_silent_while_nothing_changed_is_counted_as_ever() -> None:
    found = counted_part(Counters(), "one/1", {"blue": asked(10)}, ONE)
    assert blue(counted_part(found, "one/1", {"blue": asked(15)}, ONE, silent=True)) == 15


def test_members_of_long_ago_are_forgotten_and_those_of_late_are_not() -> None:
    found = Counters()
    for number in range(100):
        found = counted_part(found, f"pod/{number}", {"blue": asked(1)}, ONE)
        found = counted_part(found, "stays/1", {"blue": asked(number + 1)}, ONE)
    assert (len(found.parts), "stays/1" in found.parts, "pod/0" in found.parts) == (64, True, False)
    assert blue(found) == 200


def test_a_controller_that_is_started_again_counts_nothing_twice_also_where_a_member_left_meanwhile(tmp_path: Path) -> None:
    meter = Meter(Store(tmp_path))
    meter.record(serving(), seen(), {}, 1.0, {"one/1": part(1.0, 10), "two/1": part(1.0, 20)})
    meter.save("flights")
    again = Meter(Store(tmp_path))
    again.record(serving(), seen(), {}, 5.0, {"one/1": part(0.5, 13)})
    found = again.versions("flights")
    assert found is not None
    assert [each[PREDICT].requests for each in found.values()] == [33]


def test_the_first_requests_of_a_version_after_a_quiet_time_are_its_own(tmp_path: Path) -> None:
    meter, state = Meter(Store(tmp_path)), serving()
    for second in range(20):
        meter.record(state, seen(), {}, float(second), {"one/1": part(float(second), 10)})
    later = _with_version(state, "another")
    for second in range(20, 40):
        meter.record(later, seen(), {}, float(second), {"one/1": part(float(second), 10)})
    meter.record(later, seen(), {}, 40.0, {"one/1": part(40.0, 14)})
    found = meter.versions("flights")
    assert found is not None
    assert found["another"][PREDICT].requests == 4


def test_what_was_told_before_is_not_looked_at_again(tmp_path: Path) -> None:
    meter = Meter(Store(tmp_path))
    for _ in range(2):
        meter.record(serving(), seen(), {}, 1.0, {"one/1": part(1.0, 10)})
    found = meter.versions("flights")
    assert found is not None
    assert [each[PREDICT].requests for each in found.values()] == [10]


def _with_version(state: State, label: str) -> State:
    desired = state.slot(Colour.BLUE).desired
    assert desired is not None
    version = desired.version.model_copy(update={"label": label})
    return state.with_slot(Colour.BLUE, desired=desired.model_copy(update={"version": version}))
