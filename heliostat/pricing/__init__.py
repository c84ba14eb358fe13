"""What the resources of a plan cost by list. Pure: tables with source and date, and no network."""

from heliostat.pricing.estimate import Comparison, Declared, compare, price
from heliostat.pricing.model import HOURS_A_MONTH, Estimate, Item

__all__ = ["HOURS_A_MONTH", "Comparison", "Declared", "Estimate", "Item", "compare", "price"]
