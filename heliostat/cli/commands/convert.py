"""`heliostat convert`: a notebook, a script or an MLflow run becomes a workload."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from heliostat.cli import options, say
from heliostat.cli.exits import UsageError

if TYPE_CHECKING:
    from heliostat.convert.converting import Converted

_SECTION = "heliostat:workloads"


@click.command()
@click.argument("source", metavar="NOTEBOOK|SCRIPT|RUN")
@click.option("--name", required=True, metavar="NAME", help="The workload's name: lower case, digits and dashes.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="The repository; by default this one."
)
@click.option(
    "--interface", type=click.Choice(["rest", "grpc", "both"]), default="rest", show_default=True, help="How clients reach it."
)
@click.option("--model", metavar="VARIABLE", help="The model to serve, where the source fits several.")
@click.option("--no-run", is_flag=True, help="Do not run the source: no answers are recorded, and more is asked.")
@click.option(
    "--timeout", type=click.FloatRange(min=1), default=600.0, show_default=True, help="Seconds that a run of it may take."
)
@click.option("--tracking-uri", envvar="MLFLOW_TRACKING_URI", metavar="URI", help="The MLflow server that a runs:/ID is on.")
@click.option("-s", "--stack", metavar="NAME", help="Declare the workload in the config of this stack.")
@options.everywhere
def convert(  # noqa: PLR0913 - the options of a command
    source: str,
    name: str,
    out: Path | None,
    interface: str,
    model: str | None,
    no_run: bool,
    timeout: float,
    tracking_uri: str | None,
    stack: str | None,
) -> None:
    """Make a workload of a notebook, a script or an MLflow run.

    SOURCE is a .ipynb, a .py, `runs:/ID`, or the folder of a run or a model. It becomes `workloads/NAME`, with tests that hold
    the source's own answers. What could not be understood is asked in its QUESTIONS.md, with cell and line.
    """
    from heliostat.convert.source import ConversionError

    root = out.absolute() if out is not None else _project()
    config = _config(root, stack)
    _refuse(root, name, config)
    try:
        converted = _converted(source, name, interface, model, not no_run, timeout, tracking_uri, root)
    except ConversionError as error:
        raise UsageError(str(error)) from None
    _write(root, converted)
    _declare(config, name, converted)
    _tell(root, name, converted, config)


def _converted(  # noqa: PLR0913 - those of the command
    source: str, name: str, interface: str, model: str | None, run: bool, timeout: float, tracking_uri: str | None, root: Path
) -> Converted:
    from heliostat.convert.converting import Options, convert
    from heliostat.convert.mlflow_run import convert_run, is_run

    chosen = Options(name, interface, model, run, timeout, root / "pyproject.toml")
    return convert_run(source, chosen, tracking_uri) if is_run(source) else convert(Path(source), chosen)


def _project() -> Path:
    from heliostat.cli.session import Place

    return Place.here().require_project().root


def _config(root: Path, stack: str | None) -> Path | None:
    """The config that the workload is declared in; None where none is named."""
    if stack is None:
        return None
    from heliostat.engine.config import project

    path = project.load(root / "Pulumi.yaml").stack_file(stack)
    if not path.exists():
        raise UsageError(f"there is no {path}, which would declare the workload: name another stack with -s")
    return path


def _refuse(root: Path, name: str, config: Path | None) -> None:
    """Say all that is in the way before anything runs."""
    from heliostat.engine.config import yamledit
    from heliostat.scaffold import mistakes, rendering

    below = root / "workloads" / rendering.module_of(name)
    there = [os.path.relpath(below, root)] if below.exists() else []
    declared = ((yamledit.load(config.read_text(encoding="utf-8")) or {}).get("config") or {}).get(_SECTION) if config else {}
    found = mistakes.of_workload(name, next(iter(rendering.KINDS)), there, str(config), declared or {})
    if found:
        raise UsageError(
            "; ".join(found) if len(found) == 1 else "nothing was made:" + "".join(f"\n  {each}" for each in found)
        )


def _write(root: Path, converted: Converted) -> None:
    for path, text in converted.files.items():
        target = root / path
        if target.name == "__init__.py" and target.parent.name == "workloads" and target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def _declare(config: Path | None, name: str, converted: Converted) -> None:
    if config is None:
        return
    from heliostat.engine.config import yamledit

    text = config.read_text(encoding="utf-8")
    section: Any = dict(converted.section)
    config.write_text(yamledit.put(text, ("config", _SECTION, name), section), encoding="utf-8")


def _tell(root: Path, name: str, converted: Converted, config: Path | None) -> None:
    from heliostat.scaffold.rendering import module_of

    module = module_of(name)
    say.out("\n".join(f"Created {path}" for path in converted.files))
    if config is not None:
        say.out(f"Changed {config.relative_to(root)}")
    asked = [each for each in converted.questions if each.is_open]
    if converted.differences:
        say.told(f"It does not answer as its source did: {converted.differences[0]}")
    elif converted.recorded:
        say.told(f"It answers {converted.recorded} rows as its source did, to 1e-9.")
    say.told(f"{len(asked)} question(s) in workloads/{module}/QUESTIONS.md" + (":" if asked else "."))
    for each in asked:
        say.told(f"  {f'{each.place}: ' if each.place else ''}{each.text}")
    if config is None:
        say.told(f"Next: declare it, in the config of a stack:\n\n{_lines(name, converted)}\n\nthen `heliostat up`.")
    else:
        say.told("Next: `heliostat up`.")


def _lines(name: str, converted: Converted) -> str:
    """The lines to add to a stack's config."""
    from io import StringIO

    from ruamel.yaml import YAML

    stream = StringIO()
    YAML().dump({"config": {_SECTION: {name: dict(converted.section)}}}, stream)
    return stream.getvalue().rstrip()
