"""The name that `heliostat.ml.frameworks.lightgbm.boosting` had: code packages of versions that are kept import it by that."""

from heliostat.ml.frameworks.lightgbm.boosting import Examples, Plan, boost, figure_name, lightgbm

__all__ = ["Examples", "Plan", "boost", "figure_name", "lightgbm"]
