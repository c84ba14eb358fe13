"""`heliostat contract`: the contract of a workload whose model others logged with MLflow."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from heliostat.cli import options, say

if TYPE_CHECKING:
    from heliostat.spec.recording import Found


@click.command()
@click.argument("name")
@click.option("--model", metavar="ADDRESS", help="The model; by default what the stack's config names in `mlflow`.")
@options.stack
@options.everywhere
def contract(name: str, model: str | None, stack: str | None) -> None:
    """Write the contract of the workload NAME, whose model others logged with MLflow, or record its answers anew.

    Where workloads/NAME/contract.yaml is not there yet, it is made of the model's signature and input example, with a question
    (TODO) for whatever they leave open. Where it is, the model is held to it, and its golden answers become this model's; the
    rest of the file stays as it is. The model is loaded in a process of its own, with the packages that it was logged with: a
    model is code, and who names one trusts it.
    """
    from heliostat.cli.exits import UsageError
    from heliostat.cli.operators import contract_file
    from heliostat.cli.session import Place
    from heliostat.layout import CONTRACT, has_code
    from heliostat.spec.model_contracts import ModelContractError

    root = Place.here().require_project().root
    if has_code(root / "workloads", name):
        raise UsageError(f"the workload {name!r} has code of its own, and its contract is part of that")
    config = _config_file(stack)
    source = _source(config, name, model)
    file = root / "workloads" / name.replace("-", "_") / CONTRACT
    shown = str(file.relative_to(root))
    there = file.read_text(encoding="utf-8") if file.is_file() else None
    try:
        asked = contract_file.recordable(there, shown) if there is not None else None
    except ModelContractError as error:
        raise UsageError(str(error)) from None
    found = _found(source, stack, asked)
    text = contract_file.recorded(there, source, found) if there is not None else contract_file.drafted(name, source, found)
    _write(root, file, text)
    say.out(f"{'Changed' if there is not None else 'Created'} {shown}")
    if there is None:
        _declare(config, root, name, source)
    _tell(contract_file.open_questions(text), name)


def _source(config: Path, name: str, given: str | None) -> str:
    """The model's address.

    Raises:
        UsageError: nothing says it, or it is none.
    """
    from pydantic import TypeAdapter, ValidationError

    from heliostat.cli.exits import UsageError
    from heliostat.spec.logged_models import ModelSource

    source = given or _declared(config, name).get("mlflow")
    if not source:
        raise UsageError(
            f"nothing says which model {name!r} is: give --model, or name it in workloads.{name}.mlflow of {config}"
        )
    try:
        return str(TypeAdapter(ModelSource).validate_python(source))
    except ValidationError:
        raise UsageError(
            f"{source!r} names no model: write models:/NAME/VERSION, models:/NAME@ALIAS, models:/m-ID, runs:/ID/NAME, or the "
            "s3://, gs:// or file:/// address of the folder that holds its MLmodel"
        ) from None


def _config_file(stack: str | None) -> Path:
    from heliostat.cli.rollouts.locate import stacks_here
    from heliostat.cli.session import Place

    return Place.here().require_project().stack_file(stacks_here().name(stack))


def _declared(config: Path, name: str) -> dict[str, Any]:
    """The workload's section of a stack's config."""
    from heliostat.engine.config import yamledit
    from heliostat.scaffold.rendering import SECTION

    text = config.read_text(encoding="utf-8") if config.is_file() else ""
    sections = ((yamledit.load(text) or {}).get("config") or {}) if text else {}
    return dict((sections.get(SECTION) or {}).get(name) or {})


def _found(source: str, stack: str | None, asked: dict[str, Any] | None) -> Found:
    from heliostat.ml.mlflow_models.described import model_in
    from heliostat.spec.environments import needed, unreadable
    from heliostat.spec.logged_models import Loader, LoggedModelError, python_mistake
    from heliostat.systems import model_environments, recording
    from heliostat.systems.errors import PermanentError

    with tempfile.TemporaryDirectory(prefix="heliostat-model-") as temporary:
        folder = Path(temporary, "model")
        folder.mkdir()
        _fetch(source, stack, folder)
        try:
            model = model_in(folder, source)
        except LoggedModelError as error:
            raise PermanentError(str(error)) from None
        if mistake := python_mistake(model, model_environments.python_version()):
            raise PermanentError(mistake)
        requirements = needed(model, Loader.NATIVE)
        if lines := unreadable(requirements):
            raise PermanentError(
                f"the requirements of {source} have lines that are no package of a registry: {', '.join(lines)}"
            )
        say.told(f"Loading {source}, a {model.flavour} model, to see what it answers")
        return recording.record(folder, source, requirements, asked)


def _fetch(source: str, stack: str | None, folder: Path) -> None:
    from heliostat.cli.operators.deployed import deployed, with_platform
    from heliostat.engine.stackerrors import NotFoundError
    from heliostat.spec.addresses import StoreAddress
    from heliostat.systems.external_models import ExternalModels, fetch_folder, is_elsewhere

    if is_elsewhere(source):
        try:
            store = deployed(stack).store
        except NotFoundError:
            store = None
        fetch_folder(source, store or StoreAddress(uri=f"file://{folder}"), folder)
        return
    platform = with_platform(stack)
    with ExternalModels(platform.tracking_uri, access=platform.tracking_access) as models:
        models.download(models.located(source).location, folder)


def _write(root: Path, file: Path, text: str) -> None:
    from heliostat.spec.model_contracts import SCHEMA_FILE, schema_text

    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(f".{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)
    schema, known = root / "configs" / SCHEMA_FILE, schema_text()
    if schema.parent.is_dir() and (not schema.is_file() or schema.read_text(encoding="utf-8") != known):
        schema.write_text(known, encoding="utf-8")


def _declare(config: Path, root: Path, name: str, source: str) -> None:
    """Put the workload into the stack's config, where it is not there yet."""
    from heliostat.engine.config import yamledit
    from heliostat.scaffold.rendering import SECTION

    if not config.is_file() or _declared(config, name):
        return
    text = config.read_text(encoding="utf-8")
    config.write_text(yamledit.put(text, ("config", SECTION, name), {"mlflow": source}), encoding="utf-8")
    say.out(f"Changed {config.relative_to(root)}")


def _tell(questions: list[str], name: str) -> None:
    if questions:
        listed = "".join(f"\n  {each}" for each in questions)
        say.told(f"{len(questions)} questions are open, each a {'TODO'} in the file:{listed}")
    say.told("Review it" + (", answer them" if questions else "") + ", then `heliostat up`.")
