"""What tests of workloads, backends and strategies build on.

`assert_workload` and `assert_contract` are for workloads. Backends in memory are in `heliostat.testing.backends`. A backend's
tests inherit the suite of its seam from `heliostat.testing.conformance`, which needs pytest and pytest-asyncio.
"""

from heliostat.testing.workloads import assert_contract, assert_workload

__all__ = ["assert_contract", "assert_workload"]
