"""`heliostat stack export`, `import` and `history`: the state as data."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from heliostat.cli import options, say
from heliostat.cli.session import Place
from heliostat.cli.tables import ago, table
from heliostat.engine import checkpoint, history, locks
from heliostat.engine.backend import StackRef
from heliostat.engine.checkpoint import Document, Encoder
from heliostat.engine.stackerrors import StackError
from heliostat.engine.stored import in_clear

_HINT = "Nothing was changed."


@click.command("export")
@click.option("--file", "file", metavar="FILE", help="Write to this file instead of standard output.")
@options.show_secrets
@options.stack
@options.everywhere
@click.pass_context
def export(ctx: click.Context, file: str | None, show_secrets: bool, stack: str | None) -> None:
    """Write the stack's deployment as JSON, for `stack import` or to look at."""
    place = Place.here()
    ref = place.stack(stack or ctx.obj)
    document = place.backend.read(ref)
    deployment = document.deployment
    if show_secrets and deployment is not None:
        deployment = _opened(place, document, deployment)
    text = json.dumps({"version": document.version, "deployment": deployment}, indent=4, ensure_ascii=False)
    if not file:
        say.out(text)
        return
    try:
        Path(file).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise StackError(f"cannot write {file}: {error.strerror}") from error


def _opened(place: Place, document: Document, deployment: dict[str, Any]) -> dict[str, Any]:
    """The deployment with its secrets in plain text; what nobody here reads stays as it is."""
    snapshot = checkpoint.decode(document, place.keyring)
    resources = [checkpoint.encode_resource(resource, in_clear) for resource in snapshot.resources]
    operations = [
        {"resource": checkpoint.encode_resource(operation.resource, in_clear), "type": str(operation.type)}
        for operation in snapshot.pending_operations
    ]
    return deployment | {"resources": resources} | ({"pending_operations": operations} if operations else {})


@click.command("import")
@click.option("--file", "file", metavar="FILE", help="Read this file instead of standard input.")
@click.option("-f", "--force", is_flag=True, help="Even where the deployment is of another stack.")
@options.stack
@options.everywhere
@click.pass_context
def import_state(ctx: click.Context, file: str | None, force: bool, stack: str | None) -> None:
    """Replace the stack's state by what `stack export` wrote, perhaps edited since; the state before stays as a backup."""
    place = Place.here()
    ref = place.stack(stack or ctx.obj)
    before = place.backend.read(ref)
    document = _read(file, ref)
    _refuse_foreign(document, ref, force=force)
    snapshot = checkpoint.decode(document, place.keyring)
    for operation in snapshot.pending_operations:
        say.told(f"warning: removing pending operation '{operation.type}' on '{operation.resource.urn}' from the state")
    snapshot.pending_operations = []
    salt = document.salt or before.salt
    encoder = Encoder(ref.full_name, place.keyring.of(salt) if salt else None, document.extra)
    content = encoder.document(encoder.body(snapshot), checkpoint.manifest(list(snapshot.manifest.get("plugins") or [])))
    with locks.locked(place.backend.bucket, ref.full_name, say.told):
        place.backend.write(ref, content)
    say.out("Import complete.")


def _read(file: str | None, ref: StackRef) -> Document:
    what = file or "standard input"
    try:
        text = Path(file).read_text(encoding="utf-8") if file else sys.stdin.read()
        whole = json.loads(text)
        version, deployment = whole["version"], whole["deployment"]
        if not isinstance(deployment, dict):
            raise TypeError("`deployment` is no object")
    except OSError as error:
        raise StackError(f"cannot read {what}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        said = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise StackError(f"{what} is no exported deployment: {said}. {_HINT}") from error
    checkpoint.check_deployment(deployment, version, whole.get("features") or [], what, _HINT)
    return Document(ref.full_name, deployment, version)


def _refuse_foreign(document: Document, ref: StackRef, *, force: bool) -> None:
    """Raises StackError where resources are of another stack or project."""
    home = f"urn:pulumi:{ref.name}::{ref.project}::"
    foreign = [r["urn"] for r in (document.deployment or {}).get("resources") or [] if not r["urn"].startswith(home)]
    if foreign and not force:
        more = f"\n  … {len(foreign) - 5} more" if len(foreign) > 5 else ""
        raise StackError(
            f"these resources are not of the stack {ref.full_name}:"
            + "".join(f"\n  {urn}" for urn in foreign[:5])
            + more
            + f"\nImporting them could be dangerous; --force does it all the same. {_HINT}"
        )


@click.command("history")
@options.as_json
@options.stack
@options.everywhere
@click.pass_context
def past(ctx: click.Context, as_json: bool, stack: str | None) -> None:
    """List the operations on a stack, the latest first."""
    place = Place.here()
    ref = place.stack(stack or ctx.obj)
    place.backend.read(ref)
    entries = history.entries(place.backend, ref)
    if as_json:
        say.out(json.dumps([_as_json(entry) for entry in entries], indent=2, ensure_ascii=False))
        return
    rows = [
        (
            entry.kind,
            entry.result,
            ago(entry.end_time, time.time()),
            f"{entry.end_time - entry.start_time}s",
            ", ".join(f"{count} {op}" for op, count in sorted(entry.changes.items())),
            entry.message,
        )
        for entry in entries
    ]
    say.out(table(("OPERATION", "RESULT", "WHEN", "TOOK", "CHANGES", "MESSAGE"), rows) if rows else "No operations yet.")


def _as_json(entry: history.Entry) -> dict[str, Any]:
    def moment(seconds: int) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))

    return {
        "kind": entry.kind,
        "startTime": moment(entry.start_time),
        "message": entry.message,
        "environment": entry.environment,
        "result": entry.result,
        "endTime": moment(entry.end_time),
        "resourceChanges": entry.changes,
    }
