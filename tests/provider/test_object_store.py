"""What a destroy tells of an object store that goes."""

from __future__ import annotations

import asyncio

from heliostat.provider.object_store import ObjectStoreHandler
from heliostat.provider.resource import Context
from heliostat.spec.ledger import key_of
from heliostat.spec.platform_resources import ObjectStoreInputs
from heliostat.spec.platforms.base import OnDestroy
from heliostat.systems.objects import open_store


async def destroyed(tmp_path, *keys: str, on_destroy: OnDestroy = OnDestroy.DELETE) -> tuple[list[str], list[str]]:
    """What was told, and warned of."""
    told: list[str] = []
    warned: list[str] = []
    context = Context("urn", lambda text: None, told.append, warned.append, asyncio.Event())
    inputs = ObjectStoreInputs(uri=f"file://{tmp_path}/objects", on_destroy=on_destroy)
    made = await ObjectStoreHandler().create(context, inputs)
    for key in keys:
        open_store(inputs).put(key, b"{}")
    await ObjectStoreHandler().delete(context, made.identifier, made.outputs)
    return told, warned


async def test_a_store_that_is_deleted_says_that_its_ledger_stays(tmp_path):
    told, warned = await destroyed(tmp_path, key_of("flights", 1), "code/a.zip")
    (said,) = told
    assert said.startswith(f"the ledger in file://{tmp_path}/objects/ledger is kept")
    assert warned == []
    assert (tmp_path / "objects/ledger/flights/0000000001.json").exists()
    assert not (tmp_path / "objects/code").exists()


async def test_a_store_without_a_ledger_goes_whole_and_says_nothing(tmp_path):
    assert await destroyed(tmp_path, "code/a.zip") == ([], [])
    assert not (tmp_path / "objects").exists()


async def test_a_store_that_is_kept_is_kept_whole(tmp_path):
    told, _ = await destroyed(tmp_path, key_of("flights", 1), "code/a.zip", on_destroy=OnDestroy.KEEP)
    assert told == [f"the objects in file://{tmp_path}/objects are kept (onDestroy: keep)"]
    assert (tmp_path / "objects/code/a.zip").exists()
