import json

import pytest

from heliostat.engine.errors import EngineError
from heliostat.engine.stackerrors import NotFoundError, StackError
from heliostat.engine.state import history
from heliostat.engine.state.backend import Backend, Checkpoints, StackOutputs, StackRef, backend_url
from heliostat.engine.state.history import Entry
from heliostat.engine.state.secrets import Keyring
from heliostat.engine.state.snapshot import Resource, Secret, Snapshot
from heliostat.engine.state.unreadable import complaint

REF = StackRef("p", "dev")
ROOT = "urn:pulumi:dev::p::pulumi:pulumi:Stack::p-dev"


@pytest.fixture(scope="module")
def keyring():
    return Keyring({"PULUMI_CONFIG_PASSPHRASE": "pass"})


@pytest.fixture(scope="module")
def crypter(keyring):
    return keyring.new()


@pytest.fixture
def backend(tmp_path, crypter):
    made = Backend.open(f"file://{tmp_path}")
    made.create(REF, crypter)
    return made


def snapshot(**outputs):
    return Snapshot([Resource(ROOT, "pulumi:pulumi:Stack", custom=False, outputs=outputs)])


def test_a_new_stack_lies_where_the_cli_looks_for_it(backend, tmp_path):
    assert (tmp_path / ".pulumi/meta.yaml").read_text() == "version: 1\n"
    said = json.loads((tmp_path / ".pulumi/stacks/p/dev.json").read_text())
    assert said["version"] == 3
    assert said["checkpoint"]["stack"] == "organization/p/dev"
    assert said["checkpoint"]["latest"]["secrets_providers"]["type"] == "passphrase"
    assert backend.stacks("p") == [REF]
    assert backend.stacks("q") == []
    with pytest.raises(StackError, match="already exists"):
        backend.create(REF, None)


def test_saving_the_same_again_writes_nothing_and_a_change_leaves_a_backup(backend, crypter, tmp_path, monkeypatch):
    sink = Checkpoints(backend, REF, crypter, backend.read(REF))
    sink.begin(Snapshot())
    sink.save(snapshot(a=Secret(1)))
    file = tmp_path / ".pulumi/stacks/p/dev.json"
    first = file.read_bytes()
    sink.save(snapshot(a=Secret(1)))
    assert file.read_bytes() == first
    sink.save(snapshot(a=2))
    assert file.read_bytes() != first
    assert file.with_suffix(".json.bak").read_bytes() == first


def test_a_new_salt_makes_the_first_save_write_everything_anew(backend, keyring, tmp_path):
    before = backend.read(REF)
    sink = Checkpoints(backend, REF, keyring.new(), before)
    sink.begin(Snapshot())
    sink.save(Snapshot())
    assert backend.read(REF).salt != before.salt


def test_another_stacks_outputs_are_read_with_their_secrets_wrapped(backend, crypter, keyring):
    Checkpoints(backend, REF, crypter, backend.read(REF)).save(snapshot(url="x", token=Secret("t")))
    reader = StackOutputs(backend, "p", keyring)
    for name in ("dev", "p/dev", "organization/p/dev"):
        assert reader.outputs(name) == {"url": "x", "token": Secret("t")}
    with pytest.raises(EngineError, match="no stack named 'prod'"):
        reader.outputs("prod")
    with pytest.raises(EngineError, match="organization 'acme'"):
        reader.outputs("acme/p/dev")


def test_of_a_stack_with_another_passphrase_all_but_the_secrets_is_read(backend, crypter):
    shown = {"url": "x", "token": Secret("t"), "deep": {"user": "u", "key": [Secret("k")]}}
    Checkpoints(backend, REF, crypter, backend.read(REF)).save(snapshot(**shown))
    for environment in ({"PULUMI_CONFIG_PASSPHRASE": "another"}, {}):
        found = StackOutputs(backend, "p", Keyring(environment)).outputs("dev")
        assert (found["url"], found["deep"]["user"]) == ("x", "u")
        for value, name in ((found["token"], "token"), (found["deep"]["key"][0], "deep.key[0]")):
            assert isinstance(value, Secret)
            assert f"the output '{name}' of stack 'organization/p/dev' is secret" in complaint(value)
            assert "this stack" not in complaint(value)


def test_a_missing_stack_names_the_commands_that_help(backend):
    with pytest.raises(NotFoundError, match=r"stack init prod.*stack ls"):
        backend.read(StackRef("p", "prod"))


def test_compressed_state_is_refused_rather_than_taken_for_absent(backend, tmp_path):
    (tmp_path / ".pulumi/stacks/p/zipped.json.gz").write_bytes(b"x")
    with pytest.raises(StackError, match="compressed"):
        backend.read(StackRef("p", "zipped"))
    with pytest.raises(StackError, match="compressed"):
        backend.create(StackRef("p", "zipped"), None)


@pytest.mark.parametrize("meta", ["version: 0\n", "version: 2\n", ""])
def test_another_layout_is_refused(tmp_path, meta):
    (tmp_path / ".pulumi").mkdir()
    (tmp_path / ".pulumi/meta.yaml").write_text(meta)
    with pytest.raises(StackError, match="version: 1"):
        Backend.open(f"file://{tmp_path}")


def test_stacks_of_the_old_layout_are_not_mixed_with_new_ones(tmp_path):
    (tmp_path / ".pulumi/stacks").mkdir(parents=True)
    (tmp_path / ".pulumi/stacks/dev.json").write_text("{}")
    with pytest.raises(StackError, match="pulumi state upgrade"):
        Backend.open(f"file://{tmp_path}")


def test_a_removed_stack_leaves_its_backup_and_no_history(backend, tmp_path):
    history.add(backend, REF, Entry("update", 1, 2, "succeeded", {"create": 1}))
    backend.remove(REF)
    assert not backend.exists(REF)
    assert (tmp_path / ".pulumi/stacks/p/dev.json.bak").exists()
    assert history.entries(backend, REF) == []


def test_history_tells_the_latest_first_and_keeps_each_checkpoint(backend, tmp_path):
    for number in (1, 2):
        history.add(backend, REF, Entry("update", number, number + 1, "succeeded", {"same": number}, f"change {number}"))
    found = history.entries(backend, REF)
    assert [entry.message for entry in found] == ["change 2", "change 1"]
    assert found[0].changes == {"same": 2}
    assert history.entries(backend, REF, limit=1) == found[:1]
    files = sorted(p.name.split(".", 1)[1] for p in (tmp_path / ".pulumi/history/p/dev").iterdir())
    assert files == ["checkpoint.json", "checkpoint.json", "history.json", "history.json"]


def test_what_begins_is_in_the_history_and_its_end_takes_that_place(backend, tmp_path):
    key = history.begin(backend, REF, Entry("update", 1, 9, "succeeded", {}, "one"))
    (open_,) = history.entries(backend, REF)
    assert (open_.result, open_.end_time, open_.is_open, open_.was_killed) == ("in-progress", 1, True, False)
    history.add(backend, REF, Entry("update", 1, 9, "succeeded", {"create": 1}, "one"), key)
    (ended,) = history.entries(backend, REF)
    assert ended == Entry("update", 1, 9, "succeeded", {"create": 1}, "one")
    assert history.close_killed(backend, REF, 20.0) == []


def test_what_did_not_end_is_found_to_be_killed_once_also_behind_what_another_engine_did(backend):
    told = history.told("ada", targets=["urn:a"])
    key = history.begin(backend, REF, Entry("update", 1, 9, "succeeded", {}, "one", told))
    history.add(backend, REF, Entry("update", 3, 4, "succeeded", {}, "by the official CLI"))
    (killed,) = history.close_killed(backend, REF, 20.5)
    assert (killed.result, killed.end_time, killed.was_killed, killed.by) == ("failed", 20, True, "ada")
    assert killed.is_partial and history.entries(backend, REF)[1] == killed
    assert history.close_killed(backend, REF, 30.0) == []
    history.add(backend, REF, Entry("update", 1, 40, "succeeded", {}, "one", told), key)
    assert history.entries(backend, REF)[1].result == "succeeded", "it went on all the same"


def test_an_operation_is_one_of_all_resources_unless_it_was_told_otherwise():
    said = [history.told("ada"), history.told("ada", ["a"]), history.told("ada", excludes=["a", "b"])]
    assert [Entry("update", 1, 2, "succeeded", {}, "", each).is_partial for each in said] == [False, True, True]
    assert said[2] == {"heliostat.by": "ada", "heliostat.excludes": '["a", "b"]'}


def test_a_damaged_history_entry_is_named(backend, tmp_path):
    history.add(backend, REF, Entry("update", 1, 2, "succeeded", {}))
    (file,) = (tmp_path / ".pulumi/history/p/dev").glob("*.history.json")
    file.write_text("{")
    with pytest.raises(StackError, match=file.name):
        history.entries(backend, REF)


def test_the_state_is_where_environment_project_or_login_say(tmp_path):
    assert backend_url({"PULUMI_BACKEND_URL": "file:///a"}, "file:///b", tmp_path) == "file:///a"
    assert backend_url({}, "file:///b", tmp_path) == "file:///b"
    assert backend_url({}, "", tmp_path) == "file://~"
    (tmp_path / "credentials.json").write_text('{"current": "s3://bucket"}')
    assert backend_url({}, "", tmp_path) == "s3://bucket"


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b/c/d", "o//d", "x" * 101])
def test_what_is_no_stack_name_is_refused(name):
    with pytest.raises(StackError):
        StackRef.parse(name, "p")
