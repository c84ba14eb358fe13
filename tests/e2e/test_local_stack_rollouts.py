"""Each strategy and each kind of bad candidate on a real stack, as a user meets them.

The tests run in this order on one stack, that of `test_local_stack` where it ran before: each begins where the one before it
ended.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest

from heliostat.testing import CommandResult
from tests import documents
from tests.e2e.load import Load
from tests.e2e.stack import Checkout

pytestmark = [pytest.mark.local_stack, pytest.mark.cluster, pytest.mark.timeout(600)]

CONTRACT = "workloads/flights/contract.py"
ANSWER = "    return Lateness(late_probability="
BREAKS_AFTER_A_WHILE = """
    respond.__dict__["calls"] = respond.__dict__.get("calls", 0) + 1
    if respond.__dict__["calls"] > 8 and respond.__dict__["calls"] % 4 == 0:
        raise RuntimeError("a bug of mine")
"""
SAME_ANSWERS = {"kind": "disagreement", "field": "late", "atMost": 0.01}
ANSWERS_AT_ALL = {"kind": "success-rate", "atLeast": 0.98}
AS_FAST = {"kind": "latency", "quantile": 0.5, "times": 3}


def analysis(*checks: dict[str, Any], seconds: float = 4) -> dict[str, Any]:
    return {"seconds": seconds, "minRequests": 50, "checks": list(checks)}


@pytest.fixture(scope="module")
def stack(checkout: Checkout) -> Checkout:
    use(checkout, {"kind": "blue-green", "retentionSeconds": 1})
    checkout.up()
    return checkout


def use(stack: Checkout, strategy: dict[str, Any]) -> None:
    """Choose a strategy; the old one's options go."""
    stack.flights(serving={"strategy": None})
    stack.flights(serving={"strategy": strategy})


def next_version(stack: Checkout, rows: int) -> None:
    """Another version of the application for which nothing is trained: by the limit of the rows of a request."""
    stack.flights(serving={"limits": {"maxRows": rows}})


def up(stack: Checkout, *flags: str) -> CommandResult:
    return stack.tried("up", "-s", "local", "--yes", "--skip-preview", *flags)


def tried(stack: Checkout, words: list[str]) -> str:
    """What a command says that has to succeed; where it would ask, it is told yes."""
    asks = words[0] in {"up", "rollback"}
    done = stack.tried(*words, "-s", "local", *(["--yes"] if asks else []))
    assert done.code == 0, f"{words}: {done.output}"
    return done.output


def serving(stack: Checkout) -> str:
    return str(stack.predict().headers["x-heliostat-version"])


def status(stack: Checkout) -> dict[str, Any]:
    done = stack.tried("rollout", "status", "flights", "-s", "local", "--json")
    assert done.code == 0, done.output
    found: dict[str, Any] = json.loads(done.output)
    return found


def loaded(stack: Checkout) -> Load:
    question = stack.predict().request.content
    return Load(f"{stack.url('flights')}/predict", json.loads(question))


def test_a_canary_goes_through_its_steps_and_loses_nothing(stack: Checkout) -> None:
    steps = [{"weight": 20}, {"weight": 60}]
    use(stack, {"kind": "canary", "steps": steps, "analysis": analysis(ANSWERS_AT_ALL, SAME_ANSWERS), "retentionSeconds": 1})
    next_version(stack, 901)
    before = serving(stack)
    preview = stack.tried("preview", "-s", "local")
    assert "20 %" in preview.output and "60 %" in preview.output, preview.output
    with loaded(stack) as load:
        done = up(stack)
    assert done.code == 0, done.output
    assert not load.failures, load.failures
    assert set(load.versions) == {before, serving(stack)}


def test_the_commands_of_rollouts_md_take_a_canary_to_its_end_back_and_there_again(stack: Checkout) -> None:
    use(stack, {"kind": "canary", "steps": [{"weight": 50, "approval": True}], "retentionSeconds": 60})
    next_version(stack, 902)
    before = serving(stack)
    named = iter(documents.commands("rollouts.md"))
    said = {" ".join(words[:2]): tried(stack, words) for words in itertools.islice(named, 5)}
    assert list(said) == ["preview", "up", "up --detach", "rollout status", "rollout approve"]
    assert "canary" in said["preview"] and "heliostat rollout approve flights" in said["up"], said
    assert "waiting" in said["rollout status"]
    assert "50 %" in said["rollout status"], "`up --detach` changed nothing"
    tried(stack, ["rollout", "watch"])
    after = serving(stack)
    assert after != before
    entry = json.loads(tried(stack, ["history", "flights", "--json"]))[0]["number"]
    assert after in tried(stack, next(named))
    tried(stack, next(named))
    assert serving(stack) == before, "`rollback` goes back to what served before"
    assert before in tried(stack, next(named))
    (*at, _), (*to, _) = named
    assert after not in tried(stack, [*at, "2026-11-22T18:00"])
    tried(stack, [*to, str(entry)])
    assert serving(stack) == after, "`--to` goes to an exact entry"
    assert up(stack, "--expect-no-changes").code == 0
    nothing = stack.tried("rollout", "approve", "flights", "-s", "local")
    assert nothing.code == 1, nothing.output


@pytest.fixture(scope="module")
def judged(stack: Checkout) -> Checkout:
    """The stack with candidates that are judged before a client sees them."""
    strategy = {"kind": "blue-green", "before": analysis(SAME_ANSWERS, ANSWERS_AT_ALL, AS_FAST), "retentionSeconds": 1}
    use(stack, strategy)
    assert up(stack).code == 0
    return stack


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        pytest.param("LATE_FROM = 0.5", "LATE_FROM = 0.05", "disagreement", id="wrong answers"),
        pytest.param(ANSWER, f"    __import__('time').sleep(0.05)\n{ANSWER}", "latency", id="slow"),
        pytest.param(ANSWER, f"{BREAKS_AFTER_A_WHILE}{ANSWER}", "success rate", id="crashing"),
        pytest.param("LATE_FROM = 0.5", "LATE_FROM = float('half')", "could not convert string", id="not loading"),
    ],
)
def test_a_bad_candidate_is_refused_with_its_figures(judged: Checkout, good: str, bad: str, told: str) -> None:
    before, path = serving(judged), judged.root / CONTRACT
    text = path.read_text()
    assert good in text
    path.write_text(text.replace(good, bad))
    with loaded(judged) as load:
        done = up(judged)
    path.write_text(text)
    assert done.code != 0
    assert told in done.output, done.output
    assert not load.failures, load.failures
    assert set(load.versions) == {before}, "it got no request of a client"
    assert up(judged, "--expect-no-changes").code == 0, "the program of before is what serves"


def test_what_was_rolled_back_is_not_shipped_again_until_someone_says_so(stack: Checkout) -> None:
    before, path = serving(stack), stack.root / CONTRACT
    text = path.read_text()
    path.write_text(text.replace("LATE_FROM = 0.5", "LATE_FROM = 0.05"))
    again = up(stack)
    assert again.code != 0
    assert "--retry-refused" in again.output and "rolled back" in again.output, again.output
    number = status(stack)["rollout"]["number"]
    insisted = up(stack, "--retry-refused")
    assert insisted.code != 0
    assert status(stack)["rollout"]["number"] == number + 1, insisted.output
    use(stack, {"kind": "blue-green", "retentionSeconds": 60})
    accepted = up(stack)
    assert accepted.code == 0, f"another strategy is another declaration: {accepted.output}"
    assert serving(stack) != before


def test_a_rollback_returns_to_an_exact_entry_and_up_does_not_undo_it(stack: Checkout) -> None:
    wrong = serving(stack)
    done = stack.tried("rollback", "flights", "-s", "local", "--yes", "--reason", "late is wrong")
    assert done.code == 0, done.output
    right = serving(stack)
    assert right != wrong
    undone = up(stack)
    assert undone.code != 0 and "late is wrong" in undone.output, undone.output
    assert serving(stack) == right
    history = stack.tried("history", "flights", "-s", "local", "--json")
    entries = json.loads(history.output)
    assert [entry["number"] for entry in entries] == sorted((entry["number"] for entry in entries), reverse=True)
    gone = stack.tried("rollback", "flights", "-s", "local", "--yes", "--to", "4711")
    assert gone.code == 1 and "4711" in gone.output, gone.output
    (stack.root / CONTRACT).write_text((stack.root / CONTRACT).read_text().replace("LATE_FROM = 0.05", "LATE_FROM = 0.5"))
    assert up(stack).code == 0


def test_a_report_is_one_file_with_its_pictures(stack: Checkout) -> None:
    target = stack.root / "report.html"
    done = stack.tried("rollout", "report", "flights", "-s", "local", "-o", str(target))
    assert done.code == 0, done.output
    page = target.read_text()
    assert "<svg" in page
    assert not re.search(r"""(src|href)=["']https?://""", page), "it loads nothing from elsewhere"


def test_the_ledger_outlives_the_stack(stack: Checkout) -> None:
    assert stack.tried("destroy", "-s", "local", "--yes", "--skip-preview").code == 0
    done = stack.tried("history", "flights", "-s", "local", "--json")
    assert done.code == 0, done.output
    assert json.loads(done.output)[0]["kind"] == "removed"
