"""What came of a rollout is told on the pull request that brought it: in one comment, kept up to date."""

from __future__ import annotations

import httpx
import pytest
from played_forges import PlayedForge
from rolled_back import desired, entry, rollout, status, version

from heliostat.gitops.outcome_comments import tell
from heliostat.gitops.rollout_outcomes import MARK, RolloutOutcome, of_environment, outcomes_in, text_with
from heliostat.spec.ledger import Entry
from heliostat.spec.rollouts import Origin, Phase, Rollout, Status

ONE, TWO = version(1), version(2)
COMMIT, EARLIER = "c" * 40, "e" * 40


def under_way(phase: Phase, number: int = 9, commit: str | None = COMMIT, dirty: bool = False, **said: object) -> Status:
    moving = rollout(number, phase).model_copy(
        update={
            "from_version": ONE.label,
            "to_version": TWO.label,
            "origin": Origin(by="ci", commit=commit, dirty=dirty),
            **said,
        }
    )
    return status(ONE).model_copy(update={"rollout": moving})


def ended(number: int, phase: Phase = Phase.SUCCEEDED, commit: str | None = COMMIT, **said: object) -> Entry:
    return entry(number, TWO, commit, phase).model_copy(update={"previous": desired(ONE), **said})


@pytest.fixture(params=["github", "gitea", "gitlab"])
def played(request: pytest.FixtureRequest) -> PlayedForge:
    made = PlayedForge(request.param)
    made.repository.pull("feature")
    made.repository.merge(7, COMMIT)
    return made


def ours(played: PlayedForge) -> list[str]:
    return [text for text in played.repository.comments[7].values() if text.startswith(MARK)]


def test_a_rollout_that_goes_on_without_a_job_is_told_until_it_ends_in_one_comment(played: PlayedForge):
    played.repository.comment(7, "Thanks!")
    waits = under_way(Phase.WAITING, candidate_weight=0.2, until=7200.0)
    (told,) = tell(played.forge, outcomes_in("production", waits, [], 0), {})
    assert (told.number, told.failure, [each.application for each in told.rollouts]) == (7, "", ["bees"])
    (text,) = ours(played)
    assert "| production | bees | `1-00000001 → 2-00000001` | blue-green | it has 20 % of the traffic and **waits for" in text
    assert "`/approve bees in production` or `/rollback bees in production`" in text
    assert "rolled back at 1970-01-01 02:00 UTC" in text
    tell(played.forge, outcomes_in("production", under_way(Phase.SUCCEEDED, ended_at=60.0), [], 0), {})
    (text,) = ours(played)
    assert "through: it got all the traffic, and the rollout ended at 1970-01-01 00:01 UTC" in text and "waits" not in text
    assert text.count("| production |") == 1 and len(played.repository.comments[7]) == 2


def test_rows_that_somebody_else_wrote_below_our_mark_are_not_taken_over(played: PlayedForge):
    planted = text_with("", [RolloutOutcome("production", "bees", 4, COMMIT, "1", "recreate", "all is well")], 10_000)
    played.repository.comment(7, planted, "mallory")
    tell(played.forge, outcomes_in("staging", under_way(Phase.SUCCEEDED, ended_at=60.0), [], 0), {})
    theirs, own = ours(played)
    assert theirs == planted and "all is well" not in own and "| staging | bees |" in own


def test_a_run_with_nothing_new_writes_nothing_and_one_of_another_stack_keeps_what_is_told(played: PlayedForge):
    found = [*outcomes_in("staging", under_way(Phase.SUCCEEDED, ended_at=60.0), [], 0)]
    tell(played.forge, found, {})
    played.repository.asked.clear()
    tell(played.forge, found, {})
    assert {each.partition(" ")[0] for each in played.repository.asked} == {"GET"}
    failed = under_way(Phase.FAILED, ended_at=90.0, error="\nexpected late | got early.\nTraceback")
    tell(played.forge, outcomes_in("production", failed, [], 0), {})
    (text,) = ours(played)
    assert "| staging | bees |" in text
    assert "**rolled back** at 1970-01-01 00:01 UTC: expected late \\| got early; `1-00000001` goes on serving" in text


def test_a_comment_that_somebody_deleted_is_made_anew_and_a_forge_that_fails_is_told(played: PlayedForge):
    found = [*outcomes_in("staging", under_way(Phase.SUCCEEDED), [], 0)]
    tell(played.forge, found, {})
    played.repository.comments[7].clear()
    tell(played.forge, found, {})
    assert len(ours(played)) == 1
    merged = played.forge.pull_requests_with(COMMIT)
    assert [each.number for each in merged] == [7]
    changed = [*outcomes_in("staging", under_way(Phase.FAILED), [], 0)]
    played.repository.refused = "7/"
    (told,) = tell(played.forge, changed, {})
    assert "403" in told.failure and "it needs" in told.failure


def test_what_no_pull_request_brought_or_nobody_knows_the_commit_of_is_told_nowhere(played: PlayedForge):
    assert tell(played.forge, outcomes_in("staging", under_way(Phase.SUCCEEDED, commit="f" * 40), [], 0), {}) == []
    assert [*outcomes_in("staging", under_way(Phase.SUCCEEDED, commit=None), [ended(3, commit=None)], 0)] == []
    assert [*outcomes_in("staging", under_way(Phase.SUCCEEDED, dirty=True), [], 0)] == []
    assert [*outcomes_in("staging", None, [], 0)] == []
    assert ours(played) == []


def test_a_commit_that_was_never_pushed_is_known_to_no_forge():
    played = PlayedForge("github")
    played.repository.trouble = [httpx.Response(422, json={"message": "No commit found for SHA"})]
    assert played.forge.pull_requests_with(COMMIT) == []


def test_each_rollout_that_ended_since_is_told_and_none_twice():
    entries = [ended(number) for number in (9, 8, 7)] + [entry(6, TWO, COMMIT, Phase.SHIFTING)] + [ended(5)]
    found = [*outcomes_in("staging", under_way(Phase.RETAINING), entries, 7.0)]
    assert [each.number for each in found] == [9, 8, 7]
    assert "the version before is kept" in found[0].standing and "through" in found[1].standing


def test_each_rollout_knows_the_commit_of_the_one_before_it():
    entries = [ended(9), ended(8), ended(7, commit=None), ended(6, commit=EARLIER), ended(5, commit="f" * 40), ended(4)]
    found = [*outcomes_in("staging", under_way(Phase.SHIFTING, number=10), entries, 6.0)]
    assert [(each.number, each.after) for each in found] == [(10, EARLIER), (9, EARLIER), (8, EARLIER), (6, "f" * 40)]
    assert [each.after for each in outcomes_in("staging", None, [ended(9)], 0)] == [""], "it is the first one"


def test_a_branch_s_environment_is_told_on_the_branch_s_open_pull_request(played: PlayedForge):
    played.repository.pulls[7]["state"] = "open"
    found = of_environment("feature-abc", under_way(Phase.STARTING, commit=None))
    assert found is not None and "on its way with 0 % of the traffic: starting" in found.standing
    assert of_environment("feature-abc", status(ONE).model_copy(update={"rollout": None})) is None
    tell(played.forge, [found], {"feature-abc": "feature"})
    assert "| feature-abc | bees |" in ours(played)[0]
    assert tell(played.forge, [found], {"feature-abc": "another"}) == []


def test_the_comment_never_is_longer_than_the_forge_takes_and_loses_the_oldest_rows():
    rows = [RolloutOutcome("staging", f"app-{number}", 1, COMMIT, "1 → 2", "recreate", "x" * 700) for number in range(120)]
    text = text_with("", rows, 65_536)
    assert len(text) <= 65_536 and "app-119" in text and "app-0 " not in text
    assert text_with(text, rows[-1:], 65_536) == text


def phases() -> list[Rollout]:
    return [rollout(1, phase) for phase in Phase]


@pytest.mark.parametrize("moving", phases(), ids=lambda each: each.phase.value)
def test_each_phase_is_told_in_one_row_that_is_found_again(moving: Rollout):
    found = of_environment("env", status(ONE).model_copy(update={"rollout": moving}))
    assert found is not None and "\n" not in found.row
    assert text_with(text_with("", [found], 10_000), [found], 10_000).count("rollout env bees 1") == 1
