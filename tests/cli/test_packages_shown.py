"""What was published of a model, as `history` and `status` show it."""

from __future__ import annotations

import json

import pytest
from platform_stack import PlatformStack
from rollout_records import entry

from heliostat.cli.operators.packages import newest, row
from heliostat.spec.publications import PackageDigests, Publication, PublicationKind, publication_key

INDEX = "https://upload.example.com/legacy/"


def publication(number, kind=PublicationKind.BUILT, version="3.0", **changes):
    digests = PackageDigests(**dict.fromkeys(PackageDigests.model_fields, "d" * 64))
    given = {
        "number": number, "kind": kind, "at": 1_700_000_000.0 + number, "application": "flights", "version": version,
        "distribution": "flights-model", "file": f"flights_model-{version}-py3-none-any.whl", "sha256": version[0] * 64,
        "model_uri": f"models:/flights/{version[0]}", "identity": version[0] * 64, "digests": digests,
        "requires_python": ">=3.11", "place": f"s3://b/packages/files/{version}", "origin": "1f0c9a2b77aa+", **changes,
    }  # fmt: skip
    return Publication(**given)


PUBLISHED = (
    publication(1),
    publication(2, PublicationKind.UPLOADED, place=INDEX),
    publication(3, version="4.0"),
    publication(4, version="4.0", kind=PublicationKind.UPLOADED, place=INDEX),
)


@pytest.fixture
def published(stack):
    platform = PlatformStack(stack)
    platform.exports(platform=platform.platform())
    for each in PUBLISHED:
        platform.store.put(publication_key(each.distribution, each.number), each.model_dump_json().encode())
    return platform


def test_the_history_ends_with_what_was_published_where(published, stack):
    published.remember(entry(1, before=None, after=1, rollout=1))
    said = stack.ok("history")
    rollouts, packages = said.split("\n\n")
    assert "rollout 1" in rollouts
    heads, *lines = packages.splitlines()
    assert heads.split() == ["NUMBER", "WHEN", "PACKAGE", "VERSION", "WHAT", "MODEL", "COMMIT"]
    assert [line.split()[0] for line in lines] == ["4", "3", "2", "1"]
    assert f"published to {INDEX}" in lines[0]
    assert "built, in the object store" in lines[3]
    assert "1f0c9a2b77+" in lines[3]


def test_an_application_without_a_package_has_no_such_table(published, stack):
    published.remember(entry(1, before=None, after=1, rollout=1).model_copy(update={"application": "birds"}))
    assert "PACKAGE" not in stack.ok("history", "birds")
    assert "has no package of 'birds'" in stack.ok("history", "birds", "--packages")


def test_packages_are_no_application_of_the_ledger(published, stack):
    assert "it has nothing at all" in stack.ok("history", "flights")
    found = json.loads(stack.ok("history", "flights", "--packages", "--json"))
    assert [(each["number"], each["kind"]) for each in found] == [(4, "uploaded"), (3, "built"), (2, "uploaded"), (1, "built")]
    assert found[0]["digests"]["row"] == "d" * 64


def test_the_status_has_the_newest_wheel_of_each(published, stack):
    said = json.loads(stack("status", "--json").out)
    place = "s3://b/packages/files/4.0"
    assert said["packages"] == [
        {"distribution": "flights-model", "application": "flights", "version": "4.0", "modelUri": "models:/flights/4",
         "at": 1_700_000_003.0, "uri": place, "indexes": [INDEX]},
    ]  # fmt: skip
    assert "flights-model" in stack("status").out


def test_a_wheel_that_was_removed_is_only_where_it_was_published_besides():
    found = newest((*PUBLISHED, publication(5, PublicationKind.REMOVED, version="4.0")))
    assert found is not None
    assert row(found)[-1] == INDEX
    assert newest(()) is None
