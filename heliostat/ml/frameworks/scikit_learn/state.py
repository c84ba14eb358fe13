"""What a training fits on its rows and an answer needs: means, scalers, encoders, the model.

A workload's features are one function for training and serving, and what it fits goes through a `State`:

    def features(rows, state):
        age = rows["age"].fillna(state.value("age", lambda: rows["age"].median()))
        return state.fit_transform("scaler", StandardScaler(), age.to_frame())

In a training `State()` fits and keeps; in an answer `State(kept)` gives what was kept, in the same order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from heliostat.ml.frameworks.scikit_learn import keeping
from heliostat.ml.frameworks.scikit_learn.keeping import UnkeepableError

__all__ = ["State", "StatefulModel", "UnkeepableError"]


class State:
    """One pass over some rows: the first, which fits, or one of those that use what it fitted.

    A name that is asked for several times, as in a loop, stands for another value each time, in the order of asking.
    """

    def __init__(self, kept: Mapping[str, Any] | None = None) -> None:
        """`kept`: what another pass fitted; without it this one fits."""
        self.values: dict[str, Any] = dict(kept or {})
        self.is_fitting = kept is None
        self._asked: Counter[str] = Counter()

    def value(self, name: str, compute: Callable[[], Any]) -> Any:
        """What `compute` makes of the rows of a training."""
        name = self._name(name)
        if self.is_fitting:
            self.values[name] = compute()
        return self.values[name]

    def fit(self, name: str, estimator: Any, rows: Any, *further: Any, **named: Any) -> Any:
        """The estimator, fitted on the rows of a training."""
        name = self._name(name)
        if self.is_fitting:
            self.values[name] = estimator.fit(rows, *further, **named)
        return self.values[name]

    def fit_transform(self, name: str, estimator: Any, rows: Any) -> Any:
        """The rows, transformed by the estimator; in a training by its `fit_transform`, which some do in a way of
        their own."""
        name = self._name(name)
        if not self.is_fitting:
            return self.values[name].transform(rows)
        self.values[name] = estimator
        return estimator.fit_transform(rows)

    def fitted(self, name: str) -> Any:
        """What was kept last under this name in this pass."""
        count = self._asked[name]
        return self.values[name if count < 2 else f"{name}_{count}"]

    def get_dummies(self, name: str, rows: Any, **options: Any) -> Any:
        """`pandas.get_dummies` with the columns that the rows of a training have: other values have none."""
        import pandas as pd

        name = self._name(name)
        if self.is_fitting:
            self.values[name] = _categories(rows, options.get("columns"))
            return pd.get_dummies(rows, **options)
        kept = self.values[name]
        if isinstance(rows, pd.Series):
            return pd.get_dummies(pd.Series(pd.Categorical(rows, kept[""]), rows.index, name=rows.name), **options)
        known = {column: pd.Categorical(rows[column], categories) for column, categories in kept.items()}
        return pd.get_dummies(rows.assign(**known), **options)

    def _name(self, name: str) -> str:
        self._asked[name] += 1
        count = self._asked[name]
        name = name if count < 2 else f"{name}_{count}"
        if not self.is_fitting and name not in self.values:
            raise ValueError(f"the model keeps no {name!r}; it keeps {', '.join(self.values) or 'nothing'}: train it again")
        return name


class StatefulModel:
    """The base of a predictor that answers from what a `State` kept: give it `predict`. Nothing is pickled.

    Attributes:
        kept: What the training fitted, by name.
    """

    def __init__(self, kept: Mapping[str, Any]) -> None:
        self.kept = dict(kept)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The model that `save` wrote into `directory`.

        Raises:
            ValueError: there is none, or it holds what is not trusted.
        """
        return cls(keeping.load(directory))

    def save(self, directory: Path) -> None:
        """Write the model into `directory`.

        Raises:
            UnkeepableError: a value is kept by no safe format.
        """
        keeping.save(self.kept, directory)

    def state(self) -> State:
        """A pass over rows that are to be answered."""
        return State(self.kept)


def _categories(rows: Any, columns: Any) -> dict[str, list[Any]]:
    """The values of each column that becomes several, sorted as pandas does."""
    import pandas as pd

    if isinstance(rows, pd.Series):
        return {"": list(pd.Categorical(rows).categories)}
    if columns is None:
        columns = rows.select_dtypes(include=["object", "string", "category"]).columns
    return {str(column): [_plain(each) for each in pd.Categorical(rows[column]).categories] for column in columns}


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
