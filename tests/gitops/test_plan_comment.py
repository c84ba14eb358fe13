"""The comment tells what matters, fits the forge, and lets nobody's words do anything."""

from __future__ import annotations

from typing import Any

import pytest

from heliostat.gitops.plan_comment import MARK, EnvironmentNote, PlanReport, StackPlan, comment

APPLICATION = "urn:pulumi:prod::heliostat::heliostat:index:ServedModel$heliostat:index:Application::flights"
DOCUMENT: dict[str, Any] = {
    "steps": [
        {"op": "same", "urn": APPLICATION.replace("flights", "quiet")},
        {"op": "update", "urn": APPLICATION, "diffReasons": ["serving", "code"]},
    ],
    "diagnostics": [
        {"urn": APPLICATION, "severity": "info", "message": "canary: 10 %, then 50 %; 2 replicas on top for 8 min"},
        {"severity": "info", "message": "printed by the program"},
        {"urn": APPLICATION, "severity": "warning", "message": "the cluster grows first"},
    ],
    "policyPacks": [{"pack": "policies"}],
    "policyViolations": [
        {"urn": APPLICATION, "policy": "hint", "level": "advisory", "message": "Could be smaller"},
        {"urn": APPLICATION, "policy": "no-recreate", "level": "mandatory", "message": "Not in production"},
    ],
    "price": {
        "before": {"monthAtMinimum": 100.0, "monthAtMaximum": 100.0},
        "after": {"monthAtMinimum": 150.0, "monthAtMaximum": 400.0},
    },
    "changeSummary": {"same": 4, "update": 1},
    "result": "succeeded",
}
PLAN = StackPlan("prod", DOCUMENT, why=("flights: application",))
LONG = 1 << 20


def test_a_plan_is_told_in_tables_with_its_price_its_policies_and_what_it_touches():
    text = comment(PlanReport("c0ffee" * 7, (PLAN,)), LONG)
    assert text.startswith(f"{MARK}\n\n### 1 stack would change\n")
    assert "| prod | ~1 update | +50 to +300 USD, to 400 | 1 broken, 1 advisory | flights: application |" in text
    assert "| ~ | flights | heliostat:index:Application | serving, code |" in text
    assert "quiet" not in text and "printed by the program" not in text
    assert text.index("no-recreate") < text.index("hint"), "what is broken comes first"
    assert text.index("**warning**") < text.index("canary: 10 %, then 50 %; 2 replicas on top")
    assert text.endswith("<sub>of commit `c0ffeec0ffee`; edited by each run</sub>")


def test_the_environment_is_told_with_its_addresses():
    note = EnvironmentNote("x-abcdefghij", {"flights": "http://127.0.0.1:8000/flights-x-abcdefghij"}, "on Friday")
    text = comment(PlanReport("c", (PLAN,), note), LONG)
    assert "#### The environment `x-abcdefghij`" in text and "flights: http://127.0.0.1:8000/flights-x-abcdefghij" in text
    failed = comment(PlanReport("c", (), EnvironmentNote("x", failure="no room")), LONG)
    assert "did not come up" in failed and "no room" in failed


@pytest.mark.parametrize(
    ("stacks", "headline"),
    [
        ((), "### Nothing that an update would change"),
        ((StackPlan("a", {"changeSummary": {"same": 3}}),), "### No changes in 1 stack"),
        ((StackPlan("a", failure="boom"), PLAN), "### 2 stacks would change, 1 cannot be previewed"),
    ],
)
def test_the_headline_says_how_much_there_is(stacks: tuple[StackPlan, ...], headline: str):
    assert comment(PlanReport("c", stacks), LONG).splitlines()[2] == headline


def test_what_is_too_long_loses_its_lists_first_and_says_where_all_of_it_is():
    steps = [{"op": "create", "urn": f"{APPLICATION}-{number}"} for number in range(3000)]
    stacks = tuple(StackPlan(f"stack-{each}", {**DOCUMENT, "steps": steps}) for each in range(3))
    report = PlanReport("c", stacks, artefact="https://ci/job/7")
    whole, short = comment(report, LONG), comment(report, 65_536)
    assert len(whole) > 65_536 >= len(short)
    assert "https://ci/job/7" in short and "https://ci/job/7" not in whole
    assert short.count("no-recreate") == 3 and "| stack-2 |" in short, "what is broken stays"
    assert short.count("<details>") == short.count("</details>") < 3
    assert short.startswith(MARK) and short.endswith("</sub>")


@pytest.mark.parametrize("longest", [400, 1000, 65_536])
def test_it_never_is_longer_than_the_forge_takes(longest: int):
    stacks = tuple(StackPlan(f"stack-{each}", failure="x" * 900) for each in range(200))
    assert len(comment(PlanReport("c", stacks), longest)) <= longest


def test_words_of_others_mark_nothing_up_and_call_nobody():
    evil = "@ada | ![x](http://evil) <img src=x> ```\n</details>"
    document = {**DOCUMENT, "diagnostics": [{"urn": APPLICATION, "severity": "error", "message": evil}]}
    text = comment(PlanReport("c", (StackPlan("prod", document), StackPlan("b", failure="```\n@all"))), LONG)
    assert "@ada" not in text and "<img" not in text and "![x]" not in text
    assert "````\n```\n@all\n````" in text, "in a fence of its own, which nothing in it closes"
