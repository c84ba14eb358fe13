"""What tests of workloads, strategies, backends and whole stacks build on.

`assert_workload` and `assert_contract` are for workloads, `simulate` and `RolloutSimulation` for strategies, `LocalStack` for
all of it at once. Backends in memory are in `heliostat.testing.backends` and `heliostat.testing.jobs`. A backend's tests
inherit the suite of its seam from `heliostat.testing.conformance`, which needs pytest and pytest-asyncio.
"""

from heliostat.testing.commands import CommandError, CommandResult
from heliostat.testing.declarations import desired, version
from heliostat.testing.local_stack import LocalStack
from heliostat.testing.simulation import (
    RolloutOutcome,
    RolloutSimulation,
    SimulatedEvent,
    Traffic,
    VersionBehaviour,
    simulate,
)
from heliostat.testing.stack_configs import load_stack
from heliostat.testing.workloads import assert_answers, assert_contract, assert_workload

__all__ = [
    "CommandError",
    "CommandResult",
    "LocalStack",
    "RolloutOutcome",
    "RolloutSimulation",
    "SimulatedEvent",
    "Traffic",
    "VersionBehaviour",
    "assert_answers",
    "assert_contract",
    "assert_workload",
    "desired",
    "load_stack",
    "simulate",
    "version",
]
