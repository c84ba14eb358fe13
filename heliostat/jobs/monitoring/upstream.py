"""What a version was made of beside its own rows, as it was then and as it is now: data sets, applications whose answers it
learnt from, models that its data were made with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from heliostat.jobs.makings import making_of, manifests_made
from heliostat.jobs.predicted_rows import versions_in
from heliostat.monitoring.retraining import upstream_of
from heliostat.spec.base import Name
from heliostat.spec.data_sets import Making, manifest_place, prefix_of
from heliostat.spec.monitoring import MonitorSpecification
from heliostat.spec.retraining import UpstreamTrigger
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.mlflow_registry import Registry
from heliostat.systems.objects import ObjectMissingError, ObjectStore

_SHOWN: Final = 12
_MODEL: Final = re.compile(r"models:/([^/@]+)/(\d+)")
_LOG: Final = re.compile(r".*/predictions/([^/]+)/?")
_NEWEST_FILES: Final = 8
"""Of a log, which are asked for the version that answers now."""


def upstream(specification: MonitorSpecification, store: ObjectStore) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """By name the version then and the one now, and what of it cannot be told; nothing where no trigger asks.

    A model of the monitor's own application is nothing that it waits for: each of its versions would ask for another one.
    """
    policy = specification.monitor.retraining
    asked = [each for each in policy.triggers if isinstance(each, UpstreamTrigger)] if policy is not None else []
    if not asked:
        return {}, []
    then: dict[str, str] = {}
    now: dict[str, str] = {}
    problems: list[str] = []
    own = {specification.name, specification.model_uri.removeprefix("models:/").partition("/")[0]}
    making = making_of(store, *_place(specification))
    for name, before, newest in _sources(making, store, specification.tracking_uri) if making is not None else ():
        if name in own:
            continue
        try:
            now[name], then[name] = newest(), before
        except (PermanentError, RetryableError) as error:
            problems.append(f"which version of {name} there is now is not known: {error}")
    wanted = {name for each in asked for name in each.sources}
    if not then and not problems:
        problems.append(f"{specification.model_uri} was made of its own rows alone, as far as is known: nothing upstream")
    elif lacking := sorted(wanted - then.keys()):
        known = ", ".join(sorted(then)) or "nothing"
        problems.append(f"{specification.model_uri} was not made of {', '.join(lacking)}, as far as is known; of {known}")
    return upstream_of(then, now), problems


def _place(specification: MonitorSpecification) -> tuple[str, str]:
    """The name and the digest of the data set."""
    _, name, digest = specification.dataset_key.split("/")
    return name, digest


def _sources(making: Making, store: ObjectStore, tracking_uri: str) -> Iterator[tuple[str, str, Callable[[], str]]]:
    """Name, version then, and who says which one there is now."""
    for parent in making.parents:
        yield parent.name, parent.digest[:_SHOWN], lambda name=parent.name: _newest_snapshot(store, name)  # type: ignore[misc]
    for source in making.sources:
        if fits := _MODEL.fullmatch(source.uri):
            yield fits[1], fits[2], lambda name=fits[1]: _newest_version(tracking_uri, name)  # type: ignore[misc]
        elif (fits := _LOG.fullmatch(source.uri)) and (before := versions_in(source.note)):
            yield fits[1], before[-1], lambda name=fits[1]: _answering_now(store, name)  # type: ignore[misc]


def _newest_snapshot(store: ObjectStore, name: Name) -> str:
    """The digest of the data set's newest snapshot that is there."""
    there = {place[1] for info in store.list(prefix_of(name)) if (place := manifest_place(info.key))}
    made = [each for each in manifests_made(store, name) if each.digest in there and each.made is not None]
    newest = max(made, key=lambda each: each.made.at if each.made is not None else 0.0, default=None)
    if newest is None:
        raise PermanentError(f"the data set {name} has no snapshot any more")
    return newest.digest[:_SHOWN]


def _newest_version(tracking_uri: str, name: str) -> str:
    with Registry(tracking_uri) as registry:
        newest = registry.newest_version(name)
    if newest is None:
        raise PermanentError(f"MLflow has no model {name} any more")
    return str(newest.version)


def _answering_now(store: ObjectStore, application: Name) -> str:
    """The number of the version that answered last, by the application's log."""
    infos = [info for info in store.list(f"predictions/{application}/") if info.key.endswith(".parquet")]
    for info in sorted(infos, key=lambda info: info.modified, reverse=True)[:_NEWEST_FILES]:
        try:
            table: Any = pq.read_table(pa.BufferReader(store.get(info.key)), columns=["time", "version"])
        except (ObjectMissingError, pa.ArrowException, OSError, ValueError):
            continue
        # Rows that do not say when, or by whom, they were answered tell nothing of who does now.
        said = table.filter(pc.and_kleene(pc.is_valid(table["time"]), pc.not_equal(table["version"], "")))
        if said.num_rows:
            return str(said.sort_by("time")["version"][-1].as_py()).partition("-")[0]
    raise PermanentError(f"{application} has no prediction log that could say")
