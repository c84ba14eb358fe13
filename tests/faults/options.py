"""What the table of faults is asked for on pytest's command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path

import pytest

from tests.faults.table import SCENES, Kind, State

RESULTS = Path(__file__).with_name("results.json")
PLUGIN = "table of faults"


class Which(StrEnum):
    """Which cells are measured; of the others the verdict is what is known of them."""

    NEW = "new"
    """Those not known of these very sources."""
    OPEN = "open"
    """Those not known to hold, of whichever sources."""
    ALL = "all"


def add(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("faults", "the table of faults (tests/faults)")
    group.addoption(
        "--faults", action="store_true", help="kill each part in each state of each rollout (hours), and run nothing else"
    )
    for option, known, what in (
        ("--strategies", tuple(SCENES), "strategies"),
        ("--kinds", tuple(Kind), "what is killed"),
        ("--states", tuple(State), "when"),
    ):
        text = f"{what}, with commas between them, of {', '.join(known)}"
        group.addoption(option, type=_some_of(known), default=known, metavar="NAMES", help=text)
    group.addoption(
        "--which",
        choices=tuple(Which),
        default=Which.NEW,
        help="measure what is not known of these very sources, what is not known to hold of whichever, or all; of other "
        "cells the verdict is what is known",
    )
    group.addoption("--minutes", type=float, default=24 * 60.0, help="begin no cell after so long")
    group.addoption("--results", type=Path, default=RESULTS, metavar="FILE", help="where the cells are kept, as JSON")
    group.addoption("--markdown", type=Path, metavar="FILE", help="write the whole table there, for docs/rollouts.md")


def configure(config: pytest.Config) -> None:
    """Take the table along where it is asked for.

    Raises:
        pytest.UsageError: several processes were to fill it.
    """
    if not config.getoption("--faults"):
        return
    if config.getoption("numprocesses", None):
        raise pytest.UsageError("the table's cells share one world: --faults goes with -n 0 only")
    from tests.faults.plugin import TablePlugin  # it brings half of the library along

    config.pluginmanager.register(TablePlugin(config), PLUGIN)


def _some_of(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        names = tuple(part for part in text.split(",") if part)
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
        return names

    return read
