"""Figures as people read them."""

from __future__ import annotations

import time

_UNITS = ((86400.0, "day"), (3600.0, "h"), (60.0, "min"))


def percent(part: float) -> str:
    """`part` of 1 as `12.5 %`."""
    return f"{round(100 * part, 3):g} %"


def share(weight: int) -> str:
    """A weight in 1/100 % as `12.5 %`."""
    return f"{weight / 100:g} %"


def duration(seconds: float) -> str:
    """`90` as `1.5 min`, `604800` as `7 days`."""
    for length, unit in _UNITS:
        if seconds >= length:
            count = round(seconds / length, 1)
            return f"{count:g} {unit}" + ("s" if unit == "day" and count != 1 else "")
    return f"{round(seconds, 1):g} s"


def minute(moment: float) -> str:
    """Unix time as `2013-10-03 12:05 UTC`."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(moment))


def counted(count: float, thing: str, things: str = "") -> str:
    """`1 replica`, `2 replicas`; `things`: the plural, where it is not made by an s."""
    return f"{count:g} {thing if count == 1 else things or thing + 's'}"


def joined(parts: tuple[str, ...]) -> str:
    """`a, b and c`."""
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)
