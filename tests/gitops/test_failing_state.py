"""State that is not there, read only, or full: it is told, nothing is half done, and the next run finishes what is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from environments_world import DAY, EnvironmentsWorld
from failing_state import InS3, OnTmpfs, in_s3, on_tmpfs

from heliostat.engine.errors import EngineError
from heliostat.engine.stackerrors import StorageError
from heliostat.engine.state.backend import Backend
from heliostat.engine.state.bucket import open_bucket, require_folder
from heliostat.spec.branch_environments import environment_name, name_in
from heliostat.systems.errors import PermanentError

Place = OnTmpfs | InS3
FULL = {OnTmpfs: "The disk is full", InS3: "XMinioStorageFull"}
READ_ONLY = {OnTmpfs: "read-only", InS3: "AccessDenied"}


@pytest.fixture(params=["a file system", "S3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "S3":
        request.getfixturevalue("s3_credentials")
        with in_s3(request.getfixturevalue("s3_endpoint"), f"state-{tmp_path.name[:40].replace('_', '-').lower()}") as bucket:
            yield bucket
    else:
        with on_tmpfs(tmp_path / "disk") as disk:
            yield disk


@pytest.mark.parametrize("trouble", ["read only", "full"])
def test_state_that_cannot_be_written_is_told_and_the_next_run_goes_on(place: Place, trouble: str, tmp_path: Path):
    world = EnvironmentsWorld(tmp_path, place.url)
    first = world.environments.up("first", "c1", [])
    kept = world.put(f"predictions/{name_in(first.name, 'flights')}/date=2026-01-01/a.parquet")
    told = FULL[type(place)] if trouble == "full" else READ_ONLY[type(place)]
    place.become_full() if trouble == "full" else place.become_read_only()
    with pytest.raises(StorageError, match=told) as caught:
        world.environments.up("second", "c2", [])
    assert environment_name("second") in str(caught.value), "it names what could not be written"
    with pytest.raises(StorageError, match=told):
        world.environments.down(first)
    with pytest.raises(StorageError, match=told):
        world.environments.extend(first, DAY)
    (swept,) = world.environments.sweep(set(), only_tell=False)
    assert told in swept.failure
    assert [name for name, _ in world.commands.ups] == [first.name] and world.commands.up_with.keys() == {first.name}
    assert kept.exists(), "what is noted nowhere is not done"
    place.become_well()
    assert world.environments.records.all() == [first] and world.stacks() == {first.name}
    assert world.environments.up("second", "c2", []).branch == "second"
    assert {each.failure for each in world.environments.sweep(set(), only_tell=False)} == {""}
    assert world.stacks() == set() and world.environments.records.all() == [] and not kept.exists()


def test_an_s3_bucket_that_is_not_there_is_told_before_anything_is_made(s3_endpoint: str, s3_credentials: None):
    with pytest.raises(StorageError, match="s3://nowhere"):
        Backend.open(f"s3://nowhere?endpoint={s3_endpoint}&region=us-east-1&s3ForcePathStyle=true")


def test_a_folder_that_is_not_mounted_is_told_and_not_made(tmp_path: Path):
    with pytest.raises(StorageError, match="mount it"):
        require_folder(open_bucket(f"file://{tmp_path}/share"))
    assert not (tmp_path / "share").exists()
    require_folder(open_bucket(f"file://{tmp_path}"))


@pytest.mark.parametrize("damage", [b"", b"{", b'{"version": 3, "deployment": []}'])
def test_a_platform_whose_state_cannot_be_read_is_not_thought_to_be_gone(tmp_path: Path, damage: bytes):
    world = EnvironmentsWorld(tmp_path)
    record = world.environments.up("feature", "c1", [])
    kept = world.put(f"predictions/{name_in(record.name, 'flights')}/date=2026-01-01/a.parquet")
    (state,) = (each for each in (tmp_path / "state").rglob("platform.json") if each.is_file())
    before = state.read_bytes()
    state.write_bytes(damage)
    world.now += 10 * DAY
    assert world.environments.sweep({"feature"}, only_tell=False) == [], "nobody knows whether it is in use"
    with pytest.raises((EngineError, PermanentError)):
        world.environments.down(record)
    assert kept.exists() and world.environments.records.find(record.name) is not None
    state.write_bytes(before)
    assert [each.failure for each in world.environments.sweep(set(), only_tell=False)] == [""]
    assert not kept.exists()
