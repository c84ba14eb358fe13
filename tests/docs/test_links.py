"""The Markdown files' links: each leads to a file that is there, and to a title that it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
FILES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("findings/*.md")})


@cache
def _tokens(path: Path) -> tuple[Token, ...]:
    blocks = MarkdownIt("commonmark").enable("table").parse(path.read_text())
    return tuple(each for block in blocks for each in (block, *(block.children or ())))


def links_of(path: Path) -> Iterator[str]:
    """What the file links to and shows, in order, of this repository."""
    for token in _tokens(path):
        target = str(token.attrGet("href") or token.attrGet("src") or "")
        if target and not re.match(r"[a-z]+:", target):
            yield unquote(target)


def anchors_of(path: Path) -> set[str]:
    """The anchors that forges make of the file's titles."""
    found: list[str] = []
    tokens = _tokens(path)
    for title, text in pairwise(tokens):
        if title.type == "heading_open":
            plain = "".join(each.content for each in text.children or ())
            anchor = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
            again = sum(each == anchor for each in found)
            found.append(anchor)
            if again:
                found.append(f"{anchor}-{again}")
    return set(found)


def leads_somewhere(file: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (file.parent / path).resolve() if path else file
    if not target.is_relative_to(ROOT) or not target.exists():
        return False
    return not anchor or anchor in anchors_of(target)


def test_the_files_of_every_folder_are_looked_at() -> None:
    names = {str(path.relative_to(ROOT)) for path in FILES}
    assert {"README.md", "CONTRIBUTING.md", "docs/engine.md", "docs/adr/README.md", "findings/README.md"} <= names


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_markdown_file_leads_somewhere(file: Path) -> None:
    assert [link for link in links_of(file) if not leads_somewhere(file, link)] == []


@pytest.mark.parametrize("link", ["nowhere.md", "engine.md#no-such-title", "#no-such-title", "../../outside"])
def test_a_link_that_leads_nowhere_is_noticed(link: str) -> None:
    assert not leads_somewhere(ROOT / "docs" / "rollouts.md", link)


def test_every_decision_is_listed() -> None:
    decisions = ROOT / "docs" / "adr"
    assert {path.name for path in decisions.glob("0*.md")} == set(links_of(decisions / "README.md"))


def test_the_readme_links_to_what_a_newcomer_looks_for() -> None:
    assert {"CHANGELOG.md", "CONTRIBUTING.md"} <= set(links_of(ROOT / "README.md"))
