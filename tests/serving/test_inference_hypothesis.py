"""Whatever stands in a field of an inference request, it is answered or refused with a path, and never a failure."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import pictures
from serving_fakes import ROW, Log, answers
from test_inference_rest import INFER, picture, rows, tensor, texts

from heliostat.ml.tensors import DTYPES
from heliostat.serving.errors import HttpError
from heliostat.serving.inference.tensors import from_json_data, from_raw, to_raw
from heliostat.serving.rest.exchange import Request, Response

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([*DTYPES, 2**63, 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def ask(app: Any, body: bytes, headers: dict[bytes, bytes]) -> Response:
    reply = app.reply(Request("POST", INFER, b"", headers, body))
    return reply if isinstance(reply, Response) else reply()


def holds(response: Response) -> None:
    assert response.status in (200, 400, 422), response.body
    if response.status != 200:
        assert json.loads(response.body)["error"]


@pytest.mark.parametrize("field", ["name", "datatype", "shape", "data", "parameters"])
@pytest.mark.parametrize("made", ["asks", "pictures"])
def test_any_value_of_any_field_of_a_tensor(field: str, made: str) -> None:
    app = answers(Log()) if made == "asks" else pictures(Log())
    whole = json.loads(rows(ROW))["inputs"] if made == "asks" else list(picture().values())

    @QUICK
    @given(value=ANY, at=st.integers(0, len(whole) - 1))
    def holds_for(value: Any, at: int) -> None:
        inputs = [{**each, field: value} if number == at else each for number, each in enumerate(whole)]
        holds(ask(app, json.dumps({"inputs": inputs}).encode(), {}))

    holds_for()


@pytest.mark.parametrize("field", ["id", "parameters", "inputs", "outputs", "other"])
def test_any_value_of_any_field_of_a_request(field: str) -> None:
    app = answers(Log())

    @QUICK
    @given(value=ANY)
    def holds_for(value: Any) -> None:
        holds(ask(app, rows(ROW, **{field: value}), {}))

    holds_for()


@QUICK
@given(
    body=st.binary(max_size=200),
    length=st.none() | st.integers(-5, 250).map(lambda n: str(n).encode()) | st.binary(max_size=5),
)
def test_any_bytes(body: bytes, length: bytes | None) -> None:
    holds(ask(answers(Log()), body, {} if length is None else {b"inference-header-content-length": length}))


@QUICK
@given(
    datatype=st.sampled_from([*DTYPES]), shape=st.lists(st.integers(0, 3), min_size=1, max_size=3), raw=st.binary(max_size=72)
)
def test_any_bytes_are_a_tensor_that_gives_them_back_or_are_refused(datatype: str, shape: list[int], raw: bytes) -> None:
    try:
        tensor = from_raw("x", datatype, shape, raw)
    except HttpError:
        return
    assert to_raw(tensor) == raw
    assert tensor.array().shape == tuple(shape)


@QUICK
@given(values=st.lists(st.floats(width=32), min_size=1, max_size=4))
def test_json_and_binary_are_the_same_tensor(values: list[float]) -> None:
    array = np.array(values, "<f4")
    binary = from_raw("x", "FP32", [len(values)], array.tobytes())
    assert to_raw(from_json_data("x", "FP32", [len(values)], values)) == to_raw(binary)


@QUICK
@given(values=st.lists(st.text(max_size=5), min_size=1, max_size=4))
def test_texts_come_through_as_they_are(values: list[str]) -> None:
    try:
        raw = texts(*values)
    except UnicodeEncodeError:
        return
    assert from_raw("x", "BYTES", [len(values)], raw).flat() == values
    assert to_raw(from_json_data("x", "BYTES", [len(values), 1], values)) == raw


def test_the_request_that_is_changed_above_is_answered() -> None:
    assert ask(answers(Log()), rows(ROW), {}).status == 200
    assert (
        ask(pictures(Log()), json.dumps({"inputs": [tensor("image", "FP32", [1.0] * 6, [1, 2, 3])]}).encode(), {}).status
        == 200
    )
