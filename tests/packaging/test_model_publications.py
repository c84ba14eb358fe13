"""What is published of a package: once, whoever is killed or publishes at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from packaged import workload

from heliostat.jobs import package
from heliostat.packaging import checking
from heliostat.packaging.contents import Contents
from heliostat.spec.publications import PublicationKind
from heliostat.systems import package_pages, publications
from heliostat.systems.errors import RetryableError
from heliostat.systems.objects import Directory

WHEEL = "packages/files/plovers-model/plovers_model-3.0-py3-none-any.whl"


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    return workload(tmp_path_factory.mktemp("workload"), "plovers")


@pytest.fixture(autouse=True)
def quick_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel's bytes are what it is made of, and nobody tries it: `test_model_package_wheels` builds real ones."""

    def built(contents: Contents, version: str, folder: Path) -> Path:
        path = folder / contents.identity / f"{contents.distribution.replace('-', '_')}-{version}-py3-none-any.whl"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{contents.identity} {version}")
        return path

    monkeypatch.setattr(package, "_wheel", built)
    monkeypatch.setattr(checking, "require_same_answers", lambda *_: None)


class Killed(Exception):
    """The process died."""


class Failing(Directory):
    """A store that dies at the write of some key."""

    dies_at = ""

    def put(self, key: str, data: bytes, *, only_if_absent: bool = False) -> bool:
        self._die(key)
        return super().put(key, data, only_if_absent=only_if_absent)

    def put_file(self, key: str, path: Path) -> None:
        self._die(key)
        super().put_file(key, path)

    def _die(self, key: str) -> None:
        if self.dies_at and self.dies_at in key:
            raise Killed(key)


@pytest.mark.parametrize("dies_at", ["ledger/", "packages/files/", "simple/plovers-model", "simple/index"])
def test_killed_anywhere_the_next_publishes_the_same_once(contents: Contents, tmp_path: Path, dies_at: str) -> None:
    store = Failing(tmp_path / "store")
    store.dies_at = dies_at
    with pytest.raises(Killed):
        package.publish(contents, store, tmp_path)
    store.dies_at = ""
    entry = package.publish(contents, store, tmp_path)
    assert publications.read(store, "plovers-model") == (entry,)
    assert store.get(WHEEL) == f"{contents.identity} 3.0".encode()
    assert b"plovers_model-3.0-py3-none-any.whl#sha256=" in store.get("packages/simple/plovers-model/index.html")
    assert b'<a href="plovers-model/">' in store.get("packages/simple/index.html")


def test_other_code_of_the_same_model_version_is_the_next_wheel(contents: Contents, tmp_path: Path) -> None:
    store = Directory(tmp_path / "store")
    first = package.publish(contents, store, tmp_path)
    second = package.publish(replace(contents, data_digest="e" * 64), store, tmp_path)
    later = package.publish(replace(contents, model_uri="models:/birds/4"), store, tmp_path)
    assert [each.version for each in (first, second, later)] == ["3.0", "3.1", "4.0"]
    assert package.publish(contents, store, tmp_path) == first
    assert [each.number for each in publications.read(store, "plovers-model")] == [1, 2, 3]


def test_two_at_once_publish_each_its_own_and_the_page_names_both(contents: Contents, tmp_path: Path) -> None:
    store = Directory(tmp_path / "store")
    asked = [contents, contents, replace(contents, data_digest="e" * 64)]
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(3) as publishers:
        found = list(publishers.map(lambda pair: package.publish(pair[0], store, pair[1]), zip(asked, folders, strict=True)))
    assert found[0] == found[1] != found[2]
    assert {each.version for each in found} == {"3.0", "3.1"}
    page = store.get("packages/simple/plovers-model/index.html")
    assert page.count(b"<a href") == 2


def test_a_damaged_entry_of_the_ledger_is_told_and_not_passed_over(contents: Contents, tmp_path: Path) -> None:
    store = Directory(tmp_path / "store")
    store.put("ledger/packages/plovers-model/0000000001.json", b"{}")
    with pytest.raises(Exception, match=r"0000000001\.json is no entry of the ledger"):
        package.publish(contents, store, tmp_path)


def test_a_page_is_of_what_is_there(contents: Contents, tmp_path: Path) -> None:
    store = Directory(tmp_path / "store")
    entry = package.publish(contents, store, tmp_path)
    store.delete(WHEEL)
    package_pages.write(store, "plovers-model")
    assert b"<a href" not in store.get("packages/simple/plovers-model/index.html")
    assert publications.of_application(store, "birds") == (entry,)
    assert publications.of_application(store, "bees") == ()
    assert entry.kind is PublicationKind.BUILT


def test_a_store_that_is_away_is_told_as_such(contents: Contents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Directory(tmp_path / "store")
    monkeypatch.setattr(store, "list", lambda prefix="": (_ for _ in ()).throw(RetryableError("away")))
    with pytest.raises(RetryableError, match="away"):
        package.publish(contents, store, tmp_path)


def test_a_wheel_that_cannot_be_made_of_the_same_bytes_any_more_is_the_next_one(
    contents: Contents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Directory(tmp_path / "store")
    package.publish(contents, store, tmp_path)
    store.delete(WHEEL)
    made = package._wheel

    def otherwise(contents: Contents, version: str, folder: Path) -> Path:
        path = made(contents, version, folder)
        path.write_text(f"{path.read_text()} by another release of the backend")
        return path

    monkeypatch.setattr(package, "_wheel", otherwise)
    entry = package.publish(contents, store, tmp_path)
    assert (entry.version, entry.number) == ("3.1", 2)
    assert not store.exists(WHEEL)
