"""What is watched of an application once it serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi

from heliostat.resources.application import ServedVersion
from heliostat.resources.base import Address, Resource
from heliostat.resources.platform import Platform
from heliostat.spec import monitors
from heliostat.spec.ingestion import WatchedSource
from heliostat.spec.personal import Privacy
from heliostat.spec.problem import Problem
from heliostat.spec.training_resources import Code
from heliostat.spec.workload import Scaling

if TYPE_CHECKING:
    from heliostat.data.schema import Transformed  # brings numpy, which a program without it does without


class Monitor(Resource):
    """Windows of an application's prediction log held against what its version was trained and tested on, and alarms.

    It looks once when something of it changes, and then by its schedule; the controller starts each look as a job on the
    cluster. A deletion ends the schedule and keeps what was found.

        Monitor("flights", code, "workloads.flights.contract:CONTRACT", served, data.address, declared, platform)

    Args:
        name: The application's name.
        code: The source files that the contract and the workload's own metrics need.
        contract: The entry point of a `heliostat.ml.contracts.Contract`, as `package.module:NAME`.
        model: The model version that serves.
        dataset: The `address` of the snapshot that it was trained and tested on; None of a model of others, whose first
            answers are what later ones are held against.
        monitor: What is watched, how often, and who is told.
        platform: Where it runs and is kept.
        opts: Pulumi's resource options.
        problem: The workload's task, and metrics of its own.
        transformed: What is expected after the workload's own transformation; the code has its function, too.
        data_value: What the parameter that a retraining sets is declared to be, where this stack trains.
        new_data: What its data's rows, or their labels, are ingested from, where this stack trains: new ones count for a
            retraining as labelled rows of the log do.
        scaling: How wide its training runs, which says what a retraining costs where its policy has a budget.
        privacy: The application's, where its contract has personal fields.
    """

    token = "heliostat:index:Monitor"  # noqa: S105 - a type, no secret
    outputs = ("reference", "reports_uri")

    def __init__(  # noqa: PLR0913 - a declaration names its parts
        self,
        name: str,
        code: Code,
        contract: str,
        model: ServedVersion,
        dataset: pulumi.Input[Address] | None,
        monitor: monitors.Monitor,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
        *,
        problem: Problem | None = None,
        data_value: str | None = None,
        new_data: WatchedSource | None = None,
        scaling: Scaling | None = None,
        transformed: Transformed | None = None,
        privacy: Privacy | None = None,
    ) -> None:
        budgeted = scaling if monitor.retraining is not None and monitor.retraining.budget_usd is not None else None
        super().__init__(
            name,
            opts,
            name=name,
            code=code,
            contract=contract,
            model_uri=model.uri,
            environment=model.environment,
            dataset=dataset,
            problem=problem,
            monitor=monitor,
            data_value=data_value,
            new_data=new_data if monitor.retraining is not None else None,
            scaling=budgeted,
            transformed=transformed.model_dump(mode="json") if transformed is not None else None,
            group=platform.group(budgeted.group) if budgeted is not None else None,
            privacy=privacy,
            store=platform.store,
            ray=platform.ray,
            tracking_uri=platform.tracking_uri,
        )

    @property
    def reports_uri(self) -> pulumi.Output[Any]:
        """Where its state and reports lie in the object store."""
        return self.output("reports_uri")
