"""`heliostat card`: the card of a workload's model, or of its data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from heliostat.cli import options, say
from heliostat.cli.operators import card_facts

if TYPE_CHECKING:
    from heliostat.gitops.model_card import Card
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
    from dataclasses import replace

    store, resources = _known(stack)
    found = card_facts.model_facts(workload, store, resources, lambda uri: _registered(uri, stack))
    return card_facts.of_serving(replace(found, **_of_contract(workload)), _shares(store, workload))


def _data_facts(workload: str, stack: str | None) -> DataFacts:
    return card_facts.data_facts(workload, *_known(stack))


def _registered(uri: str, stack: str | None) -> Card:
    """What the registry knows of a version."""
    from heliostat.cli.operators.deployed import with_platform
    from heliostat.gitops.promotion import card_of

    return card_of(uri, with_platform(stack).exported)


def _shares(store: ObjectStore, workload: str) -> dict[str, float]:
    """What the ledger says that serves: shares of the traffic by the model's URI."""
    from heliostat.cli.rollouts import ledger

    entry = next(iter(ledger.newest_first(store, workload)), None)
    if entry is None:
        return {}
    known = entry.known
    return {known[digest].version.model_uri: share for digest, share in entry.weights.items() if digest in known}


def _known(stack: str | None) -> tuple[ObjectStore, list[dict[str, Any]]]:
    from heliostat.cli.rollouts.locate import stacks_here, store_of
    from heliostat.systems.objects import open_store

    stacks = stacks_here()
    return open_store(store_of(stack)), [dict(each) for each in stacks.resources(stacks.name(stack))]


def _of_contract(workload: str) -> dict[str, Any]:
    """What the contract says of the application, and which class answers, where it can be imported here."""
    from heliostat.cli.exits import UsageError
    from heliostat.cli.operators.contracts import contract_of, entry_point_of
    from heliostat.cli.session import Place

    root = Place.here().require_project().root
    try:
        contract = contract_of(root, entry_point_of(root, workload, None))
    except UsageError:
        return {}
    kind = contract.predictor
    said = (kind.__doc__ or "").strip().partition("\n")[0].rstrip(".")
    architecture = f"{kind.__module__}.{kind.__qualname__}{f': {said}' if said else ''}"
    return {"description": contract.description, "architecture": architecture}
