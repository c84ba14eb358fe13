"""`heliostat stack init`, `ls`, `select` and `rm`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from heliostat.cli import options, say
from heliostat.cli.exits import DeclinedError, UsageError
from heliostat.cli.session import Place, is_interactive
from heliostat.cli.tables import ago, table
from heliostat.engine.config.stackconfig import StackConfig
from heliostat.engine.errors import EngineError
from heliostat.engine.stackerrors import StackError
from heliostat.engine.state import history, locks
from heliostat.engine.state.backend import StackRef
from heliostat.spec.branch_environments import PREFIX


@click.command("init")
@click.argument("name", required=False)
@click.option("--no-select", is_flag=True, help="Do not select the new stack.")
@click.option(
    "--secrets-provider",
    type=click.Choice(["default", "passphrase"]),
    default="default",
    help="How secrets are protected; both mean a passphrase.",
)
@options.stack
@options.config_file
@options.everywhere
def init(name: str | None, no_select: bool, secrets_provider: str, stack: str | None, config_file: str | None) -> None:
    """Make a new stack, with a salt for its secrets in its config file, and select it."""
    del secrets_provider
    if not name and not stack:
        raise UsageError("name the new stack: heliostat stack init NAME")
    if name and stack:
        raise UsageError("name the stack once: as an argument or with -s")
    place = Place.here()
    create(place, StackRef.parse(name or stack or "", place.require_project().name), config_file)
    if not no_select and place.selection:
        place.selection.set(StackRef.parse(name or stack or "", place.require_project().name).full_name)


def refuse_names_of_branches(ref: StackRef) -> None:
    """Refuse a name that those who may write branches' environments alone could write, too."""
    if ref.name.startswith(PREFIX):
        raise UsageError(
            f"{ref.name!r} begins with {PREFIX!r}, as the environments of branches do, which jobs of pull requests may write: "
            "choose another name"
        )


def create(place: Place, ref: StackRef, config_file: str | None = None) -> None:
    """Makes a stack of the project at hand."""
    project = place.require_project()
    if ref.project != project.name:
        raise UsageError(f"{ref.full_name} is of project {ref.project!r}, and this is {project.name!r}")
    refuse_names_of_branches(ref)
    if place.backend.exists(ref):
        raise StackError(f"the stack {ref.name!r} already exists in {place.backend.bucket.url}")
    config = StackConfig(Path(config_file).absolute() if config_file else project.stack_file(ref.name), project.name)
    crypter = place.keyring.of(config.salt) if config.salt else place.keyring.new()
    crypter.verify()
    with locks.locked(place.backend.bucket, ref.full_name, say.told):
        place.backend.create(ref, crypter)
        if not config.salt:
            config.salt = crypter.salt
            config.save()
    say.out(f"Created stack '{ref.name}'")


@click.command("ls")
@click.option("-a", "--all", "everything", is_flag=True, help="The stacks of every project.")
@click.option("-p", "--project", metavar="NAME", help="The stacks of this project.")
@options.as_json
@options.everywhere
def ls(everything: bool, project: str | None, as_json: bool) -> None:
    """List the stacks of the project."""
    place = Place.here()
    of = None if everything else project or place.require_project().name
    current = place.selection.get() if place.selection else ""
    rows = [_listed(place, ref, current, qualified=everything) for ref in place.backend.stacks(of)]
    if as_json:
        shown = [{name: value for name, value in said.items() if name != "lastUpdateText"} for said in rows]
        say.out(json.dumps(shown, indent=2))
        return
    cells = [
        (said["name"] + "*" * said["current"], said.pop("lastUpdateText", "n/a"), str(said.get("resourceCount", "n/a")))
        for said in rows
    ]
    say.out(table(("NAME", "LAST UPDATE", "RESOURCE COUNT"), cells))


def _listed(place: Place, ref: StackRef, current: str, *, qualified: bool) -> dict[str, Any]:
    said: dict[str, Any] = {"name": ref.full_name if qualified else ref.name, "current": ref.full_name == current}
    try:
        document = place.backend.read(ref)
    except EngineError as error:
        say.told(f"warning: {error}")
        return said
    latest = history.entries(place.backend, ref, limit=1)
    if latest:
        said["lastUpdate"] = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(latest[0].end_time))
        said["lastUpdateText"] = ago(latest[0].end_time, time.time())
    said["resourceCount"] = len((document.deployment or {}).get("resources") or [])
    return said


@click.command("select")
@options.stack_name
@click.option("-c", "--create", "make", is_flag=True, help="Make the stack where there is none.")
@options.stack
@options.everywhere
def select(name: str | None, make: bool, stack: str | None) -> None:
    """Select the stack that other commands work on."""
    place = Place.here()
    if not name and not stack:
        raise UsageError("name the stack to select: heliostat stack select NAME")
    ref = StackRef.parse(name or stack or "", place.require_project().name)
    if make and not place.backend.exists(ref):
        create(place, ref)
    place.backend.read(ref)
    if place.selection:
        place.selection.set(ref.full_name)


@click.command("rm")
@options.stack_name
@click.option("-f", "--force", is_flag=True, help="Even where it still has resources; they stay, and nobody knows of them.")
@click.option("--preserve-config", is_flag=True, help="Keep the stack's config file.")
@options.yes
@options.stack
@options.everywhere
def rm(name: str | None, force: bool, preserve_config: bool, yes: bool, stack: str | None) -> None:
    """Remove a stack, its history and its config file; its last checkpoint stays as a backup."""
    place = Place.here()
    ref = place.stack(name or stack)
    if not force:
        refuse_resources(place, ref)
    if not yes and not is_interactive():
        raise UsageError("non-interactive mode requires --yes flag")
    question = f"This will permanently remove the '{ref.name}' stack! Please confirm by typing its name"
    if not yes and click.prompt(question) != ref.name:
        raise DeclinedError("nothing was removed")
    with locks.locked(place.backend.bucket, ref.full_name, say.told):
        forget(place, ref, keep_config=preserve_config)
    say.out(f"Stack '{ref.name}' has been removed!")


def refuse_resources(place: Place, ref: StackRef) -> None:
    """Raises StackError where a stack that is to be removed still has resources."""
    count = len((place.backend.read(ref).deployment or {}).get("resources") or [])
    if count:
        raise StackError(
            f"'{ref.name}' still has {count} resources; removal rejected. Run `heliostat destroy -s {ref.name}` first, "
            "or `stack rm --force` to forget them"
        )


def forget(place: Place, ref: StackRef, *, keep_config: bool) -> None:
    """Removes a stack's checkpoint, history, config file and selection."""
    place.backend.remove(ref)
    if place.project and place.project.name == ref.project:
        if not keep_config:
            place.project.stack_file(ref.name).unlink(missing_ok=True)
        if place.selection and place.selection.get() == ref.full_name:
            place.selection.set("")
