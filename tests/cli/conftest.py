"""A project in an empty folder, its state beside it, and the command run in this process."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from controller_over_http import FakeController, Served
from platform_stack import PlatformStack

from heliostat.cli.main import run
from heliostat.engine.state import secrets


@dataclass
class Ran:
    code: int
    out: str
    err: str


class Desk:
    """A user's folder and terminal."""

    def __init__(self, folder: Path, capsys, monkeypatch):
        self.folder = folder
        self.state = folder.parent / "state"
        self._capsys = capsys
        self.monkeypatch = monkeypatch

    def __call__(self, *arguments: str) -> Ran:
        self._capsys.readouterr()
        code = run(arguments)
        said = self._capsys.readouterr()
        return Ran(int(code), said.out, said.err)

    def ok(self, *arguments: str) -> str:
        ran = self(*arguments)
        assert ran.code == 0, ran.err
        return ran.out

    @property
    def config(self) -> Path:
        return self.folder / "Pulumi.dev.yaml"


@pytest.fixture
def desk(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "project"
    folder.mkdir()
    (tmp_path / "state").mkdir()
    (folder / "Pulumi.yaml").write_text("name: demo\nruntime: python\n")
    for name in (
        "PULUMI_STACK",
        "PULUMI_PARALLEL",
        "PULUMI_SKIP_CONFIRMATIONS",
        "HELIOSTAT_NON_INTERACTIVE",
        "CI",
        "FORCE_COLOR",
        "PULUMI_CONFIG_PASSPHRASE_FILE",
        "PULUMI_CONTINUE_ON_ERROR",
        "HELIOSTAT_TRACEBACK",
        "HELIOSTAT_DETACH",
        "HELIOSTAT_WAIT",
        "HELIOSTAT_RETRY_REFUSED",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}/state")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "pass")
    monkeypatch.setattr(secrets, "ITERATIONS", 1000)  # the CLI's number is tested where secrets are
    monkeypatch.chdir(folder)
    return Desk(folder, capsys, monkeypatch)


@pytest.fixture
def stack(desk):
    desk.ok("stack", "init", "dev")
    return desk


@pytest.fixture
def deployed_platform(stack, monkeypatch):
    """The stack `dev` with a platform that nobody answers for."""
    monkeypatch.setenv("HELIOSTAT_ENGINE", "embedded")
    monkeypatch.setenv("HELIOSTAT_BY", "grace")
    found = PlatformStack(stack)
    found.exports(platform=found.platform())
    return found


@pytest.fixture
def controller(deployed_platform):
    """A controller in memory behind the stack's platform."""
    found = FakeController()
    with Served(found) as url:
        deployed_platform.exports(platform=deployed_platform.platform(url))
        yield found
