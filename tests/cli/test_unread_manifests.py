"""What of manifests that cannot be read is told to whoever calls: not the names of what they may not see."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliostat.cli.datasets import catalogue
from heliostat.cli.datasets.lineage import Lineage
from heliostat.cli.datasets.permissions import Caller
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.roles import Identity, Role
from heliostat.systems.objects import open_store


@pytest.fixture
def everything(tmp_path: Path) -> catalogue.Catalogue:
    store = open_store(StoreAddress(uri=f"file://{tmp_path}/objects"))
    for key in (f"datasets/flights/{'a' * 64}/manifest.json", f"datasets/salaries/{'b' * 64}/manifest.json"):
        store.put(key, b"{")
    return catalogue.read(store)


def test_a_manifest_of_others_that_cannot_be_read_is_not_named(everything: catalogue.Catalogue) -> None:
    told = [each.text for each in everything.unread]
    assert [each.name for each in everything.unread] == ["flights", "salaries"]
    caller = Caller(None, Identity(name="ada", known=True, roles=(Role.VIEWER,), applications=("flights",)))
    assert [each.text for each in caller.seen(everything).unread] == told[:1]
    unknown = caller.traced(Lineage({}, unknown=(*told, "who serves is not known")), everything).unknown
    assert unknown == (told[0], "a manifest of a data set that you may not see cannot be read", "who serves is not known")
    assert "salaries" not in " ".join(unknown)


def test_whom_no_policy_keeps_from_it_is_told_all(everything: catalogue.Catalogue) -> None:
    caller = Caller(None, None)
    told = tuple(each.text for each in everything.unread)
    assert caller.seen(everything).unread == everything.unread
    assert caller.traced(Lineage({}, unknown=told), everything).unknown == told
