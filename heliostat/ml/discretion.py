"""What is told of an error of the workload's code that may quote rows with personal columns: everything but its words."""

from __future__ import annotations

import traceback

from heliostat.ml.snapshots.reader import Snapshot
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import ObjectMissingError


class WordlessError(RuntimeError):
    """An error, by its types and the lines of code that raised it."""


def without_words(error: BaseException) -> str:
    """An error's types and lines of code, those of what it came from first."""
    told, each = list[str](), error
    while each is not None and len(told) < 10:
        frames = "".join(traceback.format_tb(each.__traceback__))
        told.append(f"{frames}{type(each).__qualname__}, raised here. What it says may quote personal values, and is not told")
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)  # type: ignore[assignment]
    return "\n\n".join(reversed(told))


def told_of(error: Exception, data: Snapshot) -> Exception:
    """What is told of an error of a training in its place; itself where no column of its data is personal, or where it is one
    of the library's own, whose texts name columns, and rows by number."""
    if isinstance(error, PermanentError | RetryableError):
        return error
    try:
        is_personal = bool(data.manifest().get("personal"))
    except ObjectMissingError:
        is_personal = False  # there were no rows to be quoted
    except (PermanentError, RetryableError):
        is_personal = True  # for all that can be known now
    return WordlessError(without_words(error)) if is_personal else error
