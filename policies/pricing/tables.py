# Made by scripts/policy_prices.py of heliostat/pricing: change it there.
"""The price tables: files of this package. What is in none of them is not known, and never guessed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Cloud = Literal["aws", "gcp"]
NOWHERE = "a region that nothing names"


@dataclass(frozen=True)
class Table:
    """The prices of one cloud, in USD."""

    cloud: Cloud
    date: str
    sources: tuple[str, ...]
    everywhere: Mapping[str, float]
    """Services whose price is the same in each region."""
    services: Mapping[str, Mapping[str, Any]]
    """The others, by region."""
    machines: Mapping[str, Mapping[str, tuple[float | None, float | None]]]
    """An hour of a machine with its accelerators, on demand and spot, by region."""
    accelerators: Mapping[str, Mapping[str, tuple[float | None, float | None]]]
    """An hour of a GPU that is put beside a machine, alike."""

    def machine(self, region: str | None, name: str, *, spot: bool) -> float | None:
        """An hour of a machine; None where it is not known."""
        return _at(self.machines, region, name, spot=spot)

    def accelerator(self, region: str | None, name: str, *, spot: bool) -> float | None:
        """An hour of a GPU beside a machine; None where it is not known."""
        return _at(self.accelerators, region, name, spot=spot)

    def service(self, region: str | None, *path: str) -> Any:
        """A service's price by its keys; None where it is not known."""
        found: Any = self.services.get(region or "", {})
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    def told(self) -> list[str]:
        """Where the prices are from."""
        return [f"{source}; {self.cloud}, {self.date}" for source in self.sources]


@cache
def table(cloud: Cloud) -> Table:
    """The prices of `cloud`."""
    read = json.loads((files(__package__) / "data" / f"{cloud}.json").read_text())
    return Table(
        cloud=cloud,
        date=read["date"],
        sources=tuple(read["sources"]),
        everywhere=read["everywhere"],
        services=read["services"],
        machines=read["machines"],
        accelerators=read.get("accelerators", {}),
    )


def _at(
    prices: Mapping[str, Mapping[str, tuple[float | None, float | None]]], region: str | None, name: str, *, spot: bool
) -> float | None:
    both = prices.get(region or "", {}).get(name)
    return both[1 if spot else 0] if both is not None else None
