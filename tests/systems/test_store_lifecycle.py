"""What is left of an object store that is removed: the ledger, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliostat.spec.addresses import StoreAddress
from heliostat.spec.ledger import key_of
from heliostat.systems import store_lifecycle
from heliostat.systems.objects import OWN, open_store

ENTRIES = [key_of("flights", number) for number in (1, 2)]
OTHERS = ["code/a.zip", "ledger-of-mine", "mlflow/1/model/x", "logs/ledger/1.json"]


@pytest.fixture(params=["file", "s3", "gs"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> StoreAddress:
    if request.param == "file":
        return StoreAddress(uri=f"file://{tmp_path}/my%20objects")
    found = request.getfixturevalue(f"{request.param}_address")
    assert isinstance(found, StoreAddress)
    return found


def filled(address: StoreAddress, *keys: str) -> list[str]:
    store_lifecycle.ensure(address)
    for key in keys:
        open_store(address).put(key, b"{}")
    return keys_of(address)


def keys_of(address: StoreAddress) -> list[str]:
    return [found.key for found in open_store(address).list()]


def test_the_ledger_outlives_the_store_and_that_is_said(address):
    filled(address, *ENTRIES, *OTHERS)
    removed = store_lifecycle.remove(address)
    assert keys_of(address) == ENTRIES
    assert removed.ledger == f"{address.uri}/ledger"
    assert removed.kept is None


def test_removing_it_again_leaves_the_ledger_again(address):
    filled(address, *ENTRIES, *OTHERS)
    assert store_lifecycle.remove(address) == store_lifecycle.remove(address)
    assert keys_of(address) == ENTRIES


def test_a_store_that_is_made_anew_around_its_ledger_can_be_removed_again(address):
    filled(address, *ENTRIES, *OTHERS)
    store_lifecycle.remove(address)
    filled(address, "code/b.zip")
    assert store_lifecycle.remove(address).kept is None, "it is as much its own as before"
    assert keys_of(address) == ENTRIES


def test_which_entries_lost_what_they_name_is_known(address):
    store = open_store(address)
    filled(address, *ENTRIES, key_of("others", 1))
    assert store_lifecycle.emptied_at(store, "flights") == 0, "all is there"
    store_lifecycle.remove(address)
    filled(address, key_of("flights", 3))
    found = [store_lifecycle.emptied_at(store, name) for name in ("flights", "others", "nobody")]
    assert found == [2, 1, 0]
    store_lifecycle.remove(address)
    assert store_lifecycle.emptied_at(store, "flights") == 3


def test_a_ledger_that_was_removed_by_hand_begins_anew(address):
    filled(address, *ENTRIES)
    store_lifecycle.remove(address)
    for key in ENTRIES:
        open_store(address).delete(key)
    filled(address, ENTRIES[0])
    assert store_lifecycle.emptied_at(open_store(address), "flights") == 0


def test_without_a_ledger_nothing_is_left(address):
    filled(address, *OTHERS)
    assert store_lifecycle.remove(address) == store_lifecycle.Removed()
    assert not store_lifecycle.exists(address)


def test_an_empty_folder_of_a_ledger_keeps_nothing(tmp_path):
    address = StoreAddress(uri=f"file://{tmp_path}/objects")
    filled(address, *OTHERS)
    (tmp_path / "objects/ledger/flights").mkdir(parents=True)
    assert store_lifecycle.remove(address) == store_lifecycle.Removed()
    assert not (tmp_path / "objects").exists()


def test_a_removal_that_was_killed_goes_on_where_it_was(tmp_path, monkeypatch):
    address = StoreAddress(uri=f"file://{tmp_path}/objects")
    filled(address, *ENTRIES, *OTHERS)

    def killed(path: object, *_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store_lifecycle.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            store_lifecycle.remove(address)
    assert (tmp_path / "objects" / OWN / "store.json").exists()
    assert store_lifecycle.remove(address).ledger is not None
    assert keys_of(address) == ENTRIES


def test_a_bucket_that_holds_only_the_ledger_and_other_things_is_kept_for_both(s3_endpoint, s3_credentials):
    address = StoreAddress(uri="s3://shared-with-ledger/mine", endpoint=s3_endpoint)
    filled(address, *ENTRIES, *OTHERS)
    open_store(StoreAddress(uri="s3://shared-with-ledger/other", endpoint=s3_endpoint)).put("a", b"1")
    assert store_lifecycle.remove(address).ledger == f"{address.uri}/ledger"
    assert keys_of(address) == ENTRIES
