"""Data sets whose rows come from elsewhere: what of their source the plugin can tell before a job reads it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from heliostat.provider.resource import Failure, PermanentError, RetryableError
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.training_resources import DatasetInputs
from heliostat.systems.objects import open_store


def normal(given: Mapping[str, Any] | None) -> str | None:
    """An ingestion however it was written: whole numbers come as doubles over the wire."""
    if given is None:
        return None
    from heliostat.data.ingestion import Ingestion  # brings numpy, which the plugin does without elsewhere

    return Ingestion.model_validate(given).model_dump_json()


def mistakes(given: Mapping[str, Any]) -> list[Failure]:
    """What of an ingestion does not fit together."""
    from pydantic import ValidationError

    try:
        normal(given.get("ingestion"))
    except ValidationError as error:
        return [
            Failure(".".join(("ingestion", *map(str, each["loc"]))), str(each["msg"]))
            for each in error.errors(include_url=False)
        ]
    return []


def with_files(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The inputs, with a digest of the files that are there where the ingestion has no `until`: all of them are taken then.

    A place that is not seen from here, as a folder of the cluster's nodes, tells nothing: what was made of it stays as it is.
    """
    ingestion = given.get("ingestion")
    if not isinstance(ingestion, Mapping) or ingestion.get("until") or mistakes(given):
        return given
    from heliostat.data.ingestion import Ingestion

    declared = Ingestion.model_validate(ingestion)
    sources = [declared.source, *([declared.labels.files] if declared.labels is not None else [])]
    own = StoreAddress.model_validate(given["store"]) if isinstance(given.get("store"), Mapping) else None
    if own is None:
        return given
    try:
        told = [line for source in sources if source.kind == "files" for line in _listing(source, own)]
    except (PermanentError, RetryableError):
        return given
    return {**given, "found": hashlib.sha256("\n".join(told).encode()).hexdigest()} if told else given


def _listing(source: Any, own: StoreAddress) -> Iterator[str]:
    from heliostat.systems.row_files import listed, store_address, tag_of

    store = open_store(store_address(source, own))
    yield from (f"{store.uri(info.key)} {tag_of(info)}" for info in listed(source, store))


def changes(old: DatasetInputs, new: DatasetInputs) -> list[str]:
    """What of where the rows come from changed, in words."""
    then, now = old.ingestion or {}, new.ingestion or {}
    if normal(old.ingestion) != normal(new.ingestion):
        if then.get("until") != now.get("until"):
            return [f"until {then.get('until')} -> {now.get('until')}"]
        return ["where its rows come from changed"]
    return ["other files are there"] if old.found != new.found else []
