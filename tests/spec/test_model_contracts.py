"""The contract of a model of others: made of a signature, with questions where that is silent, and held to after that."""

import json
from pathlib import Path

import pytest

from heliostat.spec.logged_models import LoggedModelError, Reads, parsed, python_mistake
from heliostat.spec.model_contracts import ModelContractError, contract_of, questions, schema_text
from heliostat.spec.model_fields import DTYPES, FieldType
from heliostat.spec.model_signatures import answer_draft, misfits, reads_of, request_draft

ROOT = Path(__file__).parents[2]
SKLEARN = {
    "python_function": {"loader_module": "mlflow.sklearn", "python_version": "3.11.7", "model_path": "model.skops"},
    "sklearn": {"pickled_model": "model.skops", "serialization_format": "skops"},
}


def logged(inputs=None, outputs=None, params=None, flavours=SKLEARN, **more):
    texts = {"inputs": inputs, "outputs": outputs, "params": params}
    signature = {key: json.dumps(value) for key, value in texts.items() if value is not None}
    return parsed("models:/rents/1", {"flavors": flavours, "signature": signature or None, **more})


def column(kind, name="x", **more):
    return {"type": kind, "name": name, "required": True, **more}


def tensor(dtype, *shape, **more):
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}, **more}


def contract(**changes):
    given = {
        "title": "rents", "description": "The rent of a flat.", "task": "regression", "ranges": "open", "reads": "frame",
        "request": {"area": {"type": "double"}, "rooms": {"type": "long"}}, "answer": {"rent": {"type": "double"}},
        "examples": [{"area": 1.0, "rooms": 2}], "recorded": {"model": "models:/rents/1", "digest": "a" * 64},
        "golden": [{"name": "one", "request": {"area": 1.0, "rooms": 2}, "answer": {"rent": 3.0}}],
    }  # fmt: skip
    return contract_of({**given, **changes}, "contract.yaml")


FITTING = [column("double", "area"), column("long", "rooms")]


@pytest.mark.parametrize("kind", ["boolean", "integer", "long", "float", "double", "string", "binary", "datetime"])
def test_every_type_of_a_column_is_a_field_of_that_type(kind):
    assert request_draft(logged([column(kind)])) == {"x": {"type": kind}}


def test_arrays_objects_and_maps_keep_what_they_are_made_of():
    nested = {
        "type": "object",
        "properties": {"a": {"type": "long", "required": True}, "b": {"type": "string", "required": False}},
    }
    inputs = [
        column("array", "words", items={"type": "string"}), column("map", "by_name", values={"type": "double"}),
        {**nested, "name": "o", "required": False},
    ]  # fmt: skip
    assert request_draft(logged(inputs)) == {
        "words": {"type": "array", "items": {"type": "string"}},
        "by_name": {"type": "map", "values": {"type": "double"}},
        "o": {
            "type": "object",
            "required": False,
            "properties": {"a": {"type": "long"}, "b": {"type": "string", "required": False}},
        },
    }


def test_a_tensor_is_a_field_of_one_row_of_it():
    model = logged([tensor("float32", -1, 28, 28)])
    assert reads_of(model) is Reads.TENSOR
    assert request_draft(model) == {"input": {"type": "tensor", "dtype": "float32", "shape": [28, 28]}}


def test_a_size_that_a_tensor_leaves_open_is_asked_for():
    draft = request_draft(logged([tensor("float64", -1, -1, name="a"), tensor("object", -1, 3, name="b")]))
    assert [".".join(map(str, path)) for path, _ in questions(draft)] == ["a.shape.0", "b.dtype"]


def test_a_column_of_any_type_is_asked_for():
    assert [path for path, _ in questions(request_draft(logged([column("any")])))] == [("x", "type")]


def test_a_parameter_may_be_left_out_and_has_the_model_s_default():
    params = [{"name": "scale", "type": "double", "default": 1.5, "shape": None}]
    draft = request_draft(logged([column("double")], params=params))
    assert draft["scale"] == {"type": "double", "required": False, "parameter": True, "default": 1.5}


def test_the_meaning_of_each_output_is_asked_for():
    draft = answer_draft(logged(FITTING), [tensor("float64", -1)])
    assert draft["prediction"]["type"] == "double"
    assert [path for path, _ in questions(draft)] == [("prediction", "description")]


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        (None, "has no signature"),
        ([tensor("float64", -1, 2), column("long")], "tensors beside columns"),
        ([{"type": "double", "required": True}, {"type": "long", "required": True}], "2 of 2 columns .* have no name"),
        ([tensor("float64", 4, 2)], "no free first dimension"),
        ([column("sparkml_vector")], "'sparkml_vector' is not taken"),
        ([tensor("complex128", -1, 2)], "a tensor of complex128 is not taken"),
    ],
)
def test_a_signature_that_cannot_be_served_is_refused_with_what_to_do(inputs, told):
    with pytest.raises(LoggedModelError, match=told):
        request_draft(logged(inputs))


def test_a_model_without_a_flavour_that_answers_is_refused():
    with pytest.raises(LoggedModelError, match="none that answers for itself"):
        logged(FITTING, flavours={"spark": {}})


def test_the_flavour_that_answers_is_the_one_that_pyfunc_loads():
    own = {"python_function": {"loader_module": "mlflow.pyfunc.model"}, "sklearn": {"pickled_model": "model.pkl"}}
    assert (logged(FITTING).flavour, logged(FITTING, flavours=own).flavour) == ("sklearn", "python_function")


@pytest.mark.parametrize(
    ("flavours", "wrong"),
    [
        (SKLEARN, False),
        ({"python_function": {"loader_module": "mlflow.pyfunc.model", "python_model": "p", "python_version": "3.11.7"}}, 0),
        ({**SKLEARN, "sklearn": {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"}}, True),
        ({"python_function": {"loader_module": "mlflow.lightgbm", "python_version": "3.11.7"},
          "lightgbm": {"data": "model.lgb", "serialization_format": "skops"}}, False),
    ],
)  # fmt: skip
def test_only_a_pickle_needs_the_python_that_wrote_it(flavours, wrong):
    model = logged(FITTING, flavours=flavours)
    assert bool(python_mistake(model, "3.12.1")) == wrong
    assert python_mistake(model, "3.11.99") is None


def test_a_signature_that_fits_has_no_misfits():
    assert misfits(contract(), logged(FITTING, [{"type": "double", "required": True}])) == []
    assert misfits(contract(reads="array"), logged(FITTING)) == []


def test_an_answer_may_have_another_name_than_the_model_s():
    assert misfits(contract(), logged(FITTING, [tensor("float64", -1)])) == []
    renamed = contract(request={"flat area": {"type": "double", "column": "area"}, "rooms": {"type": "long"}})
    assert misfits(renamed, logged(FITTING)) == []


def test_every_difference_of_a_later_signature_is_told_with_its_place():
    inputs = [column("float", "area"), column("long", "rooms"), column("string", "city")]
    assert misfits(contract(), logged(inputs, [tensor("str", -1)])) == [
        "request: the model has the column 'city', which the contract does not have",
        "request.area: the contract has double, the model float",
        "answer.rent: the contract has double, the model string",
    ]


def test_a_column_that_a_later_model_lacks_is_told():
    assert misfits(contract(), logged(FITTING[:1])) == ["request.rooms: the model has no column 'rooms'; it has area"]


def test_what_a_contract_lets_out_a_model_must_not_need():
    optional = contract(request={"area": {"type": "double"}, "rooms": {"type": "long", "required": False}})
    assert misfits(optional, logged(FITTING)) == ["request.rooms: the contract lets it be left out, the model needs it"]
    assert misfits(optional, logged([FITTING[0], {**FITTING[1], "required": False}])) == []


def test_differences_within_nested_types_and_tensors_are_told():
    request = {
        "o": {"type": "object", "properties": {"a": {"type": "long"}}},
        "w": {"type": "array", "items": {"type": "string"}},
    }
    inputs = [column("object", "o", properties={"b": {"type": "long"}}), column("array", "w", items={"type": "long"})]
    assert sorted(misfits(contract(request=request), logged(inputs))) == [
        "request.o.properties.a: the contract has it, the model does not",
        "request.o.properties.b: the model has it, the contract does not",
        "request.w.items: the contract has string, the model long",
    ]
    of_tensors = contract(reads="tensor", request={"pixels": {"type": "tensor", "dtype": "float32", "shape": [3]}})
    assert misfits(of_tensors, logged([tensor("float32", -1, -1)])) == []
    assert misfits(of_tensors, logged([tensor("float64", -1, 4)])) == [
        "request.pixels.dtype: the contract has float32, the model float64",
        "request.pixels.shape: the contract has [3], the model [4]",
    ]


def test_a_parameter_that_a_later_model_does_not_have_is_told():
    with_one = contract(request={"area": {"type": "double"}, "rooms": {"type": "long"},
                                 "scale": {"type": "double", "required": False, "parameter": True}})  # fmt: skip
    assert misfits(with_one, logged(FITTING)) == ["request.scale: the model has no parameter 'scale'; it has none"]


def test_open_questions_and_mistakes_are_told_all_at_once_with_their_paths():
    with pytest.raises(ModelContractError) as refused:
        contract(
            description="TODO: what it tells", task="guessing", examples=[{"area": "TODO: a value"}],
            request={"area": {"type": "double", "minLength": 3}, "rooms": {"type": "long", "minimum": 3, "maximum": 2}},
        )  # fmt: skip
    told = str(refused.value)
    assert "5 mistakes in contract.yaml" in told
    for path in (
        "description: is still to be answered",
        "examples.0.area: is still",
        "task:",
        "request.area:",
        "request.rooms:",
    ):
        assert path in told
    assert "minimum 3 is above maximum 2" in told


def test_ranges_that_are_given_have_to_be_there():
    with pytest.raises(ModelContractError, match="no field of the request has a limit"):
        contract(ranges="given")
    assert contract(ranges="given", request={"area": {"type": "double", "minimum": 0}, "rooms": {"type": "long"}})


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ({"type": "array"}, "items is missing"),
        ({"type": "double", "items": {"type": "long"}}, "type double has no items"),
        ({"type": "string", "minimum": 1}, "minimum is for"),
        ({"type": "double", "choices": [1, 2]}, "choices have to be"),
        ({"type": "tensor", "dtype": "complex64", "shape": [1]}, "'complex64' is none of"),
        ({"type": "long", "default": 1}, "default is for parameters"),
    ],
)
def test_a_field_says_nothing_that_its_type_has_no_use_for(field, told):
    with pytest.raises(ModelContractError, match=told):
        contract(request={"area": field})


def test_a_file_that_is_no_mapping_is_refused():
    with pytest.raises(ModelContractError, match="is no contract"):
        contract_of(["area"], "contract.yaml")


def test_the_committed_schema_is_the_models():
    committed = (ROOT / "configs" / "model-contract.schema.json").read_text()
    assert committed == schema_text(), "run `make schema`"


def test_all_types_are_told_apart():
    assert len(set(FieldType)) == 12
    assert len(set(DTYPES)) == len(DTYPES)
