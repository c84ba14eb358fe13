"""The entry point: chooses the engine, runs the command, turns its end into an exit code."""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from heliostat.cli.checkout import CheckoutError, Found, find, invocation
from heliostat.cli.handover import JUDGED, EngineChoiceError, choose, command_of, path_of_plugins
from heliostat.systems.loopback import past_proxies

_GC_THRESHOLDS = (50_000, 20, 20)
"""Modules and resources live until the end: looking through them again and again takes a tenth of the imports."""


def main() -> NoReturn:
    """Runs the `heliostat` command."""
    gc.set_threshold(*_GC_THRESHOLDS)
    try:
        chosen = choose(sys.argv[1:], os.environ)
        place = find(chosen.arguments, os.environ, Path.cwd())
    except (EngineChoiceError, CheckoutError) as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    if place.note:
        sys.stderr.write(f"heliostat: {place.note}\n")
    os.environ.update(place.variables)
    os.environ.update(chosen.variables)
    os.environ.update(past_proxies(os.environ))
    if chosen.engine == "pulumi":
        sys.stdout.flush()
        os.environ["PATH"] = path_of_plugins(os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent))
        os.execvp("pulumi", ["pulumi", *_judged(chosen.arguments, place)])  # noqa: S606, S607 -- this process becomes the official CLI
    sys.exit(run(chosen.arguments, invocation(chosen.arguments, Path.cwd()), place.stack_flag))


def _judged(arguments: Sequence[str], place: Found) -> Sequence[str]:
    """The official CLI's arguments, with the policy packs that always run."""
    command = command_of(arguments)
    if command not in JUDGED:
        return arguments
    from heliostat.cli.exits import UsageError
    from heliostat.cli.policypacks import with_standing
    from heliostat.engine.errors import EngineError

    try:
        return with_standing(command, arguments, place.root, place.stack)
    except (UsageError, EngineError) as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)


def run(arguments: Sequence[str], command: str = "heliostat", stack: str = "") -> int:
    """Runs one command with the embedded engine and tells its exit code (see `heliostat.cli.exits`).

    `command` is how the user calls it, and `stack` what he named by `-s`: hints are told so that they run as they are.
    """
    import click

    from heliostat.cli import say
    from heliostat.cli.commands import heliostat
    from heliostat.cli.exits import Exit, explain
    from heliostat.engine.masking import watching

    masker = say.begin(command, stack)
    try:
        with watching(masker):
            code = heliostat.main(list(arguments), prog_name="heliostat", standalone_mode=False)
    except click.Abort:
        sys.stderr.write("\naborted\n")
        return Exit.CANCELLED
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        say.told(shown.getvalue().rstrip())
        return Exit.USAGE
    except BrokenPipeError:  # whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED
    except Exception as error:
        code, text = explain(error)
        say.told(f"error: {text}")
        if os.environ.get("HELIOSTAT_TRACEBACK"):
            raise
        return code
    return code if isinstance(code, int) else Exit.OK


if __name__ == "__main__":
    main()
