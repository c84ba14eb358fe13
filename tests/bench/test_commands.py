import sys

import pytest

from bench.commands import MeasurementError, run, running


def test_a_command_gives_its_output_and_its_duration(tmp_path):
    done = run([sys.executable, "-c", "import os; print(os.environ['A'], os.getcwd())"], tmp_path, {"A": "b"})
    assert done.output == f"b {tmp_path}\n"
    assert done.seconds > 0


def test_what_fails_or_takes_too_long_could_not_be_measured(tmp_path):
    with pytest.raises(MeasurementError, match=r"exit code 3(?s:.*)the reason"):
        run([sys.executable, "-c", "print('the reason'); raise SystemExit(3)"], tmp_path)
    with pytest.raises(MeasurementError, match=r"did not end within 0\.2 s"):
        run(["sleep", "60"], tmp_path, seconds=0.2)


def test_a_command_ends_with_its_block(tmp_path):
    with running(["sleep", "60"], tmp_path) as process:
        assert process.poll() is None
    assert process.returncode is not None
