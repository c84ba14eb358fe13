import numpy as np
import pyarrow as pa
import pytest
from sklearn.inspection import permutation_importance as sklearn_importance
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from heliostat.data.importance import bundled, correlated_groups, legacy, permutation_importance
from heliostat.data.profiling import Measures, profile

NAMES = ("useful", "twin", "noise", "once")


def rows(once: float, seed: int = 0, count: int = 2_000) -> pa.Table:
    generator = np.random.default_rng(seed)
    useful, noise, other = generator.normal(size=(3, count))
    twin = useful + 0.1 * generator.normal(size=count)
    label = 2 * useful + once * other + 0.1 * generator.normal(size=count)
    return pa.table({"useful": useful, "twin": twin, "noise": noise, "once": other, "label": label})


def matrix(table: pa.Table) -> np.ndarray:
    return np.column_stack([table[name].to_numpy() for name in NAMES])


MODEL = LinearRegression().fit(matrix(rows(1)), rows(1)["label"].to_numpy())


def predict(table: pa.Table) -> np.ndarray:
    return MODEL.predict(matrix(table))


def alone(table: pa.Table) -> dict:
    return permutation_importance(predict, r2_score, table, "label", {name: [name] for name in NAMES})


def negative_square_error(truth: np.ndarray, predictions: np.ndarray) -> float:
    return -float(np.mean((truth - predictions) ** 2))


def test_importance_of_single_columns_is_scikit_learn_s():
    table = rows(1, seed=1)
    expected = sklearn_importance(MODEL, matrix(table), table["label"].to_numpy(), n_repeats=10, random_state=0)
    found = alone(table)

    for name, mean in zip(NAMES, expected.importances_mean, strict=True):
        assert found[name].mean == pytest.approx(mean, abs=0.03)


def test_a_feature_that_no_longer_helps_is_legacy():
    periods = {f"2013-{month:02}": rows(1 if month < 4 else 0, seed=month) for month in range(1, 7)}
    groups = {name: [name] for name in NAMES}
    found = {
        month: permutation_importance(predict, negative_square_error, table, "label", groups)
        for month, table in periods.items()
    }
    history = {name: {month: each[name] for month, each in found.items()} for name in NAMES}

    assert legacy(history, periods=3, least=0.01) == ("once",)
    assert legacy(history, periods=4, least=0.01) == (), "it helped in one of the last four"


def test_a_column_that_came_in_with_a_useful_one_is_bundled():
    table = rows(1, seed=2)
    groups = {"delay": ["useful", "noise"], "other": ["once"]}
    together = permutation_importance(predict, r2_score, table, "label", groups)

    assert bundled(together, alone(table), least=0.001) == {"delay": ("noise",)}


def test_columns_that_say_the_same_are_a_group():
    found = correlated_groups(profile(rows(1)), at_least=0.95)

    assert ("useful", "twin") in found.values() or ("useful", "twin", "label") in found.values()
    assert found["noise"] == ("noise",)
    with pytest.raises(ValueError, match="has no correlations"):
        correlated_groups(profile(rows(1), Measures(correlations=False)))


def test_what_cannot_be_measured_is_told():
    with pytest.raises(ValueError, match="columns that are not there: 'gone'; 2000 rows, 1 repeats"):
        permutation_importance(predict, r2_score, rows(1), "label", {"x": ["gone"]}, repeats=1)
