"""A promotion is a commit: the pin, and nothing else of the file, on a branch with a pull request that says what it is."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from played_forges import PlayedForge
from repository_of import Repository

from heliostat.gitops import promotion
from heliostat.gitops.model_card import Card, card_text
from heliostat.gitops.pins import pin_in, pinned
from heliostat.gitops.promotion import Pin, Pusher, RefusedVersionError, card_of, propose
from heliostat.systems import git_branches
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.git_branches import base_of
from heliostat.systems.mlflow_registry import RegisteredVersion, Run

CONFIG = """\
# Production.
config:
  heliostat:workloads:
    bees:  # the first
      serving: {replicas: 2}  # two
    # and
    wasps:
      model: models:/wasps/1  # the old one
    theirs: {mlflow: "models:/prices/3"}
"""
REPORT = {
    "candidate": {"overall": {"roc_auc": 0.75}, "slices": {"origin": {"JFK": {"value": 0.7, "rows": 9}}}},
    "incumbent": {"overall": {"roc_auc": 0.74}, "slices": {"origin": {"LGA": {"value": 0.6, "rows": 9}}}},
    "baseline": None,
}


def test_a_pin_changes_its_own_line_and_no_other():
    after = pinned(CONFIG, "f", "wasps", "models:/wasps/2")
    assert after == CONFIG.replace("models:/wasps/1", "models:/wasps/2")
    assert pin_in(after, "f", "wasps") == "models:/wasps/2"
    made = pinned(CONFIG, "f", "bees", "models:/bees/7")
    kept = [line for line in made.splitlines() if "models:/bees/7" not in line]
    assert kept == CONFIG.splitlines()
    assert pin_in(CONFIG, "f", "bees") is None and pin_in(made, "f", "bees") == "models:/bees/7"


def test_what_is_pinned_already_changes_nothing():
    assert pinned(CONFIG, "f", "wasps", "models:/wasps/1") is CONFIG


@pytest.mark.parametrize(("workload", "told"), [("ants", "there are: bees, wasps, theirs"), ("theirs", "`mlflow`")])
def test_what_cannot_be_pinned_is_told(workload: str, told: str):
    with pytest.raises(PermanentError, match=told):
        pinned(CONFIG, "f", workload, "models:/x/1")


def card(version: str = "models:/bees/7", report: Mapping[str, Any] | None = REPORT) -> Card:
    return Card(version, "run-1", "d" * 64, {"rounds": "10", "note": "a | b @all"}, report, "s3://store/evaluations/e.json")


def test_the_text_has_the_evaluation_overall_and_by_slice_beside_what_served():
    text = card_text(card(), "prod", "bees", "models:/bees/6", "It serves in staging.")
    assert "Pins `models:/bees/7` for **bees** in the stack **prod**, in the place of `models:/bees/6`." in text
    assert "| roc\\_auc | 0.75 | 0.74 |" in text
    assert "| JFK | 0.7 |  |" in text and "| LGA |  | 0.6 |" in text
    assert "a \\| b @\u200ball" in text, "words of others break no table and call nobody"
    assert "no evaluation" in card_text(card(report=None), "prod", "bees", None, "")


def test_names_that_others_gave_close_no_span_of_code():
    evil = replace(card(), report_uri="s3://store/`@all`/e.json")
    text = card_text(evil, "prod", "bees", "models:/`@all`/6", "")
    assert "`models:/'@all'/6`" in text and "`s3://store/'@all'/e.json`" in text and "`@all`" not in text


def test_the_pull_request_says_how_groups_of_people_are_treated():
    rates = {"rows": 600.0, "selectionRate": 0.5, "truePositiveRate": None, "falsePositiveRate": 0.1}
    told = {"column": "sex", "metric": "equalized_odds_difference", "limit": 0.1, "value": 0.05, "groups": {"f|m": rates}}
    unknown = {**told, "column": "age", "value": None, "groups": {}}
    judged = {**REPORT, "candidate": {**REPORT["candidate"], "fairness": [told, unknown]}}
    text = card_text(card(report=judged), "prod", "bees", None, "")
    assert r"equalized\_odds\_difference between groups: 0.05 (limit 0.1)" in text
    assert r"| f\|m | 600 | 0.5 |  | 0.1 |" in text and "between groups: cannot be told (limit 0.1)" in text


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repository")
    made.git("init", "-q", "--bare", "-b", "main", str(tmp_path / "remote.git"))
    made.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    made.git("push", "-q", "origin", "main")
    made.git("checkout", "-q", "-b", "work")
    return made


def proposed(repository: Repository, played: PlayedForge, version: str) -> Any:
    pin = Pin("bees", "prod", version, "promote/bees-to-prod", f"Promote {version}", "It serves in staging.")
    file = repository.root / "configs/Pulumi.prod.yaml"
    return propose(pin, card(version), file, ("origin", "main"), played.forge, Pusher(repository.root, os.environ, file))


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("config:\n  heliostat:workloads: {secure: x}\n", "heliostat:workloads is encrypted as a whole"),
        ("config:\n  heliostat:workloads: {bees: {secure: x}}\n", "bees is one value, perhaps encrypted"),
        ("config:\n  heliostat:workloads: {bees: 3}\n", "bees is one value"),
        ("config:\n  heliostat:workloads: 3\n", "no workload 'bees'; there are: none"),
    ],
)
def test_a_config_that_says_no_workloads_in_plain_is_told(written: str, told: str):
    with pytest.raises(PermanentError, match=told):
        pinned(written, "f", "bees", "models:/bees/1")


def test_a_pin_keeps_the_ends_of_lines(repository: Repository):
    file = repository.root / "configs/Pulumi.prod.yaml"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    repository.git("config", "core.autocrlf", "false")
    repository.commit()
    repository.git("push", "-q", "origin", "HEAD:main")
    proposed(repository, PlayedForge("github"), "models:/bees/7")
    repository.git("fetch", "-q", "origin")
    stat = repository.git("diff", "--numstat", "origin/main", "origin/promote/bees-to-prod").split()
    assert stat[:2] == ["1", "1"]
    content = subprocess.run(
        ["git", "show", "origin/promote/bees-to-prod:configs/Pulumi.prod.yaml"],
        cwd=repository.root, capture_output=True, check=True,
    ).stdout  # fmt: skip
    assert content.count(b"\n") == content.count(b"\r\n")


@pytest.mark.parametrize("kind", ["github", "gitea", "gitlab"])
def test_a_promotion_is_a_branch_with_one_commit_and_a_pull_request(repository: Repository, kind: str):
    played = PlayedForge(kind)
    (repository.root / "configs/Pulumi.prod.yaml").write_text("being edited\n")
    assert proposed(repository, played, "models:/bees/7") is not None
    diff = repository.git("diff", "origin/main", "FETCH_HEAD", "--stat")
    assert diff == "", "what was fetched is the base"
    repository.git("fetch", "-q", "origin")
    changed = repository.git("diff", "--unified=0", "origin/main", "origin/promote/bees-to-prod")
    lines = [line for line in changed.splitlines() if line.startswith(("+", "-")) and not line.startswith(("+++", "---"))]
    assert len(lines) == 2 and "model: models:/bees/7" in lines[1], changed
    (pull,) = played.repository.pulls.values()
    assert pull["base"] == "main" and "models:/bees/7" in pull["text"]
    assert repository.git("status", "--porcelain").split() == ["M", "configs/Pulumi.prod.yaml"], "the checkout is as it was"
    assert repository.git("branch", "--show-current").strip() == "work"
    assert len(repository.git("worktree", "list").splitlines()) == 1


def test_of_two_promotions_the_last_counts_and_there_is_one_pull_request(repository: Repository):
    played = PlayedForge("github")
    first, second = (proposed(repository, played, f"models:/bees/{number}") for number in (7, 8))
    assert first == second and len(played.repository.pulls) == 1
    repository.git("fetch", "-q", "origin")
    text = repository.git("show", "origin/promote/bees-to-prod:configs/Pulumi.prod.yaml")
    assert "models:/bees/8" in text and "models:/bees/7" not in text


@pytest.mark.parametrize("kind", ["github", "gitea", "gitlab"])
def test_of_two_promotions_at_once_one_pull_request_comes_and_it_says_what_its_branch_has(repository: Repository, kind: str):
    played = PlayedForge(kind)
    played.repository.rival = lambda: proposed(repository, played, "models:/bees/8")
    proposed(repository, played, "models:/bees/7")
    (pull,) = played.repository.pulls.values()
    repository.git("fetch", "-q", "origin")
    text = repository.git("show", "origin/promote/bees-to-prod:configs/Pulumi.prod.yaml")
    assert "models:/bees/7" in text and "models:/bees/7" in pull["text"] and pull["title"] == "Promote models:/bees/7"


def test_a_promotion_that_another_one_overtakes_while_it_is_pushed_says_so_and_overwrites_nothing(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
):
    played, heads = PlayedForge("github"), git_branches.head_of

    def overtaken(*arguments: Any) -> str:
        monkeypatch.setattr(git_branches, "head_of", heads)
        before = heads(*arguments)
        proposed(repository, played, "models:/bees/8")
        return before

    monkeypatch.setattr(git_branches, "head_of", overtaken)
    with pytest.raises(RetryableError, match="run it again"):
        proposed(repository, played, "models:/bees/7")
    repository.git("fetch", "-q", "origin")
    assert "models:/bees/8" in repository.git("show", "origin/promote/bees-to-prod:configs/Pulumi.prod.yaml")
    (pull,) = played.repository.pulls.values()
    assert pull["title"] == "Promote models:/bees/8"
    proposed(repository, played, "models:/bees/7")
    assert [each["title"] for each in played.repository.pulls.values()] == ["Promote models:/bees/7"]


TROUBLE = {
    "403": (httpx.Response(403, json={"message": "Resource not accessible"}), PermanentError, "it needs"),
    "422": (httpx.Response(422, json={"message": "Validation Failed"}), PermanentError, "Validation Failed"),
    "429": (httpx.Response(429, json={"message": "Slow down"}), RetryableError, "run it again later"),
    "nothing": (httpx.ConnectError("nobody there"), RetryableError, "does not answer"),
}


@pytest.mark.parametrize("kind", ["github", "gitea", "gitlab"])
@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("answered_before", [0, 1])
def test_a_forge_in_trouble_is_told_and_the_next_run_opens_the_one_pull_request(
    repository: Repository, kind: str, trouble: str, answered_before: int
):
    played = PlayedForge(kind)
    answer, error, told = TROUBLE[trouble]
    played.repository.trouble = [*[None] * answered_before, *[answer] * 9]
    with pytest.raises(error, match=told):
        proposed(repository, played, "models:/bees/7")
    assert played.repository.pulls == {}
    played.repository.trouble = []
    proposed(repository, played, "models:/bees/7")
    assert len(played.repository.pulls) == 1


def test_what_the_base_pins_already_is_not_proposed(repository: Repository):
    played = PlayedForge("github")
    repository.git("checkout", "-q", "main")
    repository.replace("configs/Pulumi.prod.yaml", "{serving: {replicas: 2}}", "{model: 'models:/bees/7'}")
    repository.commit()
    repository.git("push", "-q", "origin", "main")
    assert proposed(repository, played, "models:/bees/7") is None
    assert played.repository.pulls == {}
    assert "promote" not in repository.git("ls-remote", "origin")


def test_a_remote_that_is_not_there_is_told(repository: Repository, tmp_path: Path):
    repository.git("remote", "set-url", "origin", str(tmp_path / "gone"))
    with pytest.raises(PermanentError, match="git fetch"):
        proposed(repository, PlayedForge("github"), "models:/bees/7")


def test_the_base_is_the_remote_s_own_branch(repository: Repository):
    assert base_of(repository.root, os.environ, "origin") == "main"


class PlayedRegistry:
    """A registry with one version, whose run has some tags."""

    tags: dict[str, str] = {}
    report = ""

    def __init__(self, uri: str, access: object = None) -> None:
        assert uri == "http://mlflow"

    def __enter__(self) -> PlayedRegistry:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def version(self, uri: str) -> RegisteredVersion | None:
        tags = {"heliostat.report": self.report, "heliostat.dataset": "d" * 64}
        return RegisteredVersion("bees", 7, "run-1", "models:/m-1", tags) if uri == "models:/bees/7" else None

    def run(self, run_id: str) -> Run:
        return Run(run_id, "FINISHED", "1", self.tags, {}, {"rounds": "10"})


def test_a_card_is_read_from_the_registry_and_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "evaluations").mkdir()
    (tmp_path / "evaluations/e.json").write_text(json.dumps(REPORT))
    monkeypatch.setattr(PlayedRegistry, "report", f"{tmp_path.as_uri()}/evaluations/e.json")
    monkeypatch.setattr(promotion, "Registry", PlayedRegistry)
    platform = {"trackingUri": "http://mlflow", "store": {"uri": tmp_path.as_uri()}}
    assert card_of("models:/bees/7", platform).training == "", "a run of others has no training of ours"
    monkeypatch.setattr(PlayedRegistry, "tags", {"heliostat.training": "e" * 64})
    found = card_of("models:/bees/7", platform)
    assert (found.run_id, found.parameters, found.report) == ("run-1", {"rounds": "10"}, REPORT)
    assert found.training == "e" * 64
    elsewhere = card_of("models:/bees/7", {**platform, "store": {"uri": "file:///elsewhere"}})
    assert elsewhere.report is None, "an evaluation that is not to be had holds up nothing"


def test_a_version_that_is_not_there_or_was_refused_is_not_promoted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(promotion, "Registry", PlayedRegistry)
    platform = {"trackingUri": "http://mlflow"}
    with pytest.raises(PermanentError, match="is not in the registry"):
        card_of("models:/bees/8", platform)
    with pytest.raises(PermanentError, match="bring it up first"):
        card_of("models:/bees/7", {})
    monkeypatch.setattr(PlayedRegistry, "tags", {"heliostat.verdict": "refused", "heliostat.refusal": "roc_auc too low"})
    with pytest.raises(RefusedVersionError, match="roc_auc too low"):
        card_of("models:/bees/7", platform)
