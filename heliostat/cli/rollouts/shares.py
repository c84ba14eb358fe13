"""Who gets how much of the traffic, as a table that fits: weights and versions are never cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from heliostat.cli.rollouts import messages
from heliostat.spec.rollouts import Rollout, Sample, Status, VersionSample

BAR = 24
_LEAST_BAR = 5
_INDENT = 2
_BAR = "traffic"
_COLUMNS = ("", _BAR, "weight", "replicas", "pred/s", "failed/s", "p50", "p99", "version")
"""Rates and times are those of predictions."""
_RIGHT = frozenset({"replicas", "pred/s", "failed/s", "p50", "p99"})
_LEAST = {"weight": len("12.34 %"), "pred/s": len("1,184"), "p50": len("9.87 ms"), "p99": len("9.87 ms")}
"""As wide as their values mostly are, so that a picture that moves does not jump."""
_NOT_NEEDED = (_BAR, "p50", "replicas", "pred/s", "p99", "failed/s")
"""What is left out where there is no room, the first first."""


def bar(share: float, width: int = BAR) -> str:
    """A share as a bar; whatever is not nothing shows, and whatever is not all leaves room."""
    full = round(share * width)
    if 0 < share < 1:
        full = min(max(full, 1), width - 1)
    return "█" * full + "░" * (width - full)


@dataclass(frozen=True)
class Row:
    """One version."""

    role: str
    share: float
    colour: str
    now: VersionSample | None
    version: str

    @property
    def beside(self) -> str:
        """What it is asked besides predictions that its contract takes; empty where that is nothing."""
        if self.now is None:
            return ""
        rates = ((self.now.rejected_per_second, "rejected/s"), (self.now.others_per_second, "other/s"))
        found = ", ".join(f"{messages.number(rate)} {name}" for rate, name in rates if rate)
        return f"{self.role} {found}" if found else ""

    def cells(self, width: int) -> Mapping[str, Text]:
        """What stands in each column; the bar is `width` wide."""
        found = {
            "": Text(self.role),
            _BAR: Text(bar(self.share, width), style=self.colour),
            "weight": Text(messages.percent(self.share)),
            "version": Text(self.version),
        }
        if self.now is None:
            return dict.fromkeys(_COLUMNS, Text(messages.NOTHING)) | found
        failed = self.now.failed_per_second
        return found | {
            "replicas": Text(str(self.now.replicas)),
            "pred/s": Text(messages.number(self.now.requests_per_second)),
            "failed/s": Text(messages.number(failed), style="red" if failed else ""),
            "p50": Text(messages.number(self.now.p50_ms, "ms")),
            "p99": Text(messages.number(self.now.p99_ms, "ms")),
        }


@dataclass(frozen=True)
class Shares:
    """The table, laid out for whatever width it is drawn at."""

    rows: tuple[Row, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The widest layout that fits."""
        columns, gap, width = _layout(self._widths(), options.max_width - _INDENT)
        table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="dim")
        heads = {"weight": "" if width >= len(_BAR) else _BAR, _BAR: _BAR if width >= len(_BAR) else ""}
        for name in columns:
            least = _LEAST.get(name)
            table.add_column(
                heads.get(name, name), justify="right" if name in _RIGHT else "left", no_wrap=True, min_width=least
            )
        for row in self.rows:
            cells = row.cells(width)
            table.add_row(*(cells[name] for name in columns))
        yield Padding(table, (1, 0, 0, _INDENT))
        beside = [text for row in self.rows if (text := row.beside)]
        if beside:
            yield Padding(Text(f"beside predictions: {'; '.join(beside)}", style="dim"), (0, 0, 0, _INDENT))

    def _widths(self) -> dict[str, int]:
        """How wide each column is, but for the bar."""
        cells = [row.cells(0) for row in self.rows]
        headers = {name: cell_len(name) for name in _COLUMNS} | {"weight": 0}
        return {
            name: max(headers[name], _LEAST.get(name, 0), *(cell_len(each[name].plain) for each in cells)) for name in _COLUMNS
        }


def _layout(widths: Mapping[str, int], available: int) -> tuple[tuple[str, ...], int, int]:
    """Which columns there are, how far apart, and how wide the bar is."""
    left = [name for name in _COLUMNS if name != _BAR]
    for gap, least in ((2, BAR), (1, _LEAST_BAR)):
        room = available - sum(widths[name] + gap for name in left)
        if room >= least:
            return _COLUMNS, gap, min(BAR, room)
    for name in _NOT_NEEDED[1:]:
        if sum(widths[each] + 1 for each in left) - 1 <= available:
            break
        left.remove(name)
    return tuple(left), 1, 0


def shares_of(status: Status, rollout: Rollout, sample: Sample | None) -> Shares:
    """The rollout's two versions; one where only one is left."""
    weight = rollout.candidate_weight
    serving, candidate = (sample.serving, sample.candidate) if sample else (None, None)
    if rollout.from_version and not (rollout.phase in messages.ENDS and weight in {0.0, 1.0}):
        return Shares(
            (
                Row("serving", 1 - weight, "blue", serving, rollout.from_version),
                Row("candidate", weight, "yellow", candidate, rollout.to_version),
            )
        )
    settled = rollout.to_version if weight == 1 else rollout.from_version
    now = candidate if weight == 1 else serving
    return Shares((Row("serving", 1.0 if status.serving else 0.0, "blue", now, settled or "nothing"),))
