"""What tests of workloads, backends and strategies build on: backends in memory, and suites that each backend inherits.

A backend's test inherits the suite of its seam from `heliostat.testing.conformance` and gives its fixtures; the suites need
pytest and pytest-asyncio.
"""
