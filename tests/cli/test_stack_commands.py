import json

import pytest

from heliostat.engine.state.backend import Backend, Checkpoints, StackRef
from heliostat.engine.state.secrets import Keyring
from heliostat.engine.state.snapshot import OperationType, PendingOperation, Resource, Secret, Snapshot

ROOT = "urn:pulumi:dev::demo::pulumi:pulumi:Stack::demo-dev"
CHILD = "urn:pulumi:dev::demo::t:i:Box$t:i:Thing::child"
BOX = "urn:pulumi:dev::demo::t:i:Box::box"


@pytest.fixture
def deployed(stack):
    """A stack with a box, a thing in it, outputs and a pending operation."""
    backend, ref = Backend.open(f"file://{stack.state}"), StackRef("demo", "dev")
    document = backend.read(ref)
    crypter = Keyring({"PULUMI_CONFIG_PASSPHRASE": "pass"}).of(document.salt)
    root = Resource(ROOT, "pulumi:pulumi:Stack", custom=False, outputs={"url": "http://x", "n": 3, "token": Secret("geheim")})
    box = Resource(BOX, "t:i:Box", custom=False, parent=ROOT)
    child = Resource(CHILD, "t:i:Thing", custom=True, id="child-1", parent=BOX, extra={"taint": True})
    pending = PendingOperation(Resource(CHILD, "t:i:Thing", custom=True), OperationType.UPDATING)
    Checkpoints(backend, ref, crypter, document).save(Snapshot([root, box, child], [pending]))
    return stack


def test_a_new_stack_is_selected_listed_and_cannot_be_made_twice(stack):
    assert "dev*" in stack.ok("stack", "ls")
    assert json.loads(stack.ok("stack", "ls", "--json")) == [{"name": "dev", "current": True, "resourceCount": 0}]
    assert stack.config.read_text().startswith("encryptionsalt: v1:")
    again = stack("stack", "init", "dev")
    assert again.code == 1
    assert "already exists" in again.err


def test_a_stack_with_the_name_of_a_branch_s_environment_is_not_made(desk):
    for command in (("stack", "init", "env-prod"), ("stack", "select", "--create", "env-prod")):
        told = desk(*command)
        assert told.code != 0 and "choose another name" in told.err
    assert not list(desk.state.rglob("env-prod*"))


def test_a_stack_may_be_made_without_selecting_it_and_selected_later(desk):
    desk.ok("stack", "init", "dev", "--no-select")
    assert desk("stack").code == 6
    desk.ok("stack", "select", "dev")
    assert desk.ok("stack", "--show-name") == "dev\n"
    desk.ok("stack", "select", "--create", "other")
    assert desk.ok("stack", "--show-name") == "other\n"
    assert desk("stack", "select", "nowhere").code == 6


def test_the_variable_names_the_stack_where_the_option_does_not(stack):
    stack.ok("stack", "init", "other", "--no-select")
    stack.monkeypatch.setenv("PULUMI_STACK", "other")
    assert stack.ok("stack", "--show-name") == "other\n"
    assert stack.ok("stack", "--show-name", "-s", "dev") == "dev\n"


def test_a_committed_salt_is_used_and_its_file_is_left_alone(desk):
    desk.ok("stack", "init", "dev")
    text = desk.config.read_text() + "# mine\n"
    desk.ok("stack", "rm", "dev", "--yes")
    desk.config.write_text(text)
    desk.ok("stack", "init", "dev")
    assert desk.config.read_text() == text


def test_without_a_passphrase_a_stack_is_not_made(desk):
    desk.monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    ran = desk("stack", "init", "dev")
    assert ran.code == 1
    assert "PULUMI_CONFIG_PASSPHRASE" in ran.err
    assert not desk.config.exists()
    assert "dev" not in desk.ok("stack", "ls")


def test_a_stack_shows_its_tree_and_hides_its_secrets(deployed):
    shown = deployed.ok("stack", "-i")
    assert "└─ t:i:Box" in shown
    assert "   └─ t:i:Thing" in shown
    assert "ID: child-1" in shown
    assert "[secret]" in shown
    assert "geheim" not in shown
    assert "No updates yet" in shown


def test_outputs_are_data_on_standard_output_in_each_form(deployed):
    assert deployed.ok("stack", "output", "url") == "http://x\n"
    assert json.loads(deployed.ok("stack", "output", "--json")) == {"url": "http://x", "n": 3, "token": "[secret]"}
    assert json.loads(deployed.ok("stack", "output", "-j", "n")) == 3
    assert deployed.ok("stack", "output", "--shell").splitlines() == ["n=3", "token='[secret]'", "url=http://x"]
    assert deployed.ok("stack", "output", "token", "--show-secrets") == "geheim\n"


def test_outputs_need_no_passphrase_unless_secrets_are_to_be_shown(deployed):
    deployed.monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    assert deployed.ok("stack", "output", "token") == "[secret]\n"
    assert deployed("stack", "output", "token", "--show-secrets").code == 1
    deployed.monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "wrong")
    ran = deployed("stack", "output", "token", "--show-secrets")
    assert "incorrect passphrase" in ran.err
    assert ran.out == ""


def test_a_missing_output_names_those_that_there_are(deployed):
    ran = deployed("stack", "output", "nope")
    assert ran.code == 6
    assert "n, token, url" in ran.err
    assert ran.out == ""


def test_what_is_exported_can_be_imported_and_loses_nothing_but_pending_operations(deployed, tmp_path):
    file = tmp_path / "exported.json"
    deployed.ok("stack", "export", "--file", str(file))
    before = json.loads(file.read_text())
    assert before["version"] == 3
    ran = deployed("stack", "import", "--file", str(file))
    assert ran.code == 0
    assert "removing pending operation 'updating'" in ran.err
    after = json.loads(deployed.ok("stack", "export"))
    assert after["deployment"]["resources"] == before["deployment"]["resources"]
    assert "pending_operations" not in after["deployment"]


def test_an_export_in_plain_text_is_encrypted_again_by_the_import(deployed, tmp_path):
    file = tmp_path / "plain.json"
    file.write_text(deployed.ok("stack", "export", "--show-secrets"))
    assert '"plaintext": "\\"geheim\\""' in file.read_text()
    assert '"taint": true' in file.read_text()
    deployed.ok("stack", "import", "--file", str(file))
    assert "geheim" not in deployed.ok("stack", "export")
    assert deployed.ok("stack", "output", "token", "--show-secrets") == "geheim\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is no exported deployment"),
        ("{}", "'version' is missing"),
        ('{"version": 9, "deployment": {}}', "version 9"),
        ('{"version":3,"deployment":{"resources":[{"urn":"urn:pulumi:prod::demo::t::a","type":"t"}]}}', "--force"),
    ],
)
def test_an_import_that_cannot_be_right_is_refused_and_changes_nothing(deployed, tmp_path, text, told):
    before = deployed.ok("stack", "export")
    file = tmp_path / "x.json"
    file.write_text(text)
    ran = deployed("stack", "import", "--file", str(file))
    assert ran.code == 1
    assert told in ran.err
    assert deployed.ok("stack", "export") == before


def test_a_stack_with_resources_is_not_removed_without_force_nor_any_without_a_yes(deployed):
    assert "3 resources" in deployed("stack", "rm", "dev", "--yes").err
    assert deployed("stack", "rm", "dev", "--force").code == 2
    deployed.ok("stack", "rm", "dev", "--yes", "--force")
    assert not deployed.config.exists()
    assert deployed("stack").code == 6


def test_a_damaged_state_file_is_told_with_its_backup_and_left_alone(deployed):
    file = deployed.state / ".pulumi/stacks/demo/dev.json"
    file.write_text(file.read_text()[:-40])
    damaged = file.read_text()
    for command in (["stack", "export"], ["up", "--yes"], ["destroy", "--yes"], ["config", "set", "a", "1"]):
        ran = deployed(*command)
        assert ran.code == 1
        assert "dev.json is damaged" in ran.err
        assert "dev.json.bak" in ran.err
    assert file.read_text() == damaged


def test_outside_of_a_project_a_stack_may_be_named_in_full(deployed, tmp_path):
    deployed.monkeypatch.chdir(tmp_path)
    assert deployed.ok("stack", "output", "url", "-s", "organization/demo/dev") == "http://x\n"
    assert "no project for the stack" in deployed("stack", "output", "-s", "dev").err
    assert deployed.ok("stack", "output", "url", "-s", "dev", "-C", str(deployed.folder)) == "http://x\n"


def test_cancel_clears_the_locks_and_names_them(stack):
    folder = stack.state / ".pulumi/locks/organization/demo/dev"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "x.json").write_text('{"pid":1,"username":"eve","hostname":"elsewhere","timestamp":"2026-01-01T00:00:00Z"}')
    assert "eve@elsewhere (pid 1) since 2026" in stack("up", "--yes").err
    ran = stack("cancel", "--yes")
    assert "eve@elsewhere" in ran.err
    assert "has been canceled" in ran.out
    assert not list(folder.iterdir())
    assert "was not locked" in stack.ok("cancel", "--yes")
