"""The name that `heliostat.ml.frameworks.lightgbm.booster` had: code packages of versions that are kept import it by that."""

from heliostat.ml.frameworks.lightgbm.booster import Booster, parameter_aliases

__all__ = ["Booster", "parameter_aliases"]
