"""The checkpoint as an operation moves it on: what is done, what is under way, and what stands yet from before.

Resources in it are never changed in place: a change is a new object in the old one's place. So a snapshot is a list of
references, cheap to take, and may be written by another thread while the operation goes on.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from typing import Protocol

from heliostat.engine.state.graph import renamed
from heliostat.engine.state.snapshot import OperationType, PendingOperation, Resource, Snapshot
from heliostat.engine.state.urns import Urn


class SnapshotSink(Protocol):
    """Where checkpoints go."""

    def save(self, snapshot: Snapshot) -> None:
        """Writes `snapshot` durably before it returns.

        Called from a worker thread, never twice at once. The snapshot and its resources do not change while it is saved; an
        unchanged resource is the same object from one call to the next, so that what was made of it may be kept by identity.
        """


class Journal:
    """The state of a stack during an operation, and its way to disk.

    Saves are coalesced: while one is written, what has changed meanwhile waits for the next, which holds all of it.
    """

    def __init__(self, previous: Snapshot, sink: SnapshotSink | None) -> None:
        self._sink = sink
        self._previous = previous
        self._base: dict[int, Resource] = {}
        self._done: dict[int, Resource] = {}
        self._keys: dict[int, int] = {}
        self._counter = itertools.count()
        self._operations: dict[int, PendingOperation] = {}
        self._version = 0
        self._saved = 0
        self._quiet = False
        self._renames: dict[Urn, Urn] = {}
        self._renamed: dict[int, tuple[Resource, Resource]] = {}
        self._saving: asyncio.Task[None] | None = None
        self.rebase(previous.resources)
        # Only a person can say what became of a create that was cut off: it stays until a refresh or an edit clears it.
        for operation in previous.pending_operations:
            if operation.type == OperationType.CREATING:
                self._operations[next(self._counter)] = operation
        self._saved = self._version

    def rebase(self, resources: Iterable[Resource]) -> None:
        """Starts from other resources than before, as a refresh has found them. Nothing may have been recorded yet."""
        self._base = {next(self._counter): resource for resource in resources}
        self._keys = {id(resource): key for key, resource in self._base.items()}
        self._version += 1

    def snapshot(self) -> Snapshot:
        """The state as it is now."""
        resources = [*self._done.values(), *self._base.values()]
        if self._renames:
            resources = [self._by_new_names(resource) for resource in resources]
        return Snapshot(resources, list(self._operations.values()), self._previous.manifest, self._previous.metadata)

    def _by_new_names(self, resource: Resource) -> Resource:
        """What mentions a renamed resource mentions it by its new name, also before its own turn has come."""
        known = self._renamed.get(id(resource))
        if known is None:
            known = self._renamed[id(resource)] = (resource, renamed(resource, self._renames))
        return known[1]

    def __contains__(self, resource: Resource) -> bool:
        return id(resource) in self._keys

    async def begin(self, resource: Resource, kind: OperationType) -> int:
        """Records that `resource` is being worked on; on disk when this returns. The number is for `end`."""
        number = next(self._counter)
        self._operations[number] = PendingOperation(resource, kind)
        self._version += 1
        await self.flush()
        return number

    def end(self, number: int) -> None:
        """Takes a pending operation back."""
        self._operations.pop(number, None)
        self._version += 1

    def add(self, resource: Resource, *, instead_of: Resource | None = None, quietly: bool = False) -> None:
        """Appends `resource` after everything done so far; with `instead_of`, that one goes. `quietly`: not worth a save."""
        if instead_of is not None:
            self._take(instead_of)
            if instead_of.urn != resource.urn:
                self._renames[instead_of.urn] = resource.urn
                self._renamed.clear()
        key = next(self._counter)
        self._done[key] = resource
        self._keys[id(resource)] = key
        self._note(quietly=quietly)

    def swap(self, old: Resource, new: Resource) -> None:
        """Puts `new` where `old` stands."""
        key = self._keys.pop(id(old))
        (self._done if key in self._done else self._base)[key] = new
        self._keys[id(new)] = key
        self._note()

    def remove(self, resource: Resource) -> None:
        """Takes a resource out."""
        self._take(resource)
        self._note()

    def _note(self, *, quietly: bool = False) -> None:
        self._quiet = self._quiet or quietly
        self._version += 0 if quietly else 1

    def _take(self, resource: Resource) -> None:
        key = self._keys.pop(id(resource), None)
        if key is not None:
            self._base.pop(key, None)
            self._done.pop(key, None)

    async def flush(self) -> None:
        """Returns when all that has been recorded so far is on disk."""
        wanted = self._version
        while self._sink is not None and self._saved < wanted:
            if self._saving is None or self._saving.done():
                self._saving = asyncio.create_task(self._save(self._sink))
            await asyncio.shield(self._saving)

    async def close(self) -> None:
        """Writes what was not worth a save of its own, and waits for what is being written."""
        self._version += self._quiet
        await self.flush()

    async def _save(self, sink: SnapshotSink) -> None:
        version, snapshot = self._version, self.snapshot()
        await asyncio.to_thread(sink.save, snapshot)
        self._saved = version
