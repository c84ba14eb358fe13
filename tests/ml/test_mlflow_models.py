"""A contract that is a file: what its rows take, what a model is given of them, and what becomes of its answers."""

import datetime as dt
import json
import math

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from heliostat.ml.contracts import load_entry_point
from heliostat.ml.mlflow_models import inputs, outputs
from heliostat.ml.mlflow_models.contracts import alike, made
from heliostat.ml.mlflow_models.predictor import MlflowPredictor
from heliostat.ml.mlflow_models.rows import type_of
from heliostat.spec.logged_models import parsed
from heliostat.spec.model_contracts import ModelContractError, contract_of
from heliostat.spec.model_fields import ModelField


def fields(**given):
    return {name: ModelField.model_validate(field) for name, field in given.items()}


def taken(field, value):
    row = type_of("Row", fields(x=field))
    return row.model_validate_json(json.dumps({"x": value}), strict=True).x


def contract(request, answer=None, reads="frame", example=None, **more):
    example = example if example is not None else dict.fromkeys(request, 1)
    answered = more.pop("answered", {"y": 1.0})
    return contract_of(
        {
            "title": "t", "description": "d", "task": "regression", "ranges": "open", "reads": reads, "request": request,
            "answer": answer or {"y": {"type": "double"}}, "examples": [example],
            "recorded": {"model": "models:/m/1", "digest": "a" * 64},
            "golden": [{"name": "one", "request": example, "answer": answered}], **more,
        },
        "contract.yaml",
    )  # fmt: skip


def model(*columns, params=(), flavour="sklearn"):
    signature = {"inputs": json.dumps(list(columns)), "params": json.dumps(list(params)) if params else None}
    return parsed(
        "m", {"flavors": {"python_function": {"loader_module": f"mlflow.{flavour}"}, flavour: {}}, "signature": signature}
    )


def column(kind, name, **more):
    return {"type": kind, "name": name, "required": True, **more}


@pytest.mark.parametrize(
    ("field", "right", "wrong"),
    [
        ({"type": "double"}, [1, 1.5, -0.0], ["1", True, None, [1]]),
        ({"type": "long"}, [0, 2**63 - 1, -(2**63)], [1.0, "1", 2**63, True, 1.5]),
        ({"type": "integer"}, [2**31 - 1], [2**31, -(2**31) - 1]),
        ({"type": "long", "minimum": 0.5, "maximum": 2}, [1, 2], [0, 3]),
        ({"type": "float"}, [3.4e38], [3.5e38, "0"]),
        ({"type": "boolean"}, [True], [1, "true", 0.0]),
        ({"type": "string"}, ["", "Köln"], [1, None]),
        ({"type": "string", "choices": ["a", "b"]}, ["a"], ["c", 1]),
        ({"type": "string", "maxLength": 2}, ["ab"], ["abc"]),
        ({"type": "datetime"}, ["2024-02-29T12:00:00"],
         ["2024-02-30T12:00:00", "2024-02-29T12:00:00+01:00", 3, "1500-01-01T00:00:00"]),
        ({"type": "binary"}, ["YWI="], ["*", 1]),
        ({"type": "double", "minimum": 0, "maximum": 1}, [0, 1], [-0.1, 1.1]),
        ({"type": "array", "items": {"type": "long"}, "minLength": 1}, [[1, 2]], [[], [1.5], "ab"]),
        ({"type": "map", "values": {"type": "double"}}, [{}, {"a": 1}], [{"a": "1"}, []]),
        ({"type": "object", "properties": {"a": {"type": "long"}, "b": {"type": "long", "required": False}}},
         [{"a": 1}, {"a": 1, "b": None}], [{}, {"a": 1, "c": 2}]),
        ({"type": "tensor", "dtype": "uint8", "shape": [2, 2]},
         [[[0, 255], [1, 2]]], [[[0, 256], [1, 2]], [[0, 1]], [0, 1, 2, 3]]),
        ({"type": "double", "required": False}, [None, 1.0], ["1"]),
    ],
)  # fmt: skip
def test_a_row_takes_what_its_fields_say_and_nothing_that_is_merely_like_it(field, right, wrong):
    for value in right:
        taken(field, value)
    for value in wrong:
        with pytest.raises(ValidationError):
            taken(field, value)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(text):
    row = type_of("Row", fields(x={"type": "double"}))
    with pytest.raises(ValidationError):
        row.model_validate_json(f'{{"x": {text}}}', strict=True)


@pytest.mark.parametrize("name", ["sepal length (cm)", "class", "_hidden", "model_dump", "0", "copy"])
def test_a_column_may_be_called_what_no_attribute_can_be(name):
    row = type_of("Row", fields(**{name: {"type": "double"}}))
    assert row.model_validate_json(json.dumps({name: 1.5}), strict=True).model_dump() == {name: 1.5}
    found = made(contract({name: {"type": "double"}}), "contract.yaml")
    assert found.columns(found.examples) == {name: [1.0]}


def test_a_frame_has_the_columns_in_the_order_and_types_of_the_signature():
    described = contract(
        {"b": {"type": "long"}, "a": {"type": "double"}, "t": {"type": "string"}}, example={"b": 1, "a": 1, "t": "x"}
    )
    make = inputs.maker(described, model(column("double", "a"), column("string", "t"), column("long", "b")))
    frame = make({"b": [1, 2], "a": [1, 0.5], "t": ["x", "y"]})
    assert list(frame.columns) == ["a", "t", "b"]
    assert [str(frame[name].dtype) for name in "ab"] == ["float64", "int64"]
    assert frame["t"].tolist() == ["x", "y"]


def test_what_is_missing_is_missing_in_the_frame():
    request = {name: {"type": kind, "required": False} for name, kind in
               {"d": "double", "l": "long", "s": "string", "b": "boolean", "w": "datetime"}.items()}  # fmt: skip
    described = contract(request, example={})
    columns = [column(field["type"], name, required=False) for name, field in request.items()]
    frame = inputs.maker(described, model(*columns))({name: [None] for name in request})
    assert frame.isna().all(axis=None)
    whole = inputs.maker(described, model(*columns))(
        {"d": [1.0], "l": [2], "s": ["x"], "b": [True], "w": [dt.datetime(2024, 1, 1)]}
    )
    assert [str(kind) for kind in whole.dtypes[["d", "l", "b", "w"]]] == ["float64", "int64", "bool", "datetime64[ns]"]


def test_times_of_a_data_set_are_whole_seconds_and_mean_the_same():
    described = contract({"w": {"type": "datetime"}}, example={"w": "2024-01-01T00:00:00"})
    make = inputs.maker(described, model(column("datetime", "w")))
    assert make({"w": [dt.datetime(2024, 1, 1)]}).equals(make({"w": np.array([1704067200])}))


def test_lists_and_objects_come_as_they_were_sent():
    request = {"w": {"type": "array", "items": {"type": "string"}},
               "o": {"type": "object", "properties": {"a b": {"type": "long"},
                                                      "c": {"type": "long", "required": False}}}}  # fmt: skip
    described = contract(request, example={"w": ["x", "y"], "o": {"a b": 1}})
    found = made(described, "contract.yaml")
    make = inputs.maker(described, model(column("array", "w", items={"type": "string"}), column("object", "o")))
    frame = make(found.columns(found.examples))
    assert frame["w"].tolist() == [["x", "y"]]
    assert frame["o"].tolist() == [{"a b": 1}]


def test_columns_that_are_all_numbers_can_be_one_array_as_a_frame_would_be():
    described = contract({"a": {"type": "long"}, "b": {"type": "double"}}, reads="array")
    array = inputs.maker(described, model(column("double", "b"), column("long", "a")))({"a": [1, 2], "b": [0.5, 1.5]})
    assert array.tolist() == [[0.5, 1.0], [1.5, 2.0]]


def test_tensors_have_the_signature_s_type():
    request = {"p": {"type": "tensor", "dtype": "float32", "shape": [2]}}
    described = contract(request, reads="tensor", example={"p": [1, 2]})
    make = inputs.maker(described, model({"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}))
    assert make({"p": [[1, 2], [3, 4]]}).dtype == np.float32
    named = contract(request, reads="tensors", example={"p": [1, 2]})
    make = inputs.maker(named, model({"type": "tensor", "name": "p", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}))
    assert make({"p": [[1, 2]]})["p"].shape == (1, 2)


@pytest.mark.parametrize(
    ("field", "output", "expected"),
    [
        ({"type": "double"}, np.array([1.5, 2.5]), [1.5, 2.5]),
        ({"type": "double"}, np.array([1, 2]), [1, 2]),
        ({"type": "double"}, pd.Series([1.5, 2.5]), [1.5, 2.5]),
        ({"type": "double"}, pd.DataFrame({"anything": [1.5, 2.5]}), [1.5, 2.5]),
        ({"type": "double"}, [1.5, 2.5], [1.5, 2.5]),
        ({"type": "double"}, {"anything": np.array([1.5, 2.5])}, [1.5, 2.5]),
        ({"type": "long"}, np.array([1, 2]), [1, 2]),
        ({"type": "string"}, np.array(["a", "b"]), ["a", "b"]),
        ({"type": "string", "required": False}, np.array(["a", None], dtype=object), ["a", None]),
        ({"type": "double", "required": False}, np.array([1.0, math.nan]), [1.0, None]),
        ({"type": "tensor", "dtype": "float64", "shape": [2]}, np.array([[0.1, 0.9], [0.2, 0.8]]), [[0.1, 0.9], [0.2, 0.8]]),
        ({"type": "array", "items": {"type": "string"}}, [["a"], []], [["a"], []]),
        ({"type": "datetime"}, np.array(["2024-01-01", "2024-01-02"], "datetime64[ns]"),
         [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 2)]),
    ],
)  # fmt: skip
def test_answers_in_every_form_become_one_a_row(field, output, expected):
    assert outputs.reader(fields(y=field))(output, 2).tolist() == expected


@pytest.mark.parametrize(
    ("field", "output", "told"),
    [
        ({"type": "long"}, np.array([1.5, 2.5]), "answers float64, the contract has long"),
        ({"type": "double"}, np.array(["a", "b"]), "the contract has double"),
        ({"type": "double"}, np.array([1.0, math.nan]), "NaN or infinity"),
        ({"type": "double"}, np.array([1.0]), "gave 1 answers to 2 rows"),
        ({"type": "double"}, np.array([[1.0, 2.0], [3.0, 4.0]]), r"answers \[2\] a row, the contract has \[\]"),
        ({"type": "integer"}, np.array([1, 2**40]), "beyond 32 bits"),
        ({"type": "string"}, np.array([1, 2]), "the contract has string"),
    ],
)
def test_an_answer_that_the_contract_does_not_have_is_an_error_with_both(field, output, told):
    with pytest.raises(outputs.AnswerError, match=told):
        outputs.reader(fields(y=field))(output, 2)


def test_several_outputs_are_read_by_their_names():
    read = outputs.reader(fields(rent={"type": "double", "column": "y0"}, kind={"type": "string"}))
    frame = pd.DataFrame({"kind": ["a", "b"], "y0": [1.0, 2.0]})
    assert read(frame, 2).tolist() == [(1.0, "a"), (2.0, "b")]
    assert read([{"kind": "a", "y0": 1.0}], 1).tolist() == [(1.0, "a")]
    with pytest.raises(outputs.AnswerError, match="rent: the model answers no 'y0'; it has kind"):
        read(frame.drop(columns="y0"), 2)


class Scaled(MlflowPredictor):
    """A model that counts how often it is asked."""


def test_rows_with_other_parameters_are_asked_apart_and_answered_in_their_order():
    request = {"x": {"type": "double"}, "scale": {"type": "double", "required": False, "parameter": True, "default": 2.0}}
    described = contract(request, example={"x": 1})
    asked = []

    def answering(frame, parameters):
        asked.append(parameters)
        return frame["x"].to_numpy() * parameters["scale"]

    logged = model(column("double", "x"), params=[{"name": "scale", "type": "double", "default": 2.0}])
    predictor = Scaled.of(described)(logged, answering)
    found = predictor.predict({"x": [1.0, 2.0, 3.0], "scale": [None, 10.0, 2.0]})
    assert found.tolist() == [2.0, 20.0, 6.0]
    assert asked == [{"scale": 2.0}, {"scale": 10.0}]
    assert predictor.predict({"x": [1.0, 2.0]}).tolist() == [2.0, 4.0]


def test_the_contract_of_a_file_is_found_by_the_workload_s_name(tmp_path, monkeypatch):
    import yaml

    folder = tmp_path / "workloads" / "flat_rents"
    folder.mkdir(parents=True)
    described = contract({"a": {"type": "double"}})
    (folder / "contract.yaml").write_text(yaml.safe_dump(described.model_dump(mode="json", by_alias=True)))
    monkeypatch.syspath_prepend(str(tmp_path))
    found = load_entry_point("heliostat.ml.mlflow_models.contracts:flat_rents")
    assert list(found.row.model_fields) == ["a"]
    assert found.golden[0].check({"y": 1.0}) and not found.golden[0].check({"y": 1.1})
    with pytest.raises(ValueError, match="no_such_one"):
        load_entry_point("heliostat.ml.mlflow_models.contracts:no_such_one")


def test_examples_and_golden_requests_that_do_not_fit_are_told_all_at_once():
    described = contract({"a": {"type": "long"}}, example={"a": 1.5}, answered={"y": "much"})
    with pytest.raises(ModelContractError) as refused:
        made(described, "contract.yaml")
    assert [line.split(":")[0].strip() for line in str(refused.value).splitlines()[1:]] == [
        "examples.0.a", "golden.0.request.a", "golden.0.answer.y",
    ]  # fmt: skip


def test_golden_answers_hold_for_the_model_that_they_are_of_and_their_form_for_others():
    described = contract({"a": {"type": "double"}})
    found = made(described, "contract.yaml")
    golden = found.golden[0]
    found.predictor.loaded = "a" * 64
    assert golden.check({"y": 1.0}) and not golden.check({"y": 2.0})
    found.predictor.loaded = "b" * 64
    assert golden.check({"y": 2.0}) and not golden.check({})


def test_an_answer_with_objects_is_written_as_its_fields_say():
    answer = {"o": {"type": "object", "properties": {"a": {"type": "double"}, "b": {"type": "string", "required": False}}}}
    found = made(contract({"a": {"type": "double"}}, answer=answer, answered={"o": {"a": 1.0}}), "contract.yaml")
    assert found.respond({"a": 1.5, "b": None}).model_dump_json() == '{"o":{"a":1.5,"b":null}}'


@pytest.mark.parametrize(
    ("found", "expected", "tolerance", "same"),
    [
        ({"y": 1.0 + 1e-12}, {"y": 1.0}, 1e-9, True),
        ({"y": [1.0, "a"]}, {"y": [1.0, "a"]}, 0.0, True),
        ({"y": [1.0]}, {"y": [1.0, 2.0]}, 0.1, False),
        ({"y": True}, {"y": 1}, 0.1, False),
        ({"y": None}, {"y": 1.0}, 0.1, False),
        ({"z": 1.0}, {"y": 1.0}, 0.1, False),
    ],
)
def test_answers_are_alike_to_the_tolerance(found, expected, tolerance, same):
    assert alike(found, expected, tolerance) == same
