"""A column of a data set as people read it. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_VALUES: Final = 4


def told(name: str, column: dict[str, Any]) -> tuple[str, str, str, str, str]:
    """Name, type, share that is missing, how many different values, and which: of a column's figures in a summary."""
    missing = column["missing"] + column.get("nan", 0)
    share = f"{missing / column['rows']:.1%}" if missing else ""
    values = ""
    if "quantiles" in column:
        numbers = (column["min"], column["quantiles"]["0.5"], column["max"])
        values = " … ".join(_value(number, column["type"]) for number in numbers)
    elif "top" in column:
        values = ", ".join(f"{value} {count:,}" for value, count in [*column["top"].items()][:_MOST_VALUES])
    distinct = column.get("distinct")
    return name, column["type"], share, f"{distinct:,}" if distinct is not None else "", values


def _value(number: float, type_: str) -> str:
    """A number of a profile, where times are microseconds and dates days since 1970."""
    try:
        if type_.startswith("timestamp"):
            return f"{_EPOCH + timedelta(microseconds=round(number)):%Y-%m-%d %H:%M:%S}"
        if type_.startswith("date"):
            return f"{_EPOCH + timedelta(days=round(number)):%Y-%m-%d}"
    except OverflowError:  # beyond the calendar
        pass
    return f"{number:.6g}"
