"""Heliostat: declarative infrastructure as code for machine learning on Ray."""
