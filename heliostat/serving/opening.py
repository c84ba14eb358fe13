"""From a version to its data plane in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import heliostat
from heliostat.ml.contracts import Contract, Predictor, load_entry_point, reads_whole
from heliostat.ml.ensembles import load_model
from heliostat.serving import model_cache
from heliostat.serving.dataplane import DataPlane
from heliostat.serving.hiding import Hiding
from heliostat.serving.personal import PersonalData
from heliostat.serving.postprocessing import Steps
from heliostat.serving.prediction_log.columns import Columns
from heliostat.serving.prediction_log.spools import default_spool
from heliostat.serving.prediction_log.writer import PredictionLog
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.postprocessing import PostprocessingStep
from heliostat.spec.rollouts import ServingArguments, Version
from heliostat.systems import library_packages, step_lists
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store


def open_plane(arguments: ServingArguments) -> DataPlane:
    """What answers, whatever carries the requests.

    Raises:
        PermanentError: the contract or the model cannot be loaded, or the library is not the version's.
    """
    return plane_of(arguments, *loaded(arguments.version))


def loaded(version: Version) -> tuple[Contract[Any, Any], Predictor]:
    """The version's contract, and its model.

    Raises:
        PermanentError: one of them cannot be loaded, or the library is not the version's.
    """
    _require_library(version)
    contract = load_entry_point(version.contract)
    if not isinstance(contract, Contract):
        found = type(contract).__name__
        raise PermanentError(f"{version.contract} is a {found}: it must be a heliostat.ml.contracts.Contract")
    folder = model_cache.fetch(version.model_uri, version.tracking_uri, whole=reads_whole(contract.predictor))
    return contract, load_model(contract.predictor, folder)


def plane_of(arguments: ServingArguments, contract: Contract[Any, Any], predictor: Predictor) -> DataPlane:
    """What answers by a contract and a predictor that are loaded.

    Raises:
        PermanentError: a post-processing step cannot be loaded, or a list of it is gone.
        PermanentError, RetryableError: a key for personal fields is missing or cannot be read.
    """
    version = arguments.version
    steps = steps_of(version.postprocessing, contract, version.store)
    personal = PersonalData.of(contract, version.privacy)
    spool = Path(arguments.spool) if arguments.spool else default_spool()
    columns = Columns.of(contract.row, contract.answer, postprocessed=steps is not None)
    settings, treat = version.prediction_log, personal.keys.treatment
    log = PredictionLog(
        settings, version.store, spool, arguments.application, version.label, columns, treat=treat, review=version.review
    )
    return DataPlane(contract, predictor, version, log, steps, personal)


def steps_of(declared: tuple[PostprocessingStep, ...], contract: Contract[Any, Any], store: StoreAddress) -> Steps | None:
    """The steps behind a contract, loaded; None where there are none. What they say is told without what is personal.

    Raises:
        PermanentError: one cannot be loaded, or a list of it is gone.
    """
    if not declared:
        return None
    objects = open_store(store)
    hiding = Hiding.of(contract)
    try:
        return Steps(declared, lambda source: step_lists.read(source, objects), contract.answer, hiding=hiding)
    except ValueError as error:
        raise PermanentError(f"post-processing cannot be loaded: {error}") from None


def _require_library(version: Version) -> None:
    """See that this is the library that the version was declared with, which Ray was asked to put first.

    Raises:
        PermanentError: it is another one, and would answer as that does.
    """
    runtime = version.runtime
    if runtime is not None and (here := library_packages.here()) != runtime.library_digest:
        raise PermanentError(
            f"{version.label} was declared with heliostat {runtime.library} ({runtime.library_digest[:12]}), and this replica "
            f"runs heliostat {heliostat.__version__} ({here[:12]}) from {Path(heliostat.__file__).parent}: "
            f"{runtime.library_uri} was not put before it. Install heliostat {runtime.library} where replicas run, or declare "
            "the version again"
        )
