"""`heliostat new`: a repository of one's own, or a workload in one."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from heliostat.cli import options, say
from heliostat.cli.exits import UsageError

_kind = click.option("--kind", default="binary", metavar="KIND", help="What the model tells: binary (yes or no).")


class _New(options.Group):
    """`heliostat new DIRECTORY` is `heliostat new repository DIRECTORY`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Takes the first word for a folder where it is no command."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["repository", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_New, name="new", subcommand_metavar="DIRECTORY | workload NAME")
def new() -> None:
    """Make a repository of your own, or a workload in one.

    `heliostat new DIRECTORY` is short for `heliostat new repository DIRECTORY`.
    """


@new.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="The project's name; by default the folder's.")
@_kind
@options.everywhere
def repository(directory: Path, name: str | None, kind: str) -> None:
    """Make a repository in DIRECTORY, empty or not there yet, with a first workload and the stack `local`."""
    from heliostat.scaffold import mistakes, rendering, template

    root = directory.absolute()
    called = name if name is not None else root.resolve().name
    there = _listed(root)
    _refuse(mistakes.of_repository(called, kind, there, str(directory)))
    _write(root, rendering.repository(template.read(), called))
    if ".venv" not in there:
        _environment(root / ".venv")
    _stack(root, called)
    say.out(f"Created {directory}: a project {called!r}, its stack 'local' and a first workload, {rendering.KINDS[kind]!r}.")
    folder = "" if root == Path.cwd() else f"cd {directory}, then "
    say.told(f"Next: {folder}`heliostat up`, and `heliostat predict` once it is up. README.md says the rest.")


@new.command()
@click.argument("name")
@_kind
@options.stack
@options.everywhere
def workload(name: str, kind: str, stack: str | None) -> None:
    """Add a workload to this repository: code, tests, and its section in the configs of a stack and of environments."""
    from heliostat.cli.checkout import FILE, read
    from heliostat.cli.session import Place
    from heliostat.scaffold import mistakes, rendering, template

    project = Place.here().require_project()
    stack = stack or os.environ.get("PULUMI_STACK") or read(project.root / FILE).stack or rendering.STACK
    config = project.stack_file(stack)
    shown = str(config.relative_to(project.root))
    if not config.exists():
        raise UsageError(f"there is no {shown}, which would declare the workload: name another stack with -s")
    text = config.read_text(encoding="utf-8")
    files = rendering.workload(template.read(), name, kind) if kind in rendering.KINDS else {}
    there = [path for path in files if (project.root / path).exists()]
    _refuse(mistakes.of_workload(name, kind, there, shown, _declared(text)))
    changed = {config: rendering.with_section(text, template.read(), name, kind)}
    environments = project.stack_file(read(project.root / FILE).environments.template)
    if environments.exists() and environments != config:
        known = environments.read_text(encoding="utf-8")
        if name not in _declared(known):
            changed[environments] = rendering.with_section(known, template.read(), name, kind, rendering.ENVIRONMENTS)
    _write(project.root, files)
    for file, content in changed.items():
        file.write_text(content, encoding="utf-8")
    told = [f"Changed {file.relative_to(project.root)}" for file in changed]
    say.out("\n".join([*(f"Created {path}" for path in files), *told]))
    say.told("It is the example under another name: change it to your data, then `heliostat up`.")


def _declared(config: str) -> Mapping[str, Any]:
    """The workloads of a stack's config."""
    from heliostat.engine.config import yamledit
    from heliostat.scaffold.rendering import SECTION

    return ((yamledit.load(config) or {}).get("config") or {}).get(SECTION) or {}


def _refuse(found: list[str]) -> None:
    if found:
        raise UsageError(
            "; ".join(found) if len(found) == 1 else "".join(["nothing was made:", *(f"\n  {one}" for one in found)])
        )


def _listed(root: Path) -> list[str]:
    """What a folder holds; nothing where it is not there."""
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root} is a file: name a folder")
    return [path.name for path in root.iterdir()] if root.exists() else []


def _write(root: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def _environment(place: Path) -> None:
    """The environment that the project names: the one that this command is installed in, with all that it holds."""
    if sys.prefix != sys.base_prefix:
        place.symlink_to(sys.prefix, target_is_directory=True)
        return
    import venv

    venv.create(place, system_site_packages=True, with_pip=False, symlinks=True)


def _stack(root: Path, project: str) -> None:
    """Make the stack, as `heliostat stack init` in the new repository would."""
    from heliostat.cli.checkout import find
    from heliostat.cli.commands.stack_manage import create
    from heliostat.cli.session import Place
    from heliostat.engine.config import project as projects
    from heliostat.engine.state.backend import StackRef
    from heliostat.engine.state.secrets import PASSPHRASE, PASSPHRASE_FILE
    from heliostat.scaffold.rendering import STACK

    # The files that were just written say its passphrase: one that the shell has for other stacks is not this one's.
    environment = {name: value for name, value in os.environ.items() if name not in (PASSPHRASE, PASSPHRASE_FILE)}
    said = find(["stack", "init", STACK], environment, root).variables
    place = Place(projects.load(root / "Pulumi.yaml"), {**environment, **said})
    create(place, StackRef.parse(STACK, project))
