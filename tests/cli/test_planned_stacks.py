"""Previews of stacks that have a config and were never made."""

import pytest

from heliostat.cli import operate
from heliostat.engine.events import Summary
from heliostat.engine.state.secrets import Crypter

CONFIG = "config:\n  demo:name: World\n"


@pytest.fixture
def targets(monkeypatch):
    """What an engine that does nothing was given."""
    found = []

    async def run(kind, target, options, sink, snapshots, stacks, cancel):
        found.append(target)
        return Summary(True, {}, 0.1)

    monkeypatch.setattr(operate, "run", run)
    return found


def everything(desk):
    return {path: path.read_bytes() for path in desk.folder.parent.rglob("*") if path.is_file()}


def test_a_preview_goes_on_from_nothing_says_so_and_writes_nothing(desk, targets):
    desk.config.write_text(CONFIG)
    before = everything(desk)
    ran = desk("preview", "-s", "dev")
    assert ran.code == 0, ran.err
    assert "there is no stack dev yet: this is what its first `up` makes, after `heliostat stack init dev`" in ran.err
    assert [(target.previous.resources, target.config) for target in targets] == [([], {"demo:name": "World"})]
    assert everything(desk) == before


def test_a_stack_that_was_made_is_previewed_without_a_word(stack, targets):
    assert "there is no stack" not in stack("preview", "-s", "dev").err


def test_json_alone_is_on_standard_output(desk, targets):
    desk.config.write_text(CONFIG)
    assert desk.ok("preview", "-s", "dev", "--json").startswith("{")


@pytest.mark.parametrize("salt", [True, False])
def test_no_passphrase_is_asked_for_where_the_config_has_no_secret(desk, targets, salt):
    made = f"encryptionsalt: {Crypter.new('pass').salt}\n" if salt else ""
    desk.config.write_text(made + CONFIG)
    desk.monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    assert desk("preview", "-s", "dev").code == 0


def test_a_secret_of_the_config_needs_the_passphrase_and_is_read_with_it(desk, targets):
    crypter = Crypter.new("pass")
    config = f"encryptionsalt: {crypter.salt}\nconfig:\n  demo:token:\n    secure: {crypter.encrypt('geheim')}\n"
    desk.config.write_text(config)
    assert desk("preview", "-s", "dev").code == 0
    assert targets[0].config == {"demo:token": "geheim"}
    desk.monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    ran = desk("preview", "-s", "dev")
    assert ran.code != 0
    assert "need a passphrase: set PULUMI_CONFIG_PASSPHRASE" in ran.err
    assert len(targets) == 1


def test_a_stack_without_a_config_is_refused(desk, targets):
    ran = desk("preview", "-s", "dev")
    assert ran.code != 0
    assert "no stack named 'dev' of project 'demo'" in ran.err


def test_a_stack_that_another_place_has_is_not_planned_anew(desk, targets):
    elsewhere = desk.folder.parent / "elsewhere"
    elsewhere.mkdir()
    desk.ok("stack", "init", "dev")
    (desk.folder / "Pulumi.yaml").write_text(f"name: demo\nruntime: python\nbackend:\n  url: file://{desk.state}\n")
    desk.monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{elsewhere}")
    ran = desk("preview", "-s", "dev")
    assert ran.code != 0
    assert f"file://{desk.state} has it; unset PULUMI_BACKEND_URL to work on it" in ran.err


@pytest.mark.parametrize("arguments", [("up", "--yes"), ("refresh", "--yes"), ("destroy", "--preview-only")])
def test_whatever_else_needs_the_stack(desk, targets, arguments):
    desk.config.write_text(CONFIG)
    ran = desk(*arguments, "-s", "dev")
    assert ran.code != 0
    assert "no stack named 'dev'" in ran.err
    assert targets == []
