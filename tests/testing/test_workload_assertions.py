"""What a workload's own tests are told of its mistakes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

from heliostat.ml.contracts import Contract, Golden
from heliostat.spec.workload import Limits
from heliostat.testing import assert_contract, assert_workload


class Row(BaseModel, extra="forbid"):
    x: float


class Answer(BaseModel):
    half: float


class Halves:
    @classmethod
    def load(cls, directory: Path) -> Halves:
        return cls()

    def predict(self, columns):
        return np.asarray(columns["x"], dtype=float) / 2


class Wrong(Halves):
    def predict(self, columns):
        return np.asarray(columns["x"], dtype=float)


def contract(*golden: Golden) -> Contract:
    return Contract("Halves", "", Row, Answer, Halves, lambda score: Answer(half=score), (Row(x=4),), golden)


def halves(x: float, half: float) -> Golden:
    return Golden(str(x), {"x": x}, check=lambda answer: answer["half"] == half, expected=str(half))


def test_a_contract_that_a_model_keeps_passes() -> None:
    kept = contract(halves(4, 2.0), Golden("nothing", {}, status=422))
    assert_contract(kept)
    assert_contract(kept, Halves())


def test_every_mistake_of_a_contract_is_told_at_once() -> None:
    with pytest.raises(AssertionError) as failed:
        assert_contract(contract(Golden("a", {"y": 1}), Golden("b", {"x": 1}, status=422)))
    assert "refuses its own golden request 'a'" in str(failed.value)
    assert "takes its golden request 'b', which expects a refusal" in str(failed.value)


def test_every_golden_request_that_a_model_answers_otherwise_is_told() -> None:
    asked = contract(halves(4, 2.0), halves(6, 3.0))
    with pytest.raises(AssertionError, match=r"(?s)4: expected 2\.0, got \{'half': 4\.0\}.*6: expected 3\.0"):
        assert_contract(asked, Wrong())


def test_limits_of_the_config_hold() -> None:
    with pytest.raises(AssertionError, match=r"limits\.maxBodyBytes is 5"):
        assert_contract(contract(Golden("four", {"x": 4.000001})), limits=Limits(max_body_bytes=5))


def test_a_workload_of_this_repository_has_no_mistake() -> None:
    assert_workload("workloads.flights", predictor="predictor:FlightsPredictor")


def test_every_mistake_of_a_workload_is_told_with_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "my_workload"
    package.mkdir()
    (package / "dataset.py").write_text("def snapshot():\n    return None\n")
    (package / "train.py").write_text("train = 1\n")
    (package / "predictor.py").write_text("class Model:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with pytest.raises(AssertionError) as failed:
        assert_workload("my_workload")
    lines = str(failed.value).splitlines()
    told = {line.partition(": ")[0] for line in lines}
    assert told == {
        f"my_workload.{name}" for name in ("dataset:snapshot", "train:train", "predictor:Model", "contract:CONTRACT")
    }
