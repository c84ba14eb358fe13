import io
import json
import subprocess

from rich.console import Console

from bench import report
from bench.rows import BY_NAME, ROWS

ORDER = [row.name for row in ROWS]


def _record(result, commit="abc"):
    return report.records([result], "a machine", commit)[0]


def test_a_record_says_what_was_measured_where_and_of_which_commit():
    record = _record(BY_NAME["serving/fastapi"].result(1.54321, theirs=[1, 2]))
    assert record == {
        "name": "serving/fastapi",
        "what": "requests/s ÷ FastAPI and uvicorn, as many workers",
        "value": 1.54,
        "unit": "ratio",
        "reach": ">= 1.1",
        "holds": True,
        "figures": {"theirs": [1, 2]},
        "machine": "a machine",
        "commit": "abc",
    }


def test_whether_a_reach_holds_is_decided_before_the_value_is_rounded():
    assert not _record(BY_NAME["serving/ray-haproxy"].result(1.0999))["holds"]


def test_a_row_that_could_not_be_measured_is_recorded_with_its_reason():
    record = _record(BY_NAME["stack/memory"].failure("no process"))
    assert (record["value"], record["holds"], record["error"], record["reach"]) == (None, False, "no process", "reported")


def test_a_run_of_some_rows_leaves_the_others_as_they_were(tmp_path):
    path = tmp_path / "results.json"
    memory, growth = BY_NAME["stack/memory"], BY_NAME["engine/preview-growth"]
    report.write(path, [_record(memory.result(1.0), "old"), _record(growth.result(5.0), "old")], ORDER)
    report.write(path, [_record(memory.result(2.0), "new")], ORDER)
    assert [(each["name"], each["value"], each["commit"]) for each in json.loads(path.read_text())] == [
        ("engine/preview-growth", 5.0, "old"),
        ("stack/memory", 2.0, "new"),
    ]
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_results_file_is_written_anew(tmp_path):
    path = tmp_path / "results.json"
    path.write_text("[{")
    report.write(path, [_record(BY_NAME["stack/memory"].result(1.0))], ORDER)
    assert len(json.loads(path.read_text())) == 1


def test_rows_that_are_gone_leave_the_file():
    gone = {"name": "serving/gone", "value": 1}
    assert report.merged([gone], [], ORDER) == []


def test_the_table_shows_value_reach_and_whether_it_holds():
    results = [
        BY_NAME["stack/up-unchanged"].result(2.349),
        BY_NAME["rollouts/rolling"].result(3),
        BY_NAME["stack/memory"].failure("no process"),
    ]
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(report.table(results, "title"))
    lines = console.export_text().splitlines()
    assert any("2.35 s" in line and "<= 3" in line and "✓" in line for line in lines)
    assert any(" 3 " in line and "= 0" in line and "✗" in line for line in lines)
    assert any("not measured" in line and "reported" in line and "✗" in line for line in lines)


def test_a_commit_with_changes_says_so(tmp_path):
    def git(*arguments):
        subprocess.run(
            ["git", "-C", tmp_path, "-c", "user.name=n", "-c", "user.email=n@example.org", *arguments],
            check=True,
            capture_output=True,
        )

    assert report.commit(tmp_path / "nowhere") == "unknown"
    git("init")
    (tmp_path / "file").write_text("1")
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench/results.json").write_text("[]")
    git("add", "file", "bench")
    git("commit", "-m", "one")
    clean = report.commit(tmp_path)
    assert len(clean) == 40
    (tmp_path / "untracked").write_text("1")
    (tmp_path / "bench/results.json").write_text("[1]")
    assert report.commit(tmp_path) == clean
    (tmp_path / "file").write_text("2")
    assert report.commit(tmp_path) == f"{clean}-dirty"


def test_the_machine_is_named_by_processor_cores_and_memory():
    assert "cores" in report.machine()
    assert "GiB" in report.machine()
