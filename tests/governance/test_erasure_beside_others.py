"""The deletion of a person while others write what they read before: none of it is there behind the proof."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from erasure_worlds import OTHER
from personal_fakes import EMAIL, ROW
from test_erasure import World as LogWorld

from heliostat.serving.prediction_log import files
from heliostat.serving.prediction_log.sealing import Sealed
from heliostat.serving.prediction_log.spools import Head
from heliostat.spec.review import Review, ReviewProbability


class Meanwhile:
    """A store in which something is done once, right before a call that changes it."""

    def __init__(self, store: Any, key: str, act: Callable[[], object]) -> None:
        self._store, self._key, self._act = store, key, act
        self._done = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in ("put", "put_file"):
            return found

        def call(key: str, *args: Any, **kwargs: Any) -> Any:
            if key.startswith(self._key) and not self._done:
                self._done = True
                self._act()
            return found(key, *args, **kwargs)

        return call


def mentions(world: LogWorld) -> list[str]:
    """What is left of the person, in any object but the deletion's own."""
    token = world.keys.hashed(EMAIL).encode()
    found = []
    for info in world.store.list(""):
        content = world.store.get(info.key)
        if info.key.endswith(".parquet"):
            content = repr(pq.read_table(Path(world.folder, "objects", info.key)).to_pylist()).encode()
        if not info.key.startswith("governance/") and (token in content or EMAIL.encode() in content):
            found.append(info.key)
    return found


@pytest.mark.parametrize("first", ["predictions/", "reviews/", "predictions-unread/"])
def test_a_spool_that_is_sealed_meanwhile_has_no_row_of_the_person(tmp_path, monkeypatch, first):
    world, proofs = LogWorld(tmp_path), []
    plain, store = files.open_store, files.store
    monkeypatch.setitem(ROW, "income", 500.0)  # people look at what the model is unsure of
    monkeypatch.setattr(
        files, "open_store", lambda address: Meanwhile(plain(address), first, lambda: proofs.append(world.erase()))
    )

    def with_a_damaged_line(spool: Path, own: Head) -> Sealed:
        with spool.open("ab") as file:
            file.write(b'{"inputs": [{"email": "%b"}]\n' % world.keys.hashed(EMAIL).encode())
        return store(spool, own)

    monkeypatch.setattr(files, "store", with_a_damaged_line)
    review = Review(answer=ReviewProbability(field="score"), below=1.0)
    world.log(("r-1", [EMAIL]), ("r-2", [OTHER, EMAIL]), review=review)
    assert [each.left for each in proofs] == [0]
    assert mentions(world) == []
    assert world.logged() == [("r-2", 0)]
    items = [world.store.get(info.key) for info in world.store.list("reviews/")]
    assert [each.count(b"\n") for each in items] == [1], "what others were answered is looked at"
