"""Columns by the codes of their values."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from heliostat.data.codes import coded, coded_texts


@pytest.mark.parametrize(
    "column",
    [
        pa.chunked_array([["b", None], ["a", "b"]]),
        pa.array(["b", None, "a", "b"]),
        pa.array(["b", None, "a", "b"]).dictionary_encode(),
        pa.DictionaryArray.from_arrays([1, 3, 0, 2], ["a", "b", "b", None]),
    ],
)
def test_rows_are_counted_and_taken_by_value_whatever_form_the_column_has(column):
    found = coded(column)
    assert found.values.to_pylist() == ["b", "a"] and found.codes.tolist() == [0, -1, 1, 0]
    assert [rows.tolist() for rows in found.rows()] == [[0, 3], [2]]
    assert [rows.tolist() for rows in found.rows(np.array([1]))] == [[2]]
    assert found.counts().tolist() == [2, 1] and found.missing == 1
    assert found.counts(found.codes == 1).tolist() == [0, 1]


@pytest.mark.parametrize("column", [pa.nulls(2), pa.chunked_array([], pa.string()), pa.array([None, None], pa.string())])
def test_a_column_without_a_value_has_no_rows_by_value(column):
    found = coded_texts(column)
    assert not len(found.values) and not list(found.rows()) and not len(found.counts())
    assert found.missing == len(column) and (found.codes == -1).all()


def test_numbers_are_one_by_their_texts_and_lists_are_refused():
    assert coded_texts(pa.array([1, 2, 1])).values.to_pylist() == ["1", "2"]
    assert coded(pa.array([1, 2, 1])).values.type == pa.int64()
    with pytest.raises(pa.ArrowNotImplementedError):
        coded(pa.array([[1]]))
