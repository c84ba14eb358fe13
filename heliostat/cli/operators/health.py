"""How the parts of a platform are: values, and what they come to; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from heliostat.cli.operators.monitors import MonitorStatus
from heliostat.cli.operators.packages import Package
from heliostat.cli.operators.serving import Application
from heliostat.spec.formatting import joined
from heliostat.spec.snapshot_settings import sample_text


class Health(StrEnum):
    """How a part is."""

    OK = "ok"
    DEGRADED = "degraded"
    """It answers, and something of it is not as declared."""
    UNFIT = "unfit"
    """It answers, and is of a release or set up in a way that heliostat cannot work with."""
    DOWN = "down"
    """It does not answer."""


@dataclass(frozen=True)
class PartHealth:
    """One part of a platform."""

    part: str
    address: str
    health: Health
    version: str = ""
    detail: str = ""
    """What is wrong, with what to do about it; or what else there is to know."""


@dataclass(frozen=True)
class PlatformStatus:
    """Everything that `heliostat status` shows."""

    stack: str
    owner: str
    parts: tuple[PartHealth, ...] = ()
    applications: tuple[Application, ...] | None = None
    """None where the controller does not say."""
    packages: tuple[Package, ...] = ()
    """The newest wheel of each model that is a package too."""
    monitors: tuple[MonitorStatus, ...] = ()
    """What is watched, with its newest finding."""
    problem: str = ""
    """Why there is no platform."""
    samples: Mapping[str, float] = field(default_factory=dict)
    """The share of the rows that models of the stack are trained and judged on, by workload; only where that is not all."""

    @property
    def is_well(self) -> bool:
        """Whether every part is ok and every application answers its clients."""
        parts = not self.problem and all(one.health is Health.OK for one in self.parts)
        return parts and all(one.is_well for one in self.applications or ())

    @property
    def advice(self) -> tuple[str, ...]:
        """What to do, in sentences."""
        if self.problem:
            return (self.problem,)
        down = [one.part for one in self.parts if one.health is Health.DOWN]
        incomplete = any(one.part == "ray" and one.health is Health.DEGRADED for one in self.parts)
        unfit = [one.part for one in self.parts if one.health is Health.UNFIT]
        silent = [one.name for one in self.applications or () if not one.is_well]
        found = [
            f"{name} is trained and judged on {sample_text(share)}: its figures are of that"
            for name, share in sorted(self.samples.items())
        ]
        if down:
            found.append(f"{joined(tuple(down))} {_does(down)} not answer: `heliostat up -s {self.owner}` starts what is gone")
            logged = [part for part in down if part != "store"]
            found += [f"`heliostat logs {logged[0]}` shows why"] if logged else []
        if incomplete:
            found.append(f"ray is incomplete: `heliostat up -s {self.owner}` starts what is missing")
        if unfit:
            found.append(f"{joined(tuple(unfit))} cannot be worked with as set up: the table says why")
        if silent:
            found.append(
                f"{joined(tuple(silent))} {_does(silent)} not answer clients: `heliostat logs {silent[0]} --all` shows why"
            )
        return tuple(found)

    def as_json(self) -> dict[str, Any]:
        """For a program to read."""
        applications = None if self.applications is None else [one.as_json() for one in self.applications]
        return {
            "stack": self.stack,
            "platformStack": self.owner,
            "well": self.is_well,
            "problem": self.problem or None,
            "parts": [asdict(one) for one in self.parts],
            "applications": applications,
            "packages": [one.as_json() for one in self.packages],
            "monitors": [one.as_json() for one in self.monitors],
            "samples": dict(self.samples),
        }


def _does(names: Sequence[str]) -> str:
    return "does" if len(names) == 1 else "do"
