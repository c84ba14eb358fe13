"""The parameters of the training, each with its type, range and default; a stack's config overrides them."""

from heliostat.spec.parameters import JobParameters
from pydantic import PositiveFloat


class Training(JobParameters):
    """How the model is fitted."""

    regularization: PositiveFloat = 1.0
