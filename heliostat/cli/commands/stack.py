"""`heliostat stack`: which stacks there are, what one holds, and what one exports."""

from __future__ import annotations

import json
import shlex
import time
from typing import Any

import click

from heliostat.cli import options, say
from heliostat.cli.commands import stack_manage, stack_state
from heliostat.cli.exits import UsageError
from heliostat.cli.options import Group
from heliostat.cli.remembering import is_unfinished, result_of
from heliostat.cli.session import Place
from heliostat.cli.tables import ago, clock, table
from heliostat.engine.stackerrors import NotFoundError, StackError
from heliostat.engine.state import history, locks
from heliostat.engine.state.backend import StackRef, stack_outputs
from heliostat.engine.state.checkpoint import Document
from heliostat.engine.state.stored import encode_value


class _StackGroup(Group):
    aliases = {"new": "init", "list": "ls", "remove": "rm", "delete": "rm"}


@click.group(cls=_StackGroup, invoke_without_command=True)
@options.stack
@options.show_secrets
@click.option("-u", "--show-urns", is_flag=True, help="Show each resource's URN.")
@click.option("-i", "--show-ids", is_flag=True, help="Show each resource's id.")
@click.option("--show-name", is_flag=True, help="Write the stack's name and nothing else.")
@options.as_json
@options.everywhere
@click.pass_context
def stack(ctx: click.Context, /, stack: str | None, show_secrets: bool, as_json: bool, **flags: bool) -> None:
    """Show a stack: its last update, its resources, its outputs."""
    ctx.obj = stack
    if ctx.invoked_subcommand is not None:
        return
    place = Place.here()
    ref = place.stack(stack)
    document = place.backend.read(ref)
    if flags["show_name"]:
        say.out(ref.name)
        return
    if as_json:
        say.out(json.dumps(_as_json(place, ref, document, show_secrets), indent=2, ensure_ascii=False))
        return
    say.out(f"Current stack is {ref.name}:\n    Managed by {place.backend.bucket.url}")
    say.out(say.runnable("\n".join(f"    {line}" for line in _last_update(place, ref))))
    resources = (document.deployment or {}).get("resources") or []
    say.out(f"Current stack resources ({len(resources)}):")
    tree = _tree(resources, flags["show_urns"], flags["show_ids"])
    say.out(tree if resources else "    No resources currently in this stack")
    say.out(f"\n{_outputs_table(_shown_outputs(place, document, show_secrets))}")


def _as_json(place: Place, ref: StackRef, document: Document, show_secrets: bool) -> dict[str, Any]:
    latest = history.entries(place.backend, ref, limit=1)
    update = {"kind": latest[0].kind, "result": latest[0].result, "endTime": latest[0].end_time} if latest else None
    resources = (document.deployment or {}).get("resources") or []
    return {
        "name": ref.name,
        "fullyQualifiedName": ref.full_name,
        "backend": place.backend.bucket.url,
        "lastUpdate": update,
        "resources": [{key: one[key] for key in ("type", "urn", "id", "parent") if one.get(key)} for one in resources],
        "outputs": _shown_outputs(place, document, show_secrets),
    }


def _last_update(place: Place, ref: StackRef) -> list[str]:
    latest = history.entries(place.backend, ref, limit=1)
    if not latest:
        return ["No updates yet; run `heliostat up`"]
    entry = latest[0]
    changes = ", ".join(f"{count} {op}" for op, count in sorted(entry.changes.items())) or "no changes"
    is_held = locks.is_held(place.backend.bucket, ref.full_name)
    lines = [
        f"Last updated: {ago(entry.end_time, time.time())} ({clock(entry.end_time)})",
        f"Last operation: {entry.kind} {result_of(entry, is_held)} ({entry.by if is_unfinished(entry) else changes})",
    ]
    if entry.environment.get("git.head"):
        dirty = " and local changes" if entry.environment.get("git.dirty") == "true" else ""
        lines.append(f"Commit: {entry.environment['git.head'][:12]}{dirty}")
    return lines + ([f"Message: {entry.message}"] if entry.message else [])


def _tree(resources: list[dict[str, Any]], show_urns: bool, show_ids: bool) -> str:
    known = {r["urn"] for r in resources}
    children: dict[str, list[dict[str, Any]]] = {}
    for resource in resources:
        parent = resource.get("parent") or ""
        children.setdefault(parent if parent in known else "", []).append(resource)
    rows: list[tuple[str, str]] = []

    def walk(parent: str, indent: str) -> None:
        last = len(children.get(parent, [])) - 1
        for number, resource in enumerate(children.get(parent, [])):
            branch = "" if not parent else "└─ " if number == last else "├─ "
            marks = " (to be deleted)" if resource.get("delete") else ""
            rows.append((indent + branch + resource["type"], resource["urn"].split("::", 3)[3] + marks))
            deeper = indent + ("" if not parent else "   " if number == last else "│  ")
            rows.extend((f"{deeper}   URN: {resource['urn']}", "") for _ in range(show_urns))
            rows.extend((f"{deeper}   ID: {resource['id']}", "") for _ in range(show_ids and bool(resource.get("id"))))
            if not resource.get("delete"):
                walk(resource["urn"], deeper)

    walk("", "")
    return table(("TYPE", "NAME"), rows, "    ")


def _shown_outputs(place: Place, document: Document, show_secrets: bool) -> dict[str, Any]:
    """The stack's outputs as plain values; without `show_secrets` no passphrase is needed."""
    if show_secrets:
        return _plain(stack_outputs(document, place.keyring), opened=True)
    return _plain(stack_outputs(document, _Blind()), opened=False)


class _Blind:
    """A keyring that opens nothing: every secret reads as the text that stands for one."""

    def of(self, _: str) -> Any:
        """The crypter that hides."""
        return self

    def decrypt(self, _: str, __: str = "") -> str:
        """The JSON of what is shown."""
        return '"[secret]"'


def _plain(outputs: dict[str, Any], *, opened: bool) -> dict[str, Any]:
    from heliostat.cli.display.messages import shown

    def impossible(_: str, place: str) -> dict[str, str]:
        raise StackError(f"the secret at {place} was not opened")

    plain = encode_value(shown(outputs, show_secrets=opened), impossible, "outputs")
    assert isinstance(plain, dict)  # noqa: S101 -- as it was
    return plain


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _outputs_table(outputs: dict[str, Any]) -> str:
    head = f"Current stack outputs ({len(outputs)}):\n"
    if not outputs:
        return head + "    No output values currently in this stack"
    return head + table(("OUTPUT", "VALUE"), [(name, _text(value)) for name, value in sorted(outputs.items())], "    ")


@stack.command("output")
@click.argument("name", required=False)
@options.as_json
@click.option("--shell", is_flag=True, help="Write shell assignments.")
@options.show_secrets
@options.stack
@options.everywhere
@click.pass_context
def output(ctx: click.Context, name: str | None, as_json: bool, shell: bool, show_secrets: bool, stack: str | None) -> None:
    """Write the outputs of a stack, or one of them."""
    if as_json and shell:
        raise UsageError("only one of --json and --shell may be set")
    place = Place.here()
    ref = place.stack(stack or ctx.obj)
    outputs = _shown_outputs(place, place.backend.read(ref), show_secrets)
    if name is not None and name not in outputs:
        there = ", ".join(sorted(outputs)) or "none"
        raise NotFoundError(f"the stack {ref.name!r} has no output {name!r}; it has: {there}")
    chosen = {name: outputs[name]} if name is not None else outputs
    if as_json:
        say.out(json.dumps(outputs[name] if name is not None else outputs, indent=2, ensure_ascii=False))
    elif shell:
        say.out("\n".join(f"{key}={shlex.quote(_text(value))}" for key, value in sorted(chosen.items())))
    else:
        say.out(_text(outputs[name]) if name is not None else _outputs_table(outputs))


for command in (
    stack_manage.init,
    stack_manage.ls,
    stack_manage.select,
    stack_manage.rm,
    stack_state.export,
    stack_state.import_state,
    stack_state.past,
):
    stack.add_command(command)
