"""The comment tells what matters, fits the forge, and lets nobody's words do anything."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from heliostat.gitops.markdown import fence, folded, table, text_of
from heliostat.gitops.plan_comment import MARK, EnvironmentNote, PlanReport, StackPlan, comment
from heliostat.gitops.shortening import shortened

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
        ((StackPlan("a", {"result": "failed"}),), "### 1 stack would change, 1 cannot be previewed"),
        ((StackPlan("a", {"changeSummary": {"same": 3}}),), "### No changes in 1 stack"),
        ((StackPlan("a", failure="boom"), PLAN), "### 2 stacks would change, 1 cannot be previewed"),
    ],
)
def test_the_headline_says_how_much_there_is(stacks: tuple[StackPlan, ...], headline: str):
    assert comment(PlanReport("c", stacks), LONG).splitlines()[2] == headline


def require_well_formed(text: str) -> None:
    """See that fences, tables and what is folded are closed."""
    fence, columns = "", 0
    for line in text.split("\n"):
        ticks = re.match(r"`{3,}", line)
        if fence or ticks:
            fence = "" if line == fence else fence or line
        elif line.startswith("|"):
            count = len(re.findall(r"(?<!\\)\|", line)) - 1
            assert line.endswith("|") and count == (columns or count), line
            columns = count
        else:
            columns = 0
    assert not fence and text.count("<details>") == text.count("</details>") == text.count("</summary>")


def named(number: int) -> dict[str, Any]:
    return {"op": "create", "urn": f"{APPLICATION}-{number}", "diffReasons": ["a|b"]}


FAILURE = "The beginning.\n" + "and so on\n" * 7000 + "The end."
LONG_ONES: dict[str, PlanReport] = {
    "a failure": PlanReport("c", (StackPlan("prod", failure=FAILURE),)),
    "a failure of one line": PlanReport("c", (StackPlan("prod", failure="```" + "x" * 70_000),)),
    "300 stacks": PlanReport(
        "c", tuple(StackPlan(f"stack-{each}", failure="x" * 900, why=("w" * 200,)) for each in range(300))
    ),
    "an environment that did not come up": PlanReport("c", (PLAN,), EnvironmentNote("x", failure=FAILURE)),
    "steps": PlanReport("c", (PLAN, StackPlan("prod", {"steps": [named(number) for number in range(3000)]}))),
    "diagnostics": PlanReport(
        "c", (StackPlan("a", {"diagnostics": [{"urn": APPLICATION, "severity": "error", "message": "<*> " * 30_000}] * 3}),)
    ),
    "policies": PlanReport("c", (StackPlan("a", {"policyViolations": DOCUMENT["policyViolations"] * 1000}),)),
    "a comparison": PlanReport("c", (), comparisons=("#### bees\n\n" + table(["", "1"], [["accuracy", "0.9"]] * 9000),)),
}


@pytest.mark.parametrize("of", LONG_ONES)
def test_what_is_too_long_is_cut_by_rows_and_fills_the_comment(of: str):
    text = comment(LONG_ONES[of], 65_536)
    assert 0.9 * 65_536 < len(text) <= 65_536
    assert " more" in text or "characters are left out" in text
    require_well_formed(text)


def test_of_a_long_failure_beginning_and_end_stay_and_what_comes_behind_has_room():
    text = comment(PlanReport("c", (PLAN, StackPlan("b", failure=FAILURE)), EnvironmentNote("x", failure=FAILURE)), 65_536)
    assert text.count("The beginning.") == text.count("The end.") == 2
    assert "no-recreate" in text and "2 replicas on top" in text and "| ~ | flights |" in text
    assert len(text) > 0.9 * 65_536


def test_a_table_that_is_cut_says_how_many_rows_are_left_out():
    text = "#### bees\n\n" + table(["", "1"], [[f"slice-{number}", "0.9"] for number in range(100)])
    short = shortened(text, 400)
    assert 380 < len(short) <= 400
    shown = short.count("slice-")
    assert short.endswith(f"| slice-{shown - 1} | 0.9 |\n| and {100 - shown} more | |")
    assert shortened(text, len(text)) == text and shortened(text, 20) == ""


@given(some.integers(0, 2000))
def test_whatever_the_room_it_is_kept_and_what_is_left_is_well_formed(room: int):
    parts = [
        "#### a", "", fence("x\n" * 300), "", table(["a", "b"], [["1", "2"]] * 40), "", *["- \\*word\\*&lt; " * 5] * 20,
        "", folded("more", table(["a"], [["1"]] * 100)),
    ]  # fmt: skip
    short = shortened("\n".join(parts), room)
    assert len(short) <= room
    require_well_formed(short)


def test_what_is_too_long_loses_its_lists_first_and_says_where_all_of_it_is():
    steps = [{"op": "create", "urn": f"{APPLICATION}-{number}"} for number in range(3000)]
    stacks = tuple(StackPlan(f"stack-{each}", {**DOCUMENT, "steps": steps}) for each in range(3))
    report = PlanReport("c", stacks, artefact="https://ci/job/7")
    whole, short = comment(report, LONG), comment(report, 65_536)
    assert len(whole) > 65_536 >= len(short)
    assert "https://ci/job/7" in short and "https://ci/job/7" not in whole
    assert short.count("no-recreate") == 3 and "| stack-2 |" in short, "what is broken stays"
    assert short.count("<details>") == 3 == short.count(" more |"), "each is cut alike"
    require_well_formed(short)
    assert short.startswith(MARK) and short.endswith("</sub>")


@pytest.mark.parametrize("longest", [400, 1000, 65_536])
def test_it_never_is_longer_than_the_forge_takes(longest: int):
    stacks = tuple(StackPlan(f"stack-{each}", failure="x" * 900) for each in range(200))
    assert len(comment(PlanReport("c", stacks), longest)) <= longest


@pytest.mark.parametrize("words", ["~~gone~~", "$x$", "/merge", "- more", "+ more", "~bug !12 $3"])
def test_words_of_others_are_read_as_they_stand_by_each_forge(words: str):
    """Also what one forge alone takes for something: formulas of GitHub's, references and orders of GitLab's."""
    written = text_of(words)
    assert not written.startswith(("/", "-", "+"))
    assert not re.search(r"(?<!\\)[~$!]", written)
    assert re.sub(r"\\(?=[^\w\s])", "", written) == words


def test_words_of_others_mark_nothing_up_and_call_nobody():
    evil = "@ada | ![x](http://evil) <img src=x> ```\n</details>"
    document = {**DOCUMENT, "diagnostics": [{"urn": APPLICATION, "severity": "error", "message": evil}]}
    text = comment(PlanReport("c", (StackPlan("prod", document), StackPlan("b", failure="```\n@all"))), LONG)
    assert "@ada" not in text and "<img" not in text and "![x]" not in text
    assert "````\n```\n@all\n````" in text, "in a fence of its own, which nothing in it closes"
