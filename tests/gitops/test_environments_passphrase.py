"""Environments whose passphrase is missing, or another one: nothing half made, and nothing stays for good."""

from __future__ import annotations

from pathlib import Path

import pytest
from environments_world import DAY, EnvironmentsWorld

from heliostat.engine.stackerrors import PassphraseError
from heliostat.engine.state.backend import StackRef
from heliostat.engine.state.secrets import Crypter
from heliostat.spec.branch_environments import environment_name

NAME = environment_name("a")


@pytest.fixture
def world(tmp_path: Path) -> EnvironmentsWorld:
    made = EnvironmentsWorld(tmp_path)
    made.template.write_text(f"encryptionsalt: {Crypter.new('pass').salt}\n{made.template.read_text()}")
    return made


@pytest.mark.parametrize("passphrase", [None, "another"])
def test_none_is_made_without_the_template_s_passphrase_and_the_error_says_whose_is_meant(world, passphrase):
    world.passphrase = passphrase
    with pytest.raises(
        PassphraseError, match=r"template, the stack config 'preview': have it in HELIOSTAT_PASSPHRASE_PREVIEW"
    ):
        world.environments.up("a", "", [])
    assert not world.stacks() and not world.environments.records.all() and not world.commands.ups


@pytest.mark.parametrize("passphrase", [None, "another"])
def test_one_without_resources_goes_without_its_passphrase(world, passphrase):
    record = world.environments.up("a", "", [])
    world.commands.destroy(NAME, world.template)  # or `up` failed before it made any
    world.passphrase, world.commands.fails = passphrase, 1
    world.environments.down(record)
    assert not world.stacks() and not world.environments.records.all()
    assert world.commands.fails == 1, "nothing was left to destroy"


def test_what_an_update_was_cut_off_at_counts_as_a_resource(world):
    record = world.environments.up("a", "", [])
    ref = StackRef("demo", NAME)
    text = world.backend.bucket.read(ref.file).decode().replace('"resources":', '"pending_operations": [{}], "none":')
    world.backend.write(ref, text.encode())
    world.passphrase = None
    with pytest.raises(PassphraseError):
        world.environments.down(record)


def test_one_with_resources_stays_as_it_was_and_says_what_is_missing(world):
    record = world.environments.up("a", "", [])
    world.passphrase = "another"
    with pytest.raises(PassphraseError, match=rf"HELIOSTAT_PASSPHRASE_PREVIEW[\s\S]*{NAME} stays, with its 1 resource"):
        world.environments.down(record)
    (kept,) = world.environments.records.all()
    assert not kept.leaving, "a push brings it to the next commit, and need not make it anew"
    world.passphrase = "pass"
    world.environments.down(record)
    assert not world.stacks()


def test_a_sweep_goes_on_with_the_others(world):
    world.environments.up("a", "", [])
    world.environments.up("b", "", [])
    other = environment_name("b")
    world.commands.destroy(other, world.template)
    world.passphrase = None
    world.now += 4 * DAY
    failures = {each.name: each.failure for each in world.environments.sweep(None, only_tell=False)}
    assert failures[other] == "" and "HELIOSTAT_PASSPHRASE_PREVIEW" in failures[NAME]
    assert world.stacks() == {NAME}
