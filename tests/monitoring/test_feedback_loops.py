from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from heliostat.monitoring.feedback import Feedback, Tie, feedback, trend, with_trends
from tests.monitoring.logs import NOW


def history(effect, confounder=0.0, keys=150, steps=10, held=0.0, seed=0):
    """Rows of keys over time: the next input is the one before, the answer's effect, and what moves both; and the answers."""
    random = np.random.default_rng(seed)
    out = random.random(keys) < held
    x, rows, answers = random.normal(size=keys), [], []
    for step in range(steps):
        hidden = random.normal(size=keys)
        answer = 1 / (1 + np.exp(-(0.5 * x + hidden)))
        rows += [(f"k{key}", NOW + step * timedelta(days=1), x[key], bool(out[key])) for key in range(keys)]
        answers += answer.tolist()
        x = 0.5 * x + np.where(out, 0, effect) * answer + confounder * hidden + random.normal(size=keys)
    names = ("who", "time", "x", "out")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    table = pa.table(
        {**columns, "time": pa.array(columns["time"], pa.timestamp("us", "UTC")), "noise": random.random(len(rows))}
    )
    return table, np.array(answers)


def test_an_input_that_follows_answers_is_told_from_one_that_does_not():
    table, answers = history(effect=2.0)
    found = feedback(table, answers, "who", ("x", "noise"), None)
    assert found.ties["x"].correlation > 0.3 and found.ties["x"].p_value < 1e-6
    assert abs(found.ties["noise"].correlation) < 0.1 and found.ties["noise"].p_value > 0.01
    assert found.ties["x"].pairs == 150 * 9 and found.holdout_share is None


def test_an_input_that_keeps_its_own_value_is_no_loop():
    table, answers = history(effect=0.0)
    tie = feedback(table, answers, "who", ("x",), None).ties["x"]
    assert np.corrcoef(table["x"].to_numpy(), answers)[0, 1] > 0.3, "answers and inputs are alike"
    assert abs(tie.correlation) < 0.1 and tie.p_value > 0.01


def test_a_holdout_tells_the_answers_from_what_moves_both():
    table, answers = history(effect=2.0, held=0.3)
    caused = feedback(table, answers, "who", ("x",), "out")
    assert caused.holdout_share == pytest.approx(0.3, abs=0.1)
    assert abs(caused.ties["x"].held_out) < 0.15 and caused.ties["x"].difference_p_value < 1e-4
    table, answers = history(effect=0.0, confounder=0.5, held=0.3)
    both = feedback(table, answers, "who", ("x",), "out").ties["x"]
    assert both.correlation > 0.2 and both.held_out > 0.2 and both.difference_p_value > 0.01


def test_a_holdout_that_is_too_small_to_tell_is_told():
    table, answers = history(effect=2.0, held=0.02)
    assert "of those held out" in feedback(table, answers, "who", ("x",), "out").ties["x"].reason


def test_rows_in_any_order_without_a_key_a_time_or_an_answer_change_nothing():
    table, answers = history(effect=2.0, keys=40)
    expected = feedback(table, answers, "who", ("x",), None).ties["x"]
    broken = table.slice(0, 3).set_column(0, "who", pa.array([None, None, None], pa.string()))
    order = np.random.default_rng(0).permutation(table.num_rows + 3)
    mixed, given = pa.concat_tables([table, broken]).take(order), np.append(answers, [0.5] * 3)[order]
    assert feedback(mixed, given, "who", ("x",), None).ties["x"].correlation == pytest.approx(expected.correlation)
    given[:50] = np.nan
    assert feedback(mixed, given, "who", ("x",), None).ties["x"].pairs < expected.pairs


@pytest.mark.parametrize(
    ("table", "answers", "reason"),
    [
        (history(1.0, keys=5, steps=3)[0], history(1.0, keys=5, steps=3)[1], "10 rows follow another of their key"),
        (history(1.0, steps=2)[0].slice(0, 0), np.zeros(0), "0 rows follow"),
        (history(1.0)[0], np.full(1_500, 0.5), "says no more than"),
    ],
)
def test_what_cannot_be_told_has_its_reason(table, answers, reason):
    assert reason in feedback(table, answers, "who", ("x",), None).ties["x"].reason


def test_a_column_of_text_cannot_follow_anything_and_costs_no_other():
    table, answers = history(effect=2.0)
    found = feedback(table, answers, "who", ("who", "x"), None)
    assert found.ties["who"].correlation is None and found.ties["x"].correlation is not None


def test_exploration_is_the_share_of_decisions_beside_the_usual_one():
    table = pa.table({"who": ["a"] * 4 + ["b"] * 4 + ["c"], "time": pa.array([NOW] * 9), "x": [0.0] * 9})
    answers = np.array([0.9, 0.9, 0.9, 0.1, 0.2, 0.2, 0.2, 0.2, 0.7])
    assert feedback(table, answers, "who", ("x",), None).exploration == 1 / 8
    assert feedback(table, answers * 10, "who", ("x",), None).exploration is None, "these are no probabilities"


def test_decisions_about_nobody_are_nobodys_exploration():
    table = pa.table({"who": ["a", "a", None, None], "time": pa.array([NOW] * 4), "x": [0.0] * 4})
    assert feedback(table, np.array([0.9, 0.9, 0.1, 0.1]), "who", ("x",), None).exploration == 0
    nobody = table.set_column(0, "who", pa.nulls(4, pa.string()))
    assert feedback(nobody, np.array([0.9, 0.9, 0.1, 0.1]), "who", ("x",), None).exploration is None


def test_a_tie_that_grows_from_window_to_window_has_a_trend():
    assert trend([0.1, -0.2, 0.3, 0.4]) == 1 and trend([0.4, 0.3, 0.2, 0.1]) == -1
    assert trend([0.1, 0.2, 0.3]) is None and trend([0.1] * 5) is None


def test_the_trend_of_a_tie_is_over_the_windows_before_in_which_it_could_be_told():
    def of(correlation):
        return Feedback(rows=9, ties={"x": Tie(pairs=9, correlation=correlation)})

    grown = with_trends(of(0.4), [of(0.1), of(None), Feedback(rows=9), of(0.2), of(0.3)]).ties["x"]
    assert (grown.trend, grown.windows) == (1, 4)
    assert with_trends(of(0.4), [of(0.1), of(0.2)]).ties["x"].trend is None, "three windows are no trend"
    assert with_trends(of(None), [of(0.1), of(0.2), of(0.3), of(0.4)]).ties["x"].trend is None
