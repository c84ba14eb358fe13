"""What a workload's own tests ask: that its code has no mistake, and that a model keeps its contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from heliostat.convert.answers import TOLERANCE, differences
from heliostat.inspection.mistakes import inspected, mistakes_of
from heliostat.ml.contracts import Contract, Predictor
from heliostat.serving.dataplane import DataPlane
from heliostat.serving.golden import GoldenFailures
from heliostat.serving.personal import PersonalData
from heliostat.serving.prediction_log.columns import Columns
from heliostat.serving.prediction_log.writer import PredictionLog
from heliostat.spec.inspection import Asked, InspectionTask, Role
from heliostat.spec.personal import Privacy
from heliostat.spec.workload import Limits
from heliostat.systems.personal_keys import Keyring
from heliostat.testing.declarations import version


def assert_workload(
    package: str,
    limits: Limits | None = None,
    *,
    dataset: str = "dataset:snapshot",
    train: str = "train:train",
    predictor: str = "predictor:Model",
    contract: str = "contract:CONTRACT",
) -> None:
    """Assert that the code of a workload (`workloads.flights`) has no mistake that a preview would tell.

    Its entry points are `module:name` below `package`, by default those of `heliostat.resources.served_model.by_convention`.

    Raises:
        AssertionError: with every mistake.
    """
    roles = {dataset: Role.DATASET, train: Role.TRAINING, predictor: Role.PREDICTOR, contract: Role.CONTRACT}
    asked = tuple(Asked(entry_point=f"{package}.{name}", role=role) for name, role in roles.items())
    found = inspected(InspectionTask(asked=asked, limits=limits or Limits()))
    if found.mistakes:
        raise AssertionError("\n".join(f"{each.entry_point}: {each.text}" for each in found.mistakes))


def assert_contract(contract: Contract[Any, Any], predictor: Predictor | None = None, limits: Limits | None = None) -> None:
    """Assert that a contract can work; with a `predictor`, that golden requests and examples are answered as they shall be.

    They go the way of a request in a replica, but for the network and the log.

    Raises:
        AssertionError: with every mistake, or every golden request that is answered otherwise than it expects.
    """
    limits = limits or Limits()
    if mistakes := list(mistakes_of(contract, limits)):
        raise AssertionError("\n".join(mistakes))
    if predictor is None:
        return
    keys = Keyring([("under-test", b"under test")])
    personal = PersonalData(contract, Columns.of(contract.row, contract.answer), Privacy(), keys)
    plane = DataPlane(
        contract, predictor, version(label="under test", limits=limits), cast("PredictionLog", None), personal=personal
    )
    try:
        plane.check_golden()
    except GoldenFailures as error:
        raise AssertionError("\n".join(f"{each['name']}: {each['reason']}" for each in error.failures)) from None
    plane.answers(contract.examples)


def assert_answers(
    contract: Contract[Any, Any], predictor: Predictor, recorded: Sequence[Mapping[str, Any]], tolerance: float = TOLERANCE
) -> None:
    """Assert that a converted workload answers as its source did, each row asked on its own.

    `recorded` are mappings with a `request`, the `prediction` of it and, where there are some, its `probabilities` by class.

    Raises:
        AssertionError: with every answer that is another one.
    """
    if found := differences(contract, predictor, recorded, tolerance):
        raise AssertionError("\n".join(found))
