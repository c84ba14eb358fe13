"""What a monitor proposes becomes one pull request; what came of that is told to the monitor, and never comes again."""

from __future__ import annotations

import datetime as dt
import math
import os
from pathlib import Path

import httpx
import pytest
from played_forges import PlayedForge
from repository_of import Repository

from heliostat.engine.config import project as projects
from heliostat.gitops.model_card import Card
from heliostat.gitops.retrainings import Retrainings, Served
from heliostat.gitops.watched_retraining import Retrained, Standing, Watched
from heliostat.gitops.watching import watched
from heliostat.monitoring.proposals import Proposal
from heliostat.monitoring.retraining import Outcome, Retraining
from heliostat.monitoring.state import MonitorState, with_ended
from heliostat.spec.monitoring import Refusal, proposal_key, refusals
from heliostat.systems.objects import Directory

STAGING, PROD = "configs/Pulumi.staging.yaml", "configs/Pulumi.prod.yaml"
AT = dt.datetime(2026, 3, 4, 5, 6, 7, tzinfo=dt.UTC)
BRANCH = "monitor/bees-in-staging"


def proposal(day: str | None = "2026-03-03", at: dt.datetime = AT, reason: str = "quality in 2 windows") -> Proposal:
    parameter = None if day is None else "last_day"
    return Proposal(
        application="bees",
        at=at,
        model_uri="models:/bees/1",
        reasons=(reason,),
        new_rows=9,
        data_parameter=parameter,
        value=day,
    )


def refusal(at: dt.datetime, reason: str = "auc is 0.02 worse") -> Refusal:
    return Refusal(at=at.timestamp(), candidate="models:/m-9", reasons=(reason,))


class World:
    """Staging trains bees up to a day; prod pins a version of it."""

    def __init__(self, folder: Path) -> None:
        self.repository, self.played = Repository(folder / "repository"), PlayedForge("github")
        self.repository.replace(
            STAGING, "bees: {}", "bees:\n      dataParameters: {first_day: 2026-01-01, last_day: 2026-01-31}"
        )
        self.repository.replace(
            PROD, "bees: {serving: {replicas: 2}}", "bees: {model: 'models:/bees/1'}  # what customers get"
        )
        self.repository.commit()
        self.git("init", "-q", "--bare", "-b", "main", str(folder / "remote.git"))
        self.git("remote", "add", "origin", str(folder / "remote.git"))
        self.git("push", "-q", "origin", "main")
        self.ended: list[Watched] = []
        self.costs: list[float | None] = []
        self.refused: list[Refusal] = []
        self.came: Served | None = None
        self.came_at = math.inf

    def git(self, *arguments: str) -> str:
        return self.repository.git(*arguments)

    def see_to(self, *found: Watched, stacks: tuple[str, ...] = ("staging", "prod")) -> list[Retrained]:
        work = Retrainings(
            projects.load(self.repository.root / "Pulumi.yaml"),
            os.environ,
            "origin",
            "main",
            self.played.forge,
            self.end,
            lambda stack, workload, since: [each for each in self.refused if each.at > since],
            lambda stack, workload, since: self.came if since < self.came_at else None,
            lambda version, stack: Card(version, "run", "d" * 64),
        )
        return work.see_to(found, stacks)

    def end(self, each: Watched, cost_usd: float | None) -> None:
        self.ended.append(each)
        self.costs.append(cost_usd)

    def standings(self, *found: Watched) -> list[Standing]:
        return [each.standing for each in self.see_to(*found)]

    @property
    def pulls(self) -> list[dict[str, str]]:
        return list(self.played.repository.pulls.values())

    def changed(self, branch: str = BRANCH) -> list[str]:
        self.git("fetch", "-q", "origin")
        lines = self.git("diff", "--unified=0", "origin/main", f"origin/{branch}").splitlines()
        return [line.strip() for line in lines if line.startswith(("+", "-")) and not line.startswith(("+++", "---"))]

    def merge(self, branch: str = BRANCH) -> str:
        self.git("fetch", "-q", "origin")
        self.git("merge", "-q", "--ff-only", f"origin/{branch}")
        self.git("push", "-q", "origin", "main", f":refs/heads/{branch}")
        next(pull for pull in self.pulls if (pull["head"], pull["state"]) == (branch, "open"))["state"] = "merged"
        return self.git("rev-parse", "HEAD").strip()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


ASKED = Watched("staging", "bees", proposal())


def test_a_proposal_is_one_pull_request_however_often_the_schedule_runs(world: World):
    first = world.see_to(ASKED)
    before = world.git("ls-remote", "origin")
    assert world.see_to(ASKED) == first and world.git("ls-remote", "origin") == before
    assert [(each.standing, each.url[:19]) for each in first] == [(Standing.PROPOSED, "https://forge/pull/")]
    (pull,) = world.pulls
    assert (pull["title"], pull["head"]) == ("Train bees again in staging", BRANCH)
    assert "- quality in 2 windows" in pull["text"] and "`dataParameters.last_day`: `2026-03-03`" in pull["text"]
    assert world.changed() == [
        "-      dataParameters: {first_day: 2026-01-01, last_day: 2026-01-31}",
        "+      dataParameters: {first_day: 2026-01-01, last_day: '2026-03-03'}",
    ]
    assert world.ended == []


def test_a_run_that_was_cut_off_behind_its_push_is_finished_by_the_next(world: World):
    nothing_declined = httpx.Response(200, json=[])
    world.played.repository.trouble = [nothing_declined, nothing_declined, RuntimeError("killed")]
    with pytest.raises(RuntimeError):
        world.see_to(ASKED)
    assert BRANCH in world.git("ls-remote", "origin") and world.pulls == []
    assert world.standings(ASKED) == [Standing.PROPOSED] and len(world.pulls) == 1


def test_what_somebody_closed_is_told_to_the_monitor_and_does_not_come_again(world: World):
    world.see_to(ASKED)
    world.pulls[0]["state"] = "closed"
    assert world.standings(ASKED) == [Standing.DECLINED] and world.ended == [ASKED]
    assert world.costs == [0.0], "nothing was trained: a budget is as it was"
    assert world.standings(ASKED) == [Standing.DECLINED], "also where the monitor was not told"
    assert len(world.pulls) == 1
    later = Watched("staging", "bees", proposal("2026-03-20", AT + dt.timedelta(days=14)))
    assert world.standings(later) == [Standing.PROPOSED], "after its cool-down the monitor proposes anew"


def test_what_is_merged_is_left_to_the_next_update_and_a_later_day_by_hand_is_not_taken_back(world: World):
    world.see_to(ASKED)
    world.merge()
    assert world.standings(ASKED) == [Standing.DECLARED] and len(world.pulls) == 1
    world.repository.replace(STAGING, "2026-03-03", "2026-12-31")
    world.repository.commit()
    world.git("push", "-q", "origin", "main")
    assert world.standings(ASKED) == [Standing.DECLARED] and BRANCH not in world.git("ls-remote", "origin")


def test_a_pull_request_that_nobody_asks_for_any_more_is_closed(world: World):
    world.see_to(ASKED)
    assert world.standings(Watched("staging", "bees", None)) == []
    assert world.pulls[0]["state"] == "closed" and "not needed any more" in world.pulls[0]["text"]
    world.played.repository.asked.clear()
    world.git("push", "-q", "origin", f":refs/heads/{BRANCH}")
    assert world.standings(Watched("staging", "bees", None)) == []
    assert world.played.repository.asked == [], "where nothing is proposed and there is no branch, nobody is asked"


def test_a_proposal_without_a_parameter_and_one_that_no_stack_trains_are_for_people(world: World):
    (told,) = world.see_to(Watched("staging", "bees", proposal(None)))
    assert told.standing is Standing.BY_HAND and "dataParameter" in told.told
    (told,) = world.see_to(Watched("prod", "bees", proposal()), stacks=("prod",))
    assert told.standing is Standing.BY_HAND and "--stack" in told.told
    assert world.pulls == []


def test_two_monitors_of_one_training_share_its_pull_request(world: World):
    other = Watched("prod", "bees", proposal("2026-03-10", AT + dt.timedelta(hours=1), "bias in 3 windows"))
    assert world.standings(ASKED, other) == [Standing.PROPOSED] * 2
    (pull,) = world.pulls
    assert "- quality in 2 windows" in pull["text"] and "- in prod: bias in 3 windows" in pull["text"]
    assert "last_day: '2026-03-10'}" in world.changed()[1]
    pull["state"] = "closed"
    assert world.standings(ASKED, other) == [Standing.DECLINED] * 2 and world.ended == [ASKED, other]


# What a stack that pins its models asks for is trained elsewhere

PINNED = Watched("prod", "bees", proposal())


def test_what_came_of_it_is_promoted_to_the_stack_whose_monitor_asked_for_it(world: World):
    assert world.standings(PINNED) == [Standing.PROPOSED]
    assert world.changed()[1].endswith("last_day: '2026-03-03'}")
    commit = world.merge()
    assert world.standings(PINNED) == [Standing.DECLARED], "staging has not trained it yet"
    world.came = Served("models:/bees/2", world.git("rev-parse", "HEAD^").strip())
    assert world.standings(PINNED) == [Standing.DECLARED], "what serves there was declared before"
    world.came = Served("models:/bees/2", "f" * 40)
    assert world.standings(PINNED) == [Standing.DECLARED], "nobody knows what that commit declared"
    world.came = Served("models:/bees/2", commit)
    first = world.see_to(PINNED)
    assert world.see_to(PINNED) == first and [each.standing for each in first] == [Standing.PROMOTED]
    assert world.changed("promote/bees-to-prod") == [
        "-    bees: {model: 'models:/bees/1'}  # what customers get",
        "+    bees: {model: 'models:/bees/2'}  # what customers get",
    ]
    promotion = world.pulls[-1]
    assert promotion["title"] == "Promote bees/2 to prod" and "the monitor in prod proposed" in promotion["text"]
    promotion["state"] = "closed"
    assert world.standings(PINNED) == [Standing.DECLINED] and world.ended == [PINNED]


def test_a_version_that_was_promoted_and_taken_back_is_not_promoted_again(world: World):
    world.see_to(PINNED)
    world.came = Served("models:/bees/2", world.merge())
    assert world.standings(PINNED) == [Standing.PROMOTED]
    world.merge("promote/bees-to-prod")
    assert world.standings(PINNED) == [Standing.DECLARED]
    world.repository.replace(PROD, "models:/bees/2", "models:/bees/1")
    world.repository.commit()
    world.git("push", "-q", "origin", "main")
    (told,) = world.see_to(PINNED)
    assert told.standing is Standing.REFUSED and "does no more" in told.told and world.ended == [PINNED]


def test_what_serves_and_was_trained_with_that_already_is_not_waited_for(world: World):
    world.see_to(PINNED)
    commit = world.merge()
    assert world.standings(PINNED) == [Standing.DECLARED], "the next update trains it"
    world.came, world.came_at = Served("models:/bees/1", commit), AT.timestamp() - 60
    (told,) = world.see_to(PINNED)
    assert told.standing is Standing.REFUSED and "models:/bees/1 was trained with that in staging" in told.told
    assert world.ended == [PINNED]


def test_the_pull_request_says_what_serves_how_much_is_new_and_what_it_costs(world: World):
    asked = proposal().model_copy(update={"expected_cost_usd": 1.5})
    world.see_to(Watched("staging", "bees", asked))
    (pull,) = world.pulls
    assert f"{asked.model_uri} serves, and {asked.new_rows:,} labelled rows are new to it." in pull["text"]
    assert "about 1.50 USD by list" in pull["text"]


def test_what_the_other_stack_s_gate_refused_is_told_to_the_monitor(world: World):
    world.see_to(PINNED)
    world.merge()
    world.refused = [refusal(AT + dt.timedelta(days=1))]
    (told,) = world.see_to(PINNED)
    assert (told.standing, told.told) == (Standing.REFUSED, "the gate of staging: auc is 0.02 worse")
    assert world.ended == [PINNED]


# What the gate refused is taken back

GONE = Watched("staging", "bees", None, proposal(), ("auc is 0.02 worse",))


def test_what_was_merged_and_refused_is_taken_back_to_the_value_before_it(world: World):
    world.see_to(ASKED)
    world.merge()
    first = world.see_to(GONE)
    assert world.see_to(GONE) == first and [each.standing for each in first] == [Standing.TAKEN_BACK]
    assert world.changed()[1] == "+      dataParameters: {first_day: 2026-01-01, last_day: '2026-01-31'}"
    pull = world.pulls[-1]
    assert pull["title"] == "Take back what bees was trained with in staging" and "- auc is 0.02 worse" in pull["text"]
    pull["state"] = "closed"
    assert world.standings(GONE) == [Standing.DECLINED]
    pull["state"] = "open"
    world.see_to(GONE)
    world.merge()
    assert world.standings(GONE) == [], "taken back, there is nothing left to do"


def test_what_was_never_merged_is_not_taken_back_and_a_parameter_that_was_not_there_goes(world: World):
    assert world.standings(GONE) == [] and world.pulls == []
    world.repository.replace(STAGING, "\n      dataParameters: {first_day: 2026-01-01, last_day: 2026-01-31}", " {}")
    world.repository.commit()
    world.git("push", "-q", "origin", "main")
    world.see_to(ASKED)
    world.merge()
    world.see_to(GONE)
    assert world.changed()[0].startswith("-") and "`dataParameters.last_day`: what it is by default" in world.pulls[-1]["text"]


UNTIL = proposal().model_copy(
    update={"data_parameter": "data.until", "value": "2026-03-03T00:00:00Z", "continues": True, "model_uri": "models:/bees/2"}
)


def test_where_rows_are_ingested_until_when_and_what_to_continue_from_are_one_pull_request_and_go_together(world: World):
    asked = Watched("staging", "bees", UNTIL)
    assert world.standings(asked) == [Standing.PROPOSED]
    added = [line.removeprefix("+").strip() for line in world.changed() if line.startswith("+")]
    assert "until: '2026-03-03T00:00:00Z'" in " ".join(added) and "models:/bees/2" in " ".join(added)
    world.merge()
    assert world.standings(asked) == [Standing.DECLARED]
    gone = Watched("staging", "bees", None, UNTIL, ("auc is 0.02 worse",))
    assert world.standings(gone) == [Standing.TAKEN_BACK]
    assert "`data.until`: what it is by default" in world.pulls[-1]["text"]
    assert "`training.continueFrom`: what it is by default" in world.pulls[-1]["text"]
    world.merge()
    assert world.standings(gone) == []


def test_an_ensemble_is_declared_and_taken_back_and_what_else_is_said_of_it_stays(world: World):
    together = UNTIL.model_copy(update={"continues": False, "ensemble": True})
    assert world.standings(Watched("staging", "bees", together)) == [Standing.PROPOSED]
    added = " ".join(line.removeprefix("+").strip() for line in world.changed() if line.startswith("+"))
    assert "ensemble:" in added and "model: models:/bees/2" in added
    world.merge()
    assert world.standings(Watched("staging", "bees", together)) == [Standing.DECLARED]
    gone = Watched("staging", "bees", None, together, ("auc is 0.02 worse",))
    assert world.standings(gone) == [Standing.TAKEN_BACK]
    assert "`training.ensemble.model`: what it is by default" in world.pulls[-1]["text"]
    world.merge()
    assert world.standings(gone) == []


@pytest.mark.parametrize(
    ("said", "standing"),
    [
        ("2026-03-03T00:00:00Z", Standing.DECLARED),
        ("2026-03-03T01:00:00+01:00", Standing.DECLARED),
        ("2026-03-04", Standing.DECLARED),
        ("2026-03-02T23:59:00Z", Standing.PROPOSED),
    ],
)
def test_a_moment_that_is_as_late_is_the_same_however_it_is_written(world: World, said: str, standing: Standing):
    world.repository.replace(
        STAGING, "      dataParameters: {first", f"      data: {{until: {said}}}\n      dataParameters: {{first"
    )
    world.repository.commit()
    world.git("push", "-q", "origin", "main")
    assert world.standings(Watched("staging", "bees", UNTIL)) == [standing]


def test_one_that_fails_holds_up_no_other(world: World):
    world.played.repository.refused = "pulls"
    wasps = Watched("prod", "wasps", proposal().model_copy(update={"application": "wasps"}))
    assert world.standings(ASKED, wasps) == [Standing.FAILED] * 2
    assert world.ended == [], "what the forge does not say is no refusal"


# What a monitor says

NAME = "bees"


def test_a_monitor_says_what_it_proposes_and_why_the_last_one_was_refused(tmp_path: Path):
    store = Directory(tmp_path)
    asked = proposal()
    state = MonitorState(proposal=asked)
    assert watched("staging", NAME, state, store) == Watched("staging", NAME, asked)
    ended = with_ended(state, asked, Outcome.REFUSED)
    assert ended.proposal is None and ended.retrainings == (Retraining(begun=AT, outcome=Outcome.REFUSED),)
    assert with_ended(ended, asked, Outcome.REFUSED) == ended, "the same once more does nothing"
    other = MonitorState(proposal=proposal("2026-04-01"))
    assert with_ended(other, asked, Outcome.REFUSED) == other, "it is another one's end"
    assert watched("staging", NAME, ended, store) == Watched("staging", NAME, None), "its proposal is not kept"
    store.put(proposal_key(NAME, "20260304T050607"), asked.model_dump_json().encode())
    for number, at in enumerate((AT - dt.timedelta(days=1), AT + dt.timedelta(days=1))):
        store.put(f"{refusals(NAME)}{number}.json", refusal(at, f"reason {number}").model_dump_json().encode())
    store.put(f"{refusals(NAME)}damaged.json", b"{")
    assert watched("staging", NAME, ended, store) == Watched("staging", NAME, None, asked, ("reason 1",))
