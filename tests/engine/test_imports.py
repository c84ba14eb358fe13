"""What a program or a plugin imports is the library's or its own, never a file of ours that happens to have the name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from engine_harness import Lab

import heliostat

OURS = Path(heliostat.__file__).parent
FOUND = f"""
import pathlib, sys
ours = pathlib.Path({str(OURS)!r})
found = [entry for entry in sys.path if ours in [(where := pathlib.Path(entry or '.').resolve()), *where.parents]]
"""


async def test_a_program_imports_libraries_that_need_modules_named_like_ours(lab: Lab) -> None:
    summary = await lab.up("import lightgbm, pandas, sklearn\nfrom secrets import token_hex\nimport http.client, statistics")
    assert summary.succeeded, lab.said("error")


async def test_a_program_has_modules_of_its_own_named_like_ours(lab: Lab) -> None:
    names = sorted(path.stem for path in (OURS / "engine").glob("*.py") if path.stem.isidentifier() and path.stem[0] != "_")
    names = [name for name in names if name not in sys.stdlib_module_names]
    assert {"graph", "locks", "state"} <= set(names)
    (lab.folder / "library").mkdir()
    for number, name in enumerate(names):
        (lab.folder / ("library" if number % 2 else ".") / f"{name}.py").write_text("MINE = True\n")
    lab.environment = {"PYTHONPATH": str(lab.folder / "library")}
    program = "\n".join(f"import {name}; assert {name}.MINE" for name in names)
    assert (await lab.up(program)).succeeded, lab.said("error")


async def test_no_folder_of_ours_is_on_the_path_of_a_program(lab: Lab) -> None:
    assert (await lab.up(FOUND + "pulumi.export('found', found)")).succeeded
    assert lab.resources()["lab-dev"].outputs == {"found": []}


def test_no_folder_of_ours_is_on_the_path_of_a_plugin() -> None:
    """Runs its first lines as Python does: with its folder first on the path."""
    folder = str(OURS / "provider")
    run = f"import runpy, sys\nsys.path.insert(0, {folder!r})\nrunpy.run_path({folder!r}, run_name='other')"
    code = f"{run}{FOUND}print(found)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == "[]\n"
