"""What tests of workloads, strategies and backends build on.

`assert_workload` and `assert_contract` are for workloads, `simulate` and `RolloutSimulation` for strategies. Backends in
memory are in `heliostat.testing.backends` and `heliostat.testing.jobs`. A backend's tests inherit the suite of its seam from
`heliostat.testing.conformance`, which needs pytest and pytest-asyncio.
"""

from heliostat.testing.declarations import desired, version
from heliostat.testing.simulation import (
    RolloutOutcome,
    RolloutSimulation,
    SimulatedEvent,
    Traffic,
    VersionBehaviour,
    simulate,
)
from heliostat.testing.workloads import assert_contract, assert_workload

__all__ = [
    "RolloutOutcome",
    "RolloutSimulation",
    "SimulatedEvent",
    "Traffic",
    "VersionBehaviour",
    "assert_contract",
    "assert_workload",
    "desired",
    "simulate",
    "version",
]
