from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from heliostat.monitoring.fragility import fragility

RANDOM = np.random.default_rng(0)
ROWS = pa.table(
    {
        "x": RANDOM.normal(size=300),
        "n": RANDOM.integers(0, 100, 300),
        "c": RANDOM.choice(["a", "b"], 300),
        "same": np.ones(300),
        "when": pa.array([0] * 300, pa.timestamp("s")),
    }
)


def linear(table):
    return 2 * table["x"].to_numpy() + np.where(np.array(table["c"].to_pylist()) == "a", 0.5, 0.0)


def test_the_worst_case_of_a_linear_model_is_known_and_found():
    found = fragility(linear, ROWS, (0.01, 0.1))
    deviation = ROWS["x"].to_numpy().std()
    for response in found.responses:
        assert response.worst_change == pytest.approx(2 * deviation * response.epsilon + 0.5, rel=1e-6)
        assert response.mean_change <= response.high_change <= response.worst_change
    assert set(found.responses[0].worst_inputs) == {"x", "c"} or "c" in found.responses[0].worst_inputs


def test_the_columns_that_move_predictions_come_first_and_those_that_cannot_move_are_left_out():
    found = fragility(linear, ROWS, (0.1,))
    assert list(found.by_column)[:2] in (["x", "c"], ["c", "x"]) and found.by_column["n"] == 0
    assert set(found.by_column) == {"x", "n", "c"}


def test_a_narrow_spike_that_random_moves_miss_is_found_by_the_search():
    def spike(table):  # only where both are at the end of their box
        x, y = table["x"].to_numpy(), table["y"].to_numpy()
        return np.clip(x, 0, None) ** 4 * 1e4 + np.clip(y, 0, None)

    rows = pa.table({"x": np.linspace(-1, 1, 50), "y": np.linspace(1, -1, 50)})
    found = fragility(spike, rows, (0.2,)).responses[0]
    assert found.worst_change > 2 * found.high_change * 0.5 and found.worst_row < 50
    assert found.worst_change >= np.max(found.mean_change)


def test_where_chance_goes_further_than_the_search_the_row_and_the_inputs_are_those_of_chance():
    middles = np.array([1.0, 2.0, 3.0, 4.0])

    def within(table):  # a bump inside each box, which its ends do not meet
        gap = np.abs(np.abs(table["x"].to_numpy() - middles) - 0.3)
        return np.where(gap < 0.2, middles, 0.0)

    rows = pa.table({"x": middles, "y": [1.0, 1.0, 2.0, 2.0]})
    found = fragility(within, rows, (0.9,)).responses[0]
    assert found.worst_change == middles[found.worst_row] > 0
    before, _, after = found.worst_inputs["x"].partition(" → ")
    assert float(before) == middles[found.worst_row] and abs(abs(float(after) - float(before)) - 0.3) < 0.2


def test_an_input_that_is_nan_and_stays_so_was_not_moved():
    rows = pa.table({"x": [1.0, 2.0, float("nan")], "y": [1.0, 2.0, 3.0]})

    def of_missing(table):
        return np.where(np.isnan(table["x"].to_numpy()), 100.0, 0.0) * table["y"].to_numpy()

    found = fragility(of_missing, rows, (0.5,)).responses[0]
    assert found.worst_row == 2 and set(found.worst_inputs) == {"y"}


def test_decisions_that_turn_are_counted_where_predictions_are_probabilities():
    def step(table):
        return (table["x"].to_numpy() > 0).astype(float)

    found = fragility(step, ROWS, (0.5,), flips_at=0.5).responses[0]
    assert 0.05 < found.flips < 0.4
    assert fragility(lambda table: np.full(table.num_rows, 0.9), ROWS, (0.5,), flips_at=0.5).responses[0].flips == 0
    assert fragility(step, ROWS, (0.5,)).responses[0].flips is None


def test_a_model_that_does_not_look_is_not_fragile():
    found = fragility(lambda table: np.zeros(table.num_rows), ROWS, (0.1,))
    assert found.responses[0].worst_change == 0 and found.responses[0].worst_inputs == {}


def test_moved_rows_are_rows_that_the_model_takes():
    seen = []

    def looking(table):
        seen.append(table)
        return np.zeros(table.num_rows)

    rows = ROWS.set_column(0, "x", pa.array([None, *ROWS["x"].to_pylist()[1:]], pa.float64()))
    fragility(looking, rows, (1.0,))
    assert all(table.schema == rows.schema for table in seen)
    moved = pa.concat_tables(seen)
    assert moved["n"].type == pa.int64() and min(moved["n"].to_pylist()) >= min(ROWS["n"].to_pylist())
    assert all(table["x"][0].as_py() is None for table in seen), "what is missing stays so"


@pytest.mark.parametrize(
    ("rows", "predict", "reason"),
    [
        (ROWS.slice(0, 0), linear, "there are no rows"),
        (ROWS, lambda table: np.full(table.num_rows, np.nan), "300 of 300 predictions are no finite number"),
        (ROWS.select(["same", "when"]), lambda table: np.zeros(table.num_rows), "no input has another value"),
    ],
)
def test_what_cannot_be_tried_has_its_reason(rows, predict, reason):
    assert reason in fragility(predict, rows, (0.1,)).reason


def test_the_same_seed_moves_the_same():
    assert fragility(linear, ROWS, (0.1,), seed=1) == fragility(linear, ROWS, (0.1,), seed=1)
    assert fragility(linear, ROWS, (0.1,), seed=1) != fragility(linear, ROWS, (0.1,), seed=2)
