"""Packages that only some workloads need: extras of the library."""

from __future__ import annotations

import importlib.util

__all__ = ["require"]


def require(package: str, extra: str) -> None:
    """Tell, where a module that cannot do without `package` is imported, which extra of the library installs it.

    A preview imports a workload's code, so that it is told there.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    if importlib.util.find_spec(package) is None:
        text = f"{package} is not installed: name heliostat[{extra}] in the requirements, and install them"
        raise ModuleNotFoundError(text, name=package)
