"""What a training fits and an answer needs, and how it is kept without a pickle."""

import argparse

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from heliostat.ml.frameworks.scikit_learn import frames, keeping
from heliostat.ml.frameworks.scikit_learn.state import State, StatefulModel, UnkeepableError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 3))
Y = (X[:, 0] > 0).astype(int)


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        RandomForestClassifier(5, random_state=0),
        HistGradientBoostingClassifier(max_iter=5),
        CalibratedClassifierCV(LogisticRegression()),
        make_pipeline(StandardScaler(), FunctionTransformer(np.cbrt), LogisticRegression()),
    ],
    ids=lambda model: type(model).__name__,
)
def test_models_of_scikit_learn_come_back_as_they_were(model, tmp_path):
    keeping.save({"model": model.fit(X, Y)}, tmp_path)
    assert np.array_equal(keeping.load(tmp_path)["model"].predict_proba(X), model.predict_proba(X))
    assert not [path for path in tmp_path.iterdir() if path.read_bytes()[:2] == b"\x80\x05"]


def own(values):
    return values


def test_functions_of_one_s_own_are_refused_with_every_name(tmp_path):
    values = {"a": FunctionTransformer(own), "b": FunctionTransformer(lambda rows: rows), "c": 1}
    with pytest.raises(UnkeepableError) as refused:
        keeping.save(values, tmp_path)
    assert "a, a sklearn" in str(refused.value) and "b, a sklearn" in str(refused.value)


def test_plain_values_and_frames_come_back_with_their_types(tmp_path):
    series = pd.Series([1.5, 2.5], index=pd.Index(["a", "b"], name="city"), name="price")
    values = {
        "mean": 0.1 + 0.2, "pair": (1, "x"), "by_number": {1: 2.0, 3: [None, True]}, "array": X, "scalar": np.float64(2.5),
        "texts": np.array(["u", "v"], dtype=object), "series": series, "index": pd.Index(["p", "q"]),
        "frame": series.reset_index(),
    }  # fmt: skip
    keeping.save(values, tmp_path)
    found = keeping.load(tmp_path)
    assert all(found[name] == values[name] for name in ("mean", "pair", "by_number"))
    assert np.array_equal(found["array"], X) and found["scalar"] == 2.5 and list(found["texts"]) == ["u", "v"]
    pd.testing.assert_series_equal(found["series"], series)
    pd.testing.assert_frame_equal(found["frame"], values["frame"])


def test_a_file_of_other_types_is_not_loaded(tmp_path):
    import skops.io

    keeping.save({"model": StandardScaler().fit(X)}, tmp_path)
    skops.io.dump(argparse.Namespace(x=1), tmp_path / "000.skops")
    with pytest.raises(ValueError, match="none of scikit-learn's"):
        keeping.load(tmp_path)


def features(rows, state):
    rows = rows.assign(age=rows["age"].fillna(state.value("age", lambda: rows["age"].median())))
    rows = state.get_dummies("city", rows, columns=["city"], drop_first=True)
    for column in ("age", "size"):
        rows[column] = state.fit_transform("scaler", StandardScaler(), rows[[column]])[:, 0]
    return rows


ROWS = pd.DataFrame({"age": [1.0, np.nan, 5.0, 9.0], "size": [2.0, 4.0, 6.0, 8.0], "city": ["b", "a", "c", "a"]})


def test_one_function_gives_a_row_alone_what_it_gave_it_among_many(tmp_path):
    state = State()
    together = features(ROWS, state)
    StatefulModel(state.values).save(tmp_path)
    model = StatefulModel.load(tmp_path)
    for place in range(len(ROWS)):
        alone = features(ROWS.iloc[[place]], model.state())
        pd.testing.assert_frame_equal(alone.astype(float), together.iloc[[place]].astype(float), rtol=1e-12)


def test_a_model_of_other_code_is_told():
    with pytest.raises(ValueError, match="the model keeps no 'age'"):
        State({}).value("age", lambda: 1)


LAYOUT = {
    "mean_size": ("mean size", "float64"),
    "sent": ("sent", "datetime64[us]"),
    "city": ("city", "str"),
    "late": ("late", "int64"),
}


def test_a_request_has_the_names_and_types_of_the_code_and_placeholders_for_the_rest():
    found = frames.frame(
        {"mean_size": [None, 2.0], "sent": [60, 120], "city": ["a", None]}, LAYOUT, ("mean_size", "sent", "city")
    )
    assert [str(kind) for kind in found.dtypes] == ["float64", "datetime64[us]", "str", "int64"]
    assert list(found.columns) == ["mean size", "sent", "city", "late"]
    assert found["sent"].dt.minute.tolist() == [1, 2] and found["mean size"].isna().tolist() == [True, False]


def test_a_snapshot_gives_back_what_was_loaded():
    rows = pd.DataFrame(
        {"mean size": [1.0, np.nan], "sent": pd.to_datetime(["2020-01-01", "2020-01-02"]), "city": ["a", "b"], "late": [0, 1]}
    )
    kept = frames.table(frames.named(rows, LAYOUT, ("mean_size", "sent", "city")))
    again = frames.frame_of(kept, LAYOUT, ("mean_size", "sent", "city"))
    pd.testing.assert_frame_equal(again[["mean size", "city"]], rows[["mean size", "city"]])
    assert (again["sent"] == rows["sent"]).all()
