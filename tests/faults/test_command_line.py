"""The table as pytest runs it: what is chosen, what a cell's verdict is as a test's, and how the run ends."""

from pathlib import Path

import pytest
from filelock import FileLock

from bench.commands import MeasurementError
from tests.faults import sitting
from tests.faults.fake_steps import Steps
from tests.faults.fake_world import fake
from tests.faults.records import Records
from tests.faults.victims import Nothing

FILE = Path(__file__).with_name("test_faults.py")
TEST = "test_what_is_killed_costs_what_is_promised_and_no_more"


@pytest.fixture
def tries(monkeypatch, tmp_path):
    return fake(monkeypatch, tmp_path)


@pytest.fixture
def run(tries, tmp_path, capsys):
    """Runs the table of a replica that serves, while a canary is paused and waits; the exit code and what was printed."""

    def run(*options):
        chosen = ("--strategies", "canary", "--kinds", "replica", "--states", "paused,waiting")
        kept = ("--results", str(tmp_path / "results.json"))
        code = pytest.main([str(FILE), "-p", "no:cacheprovider", "--faults", *chosen, *kept, *options])
        return code, "".join(capsys.readouterr())

    return run


def test_without_the_option_no_cell_is_collected(capsys):
    pytest.main([str(FILE.parent), "-p", "no:cacheprovider", "--collect-only", "-q"])
    out = capsys.readouterr().out
    assert "test_without_the_option_no_cell_is_collected" in out
    assert TEST not in out
    assert "deselected" not in out


def test_a_file_that_is_named_without_the_option_runs_no_cell(capsys):
    code = pytest.main([str(FILE), "-p", "no:cacheprovider", "-q"])
    assert code == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "259 deselected" in capsys.readouterr().out


def test_with_the_option_nothing_but_cells_runs(run):
    _, out = run(str(FILE.parent), "--collect-only", "-q")
    assert [line for line in out.splitlines() if "::" in line] == [
        f"tests/faults/test_faults.py::{TEST}[replica/canary/{state}]" for state in ("paused", "waiting")
    ]


def test_a_cell_that_holds_passes_and_is_kept_and_known_the_next_time(run, tries, tmp_path):
    tries.left += [Steps(), Steps()]
    code, out = run()
    assert (code, tries.left) == (pytest.ExitCode.OK, [])
    assert "2 of 2 cells are to be measured" in out
    assert "2/2 replica/canary/waiting: ✓ 0 (at -; settled after 0 s; 0 s)" in out
    assert len(Records(tmp_path / "results.json").all()) == 2
    code, out = run()
    assert code == pytest.ExitCode.OK
    assert "0 of 2 cells are to be measured" in out
    assert "2 known" in out


@pytest.mark.parametrize("sitting", ["the first", "a later one"])
def test_a_cell_that_does_not_hold_fails_with_its_reasons_and_no_traceback(run, tries, sitting):
    tries.left += [Steps("agree"), Steps()]
    code, out = run()
    if sitting == "a later one":
        code, out = run()
    assert code == pytest.ExitCode.TESTS_FAILED
    assert f"FAILED tests/faults/test_faults.py::{TEST}[replica/canary/paused]" in out
    assert out.partition("= FAILURES =")[2].splitlines()[2] == "agree went wrong"
    assert "1 failed" in out


def test_what_had_nothing_to_kill_is_skipped(run, tries):
    tries.left += [Steps("hurt", Nothing("no replica runs")), Steps()]
    code, out = run()
    assert code == pytest.ExitCode.OK
    assert "there was nothing to kill: no replica runs" in out
    assert "1 passed, 1 skipped" in out


def test_a_table_that_the_time_did_not_suffice_for_is_no_success(run, tries):
    code, out = run("--minutes", "0")
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "2 skipped" in out
    assert "the time is over: 2 cells are left" in out
    assert tries.world.started == 0


def test_what_holds_of_other_sources_may_be_left_for_later(run, tries, tmp_path):
    tries.left += [Steps(), Steps()]
    run()
    records = Records(tmp_path / "results.json")
    for record in list(records.all().values()):
        records.put({**record, "sources": "other"})
    assert run("--minutes", "0")[0] == pytest.ExitCode.OK


def test_a_world_that_does_not_come_up_ends_the_run(run, tries):
    tries.world.error = MeasurementError("no port is free")
    code, out = run()
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "no world to hurt came up: no port is free" in out
    assert tries.world.started == 1


def test_an_interrupt_ends_the_run_and_its_world(run, tries):
    tries.left += [Steps(), KeyboardInterrupt()]
    assert run()[0] == pytest.ExitCode.INTERRUPTED
    assert (tries.world.started, tries.world.ended) == (1, 1)


def test_another_table_of_the_checkout_is_told(run):
    with FileLock(sitting.FOLDER.with_suffix(".lock")):
        code, out = run()
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "another table of this checkout is being filled" in out


def test_the_table_is_shown_as_it_fills_and_written_as_markdown(run, tries, tmp_path):
    states = ("starting", "testing", "analysing", "paused", "waiting", "retaining")
    tries.left += [Steps() for _ in states * 2]
    code, out = run(
        "--kinds", "replica,serve-controller", "--states", ",".join(states), "--markdown", str(tmp_path / "table.md")
    )
    assert (code, tries.left) == (pytest.ExitCode.OK, [])
    assert out.count("faults survived") == 2  # after ten cells, and at the end
    assert "slowest: " in out
    assert "| a replica that serves | ✓ 0 | ✓ 0 | ✓ 0 | ✓ 0 | ✓ 0 | ✓ 0 | · |" in (tmp_path / "table.md").read_text()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--kinds", "replica,gremlin"), "unknown: gremlin; there are up, plugin, controller"),
        (("-n", "2"), "--faults goes with -n 0 only"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(run, options, told):
    code, out = run(*options)
    assert code == pytest.ExitCode.USAGE_ERROR
    assert told in out
