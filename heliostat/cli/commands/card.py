"""`heliostat card`: the card of a workload's model, or of its data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from heliostat.cli import options, say

if TYPE_CHECKING:
    from heliostat.governance.cards import DataFacts, ModelFacts
    from heliostat.spec.card import CardReview
    from heliostat.systems.objects import ObjectStore


@click.command()
@click.argument("workload")
@click.option("--data", is_flag=True, help="The card of its data set, not of its model.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False), default="-", metavar="FILE", help="By default standard output."
)
@click.option("--init", "begin", is_flag=True, help="Write `card.yaml` in the workload's folder, for people to fill in.")
@options.stack
@options.as_json
@options.everywhere
def card(workload: str, data: bool, output: str, begin: bool, stack: str | None, as_json: bool) -> None:
    """Write the model card of WORKLOAD in Markdown, made of what is known and of what people wrote into `card.yaml`.

    What is known comes from the stack's state, the evaluation, the training and the snapshot. With --json, what it is made of.
    """
    from heliostat.cli.rollouts.files import write
    from heliostat.governance import cards

    folder = _folder(workload)
    if begin:
        _begin(folder)
        return
    review = _review(folder)
    found: DataFacts | ModelFacts = _data_facts(workload, stack) if data else _model_facts(workload, stack)
    if as_json:
        import json
        from dataclasses import asdict

        told = {**asdict(found), "review": review.model_dump(mode="json")}
        write(json.dumps(told, indent=2, default=lambda value: value.model_dump(mode="json")) + "\n", output)
        return
    write(cards.data_card(found, review) if isinstance(found, cards.DataFacts) else cards.model_card(found, review), output)


def _folder(workload: str) -> Path:
    from heliostat.cli.session import Place
    from heliostat.systems.errors import PermanentError

    folder = Place.here().require_project().root / "workloads" / workload.replace("-", "_")
    if not folder.is_dir():
        raise PermanentError(f"there is no workload {workload!r}: {folder} is no folder")
    return folder


def _begin(folder: Path) -> None:
    import yaml

    from heliostat.spec.card import FILE, CardReview
    from heliostat.systems.errors import PermanentError

    path = folder / FILE
    if path.exists():
        raise PermanentError(f"{path} is there: people wrote it, and it is not written over")
    path.write_text(yaml.safe_dump(CardReview().model_dump(mode="json", by_alias=True), sort_keys=False))
    say.out(f"{path}: fill in its sections, then `by`, `on` and `of`")


def _review(folder: Path) -> CardReview:
    import yaml
    from pydantic import ValidationError

    from heliostat.spec.card import FILE, CardReview
    from heliostat.systems.errors import PermanentError

    path = folder / FILE
    if not path.exists():
        return CardReview()
    try:
        return CardReview.model_validate(yaml.safe_load(path.read_text()) or {})
    except (ValidationError, yaml.YAMLError) as error:
        told = (
            "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False))
            if isinstance(error, ValidationError)
            else str(error)
        )
        raise PermanentError(f"{path}: {told}") from None


def _model_facts(workload: str, stack: str | None) -> ModelFacts:
    from heliostat.governance.cards import ModelFacts
    from heliostat.spec.training_report import TrainingReport

    store, resources = _known(stack)
    version = _outputs(resources, "ModelVersion", workload)
    training = _outputs(resources, "TrainJob", workload, required=False)
    report = _json_at(store, training.get("reportUri"))
    return ModelFacts(
        name=workload,
        version=int(version["version"]),
        description=_description(workload),
        verdict=str(version.get("verdict", "")),
        run_id=str(version.get("servedRunId", "")),
        data_digest=str(version.get("servedDataDigest", "")),
        code_digest=str((version.get("code") or {}).get("digest", "")),
        parameters=training.get("parameters") or {},
        evaluation=_json_at(store, version.get("reportUri")),
        training=TrainingReport.model_validate(report) if report else None,
    )


def _data_facts(workload: str, stack: str | None) -> DataFacts:
    from heliostat.cli.datasets import catalogue
    from heliostat.governance.cards import DataFacts
    from heliostat.systems.errors import PermanentError

    store, resources = _known(stack)
    data = _outputs(resources, "Dataset", workload)
    manifest = _json_at(store, f"{data['address']['uri']}/manifest.json")
    if manifest is None:
        raise PermanentError(f"the snapshot {data['address']['uri']} is gone")
    stored = next((each for each in catalogue.read(store, workload).of(workload) if each.digest == manifest["digest"]), None)
    parents = [parent for making in (stored.makings if stored is not None else ()) for parent in making.parents]
    return DataFacts(workload, manifest, _json_at(store, data.get("statisticsUri")) or {}, tuple(dict.fromkeys(parents)))


def _known(stack: str | None) -> tuple[ObjectStore, list[dict[str, Any]]]:
    from heliostat.cli.rollouts.locate import stacks_here, store_of
    from heliostat.systems.objects import open_store

    stacks = stacks_here()
    return open_store(store_of(stack)), [dict(each) for each in stacks.resources(stacks.name(stack))]


def _outputs(resources: list[dict[str, Any]], kind: str, name: str, required: bool = True) -> dict[str, Any]:
    from heliostat.systems.errors import PermanentError

    for each in resources:
        if each.get("type") == f"heliostat:index:{kind}" and str(each.get("urn", "")).rpartition("::")[2] == name:
            return dict(each.get("outputs") or {})
    if required:
        raise PermanentError(f"the stack has no {kind} {name!r}: bring it up with `heliostat up`")
    return {}


def _json_at(store: ObjectStore, uri: Any) -> dict[str, Any] | None:
    """The JSON object that an address in the store names; None where there is none any more."""
    import json

    from heliostat.systems.objects import ObjectMissingError

    top = store.uri("_")[:-1]
    if not uri or not str(uri).startswith(top):
        return None
    try:
        found: dict[str, Any] = json.loads(store.get(str(uri).removeprefix(top)))
    except ObjectMissingError:
        return None
    return found


def _description(workload: str) -> str:
    """What the contract says of the application, where it can be imported here."""
    from heliostat.cli.exits import UsageError
    from heliostat.cli.operators.contracts import contract_of, entry_point_of
    from heliostat.cli.session import Place

    root = Place.here().require_project().root
    try:
        return contract_of(root, entry_point_of(root, workload, None)).description
    except UsageError:
        return ""
