"""What heliostat.toml says of the repository's code."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliostat.layout import SourcesError, sources


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "shared").mkdir()
    (tmp_path / "dates.py").touch()
    return tmp_path


def test_the_named_packages_and_modules_are_the_sources(root: Path) -> None:
    assert sources(root) == ()
    (root / "heliostat.toml").write_text('stack = "local"\n')
    assert sources(root) == ()
    (root / "heliostat.toml").write_text('sources = ["shared", "dates"]\n')
    assert sources(root) == ("shared", "dates")


def test_every_mistake_is_told(root: Path) -> None:
    (root / "heliostat.toml").write_text('sources = ["gone", "lib/shared", "workloads", "heliostat", "class"]\n')
    with pytest.raises(SourcesError) as told:
        sources(root)
    assert "there is neither a folder gone/ nor gone.py" in str(told.value)
    assert "'lib/shared' is no name" in str(told.value)
    assert "'class' is no name" in str(told.value)
    assert "'workloads' need not be named" in str(told.value)
    assert "'heliostat' need not be named" in str(told.value)


@pytest.mark.parametrize(("text", "why"), [('sources = "shared"', "list of names"), ("sources = [", "cannot read")])
def test_what_cannot_be_read_is_told(root: Path, text: str, why: str) -> None:
    (root / "heliostat.toml").write_text(text)
    with pytest.raises(SourcesError, match=why):
        sources(root)
