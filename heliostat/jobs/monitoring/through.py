"""The contract that a version is watched through: the one that it serves with, which need not be the newest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from heliostat.jobs.monitoring.model import Answering, Answers
from heliostat.jobs.monitoring.own_code import in_own_code
from heliostat.jobs.monitoring.serving import Serving
from heliostat.jobs.specification import progress
from heliostat.ml.datasets import Snapshot
from heliostat.monitoring.fitting import Fitted, Lacking, Version, fitted
from heliostat.monitoring.state import number_of
from heliostat.spec import rollouts
from heliostat.spec.findings import Aspect
from heliostat.spec.monitoring import MonitorSpecification
from heliostat.systems import code_packages
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectStore


@dataclass(frozen=True)
class Through:
    """A version behind its contract, and what of the monitor holds for it."""

    specification: MonitorSpecification
    answering: Answers
    fit: Fitted


@contextmanager
def through_its_contract(serving: Serving, store: ObjectStore) -> Iterator[Through]:
    """Have what serves answer by the code that it serves with, in a process of its own where that is not what is here.

    Where that code cannot be had, the newest contract stands in, and the fit tells so.
    """
    with ExitStack() as stack:
        asked, version = serving.specification, serving.version
        if version is None:
            yield Through(asked, Answering(asked), Fitted(asked.monitor))
        else:
            yield _through(serving, version, store, stack)


def _through(serving: Serving, version: rollouts.Version, store: ObjectStore, stack: ExitStack) -> Through:
    asked = serving.specification
    try:
        path = _path(serving, version, store)
        if not path:
            here = Answering(asked)
            return Through(asked, here, _fit(asked, here) if serving.is_other else Fitted(asked.monitor))
        own, lacking = _of_version(asked, version)
        answering = stack.enter_context(in_own_code(own, path))
    except PermanentError as error:
        told = f"the contract that {asked.model_uri} serves with is not known, and the newest one stands in: {error}"
        return Through(asked, Answering(asked), Fitted(asked.monitor, told=(told,)))
    progress(f"{asked.model_uri} is looked at through {version.contract} of the code that it serves with")
    fit = _fit(own, answering)
    return Through(own, answering, Fitted(fit.monitor, (*lacking, *fit.lacking), fit.told))


def _path(serving: Serving, version: rollouts.Version, store: ObjectStore) -> tuple[Path, ...]:
    """Where modules of the version are, the first place first; none where they are those that are here."""
    asked = serving.specification
    is_packaged = version.environment is not None and serving.is_other
    is_named = version.contract == asked.contract and not is_packaged
    if is_named and version.code_uri == store.uri(f"code/{asked.code_digest}.zip"):
        return ()
    code = code_packages.fetch(version.code_uri, store)
    # A monitor's code has the workload's own metrics beside the contract: it may be the same all the same.
    if is_named and _is_part_of(code, Path.cwd()):
        return ()
    return (code, *([code_packages.fetch(version.environment.uri, store)] if version.environment is not None else []))


def _is_part_of(code: Path, here: Path) -> bool:
    files = [path for path in code.rglob("*.py") if "__pycache__" not in path.parts]
    others = ((path, here / path.relative_to(code)) for path in files)
    return all(other.is_file() and other.read_bytes() == path.read_bytes() for path, other in others)


def _of_version(asked: MonitorSpecification, version: rollouts.Version) -> tuple[MonitorSpecification, tuple[Lacking, ...]]:
    """What is watched with the version's own contract, and what it cannot be held to."""
    digest = version.code_uri.rpartition("/")[2].removesuffix(".zip")
    changes = {"contract": version.contract, "code_digest": digest, "privacy": version.privacy, "transformed": None}
    lacking: tuple[Lacking, ...] = ()
    if asked.transformed is not None and asked.monitor.skew is not None:
        text = f"version {number_of(asked.model_uri)} serves with other code than the schema's: it is not held to that one's"
        lacking = (Lacking(Aspect.SKEW, "transformed", f"{text} transformation"),)
    return asked.model_copy(update=changes), lacking


def _fit(asked: MonitorSpecification, answering: Answers) -> Fitted:
    """What of the monitor holds for the version."""
    described = answering.described
    version = Version(number_of(asked.model_uri), described.inputs, described.answer, _times(asked))
    return fitted(asked.monitor, asked.problem, version)


def _times(asked: MonitorSpecification) -> tuple[str, ...] | None:
    """The columns of times that it was trained on; None where nothing asks for them, or they are not known."""
    drift, recency = asked.monitor.drift, asked.monitor.recency
    named = [drift.season if drift is not None else None, recency.training_data_column if recency is not None else None]
    if asked.dataset_digest is None or not any(named):
        return None
    schema = next(Snapshot(asked.dataset_key, asked.store).batches("test", rows=1)).schema
    return tuple(field.name for field in schema if pa.types.is_temporal(field.type))
