"""The rules that every stack but a person's own must keep to."""

import pytest

from policies.rules import RULES

BROKEN = {
    "two-replicas": {"replicas": 1},
    "no-gap": {"strategy": {"kind": "recreate"}},
    "analysed": {"strategy": {"kind": "rolling"}},
    "answers-are-logged": {"predictionLog": {"samplingRate": 0}},
    "judged-by-slice": {"gate": {}},
    "data-is-kept": {"onDestroy": "delete"},
}


@pytest.mark.parametrize("name", RULES)
def test_every_rule_says_what_breaks_it(name: str) -> None:
    assert RULES[name][1](BROKEN[name])
