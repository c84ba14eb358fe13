"""Each forge does the same behind the protocol, and says what it does not."""

from __future__ import annotations

import time

import httpx
import pytest
from played_forges import OWN, TOKEN, PlayedForge

from heliostat.gitops.commenting import find_comment, keep_comment
from heliostat.gitops.plan_comment import MARK
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.forges import PullRequest
from heliostat.systems.forges.here import Repository, open_forge, pull_request_here, repository_here

ONE, OTHER = f"{MARK}\nOne.", f"{MARK}\nOther."


@pytest.fixture(params=["github", "gitea", "gitlab"])
def played(request: pytest.FixtureRequest) -> PlayedForge:
    return PlayedForge(request.param)


def ours(played: PlayedForge) -> list[str]:
    return [text for text in played.repository.comments[7].values() if text.startswith(MARK)]


def test_there_is_one_comment_which_each_run_edits(played: PlayedForge):
    played.repository.comment(7, "What does this do?")
    keep_comment(played.forge, 7, ONE)
    assert ours(played) == [ONE]
    keep_comment(played.forge, 7, OTHER)
    assert ours(played) == [OTHER]
    assert len(played.repository.comments[7]) == 2


@pytest.mark.parametrize("may_edit_others", [True, False])
def test_a_comment_that_somebody_else_began_with_our_mark_is_theirs(played: PlayedForge, may_edit_others: bool):
    played.repository.may_edit_others = may_edit_others
    planted = played.repository.comment(7, f"{MARK}\nMerge it, it is fine.", "mallory")
    for text in (ONE, OTHER):
        keep_comment(played.forge, 7, text)
        assert played.repository.comments[7].pop(planted) == f"{MARK}\nMerge it, it is fine."
        assert ours(played) == [text]
        played.repository.comments[7] = {planted: f"{MARK}\nMerge it, it is fine.", **played.repository.comments[7]}


def test_a_comment_that_we_may_not_edit_any_more_is_made_anew(played: PlayedForge):
    keep_comment(played.forge, 7, ONE)
    there = find_comment(played.forge, 7)
    assert there is not None
    played.repository.authors[there.id], played.repository.may_edit_others = "mallory", False
    assert not played.forge.edit_comment(7, there.id, OTHER)
    keep_comment(played.forge, 7, OTHER)
    assert ours(played) == [ONE, OTHER]


def test_github_that_does_not_say_whose_a_token_is_is_told():
    played = PlayedForge("github")
    played.repository.trouble = [httpx.Response(200, json={"errors": [{"message": "not for this one"}]})]
    with pytest.raises(PermanentError, match="does not say whose token this is: not for this one"):
        _ = played.forge.own_login


def test_whose_a_token_is_is_asked_again_where_the_forge_does_not_answer(played: PlayedForge):
    played.repository.trouble = [httpx.ConnectError("nobody there")]
    assert (played.forge.own_login, played.slept) == (OWN, [1.0])


def test_what_says_the_same_is_not_written_again(played: PlayedForge):
    keep_comment(played.forge, 7, ONE)
    played.repository.asked.clear()
    keep_comment(played.forge, 7, ONE)
    assert [each.partition(" ")[0] for each in played.repository.asked] == ["GET"]


def test_a_comment_that_somebody_deleted_is_made_anew(played: PlayedForge):
    keep_comment(played.forge, 7, ONE)
    played.repository.comments[7].clear()
    keep_comment(played.forge, 7, OTHER)
    assert ours(played) == [OTHER]


def test_a_comment_that_goes_while_it_is_edited_is_made_anew(played: PlayedForge):
    keep_comment(played.forge, 7, ONE)
    there = find_comment(played.forge, 7)
    assert there is not None
    played.repository.comments[7].clear()
    assert not played.forge.edit_comment(7, there.id, OTHER)


def test_an_answer_that_got_lost_makes_no_second_comment(played: PlayedForge):
    played.repository.lost = 1
    keep_comment(played.forge, 7, ONE)
    assert ours(played) == [ONE]


@pytest.mark.parametrize("is_first", [True, False])
def test_of_two_jobs_at_once_one_comment_comes_and_says_what_the_last_one_says(played: PlayedForge, is_first: bool):
    """Where the forge begins jobs of one pull request side by side, both find no comment, and both write one."""
    if is_first:
        played.repository.commenter = lambda: played.repository.comment(7, ONE, OWN)
    else:
        played.repository.commenter = lambda: keep_comment(played.forge, 7, ONE)
    keep_comment(played.forge, 7, OTHER)
    assert ours(played) == [OTHER]


def test_a_second_comment_that_a_killed_job_left_goes_with_the_next_run(played: PlayedForge):
    for text in (ONE, OTHER):
        played.repository.comment(7, text, OWN)
    planted = played.repository.comment(7, ONE, "mallory")
    keep_comment(played.forge, 7, ONE)
    assert ours(played) == [ONE, ONE] and played.repository.comments[7][planted] == ONE, "what is another's stays"


def test_comments_are_found_behind_a_hundred_others(played: PlayedForge):
    for number in range(120):
        played.repository.comment(7, f"Comment {number}")
    keep_comment(played.forge, 7, ONE)
    keep_comment(played.forge, 7, OTHER)
    assert ours(played) == [OTHER]


def test_what_somebody_closed_is_told_and_what_was_merged_or_is_open_is_not(played: PlayedForge):
    for state in ("open", "closed", "merged"):
        number = played.repository.open({"head": "pin", "base": "main", "title": state, "text": f"It is {state}."})
        played.repository.pulls[number]["state"] = state
    played.repository.pull("other")
    played.repository.pulls[7] |= {"state": "closed", "text": "Of another branch."}
    assert played.forge.declined_texts("pin") == ["It is closed."]
    there = played.forge.open_pull_request_of("pin")
    assert there is not None
    played.forge.close_pull_request(there.number, "Not needed.")
    assert set(played.forge.declined_texts("pin")) == {"It is closed.", "Not needed."}
    assert played.forge.open_pull_request_of("pin") is None


def test_an_open_pull_request_is_found_behind_a_hundred_others(played: PlayedForge):
    for number in range(120):
        played.repository.pull(f"branch-{number}", number=1000 + number)
    played.repository.pull("pin", number=2000)
    there = played.forge.open_pull_request_of("pin")
    assert there is not None and there.number == 2000


def test_a_pull_request_tells_the_commit_that_its_branch_is_at(played: PlayedForge):
    played.repository.pull("feature")
    assert played.forge.pull_request(7).commit == ""
    played.repository.pulls[7]["commit"] = "c" * 40
    assert played.forge.pull_request(7).commit == "c" * 40


def test_a_pull_request_tells_its_branches_and_whether_it_comes_from_a_fork(played: PlayedForge):
    played.repository.pull("feature")
    found = played.forge.pull_request(7)
    assert (found.number, found.head, found.base, found.from_fork) == (7, "feature", "main", False)
    played.repository.pull("feature", fork=True)
    assert played.forge.pull_request(7).from_fork
    with pytest.raises(PermanentError, match="404"):
        played.forge.pull_request(8)


def test_a_pull_request_is_opened_once_for_a_branch(played: PlayedForge):
    assert played.forge.open_pull_request_of("promote") is None
    first = played.forge.open_pull_request("promote", "main", "Promote 3", "Its card.")
    second = played.forge.open_pull_request("promote", "main", "Promote 4", "Another card.")
    assert isinstance(first, PullRequest) and first == second
    (pull,) = played.repository.pulls.values()
    assert (pull["title"], pull["text"], pull["base"]) == ("Promote 4", "Another card.", "main")


@pytest.mark.parametrize(
    ("status", "told"), [(401, "not valid"), (403, "it needs"), (404, "may not see it"), (422, "Validation Failed; too long")]
)
def test_a_refusal_says_what_the_forge_said_and_what_helps(played: PlayedForge, status: int, told: str):
    body = {"message": "Validation Failed", "errors": [{"code": "too long"}]} if status == 422 else {"message": "No"}
    played.repository.trouble = [httpx.Response(status, json=body)]
    with pytest.raises(PermanentError, match=told) as caught:
        keep_comment(played.forge, 7, ONE)
    assert TOKEN not in str(caught.value)
    assert played.slept == []


@pytest.mark.parametrize(
    ("answer", "slept"),
    [
        (httpx.Response(429, headers={"retry-after": "5"}, json={}), 5.0),
        (httpx.Response(503, text="busy"), 1.0),
        (httpx.Response(403, headers={"x-ratelimit-remaining": "0", "retry-after": "7"}, json={"message": "limit"}), 7.0),
        (httpx.ConnectError("nobody there"), 1.0),
    ],
)
def test_a_forge_that_has_too_much_to_do_is_asked_again(played: PlayedForge, answer: httpx.Response, slept: float):
    played.repository.trouble = [answer]
    keep_comment(played.forge, 7, ONE)
    assert ours(played) == [ONE]
    assert played.slept == [slept]


def test_a_forge_that_wants_to_be_left_alone_for_longer_is(played: PlayedForge):
    later = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(time.time()) + 3600)}
    played.repository.trouble = [httpx.Response(403, headers=later, json={"message": "limit"})]
    with pytest.raises(RetryableError, match="run it again later"):
        keep_comment(played.forge, 7, ONE)
    assert played.slept == []


def test_a_forge_that_never_answers_is_given_up(played: PlayedForge):
    played.repository.trouble = [httpx.ConnectError("nobody there")] * 9
    with pytest.raises(RetryableError, match="does not answer"):
        keep_comment(played.forge, 7, ONE)
    assert len(played.slept) == 3


def test_what_is_no_api_is_told(played: PlayedForge):
    played.repository.trouble = [httpx.Response(200, text="<html>")]
    with pytest.raises(PermanentError, match="is it the forge's API"):
        keep_comment(played.forge, 7, ONE)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_forge_that_is_elsewhere_by_now_is_told_with_where(played: PlayedForge, status: int):
    """As of a repository that was renamed. The token is sent to nobody else."""
    moved = httpx.Response(status, headers={"location": "https://elsewhere/api"}, json={"message": "Moved Permanently"})
    for ask in (
        lambda: played.forge.pull_request(7),
        lambda: played.forge.comments(7),
        lambda: played.forge.add_comment(7, ONE),
    ):
        played.repository.trouble = [moved]
        with pytest.raises(PermanentError, match=r"https://elsewhere/api.*HELIOSTAT_FORGE_REPOSITORY"):
            ask()
    assert played.repository.asked == []


def test_a_forge_that_answers_with_nothing_is_asked_once_more_by_the_next_run(played: PlayedForge):
    played.repository.trouble = [httpx.Response(200)]
    with pytest.raises(RetryableError, match="wrote nothing"):
        played.forge.comments(7)
    played.repository.trouble = [httpx.Response(200)]
    with pytest.raises(RetryableError, match="wrote nothing"):
        played.forge.pull_request(7)


def test_a_list_that_is_none_is_told(played: PlayedForge):
    played.repository.trouble = [httpx.Response(200, json={"message": "maintenance"})]
    with pytest.raises(PermanentError, match="is it the forge's API"):
        played.forge.comments(7)


GITHUB = {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/models", "GITHUB_API_URL": "https://ghe/api/v3"}


def test_the_forge_is_the_one_that_the_job_runs_for():
    assert repository_here(GITHUB) == Repository("github", "https://ghe/api/v3", "acme/models")
    gitea = {**GITHUB, "GITEA_ACTIONS": "true", "GITHUB_SERVER_URL": "http://gitea:3000"}
    assert repository_here(gitea) == Repository("gitea", "http://gitea:3000", "acme/models")
    gitlab = {"GITLAB_CI": "true", "CI_API_V4_URL": "https://lab/api/v4", "CI_PROJECT_ID": "42"}
    assert repository_here(gitlab) == Repository("gitlab", "https://lab/api/v4", "42")
    said = {"HELIOSTAT_FORGE": "gitea", "HELIOSTAT_FORGE_URL": "http://here", "HELIOSTAT_FORGE_REPOSITORY": "a/b"}
    assert repository_here({**GITHUB, **said}) == Repository("gitea", "http://here", "a/b")


@pytest.mark.parametrize(
    ("environment", "told"),
    [({}, "HELIOSTAT_FORGE"), ({"HELIOSTAT_FORGE": "svn"}, "github, gitlab, gitea"), (GITHUB, "no token")],
)
def test_what_is_missing_is_told(environment: dict[str, str], told: str):
    with pytest.raises(PermanentError, match=told):
        open_forge(environment)


def test_the_pull_request_is_the_one_that_the_job_is_for():
    assert pull_request_here({"GITHUB_REF": "refs/pull/12/merge"}) == 12
    assert pull_request_here({"CI_MERGE_REQUEST_IID": "3"}) == 3
    assert pull_request_here({"GITHUB_REF": "refs/heads/main"}) is None
