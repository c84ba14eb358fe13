"""Reports of windows that were looked at before, and files of the log that go while it is read."""

from __future__ import annotations

from heliostat.jobs.monitoring.log import files
from heliostat.jobs.monitoring.windows import kept_reports
from heliostat.monitoring.looking import WindowReport
from heliostat.spec.monitoring import window_key
from heliostat.systems.objects import Directory


def test_the_last_windows_of_so_many_rows_are_those_with_the_largest_numbers(tmp_path):
    store = Directory(tmp_path)
    names = [f"rows {number * 500}-{number * 500 + 499}" for number in range(25)]
    for name in names:
        store.put(window_key("birds", name), WindowReport(window=name, rows=500, labels=0).model_dump_json().encode())
    assert [each.window for each in kept_reports(store, "birds", 3)] == names[-3:]
    assert [each.window for each in kept_reports(store, "birds", 100)] == names
    assert list(kept_reports(store, "birds", 0)) == []


def test_a_file_of_the_log_that_went_since_it_was_listed_is_passed_over(tmp_path):
    store = Directory(tmp_path)
    for name in ("a", "b"):
        store.put(f"predictions/birds/{name}.parquet", b"")
    there = list(store.list("predictions/birds/"))
    store.delete("predictions/birds/a.parquet")
    assert [key for key, _ in files(store, there, tmp_path)] == ["predictions/birds/b.parquet"]
