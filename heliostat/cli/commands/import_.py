"""`heliostat import`: takes resources that are there already under management."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from heliostat.cli import options, say
from heliostat.cli.exits import Exit, UsageError
from heliostat.cli.session import Session, is_truthy
from heliostat.engine.planning.request import Import
from heliostat.engine.stackerrors import StackError

F = TypeVar("F", bound=Callable[..., Any])
_COPY = (
    "Please copy the following code into your Pulumi application. Not doing so\n"
    "will cause Pulumi to report that an update will happen on the next update command.\n"
)
_PROTECTED = (
    "Please note that the imported resources are marked as protected. To destroy them\n"
    "you will need to remove the `protect` option and run `heliostat up` *before*\n"
    "the destroy will take effect.\n"
)


def _boolean(name: str, help: str) -> Callable[[F], F]:
    return click.option(
        name,
        is_flag=False,
        flag_value="true",
        default="true",
        type=click.Choice(["true", "false"]),
        show_default=True,
        help=help,
    )


@click.command("import")
@click.argument("type_", metavar="TYPE", required=False)
@click.argument("name", required=False)
@click.argument("ident", metavar="ID", required=False)
@click.option(
    "-f", "--file", "file", metavar="FILE", help='Import what a JSON file lists: {"resources": [{"type", "name", "id"}]}.'
)
@click.option("--parent", metavar="NAME=URN", default="", help="The parent; by default the stack.")
@click.option("--provider", metavar="NAME=URN", default="", help="The provider; by default the package's own.")
@click.option("-o", "--out", "out", metavar="FILE", help="Write the code to this file.")
@_boolean("--protect", "Protect what is imported from deletion.")
@_boolean("--generate-code", "Print the code that declares it.")
@click.option("-m", "--message", default="", help="Remember this with the operation.")
@click.option("--preview-only", is_flag=True, help="Show what would be done, and stop.")
@click.option("--skip-preview", is_flag=True, help="Act at once.")
@click.option("--diff", is_flag=True, help="Show every property that differs.")
@options.as_json
@options.yes
@options.stack
@options.config_file
@options.everywhere
def import_(type_: str | None, name: str | None, ident: str | None, **flags: Any) -> int:
    """Read a resource by its provider's ID into the state, and print the code that declares it."""
    from heliostat.cli.operate import Request, operate

    imports = _wanted(type_, name, ident, flags)
    session = Session.open(flags["stack"], flags["config_file"])
    if session.config.salt:
        session.place.keyring.of(session.config.salt).prepare()
    code = operate(session, Request(**_request(imports, flags)))
    if code == Exit.OK and not flags["preview_only"] and flags["generate_code"] == "true":
        _print_code(session, imports, flags)
    return code


def _request(imports: tuple[Import, ...], flags: dict[str, Any]) -> dict[str, Any]:
    from heliostat.cli.display.report import Look
    from heliostat.engine.deployment import Options

    return {
        "kind": "import",
        "options": Options(imports=imports, preview_only=flags["preview_only"]),
        "look": Look(preview=False, diff=flags["diff"]),
        "skip_preview": flags["skip_preview"],
        "as_json": flags["as_json"],
        "yes": flags["yes"] or is_truthy(os.environ.get("PULUMI_SKIP_CONFIRMATIONS")),
        "message": flags["message"],
    }


def _wanted(type_: str | None, name: str | None, ident: str | None, flags: dict[str, Any]) -> tuple[Import, ...]:
    protect = flags["protect"] == "true"
    if flags["file"]:
        if type_ or name or ident:
            raise UsageError("an inline resource may not be specified in conjunction with an import file")
        return _listed(Path(flags["file"]), protect=protect)
    if not type_ or not name or not ident:
        raise UsageError("an inline resource needs its TYPE, NAME and ID, or --file a list of them")
    if type_.count(":") != 2:
        raise UsageError(f"{type_!r} is no type of a resource: it is PACKAGE:MODULE:TYPE, such as heliostat:index:Dataset")
    parent, provider = (flags[one].rpartition("=")[2] for one in ("parent", "provider"))
    return (Import(type_, name, ident, parent, provider, protect),)


def _listed(file: Path, *, protect: bool) -> tuple[Import, ...]:
    """The resources of an import file, whose parents and providers are names of its `nameTable`."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        table = said.get("nameTable") or {}
        return tuple(
            Import(
                one["type"],
                one["name"],
                one["id"],
                table.get(one.get("parent"), ""),
                table.get(one.get("provider"), ""),
                protect,
            )
            for one in said["resources"]
        )
    except OSError as error:
        raise StackError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise StackError(f"{file} is no import file: {what}") from error


def _print_code(session: Session, imports: tuple[Import, ...], flags: dict[str, Any]) -> None:
    from heliostat.cli.codegen import program
    from heliostat.engine.state import checkpoint
    from heliostat.engine.state.urns import name_of

    wanted = {(one.type, one.name) for one in imports}
    snapshot = checkpoint.decode(session.place.backend.read(session.ref), session.place.keyring)
    code = program([one for one in snapshot.resources if (one.type, name_of(one.urn)) in wanted and not one.delete])
    if flags["out"]:
        try:
            Path(flags["out"]).write_text(code, encoding="utf-8")
        except OSError as error:
            raise StackError(f"cannot write {flags['out']}: {error.strerror}; the resources are imported") from error
    elif not flags["as_json"]:
        say.out(say.runnable("\n".join([_COPY, *([_PROTECTED] if flags["protect"] == "true" else []), code])))
