import math

import pytest

from bench.answers import NO_VERSION, Answers

ROWS = [
    (100.0, 1.0, "", "1"),
    (100.1, 2.0, "", "1"),
    (100.3, 900.0, "status 503", NO_VERSION),
    (100.2, 3.0, "", "2"),
    (100.5, 5.0, "", "2"),
    (100.4, 4.0, "no answer: EOF", NO_VERSION),
]
ANSWERS = Answers.of(ROWS)
NONE = Answers.of([])


def test_requests_are_in_the_order_in_which_they_were_sent():
    assert list(ANSWERS.sent) == sorted(row[0] for row in ROWS)


def test_each_failure_is_counted_with_its_kind():
    assert (ANSWERS.requests, ANSWERS.failed) == (6, 2)
    assert ANSWERS.failed_by_kind() == {"status 503": 1, "no answer: EOF": 1}
    assert ANSWERS.failed_share == pytest.approx(1 / 3)


def test_a_stall_shows_in_the_quantiles_of_its_interval_only():
    assert ANSWERS.quantile_ms(1.0) == 900
    assert ANSWERS.between(end=100.25).quantile_ms(1.0) == 3
    assert ANSWERS.between(start=100.35).quantile_ms(0.0) == 4


def test_an_interval_holds_its_beginning_and_not_its_end():
    assert list(ANSWERS.between(100.1, 100.3).sent) == [100.1, 100.2]
    assert ANSWERS.between(101.0).requests == ANSWERS.between(100.3, 100.1).requests == 0


def test_the_share_of_a_version_is_of_the_answers_that_name_one():
    assert ANSWERS.by_version() == {"1": 2, "2": 2, NO_VERSION: 2}
    assert ANSWERS.share("2") == 0.5
    assert ANSWERS.between(100.15).share("2") == 1.0
    assert ANSWERS.share("3") == 0.0


def test_when_a_version_was_asked_first_and_last_is_told():
    assert (ANSWERS.first("1"), ANSWERS.last("1"), ANSWERS.first("2")) == (100.0, 100.1, 100.2)
    assert ANSWERS.first("3") is None
    assert ANSWERS.between(end=100.2).first("2") is None


def test_a_generator_that_was_late_is_found_out():
    punctual = Answers.of([(number / 10, 1.0, "", "") for number in range(100)])
    late = Answers.of([(number / 10 + (0.05 if number >= 50 else 0), 1.0, "", "") for number in range(100)])
    assert punctual.behind_ms(10) == pytest.approx(0, abs=1e-6)
    assert late.behind_ms(10) == pytest.approx(50, abs=1e-3)


def test_nothing_is_no_number_rather_than_a_good_one():
    assert (NONE.requests, NONE.failed, NONE.failed_by_kind(), NONE.by_version()) == (0, 0, {}, {})
    assert all(math.isnan(value) for value in (NONE.quantile_ms(0.99), NONE.share("1"), NONE.behind_ms(10)))
    assert NONE.last("1") is None


def test_the_figures_are_plain_numbers():
    assert ANSWERS.figures() == {
        "requests": 6, "failed": 2, "failed_by_kind": {"status 503": 1, "no answer: EOF": 1},
        "p50_ms": 3.5, "p99_ms": pytest.approx(855.25, abs=0.01), "by_version": {"1": 2, "2": 2, NO_VERSION: 2},
    }  # fmt: skip
