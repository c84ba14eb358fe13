"""What Ray's `setup_worker.py` does before each of a node's workers, without loading Ray to do it.

Ray's own takes half a second of computing to set some variables and become the worker, which then loads Ray once more. This
knows the workers of this project; for any other (Java, what a newer Ray adds to the context) it becomes Ray's own program.
Started by its path: it imports nothing of this library.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

RAYS_OWN: Final = "HELIOSTAT_RAY_SETUP_WORKER"
"""The variable that names Ray's program; `ray_node` sets it for the node."""
_CONTEXT: Final = "--serialized-runtime-env-context="
_LANGUAGE: Final = "--language="
_KNOWN: Final = frozenset({"command_prefix", "env_vars", "py_executable", "override_worker_entrypoint", "java_jars"})


def command(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[str, dict[str, str]] | None:
    """What the shell has to run for a worker, and the variables that it gets; None where only Ray's own program knows."""
    texts = [each.removeprefix(_CONTEXT) for each in arguments if each.startswith(_CONTEXT)]
    languages = [each.removeprefix(_LANGUAGE) for each in arguments if each.startswith(_LANGUAGE)]
    rest = [each for each in arguments if not each.startswith((_CONTEXT, _LANGUAGE))]
    if languages != ["PYTHON"] or len(texts) > 1 or not rest:
        return None
    context: dict[str, Any] = json.loads(texts[0] or "{}") if texts else {}
    if context.keys() - _KNOWN or context.get("override_worker_entrypoint") or context.get("java_jars"):
        return None
    python = context.get("py_executable") or sys.executable
    words = [*(context.get("command_prefix") or []), "exec", python, *(shlex.quote(each) for each in rest)]
    return " ".join(words), _expanded(context.get("env_vars") or {}, environment)


def _expanded(added: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with `added`, in which `$X` and `${X}` stand for what X is before; an unknown `${X}` for nothing."""
    found = dict(environment)
    for name, value in added.items():
        known = re.sub(r"\$(\w+|\{[^}]*\})", lambda match: found.get(match[1].strip("{}"), match[0]), value, flags=re.ASCII)
        found[name] = re.sub(r"\$\{[A-Z0-9_]+\}", "", known)
    return found


def main() -> NoReturn:
    """Become the worker that this process's arguments describe."""
    found = command(sys.argv[1:], os.environ)
    if found is None:
        os.execv(sys.executable, [sys.executable, os.environ[RAYS_OWN], *sys.argv[1:]])  # noqa: S606 - as Ray does
    os.execvpe("bash", ["bash", "-c", found[0]], found[1])  # noqa: S606, S607 - as Ray does


if __name__ == "__main__":
    main()
