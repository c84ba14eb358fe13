"""A stack of a copy: what it is made of, how it fails, and that nothing of it stays. What is up is in tests/e2e."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import yaml

from heliostat.scaffold import rendering, template
from heliostat.spec.strategies import BlueGreen
from heliostat.testing import CommandError, LocalStack, load_stack
from heliostat.testing.stack_configs import patch, standalone

TEMPLATE = template.read()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    for path, text in rendering.repository(TEMPLATE, "mine").items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def config(root: Path) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = yaml.safe_load((root / rendering.CONFIG).read_text())["config"]
    return found


def test_the_copy_has_the_sources_and_nothing_that_runs_left_in_them(repository: Path) -> None:
    for left in (".git/HEAD", ".heliostat/state/x", "policies/venv/pyvenv.cfg", "infra/__pycache__/x.pyc", ".mypy_cache/x"):
        (repository / left).parent.mkdir(parents=True, exist_ok=True)
        (repository / left).touch()
    (repository / "big").mkdir()
    (repository / "shared").mkdir()
    with LocalStack(repository, exclude=("big",), link=("shared",)) as stack:
        copied = {path.relative_to(stack.root).as_posix() for path in stack.root.rglob("*")}
        assert {*TEMPLATE, "shared", ".venv", ".heliostat/state"} <= copied
        assert not copied & {".git", "big", "policies/venv", "infra/__pycache__", ".mypy_cache", ".heliostat/state/x"}
        assert (stack.root / ".venv").readlink() == Path(sys.prefix)
        assert (stack.root / "shared").readlink() == repository / "shared"


def test_a_copy_in_a_folder_of_the_repository_does_not_hold_itself(repository: Path) -> None:
    with LocalStack(repository, folder=repository / "build" / "stack") as stack:
        assert not (stack.root / "build" / "stack").exists()
    assert (stack.root / "Pulumi.yaml").exists(), "a folder that was named stays"


def test_its_config_is_the_stack_s_with_nothing_that_two_could_not_have_and_what_is_changed(repository: Path) -> None:
    file = repository / rendering.CONFIG
    text = file.read_text().replace("kind: local\n", "kind: local\n    publicPort: 8080\n    ray: {dashboardPort: 8265}\n")
    file.write_text(text)
    changes = {"workloads": {"tumours": {"serving": {"replicas": 1, "strategy": {"before": None}}, "training": None}}}
    with LocalStack(repository, config=changes) as stack:
        found = config(stack.root)
        assert found["heliostat:platform"] == {"kind": "local", "ray": {}, "onDestroy": "delete"}
        assert found["heliostat:workloads"]["tumours"] == {
            "gate": {"metric": "roc_auc", "margin": 0.01},
            "serving": {"replicas": 1, "strategy": {"kind": "blue-green", "retentionSeconds": 30}},
        }
        assert "# Everything on this machine." in (stack.root / rendering.CONFIG).read_text()
        assert load_stack(stack.root).workloads["tumours"].serving.replicas == 1
        assert stack.workloads == ["tumours"]
        stack.configure({"workloads": {"tumours": {"serving": {"replicas": 3}}}})
        assert load_stack(stack.root).workloads["tumours"].serving.replicas == 3
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": 1}, {"a": {"b": {"c": None}}}, {"a": {"b": {}}}),
        ({}, {"a": None}, {}),
        ({"a": 1}, {}, {"a": 1}),
    ],
)
def test_changes_are_a_merge_patch(before: dict[str, object], changes: dict[str, object], after: dict[str, object]) -> None:
    patch(before, changes)
    assert before == after


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"platform": {"kind": "ray"}}, "the platform of the stack 'prod' is of kind 'ray': name a stack with"),
        ({"platformStack": "a/b/c"}, "the platform of the stack 'prod' is another stack's"),
    ],
)
def test_a_stack_whose_platform_is_elsewhere_is_refused(sections: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        standalone(sections, "prod")


def test_a_stack_that_is_not_there_is_told_and_leaves_nothing(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"Pulumi\.prod\.yaml"):
        LocalStack(repository, stack="prod", folder=tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_shell_s_own_stack_is_not_meant(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PULUMI_BACKEND_URL": "s3://team", "PULUMI_STACK": "prod", "HELIOSTAT_CONFIG_FILE": "/x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "mine")
    with LocalStack(repository, environment={"MINE": "1"}) as stack:
        assert stack.environment["PULUMI_BACKEND_URL"] == f"file://{stack.root}/.heliostat/state"
        assert not {"PULUMI_STACK", "HELIOSTAT_CONFIG_FILE"} & stack.environment.keys()
        assert (stack.environment["PULUMI_CONFIG_PASSPHRASE"], stack.environment["MINE"]) == ("mine", "1")


def test_an_up_that_fails_tells_what_it_wrote_and_leaves_nothing(repository: Path) -> None:
    changes = {"workloads": {"tumours": {"gate": {"metric": "beauty"}}}}
    with (
        pytest.raises(CommandError, match=r"(?s)heliostat up --stack local.* failed with exit code \d+:\n.*metric.*roc_auc"),
        LocalStack(repository, config=changes) as stack,
    ):
        stack.up()
    assert not stack.root.exists()
    assert stack.processes() == []


def test_a_command_may_fail_where_that_is_asked_for(repository: Path) -> None:
    with LocalStack(repository) as stack:
        assert stack.run(["sh", "-c", "exit 3"], check=False).code == 3
        with pytest.raises(CommandError, match="exit code 3"):
            stack.run(["sh", "-c", "exit 3"])


def test_what_is_not_up_cannot_be_asked(repository: Path) -> None:
    with LocalStack(repository) as stack:
        with pytest.raises(ValueError, match=r"'tumours' is not up, nothing is: call up\(\) first"):
            stack.predict()
        stack.configure({"workloads": {"birds": {}}})
        with pytest.raises(ValueError, match="name a workload: the stack has tumours, birds"):
            stack.url()


def test_a_process_that_stays_is_killed_and_told(repository: Path) -> None:
    stack = LocalStack(repository)
    with pytest.raises(CommandError, match=r"processes outlived `destroy` and were killed: (setsid|sleep) \(\d+\)"), stack:
        stack.run(["sh", "-c", "setsid sleep 600 >/dev/null 2>&1 &"])
        (process,) = stack.processes()
    assert not process.is_running()
    assert not stack.root.exists()


def test_the_error_of_a_test_is_not_hidden_by_what_it_left(repository: Path) -> None:
    with pytest.raises(ZeroDivisionError) as failed, LocalStack(repository) as stack:
        stack.run(["sh", "-c", "setsid sleep 600 >/dev/null 2>&1 &"])
        raise ZeroDivisionError
    assert "processes outlived" in failed.value.__notes__[0]


def test_what_a_stack_declares_can_be_read_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[2]
    strategy = load_stack(root).workloads["flights"].serving.strategy
    assert isinstance(strategy, BlueGreen)
    assert strategy.before is not None
    with pytest.raises(FileNotFoundError):
        load_stack(root, "gone")


def test_a_stack_that_was_never_brought_up_needs_no_destroy(repository: Path) -> None:
    with LocalStack(repository) as stack:
        assert os.listdir(stack.root)  # noqa: PTH208
    assert not stack.root.exists()
