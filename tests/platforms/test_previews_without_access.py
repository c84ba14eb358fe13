"""The examples in `configs`, previewed as by somebody who has nothing: no credentials, no plugin but our own, no variables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from heliostat.engine.events import Op
from heliostat.engine.state.snapshot import Resource, Secret
from tests.platforms.recorded_stack import ROOT, RecordedStack

NO_PLATFORM = {"local", "preview"}
"""Stacks of a machine, and what environments of branches are made from."""
EXAMPLES = sorted(file for file in (ROOT / "configs").glob("Pulumi.*.yaml") if file.name.split(".")[1] not in NO_PLATFORM)
OWN = {"heliostat": ROOT / "heliostat/provider"}


def config_of(example: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(example.read_text())["config"])


def stack_in(folder: Path, config: dict[str, Any]) -> RecordedStack:
    home = folder / "home"
    home.mkdir()
    (folder / "workloads").symlink_to(ROOT / "workloads")
    return RecordedStack(folder, config, packages=(), plugins=OWN, environment={"HOME": str(home)})


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.name.split(".")[1])
async def test_an_example_is_previewed_whole_and_what_was_not_looked_at_is_told(example: Path, tmp_path: Path) -> None:
    stack = stack_in(tmp_path, config_of(example))
    summary = await stack.preview()
    assert summary.succeeded, stack.errors()
    assert summary.changes.keys() == {Op.CREATE}
    kinds = {each.split()[1].split(":")[-1] for each in stack.touched()}
    assert {"Dataset", "TrainJob", "ModelVersion", "Application", "RayCluster"} <= kinds
    told = stack.told("warning")
    assert told.count("no provider has checked this plan's resources of") == 1
    made_here = not config_of(example)["heliostat:platform"].get("store")
    # A bucket that the platform is about to make is not looked into.
    assert ("could not be looked at: cannot read s3://acme-ml-heliostat/" in told) is not made_here


async def test_a_stack_that_is_there_is_taken_as_its_state_has_it_and_shows_what_changes(tmp_path: Path) -> None:
    config = config_of(ROOT / "configs/Pulumi.gcp.yaml")
    stack = stack_in(tmp_path, config)
    stack.packages, stack.plugins = ("gcp", "kubernetes", "heliostat"), {}
    assert (await stack.up()).succeeded, stack.errors()
    stack.checkpoint.snapshot = replace(
        stack.checkpoint.snapshot, resources=[_with_real_token(one) for one in stack.resources()]
    )
    stack.packages, stack.plugins = (), OWN

    config["heliostat:platform"]["groups"]["workers"]["max"] = 6
    config["heliostat:workloads"]["flights"]["serving"]["replicas"] = 3
    summary = await stack.preview(refresh=True)
    assert summary.succeeded, stack.errors()
    assert {Op.DELETE, Op.CREATE, Op.REPLACE}.isdisjoint(summary.changes)
    changed = {"gcp:container/nodePool:NodePool workers", "heliostat:index:Application flights"}
    assert {f"update {each}" for each in changed} <= set(stack.touched())
    told = stack.told("warning")
    assert "not read, and taken as the state has it: cannot read gs://acme-ml-heliostat/datasets/flights/" in told
    assert "the cluster was not looked at" not in told


def _with_real_token(one: Resource) -> Resource:
    return replace(one, outputs={**one.outputs, "value": Secret("0" * 64)}) if one.type == "heliostat:index:Token" else one
