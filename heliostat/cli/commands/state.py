"""`heliostat state`: edits of a stack's state by hand."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

import click

from heliostat.cli import options, say
from heliostat.cli.exits import DeclinedError, UsageError
from heliostat.cli.options import Group
from heliostat.cli.session import Place, Session, is_interactive, is_truthy
from heliostat.engine.stackerrors import StackError, StorageError
from heliostat.engine.state import checkpoint, locks
from heliostat.engine.state import edit as stateedit
from heliostat.engine.state import move as statemove
from heliostat.engine.state.backend import Checkpoints, StackRef
from heliostat.engine.state.checkpoint import Document
from heliostat.engine.state.snapshot import Resource, Snapshot

_DIRECT = "This command will edit your stack's state directly. Confirm?"
_PROTECT = (
    "This will protect by modifying the stack state directly. If your program does not also set the 'protect' resource "
    "option, the next `heliostat up` will unprotect the resource. Confirm?"
)


class _StateGroup(Group):
    aliases = {"remove": "delete", "rm": "delete", "mv": "move"}


@click.group(cls=_StateGroup)
@options.everywhere
def state() -> None:
    """Edit a stack's state by hand; the state before stays as a backup. URNs are listed by `stack --show-urns`."""


Change = Callable[[list[Resource]], list[Resource]]


def _edit(stack: str | None, change: Change, *, yes: bool, question: str = _DIRECT) -> None:
    """Changes the resources of a stack, under its lock, after a question where somebody can be asked."""
    place = Place.here()
    ref = place.stack(stack)
    with locks.locked(place.backend.bucket, ref.full_name, say.told):
        document = place.backend.read(ref)
        before = checkpoint.decode(document, place.keyring)
        resources = change(before.resources)
        flaws = set(stateedit.flaws(resources)) - set(stateedit.flaws(before.resources))
        if flaws:
            raise StackError("the state would not be valid:" + "".join(f"\n  {flaw}" for flaw in sorted(flaws)))
        _agree(question, yes=yes)
        _write(place, ref, document, before, resources)


def _agree(question: str, *, yes: bool) -> None:
    """As the CLI does: without a terminal nobody is asked, and it goes on."""
    if yes or is_truthy(os.environ.get("PULUMI_SKIP_CONFIRMATIONS")) or not is_interactive():
        return
    if not click.confirm(question, err=True):
        raise DeclinedError("confirmation declined, nothing was changed")


def _write(place: Place, ref: StackRef, document: Document, before: Snapshot, resources: list[Resource]) -> None:
    crypter = place.keyring.of(document.salt) if document.salt else None
    if crypter:
        crypter.verify()
    kept = Checkpoints(place.backend, ref, crypter, document)
    kept.begin(before)
    kept.save(replace(before, resources=resources))


def _urns(urns: Sequence[str], everything: bool, what: str) -> None:
    if everything and urns:
        raise UsageError(f"cannot specify a resource URN when {what} all resources")
    if not everything and not urns:
        raise UsageError("name the resource by its URN, in single quotes: `heliostat stack --show-urns` lists what there is")


_all = click.option("--all", "everything", is_flag=True, help="Every resource of the stack.")
_urn_arguments = click.argument("urns", nargs=-1, metavar="[URN]...")


@state.command("delete")
@_urn_arguments
@_all
@click.option("--force", is_flag=True, help="Protected resources, too.")
@click.option("--target-dependents", is_flag=True, help="What depends on them, too.")
@options.yes
@options.stack
@options.everywhere
def delete(
    urns: tuple[str, ...], everything: bool, force: bool, target_dependents: bool, yes: bool, stack: str | None
) -> None:
    """Forget resources; what they stand for stays as it is, and nobody knows of it any more."""
    _urns(urns, everything, "deleting")
    count = 0

    def change(resources: list[Resource]) -> list[Resource]:
        nonlocal count
        if everything and force:
            return []
        doomed = list(dict.fromkeys(urns or [one.urn for one in resources]))
        kept = stateedit.forget(resources, doomed, force=force, dependents=target_dependents or everything)
        count = len(resources) - len(kept)
        return kept

    _edit(stack, change, yes=yes)
    say.out("Resources deleted" if everything else "Resource deleted" if count == 1 else f"{count} resources deleted")


@state.command("rename")
@click.argument("urn")
@click.argument("name")
@options.yes
@options.stack
@options.everywhere
def rename(urn: str, name: str, yes: bool, stack: str | None) -> None:
    """Rename a resource, wherever the state mentions it; the program has to call it so as well."""
    _edit(stack, lambda resources: stateedit.rename(resources, urn, name), yes=yes)
    say.out("Resource renamed")


@state.command("protect")
@_urn_arguments
@_all
@options.yes
@options.stack
@options.everywhere
def protect(urns: tuple[str, ...], everything: bool, yes: bool, stack: str | None) -> None:
    """Protect resources from being deleted, until the program says otherwise."""
    _protect(urns, everything, stack, yes=yes, on=True)


@state.command("unprotect")
@_urn_arguments
@_all
@options.yes
@options.stack
@options.everywhere
def unprotect(urns: tuple[str, ...], everything: bool, yes: bool, stack: str | None) -> None:
    """Let protected resources be deleted."""
    _protect(urns, everything, stack, yes=yes, on=False)


def _protect(urns: tuple[str, ...], everything: bool, stack: str | None, *, yes: bool, on: bool) -> None:
    word = "protected" if on else "unprotected"
    _urns(urns, everything, f"{word.removesuffix('ed')}ing")
    chosen = None if everything else dict.fromkeys(urns)
    question = _PROTECT if on else _DIRECT
    _edit(stack, lambda resources: stateedit.protect(resources, chosen, on=on), yes=yes, question=question)
    say.out(f"All resources {word}" if chosen is None else f"{len(chosen)} resources {word}")


@state.command("repair")
@options.yes
@options.stack
@options.everywhere
def repair(yes: bool, stack: str | None) -> None:
    """Put an invalid state in order: what each resource needs before it, and no mention of what is not there."""
    place = Place.here()
    ref = place.stack(stack)
    with locks.locked(place.backend.bucket, ref.full_name, say.told):
        document = place.backend.read(ref)
        before = checkpoint.decode(document, place.keyring)
        if not stateedit.flaws(before.resources):
            say.out("The snapshot is already valid; skipping repair")
            return
        resources, notes = stateedit.repair(before.resources)
        say.out("\n".join(f"  {say.line(note)}" for note in notes))
        _agree(_DIRECT, yes=yes)
        _write(place, ref, document, before, resources)
    say.out("State repaired successfully")


@state.command("move")
@click.argument("urns", nargs=-1, required=True, metavar="URN...")
@click.option("--source", metavar="STACK", help="The stack to take them from; by default the selected one.")
@click.option("--dest", metavar="STACK", help="The stack to move them to; by default the selected one.")
@click.option("--include-parents", is_flag=True, help="Their parents, too.")
@options.yes
@options.everywhere
def move(urns: tuple[str, ...], source: str | None, dest: str | None, include_parents: bool, yes: bool) -> None:
    """Move resources, with all below them, from one stack to another."""
    if not source and not dest:
        raise UsageError("at least one of --source or --dest must be provided")
    place = Place.here()
    ends = [place.stack(source), place.stack(dest)]
    if ends[0] == ends[1]:
        raise UsageError(f"{ends[0].full_name} is both the source and the destination")
    with ExitStack() as held:
        for ref in sorted(ends, key=lambda one: one.full_name):  # two moves never wait for each other
            held.enter_context(locks.locked(place.backend.bucket, ref.full_name, say.told))
        _move(place, ends[0], ends[1], urns, include_parents=include_parents, yes=yes)
    say.out(f"Successfully moved resources from {ends[0].full_name} to {ends[1].full_name}")


def _move(place: Place, source: StackRef, dest: StackRef, urns: tuple[str, ...], *, include_parents: bool, yes: bool) -> None:
    documents = [place.backend.read(source), _with_salt(place, dest)]
    before = [checkpoint.decode(document, place.keyring) for document in documents]
    to = (dest.name, dest.project)
    moved = statemove.move(before[0].resources, before[1].resources, urns, to, include_parents=include_parents)
    say.out(f"Planning to move the following resources from {source.full_name} to {dest.full_name}:\n")
    say.out("\n".join(f"  - {say.line(urn)}" for urn in moved.moved) + "\n")
    for ties, what in (
        (moved.cut_in_source, f"The following resources remaining in {source.full_name} have dependencies on moved ones:"),
        (moved.cut_in_target, f"The following moved resources have dependencies on resources in {source.full_name}:"),
    ):
        if ties:
            say.told(what + "".join(f"\n  - {say.line(tie)}" for tie in ties))
    for resources in (moved.source, moved.target):
        if flaws := stateedit.flaws(resources):
            raise StackError("a state would not be valid; run `heliostat state repair` first:\n  " + "\n  ".join(flaws))
    _agree("Do you want to perform this move?", yes=yes)
    # the destination first: killed in between, the resources are known twice and not lost
    _write(place, dest, documents[1], before[1], moved.target)
    try:
        _write(place, source, documents[0], before[0], moved.source)
    except StorageError as error:
        _write(place, dest, documents[1], replace(before[1], resources=moved.target), before[1].resources)
        raise StackError(f"{error}. None of the resources have been moved, it is safe to try again") from error


def _with_salt(place: Place, ref: StackRef) -> Document:
    """The stack's document, which has a salt for the secrets that come to it."""
    document = place.backend.read(ref)
    if document.salt:
        return document
    crypter = Session.open(ref.full_name).crypter(document)
    crypter.verify()
    deployment = document.deployment or {}
    salted = {**deployment, "secrets_providers": {"type": "passphrase", "state": {"salt": crypter.salt}}}
    return replace(document, deployment=salted)
