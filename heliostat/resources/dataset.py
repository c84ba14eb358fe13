"""An immutable snapshot of a workload's data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi

from heliostat.resources.base import Address, Resource
from heliostat.resources.platform import Platform
from heliostat.spec.base import Parameters
from heliostat.spec.problem import Problem
from heliostat.spec.training_resources import Code, ContractCode

if TYPE_CHECKING:
    from heliostat.data.ingestion import Ingestion


class Dataset(Resource):
    """The tables that a function of the workload returns, kept under their content's digest, with statistics and a schema.

    Args:
        name: The data set's name: lower case, digits and dashes, 40 characters at most.
        code: The source files that the entry point needs.
        entry_point: A function `(parameters) -> Tables | Parts` of `heliostat.ml.datasets`, as `package.module:name`.
        parameters: The values that the function is called with.
        platform: Where the function runs and the snapshot is kept, whose snapshots are taken by reference, and how much.
        opts: Pulumi's resource options.
        problem: What its label is held against; by default it is a number.
        data_schema: What is expected of it, as the text of a `schema.yaml`; data that is otherwise is no snapshot.
        ingestion: Where its rows come from; the entry point takes them as its second argument, after the parameters.
        contract: The workload's: values of columns that it marks as personal stand in no error.
    """

    token = "heliostat:index:Dataset"  # noqa: S105 - a type, no secret
    outputs = ("address", "rows", "statistics_uri", "schema_uri")

    def __init__(  # noqa: PLR0913 - what a declaration needs
        self,
        name: str,
        code: Code,
        entry_point: str,
        parameters: Parameters,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
        *,
        problem: Problem | None = None,
        data_schema: str | None = None,
        ingestion: Ingestion | None = None,
        contract: ContractCode | None = None,
    ) -> None:
        super().__init__(
            name,
            opts,
            name=name,
            code=code,
            entry_point=entry_point,
            parameters=parameters,
            problem=problem,
            data_schema=data_schema,
            ingestion=ingestion.model_dump(mode="json") if ingestion is not None else None,
            contract=contract,
            origin=platform.snapshots,
            sample=platform.sample,
            store=platform.store,
            ray=platform.ray,
        )

    @property
    def address(self) -> pulumi.Output[Address]:
        """The snapshot's URI and digest, a `DatasetAddress`."""
        return self.output("address")
