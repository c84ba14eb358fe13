"""What a program or a plugin imports is the library's or its own, never a file of ours that happens to have the name."""

from __future__ import annotations

import ast
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
    found = {path.stem for path in (OURS / "engine").rglob("*") if path.is_dir() or path.suffix == ".py"}
    names = sorted(name for name in found if name[0] != "_" and name not in sys.stdlib_module_names)
    assert {"graph", "locks", "state"} <= set(names)
    (lab.folder / "library").mkdir()
    for number, name in enumerate(names):
        (lab.folder / ("library" if number % 2 else ".") / f"{name}.py").write_text("MINE = True\n")
    lab.environment = {"PYTHONPATH": str(lab.folder / "library")}
    program = "\n".join(f"import {name}; assert {name}.MINE" for name in names)
    assert (await lab.up(program)).succeeded, lab.said("error")


LATER = "('dill', 'pulumi.automation', 'pulumi.runtime._instrumentation')"
STARTED = f"""
import sys
pulumi.export('later', [name for name in {LATER} if type(sys.modules[name]).__name__ == '_LazyModule'])
"""


async def test_what_hardly_a_program_uses_of_the_sdk_is_imported_where_it_is_used(lab: Lab) -> None:
    used = "import dill, pulumi.automation\nassert dill.loads(dill.dumps(lambda: 7))() == 7\npulumi.automation.LocalWorkspace"
    assert (await lab.up(STARTED + used)).succeeded, lab.said("error")
    assert lab.resources()["lab-dev"].outputs == {"later": list(ast.literal_eval(LATER))}


async def test_the_sdk_looks_for_a_trace_where_one_is_named(lab: Lab) -> None:
    lab.environment = {"TRACEPARENT": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    assert (await lab.up(STARTED)).succeeded, lab.said("error")
    assert lab.resources()["lab-dev"].outputs == {"later": list(ast.literal_eval(LATER))[:2]}


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


def test_a_plugin_imports_the_http_client_without_its_command_line() -> None:
    """Which is there where rich and click are, and brings both and a highlighter of sources."""
    code = """
        import asyncio, sys
        asyncio.run = lambda served: served.close()
        from heliostat.provider.plugin import main
        main([])
        import httpx
        print({"click", "pygments", "rich"} & sys.modules.keys(), httpx.main)
    """
    run = "\n".join(map(str.strip, code.splitlines()))
    ran = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.startswith("set() <function main")


def test_a_plugin_that_is_started_before_it_is_needed_loads_what_it_will_be_asked_for_and_no_more() -> None:
    code = """
        import asyncio, sys
        asyncio.run = lambda served: served.close()
        from heliostat.provider.plugin import main
        main(["--expected=heliostat:index:TrackingServer,pulumi:pulumi:Stack"])
        from heliostat.spec.platform_resources import TrackingServerInputs
        names = ("heliostat.provider.tracking_server", "httpcore", "heliostat.provider.train_job")
        print([name in sys.modules for name in names], TrackingServerInputs.__pydantic_complete__)
    """
    run = "\n".join(map(str.strip, code.splitlines()))
    ran = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == "[True, True, False] True\n"
