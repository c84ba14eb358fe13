"""Where an application went back, a pull request has the repository say what serves; once, and only while it does not."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

import httpx
import pytest
from played_forges import PlayedForge
from repository_of import Repository
from rolled_back import blocked, entry, status, version

from heliostat.engine.config import project as projects
from heliostat.gitops import declared, trees
from heliostat.gitops.model_card import Card
from heliostat.gitops.reconciling import Reconciled, Reconciliation, Standing
from heliostat.spec.ledger import Entry
from heliostat.spec.rollouts import Phase, Status
from heliostat.systems.errors import PermanentError, RetryableError

BRANCH = "rollback/bees-in-prod"
CONFIG = "configs/Pulumi.prod.yaml"


class World:
    """A repository that declares model 1 and then what a test has it declare, which did not do well."""

    def __init__(self, folder: Path) -> None:
        self.repository = Repository(folder / "repository")
        self.repository.replace(CONFIG, "{serving: {replicas: 2}}", "{model: 'models:/bees/1', serving: {replicas: 2}}")
        self.good = self.commit()
        self.git("init", "-q", "--bare", "-b", "main", str(folder / "remote.git"))
        self.git("remote", "add", "origin", str(folder / "remote.git"))
        self.git("push", "-q", "origin", "main")
        self.played = PlayedForge("github")

    def git(self, *arguments: str) -> str:
        return self.repository.git(*arguments)

    def commit(self) -> str:
        self.repository.commit()
        return self.git("rev-parse", "HEAD").strip()

    def push(self) -> str:
        commit = self.commit()
        self.git("push", "-q", "origin", "main")
        return commit

    def pin(self, number: int, before: int = 1) -> str:
        self.repository.replace(CONFIG, f"models:/bees/{before}", f"models:/bees/{number}")
        return self.push()

    def reconcile(self, found: Status, entries: Iterable[Entry]) -> Reconciled:
        project = projects.load(self.repository.root / "Pulumi.yaml")
        work = Reconciliation(
            project, os.environ, "origin", "main", self.played.forge, lambda version, _: Card(version, "run", "d" * 64)
        )
        return work.reconcile("prod", "bees", found, entries)

    @property
    def pulls(self) -> list[dict[str, str]]:
        return list(self.played.repository.pulls.values())

    def changed(self) -> list[str]:
        """The lines that the branch changes."""
        self.git("fetch", "-q", "origin")
        lines = self.git("diff", "--unified=0", "origin/main", f"origin/{BRANCH}").splitlines()
        return [line for line in lines if line.startswith(("+", "-")) and not line.startswith(("+++", "---"))]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Trees are read here, and not in a process of their own: that is most of the time that it would take."""
    monkeypatch.setattr(
        trees, "_reader", lambda all_: nullcontext(lambda asked: [declared.read(each, asked) for each in all_])
    )
    return World(tmp_path)


def after_a_bad_model(world: World, bad: str | None = None) -> tuple[Status, list[Entry]]:
    """Model 2 was declared, and went back to model 1."""
    bad = world.pin(2) if bad is None else bad
    one, two = version(1), version(2)
    return status(one, blocked(two, 2)), [entry(2, two, bad, Phase.FAILED), entry(1, one, world.good)]


def test_after_a_bad_model_a_pull_request_pins_what_serves_and_says_why(world: World):
    done = world.reconcile(*after_a_bad_model(world))
    assert done.standing is Standing.PROPOSED and done.url.startswith("https://forge/pull/")
    assert [line.strip("+- ") for line in world.changed()] == [
        "bees: {model: 'models:/bees/2', serving: {replicas: 2}}",
        "bees: {model: 'models:/bees/1', serving: {replicas: 2}}",
    ]
    (pull,) = world.pulls
    assert (pull["head"], pull["base"], pull["title"]) == (BRANCH, "main", "Go back to bees/1 in prod")
    assert "went back from `2-00000001` to `1-00000001`, in rollout 2: too many \\| errors" in pull["text"]
    assert "heliostat:" not in world.git("log", "-1", "--format=%B", f"origin/{BRANCH}")


def test_the_next_run_changes_nothing_and_pushes_nothing(world: World):
    found = after_a_bad_model(world)
    first = world.reconcile(*found)
    before = world.git("ls-remote", "origin")
    assert world.reconcile(*found) == first
    assert world.git("ls-remote", "origin") == before and len(world.pulls) == 1


def test_a_run_that_was_cut_off_behind_its_push_is_finished_by_the_next(world: World):
    found = after_a_bad_model(world)
    nothing_declined = httpx.Response(200, json=[])
    world.played.repository.trouble = [nothing_declined, RuntimeError("killed")]
    with pytest.raises(RuntimeError):
        world.reconcile(*found)
    assert BRANCH in world.git("ls-remote", "origin") and world.pulls == []
    world.played.repository.lost = 1
    with pytest.raises(RetryableError, match="got lost"):
        world.reconcile(*found)
    assert world.reconcile(*found).standing is Standing.PROPOSED
    assert len(world.pulls) == 1


def test_what_somebody_closed_stays_closed_until_something_else_goes_back(world: World):
    found, entries = after_a_bad_model(world)
    world.reconcile(found, entries)
    world.pulls[0]["state"] = "closed"
    assert world.reconcile(found, entries).standing is Standing.DECLINED
    again = status(version(1), blocked(version(2), 5))
    assert world.reconcile(again, entries).standing is Standing.PROPOSED
    assert [pull["state"] for pull in world.pulls] == ["closed", "open"]


def test_once_it_is_merged_nothing_is_to_be_done(world: World):
    found = after_a_bad_model(world)
    world.reconcile(*found)
    world.git("fetch", "-q", "origin")
    world.git("merge", "-q", "--ff-only", f"origin/{BRANCH}")
    world.git("push", "-q", "origin", "main")
    world.pulls[0]["state"] = "merged"
    assert world.reconcile(*found).standing is Standing.IN_STEP
    assert len(world.pulls) == 1 and world.pulls[0]["text"].startswith("<!--")


def test_a_pull_request_that_a_later_change_made_needless_is_closed(world: World):
    found = after_a_bad_model(world)
    world.reconcile(*found)
    world.pin(3, before=2)
    done = world.reconcile(*found)
    assert (done.standing, done.told) == (Standing.IN_STEP, "main declares something else by now")
    assert world.pulls[0]["state"] == "closed" and "not needed any more" in world.pulls[0]["text"]
    world.pin(2, before=3)
    assert world.reconcile(*found).standing is Standing.PROPOSED, "nobody declined it"


def test_what_is_on_its_way_or_serves_as_declared_is_left_alone(world: World):
    _, entries = after_a_bad_model(world)
    moving = status(version(1), blocked(version(2), 2), phase=Phase.SHIFTING)
    assert world.reconcile(moving, entries).standing is Standing.MOVING
    pending = status(version(1), blocked(version(2), 2), pending=True)
    assert world.reconcile(pending, entries).standing is Standing.MOVING
    assert world.reconcile(status(version(2)), entries).standing is Standing.IN_STEP
    assert world.pulls == []


def test_after_bad_code_its_files_and_config_are_those_of_what_serves_and_no_others(world: World):
    world.repository.replace("workloads/bees/predictor.py", "features = FEATURES", "features = FEATURES + 1")
    world.repository.write("workloads/bees/contract.py", "from workloads.bees.late import Model\n\nCONTRACT = Model\n")
    world.repository.write("workloads/bees/late.py", "from workloads.bees.predictor import Model\n")
    world.repository.replace(CONFIG, "replicas: 2", "replicas: 5")
    world.repository.replace("workloads/wasps/predictor.py", "features = FEATURES", "features = 7")
    bad = world.push()
    one, two = version(1, code=1), version(1, code=2)
    found = status(one, blocked(two, 2)), [entry(2, two, bad, Phase.FAILED), entry(1, one, world.good)]
    world.repository.replace(CONFIG, "weight: 10", "weight: 20")
    world.repository.write("README.md", "Another one.\n")
    world.push()
    assert world.reconcile(*found).standing is Standing.PROPOSED
    world.git("fetch", "-q", "origin")
    against = world.git("diff", "--name-only", world.good, f"origin/{BRANCH}").split()
    assert against == ["README.md", CONFIG, "workloads/wasps/predictor.py"], "what others changed stays"
    config = world.git("show", f"origin/{BRANCH}:{CONFIG}")
    assert "replicas: 2" in config and "weight: 20" in config
    assert f"those of {world.good[:12]}" in world.pulls[0]["text"]


def test_a_checkout_that_nobody_committed_is_told_where_no_pin_says_it(world: World):
    bad = world.pin(2)
    one, two = version(1), version(2)
    entries = [entry(2, two, bad, Phase.FAILED, dirty=True), entry(1, one, world.good)]
    assert world.reconcile(status(one, blocked(two, 2)), entries).standing is Standing.PROPOSED, "it is pinned still"
    other = version(2, code=2)
    entries = [entry(2, other, None, Phase.FAILED), entry(1, one, world.good)]
    done = world.reconcile(status(one, blocked(other, 2)), entries)
    assert done.standing is Standing.BY_HAND and "differed from its commit" in done.told


def test_what_all_stacks_are_made_with_is_not_taken_back_by_itself(world: World):
    world.repository.replace("infra/__main__.py", "program.run()", "program.run()  ;  x = 1")
    world.repository.replace("workloads/bees/predictor.py", "features = FEATURES", "features = FEATURES + 1")
    bad = world.push()
    one, two = version(1, code=1), version(1, code=2)
    done = world.reconcile(status(one, blocked(two, 2)), [entry(2, two, bad, Phase.FAILED), entry(1, one, world.good)])
    assert done.standing is Standing.BY_HAND and "program" in done.told
    assert world.pulls == []


def test_a_commit_that_is_nowhere_is_told(world: World):
    with pytest.raises(PermanentError, match="git fetch"):
        world.reconcile(*after_a_bad_model(world, bad="f" * 40))
