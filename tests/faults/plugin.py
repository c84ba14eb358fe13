"""What `--faults` adds to pytest: the choice of cells, the sitting that they share, and the table as it fills."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from rich.console import Console

from tests.faults.options import Which
from tests.faults.picture import picture
from tests.faults.records import Record, Records, is_good, markdown, short, slowest
from tests.faults.sitting import Sitting
from tests.faults.table import Cell, Kind

_PICTURE_EVERY = 10


class TablePlugin:
    """Of one run of pytest."""

    def __init__(self, config: pytest.Config) -> None:
        self._strategies: Sequence[str] = config.getoption("--strategies")
        self._kinds: Sequence[str] = config.getoption("--kinds")
        self._states: Sequence[str] = config.getoption("--states")
        self._markdown = config.getoption("--markdown")
        self.sitting = Sitting(
            Records(config.getoption("--results")), Which(config.getoption("--which")), config.getoption("--minutes")
        )
        self._wanted = 0

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        others = [item for item in items if (cell := _cell(item)) is not None and not self._is_chosen(cell)]
        config.hook.pytest_deselected(items=others)
        left = set(others)
        items[:] = [item for item in items if item not in left]

    def pytest_report_collectionfinish(self, items: Sequence[pytest.Item]) -> str:
        chosen = [cell for item in items if (cell := _cell(item)) is not None]
        self._wanted = sum(self.sitting.is_open(cell) for cell in chosen)
        return f"{self._wanted} of {len(chosen)} cells are to be measured"

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """What had been measured before is counted by itself."""
        is_known = report.when == "call" and report.passed and "faults" in report.keywords and self._measured(report) is None
        return ("known", "k", "KNOWN") if is_known else None

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A line a cell once it is measured, and the table from time to time."""
        if report.when != "call" or (record := self._measured(report)) is None:
            return
        console, number = Console(), len(self.sitting.measured)
        console.print()
        for text in _told(record, f"{number}/{self._wanted}"):
            console.print(text, markup=False, highlight=False, soft_wrap=True)
        if number % _PICTURE_EVERY == 0:
            self._show(console)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if terminalreporter.config.option.collectonly:
            return
        terminalreporter.section("the table of faults")
        console, records = Console(), self.sitting.records.all()
        self._show(console)
        if left := len(self.sitting.left):
            console.print(f"the time is over: {left} cells are left", highlight=False)
        if records:
            told = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in slowest(records.values()))
            console.print(f"slowest: {told}", highlight=False, soft_wrap=True)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """What there was no time for and is not known to hold, of whichever sources, does not hold."""
        if self._markdown is not None:
            self._markdown.write_text(markdown(self.sitting.records.all()))
        unknown = [cell for cell in self.sitting.left if not is_good(self.sitting.records.any(cell))]
        if unknown and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _is_chosen(self, cell: Cell) -> bool:
        return cell.strategy in self._strategies and cell.kind in self._kinds and cell.state in self._states

    def _measured(self, report: pytest.TestReport) -> Record | None:
        return self.sitting.measured.get(report.nodeid.partition("[")[2].removesuffix("]"))

    def _show(self, console: Console) -> None:
        kinds = [kind for kind in Kind if kind in self._kinds]
        console.print(picture(self.sitting.records.all(), kinds, self._strategies))


def _cell(item: pytest.Item) -> Cell | None:
    found = item.callspec.params.get("cell") if isinstance(item, pytest.Function) and hasattr(item, "callspec") else None
    return found if isinstance(found, Cell) else None


def _told(record: Record, place: str) -> Iterator[str]:
    """A measured cell in a line, and what is wrong with it."""
    at, settled, seconds = record["at"] or "-", record["settled_seconds"], record["seconds"]
    yield f"{place} {record['cell']}: {short(record)} (at {at}; settled after {settled:g} s; {seconds:.0f} s)"
    yield from (f"tried again: {each['error']}" for each in record["attempts"])
    yield from record["why"]
