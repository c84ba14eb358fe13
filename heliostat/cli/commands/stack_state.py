"""`heliostat stack export`, `import` and `history`: the state as data."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from heliostat.cli import options, say
from heliostat.cli.remembering import is_unfinished, message_of, result_of
from heliostat.cli.session import Place
from heliostat.cli.tables import ago, clock, table
from heliostat.engine.config.stackconfig import StackConfig, as_text, has_secret, revealed
from heliostat.engine.stackerrors import StackError
from heliostat.engine.state import checkpoint, history, locks
from heliostat.engine.state.backend import StackRef
from heliostat.engine.state.checkpoint import Document, Encoder
from heliostat.engine.state.stored import in_clear

_HINT = "Nothing was changed."
_UNREADABLE = "ERROR_UNABLE_TO_DECRYPT"


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
@options.show_secrets
@click.option("--full-dates", is_flag=True, help="Show dates, not how long ago it was.")
@click.option("--page-size", type=click.IntRange(min=1), default=10, show_default=True, metavar="N", help="Operations a page.")
@click.option("--page", type=click.IntRange(min=1), default=1, show_default=True, metavar="N", help="Which page.")
@options.stack
@options.everywhere
@click.pass_context
def past(ctx: click.Context, /, as_json: bool, show_secrets: bool, full_dates: bool, **flags: Any) -> None:
    """List the operations on a stack, the latest first."""
    place = Place.here()
    ref = place.stack(flags["stack"] or ctx.obj)
    document = place.backend.read(ref)
    size = flags["page_size"]
    entries = history.entries(place.backend, ref, limit=flags["page"] * size)[(flags["page"] - 1) * size :]
    if as_json:
        reveal = _opener(place, ref, document) if show_secrets else None
        say.out(json.dumps([_as_json(entry, reveal) for entry in entries], indent=2, ensure_ascii=False))
        return
    held = locks.is_held(place.backend.bucket, ref.full_name)
    rows = [
        (
            entry.kind,
            result_of(entry, held),
            clock(entry.end_time) if full_dates else ago(entry.end_time, time.time()),
            "" if is_unfinished(entry) else f"{entry.end_time - entry.start_time}s",
            ", ".join(f"{count} {op}" for op, count in sorted(entry.changes.items())),
            message_of(entry),
        )
        for entry in entries
    ]
    say.out(table(("OPERATION", "RESULT", "WHEN", "TOOK", "CHANGES", "MESSAGE"), rows) if rows else "No operations yet.")


def _opener(place: Place, ref: StackRef, document: Document) -> Callable[[str], str]:
    """Opens a ciphertext of a config's history; what another key made is told as unreadable, as the CLI does."""
    project = place.require_project()
    salt = StackConfig(project.stack_file(ref.name), project.name).salt or document.salt
    if not salt:
        return lambda _: _UNREADABLE
    crypter = place.keyring.of(salt)
    crypter.verify()

    def reveal(ciphertext: str) -> str:
        try:
            return crypter.decrypt(ciphertext)
        except StackError:
            return _UNREADABLE

    return reveal


def _as_json(entry: history.Entry, reveal: Callable[[str], str] | None) -> dict[str, Any]:
    def moment(seconds: int) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))

    return {
        "version": entry.version,
        "kind": entry.kind,
        "startTime": moment(entry.start_time),
        "message": entry.message,
        "environment": entry.environment,
        "config": {key: _config_value(value, reveal) for key, value in entry.config.items()},
        "result": entry.result,
        **({} if entry.is_open else {"endTime": moment(entry.end_time), "resourceChanges": entry.changes}),
    }


def _config_value(value: Any, reveal: Callable[[str], str] | None) -> dict[str, Any]:
    """A value of the config as it was then; a secret has none unless it is to be shown."""
    secret = has_secret(value)
    if secret and reveal is None:
        return {"secret": True}
    plain = revealed(value, reveal or str)
    nested = {"objectValue": plain} if isinstance(plain, dict | list) else {}
    return {"value": as_text(plain), **nested, "secret": secret}
