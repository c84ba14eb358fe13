"""A retraining is a commit, with its reasons; what somebody closed stays closed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from played_forges import PlayedForge
from repository_of import Repository

from heliostat.gitops.retraining import RetrainingProposal, changed, propose_retraining
from heliostat.systems.errors import PermanentError
from heliostat.systems.forges import PullRequest

CONFIG = "configs/Pulumi.staging.yaml"
REASONS = ("quality of bees in 2 windows one after another | last: 0.61", "120,000 labelled rows are new")
PROPOSAL = RetrainingProposal("bees", "staging", REASONS, {"training.parameters.rounds": 12})


class World:
    def __init__(self, folder: Path) -> None:
        self.repository, self.played = Repository(folder / "repository"), PlayedForge("github")
        self.repository.git("init", "-q", "--bare", "-b", "main", str(folder / "remote.git"))
        self.repository.git("remote", "add", "origin", str(folder / "remote.git"))
        self.repository.git("push", "-q", "origin", "main")

    def propose(self, proposal: RetrainingProposal) -> PullRequest | None:
        root = self.repository.root
        remote = ("origin", "main")
        return propose_retraining(proposal, root, os.environ, root / CONFIG, remote, self.played.forge)


def test_a_proposal_is_a_pull_request_that_says_why_and_is_opened_once(tmp_path: Path):
    world = World(tmp_path)
    assert world.propose(PROPOSAL) == world.propose(PROPOSAL)
    world.repository.git("fetch", "-q", "origin")
    diff = world.repository.git("diff", "--unified=0", "origin/main", "origin/retrain/bees-in-staging").splitlines()
    added = [line[1:].strip() for line in diff if line.startswith("+") and not line.startswith("+++")]
    assert added == ["bees:", "training:", "parameters:", "rounds: 12"]
    (pull,) = world.played.repository.pulls.values()
    assert "- quality of bees in 2 windows one after another \\| last: 0.61" in pull["text"]
    assert "`training.parameters.rounds`: `12`" in pull["text"]
    assert "120,000 labelled rows" in world.repository.git("log", "-1", "--format=%B", "origin/retrain/bees-in-staging")


def test_what_somebody_closed_is_not_proposed_again_and_another_one_is(tmp_path: Path):
    world = World(tmp_path)
    world.propose(PROPOSAL)
    next(iter(world.played.repository.pulls.values()))["state"] = "closed"
    assert world.propose(PROPOSAL) is None
    later = RetrainingProposal("bees", "staging", ("it was due",), {"training.parameters.rounds": 14})
    assert world.propose(later) is not None


def test_what_would_train_nothing_or_be_a_mistake_is_told_before_anything_is_pushed(tmp_path: Path):
    text = "config:\n  heliostat:workloads:\n    bees: {model: 'models:/bees/1'}\n    wasps: {}\n"
    with pytest.raises(PermanentError, match="pins models:/bees/1 for bees, so nothing is trained there"):
        changed(text, "f", PROPOSAL)
    with pytest.raises(PermanentError, match="the same training be taken"):
        changed(text, "f", RetrainingProposal("wasps", "staging", REASONS, {}))
    with pytest.raises(PermanentError, match=r"would have mistakes: training\.maxFailures"):
        changed(text, "f", RetrainingProposal("wasps", "staging", REASONS, {"training.maxFailures": -1}))
    with pytest.raises(PermanentError, match="there are: bees, wasps"):
        changed(text, "f", RetrainingProposal("ants", "staging", REASONS, {"training.maxFailures": 1}))
    once = changed(text, "f", RetrainingProposal("wasps", "staging", REASONS, {"training.maxFailures": 3}))
    assert once == text.replace("wasps: {}", "wasps:\n      training:\n        maxFailures: 3")
