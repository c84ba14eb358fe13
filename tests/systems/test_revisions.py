"""A value in the object store that several change: nobody's change is lost, whoever is second."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from heliostat.systems.errors import RetryableError
from heliostat.systems.objects import Directory
from heliostat.systems.revisions import Revisions


@pytest.fixture
def revisions(tmp_path: Path) -> Revisions:
    return Revisions(Directory(tmp_path), "top/state/")


def counted(content: bytes | None) -> bytes:
    return str(int(content or b"0") + 1).encode()


def test_there_is_nothing_before_the_first_change(revisions: Revisions) -> None:
    assert revisions.newest() == (0, None)
    assert revisions.change(counted) == b"1"
    assert revisions.newest() == (1, b"1")


def test_changes_beside_each_other_are_all_there(revisions: Revisions) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: revisions.change(counted), range(40)))
    assert revisions.newest() == (40, b"40")


def test_what_changes_nothing_writes_nothing(revisions: Revisions) -> None:
    revisions.change(counted)
    assert revisions.change(lambda content: content) == revisions.change(lambda _: None) == b"1"
    assert revisions.newest()[0] == 1


def test_old_revisions_go_and_the_numbers_go_on(revisions: Revisions, tmp_path: Path) -> None:
    for _ in range(30):
        revisions.change(counted)
    long_ago = time.time() - 86_400
    for path in (tmp_path / "top" / "state").iterdir():
        os.utime(path, (long_ago, long_ago))
    revisions.change(counted)
    assert len([*(tmp_path / "top" / "state").iterdir()]) == 20
    assert revisions.newest() == (31, b"31")


def test_one_that_never_is_first_is_told_to_come_again(revisions: Revisions) -> None:
    def always_late(content: bytes | None) -> bytes:
        number, _ = revisions.newest()
        Directory.put(revisions._store, f"top/state/{number + 1:012d}.json", b"7")
        return b"x"

    with pytest.raises(RetryableError, match="changed by others all the time"):
        revisions.change(always_late)
