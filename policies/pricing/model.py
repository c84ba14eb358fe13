# Made by scripts/policy_prices.py of heliostat/pricing: change it there.
"""An estimate and its parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

HOURS_A_MONTH: Final = 730


@dataclass(frozen=True)
class Item:
    """Something that costs by the hour."""

    what: str
    """As `node group a10g: 0 to 4 g5.xlarge`."""
    least: float
    """USD an hour at the fewest nodes."""
    most: float
    """USD an hour at the most."""
    spot: bool = False
    """Whether that is a spot price, which changes by the day."""


@dataclass(frozen=True)
class ByUse:
    """Something that costs by what goes through it or lies in it, which a plan does not say."""

    what: str


@dataclass(frozen=True)
class Unknown:
    """Something whose price is not in the tables, or whose size is not known yet."""

    what: str


Finding = Item | ByUse | Unknown


@dataclass(frozen=True)
class Estimate:
    """What some resources cost, by list, in USD, without taxes, discounts and what is paid by use."""

    items: tuple[Item, ...] = ()
    by_use: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    """Where the prices are from, with their dates."""

    @classmethod
    def of(cls, findings: Iterable[Finding], sources: Iterable[str]) -> Estimate:
        """The estimate that `findings` make."""
        found = list(findings)
        return cls(
            items=tuple(each for each in found if isinstance(each, Item)),
            by_use=tuple(dict.fromkeys(each.what for each in found if isinstance(each, ByUse))),
            unknown=tuple(dict.fromkeys(each.what for each in found if isinstance(each, Unknown))),
            sources=tuple(dict.fromkeys(sources)),
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that anybody pays for."""
        return not (self.items or self.by_use or self.unknown)

    def least(self, *, spot: bool | None = None) -> float:
        """USD an hour at the fewest nodes; of what is at spot prices, or is not, alone where asked for."""
        return sum(item.least for item in self.items if spot in (None, item.spot))

    def most(self, *, spot: bool | None = None) -> float:
        """The same at the most nodes."""
        return sum(item.most for item in self.items if spot in (None, item.spot))
