"""Inputs and outputs of the resource Monitor."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from heliostat.spec.addresses import RayAddress, StoreAddress
from heliostat.spec.base import EntryPoint, Model, Name, is_none
from heliostat.spec.groups import ChosenGroup
from heliostat.spec.ingestion import WatchedSource
from heliostat.spec.logged_models import ModelEnvironment
from heliostat.spec.monitors import Monitor
from heliostat.spec.personal import Privacy
from heliostat.spec.problem import Problem
from heliostat.spec.training_resources import Code, DatasetAddress
from heliostat.spec.workload import Scaling


class MonitorInputs(Model):
    """What is watched of an application."""

    name: Name
    """The application's."""
    code: Code
    """What the contract and the workload's own metrics need."""
    contract: EntryPoint
    """A `heliostat.ml.contracts.Contract` of the workload."""
    model_uri: str
    """`models:/<name>/<version>`"""
    dataset: DatasetAddress | None = Field(default=None, exclude_if=is_none)
    """What the version was trained and tested on; None of a model of others."""
    problem: Problem | None = Field(default=None, exclude_if=is_none)
    monitor: Monitor
    data_value: str | None = Field(default=None, exclude_if=is_none)
    """What the parameter that a retraining sets is declared to be; None where none is named, or nothing trains here."""
    new_data: WatchedSource | None = Field(default=None, exclude_if=is_none)
    """What new rows are counted of where it has a retraining; None where rows are not ingested, or nothing trains here."""
    scaling: Scaling | None = Field(default=None, exclude_if=is_none)
    """How wide the training runs, where a retraining has a budget: what an hour costs follows from it."""
    group: ChosenGroup | None = Field(default=None, exclude_if=is_none)
    """The group of nodes that it runs on."""
    transformed: dict[str, Any] | None = Field(default=None, exclude_if=is_none)
    """What the workload's schema expects after its own transformation (`heliostat.data.schema.Transformed`)."""
    environment: ModelEnvironment | None = Field(default=None, exclude_if=is_none)
    """Packages of the model's own; None where it runs in what is installed."""
    privacy: Privacy | None = Field(default=None, exclude_if=is_none)
    """The application's: what the contract marks as personal is treated in what a version is held against."""
    store: StoreAddress
    ray: RayAddress
    tracking_uri: str


class MonitorOutputs(MonitorInputs):
    """The same, once it has looked and is on schedule. What it finds later is no drift of the declaration."""

    reference: str
    """The digest of what the version is held against."""
    reports_uri: str
    """Where its state and reports lie."""
