"""From a version that answers from predictions to its data plane in this process."""

from __future__ import annotations

from typing import NamedTuple

from heliostat.serving.dataplane import DataPlane
from heliostat.serving.lookup.predictor import LookupPredictor
from heliostat.serving.lookup.table import LookupTable
from heliostat.serving.opening import loaded, plane_of
from heliostat.serving.personal import hashed_fields
from heliostat.spec.batch import Lookup
from heliostat.spec.rollouts import ServingArguments
from heliostat.systems.objects import open_store


class LookingUp(NamedTuple):
    """What answers from a table first."""

    plane: DataPlane
    predictor: LookupPredictor
    """The plane's own. It asks the model for everything until it is to `serve`."""
    table: LookupTable
    """As it was found; nothing newer is looked for until it is to `follow`."""


def open_looking_up(arguments: ServingArguments, settings: Lookup) -> LookingUp:
    """What answers from the predictions that `settings` names, and from the model where there is none.

    Raises:
        PermanentError: the contract or the model cannot be loaded, the library is not the version's, or the store refuses.
        RetryableError: the store does not answer.
    """
    version = arguments.version
    table = LookupTable(open_store(version.store), settings.batch, version.model_uri)
    contract, predictor = loaded(version)
    looking = LookupPredictor(predictor, table, settings, hashed_fields(contract, version.privacy))
    return LookingUp(plane_of(arguments, contract, looking), looking, table)
