"""`heliostat status`: every part is a row, whatever becomes of it."""

import asyncio
import io
import json
import os
import socket
from collections import Counter

import httpx
import pytest
from controller_over_http import TOKEN, FakeController, Served
from platform_over_http import FakeParts, served
from platform_stack import PlatformStack
from rich.console import Console
from rollout_records import rollout, status, succeeded, version, waiting

from heliostat.cli.operators import probes
from heliostat.cli.operators.health import Health, PartHealth, PlatformStatus
from heliostat.cli.operators.serving import application
from heliostat.cli.operators.tables import Column, drawn
from heliostat.spec.addresses import RayAddress
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.ray_serve import parse

PARTS = ("store", "ray", "mlflow", "controller", "haproxy")


class Platform:
    """A stack's platform whose parts all answer."""

    def __init__(self, stack, controller, parts, addresses):
        self.stack, self.controller, self.parts, self.addresses = stack, controller, parts, addresses
        self.found = PlatformStack(stack)
        (stack.folder.parent / "objects").mkdir()

    def exports(self, stack="dev", **changed):
        token = str(self.found.token)
        exported = {
            "store": self.found.store_address.model_dump(mode="json"),
            "ray": {"url": self.addresses["ray"], "credential": {"kind": "file", "path": token}},
            "trackingUri": self.addresses["mlflow"],
            "controller": {"url": self.addresses["controller"], "credential": {"kind": "file", "path": token}},
            "publicUrl": self.addresses["haproxy"],
        }
        cluster = ("RayCluster", {"workers": {"cpus": 4, "count": 1}, "directory": "/nowhere/ray"})
        self.found.exports(stack, [cluster], platform=exported | changed)

    def shown(self):
        ran = self.stack("status", "--json")
        said = json.loads(ran.out)
        return ran.code, {one["part"]: one for one in said["parts"]}, said


@pytest.fixture
def platform(stack, monkeypatch):
    monkeypatch.setenv("HELIOSTAT_ENGINE", "embedded")
    controller, parts = FakeController(), FakeParts(TOKEN)
    with served(parts) as addresses, Served(controller) as url:
        made = Platform(stack, controller, parts, addresses | {"controller": url})
        made.exports()
        yield made


def unused():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_a_platform_that_is_well_is_shown_part_by_part_with_versions_and_addresses(platform, stack):
    platform.controller.serve(succeeded())
    ran = stack("status")
    assert (ran.code, ran.err) == (0, "")
    rows = {line.split()[0]: line for line in ran.out.splitlines() if line}
    assert all(rows[part].split()[1] == "ok" for part in PARTS)
    assert platform.parts.ray_version in rows["ray"]
    assert "3.17.0" in rows["mlflow"]
    assert platform.addresses["ray"] in rows["ray"]
    assert "2 nodes, 4 CPUs" in rows["ray"]
    assert "100 %" in rows["flights"]
    assert TOKEN not in ran.out + ran.err


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_does_not_answer_is_a_row_and_the_others_are_shown_all_the_same(platform, stack, part):
    changed = {
        "store": {"store": {"uri": "file:///nowhere/at/all"}},
        "ray": {"ray": {"url": unused(), "credential": {"kind": "file", "path": str(platform.found.token)}}},
        "mlflow": {"trackingUri": unused()},
        "controller": {"controller": {"url": unused(), "credential": {"kind": "file", "path": str(platform.found.token)}}},
        "haproxy": {"publicUrl": unused()},
    }
    platform.exports(**changed[part])
    code, parts, _ = platform.shown()
    assert code == 1
    assert {name: one["health"] for name, one in parts.items()} == dict.fromkeys(PARTS, "ok") | {part: "down"}
    assert parts[part]["detail"]
    told = stack("status").err
    assert f"{part} does not answer: `heliostat up -s dev` starts what is gone" in told
    assert (f"`heliostat logs {part}` shows why" in told) is (part != "store")


def test_a_token_that_is_gone_is_a_row_too(platform):
    platform.found.token.unlink()
    code, parts, said = platform.shown()
    assert code == 1
    assert (parts["ray"]["health"], parts["controller"]["health"]) == ("down", "down")
    assert "token" in parts["ray"]["detail"]
    assert said["applications"] is None


def test_what_answers_and_is_not_as_declared_is_degraded(platform, stack):
    platform.parts.nodes = 1
    platform.parts.database_answers = False
    platform.controller.state = platform.controller.state.model_copy(update={"ray": False, "store_error": "no space left"})
    code, parts, _ = platform.shown()
    assert code == 1
    assert parts["ray"]["detail"] == "1 of 2 nodes are there"
    assert "ray is incomplete: `heliostat up -s dev` starts what is missing" in stack("status").err
    assert parts["mlflow"]["detail"].startswith("its database does not answer")
    assert parts["controller"]["detail"] == "it does not reach Ray; no space left"
    assert {parts[name]["health"] for name in ("ray", "mlflow", "controller")} == {"degraded"}


def test_what_answers_and_cannot_be_worked_with_is_unfit(platform, stack):
    platform.parts.ray_version, platform.parts.mlflow_version = "2.10.0", "2.22.0"
    code, parts, _ = platform.shown()
    assert code == 1
    assert {name for name, one in parts.items() if one["health"] == "unfit"} == {"ray", "mlflow"}
    assert "is 2.10.0, and heliostat here works with" in parts["ray"]["detail"]
    assert "3.0 is the oldest that works" in parts["mlflow"]["detail"]
    told = stack("status").err
    assert "ray and mlflow cannot be worked with as set up: the table says why" in told
    assert "incomplete" not in told, "an `up` would not mend it"


async def test_where_replicas_of_a_cluster_elsewhere_listen_is_looked_at(monkeypatch):
    seen = []

    async def read(self):
        seen.append(self)
        return parse({"http_options": {"host": "127.0.0.1"}})

    async def answer(address):
        return ""

    async def nodes(address):
        return []

    monkeypatch.setattr(probes.ServeClient, "read", read)
    monkeypatch.setattr(probes, "read_version", answer)
    monkeypatch.setattr(probes, "read_nodes", nodes)
    here = await probes.ray(RayAddress(url="http://127.0.0.1:8265"), None)
    elsewhere = await probes.ray(RayAddress(url="http://10.0.0.2:8265"), None)
    assert (here.health, elsewhere.health, len(seen)) == (Health.OK, Health.UNFIT, 1)
    assert "serve shutdown" in elsewhere.detail


def test_a_server_that_fails_is_down_in_one_line(platform):
    platform.parts.failing = {"mlflow"}
    _, parts, _ = platform.shown()
    assert parts["mlflow"]["health"] == "down"
    assert "\n" not in parts["mlflow"]["detail"]


async def test_parts_that_hang_are_down_after_their_time_and_are_waited_for_beside_each_other():
    async def hang():
        await asyncio.Event().wait()

    loop = asyncio.get_running_loop()
    began = loop.time()
    found = await asyncio.gather(*(probes.ask((f"part-{number}", "http://x", hang), 0.2) for number in range(20)))
    assert loop.time() - began < 20 * 0.2 / 2
    assert {one.detail for one in found} == {"no answer within 0.2 s"}
    assert {one.health for one in found} == {Health.DOWN}


@pytest.mark.parametrize(
    "error",
    [
        PermanentError("refused (403)"),
        RetryableError("away"),
        OSError("no such file"),
        ValueError("no JSON"),
        httpx.ReadError("cut"),
    ],
)
async def test_whatever_goes_wrong_with_the_asking_is_a_part_that_is_down(error):
    async def fail():
        raise error

    found = await probes.ask(("ray", "http://x", fail))
    assert (found.part, found.health) == ("ray", Health.DOWN)
    assert str(error) in found.detail


async def test_a_thread_that_hangs_is_left_behind_and_what_it_raises_is_told():
    import threading

    forever = threading.Event()
    with pytest.raises(TimeoutError):
        await probes.in_thread(lambda: forever.wait(60), 0.05)
    forever.set()

    def fail():
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        await probes.in_thread(fail)


def test_an_application_that_answers_nobody_is_told_and_ends_with_1(platform, stack):
    platform.controller.serve(succeeded(), serving=None, healthy_replicas=0)
    ran = stack("status")
    assert ran.code == 1
    assert "flights does not answer clients: `heliostat logs flights --all` shows why" in ran.err
    assert "0/2" in ran.out


def test_a_platform_without_an_application_is_well(platform, stack):
    ran = stack("status")
    assert ran.code == 0
    assert "No application yet." in ran.out


def test_a_rollout_under_way_is_shown_with_both_versions_and_weights(platform, stack):
    platform.controller.serve(waiting(), serving=version(1))
    _, _, said = platform.shown()
    (one,) = said["applications"]
    assert [(each["role"], each["weight"]) for each in one["versions"]] == [("stable", 0.25), ("candidate", 0.75)]
    assert one["versions"][1]["healthyReplicas"] == 2
    assert one["rollout"]["phase"] == "waiting"
    assert "7, canary: waiting for a person" in stack("status").out


def test_a_stack_that_was_destroyed_or_never_brought_up_is_told_with_the_command_that_helps(stack, monkeypatch):
    monkeypatch.setenv("HELIOSTAT_ENGINE", "embedded")
    ran = stack("status")
    assert ran.code == 1
    assert "nothing running: it was destroyed, or never brought up. Bring it up with `heliostat up -s dev`" in ran.err
    said = json.loads(stack("status", "--json").out)
    assert (said["well"], said["parts"], said["applications"]) == (False, [], None)
    assert "heliostat up" in said["problem"]


def test_an_up_that_broke_off_before_the_platform_was_there_is_told_as_such(stack, monkeypatch):
    monkeypatch.setenv("HELIOSTAT_ENGINE", "embedded")
    PlatformStack(stack).exports(resources=[("RayCluster", {"directory": "/nowhere"})])
    assert "its last `up` did not come to its end" in stack("status").err


def test_a_stack_that_was_never_made_ends_with_6_and_the_command_that_makes_it(desk):
    desk.monkeypatch.setenv("HELIOSTAT_ENGINE", "embedded")
    ran = desk("status", "-s", "dev")
    assert ran.code == 6
    assert "heliostat stack init dev" in ran.err


def test_a_stack_on_the_platform_of_another_shows_that_platform(platform, stack):
    stack.ok("stack", "init", "models", "--no-select")
    (stack.folder / "Pulumi.models.yaml").write_text("config:\n  heliostat:platformStack: organization/demo/dev\n")
    ran = stack("status", "-s", "models")
    assert ran.code == 0
    assert "Stack models, on the platform of organization/demo/dev" in ran.out
    assert platform.addresses["mlflow"] in ran.out


def test_the_official_cli_is_asked_for_state_where_it_is_there(platform, stack, tmp_path):
    outputs, state = (stack.ok("stack", *command) for command in (("output", "--json"), ("export",)))
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    (tmp_path / "output").write_text(outputs)
    (tmp_path / "export").write_text(state)
    program.write_text(f'#!/bin/sh\nexec cat {tmp_path}/"$2"\n')
    program.chmod(0o755)
    platform.found.exports(nothing=1)
    stack.monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    stack.monkeypatch.delenv("HELIOSTAT_ENGINE")
    ran = stack("status", "-s", "dev")
    assert ran.code == 0, ran.out + ran.err
    assert "2 nodes" in ran.out


def test_since_when_a_version_serves_is_said_by_the_rollout_that_brought_it_and_by_no_other():
    before = rollout(number=6, from_version=None, to_version=version(1).label, phase="succeeded", ended_at=100.0, events=())
    failed = rollout(number=7, phase="failed", ended_at=200.0, events=())
    found = application(status(rollout=failed, serving=version(1)), None, (failed, before))
    assert [(one.label, one.since) for one in found.versions] == [(version(1).label, 100.0)]
    others = (
        rollout(number=5, phase="succeeded", ended_at=50.0, events=()),
        rollout(number=4, to_version=version(1).label, phase="failed"),
    )
    forgotten = application(status(rollout=failed, serving=version(1)), None, (failed, *others))
    assert forgotten.versions[0].since is None


def test_an_application_between_two_versions_is_no_failure():
    gap = application(status(rollout=rollout(phase="starting", candidate_weight=0.0), serving=None), None, ())
    assert gap.is_well
    assert [one.role for one in gap.versions] == ["candidate"]


CELLS = (
    "a-name-of-an-application",
    "down",
    "http://127.0.0.1:28623/with/a/long/path",
    "no answer within 5 s, and nothing else",
)


def shown_at(width, row=CELLS):
    columns = (Column("PART", whole=True), Column("HEALTH", whole=True), Column("ADDRESS"), Column("DETAIL"))
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(drawn(columns, [row], width))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [20, 30, 40, 60, 70, 80, 100, 140])
def test_the_table_fits_every_terminal_and_no_letter_is_lost(width):
    text = shown_at(width)
    assert max(map(len, text.splitlines())) <= width
    lost = Counter("".join(CELLS).replace(" ", "")) - Counter("".join(text.split()))
    assert not lost


def test_where_columns_would_be_too_narrow_a_row_is_a_paragraph_and_elsewhere_a_line():
    assert shown_at(140).splitlines()[0].split() == ["PART", "HEALTH", "ADDRESS", "DETAIL"]
    assert CELLS[2] in "".join(shown_at(60).split())
    assert shown_at(60).splitlines()[1].strip() == "health down"
    short = ("store", "ok", "http://x", "")
    assert shown_at(40, short).splitlines()[1].split() == ["store", "ok", "http://x"]


def test_the_advice_names_all_that_is_down_once():
    parts = (PartHealth("ray", "", Health.DOWN), PartHealth("mlflow", "", Health.DOWN), PartHealth("store", "", Health.OK))
    assert PlatformStatus("dev", "dev", parts).advice[0].startswith("ray and mlflow do not answer")
    assert PlatformStatus("dev", "dev", parts[2:], ()).advice == ()
