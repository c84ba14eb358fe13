"""A package for each library that models are made with; nothing else of Heliostat imports one."""

__all__ = ["jax", "lightgbm", "scikit_learn"]
