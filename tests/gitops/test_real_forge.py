"""The story on a real Gitea: its workflow's jobs by `act`, real pull requests and comments, and what its webhook tells.

Engine, program, plugin, controllers and ledger are the real ones; what Ray and MLflow would do, `story_plugin` does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from real_forge import NAME, RealForge, Runner, missing_tools, real_forge, with_this_python
from repository_of import Repository
from story import REPOSITORY, World, world

from heliostat.gitops.commenting import find_comment, keep_comment
from heliostat.gitops.plan_comment import MARK
from heliostat.spec.branch_environments import environment_name
from heliostat.systems.errors import PermanentError
from heliostat.systems.forges.gitea import Gitea

WORKFLOW = Path(__file__).parents[2] / "deploy" / "ci" / "gitea.yml"
BRANCH, BAD = "feature/more-bees", "models:/bees/2"
ENVIRONMENT = environment_name(BRANCH)

pytestmark = [
    pytest.mark.forge,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(missing_tools()), reason=f"{', '.join(missing_tools())} cannot be had: see scripts/forge_tools"),
]


class Place:
    """A Gitea with a repository, a CI system for it, and the checkout of somebody who works on it."""

    def __init__(self, there: World, forge: RealForge) -> None:
        self.there, self.forge = there, forge
        variables = {"HELIOSTAT_STATE": there.environment["PULUMI_BACKEND_URL"]}
        secrets = {"HELIOSTAT_TOKEN": forge.token, "PULUMI_CONFIG_PASSPHRASE": there.environment["PULUMI_CONFIG_PASSPHRASE"]}
        machine = {name: there.environment[name] for name in ("PULUMI_HOME", "STORY")}
        self.runner = Runner(there.folder / "runs", forge, variables, secrets, machine)
        workflow = with_this_python(WORKFLOW.read_text())
        self.repository = Repository(there.folder / "work", {**REPOSITORY, ".gitea/workflows/heliostat.yml": workflow})
        forge.takes(self.repository)
        self.client = Gitea(forge.url, NAME, forge.token)

    def push(self, branch: str, file: str, old: str, new: str) -> None:
        self.repository.replace(file, old, new)
        self.repository.commit()
        self.repository.git("push", "-q", "origin", f"HEAD:refs/heads/{branch}")

    def on_pull_request(self, action: str) -> dict[str, Any]:
        """Run what the forge tells of a pull request next."""
        payload = self.forge.event("pull_request", action)
        number = payload["number"]
        ref = "refs/heads/main" if action == "closed" else f"refs/pull/{number}/head"
        self.runner.run("pull_request", payload, ref)
        return payload

    def on_schedule(self, job: str) -> str:
        return self.runner.run("schedule", {}, "refs/heads/main", "--job", job)

    def on_merge(self) -> str:
        """Run what a push to `main` begins."""
        return self.runner.run("push", {"ref": "refs/heads/main"}, "refs/heads/main", "--job", "staging")

    def by_hand(self) -> str:
        """*Run workflow*, which brings production to what is merged."""
        return self.runner.run("workflow_dispatch", {"ref": "refs/heads/main"}, "refs/heads/main", "--job", "production")

    def merge(self, number: int) -> None:
        self.forge.call("POST", f"/repos/{NAME}/pulls/{number}/merge", Do="merge", delete_branch_after_merge=True)

    def comments(self, number: int) -> list[str]:
        return [each.text for each in self.client.comments(number) if each.text.startswith(MARK)]


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[RealForge]:
    with real_forge(tmp_path / "gitea") as found:
        yield found


def test_a_branch_goes_to_production_a_bad_model_comes_back_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with world(tmp_path / "world", monkeypatch, wrong=BAD) as there, real_forge(tmp_path / "gitea") as forge:
        place = Place(there, forge)
        place.repository.git("checkout", "-q", "-b", BRANCH)
        place.push(BRANCH, "workloads/shared.py", "LIMIT = 3", "LIMIT = 4")
        pull = place.client.open_pull_request(BRANCH, "main", "More bees", "They are needed.")
        place.on_pull_request("opened")
        (first,) = place.comments(pull.number)
        assert f"http://public/bees-{ENVIRONMENT}" in first
        assert there.tests.served == {f"bees-{ENVIRONMENT}": BAD}

        place.push(BRANCH, "workloads/shared.py", "LIMIT = 4\n", "LIMIT = 4  # more of them\n")
        place.on_pull_request("synchronized")
        (second,) = place.comments(pull.number)
        assert second != first and len(there.registry.known("trainings")) == 1

        place.merge(pull.number)
        place.on_pull_request("closed")
        assert there.left_of(ENVIRONMENT) == [] and there.tests.served == {}
        place.on_merge()
        assert there.tests.rollouts_end()
        place.by_hand()
        assert there.live.rollouts_end()
        assert there.tests.served == {"bees": BAD} and there.live.served == {"bees": "models:/bees/1"}

        promotion(place)
        # The job leaves the rollout to the controller, which takes it back when its golden requests fail.
        assert "Nothing is planned for staging" in place.on_merge()
        place.by_hand()
        assert there.live.rollouts_end() and there.live.served == {"bees": "models:/bees/1"}
        for _ in range(2):
            place.on_schedule("reconcile")
        back = place.client.open_pull_request_of("rollback/bees-in-production")
        assert back is not None
        place.merge(back.number)
        place.on_schedule("reconcile")
        assert place.client.open_pull_request_of("rollback/bees-in-production") is None
        assert "No environment goes" in place.on_schedule("sweep")


def promotion(place: Place) -> None:
    """Somebody promotes what serves in staging from his machine, and it is merged."""
    root = place.repository.root
    place.repository.git("fetch", "-q", "origin")
    place.repository.git("checkout", "-q", "--detach", "origin/main")
    names = {"HELIOSTAT_FORGE": "gitea", "HELIOSTAT_FORGE_URL": place.forge.url, "HELIOSTAT_FORGE_REPOSITORY": NAME}
    environment = {**os.environ, **place.there.environment, **names, "HELIOSTAT_FORGE_TOKEN": place.forge.token}
    command = [sys.executable, "-m", "heliostat.cli.main", "promote", "bees", "--from", "staging", "--to", "production"]
    done = subprocess.run([*command, "--json"], cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["version"] == BAD
    pull = place.client.open_pull_request_of("promote/bees-to-production")
    assert pull is not None
    place.merge(pull.number)


def test_the_forge_s_client_does_with_a_real_one_what_it_does_with_the_played_one(forge: RealForge, tmp_path: Path):
    repository = Repository(tmp_path / "work", {"README.md": "One.\n"})
    forge.takes(repository)
    for branch in ("one", "two"):
        repository.git("checkout", "-q", "-B", branch, "main")
        repository.write("README.md", f"{branch}\n")
        repository.commit()
        repository.git("push", "-q", "origin", branch)
    client = Gitea(forge.url, NAME, forge.token)
    assert client.open_pull_request_of("one") is None
    pull = client.open_pull_request("one", "main", "One", "It is one. <!-- mark -->")
    assert client.open_pull_request("one", "main", "One!", "It is the first. <!-- mark -->").number == pull.number
    assert client.pull_request(pull.number) == pull and not pull.from_fork
    for number in range(60):
        client.add_comment(pull.number, f"Comment {number}")
    keep_comment(client, pull.number, f"{MARK}\nFirst")
    keep_comment(client, pull.number, f"{MARK}\nSecond")
    (ours,) = [each for each in client.comments(pull.number) if each.text.startswith(MARK)]
    assert ours.text == f"{MARK}\nSecond"
    forge.call("DELETE", f"/repos/{NAME}/issues/comments/{ours.id}")
    assert not client.edit_comment(pull.number, ours.id, "gone") and find_comment(client, pull.number) is None
    client.add_comment(pull.number, "x" * client.longest_comment)
    assert client.declined_texts("one") == []
    client.close_pull_request(pull.number, "Not needed. <!-- other -->")
    assert client.declined_texts("one") == ["Not needed. <!-- other -->"] and client.open_pull_request_of("one") is None
    other = client.open_pull_request("two", "main", "Two", "It is two.")
    forge.call("POST", f"/repos/{NAME}/pulls/{other.number}/merge", Do="merge")
    assert client.declined_texts("two") == []
    with pytest.raises(PermanentError, match="404"):
        client.pull_request(1000)
    with pytest.raises(PermanentError, match="401"):
        Gitea(forge.url, NAME, "no-token").pull_request(pull.number)


def test_a_pull_request_from_a_fork_is_known_as_one(forge: RealForge, tmp_path: Path):
    repository = Repository(tmp_path / "work", {"README.md": "One.\n"})
    forge.takes(repository)
    forge.call("POST", "/orgs", username="others")
    forge.call("POST", f"/repos/{NAME}/forks", organization="others")
    repository.git("checkout", "-q", "-b", "main-too")
    repository.write("README.md", "Theirs.\n")
    repository.commit()
    repository.git("push", "-q", forge.remote.replace(NAME, "others/models"), "main-too")
    forge.call("POST", f"/repos/{NAME}/pulls", head="others:main-too", base="main", title="Theirs")
    payload = forge.event("pull_request", "opened")
    client = Gitea(forge.url, NAME, forge.token)
    assert client.pull_request(payload["number"]).from_fork
    assert client.open_pull_request_of("main-too") is None


def test_gitea_itself_has_the_runs_of_each_pull_request_and_of_each_merge_in_a_group_of_their_own(tmp_path: Path):
    with real_forge(tmp_path / "gitea", with_actions=True) as forge:
        files = {".gitea/workflows/heliostat.yml": WORKFLOW.read_text(), "README.md": "One.\n"}
        repository = Repository(tmp_path / "work", files)
        forge.takes(repository)
        main = repository.git("rev-parse", "HEAD").strip()
        assert forge.run_of("push")["concurrency_group"] == f"heliostat-{main}"
        repository.git("checkout", "-q", "-b", "one")
        repository.replace("README.md", "One", "Two")
        repository.commit()
        repository.git("push", "-q", "origin", "one")
        pull = Gitea(forge.url, NAME, forge.token).open_pull_request("one", "main", "One", "It is one.")
        assert forge.run_of("pull_request")["concurrency_group"] == f"heliostat-pr-{pull.number}"
