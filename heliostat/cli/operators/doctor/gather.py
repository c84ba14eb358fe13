"""Gathers the facts: thin, and without a network but where the config names a bucket or the state lies in one."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from heliostat.cli.operators.doctor import tools
from heliostat.cli.operators.doctor.facts import Facts, Machine
from heliostat.layout import data_folder


def facts(stack: str | None) -> Facts:
    """All facts about `up` of a stack, or of none.

    Raises:
        StackError: the project's own file is wrong.
    """
    from heliostat.cli.operators.doctor import places, stacks
    from heliostat.cli.session import Place
    from heliostat.spec.platforms.stores import DirectoryStore, S3Store

    place = Place.here()
    named = stacks.named(place, stack)
    declared = stacks.of(place, named)
    # Of a platform that makes its bucket itself there is nothing to look at before.
    store = getattr(declared.platform, "store", None)
    elsewhere = store.path if isinstance(store, DirectoryStore) else None
    objects = (places.folder("object store", Path(elsewhere)),) if elsewhere else ()
    root = place.project.root if place.project else Path.cwd()
    data = data_folder(root, named.name if named else "")
    return Facts(
        machine=machine(data),
        stack=declared,
        packages=tools.packages(),
        ports=places.ports(declared.platform, data),
        folders=(*places.state(place), places.folder("data", data), *objects, places.runtime()),
        passphrase=stacks.passphrase(place, declared),
        bucket=places.bucket(store) if isinstance(store, S3Store) else None,
        existing=places.existing(declared.platform),
        tools=tools.tools(os.environ),
        environment=shell_environment(),
    )


def bare() -> Facts:
    """The facts that can be gathered where packages are missing that the others need."""
    return Facts(
        machine(Path.cwd()), packages=tools.packages(), tools=tools.tools(os.environ), environment=shell_environment()
    )


def shell_environment() -> Mapping[str, str]:
    """The variables that this process was started with: the command has set no_proxy in its own since."""
    try:
        entries = Path("/proc/self/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return dict(os.environ)
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def machine(data: Path) -> Machine:
    """This machine, whose data are to lie in `data`."""
    memory = _memory()
    folder = tools.nearest(data)
    return Machine(
        python=sys.version_info[:3],
        system=platform.system(),
        memory_total=memory[0] if memory else None,
        memory_available=memory[1] if memory else None,
        shared_memory_free=_free(Path("/dev/shm")),  # noqa: S108 - where Ray's object stores lie
        disk_free=_free(folder),
        disk_folder=str(folder),
        now=time.time(),
        newest_file=Path(tools.__file__).stat().st_mtime,
    )


def _memory() -> tuple[int, int] | None:
    """In all, and what is available, with a container's limit; None where that is not told."""
    try:
        import psutil

        found = psutil.virtual_memory()
    except (ImportError, OSError, RuntimeError):
        return None
    total, available = int(found.total), int(found.available)
    limit, used = _number("/sys/fs/cgroup/memory.max"), _number("/sys/fs/cgroup/memory.current")
    if limit is None or used is None or limit >= total:
        return total, available
    return limit, min(available, max(0, limit - used))


def _number(file: str) -> int | None:
    try:
        return int(Path(file).read_text())
    except (OSError, ValueError):  # no such group, or `max`
        return None


def _free(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
