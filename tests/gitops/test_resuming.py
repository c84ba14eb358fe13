"""A job that ended because rollouts were on their way is begun again once they are through; its approval comes after it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from played_forges import PlayedForge
from played_runs import CANCELLED, FAILED, GOES_ON, PASSED, SKIPPED, PlayedRun

from heliostat.cli.commands.ci_ready import look_until_there
from heliostat.cli.exits import NotYetError
from heliostat.gitops.resuming import MOST_ATTEMPTS, Resumption, resumption
from heliostat.systems.errors import PermanentError
from heliostat.systems.forges import Gate, Standing
from heliostat.systems.forges.gitea import Gitea

OLD, NEW = "e" * 40, "f" * 40


@pytest.fixture(params=["github", "gitlab"])
def played(request: pytest.FixtureRequest) -> PlayedForge:
    return PlayedForge(request.param)


def ran(played: PlayedForge, ready: str, production: str = SKIPPED, commit: str = NEW, **said: int) -> PlayedRun:
    """A run for a push that got as far as that."""
    runs = played.repository.runs.there
    runs.append(PlayedRun(len(runs) + 1, commit, {"plan": PASSED, "ready": ready, "production": production}, **said))
    return runs[-1]


def resumed(played: PlayedForge) -> Resumption:
    """As `ci resume` does."""
    forge = played.forge
    found = resumption(forge.gates("main", "ready", "production"), "ready")
    if found.gate is not None:
        forge.begin_again(found.gate)
    return found


def test_what_looked_too_early_is_begun_again_once(played: PlayedForge):
    run = ran(played, FAILED)
    assert "is begun again: https://forge/runs/1" in resumed(played).told
    assert (played.repository.runs.begun, run.attempts) == (["ready"], 2)
    assert "is looking" in resumed(played).told
    run.jobs |= {"ready": PASSED, "production": GOES_ON}
    assert "is through" in resumed(played).told
    assert played.repository.runs.begun == ["ready"], "and nothing of what waits behind it"


def test_on_github_one_that_ended_well_and_let_nothing_begin_is_begun_again_too():
    played = PlayedForge("github")
    ran(played, PASSED)
    assert resumed(played).gate is not None


def test_the_last_push_that_got_so_far_counts(played: PlayedForge):
    ran(played, FAILED, commit=OLD)
    ran(played, FAILED, commit=NEW)
    played.repository.runs.there.append(PlayedRun(3, "a" * 40, {"plan": FAILED, "ready": SKIPPED, "production": SKIPPED}))
    played.repository.runs.there.append(PlayedRun(4, "b" * 40, {"ready": CANCELLED, "production": SKIPPED}))
    played.repository.runs.there.append(PlayedRun(5, "c" * 40, {"lint": PASSED}))
    played.repository.runs.there.append(PlayedRun(6, "d" * 40, {"ready": FAILED, "production": SKIPPED}, branch="other"))
    found = resumed(played)
    assert found.gate is not None and found.gate.commit == NEW


def test_what_production_was_asked_for_already_is_left_alone_and_what_came_before_it(played: PlayedForge):
    ran(played, FAILED, commit=OLD)
    ran(played, PASSED, PASSED if played.kind == "github" else "goes on", commit=NEW)
    assert resumed(played).gate is None and played.repository.runs.begun == []


def test_what_fails_again_and_again_is_left_to_people(played: PlayedForge):
    ran(played, FAILED, attempts=MOST_ATTEMPTS)
    assert "see why it fails" in resumed(played).told and played.repository.runs.begun == []


def test_no_run_has_got_so_far(played: PlayedForge):
    assert resumed(played).told == "no run waits at ready"


def test_no_more_runs_are_asked_for_than_it_takes():
    def gates() -> Iterator[Gate]:
        yield Gate("1", NEW, "https://forge/1", Standing.OPEN)
        raise AssertionError("it was asked on")

    assert resumption(gates(), "ready").gate is None


def test_a_token_that_may_not_is_told_what_it_needs(played: PlayedForge):
    ran(played, FAILED)
    played.repository.refused = "/rerun" if played.kind == "github" else "/retry"
    with pytest.raises(PermanentError, match="actions: write" if played.kind == "github" else "Developer"):
        resumed(played)


def test_on_gitea_what_somebody_started_and_is_to_wait_goes_on_once():
    played = PlayedForge("gitea")
    ran(played, PASSED, PASSED, commit=OLD)
    run = ran(played, PASSED, SKIPPED)
    assert "is begun again: https://forge/runs/2" in resumed(played).told
    assert (played.repository.runs.begun, run.attempts) == (["ready"], 2)
    assert "is looking" in resumed(played).told
    run.jobs |= {"ready": PASSED, "production": PASSED}
    assert "is through" in resumed(played).told and played.repository.runs.begun == ["ready"]


def test_on_gitea_nothing_goes_on_that_failed_nor_what_was_started_before_it():
    played = PlayedForge("gitea")
    ran(played, PASSED, SKIPPED, commit=OLD)
    ran(played, FAILED)
    assert resumed(played) == Resumption(None, "no run waits at ready")
    assert played.repository.runs.begun == []


def test_a_forge_that_begins_no_job_again_says_so():
    forge = Gitea("https://forge", "acme/models", "t", transport=httpx.MockTransport(lambda asked: httpx.Response(404)))
    gate = Gate("7/jobs/70", NEW, "https://forge/runs/7", Standing.CLOSED)
    for asked in (lambda: next(forge.gates("main", "ready", "production")), lambda: forge.begin_again(gate)):
        with pytest.raises(PermanentError, match=r"from 1\.26 on\. Start it by hand"):
            asked()


class Clock:
    def __init__(self) -> None:
        self.now, self.looks = 0.0, 0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def look(self, through_at: float) -> None:
        self.looks += 1
        if self.now < through_at:
            raise NotYetError("it is on its way")


def test_what_is_through_soon_is_waited_for_and_what_is_not_is_not_for_longer_than_said():
    clock = Clock()
    look_until_there(lambda: clock.look(40.0), 60.0, clock.sleep, lambda: clock.now)
    assert (clock.now, clock.looks) == (45.0, 4)
    with pytest.raises(NotYetError):
        look_until_there(lambda: clock.look(1e9), 60.0, clock.sleep, lambda: clock.now)
    assert clock.now == 105.0
    with pytest.raises(NotYetError):
        look_until_there(lambda: clock.look(1e9), 0.0, clock.sleep, lambda: clock.now)
    assert clock.now == 105.0, "it looks once"
