"""The files of the template repository.

It is a Pulumi template as it stands: `pulumi new <its address>` copies it and puts the project's name and description in the
place of `${PROJECT}` and `${DESCRIPTION}`. `heliostat new` does the same with the same files, so there is no second tree that
could differ from it, and the linters and tests of this repository read it as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "repository"
_OF_TOOLS: Final = frozenset({"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"})


def read() -> dict[str, str]:
    """Every file's text, by its path below the repository."""
    files = (path for path in FOLDER.rglob("*") if path.is_file() and not _OF_TOOLS & set(path.parts))
    return {path.relative_to(FOLDER).as_posix(): path.read_text(encoding="utf-8") for path in sorted(files)}
