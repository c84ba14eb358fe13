"""What a provider had added to inputs, which is no change where the program does not say it: `carried`."""

from __future__ import annotations

from typing import Any

import pytest

from heliostat.engine.protocol.carried import carried
from heliostat.engine.state.snapshot import Secret

AUTONAMED = {"name": "cm-1", "annotations": {"pulumi.com/autonamed": "true"}}


@pytest.mark.parametrize(
    ("news", "olds", "found"),
    [
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"a": 2, "b": 3}, {"a": 1}),
        ({"a": 1}, {"a": 1, "b": 3, "__defaults": ["b"]}, {"a": 1, "b": 3, "__defaults": ["b"]}),
        ({"a": 1, "b": 4}, {"a": 1, "b": 3, "__defaults": ["b"]}, {"a": 1, "b": 4, "__defaults": ["b"]}),
        ({"x": {"a": 1}}, {"x": {"a": 2, "__defaults": []}}, {"x": {"a": 1, "__defaults": []}}),
        ({"x": [{"a": 1}]}, {"x": [{"b": 2, "__defaults": ["b"]}]}, {"x": [{"a": 1, "b": 2, "__defaults": ["b"]}]}),
        ({"x": [{"a": 1}, {}]}, {"x": [{"b": 2, "__defaults": ["b"]}]}, {"x": [{"a": 1}, {}]}),
        (
            {"x": Secret({"a": 1})},
            {"x": Secret({"b": 2, "__defaults": ["b"]})},
            {"x": Secret({"a": 1, "b": 2, "__defaults": ["b"]})},
        ),
        ({"data": 1}, {"metadata": AUTONAMED}, {"data": 1, "metadata": AUTONAMED}),
        ({"metadata": {"name": "mine"}}, {"metadata": AUTONAMED}, {"metadata": {"name": "mine"}}),
        ({"metadata": {"labels": {}}}, {"metadata": {"name": "cm-1"}}, {"metadata": {"labels": {}}}),
    ],
)
def test_inputs_with_what_their_provider_had_added(news: Any, olds: Any, found: Any) -> None:
    assert carried(news, olds) == found
