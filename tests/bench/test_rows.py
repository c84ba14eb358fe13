import pytest

from bench.__main__ import MEASUREMENTS
from bench.rows import BY_NAME, ROWS, Reach, SelectionError, select


@pytest.mark.parametrize(
    ("reach", "reached", "missed"),
    [(Reach(">=", 1.1), 1.1, 1.09), (Reach("<=", 3), 3.0, 3.01), (Reach("=", 0), 0.0, 1.0)],
)
def test_a_reach_holds_from_its_bound_on(reach, reached, missed):
    assert reach.holds(reached)
    assert not reach.holds(missed)


def test_a_rate_is_held_from_below_as_well_so_that_a_detector_that_never_fires_does_not_pass():
    reach = BY_NAME["data/false-alarms"].reach
    assert reach is not None
    assert [reach.holds(value) for value in (0.0, 2.8, 2.9, 5.0, 7.4, 7.5)] == [False, False, True, True, True, False]
    assert str(reach) == ">= 2.9, <= 7.4"


def test_a_row_that_is_only_reported_holds_with_any_value_and_not_without_one():
    row = BY_NAME["stack/memory"]
    assert row.reach is None
    assert row.result(1e9).holds
    assert not row.failure("it broke").holds


def test_every_row_is_measured_by_exactly_one_measurement():
    measured = [name for _, names in MEASUREMENTS for name in names]
    assert sorted(measured) == sorted(row.name for row in ROWS)


def test_every_measurement_exists():
    from importlib import import_module

    for entry_point, _ in MEASUREMENTS:
        module, _, function = entry_point.partition(":")
        assert callable(getattr(import_module(module), function))


def test_no_name_means_all_but_the_long_rows_and_a_topic_means_its_own():
    assert select(()) == tuple(row for row in ROWS if not row.is_long)
    assert [row.name for row in select(("soak",))] == ["soak/failed"]
    assert {row.name for row in select(("training",))} == {"training/overhead", "training/loop", "training/digits"}
    assert [row.name for row in select(("training/loop", "stack/memory"))] == ["stack/memory", "training/loop"]


def test_unknown_names_are_all_told_at_once():
    with pytest.raises(SelectionError, match=r"'speed', 'serving/torch'.*topics: data, engine"):
        select(("speed", "engine", "serving/torch"))
