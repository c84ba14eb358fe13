"""A stack that an earlier release made goes over to this one, as docs/operating.md says, while clients ask it for predictions.

The tests run in this order on one clone, under one load: each begins where the one before it ended. What is gone over to is
the last commit of this repository: what is not committed is not in a clone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.upgrade import stored
from tests.upgrade.clone import ROOT, Clone, until
from tests.upgrade.load import Load

EARLIER = {"e029389": True, "cbe554c": False}
"""Where a clone begins, and whether its first `up` rolls the application out: where a version brings its library along and the
workload's code is the same, what serves stays as it is. The first is what the README's ratios compare with."""
RATE = 30
_HEALED_S = 300.0
_LOST_S = 5.0
"""What a killed replica may take along of its log: its last second, on a machine that is busy."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]


class Upgrade:
    """A clone whose stack was made by an earlier commit, and what was seen of it."""

    def __init__(self, clone: Clone, url: str, rolls_out: bool) -> None:
        self.clone, self.rolls_out = clone, rolls_out
        self.load = Load(f"{url}/predict", RATE)
        self.stored: dict[str, set[Any]] = {}
        self.services: dict[str, int] = {}
        self.version = ""
        """That the earlier release serves."""
        self.killed = 0.0
        """When a replica was, of the monotonic clock."""

    def answers(self, more: int = 2 * RATE) -> None:
        """Wait for so many more answers."""
        had = len(self.load.answered)
        until(lambda: len(self.load.answered) >= had + more, f"{more} more answers; {self.load.failures[:3]}", 120)

    @property
    def serves(self) -> str:
        """The version that answers now."""
        (found,) = self.clone.json("predict")
        return str(found["version"])


@pytest.fixture(scope="module", params=EARLIER, ids=lambda commit: f"from {commit}")
def upgrade(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgrade]:
    commit = request.param
    if subprocess.run(["git", "cat-file", "-e", f"{commit}^{{commit}}"], cwd=ROOT, capture_output=True).returncode:
        pytest.skip(f"the history does not reach back to {commit}; in a shallow clone: git fetch --unshallow")
    clone = Clone(tmp_path_factory.mktemp("upgrade"))
    left = []
    try:
        clone.at(commit)
        found = Upgrade(clone, _address(clone.run("make", "up")), EARLIER[commit])
        with found.load:
            found.answers()
            yield found
        if clone.processes():
            clone.heliostat("destroy", "--yes", "--skip-preview")
    finally:
        left = clone.remove()
    assert not left, f"processes outlived destroy: {left}"


def _address(told: str) -> str:
    (line,) = [line for line in told.splitlines() if line.startswith("flights answers at ")]
    return line.removeprefix("flights answers at ").removesuffix("/predict")


def test_the_commands_of_this_release_read_what_the_earlier_one_made(upgrade: Upgrade) -> None:
    upgrade.stored = stored.of(upgrade.clone.root, upgrade.clone.data)
    upgrade.services = upgrade.clone.services()
    (upgrade.version,) = upgrade.load.versions
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    upgrade.clone.at(commit)
    assert upgrade.clone.is_well()
    assert upgrade.serves == upgrade.version
    assert [each["number"] for each in upgrade.clone.json("history", "flights")] == [2, 1]
    for command in (("rollout", "status", "flights"), ("rollout", "list", "flights"), ("logs", "controller"), ("doctor",)):
        upgrade.clone.heliostat(*command)


def test_a_replica_that_dies_before_the_first_up_is_started_again_and_answers_alike(upgrade: Upgrade) -> None:
    before = upgrade.clone.replicas()
    victim = min(before)
    upgrade.killed = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(upgrade.clone.replicas() - before) == 1, "another replica is started", _HEALED_S)
    until(upgrade.clone.is_well, "it answers", _HEALED_S)
    upgrade.answers()
    assert set(upgrade.load.versions) == {upgrade.version}


def test_the_preview_tells_what_the_upgrade_changes_and_replaces_nothing(upgrade: Upgrade) -> None:
    told = upgrade.clone.heliostat("preview")
    assert "Controller controller update" in told
    assert ("Application flights update" in told) is upgrade.rolls_out
    assert "replace" not in told
    assert upgrade.clone.services() == upgrade.services


def test_the_first_up_restarts_the_controller_alone_and_rolls_out_what_differs(upgrade: Upgrade) -> None:
    upgrade.clone.heliostat("up", "--yes")
    upgrade.answers()
    after = upgrade.clone.services()
    changed = {name for name in upgrade.services if after.get(name) != upgrade.services[name]}
    assert changed - {"keeper"} == {"controller"}
    assert all(psutil.pid_exists(pid) for pid in after.values())
    assert (upgrade.serves != upgrade.version) is upgrade.rolls_out
    assert upgrade.clone.is_well()


def test_a_second_up_changes_nothing(upgrade: Upgrade) -> None:
    upgrade.clone.heliostat("up", "--yes", "--skip-preview", "--expect-no-changes")


def test_a_change_of_the_application_is_rolled_out(upgrade: Upgrade) -> None:
    before = upgrade.serves
    upgrade.clone.serving(limits={"maxRows": 500})
    told = upgrade.clone.heliostat("up", "--yes")
    assert "beside 2 replicas" in told, "the preview is the controller's own again"
    upgrade.answers()
    assert upgrade.serves not in (before, upgrade.version)


def test_it_goes_back_to_an_entry_that_the_earlier_release_wrote(upgrade: Upgrade) -> None:
    upgrade.clone.heliostat("rollback", "flights", "--to", "1", "--yes", "--reason", "a test")
    upgrade.answers()
    assert upgrade.serves == upgrade.version
    upgrade.clone.heliostat("up", "--yes", "--skip-preview", "--retry-refused")
    assert upgrade.serves != upgrade.version


def test_nothing_that_was_stored_is_lost(upgrade: Upgrade) -> None:
    now = stored.of(upgrade.clone.root, upgrade.clone.data)
    assert all(upgrade.stored.values()), "there was something of each kind"
    assert {kind: before - now[kind] for kind, before in upgrade.stored.items() if before - now[kind]} == {}


def test_not_one_request_failed(upgrade: Upgrade) -> None:
    upgrade.answers()
    upgrade.load.finish()
    assert upgrade.load.failures == []
    assert len(upgrade.load.versions) == 2 + upgrade.rolls_out
    assert upgrade.load.versions[upgrade.version] > RATE


def test_destroy_leaves_no_process_and_every_prediction_in_the_log(upgrade: Upgrade) -> None:
    upgrade.clone.heliostat("destroy", "--yes")
    assert upgrade.clone.processes() == []
    logged = stored.request_ids(upgrade.clone.data)
    missing = [each for each in upgrade.load.answered if each.request_id not in logged]
    taken = [each for each in missing if each.version == upgrade.version and abs(upgrade.killed - each.at) < _LOST_S]
    assert missing == taken, "what a replica that was killed had not written yet is all that is lost"
    assert [each["number"] for each in upgrade.clone.json("history", "flights")][-2:] == [2, 1]
