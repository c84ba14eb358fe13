"""What the provider asks of a workload's code before anything starts, and what it is told.

The code is imported in a process of its own (`heliostat.inspection`): neither the program nor the plugin does so.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from heliostat.spec.addresses import Access
from heliostat.spec.base import EntryPoint, Model, Name, Parameters, is_empty, is_none
from heliostat.spec.expectations import Expectations
from heliostat.spec.personal import Privacy
from heliostat.spec.workload import Limits


class Role(StrEnum):
    """What an entry point is to be."""

    DATASET = "dataset"
    INGESTED = "ingested"
    """A data set's function that is given rows."""
    AUGMENTATION = "augmentation"
    TRANSFORMATION = "transformation"
    TRAINING = "training"
    FEDERATION = "federation"
    PRIVATE_FEDERATION = "private-federation"
    """The same, whose updates can be clipped."""
    PREDICTOR = "predictor"
    CONTRACT = "contract"
    CHECK = "check"
    METRIC = "metric"
    POSTPROCESSING = "postprocessing"


class Asked(Model):
    """An entry point, and what it is to be."""

    entry_point: EntryPoint
    role: Role
    parameters: Parameters = Field(default={}, exclude_if=is_empty)
    """That a post-processing step is declared with."""


class ServedModelAddress(Model):
    """A model that a contract's predictor is to load."""

    uri: str
    tracking_uri: str
    tracking_access: Access | None = None


class KeptProto(Model):
    """A contract's own definition in Protocol Buffers, as the workload's folder has it."""

    application: Name
    text: str
    """Empty where there is no file."""


class InspectionTask(Model):
    """What is to be looked at; the working directory holds the code."""

    asked: tuple[Asked, ...]
    limits: Limits = Field(default_factory=Limits)
    """Of one request, that golden requests have to keep."""
    expectations: Expectations | None = Field(default=None, exclude_if=is_none)
    """What is expected of an application's requests beyond its contract."""
    privacy: Privacy | None = Field(default=None, exclude_if=is_none)
    """What the contract's personal fields are treated with; None: nothing is declared."""
    is_application: bool = Field(default=False, exclude_if=is_empty)
    """Whether it is asked for a stack's application, whose config has the keys."""
    queue: bool = Field(default=False, exclude_if=is_empty)
    """Whether the application takes tasks."""
    model: ServedModelAddress | None = None
    proto: KeptProto | None = None
    """The definition to hold the contract against; None where it has no such service."""


class Told(Model):
    """What is wrong with one entry point."""

    entry_point: EntryPoint
    text: str


class Inspection(Model):
    """What came of it."""

    mistakes: tuple[Told, ...] = ()
    model: str = ""
    """Why the contract's predictor cannot serve the model; empty where it can, or nobody asked."""
    closed: str = ""
    """Why nobody is let in to the model, so that it was not looked at."""
    proto: str = ""
    """Why the definition that is kept is not the contract's; empty where it is, or nobody asked."""
    answer: dict[str, bool] | None = None
    """The fields of the contract's answer, and whether each can be a number; None where there is no contract, or it can
    have any field."""
    inputs: tuple[str, ...] | None = None
    """The fields of the contract's rows, as clients name them; None where there is no contract."""
    personal: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """Those of them that are marked as personal, or have parts that are, by all of their names."""
    unlogged: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """Those of the inputs that are never logged."""
