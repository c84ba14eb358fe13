"""Federations in one process: what they add up to is what one table gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.linear_model import LogisticRegression as Reference

from heliostat.federated.contributions import Contribution, Layout
from heliostat.ml.arrays import ArrayModel
from heliostat.ml.federated import FederatedAveraging, Fitted, LeastSquares, LogisticRegression, train_here
from heliostat.spec.federated import DifferentialPrivacy


class Line(ArrayModel):
    def predict(self, columns: Any) -> Any:
        return np.column_stack([columns["a"], columns["b"], np.ones(len(columns["a"]))]) @ self.arrays["weights"]


def features(table: pa.Table) -> Any:
    return np.column_stack([table["a"].to_numpy(), table["b"].to_numpy()])


def target(table: pa.Table) -> Any:
    return table["y"].to_numpy()


class Steps(FederatedAveraging):
    """A step of gradient descent a round."""

    predictor = Line
    metrics = ("mse",)

    def initial(self, parameters: Any) -> Any:
        return {"weights": np.zeros(2)}

    def fit(self, table: pa.Table, arrays: Any, parameters: Any, round_: int) -> Fitted:
        error = features(table) @ arrays["weights"] - target(table)
        return Fitted({"weights": arrays["weights"] - 0.1 * features(table).T @ error / len(table)}, len(table))

    def evaluate(self, table: pa.Table, arrays: Any, parameters: Any) -> Mapping[str, float]:
        return {"mse": float(np.mean((features(table) @ arrays["weights"] - target(table)) ** 2))}


def sites(labels: bool = False) -> dict[str, pa.Table]:
    generator = np.random.default_rng(3)
    found = {}
    for name, rows in (("berlin", 700), ("lyon", 150), ("oslo", 50)):
        a, b, noise = generator.standard_normal((3, rows))
        y = 2 * a - b + 0.5 + noise
        found[name] = pa.table({"a": a, "b": b, "y": (y > 0).astype(np.float64) if labels else y})
    return found


def whole(tables: Mapping[str, pa.Table]) -> pa.Table:
    return pa.concat_tables(tables.values())


def test_least_squares_over_sites_is_that_of_one_table() -> None:
    tables = sites()
    weights = train_here(LeastSquares(Line, features, target, 2), tables, 1)["weights"]
    table = whole(tables)
    fitted = LinearRegression().fit(features(table), target(table))
    assert np.allclose(weights, [*fitted.coef_, fitted.intercept_], rtol=0, atol=1e-9)


def test_logistic_regression_over_sites_is_that_of_one_table() -> None:
    tables = sites(labels=True)
    weights = train_here(LogisticRegression(Line, features, target, 2, l2=1.0), tables, 12)["weights"]
    table = whole(tables)
    fitted = Reference(C=1.0, tol=1e-12, solver="newton-cholesky").fit(features(table), target(table))
    assert np.allclose(weights, [*fitted.coef_[0], *fitted.intercept_], rtol=0, atol=1e-9)


def test_one_step_at_each_site_is_one_step_on_all_rows() -> None:
    tables = sites()
    over_sites = train_here(Steps(), tables, 20)["weights"]
    at_once = train_here(Steps(), {"all": whole(tables)}, 20)["weights"]
    assert np.allclose(over_sites, at_once, rtol=0, atol=1e-9)


def test_the_order_of_the_sites_changes_no_bit() -> None:
    tables = sites()
    backwards = dict(reversed(tables.items()))
    assert np.array_equal(train_here(Steps(), tables, 5)["weights"], train_here(Steps(), backwards, 5)["weights"])


def test_parameters_keep_their_type() -> None:
    class Small(Steps):
        def initial(self, parameters: Any) -> Any:
            return {"weights": np.zeros(2, np.float32)}

    assert train_here(Small(), sites(), 1)["weights"].dtype == np.float32


def test_sums_are_not_clipped_and_say_so() -> None:
    federation = LeastSquares(Line, features, target, 2)
    table = sites()["oslo"]
    with pytest.raises(ValueError, match="needs a FederatedAveraging"):
        federation.contribution(table, federation.initial({}), {}, 1, DifferentialPrivacy(clip=1.0, noise_multiplier=1.0))


def test_features_of_another_width_are_told() -> None:
    federation = LeastSquares(Line, features, target, 3)
    with pytest.raises(ValueError, match=r"\(50, 2\): \(50, 3\) is declared"):
        train_here(federation, {"oslo": sites()["oslo"]}, 1)


def test_with_privacy_no_metric_leaves_the_site() -> None:
    contribution = Steps().contribution(
        sites()["oslo"], {"weights": np.zeros(2)}, {}, 1, DifferentialPrivacy(clip=1.0, noise_multiplier=1.0)
    )
    assert (dict(contribution.metrics), contribution.weight) == ({}, 1.0)


def test_every_mistake_in_a_contribution_is_told_with_its_path() -> None:
    layout = Layout({"a": (2,), "b": (1, 3)}, ("loss",))
    wrong = Contribution({"a": np.zeros(3), "c": np.zeros(1)}, 5.0, 5, {"mse": 1.0})
    assert list(layout.mistakes(wrong)) == [
        "arrays.a: its shape is [3], and [2] is asked for",
        "arrays.b: it is missing",
        "arrays.c: the training has no such array (it has a, b)",
        "metrics.loss: it is missing",
        "metrics.mse: the training has no such metric",
    ]


@pytest.mark.parametrize(
    ("vector", "told"),
    [
        ([1.0, np.nan, 0, 0, 0, 5.0, 1.0], ["arrays.a[1]: it is not finite"]),
        ([1.0, 0, 0, 0, 1e300, 5.0, 1.0], ["arrays.b[0][2]: it is larger than 3.60288e+16"]),
        ([100.0, 0, 0, 0, 0, 5.0, 1.0], ["arrays: their L2 norm is 20, and maxNorm is 10"]),
        ([1.0, 0, 0, 0, 0, 0.0, np.inf], ["metrics.loss: it is not finite", "weight: 0 is not between 0 and 3.60288e+16"]),
        ([1.0, 2, 3, 4, 5, 5.0, 1.0], []),
    ],
)  # fmt: skip
def test_what_cannot_be_summed_is_told_with_its_place(vector: list[float], told: list[str]) -> None:
    layout = Layout({"a": (2,), "b": (1, 3)}, ("loss",))
    assert list(layout.faults(np.array(vector), max_norm=10.0)) == told
