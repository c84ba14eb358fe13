"""Heliostat: declarative infrastructure as code for machine learning on Ray."""

__version__ = "0.1.0"
