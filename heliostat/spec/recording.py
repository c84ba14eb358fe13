"""What `heliostat contract` asks of the process that loads a model, and what it is told (`heliostat.jobs.record`)."""

from __future__ import annotations

from typing import Any

from heliostat.spec.base import Model
from heliostat.spec.logged_models import Loader, Reads


class RecordingTask(Model):
    """A model, and the contract that is there already."""

    folder: str
    """Absolute path of MLflow's folder."""
    name: str
    """The model's address, for messages."""
    contract: dict[str, Any] | None = None
    """`reads`, `request`, `answer` and `examples` of the contract whose answers are to be recorded; None for a draft."""


class Found(Model):
    """What came of it."""

    mistake: str = ""
    """Why the model cannot be served as it is; empty where it can."""
    draft: dict[str, Any] = {}
    """`reads`, `request`, `answer` and `examples`, with questions where the signature is silent."""
    task: str = ""
    """The kind of problem, where that is plain from the model."""
    digest: str = ""
    """Of its `MLmodel`."""
    open: bool = False
    """Whether questions have to be answered before any answer can be recorded."""
    reads: Reads | None = None
    """The quickest way to give it rows."""
    loader: Loader = Loader.PYFUNC
    answers: tuple[Any, ...] = ()
    """To each of the examples, as JSON has them."""
