"""Entries reach the object store in order, once, each under its own number, whatever happens in between."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from test_store import state, wanted

from heliostat.controller.ledger import Backlog, Ledger, entry, last_number, newest_first, read
from heliostat.controller.store import Store
from heliostat.rollout.model import Record, State
from heliostat.spec.ledger import Entry, EntryKind, key_of
from heliostat.systems.errors import RetryableError
from heliostat.systems.objects import Directory


class Flaky(Directory):
    """A store that is away for a while, or that is killed after it has written."""

    def __init__(self, root: Path, failures: int = 0) -> None:
        super().__init__(root)
        self.failures = failures
        self.after = False

    def put(self, key: str, data: bytes, *, only_if_absent: bool = False) -> bool:
        if self.failures and not self.after:
            self.failures -= 1
            raise RetryableError("the store is away")
        done = super().put(key, data, only_if_absent=only_if_absent)
        if self.failures:
            self.failures -= 1
            raise RetryableError("the answer was lost")
        return done


def record(weight: float = 1.0) -> Record:
    return Record(EntryKind.SHIFT, {"0" * 64: weight})


def post(store: Store, *weights: float, name: str = "flights") -> None:
    found = state().but(name=name)
    store.save(found, (), 1.0, tuple(entry(found, record(weight), 1.0) for weight in weights))


def kept(objects: Directory) -> list[tuple[int, float]]:
    return [(each.number, each.weights["0" * 64]) for each in reversed(list(newest_first(objects, "flights")))]


async def test_entries_are_numbered_from_one_in_order(tmp_path: Path) -> None:
    store, objects = Store(tmp_path), Directory(tmp_path / "objects")
    post(store, 0.1, 0.5, 1.0)
    await Ledger(store, objects).flush()
    assert kept(objects) == [(1, 0.1), (2, 0.5), (3, 1.0)]
    assert store.count_waiting() == 0
    await Ledger(store, objects).flush()
    assert last_number(objects, "flights") == 3


async def test_an_entry_says_what_happened_and_by_whom(tmp_path: Path) -> None:
    found = entry(state(), record(), 7.0)
    assert (found.application, found.rollout, found.at, found.target) == ("flights", 1, 7.0, wanted())
    assert found.id != entry(state(), record(), 7.0).id
    with pytest.raises(ValueError, match="has no rollout"):
        entry(State(name="flights"), record(), 7.0)


async def test_another_controller_goes_on_with_the_next_number(tmp_path: Path) -> None:
    objects = Directory(tmp_path / "objects")
    post(first := Store(tmp_path / "a"), 0.1)
    await Ledger(first, objects).flush()
    post(second := Store(tmp_path / "b"), 0.2)
    await Ledger(second, objects).flush()
    assert kept(objects) == [(1, 0.1), (2, 0.2)]


async def test_a_number_that_somebody_else_took_meanwhile_is_left_to_them(tmp_path: Path) -> None:
    store, objects = Store(tmp_path), Directory(tmp_path / "objects")
    post(store, 0.1)
    ledger = Ledger(store, objects)
    await ledger.flush()
    other = entry(state(), record(0.9), 2.0).model_copy(update={"number": 2})
    objects.put(key_of("flights", 2), other.model_dump_json().encode())
    post(store, 0.2)
    await ledger.flush()
    assert kept(objects) == [(1, 0.1), (2, 0.9), (3, 0.2)]


@pytest.mark.parametrize("same_process", [True, False])
async def test_a_controller_that_was_killed_after_the_write_writes_it_once(tmp_path: Path, same_process: bool) -> None:
    store, objects = Store(tmp_path), Flaky(tmp_path / "objects", failures=1)
    objects.after = True
    post(store, 0.1)
    ledger = Ledger(store, objects)
    with pytest.raises(RetryableError):
        await ledger.flush()
    await (ledger if same_process else Ledger(Store(tmp_path), objects)).flush()
    assert kept(objects) == [(1, 0.1)]


async def test_a_store_that_is_away_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliostat.controller.writing._FIRST_SECONDS", 0.01)
    store, objects = Store(tmp_path), Flaky(tmp_path / "objects", failures=2)
    ledger = Ledger(store, objects)
    running = asyncio.create_task(ledger.run())
    post(store, 0.1)
    ledger.wake()
    async with asyncio.timeout(60):
        while store.count_waiting():  # noqa: ASYNC110 - the store has no event of its own
            await asyncio.sleep(0.01)
    running.cancel()
    assert kept(objects) == [(1, 0.1)]
    assert objects.failures == 0


async def test_what_waits_is_written_before_the_end(tmp_path: Path) -> None:
    store, objects = Store(tmp_path), Directory(tmp_path / "objects")
    post(store, 0.1, 0.2)
    assert await Ledger(store, objects).finish(5) == Backlog(0)
    assert kept(objects) == [(1, 0.1), (2, 0.2)]


async def test_what_cannot_be_written_before_the_end_is_counted_with_the_reason_and_stays(tmp_path: Path) -> None:
    store, objects = Store(tmp_path), Flaky(tmp_path / "objects", failures=1)
    post(store, 0.1, 0.2)
    assert await Ledger(store, objects).finish(5) == Backlog(2, "the store is away")
    assert store.count_waiting() == 2
    assert await Ledger(Store(tmp_path), objects).finish(5) == Backlog(0)
    assert kept(objects) == [(1, 0.1), (2, 0.2)]


async def test_a_store_that_hangs_holds_the_end_up_no_longer_than_it_may(tmp_path: Path) -> None:
    class Hanging(Directory):
        def __init__(self, root: Path) -> None:
            super().__init__(root)
            self.answers = threading.Event()

        def put(self, key: str, data: bytes, *, only_if_absent: bool = False) -> bool:
            self.answers.wait()
            return super().put(key, data, only_if_absent=only_if_absent)

    store, objects = Store(tmp_path), Hanging(tmp_path / "objects")
    post(store, 0.1)
    ledger = Ledger(store, objects)
    found = await ledger.finish(0.1)
    assert (found.waiting, found.error) == (1, "the object store did not take them within 0.1 s")
    # It took it after all: it is there once, whoever writes it again.
    objects.answers.set()
    assert await ledger.finish(5) == Backlog(0)
    assert kept(objects) == [(1, 0.1)]


async def test_each_application_has_its_own_numbers(tmp_path: Path) -> None:
    store, objects = Store(tmp_path), Directory(tmp_path / "objects")
    post(store, 0.1)
    post(store, 0.2, name="trains")
    await Ledger(store, objects).flush()
    found = read(objects, "trains", 1)
    assert isinstance(found, Entry)
    assert found.weights == {"0" * 64: 0.2}
    assert [each.application for each in store.waiting()] == []


def test_what_is_not_an_entry_is_passed_over(tmp_path: Path) -> None:
    objects = Directory(tmp_path / "objects")
    objects.put("ledger/flights/notes.txt", b"mine")
    objects.put(key_of("flights", 4), b"{}")
    assert last_number(objects, "flights") == 4
    assert list(newest_first(objects, "flights")) == []
    assert read(objects, "flights", 9) is None
