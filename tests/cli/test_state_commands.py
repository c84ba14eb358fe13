"""`heliostat state`: what is printed, what is written, and what is left as it was."""

import json

import pytest

from heliostat.engine.state.backend import Backend, Checkpoints, StackRef
from heliostat.engine.state.secrets import Keyring
from heliostat.engine.state.snapshot import Resource, Secret, Snapshot

ROOT = "urn:pulumi:dev::demo::pulumi:pulumi:Stack::demo-dev"
PROVIDER = "urn:pulumi:dev::demo::pulumi:providers:t::default"
KEYRING = Keyring({"PULUMI_CONFIG_PASSPHRASE": "pass"})


def urn(name, stack="dev"):
    return f"urn:pulumi:{stack}::demo::t:i:Thing::{name}"


@pytest.fixture
def state(stack):
    """The stack `dev` with the resources `a` and, needing it, `b`."""
    backend, ref = Backend.open(f"file://{stack.state}"), StackRef("demo", "dev")
    document = backend.read(ref)
    resources = [
        Resource(ROOT, "pulumi:pulumi:Stack", custom=False),
        Resource(PROVIDER, "pulumi:providers:t", custom=True, id="1", parent=ROOT),
    ]
    for name, needs in (("a", []), ("b", ["a"])):
        inputs = {"pw": Secret(f"geheim-{name}")}
        more = {"inputs": inputs, "parent": ROOT, "provider": f"{PROVIDER}::1", "dependencies": [urn(one) for one in needs]}
        resources.append(Resource(urn(name), "t:i:Thing", custom=True, id=name, **more))
    Checkpoints(backend, ref, KEYRING.of(document.salt), document).save(Snapshot(resources, []))
    return stack


def there(desk, stack="dev"):
    found = json.loads(desk.ok("stack", "export", "-s", stack))["deployment"].get("resources") or []
    return {one["urn"].rsplit("::", 1)[1]: one for one in found}


def test_a_resource_is_forgotten_and_the_state_before_is_kept(state):
    ran = state("state", "delete", urn("a"))
    assert ran.code == 1
    assert "can't be safely deleted because the following resources depend on it:\n * 'b'" in ran.err
    assert state.ok("state", "delete", urn("b")) == "Resource deleted\n"
    assert "b" not in there(state)
    assert (state.state / ".pulumi/stacks/demo/dev.json.bak").read_text().count("t:i:Thing::b") > 0
    assert state.ok("state", "delete", "--all", "--yes") == "Resources deleted\n"
    assert there(state) == {}


def test_two_go_at_once_and_what_is_not_there_changes_nothing(state):
    before = there(state)
    assert state("state", "delete", urn("b"), urn("x")).code == 6
    assert there(state) == before
    assert state.ok("state", "rm", urn("a"), urn("b"), "-y") == "2 resources deleted\n"


def test_a_resource_is_protected_unprotected_and_renamed(state):
    assert state.ok("state", "protect", urn("a"), urn("b")) == "2 resources protected\n"
    assert there(state)["a"]["protect"] is True
    assert "protected" in state("state", "delete", urn("b")).err
    assert state.ok("state", "unprotect", "--all") == "All resources unprotected\n"
    assert "protect" not in there(state)["a"]
    assert state.ok("state", "rename", urn("a"), "new", "--yes") == "Resource renamed\n"
    assert there(state)["b"]["dependencies"] == [urn("new")]
    assert "geheim" not in (state.state / ".pulumi/stacks/demo/dev.json").read_text()


def test_a_state_that_is_in_order_is_not_touched_and_one_that_is_not_is_repaired(state):
    file = state.state / ".pulumi/stacks/demo/dev.json"
    before = file.read_bytes()
    assert state.ok("state", "repair") == "The snapshot is already valid; skipping repair\n"
    assert file.read_bytes() == before
    whole = json.loads(before)
    resources = whole["checkpoint"]["latest"]["resources"]
    resources[2], resources[3] = resources[3], resources[2]
    file.write_text(json.dumps(whole))
    assert state.ok("state", "repair", "--yes").endswith("State repaired successfully\n")
    assert list(there(state)) == ["demo-dev", "default", "a", "b"]


def test_resources_move_to_another_stack_with_their_secrets(state):
    state.ok("stack", "init", "prod", "--no-select")
    out = state.ok("state", "move", urn("b"), "--dest", "prod", "--yes")
    assert f"  - {urn('b')}" in out
    assert out.endswith("Successfully moved resources from organization/demo/dev to organization/demo/prod\n")
    assert list(there(state)) == ["demo-dev", "default", "a"]
    moved = there(state, "prod")
    assert list(moved) == ["demo-prod", "default", "b"]
    assert moved["b"].get("dependencies", []) == []
    opened = json.loads(state.ok("stack", "export", "--show-secrets", "-s", "prod"))["deployment"]["resources"][2]
    assert opened["inputs"]["pw"]["plaintext"] == '"geheim-b"'
    assert state("state", "move", urn("a")).code == 2
    assert state("state", "move", urn("a"), "--dest", "dev").code == 2


def test_a_stack_that_is_locked_is_left_alone(state):
    lock = state.state / ".pulumi/locks/organization/demo/dev/x.json"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text('{"pid":1,"username":"eve","hostname":"elsewhere","timestamp":"2026-01-01T00:00:00Z"}')
    assert state("state", "delete", urn("b")).code == 1
    assert "b" in there(state)


@pytest.mark.parametrize(
    "arguments",
    [("delete",), ("protect",), ("delete", "--all", "x"), ("rename", "x"), ("unprotect",)],
)
def test_a_call_that_cannot_be_meant_is_told(state, arguments):
    assert state("state", *arguments).code == 2
