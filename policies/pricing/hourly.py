# Made by scripts/policy_prices.py of heliostat/pricing: change it there.
"""What costs by the hour in every cloud alike, by a region's table."""

from __future__ import annotations

from .model import HOURS_A_MONTH, Finding, Item, Unknown
from .tables import Table


def hourly(what: str, hour: float) -> Item:
    """Something whose number does not change."""
    return Item(what, hour, hour)


def listed(what: str, hour: float | None) -> Finding:
    """The same by a price that the table may not have."""
    return hourly(what, hour) if hour is not None else Unknown(what)


def volume(what: str, gib: float | None, kind: str, region: str | None, prices: Table, count: float = 1) -> Finding:
    """A disk's price."""
    each = prices.service(region, "volumeGibMonth", kind)
    if gib is None or each is None:
        return Unknown(f"{what} ({kind})")
    return hourly(what, gib * each * count / HOURS_A_MONTH)


def load_balancer(what: str, region: str | None, prices: Table) -> Finding:
    """A network load balancer's price."""
    return listed(what, prices.service(region, "loadBalancerHour"))
