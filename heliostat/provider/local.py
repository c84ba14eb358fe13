"""What the resources that are processes of this machine share: their data folder, and what was last asked of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from heliostat.provider.resource import PartialError
from heliostat.spec.base import Model
from heliostat.systems.errors import PermanentError, RetryableError, explained
from heliostat.systems.processes import write_private

M = TypeVar("M", bound=Model)
_FILE = "inputs.json"


def absolute(directory: str) -> Path:
    """The data folder.

    Raises:
        PermanentError: it is not an absolute path.
    """
    path = Path(directory)
    if not path.is_absolute():
        raise PermanentError(f"the data folder {directory!r} must be an absolute path: processes outlive the program's folder")
    return path


async def brought_up(
    work: Awaitable[None], halt: Callable[[], Awaitable[None]], identifier: str, outputs: Callable[[], Model]
) -> None:
    """Wait for `work`, a create. Where it fails, no process stays that the state does not know of.

    Raises:
        PermanentError: as `work` does; what it started was ended by `halt`.
        PartialError: it may still come up: what runs is kept in the state, and the next update goes on with it.
    """
    try:
        await work
    except PermanentError:
        await halt()
        raise
    except RetryableError as error:
        raise PartialError(str(error), identifier, outputs()) from error


def remember(directory: Path, inputs: Model) -> None:
    """Keep the inputs beside the processes, so that the resource can be imported by its folder alone."""
    try:
        write_private(directory / _FILE, inputs.model_dump_json(by_alias=True, exclude_none=True))
    except OSError as error:
        raise explained(error, f"write {directory / _FILE}") from error


def remembered(directory: Path, model: type[M]) -> M | None:
    """The inputs that were kept last; None where there are none."""
    try:
        return model.model_validate_json((directory / _FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def forget(directory: Path) -> None:
    """Remove what was kept, and the folder where nothing else is in it."""
    try:
        (directory / _FILE).unlink(missing_ok=True)
        directory.rmdir()
    except OSError:
        return
