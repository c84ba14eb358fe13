"""What the modules of the workloads declare, for whoever reads a stack's config. The checkout has to be on the path."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from heliostat.spec.parameters import JobParameters
from heliostat.spec.problem import Problem


def workload_module(name: str) -> ModuleType:
    """The workload.py of a workload. Raises ModuleNotFoundError where there is none."""
    return import_module(f"workloads.{name.replace('-', '_')}.workload")


def parameters_of(name: str) -> JobParameters | None:
    """The training's parameters that a workload declares as `TRAINING` in its workload.py."""
    found = getattr(_module_or_none(name), "TRAINING", None)
    return found if isinstance(found, JobParameters) else None


def problem_of(name: str) -> Problem | None:
    """The task and the metrics that a workload's `declare` was made with."""
    found = getattr(getattr(_module_or_none(name), "declare", None), "problem", None)
    return found if isinstance(found, Problem) else None


def _module_or_none(name: str) -> ModuleType | None:
    """The workload.py of a workload; None of one whose model others logged, which has none."""
    try:
        return workload_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith(f"workloads.{name.replace('-', '_')}"):
            return None
        raise
