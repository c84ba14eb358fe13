"""The Serve application of one model version: what a replica builds, and how it answers.

Serve makes the replica, gives it a port and keeps it healthy; `connection` answers what comes to that port. What a replica
imports decides how much a starting version disturbs the one that serves, so nothing here imports mlflow, pandas, lightgbm or
scikit-learn.
"""

from __future__ import annotations

import gc
from functools import partial
from typing import Any

from heliostat.serving.grpc.application import GrpcApplication
from heliostat.serving.opening import open_plane
from heliostat.serving.rest.application import RestApplication
from heliostat.serving.rest.asgi import AsgiApplication
from heliostat.serving.rest.connection import Connection
from heliostat.serving.rest.exchange import Application
from heliostat.serving.slots import Slots
from heliostat.spec.batch import Lookup
from heliostat.spec.rollouts import ReplicaSettings, ServingArguments
from heliostat.systems import serve_ingress


def build(args: dict[str, Any]) -> Any:
    """The Serve application for `args` (a ServingArguments, by alias). Called by Serve's controller where it deploys."""
    return deployed(args, Replica)


def deployed(args: dict[str, Any], replica: type[Replica]) -> Any:
    """The Serve application whose replicas are of that class."""
    from ray import serve

    arguments = ServingArguments.model_validate(args)
    deployment: Any = serve.deployment(serve.ingress()(replica))
    # What works on tasks is a deployment beside the ingress: it comes, stays and goes with it.
    tasks = (task_workers(arguments),) if arguments.version.queue is not None else ()
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
    ).bind(arguments.model_dump(mode="json", by_alias=True), *tasks)


def task_workers(arguments: ServingArguments) -> Any:
    """The deployment of a version's workers, whose processes hold the model."""
    from heliostat.serving.queue.task_consumer import deployment

    return deployment(arguments, placed(arguments))


def actor_options(arguments: ServingArguments) -> dict[str, Any]:
    """What each replica asks of Ray."""
    return {"num_cpus": arguments.cpus_per_replica, "num_gpus": arguments.gpus_per_replica, **placed(arguments)}


def placed(arguments: ServingArguments) -> dict[str, Any]:
    """What says on which nodes it runs, as Ray's options."""
    options: dict[str, Any] = {}
    if arguments.placement is not None:
        options["resources"] = arguments.placement.resources
        if arguments.placement.accelerator_type is not None:
            options["accelerator_type"] = arguments.placement.accelerator_type
    return options


class Replica:
    """One replica: loads the model, opens the prediction log and answers on the port that Serve gives it."""

    def __init__(self, args: dict[str, Any], *tasks: Any) -> None:
        """`tasks`: the handle of what works on tasks, which has them from the broker alone."""
        arguments = ServingArguments.model_validate(args)
        self._prefix = arguments.route_prefix
        self._slots = Slots(arguments.max_ongoing_requests)
        self._answers = open_application(arguments)

    async def __serve_build_asgi_app__(self) -> AsgiApplication:
        """Asked by Serve once the replica is made, before it listens.

        Raises:
            PermanentError: this Serve is not the one that we know.
        """
        # What is loaded by now stays; while requests are answered the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
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


def open_application(arguments: ServingArguments) -> Application:
    """What answers requests in one replica.

    Raises:
        PermanentError: the contract or the model cannot be loaded, or the library is not the version's.
    """
    settings = arguments.version.lookup
    rest = _asking(arguments) if settings is None else _looking_up(settings, arguments)
    application = GrpcApplication(rest.plane, rest, arguments.application, arguments.version.proto)
    if arguments.version.queue is None:
        return application
    # Most applications take no tasks, and need no client of a broker.
    from heliostat.serving.queue.api import open_tasks

    return open_tasks(application, rest.plane, arguments)


def _asking(arguments: ServingArguments) -> RestApplication:
    return RestApplication(open_plane(arguments), arguments.public_path)


def _looking_up(settings: Lookup, arguments: ServingArguments) -> RestApplication:
    """The same where answers come from predictions that were made beforehand."""
    from heliostat.serving.lookup.application import LookupApplication
    from heliostat.serving.lookup.opening import open_looking_up

    plane, predictor, table = open_looking_up(arguments, settings)
    return LookupApplication(plane, arguments.public_path, predictor, table, settings)
