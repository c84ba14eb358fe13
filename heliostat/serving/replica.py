"""The Serve application of one model version: what a replica builds, and how it answers.

Serve makes the replica, gives it a port and keeps it healthy; `connection` answers what comes to that port. What a replica
imports decides how much a starting version disturbs the one that serves, so nothing here imports mlflow, pandas, lightgbm or
scikit-learn.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import heliostat
from heliostat.ml.contracts import Contract, Predictor, load_entry_point
from heliostat.serving import model_cache
from heliostat.serving.dataplane import DataPlane
from heliostat.serving.prediction_log.columns import Columns
from heliostat.serving.prediction_log.spools import default_spool
from heliostat.serving.prediction_log.writer import PredictionLog
from heliostat.serving.rest.application import RestApplication
from heliostat.serving.rest.asgi import AsgiApplication
from heliostat.serving.rest.connection import Connection
from heliostat.serving.slots import Slots
from heliostat.spec.batch import Lookup
from heliostat.spec.rollouts import ReplicaSettings, ServingArguments, Version
from heliostat.systems import library_packages, serve_ingress
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store


def build(args: dict[str, Any]) -> Any:
    """The Serve application for `args` (a ServingArguments, by alias). Called by Serve's controller where it deploys."""
    return deployed(args, Replica)


def deployed(args: dict[str, Any], replica: type[Replica]) -> Any:
    """The Serve application whose replicas are of that class."""
    from ray import serve

    arguments = ServingArguments.model_validate(args)
    deployment: Any = serve.deployment(serve.ingress()(replica))
    return deployment.options(
        name="model",
        num_replicas=arguments.replicas,
        max_ongoing_requests=arguments.max_ongoing_requests,
        ray_actor_options=actor_options(arguments),
        health_check_period_s=2,
        health_check_timeout_s=10,
        # What cannot load a model now will hardly do so at the seventh try, and an update waits for the answer.
        max_constructor_retry_count=2,
        graceful_shutdown_wait_loop_s=0.2,
        graceful_shutdown_timeout_s=10,
        logging_config={"enable_access_log": False},
    ).bind(arguments.model_dump(mode="json", by_alias=True))


def actor_options(arguments: ServingArguments) -> dict[str, Any]:
    """What each replica asks of Ray."""
    options: dict[str, Any] = {"num_cpus": arguments.cpus_per_replica, "num_gpus": arguments.gpus_per_replica}
    if arguments.placement is not None:
        options["resources"] = arguments.placement.resources
        if arguments.placement.accelerator_type is not None:
            options["accelerator_type"] = arguments.placement.accelerator_type
    return options


class Replica:
    """One replica: loads the model, opens the prediction log and answers on the port that Serve gives it."""

    def __init__(self, args: dict[str, Any]) -> None:
        arguments = ServingArguments.model_validate(args)
        self._prefix = arguments.route_prefix
        self._slots = Slots(arguments.max_ongoing_requests)
        self._answers = open_application(arguments)

    async def __serve_build_asgi_app__(self) -> AsgiApplication:
        """Asked by Serve once the replica is made, before it listens.

        Raises:
            PermanentError: this Serve is not the one that we know.
        """
        serve_ingress.listen_with(partial(Connection, self._answers, self._prefix, self._slots))
        return AsgiApplication(self._answers)

    def reconfigure(self, config: dict[str, Any]) -> None:
        """Called by Serve with the deployment's `user_config`, at the start and whenever it changes."""
        self._slots.limit = ReplicaSettings.model_validate(config).max_ongoing_requests
        self._slots.fill()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """The requests that are worked on or wait here, which Serve does not see; for a policy of Serve's to scale by."""
        return {"ongoing_requests": float(self._slots.requests)}

    def check_health(self) -> None:
        """Asked by Serve every few seconds; the prediction log's state is none of it: it never fails a request."""


def open_application(arguments: ServingArguments) -> RestApplication:
    """What answers requests in one replica.

    Raises:
        PermanentError: the contract or the model cannot be loaded, or the library is not the version's.
    """
    version = arguments.version
    _require_library(version)
    contract = load_entry_point(version.contract)
    if not isinstance(contract, Contract):
        found = type(contract).__name__
        raise PermanentError(f"{version.contract} is a {found}: it must be a heliostat.ml.contracts.Contract")
    folder = model_cache.fetch(version.model_uri, version.tracking_uri)
    predictor = contract.predictor.load(folder)
    spool = Path(arguments.spool) if arguments.spool else default_spool()
    columns = Columns.of(contract.row, contract.answer)
    log = PredictionLog(version.prediction_log, version.store, spool, arguments.application, version.label, columns)
    if version.lookup is not None:
        return _with_lookup(version.lookup, contract, predictor, log, arguments)
    return RestApplication(DataPlane(contract, predictor, version, log), arguments.public_path)


def _with_lookup(
    settings: Lookup, contract: Contract[Any, Any], predictor: Predictor, log: PredictionLog, arguments: ServingArguments
) -> RestApplication:
    """The same where answers come from predictions that were made beforehand."""
    from heliostat.serving.lookup.application import LookupApplication
    from heliostat.serving.lookup.predictor import LookupPredictor
    from heliostat.serving.lookup.table import LookupTable

    version = arguments.version
    table = LookupTable(open_store(version.store), settings.batch, version.model_uri)
    looking = LookupPredictor(predictor, table, settings)
    return LookupApplication(DataPlane(contract, looking, version, log), arguments.public_path, looking, table, settings)


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
