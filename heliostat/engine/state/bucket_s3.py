"""A backend in an S3 bucket, or in anything that speaks S3 (`?endpoint=…&region=…&s3ForcePathStyle=true`).

Credentials are found where boto3 finds them (environment, profile, instance). S3 replaces an object as a whole, so each
write is atomic by itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from heliostat.engine.stackerrors import StackError, StorageError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_KNOWN = frozenset(
    {
        "region",
        "endpoint",
        "profile",
        "awssdk",
        "s3ForcePathStyle",
        "use_path_style",
        "hostname_immutable",
        "disableSSL",
        "disable_https",
    }
)

_DENIED = frozenset({"AccessDenied", "403"})
"""What S3 calls a right that is missing; an answer without a body has its number alone."""


def _true(value: str | None) -> bool:
    return (value or "").lower() in {"1", "t", "true", "yes"}


class S3Bucket:
    """The objects of a bucket below a prefix."""

    def __init__(self, bucket: str, prefix: str, query: Mapping[str, str], url: str) -> None:
        if not bucket:
            raise StackError(f"{url!r} names no bucket: write s3://BUCKET or s3://BUCKET/PREFIX")
        unknown = sorted(query.keys() - _KNOWN)
        if unknown:
            known = ", ".join(sorted(_KNOWN))
            raise StackError(f"unknown parameters in the backend URL: {', '.join(unknown)}; known are {known}")
        self.url = url
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = _client(query)

    def read(self, key: str) -> bytes | None:
        """The object's content, or None."""
        with self._reported("read", key):
            try:
                return self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"].read()
            except self._client.exceptions.NoSuchKey:
                return None

    def write(self, key: str, content: bytes, *, keep: str = "") -> None:
        """Puts the object; what stood there is copied to `keep` before."""
        if keep and self._exists(key):
            self.copy(key, keep)
        with self._reported("write", key):
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=content)

    def copy(self, source: str, target: str) -> None:
        """Copies inside the bucket."""
        with self._reported("copy", source):
            origin = {"Bucket": self._bucket, "Key": self._prefix + source}
            self._client.copy_object(Bucket=self._bucket, Key=self._prefix + target, CopySource=origin)  # type: ignore[arg-type]

    def delete(self, key: str) -> None:
        """Removes the object."""
        with self._reported("remove", key):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)

    def list(self, prefix: str) -> list[str]:
        """Every key below the folder, sorted."""
        folder = f"{self._prefix}{prefix.rstrip('/')}/"
        with self._reported("list", prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=folder)
            return sorted(found["Key"].removeprefix(self._prefix) for page in pages for found in page.get("Contents", []))

    def describe(self, key: str) -> str:
        """The object's URL."""
        return f"s3://{self._bucket}/{self._prefix}{key}"

    def _exists(self, key: str) -> bool:
        from botocore.exceptions import ClientError

        with self._reported("read", key):
            try:
                self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    return False
                raise
        return True

    @contextlib.contextmanager
    def _reported(self, action: str, key: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise StorageError(f"cannot {action} {self.describe(key)}: {_told(error)}") from error


def _told(error: Exception) -> str:
    code = str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
    if code in _DENIED:
        return f"whoever this runs as has no right to it ({error})"
    return str(error)


def _client(query: Mapping[str, str]) -> S3Client:
    """A client for the bucket's service; `endpoint` without a scheme means https, or http with `disable_https`."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    endpoint = query.get("endpoint")
    if endpoint and "://" not in endpoint:
        endpoint = f"{'http' if _true(query.get('disable_https') or query.get('disableSSL')) else 'https'}://{endpoint}"
    path_style = _true(query.get("s3ForcePathStyle") or query.get("use_path_style"))
    config = Config(s3={"addressing_style": "path"}) if path_style else Config()
    try:
        session = boto3.Session(profile_name=query.get("profile"), region_name=query.get("region"))
        return session.client("s3", endpoint_url=endpoint, config=config)
    except BotoCoreError as error:
        raise StackError(f"the backend URL's s3 settings are refused: {error}") from error
