"""The policy pack's rules: what each lets through and what it reports."""

from typing import Any

import pytest

from policies.rules import ADVISORY, RULES

GOOD: dict[str, dict[str, Any]] = {
    "two-replicas": {"replicas": 2},
    "no-gap": {"strategy": {"kind": "blue-green"}},
    "analysed": {"strategy": {"kind": "blue-green", "after": {"checks": []}}},
    "answers-are-logged": {"predictionLog": {"samplingRate": 0.1}},
    "judged-by-slice": {"gate": {"slices": [{"column": "origin"}]}},
    "data-is-kept": {"onDestroy": "keep"},
}
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "two-replicas": ({"replicas": 1}, "replicas is 1"),
    "no-gap": ({"strategy": {"kind": "recreate"}}, "recreate"),
    "analysed": ({"strategy": {"kind": "blue-green", "retentionSeconds": 30}}, "strategy.before or strategy.after"),
    "answers-are-logged": ({"predictionLog": {"samplingRate": 0}}, "samplingRate is 0"),
    "judged-by-slice": ({"gate": {"slices": []}}, "gate.slices is empty"),
    "data-is-kept": ({"onDestroy": "delete"}, "onDestroy is delete"),
}


@pytest.mark.parametrize("name", RULES)
def test_what_a_rule_asks_for_passes(name: str) -> None:
    assert RULES[name][1](GOOD[name]) is None


@pytest.mark.parametrize("name", RULES)
def test_a_violation_names_the_value_and_the_fix(name: str) -> None:
    inputs, told = BAD[name]
    violation = RULES[name][1](inputs)
    assert violation is not None
    assert told in violation


def test_a_pinned_version_needs_no_slices() -> None:
    assert RULES["judged-by-slice"][1]({"pin": "models:/flights/7"}) is None


@pytest.mark.parametrize(
    "strategy",
    [
        {"kind": "canary", "steps": [{"weight": 10, "analysis": {}}, {"weight": 50, "analysis": {"checks": []}}]},
        {"kind": "rolling", "analysis": {"checks": []}},
        {"kind": "shadow", "analysis": {"checks": []}},
        {"kind": "recreate"},
    ],
)
def test_one_analysis_is_enough_and_recreate_has_no_place_for_any(strategy: dict[str, Any]) -> None:
    assert RULES["analysed"][1]({"strategy": strategy}) is None


def test_a_strategy_without_an_analysis_is_a_warning_and_a_gap_an_error() -> None:
    assert RULES.keys() >= ADVISORY
    assert "analysed" in ADVISORY
    assert "no-gap" not in ADVISORY
