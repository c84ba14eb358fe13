"""`heliostat logs` of a platform's parts: which files, their ends, and what is added, also where a file is rotated."""

import asyncio
import json
from contextlib import suppress

import pytest
from platform_stack import PlatformStack

from heliostat.cli.operators.completing import PARTS
from heliostat.cli.operators.deployed import Deployed
from heliostat.cli.operators.logs import Follower, PartLog, follow, part_logs, tail
from heliostat.systems.errors import PermanentError


class Folders:
    """The data folders of a platform, with its logs."""

    def __init__(self, root):
        self.root = root
        self.write("controller/controller.log", "controller up\n")
        self.write("controller/keeper.log", "keeper up\n")
        self.write("controller/haproxy.log", "haproxy up\n")
        self.write("mlflow/mlflow.log", "mlflow 1\nmlflow 2\nmlflow 3\n")
        self.write("ray/head.log", "head up\n")
        self.write("ray/worker-1.log", "worker up\n")
        self.write("session/gcs_server.out", "gcs up\n")
        self.write("session/raylet.err", "")
        self.write("session/python-core-worker-1.log", "a worker's own\n")
        self.write("session/serve/controller_7.log", "serve up\n")
        self.write("session/serve/replica_flights-blue_model_1.log", "a replica's\n")
        (root / "ray" / "logs").symlink_to(root / "session")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    @property
    def resources(self):
        return [
            ("TrackingServer", {"directory": str(self.root / "mlflow")}),
            ("RayCluster", {"directory": str(self.root / "ray")}),
            ("Controller", {"directory": str(self.root / "controller")}),
        ]


@pytest.fixture
def folders(stack, tmp_path):
    stack.monkeypatch.setenv("HELIOSTAT_ENGINE", "embedded")
    made = Folders(tmp_path / "data")
    found = PlatformStack(stack)
    made.exports = lambda *more: found.exports(resources=[*made.resources, *more], platform=found.platform())
    made.exports()
    return made


def test_each_part_shows_its_own_files(folders, stack):
    assert stack.ok(
        "logs", "controller"
    ) == "==> {0}/controller.log <==\ncontroller up\n==> {0}/keeper.log <==\nkeeper up\n".format(folders.root / "controller")
    assert "haproxy up" in stack.ok("logs", "haproxy")
    assert "mlflow 3" in stack.ok("logs", "mlflow")


def test_of_ray_the_nodes_logs_are_shown_and_no_replicas_workers_or_empty_ones(folders, stack):
    shown = stack.ok("logs", "ray")
    for line in ("head up", "worker up", "gcs up", "serve up"):
        assert line in shown
    for line in ("a replica's", "a worker's own", "raylet.err"):
        assert line not in shown


def test_only_the_last_lines_are_shown_where_so_many_are_asked_for(folders, stack):
    assert stack.ok("logs", "mlflow", "-n", "2").splitlines()[1:] == ["mlflow 2", "mlflow 3"]


def test_as_json_each_line_is_an_object(folders, stack):
    lines = [json.loads(line) for line in stack.ok("logs", "controller", "--json").splitlines()]
    assert lines == [{"log": "controller", "line": "controller up"}, {"log": "keeper", "line": "keeper up"}]


def test_a_name_that_is_a_part_and_an_application_has_to_be_told_apart(folders, stack):
    folders.exports(("Application", {"name": "mlflow", "url": "http://127.0.0.1:1/mlflow"}))
    ran = stack("logs", "mlflow")
    assert ran.code == 2
    assert "'mlflow' is a part and an application: say part/mlflow or app/mlflow" in ran.err
    assert "mlflow 3" in stack.ok("logs", "part/mlflow")
    # The application's are Ray's to give out, and there is no Ray.
    assert "no platform with a Ray cluster" in stack("logs", "app/mlflow").err


def test_a_part_that_there_is_not_is_told_with_those_that_there_are(folders, stack):
    ran = stack("logs", "part/kafka")
    assert ran.code == 2
    assert "there are: controller, haproxy, mlflow, ray" in ran.err


def test_a_stack_without_a_platform_is_told_with_the_command_that_helps(stack):
    stack.monkeypatch.setenv("HELIOSTAT_ENGINE", "embedded")
    ran = stack("logs", "mlflow")
    assert ran.code == 1
    assert "`heliostat up -s dev`" in ran.err


@pytest.mark.parametrize("part", PARTS)
def test_a_part_whose_folder_is_not_on_this_machine_is_told(part):
    with pytest.raises(PermanentError, match="it has no data folder"):
        part_logs(Deployed("dev", "dev"), part)
    gone = [{"type": f"heliostat:index:{name}", "outputs": {"directory": "/nowhere"}} for name in ("Controller",)]
    if part in ("controller", "haproxy"):
        with pytest.raises(PermanentError, match="/nowhere is not on this machine"):
            part_logs(Deployed("dev", "dev", resources=gone), part)


def test_the_last_lines_are_right_at_every_size_and_end(tmp_path):
    path = tmp_path / "log"
    assert tail(path, 5) == []
    for count in (0, 1, 2, 5, 6, 20_000):
        lines = [f"line {number}" for number in range(count)]
        for end in ("\n", ""):
            path.write_text("\n".join(lines) + (end if lines else ""))
            assert tail(path, 5) == lines[-5:], (count, end)


def test_a_file_is_read_on_where_it_grows_and_whole_lines_alone_are_told(tmp_path):
    path = tmp_path / "log"
    path.write_text("one\ntwo\nthr")
    reader = Follower(path, 2)
    assert list(reader.read()) == ["two"]
    with path.open("a") as log:
        log.write("ee\nfour\n")
    assert list(reader.read()) == ["three", "four"]
    assert list(reader.read()) == []


def test_a_file_that_is_rotated_is_followed_on_and_nothing_of_either_is_lost(tmp_path):
    path = tmp_path / "log"
    path.write_text("old\n")
    reader = Follower(path, 10)
    assert list(reader.read()) == ["old"]
    with path.open("a") as log:
        log.write("last of the old\n")
    path.replace(tmp_path / "log.1")
    assert list(reader.read()) == ["last of the old"]
    with (tmp_path / "log.1").open("a") as log:
        log.write("still to the old\n")
    path.write_text("first of the new\n")
    assert list(reader.read()) == ["still to the old", "first of the new"]


def test_a_file_that_is_emptied_or_comes_later_is_followed_from_its_begin(tmp_path):
    path = tmp_path / "log"
    reader = Follower(path, 0)
    assert list(reader.read()) == []
    path.write_text("a line that is long\n")
    assert list(reader.read()) == []
    path.write_text("short\n")
    assert list(reader.read()) == ["short"]


async def test_following_tells_what_is_written_to_any_file_as_it_comes(tmp_path):
    first, second = (PartLog(name, tmp_path / name) for name in ("a.log", "b.log"))
    first.path.write_text("begin\n")
    told = asyncio.Queue()
    task = asyncio.create_task(follow([first, second], 10, lambda log, line: told.put_nowait((log.name, line))))
    async with asyncio.timeout(60):
        assert await told.get() == ("a.log", "begin")
        second.path.write_text("made later\n")
        assert await told.get() == ("b.log", "made later")
        first.path.replace(tmp_path / "a.log.1")
        first.path.write_text("made anew\n")
        assert await told.get() == ("a.log", "made anew")
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
