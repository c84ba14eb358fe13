"""The audit log: written for what people do, once each, and every change of it is seen."""

from __future__ import annotations

import json

import pytest
from fake_cluster import FakeCluster
from hypothesis import given
from hypothesis import strategies as some
from rollouts_in_memory import ADA, World, quick
from test_controller import bring, desired

from heliostat.controller.audit import AuditLog, event, newest
from heliostat.controller.store import Store
from heliostat.spec.audit import NOTHING, AuditEntry, content_of, faults_in, hash_of, head_of, key_of
from heliostat.spec.roles import Identity, Role
from heliostat.spec.rollouts import ActionRequest, Phase, RollbackRequest
from heliostat.spec.strategies import Canary, CanaryStep
from heliostat.systems.controller_api import ConflictError
from heliostat.systems.errors import RetryableError
from heliostat.systems.objects import Directory

__all__ = ["quick"]
WHO = Identity(name="ada", known=True, roles=(Role.ADMIN,))


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path)
    yield made
    made.close()


def log_of(store, tmp_path):
    return AuditLog(store.audits, Directory(tmp_path / "objects"))


def contents(tmp_path):
    folder = tmp_path / "objects" / "ledger" / "audit-log" / "entries"
    return [(int(path.stem), path.read_bytes()) for path in sorted(folder.iterdir())]


async def written(store, tmp_path, count):
    log = log_of(store, tmp_path)
    store.audits.post([event(WHO, "rollout.approve", f"app-{number}", 100.0 + number) for number in range(count)])
    await log.flush()
    return log


async def test_a_person_s_words_are_told_once_each_with_before_and_after(tmp_path):
    cluster = FakeCluster(tmp_path)
    async with cluster.running() as client:
        await bring(client, desired(1))
        world = World(cluster, client)
        waits = Canary(steps=(CanaryStep(weight=50, approval=True), CanaryStep(weight=100)), retention_seconds=600)
        await world.declare(2, waits)
        await world.declare(2, waits)
        await world.phase(Phase.WAITING)
        with pytest.raises(ConflictError):
            await client.approve("flights", ActionRequest(by="bob", rollout=9))
        await client.approve("flights", ADA)
        await world.phase(Phase.RETAINING)
        await client.rollback("flights", RollbackRequest(by="ada", reason="late"))
        await world.phase(Phase.SUCCEEDED)
        await client.delete("flights")
        await cluster.ledger.flush()
        entries = list(reversed(await client.audit(50)))
        anchor = await client.anchor()
    told = [(each.action, each.by, each.known) for each in entries]
    stack = "the stack's own token"
    assert told == [
        ("application.declare", stack, False), ("application.declare", stack, False), ("rollout.approve", "ada", False),
        ("application.rollback", "ada", False), ("application.delete", stack, False),
    ], "a refused approval, and a declaration that changes nothing, are none"  # fmt: skip
    assert entries[0].before == {} and entries[1].before["version"] != entries[1].after["version"]
    assert (entries[2].before["phase"], entries[2].after["rollout"]) == ("waiting", 2)
    assert entries[3].reason == "late" and entries[3].after["version"] == entries[0].after["version"]
    assert list(faults_in(contents(tmp_path), [anchor.hashes])) == []
    assert anchor.head is not None and anchor.head.number == 5


@pytest.mark.parametrize(
    ("tamper", "fault"),
    [
        (lambda log: log.__setitem__(1, (2, log[1][1].replace(b"app-1", b"app-9"))), (3, "one of them was changed")),
        (lambda log: log.pop(1), (2, "entry 2 is gone")),
        (lambda log: log.__setitem__(1, (2, log[2][1])), (2, "it is entry 3, at another place")),
        (lambda log: log.__setitem__(1, (2, b"{}")), (2, "no entry any more")),
        (lambda log: log.pop(), (4, "the end of the log was cut off")),
        (lambda log: log.clear(), (4, "the end of the log was cut off")),
        (lambda log: log.__setitem__(3, (4, log[3][1].replace(b"app-3", b"app-7"))), (4, "another entry than the one")),
    ],
)  # fmt: skip
async def test_an_entry_that_is_changed_taken_out_or_cut_off_is_seen(store, tmp_path, tamper, fault):
    await written(store, tmp_path, 4)
    log = contents(tmp_path)
    anchor = store.audits.anchor()
    assert list(faults_in(log, [anchor.hashes])) == []
    tamper(log)
    found = [(each.number, each.text) for each in faults_in(log, [anchor.hashes])]
    assert any(number == fault[0] and fault[1] in text for number, text in found), found


async def test_a_chain_that_is_made_anew_as_a_whole_is_seen_by_the_anchor_and_by_a_kept_head(store, tmp_path):
    await written(store, tmp_path, 3)
    head = str(store.audits.anchor().head)
    forged, before = [], NOTHING
    for number, content in contents(tmp_path):
        entry = AuditEntry.model_validate_json(content).model_copy(update={"by": "eve", "previous": before})
        forged.append((number, content_of(entry)))
        before = hash_of(forged[-1][1])
    assert list(faults_in(forged, [])) == [], "the chain alone is whole"
    assert len(list(faults_in(forged, [store.audits.anchor().hashes]))) == 3
    kept = head_of(head)
    assert [each.number for each in faults_in(forged, [{kept.number: kept.hash}])] == [3]


async def test_an_event_that_was_written_before_a_kill_is_not_written_twice(store, tmp_path):
    log = await written(store, tmp_path, 2)
    store.audits.post([event(WHO, "rollout.abort", "flights", 1.0)])
    _, waiting = store.audits.oldest()
    log._write(waiting, store.audits.last())
    await log_of(store, tmp_path).flush()
    assert len(contents(tmp_path)) == 3 and store.audits.waiting() == 0
    again = Store(tmp_path / "anew")
    again.audits.post([waiting.model_copy(update={"id": "f" * 32})])
    await AuditLog(again.audits, Directory(tmp_path / "objects")).flush()
    assert list(faults_in(contents(tmp_path), [again.audits.anchor().hashes])) == [], (
        "a controller that remembers nothing goes on"
    )
    assert len(contents(tmp_path)) == 4
    again.close()


async def test_two_controllers_of_one_store_write_one_chain(store, tmp_path):
    other = Store(tmp_path / "other")
    logs = [log_of(store, tmp_path), AuditLog(other.audits, Directory(tmp_path / "objects"))]
    for number in range(3):
        for each, log in zip((store, other), logs, strict=True):
            each.audits.post([event(WHO, "rollout.approve", f"app-{number}", 1.0)])
            await log.flush()
    anchors = [store.audits.anchor().hashes, other.audits.anchor().hashes]
    assert len(contents(tmp_path)) == 6 and list(faults_in(contents(tmp_path), anchors)) == []
    other.close()


async def test_what_was_cut_off_stays_missed_when_the_log_goes_on(store, tmp_path):
    log = await written(store, tmp_path, 3)
    Directory(tmp_path / "objects").delete(key_of(3))
    store.audits.post([event(WHO, "rollout.approve", "later", 1.0)])
    await log.flush()
    assert [number for number, _ in contents(tmp_path)] == [1, 2, 4], "its number is not given again"
    assert [each.number for each in faults_in(contents(tmp_path), [store.audits.anchor().hashes])] == [3]
    assert [each.number for each in newest(Directory(tmp_path / "objects"), 2)] == [4, 2]


async def test_an_event_waits_while_the_store_is_away(store, tmp_path):
    class Away(Directory):
        def put(self, key, data, *, only_if_absent=False):
            raise RetryableError("the store is away")

    store.audits.post([event(WHO, "rollout.approve", "flights", 1.0)])
    with pytest.raises(RetryableError):
        await AuditLog(store.audits, Away(tmp_path / "objects")).flush()
    assert store.audits.anchor().waiting == 1
    await log_of(store, tmp_path).flush()
    assert len(contents(tmp_path)) == 1


@given(some.binary(min_size=1, max_size=4), some.integers(min_value=0, max_value=10_000))
def test_no_byte_of_an_entry_can_be_changed_unseen(change, place):
    entry = AuditEntry(**event(WHO, "rollout.approve", "flights", 1.0).model_dump(), number=1, previous=NOTHING)
    content = content_of(entry)
    at = place % len(content)
    changed = content[:at] + change + content[at + len(change) :]
    faults = list(faults_in([(1, changed)], [{1: hash_of(content)}]))
    assert bool(faults) == (changed != content)


@pytest.mark.parametrize("text", ["", "3", "3:abc", f"x:{'0' * 64}"])
def test_what_is_no_head_is_refused(text):
    with pytest.raises(ValueError, match="NUMBER:HASH"):
        head_of(text)


async def test_the_controller_s_end_tells_how_many_entries_wait(tmp_path):
    cluster = FakeCluster(tmp_path)
    cluster.reconciler.store.audits.post([event(WHO, "rollout.approve", "flights", 1.0)])
    assert (await cluster.ledger.finish(2.0)).waiting == 0
    assert json.loads(contents(tmp_path)[0][1])["by"] == "ada"
