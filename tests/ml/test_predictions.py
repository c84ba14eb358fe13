"""What predictors answer: handed on row by row, and kept without a pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliostat.ml.predictions import chosen, joined, load, parts_of, rows_of, save


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        (np.array([1.0, 2.0]), [1.0, 2.0]),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.zeros((1, 2, 2)), [[[0.0, 0.0], [0.0, 0.0]]]),
        (["a", "né"], ["a", "né"]),
        ({"text": ["a", "b"], "p": np.array([0.1, 0.2])}, [{"text": "a", "p": 0.1}, {"text": "b", "p": 0.2}]),
        ([], []),
    ],
)
def test_each_row_has_its_part_and_comes_back_from_a_file_as_it_was(given: Any, parts: list[Any], tmp_path: Path) -> None:
    assert parts_of(given) == parts
    assert rows_of(given) == len(parts)
    save(tmp_path / "p.npz", model=given, baseline=None)
    if len(parts):
        assert parts_of(load(tmp_path / "p.npz", "model")) == parts
    assert load(tmp_path / "p.npz", "baseline") is None


def test_text_is_kept_to_the_letter(tmp_path: Path) -> None:
    texts = ["", "ends with nothing\0", "日本", "x" * 10_000]
    save(tmp_path / "p.npz", model=np.array(texts, dtype=object))
    assert load(tmp_path / "p.npz", "model") == texts


def test_arrays_keep_their_type_and_shape(tmp_path: Path) -> None:
    given = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    save(tmp_path / "p.npz", model={"image": given})
    found = load(tmp_path / "p.npz", "model")["image"]
    assert found.dtype == np.float32
    assert np.array_equal(found, given)


def test_what_a_model_of_before_wrote_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", model=np.array([0.1, 0.9]), baseline=np.empty(0))
    assert np.array_equal(load(tmp_path / "p.npz", "model"), [0.1, 0.9])
    assert load(tmp_path / "p.npz", "baseline") is None


def test_what_is_neither_numbers_nor_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give numbers, or one text a row"):
        save(tmp_path / "p.npz", model=np.array([{}, []], dtype=object))
    with pytest.raises(ValueError, match="leave `/` and `#` out"):
        save(tmp_path / "p.npz", model={"a/b": np.zeros(2)})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "empty mapping"),
        ({"a": [1.0], "b": [1.0, 2.0]}, "parts of different length"),
        (np.float64(3), "an array, a list of texts or a mapping"),
        (np.array(3.0), "a single value"),
        ("text", "a single value"),
    ],
)
def test_what_has_no_rows_is_refused(given: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        rows_of(given)


def test_some_of_the_rows_are_chosen_of_every_form() -> None:
    rows = np.array([True, False, True])
    assert parts_of(chosen(np.array([1, 2, 3]), rows)) == [1, 3]
    assert chosen(["a", "b", "c"], rows) == ["a", "c"]
    assert chosen({"t": ["a", "b", "c"]}, rows) == {"t": ["a", "c"]}


@pytest.mark.parametrize(
    "whole",
    [np.arange(6.0), np.arange(12).reshape(6, 2), list("abcdef"), {"a": np.arange(6), "b": list("abcdef")}],
    ids=["numbers", "several a row", "texts", "by name"],
)
def test_parts_that_are_joined_are_what_all_rows_at_once_are(whole: Any) -> None:
    def taken(part: Any, rows: slice) -> Any:
        return {name: each[rows] for name, each in part.items()} if isinstance(part, dict) else part[rows]

    found = joined([taken(whole, slice(0, 1)), taken(whole, slice(1, 4)), taken(whole, slice(4, 6))])
    assert parts_of(found) == parts_of(whole)
    assert joined([whole]) is whole


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ([{"a": [1]}, {"b": [1]}], "other names for some rows"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], "rows of different shapes"),
    ],
)
def test_parts_that_do_not_fit_together_are_told(parts: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        joined(parts)
