"""`heliostat erasure`: delete what is kept of a person, and prove it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from heliostat.cli import options, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliostat.spec.roles import Identity
    from heliostat.systems.objects import ObjectStore


@click.group(cls=options.Group)
@options.everywhere
def erasure() -> None:
    """Delete a person's rows from logs, labels, reviews, data sets and batch predictions; show what was deleted."""


@erasure.command("run")
@click.argument("application")
@click.option("--field", metavar="NAME", help="Says whose row it is; by default what the contract marks as `subject`.")
@click.option("--reason", default="", metavar="TEXT", help="Why; the audit log has it.")
@options.yes
@options.stack
@options.everywhere
def run(application: str, field: str | None, reason: str, yes: bool, stack: str | None) -> None:
    """Delete what is kept of a person.

    The value of the field is asked for, or read from standard input: it is no argument, as a shell remembers those, and is
    written nowhere. Killed at any moment, it goes on when it is run again. It needs the keys of `serving.privacy` here.
    """
    from heliostat.cli.exits import DeclinedError, UsageError
    from heliostat.cli.rollouts.access import status_of, with_controller
    from heliostat.cli.rollouts.locate import store_of
    from heliostat.cli.session import is_interactive
    from heliostat.governance.erasing import Erasing, announcement_of
    from heliostat.governance.reach import reach_of
    from heliostat.governance.subjects import Subject, subject_field
    from heliostat.systems.errors import PermanentError
    from heliostat.systems.objects import open_store
    from heliostat.systems.personal_keys import Keyring

    status = with_controller(stack, lambda client: status_of(client, application, stack))
    version = status.serving or (status.desired.version if status.desired is not None else None)
    if version is None or version.privacy is None or not version.privacy.keys:
        raise PermanentError(f"{application} declares no serving.privacy.keys: its personal fields cannot be told apart")
    address = store_of(stack)
    store = open_store(address)
    field = field or subject_field(store, application)
    keys = Keyring.of(version.privacy.keys)
    subject = Subject.of(field, _asked(field), keys)
    versions = [status.serving, status.desired.version if status.desired is not None else None]
    declared = {each.data_digest for each in versions if each is not None and each.data_digest}
    data_sets = reach_of(store, application, declared).data_sets
    _require_all(with_controller(stack, lambda client: client.whoami()), data_sets)
    announced = announcement_of(store, application, subject, reason)
    if not yes:
        if not is_interactive():
            raise UsageError("--yes must be passed in to proceed when running in non-interactive mode")
        of_data = f" and in the data sets {', '.join(data_sets)}" if data_sets else ""
        if not click.confirm(f"Delete for good what is kept of them in {application}{of_data}?"):
            raise DeclinedError("confirmation declined, nothing was deleted")
    with_controller(stack, lambda client: client.begin_erasure(announced))
    work = Erasing(address, announced, subject, say.told, declared)
    proof = work.run()
    with_controller(stack, lambda client: client.end_erasure(proof))
    place = work.keep(proof)
    searched = ", ".join(f"{what} ({count})" for what, count in sorted(proof.searched.items()))
    were = "row was" if proof.rows == 1 else "rows were"
    say.out(f"{proof.rows} {were} deleted; searched were {searched}, and none is left there.")
    for each in proof.snapshots:
        say.out(f"the snapshot {each.before[:12]} of {each.name} has no bytes any more: {each.after[:12]} has its place")
    for note in proof.notes:
        say.out(f"  · {note}")
    say.out(f"proof {place}")


@erasure.command("list")
@click.argument("application")
@options.stack
@options.as_json
@options.everywhere
def list_(application: str, stack: str | None, as_json: bool) -> None:
    """List the deletions of an application's people."""
    from heliostat.cli.operators.tables import Column, write
    from heliostat.cli.rollouts import messages
    from heliostat.cli.rollouts.locate import store_of
    from heliostat.spec.formatting import counted
    from heliostat.systems.erasures import announced
    from heliostat.systems.objects import open_store

    store = open_store(store_of(stack))
    found = sorted(announced(store, application), key=lambda each: each.at, reverse=True)
    proven = {each.id: _proof(store, application, each.id) for each in found}
    if as_json:
        _as_json([{**each.model_dump(mode="json"), "proven": proven[each.id] is not None} for each in found])
        return
    if not found:
        say.out(f"Nobody's data were deleted from {application}.")
        return
    rows = []
    for each in found:
        proof = proven[each.id]
        rows.append(
            (each.id, messages.moment(each.at), counted(proof["rows"], "row") if proof else "begun, run it again", each.reason)
        )
    write([Column("ID", whole=True), Column("TIME", whole=True), Column("DELETED", whole=True), Column("REASON")], rows)


@erasure.command("show")
@click.argument("application")
@click.argument("erasure_id", metavar="ID")
@options.stack
@options.as_json
@options.everywhere
def show(application: str, erasure_id: str, stack: str | None, as_json: bool) -> None:
    """Show the proof of a deletion: what was searched, what was removed, and digests before and after."""
    from heliostat.cli.rollouts.locate import store_of
    from heliostat.spec.formatting import counted
    from heliostat.systems.errors import PermanentError
    from heliostat.systems.objects import open_store

    proof = _proof(open_store(store_of(stack)), application, erasure_id)
    if proof is None:
        raise PermanentError(f"{application} has no proof of a deletion {erasure_id}: it is none, or was not ended")
    if as_json:
        _as_json(proof)
        return
    say.out(f"{counted(proof['rows'], 'row')} of {application} deleted; sha256 of the proof {proof['digest']}")
    for each in proof["objects"]:
        after = (each.get("after") or "nothing")[:12]
        say.out(f"  {each['key']}: {counted(each['rows'], 'row')}, {each['before'][:12]} → {after}")
    for each in proof["tables"]:
        say.out(f"  {each['database']}, table {each['table']}: {each['rows']} rows")
    for each in proof["snapshots"]:
        rows = ", ".join(f"{counted(count, 'row')} of {split}" for split, count in sorted(each["rows"].items()))
        say.out(f"  snapshot of {each['name']}: {rows}, {each['before'][:12]} → {each['after'][:12]}")
    for note in proof["notes"]:
        say.out(f"  · {note}")


def _require_all(who: Identity, data_sets: Sequence[str]) -> None:
    """See that they may delete from each data set: of half a deletion nothing could be proven.

    Raises:
        ForbiddenError: they may not.
    """
    from heliostat.spec.roles import Permission, refusal
    from heliostat.systems.governance_calls import ForbiddenError

    for name in data_sets:
        if not who.may(Permission.ERASE, name):
            raise ForbiddenError(f"the data set {name} has rows as well: {refusal(who, (Permission.ERASE,), name)}")


def _asked(field: str) -> str:
    """The value that says whose rows are meant."""
    import sys

    from heliostat.cli.exits import UsageError
    from heliostat.cli.session import is_interactive

    if is_interactive():
        return str(click.prompt(f"The person's {field}", hide_input=True))
    value = sys.stdin.readline().rstrip("\n")
    if not value:
        raise UsageError(f"no {field} was given: write it to standard input")
    return value


def _proof(store: ObjectStore, application: str, erasure_id: str) -> dict[str, Any] | None:
    from heliostat.spec.erasure import ErasureProof, digest_of, key_of
    from heliostat.systems.objects import ObjectMissingError

    try:
        proof = ErasureProof.model_validate_json(store.get(key_of(application, erasure_id, "proof")))
    except ObjectMissingError:
        return None
    told: dict[str, Any] = proof.model_dump(mode="json")
    return {**told, "rows": proof.rows, "digest": digest_of(proof)}


def _as_json(value: object) -> None:
    import json

    say.out(json.dumps(value, indent=2, ensure_ascii=False))
