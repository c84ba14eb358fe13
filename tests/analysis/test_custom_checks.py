"""Custom checks: whatever they do, the runner gets a figure or a reason."""

from __future__ import annotations

import math
import os
import time

import psutil
import pytest
from replicas import until, version

from heliostat.analysis.custom_checks import run
from heliostat.analysis.custom_function import figure_of
from heliostat.ml.checks import Outcome
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.analysis import CustomCheck, Verdict
from heliostat.spec.analysis_runner import AnalysisTask, Endpoints

ENDPOINTS = Endpoints(candidate=("http://127.0.0.1:1/new",), serving=("http://127.0.0.1:1/old",))
PASS, FAIL, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


@pytest.fixture
def check(tmp_path):
    task = AnalysisTask.model_validate(
        {
            "application": "halves",
            "analysis": {"checks": [{"kind": "success-rate", "atLeast": 1}]},
            "candidate": version(StoreAddress(uri=f"file://{tmp_path}")),
            "serving": None,
        }
    )

    async def go(source="", command=None, endpoints=ENDPOINTS, **settings):
        (tmp_path / "mine.py").write_text(source)
        how = {"command": command} if command else {"function": "mine:check"}
        return await run(CustomCheck(name="own", **how, **settings), task, endpoints, (), tmp_path)

    return go


@pytest.mark.parametrize(
    ("answer", "limited", "verdict", "value", "text"),
    [
        (True, False, PASS, None, ""),
        (False, False, FAIL, None, ""),
        (0.5, True, None, 0.5, ""),
        (3, True, None, 3.0, ""),
        (0.5, False, INCONCLUSIVE, 0.5, "neither"),
        (math.nan, True, INCONCLUSIVE, None, "nan"),
        (None, False, INCONCLUSIVE, None, "mine:check answered None"),
        ("yes", False, INCONCLUSIVE, None, "answered 'yes'"),
        (Outcome(FAIL, 0.2, rows=7, text="why"), False, FAIL, 0.2, "why"),
        (Outcome(value=0.2), True, None, 0.2, ""),
        (Outcome(), True, INCONCLUSIVE, None, "no verdict"),
        (Outcome(PASS, 0.42), True, None, 0.42, ""),
        (Outcome(FAIL, 0.95), True, FAIL, 0.95, ""),
        (True, True, INCONCLUSIVE, None, "without a number"),
    ],
)
def test_what_a_function_answers_is_a_verdict_or_a_figure(answer, limited, verdict, value, text):
    figure = figure_of(answer, "mine:check", limited)
    assert (figure.verdict, figure.candidate) == (verdict, value)
    assert text in figure.text


@pytest.mark.parametrize("limits", [{}, {"at_least": 0.1}])
async def test_a_function_answers_from_a_process_of_its_own(check, limits):
    head = "import os\nfrom heliostat.ml.checks import Outcome\nfrom heliostat.spec.analysis import Verdict\n"
    figure = await check(
        f"{head}def check(candidate):\n    return Outcome(Verdict.PASS, 0.42, text=str(os.getpid()))\n", **limits
    )
    assert (figure.verdict, figure.candidate) == (None if limits else PASS, 0.42)
    assert int(figure.text) != os.getpid()


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("def check(candidate):\n    raise ValueError('own reason')", "ValueError: own reason"),
        ("import nothing_of_that_name", "No module named 'nothing_of_that_name'"),
        ("other = 1", "has no 'check'"),
        ("import os\ndef check(candidate):\n    os._exit(7)", "ended with 7"),
        ("import sys\ndef check(candidate):\n    sys.exit(0)", "ended with 0"),
        ("import os, signal\ndef check(candidate):\n    os.kill(os.getpid(), signal.SIGSEGV)", "ended with -11"),
    ],
)
async def test_a_function_that_crashes_is_inconclusive_with_the_end_of_its_traceback(check, source, text):
    figure = await check(source)
    assert figure.verdict is INCONCLUSIVE
    assert text in figure.text
    assert len(figure.text) < 2_200


async def test_a_function_that_hangs_is_ended_with_all_that_it_started(check, tmp_path):
    source = """
import subprocess, time
def check(candidate):
    child = subprocess.Popen(["sleep", "60"])
    open("pid", "w").write(str(child.pid))
    time.sleep(60)
"""
    began = time.monotonic()
    # Long enough for the function to begin, at a low priority beside other tests.
    figure = await check(source, timeout_seconds=8)
    assert time.monotonic() - began < 30
    assert (figure.verdict, figure.text) == (INCONCLUSIVE, "not done within 8 s.")
    pid = int((tmp_path / "pid").read_text())
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize(
    ("script", "verdict", "value", "text"),
    [
        ("exit 0", PASS, None, ""),
        ("echo noise; echo 0.75", PASS, 0.75, ""),
        ("echo 0.2; echo why >&2; exit 1", FAIL, 0.2, "why"),
        ("echo inf; exit 3", INCONCLUSIVE, None, "exit code 3"),
        ("test $HELIOSTAT_CANDIDATE_URL = http://127.0.0.1:1/new", PASS, None, ""),
        ("test $HELIOSTAT_SERVING_URL = http://127.0.0.1:1/old", PASS, None, ""),
    ],
)  # fmt: skip
async def test_a_commands_exit_code_is_its_verdict_and_its_last_line_its_figure(check, script, verdict, value, text):
    figure = await check(command=("sh", "-c", script))
    assert (figure.verdict, figure.candidate) == (verdict, value)
    assert text in figure.text


@pytest.mark.parametrize(
    ("script", "limits", "verdict", "value", "text"),
    [
        ("echo 0.42", {"at_least": 0.9}, None, 0.42, ""),
        ("echo 0.42", {"at_most": 0.1}, None, 0.42, ""),
        ("echo 0.95; exit 1", {"at_least": 0.9}, FAIL, 0.95, "exit code 1"),
        ("echo 0.95; exit 7", {"at_least": 0.9}, INCONCLUSIVE, 0.95, "exit code 7"),
        ("echo fine", {"at_least": 0.9}, INCONCLUSIVE, None, "it passed without a number for `atLeast` and `atMost`"),
    ],
)  # fmt: skip
async def test_a_command_that_passes_leaves_its_number_to_the_limits(check, script, limits, verdict, value, text):
    figure = await check(command=("sh", "-c", script), **limits)
    assert (figure.verdict, figure.candidate) == (verdict, value)
    assert text in figure.text


async def test_with_nothing_serving_a_command_sees_an_empty_url(check):
    alone = Endpoints(candidate=("http://127.0.0.1:1/new",))
    figure = await check(command=("sh", "-c", 'test "${HELIOSTAT_SERVING_URL-unset}" = ""'), endpoints=alone)
    assert figure.verdict is PASS


async def test_a_command_that_is_not_there_is_inconclusive(check):
    figure = await check(command=("no-such-command-here",))
    assert (figure.verdict, figure.text) == (INCONCLUSIVE, "no-such-command-here cannot be run: No such file or directory")
