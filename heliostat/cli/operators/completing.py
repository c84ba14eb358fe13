"""What a shell completes: names of stacks and applications, read from files alone; nothing is asked and nothing started.

Each press of the tab key starts the command anew, so nothing heavy is imported here. What cannot be found out is left out.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

    from heliostat.cli.session import Place

PARTS = ("controller", "haproxy", "mlflow", "ray")
"""Of a platform, as `heliostat logs` names them."""
_APPLICATION_TYPE = "heliostat:index:Application"


def stacks(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Names of the project's stacks: those that were made, where the state is in files, and those with a config file."""
    from heliostat.engine.errors import EngineError

    place = _place()
    if place is None or place.project is None:
        return []
    names = {path.stem.removeprefix("Pulumi.") for path in place.project.config_folder.glob("Pulumi.*.y*ml")}
    try:
        if _is_in_files(place):
            names |= {ref.name for ref in place.backend.stacks(place.project.name)}
    except (EngineError, OSError):
        pass
    return _fitting(names, incomplete)


def applications(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Names of the stack's applications, as its state has them; none where that is not in files."""
    return _fitting(_applications(context), incomplete)


def loggable(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Names that `heliostat logs` takes: applications and parts; one that is both, as each of the two."""
    named, parts = _applications(context), set(PARTS)
    both = {f"{kind}/{name}" for name in named & parts for kind in ("app", "part")}
    return _fitting((named ^ parts) | both, incomplete)


def _applications(context: click.Context) -> set[str]:
    from heliostat.engine.errors import EngineError

    place = _place()
    try:
        if place is None or not _is_in_files(place):
            return set()
        deployment = place.backend.read(place.stack(context.params.get("stack"))).deployment or {}
        found = [one.get("outputs") or {} for one in deployment.get("resources") or [] if one["type"] == _APPLICATION_TYPE]
    except (EngineError, OSError, KeyError, TypeError, AttributeError):
        return set()
    return {str(one["name"]) for one in found if one.get("name")}


def _place() -> Place | None:
    """The project around the working folder, with what the checkout says of its state and its stack; None outside of one."""
    from heliostat.cli.checkout import CheckoutError, find
    from heliostat.cli.session import Place
    from heliostat.engine.errors import EngineError

    try:
        os.environ.update(find(["stack"], os.environ, Path.cwd()).variables)
        place = Place.here()
    except (CheckoutError, EngineError, OSError):
        return None
    return place if place.project is not None else None


def _is_in_files(place: Place) -> bool:
    """Whether the state can be read without a network."""
    from heliostat.engine.state.backend import backend_url, pulumi_home

    own = place.project.backend_url if place.project else ""
    return backend_url(place.environment, own, pulumi_home(place.environment)).startswith("file://")


def _fitting(names: Collection[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
