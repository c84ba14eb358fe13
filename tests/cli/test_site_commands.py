"""`heliostat site`: a token that stays, packages that are shown, and what a site refuses."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from heliostat.cli.commands.site import site
from heliostat.sites import packages, rows
from heliostat.sites.place import SitePlace
from heliostat.spec.federated import DeliveredPackage
from heliostat.systems.coordinator_api import CoordinatorClient
from heliostat.systems.errors import PermanentError, RetryableError


def told(*arguments: str) -> str:
    found = CliRunner().invoke(site, [*arguments], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_a_token_is_made_once_and_only_its_hash_is_shown(tmp_path: Path) -> None:
    folder = str(tmp_path / "berlin")
    first = json.loads(told("token", "berlin", "--folder", folder, "--json"))
    assert first == json.loads(told("token", "berlin", "--folder", folder, "--json"))
    file = tmp_path / "berlin/token"
    token = file.read_text()
    assert first == {"site": "berlin", "tokenSha256": hashlib.sha256(token.encode()).hexdigest()}
    assert file.stat().st_mode & 0o777 == 0o600
    shown = told("token", "berlin", "--folder", folder, "--new")
    assert first["tokenSha256"] not in shown
    assert file.read_text() != token
    assert file.read_text() not in shown


def test_a_token_that_others_can_read_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HELIOSTAT_SITE_TOKEN", raising=False)
    place = SitePlace(tmp_path, "berlin")
    with pytest.raises(PermanentError, match="`heliostat site token berlin` makes one"):
        place.token()
    place.make_token()
    (tmp_path / "token").chmod(0o644)
    with pytest.raises(PermanentError, match="chmod 600"):
        place.token()


@pytest.mark.parametrize("url", ["http://10.0.0.1:8790", "ftp://127.0.0.1", "127.0.0.1:8790"])
def test_a_token_is_sent_over_no_network_in_clear(url: str) -> None:
    with pytest.raises(PermanentError, match=r"in clear|is no address"):
        CoordinatorClient(url, "token")


def test_rows_are_all_files_of_a_folder_and_their_digest_is_keyed(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "b.parquet")
    (tmp_path / "a.csv").write_text("x\n2.0\n")
    (tmp_path / "notes.txt").write_text("no rows")
    table, digest = rows.read(tmp_path, b"key")
    assert table["x"].to_pylist() == [2.0, 1.0]
    assert rows.read(tmp_path, b"key")[1] == digest != rows.read(tmp_path, b"other")[1]


def test_rows_that_cannot_be_one_table_are_told(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"has no \.parquet or \.csv files"):
        rows.read(tmp_path, b"")
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": [1], "y": [1]}), tmp_path / "b.parquet")
    with pytest.raises(PermanentError, match="x is int64, not double, y is int64, not there"):
        rows.read(tmp_path, b"")
    (tmp_path / "b.parquet").write_bytes(b"broken")
    with pytest.raises(PermanentError, match=r"b.parquet cannot be read"):
        rows.read(tmp_path, b"")


class Wheels:
    """A coordinator that has one wheel."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def fetch_package(self, path: Path) -> None:
        path.write_bytes(self.content)


def wheel(folder: Path, source: str) -> tuple[DeliveredPackage, Wheels]:
    file = folder / "w.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("tiny_model/__init__.py", source)
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return DeliveredPackage(distribution="tiny-model", file="tiny.whl", version="1.0", sha256=digest), Wheels(content)


def test_a_package_is_fetched_tried_and_shown(tmp_path: Path) -> None:
    package, wheels = wheel(tmp_path, "class Model: pass")
    place = SitePlace(tmp_path / "berlin", "berlin")
    folder = packages.install(package, wheels, place.packages)  # type: ignore[arg-type]
    assert packages.install(package, wheels, place.packages) == folder  # type: ignore[arg-type]
    shown = json.loads(told("package", "berlin", "--folder", str(place.folder), "--json"))
    assert (shown["version"], shown["module"], shown["folder"]) == ("1.0", "tiny_model", str(folder))
    assert f"PYTHONPATH={folder}" in told("package", "berlin", "--folder", str(place.folder))


def test_a_package_that_came_otherwise_or_cannot_be_loaded_is_not_taken(tmp_path: Path) -> None:
    package, wheels = wheel(tmp_path, "class Model: pass")
    wheels.content += b"more"
    with pytest.raises(RetryableError, match="did not come as it was published"):
        packages.install(package, wheels, tmp_path / "p")  # type: ignore[arg-type]
    package, wheels = wheel(tmp_path, "import nothing_like_it")
    with pytest.raises(PermanentError, match="No module named 'nothing_like_it'"):
        packages.install(package, wheels, tmp_path / "p")  # type: ignore[arg-type]
    assert packages.current(tmp_path / "p") is None
    with pytest.raises(PermanentError, match="has no package yet"):
        told("package", "berlin", "--folder", str(tmp_path))


def test_a_site_keeps_the_current_package_and_the_one_before_and_no_wheel(tmp_path: Path) -> None:
    folders = []
    for number in range(4):
        package, wheels = wheel(tmp_path, f"class Model: number = {number}")
        folders.append(packages.install(package, wheels, tmp_path / "p"))  # type: ignore[arg-type]
    assert {path for path in (tmp_path / "p").iterdir() if path.is_dir()} == set(folders[-2:])
    assert not list((tmp_path / "p").glob("*.whl"))
    assert packages.install(package, wheels, tmp_path / "p") == folders[-1]  # type: ignore[arg-type]
    assert folders[-1].is_dir() and folders[-2].is_dir(), "the same again removes nothing"
