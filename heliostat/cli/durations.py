"""Lengths of time on the command line."""

from __future__ import annotations

from typing import Any

import click

from heliostat.gitops.settings import seconds_of


class Duration(click.ParamType[float]):
    """`90m`, `72h` or `3d`, as seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds of `90m`, `72h` or `3d`."""
        seconds = value if isinstance(value, float) else seconds_of(str(value))
        if seconds is None:
            self.fail(f"{value!r} is no time: write 90m, 72h or 3d", param, ctx)
        return seconds
