"""A model version as a wheel."""

from __future__ import annotations

import pulumi

from heliostat.resources.application import ServedVersion
from heliostat.resources.base import Resource
from heliostat.resources.platform import Platform
from heliostat.spec.packages import Package, default_distribution
from heliostat.spec.postprocessing import PostprocessingStep
from heliostat.spec.training_resources import Code


class ModelPackage(Resource):
    """A wheel with a model, its features and its contract, without Ray, MLflow or Pulumi, which answers as the service does.

    It is published to the object store, and to another index where the declaration names one. A deletion leaves what was
    published, unless `on_destroy` says otherwise.

        ModelPackage("flights", code, "workloads.flights.contract:CONTRACT", served, Package(), platform)

    Args:
        name: The application's name, in the wheel's by default: lower case, digits and dashes, 40 characters at most.
        code: The source files that the contract and the steps behind the model need.
        contract: The entry point of a `heliostat.ml.contracts.Contract`, as `package.module:NAME`.
        model: The model version that is packed.
        package: What it is called, and where it is published.
        platform: Where it is made and kept.
        opts: Pulumi's resource options.
        postprocessing: The application's steps behind the model, which the package has too.
    """

    token = "heliostat:index:ModelPackage"  # noqa: S105 - a type, no secret
    outputs = ("version", "file", "sha256", "uri", "index_uri", "schema_digest")

    def __init__(  # noqa: PLR0913 - a declaration names its parts
        self,
        name: str,
        code: Code,
        contract: str,
        model: ServedVersion,
        package: Package,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
        *,
        postprocessing: tuple[PostprocessingStep, ...] = (),
    ) -> None:
        super().__init__(
            name,
            opts,
            name=name,
            distribution=package.distribution or default_distribution(name),
            code=code,
            contract=contract,
            model_uri=model.uri,
            data_digest=model.data_digest,
            postprocessing=postprocessing or None,
            index=package.index,
            on_destroy=package.on_destroy,
            store=platform.store,
            ray=platform.ray,
            tracking_uri=platform.tracking_uri,
        )

    @property
    def version(self) -> pulumi.Output[str]:
        """The wheel's version, as `3.0`."""
        return self.output("version")

    @property
    def uri(self) -> pulumi.Output[str]:
        """The wheel's URI in the object store."""
        return self.output("uri")

    @property
    def index_uri(self) -> pulumi.Output[str]:
        """The URI of the object store's index."""
        return self.output("index_uri")
