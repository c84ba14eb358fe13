"""The `heliostat` commands of documents, in lines of their own or within a sentence: they can be called as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from heliostat.cli.commands import heliostat as root
from tests import documents

ROOT = Path(__file__).parents[2]
DECISIONS = ROOT / "docs" / "adr"
"""What they name was true when they were made."""
PAGES = sorted(path for path in (ROOT / "docs").glob("**/*.md") if not path.is_relative_to(DECISIONS))
DOCUMENTS = ["README.md", "CONTRIBUTING.md", *(str(path.relative_to(ROOT)) for path in PAGES)]
_CODE = re.compile(r"`heliostat ([a-z][^`\n]*)`")


def named(text: str) -> list[str]:
    """The words after `heliostat`, of each command."""
    return [*documents.lines(text), *_CODE.findall(text)]


def mistake(line: str) -> str:
    """What cannot be called; empty where all can."""
    command: click.Command = root
    words = [word for word in shlex.split(line) if word != "…"]
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        found = command.get_command(click.Context(command), name)
        if found is None and command.name == "new":  # `heliostat new DIRECTORY`, which is short for this
            found = command.commands["repository"]
        if found is None:
            return f"{line}: there is no such command"
        command = found
    known = {name for one in (*root.params, *command.params) for name in (*one.opts, *one.secondary_opts)}
    return "".join(f"{line}: there is no {word}" for word in words if word.startswith("-") and word.split("=")[0] not in known)


def untyped(text: str) -> list[str]:
    """Each `curl` that sends a body and does not say what that is: curl says it is a form, which is refused."""
    calls = re.findall(r"^ *curl [^\n]*", text, re.MULTILINE)
    return [call.strip() for call in calls if re.search(r" (-d|--data)", call) and "content-type: " not in call]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_body_that_a_document_sends_says_that_it_is_json(document: str) -> None:
    assert untyped((ROOT / document).read_text()) == []
    assert untyped("    curl -d '{}' URL\n    curl -H 'content-type: application/json' -d '{}' URL\n    curl URL") == [
        "curl -d '{}' URL"
    ]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_that_a_document_names_can_be_called(document: str) -> None:
    assert [found for line in named((ROOT / document).read_text()) if (found := mistake(line))] == []


def test_pages_of_every_folder_are_read() -> None:
    assert {"docs/engine.md", "docs/platforms/aws.md", "docs/reference/testing.md"} <= set(DOCUMENTS)
    assert "docs/adr/README.md" not in DOCUMENTS


def test_commands_are_found_in_lines_and_in_sentences_and_mistakes_are_noticed() -> None:
    lines = "       .venv/bin/heliostat rollout watch flights   # live\n    heliostat new my && cd my\n"
    text = f"Say `heliostat up --detach`, or\n\n{lines}"
    assert named(text) == ["rollout watch flights", "new my", "up --detach"]
    assert [mistake(line) for line in named(text)] == ["", "", ""]
    assert mistake("rollout wait flights") == "rollout wait flights: there is no such command"
    assert mistake("up --wiat") == "up --wiat: there is no --wiat"
