"""Runs custom checks, each in a process of its own, in a copy of the candidate's code."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import io
import math
import os
import signal
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from heliostat.analysis.answers import Pair
from heliostat.analysis.client import Reply
from heliostat.analysis.custom_function import ReplyText, SampleText, Task, held_to_limits
from heliostat.spec.analysis import CustomCheck, Measurement, Verdict
from heliostat.spec.analysis_runner import AnalysisTask, Endpoints

_ANSWER: Final = "figure.json"
_LIBC: Final = ctypes.CDLL(None)
_PR_SET_PDEATHSIG: Final = 1
_TAIL: Final = 2_000
"""Characters of what a check said that go into its figure."""
_VERDICTS: Final = {0: Verdict.PASS, 1: Verdict.FAIL}


async def run(check: CustomCheck, task: AnalysisTask, endpoints: Endpoints, pairs: Iterable[Pair], code: Path) -> Measurement:
    """What the check comes to; a crash, or more time than it has, is inconclusive and says so."""
    if check.function is not None:
        return await _function(check, check.function, task, endpoints, pairs, code)
    environment = {
        "HELIOSTAT_CANDIDATE_URL": endpoints.candidate[0],
        "HELIOSTAT_SERVING_URL": endpoints.serving[0] if endpoints.serving else "",
    }
    ended = await process(check.command or (), environment, code, check.timeout_seconds)
    if isinstance(ended, Measurement):
        return ended
    status, out, error = ended
    verdict = _VERDICTS.get(status, Verdict.INCONCLUSIVE)
    text = "" if verdict is Verdict.PASS else f"exit code {status}: {tail(error or out)}"
    return held_to_limits(Measurement(candidate=_number(out), verdict=verdict, text=text), _is_limited(check))


async def _function(
    check: CustomCheck, function: str, task: AnalysisTask, endpoints: Endpoints, pairs: Iterable[Pair], code: Path
) -> Measurement:
    given = Task(
        function=function,
        limited=_is_limited(check),
        application=task.application,
        version=task.candidate,
        urls=endpoints.candidate,
        serving=task.serving,
        serving_urls=endpoints.serving,
        samples=tuple(_sample(pair) for pair in pairs),
    )
    with tempfile.TemporaryDirectory(prefix="heliostat-check-") as folder:
        asked = _written(Path(folder), given)
        command = (sys.executable, "-m", "heliostat.analysis.custom_function", str(asked), str(asked.with_name(_ANSWER)))
        path = os.pathsep.join([str(code), *filter(None, [os.environ.get("PYTHONPATH")])])
        ended = await process(command, {"PYTHONPATH": path}, code, check.timeout_seconds)
        return ended if isinstance(ended, Measurement) else _answered(function, asked.with_name(_ANSWER), ended)


def _is_limited(check: CustomCheck) -> bool:
    return check.at_least is not None or check.at_most is not None


def _written(folder: Path, task: Task) -> Path:
    path = folder / "task.json"
    path.write_text(task.model_dump_json())
    return path


def _answered(function: str, answer: Path, ended: tuple[int, str, str]) -> Measurement:
    if answer.exists():
        return Measurement.model_validate_json(answer.read_bytes())
    status, _, error = ended
    return Measurement(verdict=Verdict.INCONCLUSIVE, text=f"{function} ended with {status}: {tail(error)}")


async def process(
    command: tuple[str, ...], environment: dict[str, str], folder: Path, seconds: float
) -> tuple[int, str, str] | Measurement:
    """Exit code, stdout and stderr; a Figure that says why where there are none."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        try:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=folder, env={**os.environ, **environment}, stdin=asyncio.subprocess.DEVNULL,
                stdout=out, stderr=error, start_new_session=True, preexec_fn=_dies_with_me,
            )  # fmt: skip
        except OSError as problem:
            return Measurement(verdict=Verdict.INCONCLUSIVE, text=f"{command[0]} cannot be run: {problem.strerror}")
        try:
            status = await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            return Measurement(
                verdict=Verdict.INCONCLUSIVE, text=f"not done within {seconds:g} s. {tail(_read(error))}".strip()
            )
        finally:
            with contextlib.suppress(ProcessLookupError):  # with all that it started
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        return status, _read(out), _read(error)


def _dies_with_me() -> None:
    """In the child: a runner that is killed leaves no check behind."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _sample(pair: Pair) -> SampleText:
    return SampleText(
        request_id=pair.request.request_id,
        request=pair.request.body.decode("latin-1"),
        candidate=_reply(pair.candidate),
        serving=_reply(pair.serving) if pair.serving else None,
    )


def _reply(reply: Reply) -> ReplyText:
    return ReplyText(status=reply.status, body=reply.body.decode("latin-1"), milliseconds=reply.milliseconds)


def _number(out: str) -> float | None:
    lines = out.strip().splitlines()
    try:
        number = float(lines[-1]) if lines else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _read(file: io.BufferedRandom) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 4 * _TAIL))
    return file.read().decode(errors="replace")


def tail(text: str) -> str:
    """The end of what a process said."""
    text = text.strip()
    return text if len(text) <= _TAIL else f"…{text[-_TAIL:]}"
