"""What a training's report advises, and how it reads."""

from __future__ import annotations

from typing import Any

import pytest

from heliostat.spec.training_report import Bound, Knowledge, TrainingReport, Trial, WorkerTimes, advise, lines, report_key


def worker(rank: int = 0, **changes: Any) -> WorkerTimes:
    given = {"node": "10.0.0.1", "node_memory_mib": 10_000, "seconds": 100.0, "cpu_seconds": 60.0, "peak_memory_mib": 500}
    return WorkerTimes(**{"rank": rank, **given, **changes})


def bounds(*workers: WorkerTimes) -> list[Bound]:
    return [each.bound for each in advise(workers)]


def test_a_training_that_nothing_holds_up_gets_no_advice() -> None:
    assert bounds(worker(), worker(1)) == []
    assert bounds() == []


@pytest.mark.parametrize(
    ("changes", "bound", "figure"),
    [
        ({"input": 40.0, "cpu_seconds": 40.0}, Bound.INPUT, "input took 40% of worker 1's 100.0 s (40.0 s)"),
        ({"synchronisation": 31.0, "cpu_seconds": 50.0}, Bound.SYNCHRONISATION, "synchronisation took 31%"),
        ({"checkpoints": 10.0, "cpu_seconds": 50.0}, Bound.CHECKPOINTS, "checkpoints took 10%"),
        ({"cpu_seconds": 95.0}, Bound.CPU, "kept 95% of its 1 thread busy in 100.0 s"),
        ({"cpu_seconds": 95.0, "threads": 2}, None, ""),
        ({"cpu_seconds": 30.0}, None, ""),
        ({"cpu_seconds": 30.0, "accelerator": "1 x H100"}, None, ""),
        ({"peak_memory_mib": 7600}, Bound.MEMORY, "the 2 workers on 10.0.0.1 took 7.9 GiB at their peaks, 81% of its memory"),
        ({"input": 29.0, "cpu_seconds": 50.0}, None, ""),
    ],
)
def test_each_rule_names_the_figure_that_it_is_about(changes: dict[str, Any], bound: Bound | None, figure: str) -> None:
    found = advise([worker(), worker(1, **changes)])
    assert [each.bound for each in found] == ([bound] if bound is not None else [])
    assert all(figure in each.text and each.figure >= each.limit for each in found)


def test_workers_of_which_none_is_busy_wait_for_something() -> None:
    [found] = advise([worker(cpu_seconds=30.0), worker(1, cpu_seconds=20.0)])
    assert found.bound is Bound.WAITING
    assert "worker 0 kept 30%" in found.text


def test_a_short_training_is_told_nothing_of_its_shares_but_of_its_memory() -> None:
    assert bounds(worker(seconds=3.0, input=2.0)) == []
    assert bounds(worker(seconds=3.0, peak_memory_mib=9000)) == [Bound.MEMORY]


def test_workers_on_different_nodes_share_no_memory() -> None:
    assert bounds(worker(peak_memory_mib=7600), worker(1, node="10.0.0.2", peak_memory_mib=7600)) == []


def test_the_report_says_where_the_time_went_what_it_cost_and_what_was_tried() -> None:
    report = TrainingReport(
        name="flights", run_id="r", seconds=120, usd=0.5, price="1 g5.xlarge", attempts=(2, 1), ended_by_budget=60.0,
        workers=(worker(), worker(1, seconds=110.0, input=10.0)), metric="r2",
        trials=(
            Trial(parameters={"x": 1}, value=0.5),
            Trial(parameters={"x": 2}, value=0.7, chosen=True),
            Trial(parameters={"x": 3}, value=None, error="no"),
        ),
        knowledge=Knowledge(
            metric="r2", before="models:/flights/1", old_data="d", before_on_old=0.9, after_on_old=0.8, before_on_new=0.5,
            after_on_new=0.7,
        ),
    )  # fmt: skip
    assert list(lines(report)) == [
        "120.0 s, of which the slowest worker's 110.0 s: input 10.0 s, compute 100.0 s; peak 500 MiB a worker",
        "cost 0.50 USD (1 g5.xlarge)",
        "its workers were started 2 times: 2, 1 of them",
        "its budget of 60 s ended it",
        "the best of 3 trials, 1 of which failed: r2 0.7000 with x 2 (0.5000 as declared)",
        "r2 on the data of models:/flights/1: 0.9000 before, 0.8000 now; on the new data: 0.5000 before, 0.7000 now",
    ]
    assert TrainingReport.model_validate_json(report.model_dump_json()) == report


def test_a_training_has_one_place_for_its_report() -> None:
    assert report_key("flights", "a" * 64) == f"trainings/flights/{'a' * 32}.report.json"
