"""Plain tables, times and sizes for people; pure."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from heliostat.cli.say import line


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], indent: str = "") -> str:
    """Columns as wide as their widest cell, two spaces apart."""
    heads, rows = [line(cell) for cell in heads], [[line(cell) for cell in row] for row in rows]
    widths = [max(len(row[n]) for row in (heads, *rows)) for n in range(len(heads))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (heads, *rows)]
    return "\n".join(indent + line for line in lines)


def ago(moment: float, now: float) -> str:
    """`3 minutes ago`, from seconds since 1970."""
    seconds = max(now - moment, 0)
    if seconds < 10:
        return "just now"
    for length, unit in ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second")):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def clock(moment: float) -> str:
    """`2013-01-31 12:00:05` in the machine's time zone."""
    return datetime.datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def gib(size: int) -> str:
    """`1.5 GiB`, from bytes."""
    return f"{size / (1 << 30):,.1f} GiB"
