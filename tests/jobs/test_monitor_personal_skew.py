"""Both paths of rows whose personal inputs the log has treated: that nobody has them in clear is no skew."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import pyarrow as pa
import pytest
from pydantic import BaseModel, Field

from heliostat.jobs.monitoring import model as monitor_model
from heliostat.jobs.monitoring.model import Answering
from heliostat.jobs.monitoring.trials import trials
from heliostat.ml.contracts import Contract
from heliostat.ml.datasets import Tables, save
from heliostat.ml.personal import hashed, never_logged, truncated
from heliostat.monitoring.judging import Judge
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.findings import Finding, State
from heliostat.spec.monitoring import MonitorSpecification
from heliostat.spec.monitors import Monitor
from heliostat.spec.problem import Problem
from heliostat.spec.tasks import Regression
from heliostat.systems.objects import open_store

ROWS, NOW = 200, datetime(2026, 3, 4, tzinfo=UTC)
Score = Callable[[Any], Any]


class Applicant(BaseModel):
    email: Annotated[str, hashed(subject=True)]
    children: Annotated[int, never_logged()]
    postcode: Annotated[str, Field(pattern=r"^[0-9]{5}$"), truncated(keep=2)]
    age: Annotated[int, Field(ge=18), truncated(step=10)]
    income: float


class Decision(BaseModel):
    score: float


def people(seed: int) -> pa.Table:
    """Rows in clear, as a training has them."""
    draw = np.random.default_rng(seed)
    return pa.table(
        {
            "email": [f"p{seed}-{number}@example.org" for number in range(ROWS)],
            "children": draw.integers(0, 5, ROWS),
            "postcode": [f"{value}" for value in draw.integers(10_000, 99_999, ROWS)],
            "age": draw.integers(20, 80, ROWS),
            "income": draw.gamma(2, 10_000, ROWS),
        }
    )


def logged(rows: pa.Table, answers: Any) -> pa.Table:
    """The same rows as the log has them, with what was answered to them in clear."""
    return pa.table(
        {
            "email": ["hmac:k1:" + "0" * 32] * ROWS,
            "children": ["**********"] * ROWS,
            "postcode": [each[:2] for each in rows["postcode"].to_pylist()],
            "age": [each // 10 * 10.0 for each in rows["age"].to_pylist()],
            "income": rows["income"],
            "prediction": np.asarray(answers, dtype=float),
        }
    )


def found(
    folder: Path, patch: pytest.MonkeyPatch, score: Score, answered: Score | None = None, row: type[BaseModel] = Applicant
) -> dict[str, Finding]:
    """What a look finds of rows that the replica answered by `answered`, by default the model itself."""

    class Model:
        @classmethod
        def load(cls, directory: Path) -> Self:
            return cls()

        def predict(self, columns: Any) -> Any:
            return np.asarray(score({name: np.asarray(column) for name, column in columns.items()}), dtype=float)

    example = row(email="nobody@example.org", children=1, postcode="10115", age=40, income=20_000.0)
    contract: Contract[Any, Any] = Contract(
        title="Loans", description="Is it granted?", row=row, answer=Decision, predictor=Model,
        respond=lambda value: Decision(score=value), examples=(example,), golden=(),
    )  # fmt: skip
    patch.setattr(monitor_model, "load_entry_point", lambda _: contract)
    address = StoreAddress(uri=f"file://{folder}/objects")
    splits = ("train", "validation", "test")
    tables = {name: people(seed).append_column("late", people(seed)["income"]) for seed, name in enumerate(splits)}
    digest = save(Tables(**tables, label="late"), "loans", open_store(address))["digest"]
    watched = Monitor.model_validate({"field": "score", "skew": {}, "fragility": {"mostChange": 1e9, "rows": 50}})
    asked = MonitorSpecification(
        name="loans", contract="loans:CONTRACT", code_digest="c" * 64, model_uri="models:/loans/3",
        dataset_key=f"datasets/loans/{digest}", dataset_digest=digest, problem=Problem(task=Regression()), monitor=watched,
        store=address, tracking_uri="http://mlflow", at=0.0,
    )  # fmt: skip
    rows = people(7)
    columns = {name: np.asarray(rows[name].to_pylist()) for name in rows.column_names}
    window = logged(rows, (answered or score)(columns))
    _, findings = trials(asked, Answering(asked, folder), window, Judge("loans", "a day", NOW))
    return {f"{each.aspect}/{each.subject}": each for each in findings}


def income(columns: Any) -> Any:
    return columns["income"] / 1000


def income_and_age(columns: Any) -> Any:
    return columns["income"] / 1000 + columns["age"] + columns["children"]


def test_a_model_that_needs_nothing_personal_is_held_to_what_the_replica_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = found(tmp_path, monkeypatch, income)
    assert {each.state for each in told.values()} == {State.OK}
    assert "skew/prediction" in told and "fragility/inputs" in told
    other = found(tmp_path, monkeypatch, income, answered=lambda columns: income(columns) * 2)
    assert other["skew/prediction"].state is State.BREACH
    assert "2 times training" in other["skew/prediction"].text and "in clear" not in other["skew/prediction"].text


def test_answers_to_what_the_log_does_not_have_in_clear_are_no_skew_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = found(tmp_path, monkeypatch, income_and_age)
    assert told["skew/prediction"].state is told["fragility/inputs"].state is State.OK
    assert "the model needs children, age, which the log does not have in clear" in told["skew/prediction"].text


def test_what_the_contract_makes_otherwise_is_skew_for_personal_inputs_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class InMonths(Applicant):
        def model_post_init(self, context: Any) -> None:
            self.age = self.age * 12

    told = found(tmp_path, monkeypatch, income_and_age, row=InMonths)
    assert told["skew/age"].state is told["skew/prediction"].state is State.BREACH
