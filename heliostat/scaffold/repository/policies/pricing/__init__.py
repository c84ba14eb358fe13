# Made by scripts/policy_prices.py of heliostat/pricing: change it there.
"""What the resources of a plan cost by list. Pure: tables with source and date, and no network."""

from .estimate import Comparison, Declared, compare, price
from .model import HOURS_A_MONTH, Estimate, Item

__all__ = ["HOURS_A_MONTH", "Comparison", "Declared", "Estimate", "Item", "compare", "price"]
