"""`up` and its like with an engine that plays a part; the real one is tested where it is."""

import asyncio
import json
import os
import signal

import pytest

from heliostat.cli import operate
from heliostat.cli.display.board import Board
from heliostat.engine.errors import EngineError
from heliostat.engine.events import Diagnostic, GoingOn, Op, Outputs, StepFailed, StepLeft, StepStarted, StepSucceeded, Summary
from heliostat.engine.protocol import launching
from heliostat.engine.state.snapshot import OperationType, PendingOperation, Resource, Secret, Snapshot

ROOT = "urn:pulumi:dev::demo::pulumi:pulumi:Stack::demo-dev"
THING = "urn:pulumi:dev::demo::t:i:Thing::a"


class Engine:
    """Makes one resource of each update, and keeps what it was called with."""

    def __init__(self):
        self.calls = []
        self.succeeds = True
        self.raises = None
        self.going = ()
        self.changes = {Op.CREATE: 1}
        self.pending = []

    async def run(self, kind, target, options, sink, snapshots, stacks, cancel):
        self.calls.append((kind, target, options, snapshots))
        if self.raises:
            raise self.raises
        sink(StepStarted(THING, Op.CREATE))
        if snapshots is not None and self.going:
            sink(StepLeft(THING, Op.CREATE, 60.0, self.going[0].message))
            return Summary(False, {}, 60.0, cancel.is_set(), self.going, not self.succeeds)
        if snapshots is not None:
            root = Resource(ROOT, "pulumi:pulumi:Stack", custom=False, outputs={"token": Secret("geheim")})
            left = [] if kind == "destroy" and not options.targets else [root]
            await asyncio.to_thread(snapshots.save, Snapshot(left, self.pending))
            sink(StepSucceeded(THING, Op.CREATE, 0.1))
        if not self.succeeds:
            sink(Diagnostic("error", "it failed", THING))
        sink(Outputs({}, {"token": Secret("geheim")}))
        return Summary(self.succeeds, self.changes, 0.1, cancel.is_set())

    @property
    def kinds(self):
        return [call[0] for call in self.calls]


@pytest.fixture
def engine(monkeypatch):
    made = Engine()
    monkeypatch.setattr(operate, "run", made.run)
    return made


def test_up_previews_acts_and_remembers(stack, engine):
    out = stack.ok("up", "--yes", "-m", "first")
    assert engine.kinds == ["preview", "update"]
    assert engine.calls[0][3] is None
    assert "Previewing update (dev):" in out
    assert "Updating (dev):" in out
    assert "geheim" not in out
    (entry,) = json.loads(stack.ok("stack", "history", "--json"))
    assert (entry["kind"], entry["result"], entry["message"]) == ("update", "succeeded", "first")
    assert entry["resourceChanges"] == {"create": 1}
    assert "Last operation: update succeeded (1 create)" in stack.ok("stack")
    assert not list((stack.state / ".pulumi/locks/organization/demo/dev").iterdir())
    assert len(list((stack.state / ".pulumi/backups/demo/dev").iterdir())) == 1


def test_a_preview_takes_no_lock_and_leaves_no_trace(stack, engine):
    (stack.state / ".pulumi/locks/organization/demo/dev/x.json").write_text(
        '{"pid":1,"username":"eve","hostname":"elsewhere","timestamp":"2026-01-01T00:00:00Z"}'
    )
    before = stack.ok("stack", "export")
    stack.ok("preview")
    assert engine.kinds == ["preview"]
    assert stack.ok("stack", "export") == before
    assert json.loads(stack.ok("stack", "history", "--json")) == []


def test_without_a_yes_nothing_happens_where_nobody_can_be_asked(stack, engine):
    for command in ("up", "refresh", "destroy"):
        ran = stack(command)
        assert ran.code == 2
        assert "--yes" in ran.err
    assert engine.calls == []
    stack.monkeypatch.setenv("PULUMI_SKIP_CONFIRMATIONS", "true")
    stack.ok("up", "--skip-preview")
    assert engine.kinds == ["update"]


@pytest.mark.parametrize(
    ("answers", "code", "kinds"),
    [
        (["yes"], 0, ["preview", "update"]),
        (["no"], 1, ["preview"]),
        (["details", "yes"], 0, ["preview", "update"]),
    ],
)
def test_at_a_terminal_the_preview_is_followed_by_a_question(stack, engine, monkeypatch, answers, code, kinds):
    monkeypatch.setattr(operate, "is_interactive", lambda: True)
    monkeypatch.setattr(operate.click, "prompt", lambda *_, **__: answers.pop(0))
    ran = stack("up")
    assert ran.code == code
    assert engine.kinds == kinds
    assert answers == []


def test_refresh_and_destroy_preview_themselves_and_can_stop_there(stack, engine):
    stack.ok("destroy", "--yes")
    assert [(kind, options.preview_only) for kind, _, options, _ in engine.calls] == [("destroy", True), ("destroy", False)]
    engine.calls.clear()
    stack.ok("refresh", "--preview-only")
    assert [(kind, options.preview_only, sink) for kind, _, options, sink in engine.calls] == [("refresh", True, None)]


def test_destroy_can_remove_the_stack_as_well(stack, engine):
    stack.ok("destroy", "--yes", "--remove")
    assert stack("stack").code == 6
    assert not stack.config.exists()


def test_a_stack_that_still_has_resources_after_a_destroy_is_not_removed(stack, engine):
    stack.ok("up", "--yes")
    ran = stack("destroy", "--yes", "--remove", "--target", THING)
    assert ran.code == 1
    assert "'dev' still has 1 resources; removal rejected" in ran.err
    assert stack.config.exists()
    stack.ok("stack")


def protected_state(stack, *names):
    """A state in which `a` needs nothing, `b` needs `a`, `c` needs `b`, and those of `names` are protected."""
    root = {"urn": ROOT, "type": "pulumi:pulumi:Stack"}
    urns = {name: f"urn:pulumi:dev::demo::t:i:Thing::{name}" for name in "abc"}
    needs = {"a": [], "b": [urns["a"]], "c": [urns["b"]]}
    things = [
        {"urn": urn, "type": "t:i:Thing", "dependencies": needs[name], "parent": ROOT, "protect": name in names}
        for name, urn in urns.items()
    ]
    file = stack.folder / "state.json"
    file.write_text(json.dumps({"version": 3, "deployment": {"resources": [root, *things]}}))
    stack.ok("stack", "import", "--file", str(file))
    return urns


def test_what_is_protected_and_what_it_needs_can_be_left_out_of_a_destroy(stack, engine):
    urns = protected_state(stack, "b")
    out = stack.ok("destroy", "--yes", "--skip-preview", "--exclude-protected", "--exclude", urns["c"])
    (_, _, options, _) = engine.calls[0]
    assert options.excludes == (urns["c"], ROOT, urns["a"], urns["b"])
    assert "All unprotected resources were destroyed. There are still 3 protected resources associated with this stack." in out


def test_where_all_is_protected_nothing_is_destroyed(stack, engine):
    protected_state(stack, "c")
    out = stack.ok("destroy", "--yes", "--exclude-protected")
    assert engine.calls == []
    assert "There were no unprotected resources to destroy." in out


def test_what_is_not_protected_is_destroyed_as_ever(stack, engine):
    protected_state(stack)
    assert "protected" not in stack.ok("destroy", "--yes", "--exclude-protected")
    assert engine.calls[0][2].excludes == ()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["up", "--yes", "-t", "a", "--exclude", "b"], "--target and --exclude"),
        (["preview", "--target-replace", "a", "-x", "b"], "--target-replace and --exclude"),
        (["destroy", "--yes", "-t", "a", "--exclude-protected"], "--target and --exclude-protected"),
        (["refresh", "--yes", "--preview-only"], "--yes and --preview-only"),
        (["destroy", "--skip-preview", "--preview-only", "-t", "a", "-x", "b"], "--target and --exclude; --skip-preview and"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(stack, engine, arguments, told):
    ran = stack(*arguments)
    assert ran.code == 2
    assert f"give one of each pair: {told}" in ran.err
    assert engine.calls == []


def test_the_options_reach_the_engine(stack, engine):
    stack.monkeypatch.setenv("PULUMI_CONTINUE_ON_ERROR", "1")
    stack.ok(
        "up",
        "--yes",
        "-f",
        "-t",
        "a",
        "--target",
        "b",
        "--target-replace",
        "c",
        "--replace",
        "d",
        "--target-dependents",
        "-p",
        "3",
        "--refresh",
        "-c",
        "x=1",
    )
    _, target, options, _ = engine.calls[0]
    assert options.targets == ("a", "b", "c")
    assert options.replace == ("d", "c")
    assert (options.target_dependents, options.parallel, options.refresh, options.continue_on_error) == (True, 3, True, True)
    assert target.config == {"demo:x": "1"}
    assert "demo:x: '1'" in stack.config.read_text()


def test_what_is_to_be_left_alone_reaches_the_engine(stack, engine):
    flags = ["--exclude", "a", "--exclude", "b", "--exclude-dependents"]
    stack.ok("up", "--yes", "--skip-preview", "--ignore-protect", *flags)
    stack.ok("preview", "-x", "a", "--ignore-protect")
    stack.ok("refresh", "--yes", "--skip-preview", "-x", "a")
    stack.ok("destroy", "--yes", "--skip-preview", "-x", "a", "--ignore-protect")
    found = [(options.excludes, options.exclude_dependents, options.ignore_protect) for _, _, options, _ in engine.calls]
    assert found == [(("a", "b"), True, True), (("a",), False, True), (("a",), False, False), (("a",), False, True)]


def test_flags_about_rollouts_reach_the_plugin_by_its_environment(stack, engine):
    stack.monkeypatch.setenv("HELIOSTAT_WAIT", "1")
    stack.ok("up", "--yes", "--detach", "--retry-refused")
    stack.ok("preview", "--retry-refused")
    stack.ok("up", "--yes", "--skip-preview")
    told = [
        tuple(target.environment.get(f"HELIOSTAT_{name}") for name in ("DETACH", "WAIT", "RETRY_REFUSED"))
        for _, target, _, _ in engine.calls
    ]
    both = ("1", "", "1")
    assert told == [both, both, (None, "1", "1"), (None, "1", None)], "preview and update, preview, update"
    assert os.environ["HELIOSTAT_WAIT"] == "1", "the command's own environment stays as it is"


def test_leaving_and_staying_at_once_is_a_usage_error(stack, engine):
    ran = stack("up", "--yes", "--detach", "--wait")
    assert ran.code == 2
    assert "--detach leaves a rollout at once and --wait stays to its end: give one of them" in ran.err
    assert engine.calls == []
    assert stack("preview", "--detach").code == 2
    assert stack("refresh", "--yes", "--wait").code == 2


def test_the_number_at_once_comes_from_the_environment_or_the_processors(stack, engine):
    stack.ok("preview")
    stack.monkeypatch.setenv("PULUMI_PARALLEL", "7")
    stack.ok("preview")
    assert [options.parallel for _, _, options, _ in engine.calls] == [4 * os.cpu_count(), 7]
    stack.monkeypatch.setenv("PULUMI_PARALLEL", "many")
    assert "'many'" in stack("preview").err


def test_a_project_that_always_refreshes_can_be_told_not_to(stack, engine):
    (stack.folder / "Pulumi.yaml").write_text("name: demo\nruntime: python\noptions: {refresh: always}\n")
    stack.ok("preview")
    stack.ok("preview", "--refresh=false")
    assert [options.refresh for _, _, options, _ in engine.calls] == [True, False]
    assert "'maybe'" in stack("preview", "--refresh=maybe").err


def test_the_program_gets_its_config_opened_and_knows_what_is_secret(stack, engine):
    stack.ok("config", "set", "--secret", "pw", "geheim")
    stack.ok("config", "set", "--path", "o.n", "1")
    stack.ok("up", "--yes", "--skip-preview")
    _, target, _, _ = engine.calls[0]
    assert target.config == {"demo:pw": "geheim", "demo:o": '{"n":1}'}
    assert target.config_secret_keys == ("demo:pw",)
    (entry,) = (stack.state / ".pulumi/history/demo/dev").glob("*.history.json")
    assert json.loads(entry.read_text())["config"]["demo:pw"].keys() == {"secure"}


def test_a_missing_config_value_stops_an_update_and_not_a_destroy(stack, engine):
    (stack.folder / "Pulumi.yaml").write_text("name: demo\nruntime: python\nconfig: {needed: {type: string}}\n")
    assert "needed: missing" in stack("up", "--yes").err
    assert engine.calls == []
    stack.ok("destroy", "--yes")


def test_a_wrong_or_missing_passphrase_stops_before_anything_is_made(stack, engine):
    stack.monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "wrong")
    ran = stack("up", "--yes")
    assert (ran.code, engine.calls) == (1, [])
    assert "incorrect passphrase" in ran.err
    stack.monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" in stack("up", "--yes").err
    assert not list((stack.state / ".pulumi/locks/organization/demo/dev").iterdir())


@pytest.mark.parametrize("flag", ["--target", "--exclude", "--target-replace"])
def test_what_is_told_to_leave_something_alone_says_so_in_the_history(stack, engine, flag):
    stack.ok("up", "--yes", "--skip-preview", flag, "urn:pulumi:dev::demo::a::b")
    stack.ok("up", "--yes", "--skip-preview", "--replace", "urn:pulumi:dev::demo::a::b")
    whole, part = [each["environment"] for each in json.loads(stack.ok("stack", "history", "--json"))]
    assert [key for key in part if key in ("heliostat.targets", "heliostat.excludes")] == [
        "heliostat.excludes" if flag == "--exclude" else "heliostat.targets"
    ]
    assert not {"heliostat.targets", "heliostat.excludes"} & whole.keys()


def test_a_failure_is_an_exit_code_a_history_entry_and_a_released_lock(stack, engine):
    engine.succeeds = False
    ran = stack("up", "--yes", "--skip-preview")
    assert ran.code == 1
    assert "error: it failed" in ran.out
    assert json.loads(stack.ok("stack", "history", "--json"))[0]["result"] == "failed"
    engine.raises = EngineError("no plugin named x")
    ran = stack("up", "--yes", "--skip-preview")
    assert (ran.code, ran.err) == (1, "error: no plugin named x\n")
    assert not list((stack.state / ".pulumi/locks/organization/demo/dev").iterdir())


def test_what_goes_on_is_named_and_is_neither_a_success_nor_a_failure(stack, engine):
    engine.going = (GoingOn(THING, "the training of a goes on as Ray job a-1", {"job": "a-1"}),)
    ran = stack("up", "--yes", "--skip-preview", "--detach")
    assert ran.code == 75
    assert ran.err == ""
    assert " + t:i:Thing a goes on by itself (1m00s)\n" in ran.out
    assert "    1 goes on\n      t:i:Thing a: the training of a goes on as Ray job a-1\n" in ran.out
    assert "What needs it is not done, and nothing is deleted yet." in ran.out
    assert "failed" not in ran.out
    assert json.loads(stack.ok("stack", "history", "--json"))[0]["result"] == "goes-on"
    assert not list((stack.state / ".pulumi/locks/organization/demo/dev").iterdir())
    document = json.loads(stack("up", "--yes", "--skip-preview", "--detach", "--json").out)
    assert document["result"] == "goes-on"
    assert document["goesOn"] == [{"urn": THING, "message": "the training of a goes on as Ray job a-1", "job": "a-1"}]
    engine.succeeds = False
    assert stack("up", "--yes", "--skip-preview", "--detach").code == 1, "what failed beside it is a failure"
    assert json.loads(stack.ok("stack", "history", "--json"))[0]["result"] == "failed"


def test_a_failing_preview_is_the_end(stack, engine):
    engine.succeeds = False
    assert stack("up", "--yes").code == 1
    assert engine.kinds == ["preview"]


def test_a_defect_is_told_in_one_line(stack, engine):
    engine.raises = KeyError("oops")
    ran = stack("up", "--yes", "--skip-preview")
    assert ran.code == 255
    assert ran.err.startswith("error: a defect of heliostat itself: KeyError: 'oops'")
    assert len(ran.err.splitlines()) == 1


def test_expecting_no_changes_fails_where_there_are_some(stack, engine):
    ran = stack("preview", "--expect-no-changes")
    assert ran.code == 7
    assert "+ 1 to create" in ran.err
    engine.changes = {Op.SAME: 4, Op.READ: 1}
    stack.ok("up", "--yes", "--expect-no-changes")


def test_json_is_one_document_for_preview_and_update(stack, engine):
    said = json.loads(stack.ok("preview", "--json"))
    assert said["steps"][0]["op"] == "create"
    assert said["changeSummary"] == {"create": 1}
    text = stack.ok("up", "--yes", "--json")
    assert json.loads(text)["outputs"] == {"token": "[secret]"}
    assert "geheim" not in text


def test_pending_creations_are_forgotten_on_demand(stack, engine):
    engine.pending = [PendingOperation(Resource(THING, "t:i:Thing", custom=True), OperationType.CREATING)]
    stack.ok("up", "--yes", "--skip-preview")
    assert json.loads(stack.ok("stack", "export"))["deployment"]["pending_operations"]
    engine.pending = []
    stack.ok("refresh", "--yes", "--skip-preview", "--clear-pending-creates")
    assert engine.calls[-1][1].previous.pending_operations == []
    assert "pending_operations" not in json.loads(stack.ok("stack", "export"))["deployment"]


def test_a_state_without_a_salt_in_the_config_file_keeps_its_own(stack, engine):
    salt = stack.config.read_text()
    stack.config.unlink()
    stack.ok("up", "--yes", "--skip-preview")
    assert stack.config.read_text() == salt


def test_a_wrong_passphrase_fails_before_anything_is_previewed(stack):
    stack.monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "wrong")
    ran = stack("preview")
    assert ran.code == 1
    assert "incorrect passphrase" in ran.err
    assert ran.out == ""


def test_the_program_is_told_which_config_file_is_in_use(stack, engine):
    stack.ok("preview")
    assert engine.calls[-1][1].environment["HELIOSTAT_CONFIG_FILE"] == str(stack.config)
    other = stack.folder / "other.yaml"
    other.write_text(stack.config.read_text())
    stack.ok("preview", "--config-file", "other.yaml")
    assert engine.calls[-1][1].environment["HELIOSTAT_CONFIG_FILE"] == str(other)


def test_the_history_has_the_config_of_then_and_a_version(stack, engine):
    stack.ok("config", "set", "--secret", "token", "geheim")
    stack.ok("config", "set", "--path", "o.list[0]", "1")
    stack.ok("up", "--yes", "--skip-preview")
    stack.ok("config", "set", "a", "2")
    stack.ok("up", "--yes", "--skip-preview")
    said = stack.ok("stack", "history", "--json")
    assert "geheim" not in said
    newest, oldest = json.loads(said)
    assert list(newest)[:6] == ["version", "kind", "startTime", "message", "environment", "config"]
    assert oldest["version"] == 0
    assert oldest["config"] == {
        "demo:token": {"secret": True},
        "demo:o": {"value": '{"list":[1]}', "objectValue": {"list": [1]}, "secret": False},
    }
    assert newest["config"]["demo:a"] == {"value": "2", "secret": False}
    opened = json.loads(stack.ok("stack", "history", "--json", "--show-secrets", "--page-size", "1", "--page", "2"))
    assert [entry["config"]["demo:token"] for entry in opened] == [{"value": "geheim", "secret": True}]


def test_what_failed_is_not_counted_as_done(stack, engine):
    engine.succeeds, engine.changes = False, {}
    out = stack("up", "--yes", "--skip-preview").out
    assert "+ 1 created" in out, "the one that went well"
    board = Board(preview=False)
    board.apply(StepStarted(THING, Op.DELETE))
    board.apply(StepFailed(THING, Op.DELETE, 0.1, "no"))
    assert board.counts() == {}


def test_what_was_started_for_an_operation_that_does_not_begin_ends(stack, monkeypatch):
    stack.ok("config", "set", "--secret", "key", "geheim")
    started, start = [], launching.start
    monkeypatch.setattr(launching, "start", lambda *how: started.append(start(*how)) or started[-1])
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "wrong")
    assert "incorrect passphrase" in stack("preview").err
    assert [process.returncode for process in started] == [-signal.SIGKILL]
