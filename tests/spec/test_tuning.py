"""Which settings a tuning tries."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import Field, ValidationError

from heliostat.spec.parameters import JobParameters
from heliostat.spec.tuning import Tuning, settings, space_mistakes

SPACE = {
    "rate": {"kind": "log-uniform", "low": 0.001, "high": 1.0},
    "leaves": {"kind": "whole", "low": 2, "high": 64},
    "kind": {"kind": "choice", "values": ["a", "b"]},
}
DECLARED = {"rate": 0.1, "leaves": 31, "kind": "a", "seed": 7}


class Parameters(JobParameters):
    rate: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    leaves: Annotated[int, Field(ge=2)] = 31
    kind: str = "a"


def tuning(**changes: Any) -> Tuning:
    return Tuning.model_validate({"metric": "r2", "space": SPACE, **changes})


def test_what_is_declared_is_tried_first_and_each_setting_once() -> None:
    found = settings(DECLARED, tuning(trials=20))
    assert found[0] == {"rate": 0.1, "leaves": 31, "kind": "a"}
    assert len(found) == 20
    assert all(found.count(each) == 1 for each in found)
    assert all(0.001 <= each["rate"] <= 1 and 2 <= each["leaves"] <= 64 for each in found)  # type: ignore[operator]


def test_the_same_seed_tries_the_same_and_another_others() -> None:
    assert settings(DECLARED, tuning()) == settings(DECLARED, tuning())
    assert settings(DECLARED, tuning()) != settings(DECLARED, tuning(seed=8))


def test_a_space_that_has_fewer_settings_is_tried_whole() -> None:
    found = settings(DECLARED, tuning(trials=9, space={"kind": SPACE["kind"]}))
    assert sorted(str(each["kind"]) for each in found) == ["a", "b"]


def test_a_space_that_the_parameters_do_not_take_is_told_with_its_place() -> None:
    found = dict(space_mistakes(tuning(space={**SPACE, "leafs": SPACE["leaves"]}), Parameters()))
    assert set(found) == {("space", "rate", "high"), ("space", "leafs")}
    assert "there is no such parameter (there are: rate, leaves, kind)" in found["space", "leafs"]


@pytest.mark.parametrize(
    "space", [{}, {"x": {"kind": "uniform", "low": 1, "high": 1}}, {"x": {"kind": "choice", "values": [1]}}]
)
def test_a_space_without_a_choice_is_refused(space: Any) -> None:
    with pytest.raises(ValidationError):
        tuning(space=space)
