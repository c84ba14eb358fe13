"""Comments on a real Gitea: who may approves and rolls back by them, and its CI system begins their job as is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from real_forge import NAME, RealForge, Runner, missing_tools, real_forge, with_this_python
from repository_of import Repository
from served_controllers import TOKEN, ServedController
from story import REPOSITORY, World, world

from heliostat.gitops.rollout_outcomes import MARK
from heliostat.spec.audit import PREFIX
from heliostat.spec.branch_environments import environment_name
from heliostat.spec.roles import AccessPolicy, Person, Role, token_digest
from heliostat.spec.rollouts import Phase, Status
from heliostat.systems.forges.events import CommentEvent, comment_here
from heliostat.systems.forges.gitea import Gitea

FOLDER = Path(__file__).parents[2] / "deploy" / "ci"
PRODUCTION = "configs/Pulumi.production.yaml"
RELAY = "the-relay-s-token"

pytestmark = [
    pytest.mark.forge,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(missing_tools()), reason=f"{', '.join(missing_tools())} cannot be had: see scripts/forge_tools"),
]


def person(token: str, *roles: Role, **logins: str) -> Person:
    return Person.model_validate({"tokenSha256": token_digest(token), "roles": roles, "logins": logins})


POLICY = AccessPolicy(
    people={"ada": person("a", Role.APPROVER, gitea="ada"), "ci": person(RELAY, Role.RELAY)}, stack_token=(Role.ADMIN,)
)


class Place:
    """A Gitea with a repository that has both workflows, a CI system, and people with accounts."""

    def __init__(self, there: World, forge: RealForge) -> None:
        self.there, self.forge = there, forge
        variables = {"HELIOSTAT_STATE": there.environment["PULUMI_BACKEND_URL"]}
        passphrase = there.environment["PULUMI_CONFIG_PASSPHRASE"]
        secrets = {"HELIOSTAT_TOKEN": forge.token, "HELIOSTAT_RELAY_TOKEN": RELAY, "PULUMI_CONFIG_PASSPHRASE": passphrase}
        machine = {name: there.environment[name] for name in ("PULUMI_HOME", "STORY")}
        self.runner = Runner(there.folder / "runs", forge, variables, secrets, machine)
        workflows = {
            f".gitea/workflows/{name}": with_this_python((FOLDER / source).read_text())
            for name, source in (("heliostat.yml", "gitea.yml"), ("heliostat-commands.yml", "gitea-commands.yml"))
        }
        self.repository = Repository(there.folder / "work", {**REPOSITORY, **workflows})
        forge.takes(self.repository)
        self.client = Gitea(forge.url, NAME, forge.token)
        self.tokens = {name: forge.person(name) for name in ("ada", "mallory")}
        for controller in (there.tests, there.live):
            grant(controller)

    def push(self, branch: str, *changes: tuple[str, str, str]) -> None:
        self.repository.git("checkout", "-q", "-B", branch, "origin/main")
        for file, old, new in changes:
            self.repository.replace(file, old, new)
        self.repository.commit()
        self.repository.git("push", "-q", "origin", branch)

    def deliver(self) -> None:
        """Have staging, and then production, at what is merged."""
        self.runner.run("push", {"ref": "refs/heads/main"}, "refs/heads/main", "--job", "staging")
        assert self.there.tests.rollouts_end()
        self.runner.run("workflow_dispatch", {"ref": "refs/heads/main"}, "refs/heads/main", "--job", "production")

    def says(self, who: str, number: int, text: str) -> str:
        """Somebody's comment, and the job of the default branch that it starts; what was answered, if anything."""
        identifier = self.forge.comment(number, text, self.tokens[who])
        payload = self.forge.event("issue_comment", "created")
        while payload["comment"]["id"] != identifier:
            payload = self.forge.event("issue_comment", "created")
        self.runner.run("issue_comment", payload, "refs/heads/main")
        answers = [each.text for each in self.client.comments(number) if f"in comment {identifier};" in each.text]
        assert len(answers) <= 1
        return answers[0] if answers else ""


def grant(controller: ServedController) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = httpx.put(f"{controller.url}/v1/access", json=POLICY.model_dump(mode="json"), headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text


def status(controller: ServedController) -> Status:
    return next(each for each in controller.statuses() if each.name == "bees")


def audited(controller: ServedController) -> list[tuple[str, str, str]]:
    entries = sorted((controller.folder / "objects" / PREFIX).glob("*.json"))
    found = [json.loads(each.read_text()) for each in entries]
    return [(each["by"], each.get("via", ""), each["action"]) for each in found if each["by"] in ("ada", "mallory")]


def waits(statuses: list[Status]) -> bool:
    return any(each.rollout is not None and each.rollout.phase is Phase.WAITING for each in statuses)


def test_comments_approve_extend_and_roll_back_by_those_alone_whom_the_roles_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with world(tmp_path / "world", monkeypatch, wrong="none") as there, real_forge(tmp_path / "gitea") as forge:
        place, live = Place(there, forge), there.live
        place.deliver()
        assert live.rollouts_end()
        before = status(live).serving
        steps = "{kind: canary, retentionSeconds: 600, steps: [{weight: 20, approval: true}, {weight: 100}]}"
        place.push(
            "more-bees",
            ("workloads/shared.py", "LIMIT = 3", "LIMIT = 4"),
            (PRODUCTION, "{replicas: 2}", f"{{replicas: 2, strategy: {steps}}}"),
        )
        pull = place.client.open_pull_request("more-bees", "main", "More bees", "They are needed.")
        place.runner.run("pull_request", forge.event("pull_request", "opened"), f"refs/pull/{pull.number}/head")
        in_the_environment(place, pull.number)

        forge.call("POST", f"/repos/{NAME}/pulls/{pull.number}/merge", Do="merge")
        place.deliver()
        assert live.until(waits)
        place.runner.run("schedule", {}, "refs/heads/main", "--job", "reconcile")
        assert "**waits for a person**" in told(place, pull.number)
        assert "gitea:mallory is nobody's login" in place.says("mallory", pull.number, "/approve bees in production")
        assert place.says("mallory", pull.number, "I would /approve it") == "" and waits(live.statuses())
        assert "is approved, by the word of ada" in place.says("ada", pull.number, "/approve\nthe slices are good")
        assert live.rollouts_end() and (now := status(live).serving) is not None and now != before
        assert "it goes back from" in place.says("ada", pull.number, "/rollback bees in production")
        assert live.rollouts_end() and status(live).serving == before
        assert "nobody's login" in place.says("mallory", pull.number, "/rollback bees in production")
        assert audited(live) == [("ada", "ci", "rollout.approve"), ("ada", "ci", "application.rollback")]
        place.runner.run("schedule", {}, "refs/heads/main", "--job", "reconcile")
        assert "through: it got all the traffic" in told(place, pull.number)


def in_the_environment(place: Place, number: int) -> None:
    """The branch's environment stays and goes by comments on its open pull request."""
    assert "nobody's login" in place.says("mallory", number, "/down")
    assert "stays until" in place.says("ada", number, "/extend for 7d")
    assert environment_name("more-bees") in str(place.there.tests.served)
    assert "is taken down" in place.says("ada", number, "/down")
    assert place.there.left_of(environment_name("more-bees")) == []
    assert [*place.there.tests.served] == ["bees"], "staging's own"
    assert audited(place.there.tests) == [("ada", "ci", "environment.extend"), ("ada", "ci", "environment.down")]


def told(place: Place, number: int) -> str:
    (text,) = [each.text for each in place.client.comments(number) if each.text.startswith(MARK)]
    return text


def test_gitea_itself_begins_the_job_of_a_comment_as_the_default_branch_has_it(tmp_path: Path):
    workflow = (FOLDER / "gitea-commands.yml").read_text()
    with real_forge(tmp_path / "gitea", with_actions=True) as forge:
        repository = Repository(
            tmp_path / "work", {".gitea/workflows/heliostat-commands.yml": workflow, "README.md": "One.\n"}
        )
        forge.takes(repository)
        main = repository.git("rev-parse", "HEAD").strip()
        repository.git("checkout", "-q", "-b", "theirs")
        repository.replace(".gitea/workflows/heliostat-commands.yml", "heliostat ci command", "evil")
        repository.commit()
        repository.git("push", "-q", "origin", "theirs")
        pull = Gitea(forge.url, NAME, forge.token).open_pull_request("theirs", "main", "Theirs", "It does no harm.")
        identifier = forge.comment(pull.number, "/approve", forge.token)
        run = forge.run_of("issue_comment")
        assert (run["ref"], run["commit_sha"], run["workflow_id"]) == ("refs/heads/main", main, "heliostat-commands.yml")
        assert event_of(run["event_payload"], tmp_path) == CommentEvent(pull.number, str(identifier))


def event_of(payload: str, folder: Path) -> CommentEvent | None:
    """The comment that a job would find in what its runner is told."""
    found: dict[str, Any] = json.loads(payload)
    (folder / "event.json").write_text(json.dumps(found))
    return comment_here({"GITHUB_EVENT_PATH": str(folder / "event.json")})
