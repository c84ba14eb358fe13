"""Predictions of a model over many rows, made beforehand."""

from __future__ import annotations

import pulumi

from heliostat.resources.application import ServedVersion
from heliostat.resources.base import Address, Resource
from heliostat.resources.platform import Platform
from heliostat.spec.base import shared
from heliostat.spec.batch import Batch, BatchRun
from heliostat.spec.personal import Privacy
from heliostat.spec.postprocessing import PostprocessingStep
from heliostat.spec.training_resources import Code


class BatchPrediction(Resource):
    """What a model predicts for the rows of a data set, of Parquet files or of a query: each once, whoever is killed.

    It is made with Ray Data when something of it changes, and by the controller when its schedule says so. A deletion ends the
    schedule and keeps what was predicted.

        BatchPrediction("flights-nightly", "flights", code, "workloads.flights.contract:CONTRACT", served, Batch(
            source=ParquetSource(uri="s3://bucket/timetable"), key=("carrier", "scheduled_departure"), sink=SqliteSink(),
            schedule="0 3 * * *",
        ), platform)

    Args:
        name: The prediction's own name: lower case, digits and dashes, 40 characters at most.
        application: The application that answers as it does.
        code: The source files that the contract and the steps behind the model need.
        contract: The entry point of a `heliostat.ml.contracts.Contract`, as `package.module:NAME`.
        model: The model version that predicts.
        batch: The rows, where their predictions go, and when.
        platform: Where it runs and is kept.
        dataset: The `address` of the workload's snapshot, for a source that is a split of it.
        opts: Pulumi's resource options.
        postprocessing: The application's steps behind the model: their answers are kept beside the predictions.
        privacy: The application's, where its contract has personal fields.
    """

    token = "heliostat:index:BatchPrediction"  # noqa: S105 - a type, no secret
    outputs = ("result", "result_uri")

    def __init__(  # noqa: PLR0913 - a declaration names its parts
        self,
        name: str,
        application: str,
        code: Code,
        contract: str,
        model: ServedVersion,
        batch: Batch,
        platform: Platform,
        dataset: pulumi.Input[Address] | None = None,
        opts: pulumi.ResourceOptions | None = None,
        *,
        postprocessing: tuple[PostprocessingStep, ...] = (),
        privacy: Privacy | None = None,
    ) -> None:
        super().__init__(
            name,
            opts,
            name=name,
            application=application,
            code=code,
            contract=contract,
            model_uri=model.uri,
            environment=model.environment,
            dataset=dataset,
            source=batch.source,
            sink=batch.sink,
            key=batch.key,
            columns=batch.columns,
            postprocessing=postprocessing or None,
            schedule=batch.schedule,
            privacy=privacy,
            **shared(batch, BatchRun),
            store=platform.store,
            ray=platform.ray,
            tracking_uri=platform.tracking_uri,
        )

    @property
    def result_uri(self) -> pulumi.Output[str]:
        """The manifest of the result in the object store."""
        return self.output("result_uri")
