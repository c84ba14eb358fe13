from __future__ import annotations

import subprocess
from pathlib import Path

from heliostat.systems import proc


def test_a_process_is_found_while_it_changes_over_to_another_program(tmp_path: Path) -> None:
    program = tmp_path / "again"
    program.write_text('#!/bin/sh\nexec "$0"\n')  # all that it ever does
    program.chmod(0o755)
    with subprocess.Popen([program], env={"MARK": str(tmp_path)}) as process:
        try:
            for _ in range(50):
                assert (process.pid, f"MARK={tmp_path}".encode()) in _marked()
        finally:
            process.kill()


def test_a_process_that_has_no_environment_is_left_out() -> None:
    with subprocess.Popen(["sleep", "60"], env={}) as process:
        try:
            assert process.pid not in {each.pid for each, _ in proc.environments()}
        finally:
            process.kill()


def _marked() -> set[tuple[int, bytes]]:
    return {(each.pid, variable) for each, environment in proc.environments() for variable in environment.split(b"\0")}
