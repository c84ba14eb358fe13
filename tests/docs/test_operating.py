"""docs/operating.md: the commands, parts and pages that it names are there, and none is left out."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from heliostat.cli.commands import heliostat as root
from heliostat.cli.commands.open_ import PAGES
from heliostat.cli.operators.completing import PARTS
from heliostat.cli.operators.completion_script import SHELLS
from heliostat.cli.operators.health import Health

TEXT = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()


def rows(head: str) -> list[str]:
    """The first cells of the table that begins with this head."""
    table = TEXT.partition(f"| {head} |")[2].partition("\n\n")[0]
    return re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)


def test_every_part_page_and_health_has_its_row() -> None:
    assert rows("name") == list(PARTS)
    assert sorted(rows("page")) == sorted(PAGES)
    assert rows("health") == [str(one) for one in Health]


def test_every_command_that_it_names_can_be_called_with_the_options_that_it_names() -> None:
    named = set(re.findall(r"heliostat ((?:doctor|status|logs|open|completion|rollout|dashboard)\b[^`|\n…]*)", TEXT))
    assert {"doctor", "status", "dashboard"} <= {line.split()[0] for line in named}
    for line in named:
        command: click.Command = root
        words = re.sub(r"\b(NAME|PAGE|SHELL)\b", "bash", line).split()
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            found = command.get_command(click.Context(command), words.pop(0))
            assert found is not None, line
            command = found
        options = {name for one in command.params for name in one.opts}
        assert {word for word in words if word.startswith("-")} <= options, line


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_is_named(shell: str) -> None:
    assert shell in TEXT


def test_no_placeholder_and_no_path_of_one_machine_is_left() -> None:
    assert "@@" not in TEXT
    assert not re.findall(r"/(?:home|root|work)/", TEXT)
