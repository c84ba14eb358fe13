"""The steps of an operation: each records what it is about to do, does it, and records what came of it.

A step gets the old resource, the new as the program wants it, or both, and returns the resource as it stands after it.
Resources are values here: what a step changes is a copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from heliostat.engine.errors import InitFailed, ProviderError
from heliostat.engine.events import Op, PropertyChange
from heliostat.engine.planning.hooks import Kind
from heliostat.engine.planning.operation import Operation, timestamp
from heliostat.engine.protocol.diffs import Diff, property_changes
from heliostat.engine.protocol.properties import with_secrets_of
from heliostat.engine.protocol.providers import Made, Subject
from heliostat.engine.state.snapshot import UNKNOWN, OperationType, Resource
from heliostat.engine.state.urns import Urn, is_provider_type


@dataclass(frozen=True)
class Steps:
    """The steps, over what the operation shares."""

    op: Operation

    async def same(self, old: Resource, new: Resource, *, untargeted: bool = False) -> Resource:
        """Nothing to do: the state takes the program's view of it, and the outputs of before."""
        async with self.op.step(Op.SAME, new) as outcome:
            done = _finished(replace(new, id=old.id, outputs=old.outputs))
            if is_provider_type(new.type) and not untargeted:
                await self.op.registry.same(replace(done, inputs=old.inputs))
            quietly = _equal(old, done)
            self.op.journal.add(done, instead_of=old, quietly=quietly)
            await self.op.journal.flush()
            outcome.outputs = done.outputs
        self.op.news[done.urn] = done
        return done

    async def create(
        self, new: Resource, old: Resource | None = None, diff: Diff | None = None, *, delete_old_later: bool = False
    ) -> Resource:
        """Makes a resource; with `old`, as its replacement. A failed one of which something is there is kept as such."""
        changes = _changes(diff, old, new)
        kind = Op.CREATE_REPLACEMENT if old else Op.CREATE
        async with self.op.step(kind, new, changes) as outcome:
            number = await self._begin(new, OperationType.CREATING)
            try:
                await self.op.hooks.before("create", None, new)
                made = await self.op.hooks.retrying("create", None, new, lambda: self._make(new))
            except InitFailed as failed:
                self._created(_failed(new, failed), old, delete_old_later=delete_old_later)
                await self._end(number)
                raise
            except ProviderError:
                await self._end(number)
                raise
            now = timestamp()
            done = _finished(replace(new, id=made.id, outputs=made.outputs, created=now, modified=now))
            self._created(done, old, delete_old_later=delete_old_later)
            await self._end(number)
            await self._after("create", None, done)
            outcome.outputs = done.outputs
        if old:
            await self._replaced(new, changes)
        self.op.news[done.urn] = done
        return done

    async def _make(self, new: Resource) -> Made:
        if not new.custom:
            return Made("", {})
        if is_provider_type(new.type):
            return Made(*await self.op.registry.create(new.urn, new.inputs))
        provider = await self.op.registry.provider(new.provider)
        return await provider.create(new.urn, new.inputs, new.custom_timeouts.get("create", 0.0), self.op.preview)

    def _created(self, done: Resource, old: Resource | None, *, delete_old_later: bool) -> None:
        if old and delete_old_later:
            self.op.mark(old, replace(old, delete=True))
        self.op.journal.add(done, instead_of=old if old and old.pending_replacement else None)

    async def _replaced(self, new: Resource, changes: tuple[PropertyChange, ...]) -> None:
        """The replacement as such, which is what counts as the change."""
        async with self.op.step(Op.REPLACE, new, changes):
            pass

    async def update(self, old: Resource, new: Resource, diff: Diff) -> Resource:
        """Changes a resource in place."""
        async with self.op.step(Op.UPDATE, new, _changes(diff, old, new)) as outcome:
            new = replace(new, id=old.id)
            number = await self._begin(new, OperationType.UPDATING)
            try:
                await self.op.hooks.before("update", old, new)
                outputs = await self.op.hooks.retrying("update", old, new, lambda: self._change(old, new))
            except InitFailed as failed:
                self.op.journal.add(_failed(new, failed), instead_of=old)
                await self._end(number)
                raise
            except ProviderError:
                await self._end(number)
                raise
            done = _finished(replace(new, outputs=outputs, modified=timestamp() if new.custom else old.modified))
            self.op.journal.add(done, instead_of=old)
            await self._end(number)
            await self._after("update", old, done)
            outcome.outputs = done.outputs
        self.op.news[done.urn] = done
        return done

    async def _after(self, kind: Kind, old: Resource | None, done: Resource) -> None:
        """Calls the hooks for the end of a step; those of a component wait for its outputs."""
        if done.custom:
            self.op.blame(await self.op.hooks.after(kind, old, done), done.urn)
        else:
            self.op.hooks.postpone(kind, old, done)

    async def _change(self, old: Resource, new: Resource) -> dict[str, Any]:
        if not new.custom:
            return {}
        if is_provider_type(new.type):
            return await self.op.registry.update(new.urn, new.id, new.inputs)
        provider = await self.op.registry.provider(new.provider)
        subject = Subject(new.urn, old.id, old.inputs, old.outputs, new.custom_timeouts.get("update", 0.0))
        return (await provider.update(subject, new.inputs, new.ignore_changes, self.op.preview)).outputs

    async def read(self, old: Resource | None, new: Resource, *, replacing: bool = False) -> Resource:
        """Looks up a resource that is not ours; with `replacing`, in the place of one that was."""
        async with self.op.step(Op.READ_REPLACEMENT if replacing else Op.READ, new) as outcome:
            number = await self._begin(new, OperationType.READING)
            try:
                found = await self._look_up(new)
            except ProviderError:
                await self._end(number)
                raise
            done = _finished(replace(new, id=found.id or new.id, outputs=found.outputs, init_errors=list(found.init_errors)))
            if old:
                changed = (old.inputs, old.outputs) != (done.inputs, done.outputs)
                done = replace(done, created=old.created, modified=timestamp() if changed else old.modified)
            if old and replacing:
                self.op.mark(old, replace(old, delete=True))
            self.op.journal.add(done, instead_of=None if replacing else old)
            await self._end(number)
            outcome.outputs = done.outputs
            # a look that finds what was known is no change, as where a StackReference is read anew
            outcome.counts = old is not None and old.outputs != done.outputs
        if replacing:
            await self._replaced(done, ())
        self.op.news[done.urn] = done
        return done

    async def _look_up(self, new: Resource) -> Made:
        if new.id == UNKNOWN:
            return Made(UNKNOWN, {})
        provider = await self.op.registry.provider(new.provider)
        timeout = new.custom_timeouts.get("read", 0.0)
        found = await provider.read(Subject(new.urn, new.id, new.inputs, new.inputs, timeout))
        if found is None:
            raise ProviderError(f"resource '{new.id}' does not exist")
        return found

    async def import_(self, new: Resource, ident: str, old: Resource | None) -> Resource:
        """Takes a resource that is there already under management; `old` is what it replaces."""
        async with self.op.step(Op.IMPORT, new) as outcome:
            number = await self._begin(new, OperationType.IMPORTING)
            try:
                found = await self._look_up(replace(new, id=ident, inputs={}))
                if found.inputs is None:
                    raise ProviderError(f"the provider cannot import {new.type}: its read returns no inputs")
            except ProviderError:
                await self._end(number)
                raise
            now = timestamp()
            done = _finished(
                replace(
                    new,
                    id=found.id or ident,
                    inputs=found.inputs,
                    outputs=found.outputs,
                    init_errors=list(found.init_errors),
                    created=now,
                    modified=now,
                )
            )
            if old:
                self.op.mark(old, replace(old, delete=True))
            self.op.journal.add(done)
            await self._end(number)
            outcome.outputs = done.outputs
        if old:
            await self._replaced(done, ())
        self.op.news[done.urn] = done
        return done

    async def delete(
        self,
        old: Resource,
        deleted: Mapping[Urn, bool] | set[Urn],
        *,
        replaced: bool = False,
        pending_replacement: bool = False,
    ) -> None:
        """Deletes a resource, unless it is not ours to delete or goes with another of `deleted`.

        `replaced` is for one whose replacement is there or on its way; with `pending_replacement` the state keeps it, so
        that a killed operation still makes the replacement.
        """
        kinds = {
            (False, False): Op.DELETE,
            (True, False): Op.DELETE_REPLACED,
            (False, True): Op.READ_DISCARD,
            (True, True): Op.DISCARD_REPLACED,
        }
        protected = old.protect and not (replaced or self.op.ignore_protect)
        async with self.op.step(kinds[replaced, old.external], old, lenient=protected):
            await self.op.hooks.before("delete", old, None)
            if protected:
                raise ProviderError(
                    f"resource {old.urn!r} cannot be deleted\nbecause it is protected. To unprotect the resource, either "
                    "remove the `protect` flag from the resource in your program and run `up`, or use the command:\n"
                    f"`heliostat state unprotect '{old.urn}'`"
                )
            number = await self._begin(old, OperationType.DELETING)
            if self._is_ours(old, deleted):
                try:
                    provider = await self.op.registry.provider(old.provider)
                    timeout = old.custom_timeouts.get("delete", 0.0)
                    subject = Subject(old.urn, old.id, old.inputs, old.outputs, timeout)
                    await self.op.hooks.retrying("delete", old, None, lambda: provider.delete(subject))
                except ProviderError:
                    await self._end(number)
                    raise
            if pending_replacement:
                self.op.mark(old, replace(old, pending_replacement=True))
            else:
                self.op.journal.remove(old)
            await self._end(number)
            self.op.blame(await self.op.hooks.after("delete", old, None), old.urn)

    def _is_ours(self, old: Resource, deleted: Mapping[Urn, bool] | set[Urn]) -> bool:
        if self.op.preview or not old.custom or is_provider_type(old.type):
            return False
        return not (old.external or old.retain_on_delete or old.deleted_with in deleted)

    async def _begin(self, resource: Resource, kind: OperationType) -> int:
        return await self.op.journal.begin(resource, kind)

    async def _end(self, number: int) -> None:
        self.op.journal.end(number)
        await self.op.journal.flush()


def _finished(resource: Resource) -> Resource:
    """A resource whose outputs are secret where the inputs are, or the program says so."""
    outputs = with_secrets_of(resource.outputs, resource.inputs, resource.additional_secret_outputs)
    return resource if outputs is resource.outputs else replace(resource, outputs=outputs)


def _failed(new: Resource, failed: InitFailed) -> Resource:
    now = timestamp()
    return _finished(
        replace(
            new,
            id=failed.id or new.id,
            outputs=failed.outputs,
            init_errors=failed.reasons or [str(failed)],
            created=new.created or now,
            modified=now,
        )
    )


def _changes(diff: Diff | None, old: Resource | None, new: Resource) -> tuple[PropertyChange, ...]:
    return property_changes(diff, {**old.outputs, **old.inputs}, new.inputs, new.hide_diffs) if diff and old else ()


def _equal(old: Resource, new: Resource) -> bool:
    """Whether the state would say the same of both, but for where in the program it stands and the order of dependencies.

    The SDK collects dependencies in sets, whose order changes from run to run; a refresh forgets properties without any.
    """
    return _in_order(replace(new, source_position=old.source_position, aliases=old.aliases)) == _in_order(old)


def _in_order(resource: Resource) -> Resource:
    by_property = {key: sorted(urns) for key, urns in resource.property_dependencies.items() if urns}
    return replace(resource, dependencies=sorted(resource.dependencies), property_dependencies=by_property)
