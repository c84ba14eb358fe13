"""LightGBM: `boosting` trains on several machines, `booster` answers without LightGBM's own Python. Import what is needed."""

__all__ = ["booster", "boosting"]
