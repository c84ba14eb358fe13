"""A branch's whole way: environment, pull request, staging, production, a bad model that goes back, and nothing left of it.

Engine, program, plugin, controllers and ledger are the real ones. What Ray and MLflow would do, `story_plugin` does; replicas
and the traffic plane are in memory, and the forge is played.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from played_runs import PlayedRun
from story import Story, comment_on, pull_of, story

from heliostat.spec.branch_environments import environment_name

pytestmark = pytest.mark.timeout(900)
BRANCH, NUMBER, DOCUMENT, LIMIT = "feature/more-bees", 7, 8, 9
NAME = environment_name(BRANCH)
RESUME = ("ci", "resume", "ready", "--before", "production", "--after", "staging", "--branch", "main")
BACK = "rollback/bees-in-production"
BAD = "models:/bees/2"


def previewed(told: Story, base: str, *stacks: str) -> None:
    since = ("--base", base) if base else ("--since-applied",)
    told.heliostat("ci", "preview", *since, *(each for stack in stacks for each in ("--stack", stack)))


def planned(told: Story) -> list[str]:
    report = json.loads((told.repository.root / ".heliostat/ci/report.json").read_text())
    return [each["stack"] for each in report["stacks"]]


def merged(told: Story, branch: str, number: int, *edit: str) -> None:
    """A branch of one edit is pushed, and its pull request merged."""
    told.git("checkout", "-q", "-b", branch)
    told.push(branch, *edit)
    for played in told.forges.values():
        played.repository.pull(branch, number=number)
    told.merge(branch)


def test_a_branch_goes_to_production_a_bad_model_comes_back_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    with story(tmp_path, monkeypatch, capsys, wrong=BAD) as told:
        first = a_push_brings_an_environment_and_a_comment(told)
        another_push_edits_that_comment(told, first)
        a_job_of_an_earlier_push_leaves_that_comment(told)
        what_was_approved_and_merged_goes_to_staging_and_production(told)
        a_promoted_model_that_does_badly_goes_back_by_itself(told)
        the_repository_says_so_by_a_pull_request_until_it_is_merged(told)
        a_person_who_goes_back_from_code_opens_its_revert(told)
        what_came_of_each_is_told_on_the_pull_request_that_brought_it(told)
        of_the_branch_nothing_is_left(told)


def a_push_brings_an_environment_and_a_comment(told: Story) -> str:
    told.in_pull_request(NUMBER, BRANCH)
    told.git("checkout", "-q", "-b", BRANCH)
    told.push(BRANCH, "workloads/shared.py", "LIMIT = 3", "LIMIT = 4")
    for played in told.forges.values():
        played.repository.pull(BRANCH, number=NUMBER)
    previewed(told, "origin/main", "production")
    told.heliostat("env", "up")
    texts = commented(told)
    assert told.world.tests.served == {f"bees-{NAME}": BAD}, "what the branch trained is the second version"
    assert [each["experiment"] for each in told.world.registry.known("trainings")] == [f"bees@{NAME}"]
    (text,) = {*texts}
    assert f"http://public/bees-{NAME}" in text and "| production | +5 create |" in text, text
    return text


def commented(told: Story) -> list[str]:
    """What is said on the pull request at each forge."""
    texts = []
    for played in told.at_each():
        told.heliostat("ci", "comment")
        texts.append(comment_on(NUMBER, played))
    return texts


def another_push_edits_that_comment(told: Story, first: str) -> None:
    told.push(BRANCH, "workloads/shared.py", "LIMIT = 4\n", "LIMIT = 4  # more of them\n")
    previewed(told, "origin/main", "production")
    (text,) = {*commented(told)}
    before, after = (f"of commit `{told.git('rev-parse', commit)[:12]}`" for commit in ("HEAD^", "HEAD"))
    assert before in first and after in text and before not in text


def a_job_of_an_earlier_push_leaves_that_comment(told: Story) -> None:
    """Some forges begin the jobs of one pull request side by side: the first may end last."""
    head = told.git("rev-parse", "HEAD")
    later = told.git("commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "later")
    for played in told.at_each():
        pull = played.repository.pulls[NUMBER]
        pull["commit"] = later
        played.repository.comments[NUMBER] = {
            each: f"{text}\nlater" for each, text in played.repository.comments[NUMBER].items()
        }
        told.heliostat("ci", "comment")
        assert comment_on(NUMBER, played).endswith("later")
        pull["commit"] = head
        told.heliostat("ci", "comment")
        assert not comment_on(NUMBER, played).endswith("later")


def what_was_approved_and_merged_goes_to_staging_and_production(told: Story) -> None:
    told.merge(BRANCH)
    told.on_branch("main")
    previewed(told, "", "staging", "production")
    assert planned(told) == ["production", "staging"]
    early = told.heliostat("ci", "apply", "production", "--after", "staging", code=1)
    assert "staging is not at what" in early and told.world.live.served == {}
    # Nobody applies it; what the next merge brings is a document.
    merged_over = told.git("rev-parse", "HEAD")
    merged(told, "docs", DOCUMENT, "README.md", "A repository.", "A repository of bees.")
    assert "Nothing differs" in told.heliostat("ci", "affected", "--base", merged_over)
    previewed(told, "", "staging", "production")
    assert planned(told) == ["production", "staging"], "what was merged before is applied with it"
    told.world.tests.held = True
    told.heliostat("ci", "apply", "staging", "--detach")
    nobody_is_asked_for_production_yet(told)
    not_yet = told.heliostat("ci", "apply", "production", "--after", "staging", code=75)
    assert "bees: rollout 1 is testing, with 0 % of the traffic" in not_yet and told.world.live.served == {}
    told.world.tests.held = False
    assert told.world.tests.rollouts_end()
    what_waited_for_staging_is_begun_again(told)
    told.heliostat("ci", "apply", "production", "--after", "staging")
    assert told.world.tests.served == {f"bees-{NAME}": BAD, "bees": BAD}
    assert told.world.live.served == {"bees": "models:/bees/1"}, "it serves what is pinned, with the new code"
    assert len(told.world.registry.known("trainings")) == 1, "staging takes what the branch trained"
    previewed(told, "", "staging", "production")
    assert planned(told) == []
    an_earlier_commit_is_not_put_over_it(told, merged_over)


def nobody_is_asked_for_production_yet(told: Story) -> None:
    assert "bees: rollout 1 is testing" in told.heliostat("ci", "ready", "--after", "staging", code=75)
    for played in told.at_each():
        jobs = {"ready": "failed", "production": "skipped"}
        played.repository.runs.there.append(PlayedRun(1, told.git("rev-parse", "HEAD"), jobs))
        assert "staging: bees: rollout 1 is testing" in told.heliostat(*RESUME)
        assert played.repository.runs.begun == []


def what_waited_for_staging_is_begun_again(told: Story) -> None:
    for played in told.at_each():
        said = json.loads(told.heliostat(*RESUME, "--json"))
        assert (said["begun"]["commit"], played.repository.runs.begun) == (told.git("rev-parse", "HEAD"), ["ready"])
    assert json.loads(told.heliostat("ci", "ready", "--after", "staging", "--json"))["ready"] is True
    for played in told.at_each():
        played.repository.runs.there[0].jobs |= {"ready": "passed", "production": "goes on"}
        assert "is through" in told.heliostat(*RESUME) and played.repository.runs.begun == ["ready"]


def an_earlier_commit_is_not_put_over_it(told: Story, earlier: str) -> None:
    told.git("checkout", "-q", "--detach", earlier)
    previewed(told, "HEAD^", "production")
    assert "comes after" in told.heliostat("ci", "apply", "production", code=1)
    told.git("checkout", "-q", "--detach", "origin/main")


def a_promoted_model_that_does_badly_goes_back_by_itself(told: Story) -> None:
    for played in told.at_each():
        told.heliostat("promote", "bees", "--from", "staging", "--to", "production")
        _, pull = pull_of("promote/bees-to-production", played)
        assert "in the place of `models:/bees/1`" in pull["text"] and "| rounds | 10 |" in pull["text"]
    told.merge("promote/bees-to-production")
    config = (told.repository.root / "configs/Pulumi.production.yaml").read_text()
    assert 'model: "models:/bees/2", serving: {replicas: 2}}  # what customers get' in config
    previewed(told, "", "production")
    told.heliostat("ci", "apply", "production", "--after", "staging", code=1)
    assert told.world.live.served == {"bees": "models:/bees/1"}


def the_repository_says_so_by_a_pull_request_until_it_is_merged(told: Story) -> None:
    for played in told.at_each():
        (found,) = json.loads(told.heliostat("ci", "reconcile", "-s", "production", "--json"))
        number, pull = pull_of(BACK, played)
        assert (found["standing"], found["url"]) == ("proposed", played.url(number))
        assert pull["title"] == "Go back to bees/1 in production" and "expected late" in pull["text"]
    told.merge(BACK)
    config = (told.repository.root / "configs/Pulumi.production.yaml").read_text()
    assert 'model: "models:/bees/1", serving: {replicas: 2}}  # what customers get' in config
    (found,) = json.loads(told.heliostat("ci", "reconcile", "-s", "production", "--json"))
    assert (found["standing"], found["told"]) == ("in step", "main declares something else by now")
    pulls = [each for played in told.forges.values() for each in played.repository.pulls.values()]
    assert [each for each in pulls if each["state"] == "open"] == []


def a_person_who_goes_back_from_code_opens_its_revert(told: Story) -> None:
    # What the second one brings is a document: the first one, which nobody applied, goes out with it.
    merged(told, "limit", LIMIT, "workloads/shared.py", "LIMIT = 4", "LIMIT = 5")
    merged(told, "later", LIMIT + 1, "README.md", "of bees", "of many bees")
    previewed(told, "", "production")
    told.heliostat("ci", "apply", "production")
    why = "the answers are too large"
    told.heliostat("rollback", "bees", "-s", "production", "--pr", "--detach", "--yes", code=2)
    said = told.heliostat("rollback", "bees", "-s", "production", "--pr", "--yes", "--reason", why)
    number, pull = pull_of(BACK, told.played)
    assert why in pull["text"] and f"production: bees: proposed: {told.played.url(number)}" in said
    told.git("fetch", "-q", "origin")
    changed = told.git("diff", "--unified=0", "origin/main", f"origin/{pull['head']}").splitlines()
    lines = [line for line in changed if line.startswith(("+", "-")) and not line.startswith(("+++", "---"))]
    assert lines == ["-LIMIT = 5  # more of them", "+LIMIT = 4  # more of them"], "the revert, and no pin"


def what_came_of_each_is_told_on_the_pull_request_that_brought_it(told: Story) -> None:
    for played in told.at_each():
        said = json.loads(told.heliostat("ci", "outcomes", "-s", "staging", "-s", "production", "--json"))
        document, limit, promotion, back = said["pullRequests"]
        assert document["pullRequest"] == DOCUMENT, "before it, nothing was applied to either stack"
        assert [limit["pullRequest"], len(limit["rollouts"])] == [LIMIT, 1], "it went out with a later merge"
        assert back["rollouts"] == limit["rollouts"], "so did what took the promotion back"
        assert [(each["stack"], each["standing"][:7]) for each in document["rollouts"]] == [
            ("production", "through"),
            ("staging", "through"),
        ]
        text = comment_on(promotion["pullRequest"], played)
        assert "**rolled back**" in text and "expected late" in text and "goes on serving" in text
        assert len(played.repository.comments[NUMBER]) == 1, "the plan's"


def of_the_branch_nothing_is_left(told: Story) -> None:
    assert BRANCH not in told.git("ls-remote", "--heads", "origin") and told.world.left_of(NAME)
    told.heliostat("env", "sweep")
    assert told.world.left_of(NAME, told.repository.root / ".heliostat") == [], "but its run, which a registered version is of"
    assert told.world.tests.served == {"bees": BAD}
    assert json.loads(told.heliostat("env", "list", "--json")) == []
