"""What is told of rows that cannot be read: which, and why, and nothing of what is in them, for that may be personal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

_MOST: Final = 300
_KNOWN: Final = (
    re.compile(r"CSV parse error: (Row #\d+: )?Expected \d+ columns, got \d+"),
    re.compile(r"In CSV column #\d+: (Row #\d+: )?CSV conversion error to [^:]+"),
    re.compile(r"JSON parse error: [^'\"]* in row \d+"),
)
"""What Arrow says before it quotes a row."""


def of_file(error: Exception, is_text: bool) -> str:
    """Why a file cannot be read; of a file of text as far as Arrow quotes none of it."""
    text = " ".join(str(error).split())
    if not is_text:
        return text[:_MOST]
    known = next((found[0] for each in _KNOWN if (found := each.match(text))), None)
    return known or f"{type(error).__name__}, whose words may quote a row, and are not told"


def of_column(values: Sequence[Any], kind: pa.DataType | None) -> str:
    """Which of some values is not of a type, or where there is none of that of the first one, and what it is instead."""
    first = next((value for value in values if value is not None), None)
    for number, value in enumerate(values):
        if value is not None and not _is_of(value, kind, first):
            return f"the value in row {number} of those that were read together is a {type(value).__name__}"
    return "its values are of several types"


def _is_of(value: Any, kind: pa.DataType | None, first: Any) -> bool:
    try:
        pa.array([first, value] if kind is None else [value], kind)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return False
    return True
