"""A model version that answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi

from heliostat.resources.base import Resource
from heliostat.resources.platform import Platform
from heliostat.spec.base import shared
from heliostat.spec.training_resources import Code
from heliostat.spec.workload import AnswerSettings, ReplicaScale, Serving


@dataclass(frozen=True)
class ServedVersion:
    """The model version that an application answers with."""

    uri: pulumi.Input[str]
    """The version as MLflow names it: `models:/<name>/<version>`."""
    data_digest: pulumi.Input[str] | None = None
    """Digest of the data that it was trained on, for the ledger."""
    environment: pulumi.Input[Any] | None = None
    """Packages of its own, a `heliostat.spec.logged_models.ModelEnvironment`, where it does not run in what is installed."""


class Application(Resource):
    """A Ray Serve application behind a contract, moved into place by its strategy.

    The strategy is a value of `heliostat.spec.strategies`, from a stack's config or from code:

        Serving(strategy=Canary(
            steps=(CanaryStep(weight=10), CanaryStep(weight=50, approval=True)),
            analysis=Analysis(
                checks=(SuccessRate(at_least=0.99), Latency(quantile=0.99, times=1.5)),
                seconds=60,
            ),
        ))

    Args:
        name: The application's name, in its URL too: lower case, digits and dashes, 40 characters at most.
        code: The source files that the contract, the steps behind the model and the strategy's own functions need.
        contract: The entry point of a `heliostat.ml.contracts.Contract`, as `package.module:NAME`.
        model: The model version that it answers with.
        serving: How it answers, and how the next version takes its place.
        platform: Where it runs.
        opts: Pulumi's resource options.
        proto: The contract's own definition in Protocol Buffers, as `heliostat proto` writes it; for gRPC.
    """

    token = "heliostat:index:Application"  # noqa: S105 - a type, no secret
    outputs = ("digest", "url", "openapi_url")

    def __init__(  # noqa: PLR0913 - a declaration names its parts
        self,
        name: str,
        code: Code,
        contract: str,
        model: ServedVersion,
        serving: Serving,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
        *,
        proto: str | None = None,
    ) -> None:
        super().__init__(
            name,
            opts,
            name=name,
            code=code,
            contract=contract,
            proto=proto,
            model_uri=model.uri,
            data_digest=model.data_digest,
            environment=model.environment,
            **shared(serving, ReplicaScale),
            **{**shared(serving, AnswerSettings), "postprocessing": serving.postprocessing or None},
            group=platform.group(serving.group),
            startup_timeout_seconds=serving.startup_timeout_seconds,
            strategy=serving.strategy,
            store=platform.store,
            tracking_uri=platform.tracking_uri,
            tracking_access=platform.tracking_access,
            controller=platform.controller,
            cluster=pulumi.Output.from_input(platform.ray).apply(lambda address: address["url"]),
            cluster_session=platform.ray_session,
        )

    @property
    def url(self) -> pulumi.Output[str]:
        """The address at which clients reach it."""
        return self.output("url")

    @property
    def openapi_url(self) -> pulumi.Output[str]:
        """The address of its contract, as OpenAPI describes it."""
        return self.output("openapi_url")
