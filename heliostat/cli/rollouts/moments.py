"""Reads a moment as people write one; pure."""

from __future__ import annotations

import re
from datetime import date, datetime, time

from heliostat.cli.exits import UsageError

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])(?:\s+ago)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_UNIX = re.compile(r"\d{9,11}(\.\d+)?")
_OF_A_DAY = re.compile(r"\d\d?:.*")
"""Without a colon it may as well be a year."""


def parse(text: str, now: float) -> float:
    """Unix time in seconds of `2026-03-01 14:00`, `2026-03-01T14:00:00Z`, `14:00` (today), `90m` (ago) or Unix time itself.

    Without a zone, it is the machine's.

    Raises:
        UsageError: it is none of these, before 1970, or later than `now`.
    """
    said = text.strip()
    at = _moment(said, now)
    if at is None:
        raise UsageError(
            f"--at {text!r} is no time: write it like `2026-03-01 14:00`, `2026-03-01T14:00:00Z`, `14:00` (today) or "
            "`90m` (ago)"
        )
    if at < 0:
        raise UsageError(f"--at {text!r} is before 1970: no ledger is as old as that")
    if at > now:
        raise UsageError(f"--at {text!r} is later than now: the ledger only knows what was")
    return at


def _moment(said: str, now: float) -> float | None:
    ago = _AGO.fullmatch(said)
    if ago:
        return now - float(ago[1]) * _SECONDS[ago[2]]
    if _UNIX.fullmatch(said):
        return float(said)
    try:
        if _OF_A_DAY.fullmatch(said):
            return datetime.combine(date.fromtimestamp(now), time.fromisoformat(said)).timestamp()
        return _stamp(datetime.fromisoformat(said))
    except ValueError:
        return None


def _stamp(moment: datetime) -> float:
    """Unix time; at the ends of the calendar there is no local time, but it is known on which side of now they are."""
    try:
        return moment.timestamp()
    except (ValueError, OverflowError):
        return float("-inf") if moment.year < 1970 else float("inf")
