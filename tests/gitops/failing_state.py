"""Places for stacks' state that can become read only, or full, and well again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import pytest
from over_http import over_http

_HOPS: Final = {"content-length", "content-encoding", "transfer-encoding", "connection", "expect"}


class OnTmpfs:
    """A file system of its own; mounting one takes root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"file://{folder}"

    def become_read_only(self) -> None:
        _mount("-o", "remount,ro", str(self.folder))

    def become_full(self) -> None:
        with (self.folder / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
            while True:
                filler.write(b"x" * 4096)

    def become_well(self) -> None:
        _mount("-o", "remount,rw", str(self.folder))
        (self.folder / "filler").unlink(missing_ok=True)


@contextmanager
def on_tmpfs(folder: Path) -> Iterator[OnTmpfs]:
    folder.mkdir()
    if _mount("-t", "tmpfs", "-o", "size=512k", "none", str(folder), may_fail=True):
        pytest.skip("a file system of its own cannot be mounted here")
    try:
        yield OnTmpfs(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def _mount(*arguments: str, may_fail: bool = False) -> int:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    assert may_fail or done.returncode == 0, done.stderr
    return done.returncode


@dataclass
class InS3:
    """A bucket of moto's behind what refuses writes as S3 and as MinIO do."""

    endpoint: str
    client: httpx.Client
    url: str = ""
    refusal: tuple[int, str] | None = None

    def become_read_only(self) -> None:
        self.refusal = (403, "AccessDenied")

    def become_full(self) -> None:
        self.refusal = (507, "XMinioStorageFull")

    def become_well(self) -> None:
        self.refusal = None

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.refusal is not None and request.method not in ("GET", "HEAD"):
            status, code = self.refusal
            said = f"<Error><Code>{code}</Code><Message>Not this time</Message></Error>"
            return httpx.Response(status, text=said, headers={"content-type": "application/xml"})
        url = f"{self.endpoint}{request.url.raw_path.decode()}"
        headers = {name: value for name, value in request.headers.items() if name not in _HOPS}
        found = self.client.request(request.method, url, headers=headers, content=request.content)
        kept = {name: value for name, value in found.headers.items() if name not in _HOPS}
        return httpx.Response(found.status_code, content=found.content, headers=kept)


@contextmanager
def in_s3(endpoint: str, bucket: str) -> Iterator[InS3]:
    """A new bucket."""
    import boto3

    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=bucket)
    with httpx.Client(trust_env=False, timeout=60) as client, over_http((place := InS3(endpoint, client)).answer) as url:
        place.url = f"s3://{bucket}?endpoint={url}&region=us-east-1&s3ForcePathStyle=true"
        yield place
