"""Branches beside each other on one platform: what each answers, what none of them computes, and that nothing is left."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from heliostat.spec.branch_environments import environment_name, name_in
from heliostat.systems.mlflow_registry import Registry
from heliostat.testing.asking import ask
from tests.e2e.stack import Checkout

pytestmark = [pytest.mark.local_stack, pytest.mark.long, pytest.mark.timeout(1500)]

BRANCHES = ("feature/x", "feature-x")


@pytest.fixture(scope="module")
def repository(checkout: Checkout) -> Checkout:
    """The checkout in git with a remote, and its local stack up."""
    remote = checkout.root.parent / "remote.git"
    checkout.run(["git", "init", "-q", "-b", "main"])
    (checkout.root / ".git" / "info" / "exclude").write_text(".venv\n.heliostat\n__pycache__\n")
    for command in (
        ["git", "add", "-A"],
        ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-q", "-m", "All of it"],
        ["git", "init", "-q", "--bare", str(remote)],
        ["git", "remote", "add", "origin", str(remote)],
    ):
        checkout.run(command)
    checkout.up()
    return checkout


def bring_up(repository: Checkout, branch: str) -> dict[str, Any]:
    repository.run(["git", "checkout", "-q", "-B", branch])
    repository.run(["git", "push", "-q", "origin", branch])
    result = repository.heliostat("env", "up", "--json")
    found: dict[str, Any] = json.loads(result.output[result.output.index("{\n") :])
    return found


def runs(repository: Checkout) -> set[str]:
    with Registry(repository.outputs()["platform"]["trackingUri"]) as registry:
        return {run.run_id for run in registry.runs_of("flights", {"heliostat.complete": "true"})}


def objects(repository: Checkout) -> list[str]:
    names = {name_in(environment_name(branch), "flights") for branch in BRANCHES}
    files = (path for path in repository.data.rglob("*") if path.is_file())
    return [str(path) for path in files if any(name in path.parts for name in names)]


def test_two_branches_have_an_address_each_and_train_nothing_and_nothing_of_them_is_left(repository: Checkout) -> None:
    before = runs(repository)
    environments = [bring_up(repository, branch) for branch in BRANCHES]
    urls = [each["urls"]["flights"] for each in environments]
    assert len({*urls, repository.outputs()["flights"]["url"]}) == 3
    for url in urls:
        outputs = {"url": url, "openapiUrl": f"{url}/openapi.json"}
        assert ask("flights", outputs, None, by_calls=False).status_code == 200
    assert runs(repository) == before, "what main trained is taken"

    repository.run(["git", "push", "-q", "origin", "--delete", BRANCHES[0]])
    repository.heliostat("env", "sweep")
    assert httpx.get(f"{urls[0]}/openapi.json", timeout=30).status_code in {404, 503}
    assert httpx.get(f"{urls[1]}/openapi.json", timeout=30).status_code == 200
    repository.heliostat("env", "down", BRANCHES[1], "--yes")
    assert json.loads(repository.heliostat("env", "list", "--json").output) == []
    stacks = json.loads(repository.heliostat("stack", "ls", "--json").output)
    assert [each["name"] for each in stacks] == ["local"]
    assert objects(repository) == []
    assert repository.predict("flights").status_code == 200, "the platform's own goes on"


def test_what_a_branch_trains_is_in_an_experiment_of_its_own_and_is_known_to_the_next(repository: Checkout) -> None:
    template = repository.root / "configs" / "Pulumi.preview.yaml"
    template.write_text(
        template.read_text().replace("    flights:\n", "    flights:\n      training: {parameters: {rounds: 7}}\n")
    )
    settings = repository.root / "heliostat.toml"
    before = runs(repository)
    bring_up(repository, "trains")
    (trained,) = runs(repository) - before
    bring_up(repository, "trains-too")
    assert runs(repository) == before | {trained}
    settings.write_text(settings.read_text().replace("[environments]\n", "[environments]\nkeep-runs = false\n"))
    for branch in ("trains-too", "trains"):
        repository.heliostat("env", "down", branch, "--yes")
    assert runs(repository) - before <= {trained}, "kept where a registered version is of it"
