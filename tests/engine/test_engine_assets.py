"""Assets, archives and references to resources: what the engine makes of them. The digests are those of the official CLI."""

from __future__ import annotations

import hashlib
import os
import tarfile
import zipfile
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from engine_harness import Lab

from heliostat.engine.errors import EngineError
from heliostat.engine.protocol.archives import with_hashes
from heliostat.engine.protocol.diffs import local_diff
from heliostat.engine.protocol.properties import from_struct, to_struct
from heliostat.engine.state.marked import held, with_contents_of, without_contents
from heliostat.engine.state.snapshot import (
    ARCHIVE_SIGNATURE,
    ASSET_SIGNATURE,
    OUTPUT_SIGNATURE,
    REFERENCE_SIGNATURE,
    SECRET_SIGNATURE_KEY,
    UNKNOWN,
    Secret,
)

EMPTY_TEXT = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
EMPTY_ARCHIVE = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
FOLDER = "ee4c07d9ee93145d788665b85d85a530169be278da421610c1cdf239a2a5050e"
PACKED = "2184c7cb4e598905c8ff137bdb4169c854aeb7a9299f8b86e6a33fcb6ea02bd0"
TWICE = "9ebbcd0b4a08ee5ebd06b4f9b4d166d2f8bdb0025212070c58504426ed78c8eb"
NAMES = "60180175e22cd2ffc163cd017a88856c61d4b515bec38e5b3834cee0d4699e9a"
DEEP = "7374919b3b104caf57195844ddc5c2e2aee37b2f74885a835fc968157092e181"
SLASH = "0024c5fe8758007ce187b82425739c34868f07ec10f45652f99f5c57b562dccf"


def marked(signature: str, **values: Any) -> dict[str, Any]:
    return {SECRET_SIGNATURE_KEY: signature, **values}


def asset(**values: Any) -> dict[str, Any]:
    return marked(ASSET_SIGNATURE, **values)


def archive(members: Mapping[str, Any] | None = None, **values: Any) -> dict[str, Any]:
    return marked(ARCHIVE_SIGNATURE, **({} if members is None else {"assets": members}), **values)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files and folders with what may be told apart in a name: order, length, letters, links, and what is left out."""
    root = tmp_path / "folder"
    for name in ("a", "empty", ".pulumi", f"deep/{'d' * 90}/{'e' * 90}"):
        (root / name).mkdir(parents=True)
    contents = {
        "a.txt": "one",
        "a/z": "z" * 1500,
        "a-b": "",
        "deep/ünï": "letters",
        f"deep/{'n' * 120}": "long",
        ".pulumi/x": "no",
    }
    for name, text in {**contents, ".pulumi/x": "no", f"deep/{'d' * 90}/{'e' * 90}/f": "split"}.items():
        (root / name).write_text(text)
    (root / "link").symlink_to("a.txt")
    (root / "folder-link").symlink_to("a")
    with tarfile.open(tmp_path / "some.tar.gz", "w:gz") as packed:
        packed.add(root / "a", "./a")
        packed.add(root / "a.txt", "l" * 150)
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as packed:
        packed.writestr("x/./y", "from a zip")
        packed.writestr("folder/", "")
    (tmp_path / "some.jar").write_bytes((tmp_path / "some.zip").read_bytes())
    return tmp_path


def digest(value: dict[str, Any], folder: Path) -> str:
    return str(with_hashes({"v": from_struct(to_struct({"v": value}))["v"]}, folder)["v"]["hash"])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (asset(text="same"), "0967115f2813a3541eaef77de9d9d5773f1c0c04314b0bbfe4ff3b3b1c55b5d5"),
        (asset(text=""), EMPTY_TEXT),
        (archive({}), EMPTY_ARCHIVE),
        (archive(path="folder"), FOLDER),
        (archive(path="folder/empty"), EMPTY_ARCHIVE),
        (archive(path="folder/folder-link"), EMPTY_ARCHIVE),
        (archive({"t": archive(path="some.tar.gz"), "z": archive(path="some.zip"), "j": archive(path="some.jar")}), PACKED),
        (
            archive({"a/b": asset(text="first"), "a": archive({"b": asset(text="hidden")})}),
            TWICE,
        ),
        (
            archive({"é": asset(text="3"), "A": asset(path="folder/a.txt"), "a": asset(text=""), "./x/../y": asset(text="q")}),
            NAMES,
        ),
        (
            archive({"p/" * 80 + "x": asset(text="y"), "in": archive({"..": archive({"up": asset(text="up")})})}),
            DEEP,
        ),
        (archive({"folder/": asset(text="")}), SLASH),
        (archive({"t": asset(text="x")}, path="folder"), FOLDER),
    ],
)
def test_a_digest_is_the_clis(value: dict[str, Any], expected: str, folder: Path) -> None:
    assert digest(value, folder) == expected


def test_a_file_and_an_archive_file_have_the_digest_of_their_bytes(folder: Path) -> None:
    for name in ("some.tar.gz", "some.zip", "some.jar"):
        expected = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        assert digest(archive(path=name), folder) == expected
        assert digest(archive(uri=f"file://{folder}/{name}"), folder) == expected
        assert digest(asset(path=str(folder / name)), folder) == expected


def test_what_is_in_an_archive_has_its_digest_too_and_one_that_is_given_is_kept(folder: Path) -> None:
    inner = {"t": asset(text="same"), "d": archive({"e": asset(text="")})}
    found = with_hashes([Secret(archive(inner))], folder)[0].value
    assert found["assets"]["t"]["hash"] == "0967115f2813a3541eaef77de9d9d5773f1c0c04314b0bbfe4ff3b3b1c55b5d5"
    assert found["assets"]["d"]["assets"]["e"]["hash"] == EMPTY_TEXT
    assert digest(asset(text="same", hash="given"), folder) == "given"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (archive(path="nowhere"), "nowhere is not there"),
        (archive(path="folder/a.txt"), "neither a folder nor an archive file"),
        (asset(path="folder"), "is a folder where a file is needed"),
        (asset(path="nowhere"), "nowhere cannot be read"),
        (archive({"x": 1}), "member 'x' of an archive is neither"),
        (archive({"x/": asset(text="y")}), "ends in a slash"),
        (archive({"x": archive(path="broken.zip")}), "broken.zip cannot be unpacked"),
        (archive(uri="file:///somewhere"), "no known format"),
        (asset(uri="ftp://host/file"), "scheme 'ftp'"),
        (asset(uri="file://elsewhere/file"), "host 'elsewhere'"),
    ],
)
def test_what_has_no_content_is_named(value: dict[str, Any], expected: str, folder: Path) -> None:
    (folder / "broken.zip").write_text("no zip")
    with pytest.raises(EngineError, match=expected):
        digest(value, folder)


class Remote(BaseHTTPRequestHandler):
    busy = 1

    def do_GET(self) -> None:
        codes = {"/gone": 404, "/busy": 503 if Remote.busy else 200}
        Remote.busy = max(Remote.busy - (self.path == "/busy"), 0)
        self.send_response(codes.get(self.path, 200))
        self.end_headers()
        self.wfile.write(b"same")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing to stderr."""


def test_a_remote_content_is_fetched_again_while_its_host_is_busy_and_an_error_page_is_no_content(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Remote)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        assert digest(asset(uri=f"{url}/busy"), tmp_path) == digest(asset(text="same"), tmp_path)
        with pytest.raises(EngineError, match=r"/gone cannot be downloaded: it answers 404"):
            digest(asset(uri=f"{url}/gone"), tmp_path)
    finally:
        server.shutdown()
        server.server_close()


async def test_a_file_that_changes_in_a_folder_is_deployed_and_one_that_is_only_elsewhere_is_not(lab: Lab) -> None:
    for name in ("folder", "copy"):
        (lab.folder / name / "deep").mkdir(parents=True)
        (lab.folder / name / "deep" / "f").write_text("one")
    program = (
        "Lab('a', code=pulumi.FileArchive('{0}'))\nLab('b', code=pulumi.AssetArchive({{'d': pulumi.FileArchive('{0}')}}))"
    )
    await lab.up(program.format("folder"))
    await lab.up(program.format("copy"))
    assert lab.calls("create", "update") == []
    assert lab.resources()["a"].inputs["code"]["path"] == "copy"
    (lab.folder / "copy" / "deep" / "f").write_text("two")
    await lab.up(program.format("copy"))
    assert sorted(lab.calls("create", "update")) == ["update a", "update b"]


async def test_a_component_with_another_file_of_the_same_content_is_no_change(lab: Lab) -> None:
    program = """
        class Box(pulumi.ComponentResource):
            def __init__(self, text):
                super().__init__("lab:index:Box", "box", {{"asset": text}}, None)
        Box(pulumi.{})
    """
    (lab.folder / "f").write_text("same")
    await lab.up(program.format("StringAsset('same')"))
    assert "update box" not in (await lab.up(program.format("FileAsset('f')")), lab.steps())[1]
    await lab.up(program.format("StringAsset('other')"))
    assert "update box" in lab.steps()


async def test_an_asset_that_is_not_there_ends_the_program_with_its_name(lab: Lab) -> None:
    summary = await lab.up("Lab('a', code=pulumi.FileAsset('nowhere.txt'))")
    assert not summary.succeeded
    assert f"{os.path.join(lab.folder, 'nowhere.txt')} cannot be read" in lab.said("error")  # noqa: PTH118


def test_what_is_only_compared_goes_without_contents_and_comes_back_with_them() -> None:
    whole = {"a": [Secret(asset(hash="h", text="long"))], "z": archive({"t": asset(hash="i", text="x")}, hash="j"), "v": 1}
    bare = without_contents(whole)
    assert bare == {"a": [Secret(asset(hash="h"))], "z": archive(hash="j"), "v": 1}
    echoed = from_struct(to_struct(bare))
    assert with_contents_of(echoed, whole) == {**whole, "z": archive({}, hash="j")}
    moved = {**whole, "a": [Secret(asset(hash="h", path="p"))], "z": archive(hash="j", uri="u")}
    assert not local_diff(whole, moved).changes
    assert local_diff(whole, {**moved, "z": archive(hash="k", uri="u")}).changed == ("z",)
    assert with_contents_of({"a": asset(hash="h", text="new")}, whole) == {"a": asset(hash="h", text="new")}


# --- references to resources

URN = "urn:pulumi:dev::lab::lab:index:Lab::a"
BOX = "urn:pulumi:dev::lab::lab:index:Box::box"
PROGRAM = "a = Lab('a', v={})\nbox = Box('box')\nLab('b', one=a, many=[a, box], named={{'x': a}})"


def reference(**values: Any) -> dict[str, Any]:
    return marked(REFERENCE_SIGNATURE, **values)


async def test_a_resource_as_an_input_reaches_provider_and_state_as_a_reference(lab: Lab) -> None:
    await lab.up(PROGRAM.format(1))
    sent, own = {"urn": URN, "name": "a", "type": "lab:index:Lab", "id": "a-id"}, {"name": "box", "type": "lab:index:Box"}
    one, box = reference(**sent), reference(urn=BOX, **own)
    assert lab.given("create b") == {"one": one, "many": [one, box], "named": {"x": one}}
    one, box = reference(urn=URN, id="a-id", packageVersion=""), reference(urn=BOX, packageVersion="")
    inputs = {"one": one, "many": [one, box], "named": {"x": one}}
    assert lab.resources()["b"].inputs == inputs
    assert lab.resources()["b"].outputs == {**inputs, "made": "b"}
    assert lab.resources()["b"].dependencies == [URN]
    await lab.up(PROGRAM.format(2))
    assert lab.calls("create", "update") == ["update a"]


async def test_a_plugin_that_takes_no_resources_gets_the_id_or_the_urn(lab: Lab) -> None:
    lab.environment = {"LAB_RESOURCES": "no"}
    await lab.up(PROGRAM.format(1))
    assert lab.given("create b") == {"one": "a-id", "many": ["a-id", BOX], "named": {"x": "a-id"}}
    assert lab.resources()["b"].inputs["one"] == "a-id"


async def test_in_a_preview_the_id_of_a_resource_that_is_to_be_made_is_empty(lab: Lab) -> None:
    lab.environment = {"LAB_PREVIEWS": "yes"}
    await lab.preview(PROGRAM.format(1))
    assert lab.given("preview b")["one"] == reference(urn=URN, name="a", type="lab:index:Lab", id="")
    lab.environment |= {"LAB_RESOURCES": "no"}
    await lab.preview(PROGRAM.format(1))
    assert lab.given("preview b")["many"] == [UNKNOWN, BOX]


def test_a_marked_value_is_held_as_the_checkpoint_has_it() -> None:
    expected = reference(urn=URN, id="i", packageVersion="")
    assert held(reference(urn=URN, id="i", name="a", type="t")) == expected
    assert held(reference(urn=URN, id={"V": "i"}, packageVersion="")) == expected
    assert held(reference(urn=URN, id={"V": None})) == reference(urn=URN, packageVersion="")
    assert held(reference(urn=URN, id=UNKNOWN)) == reference(urn=URN, id="", packageVersion="")
    assert held(asset(text="", path="p", more=1)) == asset(path="p")
    assert held(archive({"a": 1}, path="p", uri="u")) == archive(path="p")
    assert held(marked(OUTPUT_SIGNATURE, value=1, secret=True, dependencies=[URN])) == Secret(1)
    assert held(marked(OUTPUT_SIGNATURE, dependencies=[])) == UNKNOWN
