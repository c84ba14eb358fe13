"""A policy pack's virtual environment: made from the pack's requirements where it is not there yet."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

from heliostat.engine.errors import EngineError
from heliostat.engine.protocol.children import Child
from heliostat.engine.protocol.launching import start
from heliostat.engine.protocol.packs import DESCRIPTION, PackProject

MAKING = ".making"
"""In an environment that is not whole yet: whoever finds it without the lock being held begins anew."""
MADE_FROM = ".requirements"
"""In an environment that was made here: the digest of the requirements. One that its user made has none, and is left alone."""
_REQUIREMENTS = "requirements.txt"
_ASIDE = ".aside-"
_LOCK_POLL_S = 0.2
_TAIL = 2000

Tell = Callable[[str], None]


async def ensure(pack: PackProject, environment: Mapping[str, str], tell: Tell, python: str = sys.executable) -> None:
    """Makes the environment that a pack names, by `python`, where it is not there, not whole, or made of other requirements.

    `tell` is told what is done and what pip prints. Raises EngineError with pip's last words where it cannot be made.
    """
    folder = pack.virtualenv
    if folder is None or not _reason(pack, folder):
        return
    async with _lock(pack.folder / DESCRIPTION, tell):
        if reason := _reason(pack, folder):  # another may have made it meanwhile
            tell(f"making the virtual environment {folder} of the policy pack, which {reason}")
            await _make(pack, folder, python, environment, tell)


def _reason(pack: PackProject, folder: Path) -> str:
    """Why an environment has to be made; empty where it can be used as it is."""
    if (folder / MAKING).exists():
        return "was begun and not finished"
    if not (folder / "bin" / "python").exists():
        return "is not there"
    stamp = folder / MADE_FROM
    if stamp.exists() and stamp.read_text() != _digest(pack):
        return f"was made of other requirements than {_REQUIREMENTS} has now"
    return ""


def _digest(pack: PackProject) -> str:
    file = pack.folder / _REQUIREMENTS
    return hashlib.sha256(file.read_bytes() if file.exists() else b"").hexdigest()


async def _make(pack: PackProject, folder: Path, python: str, environment: Mapping[str, str], tell: Tell) -> None:
    await asyncio.to_thread(_clear, folder)
    await _run([python, "-m", "venv", str(folder)], pack.folder, environment, tell)
    if (pack.folder / _REQUIREMENTS).exists():
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        await _run([*pip, "-r", _REQUIREMENTS], pack.folder, environment, tell)
    (folder / MADE_FROM).write_text(_digest(pack))
    (folder / MAKING).unlink()


def _clear(folder: Path) -> None:
    """An empty folder, marked as not whole."""
    if folder.exists():
        # Out of the way in one step: what is removed half would look whole.
        folder.rename(folder.with_name(f"{folder.name}{_ASIDE}{os.getpid()}"))
    for left in folder.parent.glob(f"{folder.name}{_ASIDE}*"):
        shutil.rmtree(left)
    folder.mkdir(parents=True)
    (folder / MAKING).touch()


async def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str], tell: Tell) -> None:
    child = await Child.of(start(command, folder, environment))
    said = list[str]()

    async def follow(stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            text = line.decode(errors="replace").rstrip()
            said.append(text)
            tell(text)

    try:
        await asyncio.gather(follow(child.stdout), follow(child.stderr))
        code = await child.wait()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        raise
    if code:
        words = "\n".join(said)[-_TAIL:]
        raise EngineError(
            f"the virtual environment of the policy pack in {folder} could not be made: `{' '.join(command)}` ended with exit "
            f"code {code}; make it by hand, or set pip up (its variables are taken as they are). It said last:\n{words}"
        )


@contextlib.asynccontextmanager
async def _lock(file: Path, tell: Tell) -> AsyncIterator[None]:
    """Holds a lock on a file that is there anyway; the kernel drops it with the process."""
    with file.open("rb") as held:
        waited = False
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waited:
                    tell("another process is making the policy pack's virtual environment: waiting for it")
                waited = True
                await asyncio.sleep(_LOCK_POLL_S)
        yield
