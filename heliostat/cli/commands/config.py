"""`heliostat config`: a stack's configuration, read and changed."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from heliostat.cli import options, say
from heliostat.cli.exits import UsageError
from heliostat.cli.options import Group
from heliostat.cli.session import Session, is_interactive
from heliostat.cli.tables import table
from heliostat.engine.config.stackconfig import Path_, as_text, coerced, full_key, has_secret, is_secure, parse_path, revealed
from heliostat.engine.stackerrors import NotFoundError

_MASK = "[secret]"
_TYPES = ("string", "bool", "int", "float")


class _ConfigGroup(Group):
    aliases = {"remove": "rm", "delete": "rm"}


@click.group(cls=_ConfigGroup, invoke_without_command=True)
@options.stack
@options.config_file
@options.show_secrets
@options.as_json
@options.everywhere
@click.pass_context
def config(ctx: click.Context, stack: str | None, config_file: str | None, show_secrets: bool, as_json: bool) -> None:
    """List every value of a stack's configuration; the commands below read or change one."""
    ctx.obj = (stack, config_file)
    if ctx.invoked_subcommand is not None:
        return
    session = Session.open(stack, config_file)
    values = session.merged_values(required=False)
    shown = {key: _entry(session, values[key], show_secrets=show_secrets) for key in sorted(values)}
    hidden = {key: said.pop("shown", "") for key, said in shown.items()}  # what stands around a secret is none
    if as_json:
        say.out(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    own = f"{session.project.name}:"
    say.out(table(("KEY", "VALUE"), [(key.removeprefix(own), said.get("value", hidden[key])) for key, said in shown.items()]))


def _entry(session: Session, value: Any, *, show_secrets: bool) -> dict[str, Any]:
    """The value in the shape of the CLI's `--json`; a secret has no value unless it is to be shown."""
    secret = has_secret(value)
    if secret and not show_secrets:
        return {"secret": True, "shown": as_text(revealed(value, lambda _: _MASK))}
    text = session.program_config({"value": value})[0]["value"]
    said: dict[str, Any] = {"value": text, "secret": secret}
    if isinstance(value, dict | list) and not is_secure(value):
        said["objectValue"] = json.loads(text)
    return said


def _open(ctx: click.Context, stack: str | None, config_file: str | None) -> Session:
    """The options of the command itself, else those before it."""
    before = ctx.obj or (None, None)
    return Session.open(stack or before[0], config_file or before[1])


def _locate(session: Session, key: str, path: bool) -> tuple[str, Path_]:
    """The full key and the steps inside it; with `--path` a namespace ends at the first colon."""
    if not path:
        return full_key(key, session.project.name), []
    namespace, colon, rest = key.partition(":") if ":" in key.split("[")[0].split(".")[0] else ("", "", key)
    steps = parse_path(rest)
    return full_key(f"{namespace}{colon}{steps[0]}", session.project.name), steps[1:]


path_option = click.option("--path", is_flag=True, help='KEY is a path inside a value: outer.inner, names[0], outer["a.b"].')


@config.command("get")
@click.argument("key")
@path_option
@options.as_json
@options.stack
@options.config_file
@options.everywhere
@click.pass_context
def get(ctx: click.Context, key: str, path: bool, as_json: bool, stack: str | None, config_file: str | None) -> None:
    """Write one value, secret or not."""
    session = _open(ctx, stack, config_file)
    full, steps = _locate(session, key, path)
    values = session.merged_values(required=False)
    try:
        value = values[full]
        for step in steps:
            value = value[step]
    except (KeyError, IndexError, TypeError):
        raise NotFoundError(f"the stack {session.ref.name!r} has no configuration value {key!r}") from None
    said = _entry(session, value, show_secrets=True)
    say.out(json.dumps(said, indent=2, ensure_ascii=False) if as_json else said["value"])


@config.command("set")
@click.argument("key")
@click.argument("value", required=False)
@click.option("--secret", is_flag=True, help="Encrypt the value.")
@click.option("--plaintext", is_flag=True, help="Keep the value readable, even if it looks like a secret.")
@click.option("--type", "kind", type=click.Choice(_TYPES), help="Keep the value as this type.")
@path_option
@options.stack
@options.config_file
@options.everywhere
@click.pass_context
def set_value(ctx: click.Context, /, key: str, value: str | None, path: bool, **flags: Any) -> None:
    """Set one value; without VALUE it is read from standard input, or asked for."""
    secret, plaintext, kind = flags["secret"], flags["plaintext"], flags["kind"]
    if secret + plaintext + bool(kind) > 1:
        raise UsageError("--secret, --plaintext and --type exclude each other")
    session = _open(ctx, flags["stack"], flags["config_file"])
    full, steps = _locate(session, key, path)
    text = value if value is not None else _ask(key, secret=secret)
    if not secret and not plaintext and not kind and _looks_like_a_secret(key, text):
        raise UsageError(f"the value for {key!r} looks like a secret: say --secret to encrypt it, or --plaintext")
    made = _encrypted(session, text) if secret else _typed(text, kind, inside=bool(steps))
    session.config.set(full, steps, made)
    session.config.save()


def _encrypted(session: Session, text: str) -> dict[str, str]:
    return {"secure": session.crypter(session.place.backend.read(session.ref)).encrypt(text)}


def _typed(text: str, kind: str | None, *, inside: bool) -> Any:
    try:
        if kind == "bool":
            return {"true": True, "false": False}[text.lower()]
        if kind in {"int", "float"}:
            return int(text) if kind == "int" else float(text)
    except (KeyError, ValueError):
        raise UsageError(f"{text!r} is no {kind}") from None
    return coerced(text) if inside and kind != "string" else text


def _looks_like_a_secret(key: str, text: str) -> bool:
    """A name like a password's and a value with much in it; a guess that --plaintext overrules."""
    named = any(word in key.lower() for word in ("pass", "pwd", "secret", "token"))
    classes = (str.islower, str.isupper, str.isdigit, lambda c: not c.isalnum())
    kinds = sum(any(test(c) for c in text) for test in classes)
    return named and len(text) >= 12 and kinds >= 3


def _ask(key: str, *, secret: bool) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not is_interactive():
        raise UsageError("the value has to be given: as an argument or on standard input")
    return str(click.prompt(key, hide_input=secret, err=True))


@config.command("rm")
@click.argument("key")
@path_option
@options.stack
@options.config_file
@options.everywhere
@click.pass_context
def remove(ctx: click.Context, key: str, path: bool, stack: str | None, config_file: str | None) -> None:
    """Remove one value; it is no error where there is none."""
    session = _open(ctx, stack, config_file)
    full, steps = _locate(session, key, path)
    if session.config.remove(full, steps):
        session.config.save()


def save_from_flags(session: Session, pairs: tuple[str, ...], *, path: bool) -> None:
    """`up -c key=value`: kept in the stack's file before the operation, as the CLI does."""
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"-c {pair!r} has to be KEY=VALUE")
        full, steps = _locate(session, key, path)
        session.config.set(full, steps, coerced(text) if steps else text)
    if pairs:
        session.config.save()
