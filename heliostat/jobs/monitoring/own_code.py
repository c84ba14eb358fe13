"""A version behind the contract that it serves with, in a process of its own: the newest code has modules of the same names.

That process finds the version's code and nothing of this one's. It is asked with tables, and answers with arrays.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cached_property
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, Final, TypeVar

import pyarrow as pa

from heliostat.jobs.monitoring.model import Answering, Answers, Described, as_column
from heliostat.serving import model_cache
from heliostat.spec.monitoring import MonitorSpecification
from heliostat.systems.errors import PermanentError, RetryableError

T = TypeVar("T")


@contextmanager
def in_own_code(specification: MonitorSpecification, path: Sequence[Path]) -> Iterator[Answers]:
    """A version's answers, until the process that gives them is let go.

    Args:
        specification: Of the version, with its own contract.
        path: Where its modules are, the first place first.

    Raises:
        PermanentError: its contract cannot be loaded, with the reason.
    """
    begin = (tuple(map(str, path)), str(Path.cwd()))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin, initargs=begin) as pool:
        yield _OfProcess(specification, pool)


class _OfProcess(Answers):
    """Asks the process; the model is fetched here, so that one of the two speaks to the registry."""

    def __init__(self, specification: MonitorSpecification, pool: ProcessPoolExecutor) -> None:
        self._specification, self._pool = specification, pool
        self.described = self._told(_describe, specification)

    def answers(self, rows: pa.Table) -> pa.Array:
        return self._told(_answers, self._folder, rows)

    def served(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], pa.Array]:
        return self._told(_served, self._folder, rows)

    @cached_property
    def _folder(self) -> Path:
        asked = self._specification
        return model_cache.fetch(asked.model_uri, asked.tracking_uri, whole=self.described.reads_whole)

    def _told(self, function: Callable[..., T], *given: Any) -> T:
        try:
            return self._pool.submit(function, *given).result()
        except BrokenProcessPool:
            raise RetryableError(
                f"the process that answers as {self._specification.model_uri} ended while it was asked: look again, with more "
                "memory where that was short"
            ) from None


_WATCHED: Final[dict[str, Any]] = {}
"""In that process: the `specification`, and what is `loaded` of it."""


def _begin(path: Sequence[str], here: str) -> None:
    """Have modules be found in the version's code, and none in what the look itself runs in."""
    threading.Thread(target=_end_with_the_look, daemon=True).start()
    os.chdir(path[0])
    sys.path[:] = [*path, *(each for each in sys.path if each not in ("", here))]


def _end_with_the_look() -> None:
    """A look that is killed leaves no process behind."""
    if (look := parent_process()) is not None:
        look.join()
    os._exit(1)


def _describe(specification: MonitorSpecification) -> Described:
    _WATCHED["specification"] = specification
    try:
        return Answering(specification).described
    except PermanentError:
        raise
    except Exception as error:  # importing code raises whatever it likes
        raise PermanentError(f"{specification.contract} cannot be loaded: {type(error).__name__}: {error}") from None


def _answers(folder: Path, rows: pa.Table) -> pa.Array:
    return _safely(lambda: _loaded(folder).answers(rows))


def _served(folder: Path, rows: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, pa.Array], pa.Array]:
    """Columns as arrays: what they are made of may be of types that the version's code alone has."""

    def asked() -> tuple[Mapping[str, pa.Array], pa.Array]:
        columns, answers = _loaded(folder).served(rows)
        return {name: as_column(values) for name, values in columns.items()}, answers

    return _safely(asked)


def _loaded(folder: Path) -> Answering:
    if "loaded" not in _WATCHED:
        _WATCHED["loaded"] = Answering(_WATCHED["specification"], folder)
    loaded: Answering = _WATCHED["loaded"]
    return loaded


def _safely(asked: Callable[[], T]) -> T:
    """What was asked for; an error of a type that the look may not have is told in words."""
    try:
        return asked()
    except (PermanentError, RetryableError, pa.ArrowException, MemoryError):
        raise
    except Exception as error:
        raise RuntimeError(f"{type(error).__name__}: {error}") from None
