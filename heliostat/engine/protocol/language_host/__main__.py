"""Runs a Pulumi program in the interpreter that it belongs to; needs nothing but the `pulumi` package there.

The SDK's wheel brings no such script (the official CLI does), so this is the engine's own: it configures the runtime
from its arguments, runs the folder's `__main__.py` inside a stack, and explains what went wrong in the user's terms.
"""

# ruff: noqa: E402 - the path is put right before anything is imported by it
from __future__ import annotations

import os
import sys

# Python puts a script's folder first on the path. Here that would make each module of the engine (`secrets`, `graph`, `state`)
# stand in for the library's, or the program's, of that name.
_FOLDER = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120
sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry) != _FOLDER]

import argparse
import asyncio
import atexit
import gc
import importlib.machinery
import importlib.util
import json
import logging
import runpy
import socket
import struct
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, NoReturn

TOLD_ALREADY = 32
GC_THRESHOLDS = (50_000, 20, 20)
"""Modules and outputs live until the end: looking through them again and again takes a tenth of imports, a fifth of a run."""
IN_FLIGHT_PER_OPERATION = 4
"""Registrations under way for each that the engine works on at a time, so that it never waits for the program."""


def _own(name: str) -> Any:
    """A module or package beside this one, under a name that no program's module has."""
    folder = os.path.join(_FOLDER, name)  # noqa: PTH118
    file = os.path.join(folder, "__init__.py") if os.path.isdir(folder) else f"{folder}.py"  # noqa: PTH112, PTH118
    spec = importlib.util.spec_from_file_location(f"_heliostat_language_host_{name}", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is missing; install heliostat anew")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@cache
def _schemas() -> Any:
    """What the SDKs say of their resources, which only a preview without a plugin asks for."""
    return _own("schemas")


class _Lazily:
    """Has a module be imported once something of it is used: most of the SDK's import is what hardly a program uses.

    These are programs that run stacks, providers that are pickled into the state, and traces, which the SDK makes where
    TRACEPARENT is set. `inspect.getmodule` asks all modules for their file, and so has them imported; pydantic calls it for a
    model with `use_attribute_docstrings`.
    """

    names = frozenset({"pulumi.automation", "dill"})
    tracing = "pulumi.runtime._instrumentation"

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """The module's own spec, to be run later; None for every other module."""
        later = name in self.names or (name == self.tracing and "TRACEPARENT" not in os.environ)
        spec = importlib.machinery.PathFinder.find_spec(name, path) if later else None
        if spec is not None and spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


def _told(descriptor: int) -> tuple[argparse.Namespace, dict[str, str]]:
    """What to run, and the variables that it is run with, once the engine says so; it may never, and end this process."""
    pipe = socket.socket(fileno=descriptor)
    try:
        _, _, length = struct.unpack("!III", _received(pipe, 12))
        arguments, variables = json.loads(_received(pipe, length))
    finally:
        pipe.detach()
    return _parsed(arguments), variables


def _received(pipe: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        part = pipe.recv(length - len(found))
        if not part:
            sys.exit(0)  # the engine has ended
        found += part
    return found


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run a Pulumi program.")
    for name in ("project", "stack", "organization", "root-directory", "pwd", "parallel", "dry-run", "monitor", "engine"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("program")
    return parser.parse_args(arguments)


def _in_the_program(error: BaseException, program: str) -> str:
    """The traceback from the user's first line on; all of it where the error never was in the program."""
    frames = traceback.extract_tb(error.__traceback__)
    main = os.path.join(program, "__main__.py")  # noqa: PTH118
    first = next((i for i, frame in enumerate(frames) if os.path.abspath(frame.filename) == main), 0)  # noqa: PTH100
    lines = [
        "Traceback (most recent call last):\n",
        *traceback.format_list(frames[first:]),
        *traceback.format_exception_only(type(error), error),
    ]
    return "".join(lines)


def main() -> int:
    """Runs the program; the exit code."""
    gc.set_threshold(*GC_THRESHOLDS)
    descriptor = int(sys.argv[1])
    sys.meta_path.insert(0, _Lazily())
    try:
        import pulumi
        import pulumi.runtime
    except ImportError as error:
        print(  # noqa: T201 - there is no SDK to tell it with
            f"the program's Python, {sys.executable}, has no Pulumi SDK ({error}); install the package pulumi there",
            file=sys.stderr,
        )
        return 1
    # The SDK sends four debug messages a resource, each a call to the engine, which nobody gets to see.
    pulumi.log.debug = lambda *_, **__: None
    # They import gRPC, which only an interpreter with the SDK is known to have.
    registrations, sparing = _own("registrations"), _own("sparing")
    loop = registrations.Loop()
    asyncio.set_event_loop(loop)
    sparing.spare_the_sdk()
    arguments, variables = _told(descriptor)
    os.environ.update(variables)
    gc.freeze()
    runtime = pulumi.runtime
    runtime.set_all_config(runtime.get_config_env(), runtime.get_config_secret_keys_env())
    settings = runtime.Settings(
        monitor=arguments.monitor,
        engine=arguments.engine,
        project=arguments.project,
        stack=arguments.stack,
        parallel=int(arguments.parallel),
        dry_run=arguments.dry_run == "true",
        organization=arguments.organization,
        root_directory=arguments.root_directory,
    )
    in_flight = max(int(arguments.parallel), 1) * IN_FLIGHT_PER_OPERATION
    settings.monitor = registrations.without_threads(loop, settings.monitor)
    loop.registrations = registrations.opened(loop, descriptor, in_flight, lambda asked: _schemas().answer(asked))
    _own("functions").explain_unknown_results()
    runtime.configure(settings)
    program = os.path.abspath(arguments.program)  # noqa: PTH100
    if not os.path.exists(os.path.join(program, "__main__.py")):  # noqa: PTH110, PTH118
        pulumi.log.error(f"there is no program: {program} holds no __main__.py")
        return TOLD_ALREADY
    os.chdir(arguments.pwd)
    sys.argv = [program]
    # A program that ends early leaves futures that nobody looks at; its own error is what there is to tell.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    # Each other call in flight holds a thread that waits for its answer.
    executor = ThreadPoolExecutor(max_workers=in_flight)
    loop.set_default_executor(executor)

    def run() -> None:
        runpy.run_path(program, run_name="__main__")

    try:
        loop.run_until_complete(runtime.run_in_stack(run))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return 1
    except Exception as error:
        pulumi.log.error(f"Program failed with an unhandled exception:\n{_in_the_program(error, program)}")
        return TOLD_ALREADY
    finally:
        executor.shutdown(wait=True)
        loop.close()
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _leave(code: int) -> NoReturn:
    """End as an interpreter does, but for taking it apart, which nobody needs and the engine would wait for.

    Threads are waited for, what is registered for the end runs, and what was printed is out.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _leave(main())
