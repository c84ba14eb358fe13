"""Objects in a bucket of S3, or of anything that speaks its protocol, by boto3."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from heliostat.spec.addresses import StoreAddress
from heliostat.systems.errors import NoAccessError, PermanentError, RetryableError
from heliostat.systems.storage.base import (
    OWN,
    ObjectInfo,
    ObjectMissingError,
    Read,
    checked,
    page_type,
    reading,
    server_time,
    write_whole,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_BATCH = 1000
_PUT_BY = "heliostat-put"
"""Name of the metadata that tells one attempt to put an object from those of others."""


class S3:
    """Objects in a bucket, below a prefix."""

    def __init__(self, address: StoreAddress) -> None:
        parts = urlsplit(address.uri)
        self.bucket = parts.netloc
        self.prefix = f"{unquote(parts.path).strip('/')}/".lstrip("/")
        self.address = address
        self._client: S3Client | None = None

    @property
    def client(self) -> S3Client:
        """boto3's client, made at the first use: importing it takes a third of a second."""
        if self._client is None:
            import boto3
            from botocore.config import Config

            config = Config(connect_timeout=10, read_timeout=60, retries={"max_attempts": 5, "mode": "standard"})
            session = boto3.session.Session(region_name=self.address.region)
            region = session.region_name or "us-east-1"
            self._client = session.client("s3", endpoint_url=self.address.endpoint, region_name=region, config=config)
        return self._client

    def put(self, key: str, data: bytes, *, only_if_absent: bool = False) -> bool:  # noqa: D102
        with self.errors(f"write {self.uri(key)}"):
            if not only_if_absent:
                kind: Any = {"ContentType": page_type(key)} if page_type(key) else {}
                self.client.put_object(Bucket=self.bucket, Key=self._key(key), Body=data, **kind)
                return True
            return self._put_where(key, data, IfNoneMatch="*")

    def put_over(self, key: str, data: bytes, tag: str) -> bool:  # noqa: D102
        try:
            with self.errors(f"write {self.uri(key)}"):
                return self._put_where(key, data, IfMatch=tag)
        except ObjectMissingError:
            return False

    def put_file(self, key: str, path: Path) -> None:  # noqa: D102
        with self.errors(f"write {self.uri(key)}"), reading(path) as source:
            self.client.upload_fileobj(source, self.bucket, self._key(key))

    def get(self, key: str) -> bytes:  # noqa: D102
        with self.errors(f"read {self.uri(key)}"):
            return self.client.get_object(Bucket=self.bucket, Key=self._key(key))["Body"].read()

    def read(self, key: str) -> Read:  # noqa: D102
        with self.errors(f"read {self.uri(key)}"):
            found = self.client.get_object(Bucket=self.bucket, Key=self._key(key))
            return Read(found["Body"].read(), found["ETag"])

    def get_file(self, key: str, path: Path) -> None:  # noqa: D102
        with self.errors(f"read {self.uri(key)}"):
            write_whole(path, lambda file: self.client.download_fileobj(self.bucket, self._key(key), file), path.parent)

    def exists(self, key: str) -> bool:  # noqa: D102
        try:
            with self.errors(f"look for {self.uri(key)}"):
                self.client.head_object(Bucket=self.bucket, Key=self._key(key))
            return True
        except ObjectMissingError:
            return False

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:  # noqa: D102
        with self.errors(f"list {self.uri(prefix or '')}"):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)
            for page in pages:
                for item in page.get("Contents", ()):
                    key = item["Key"].removeprefix(self.prefix)
                    if not key.startswith(f"{OWN}/"):
                        yield ObjectInfo(key, item["Size"], item["LastModified"], item.get("ETag", "").strip('"'))

    def delete(self, key: str) -> None:  # noqa: D102
        with self.errors(f"delete {self.uri(key)}"):
            self.client.delete_object(Bucket=self.bucket, Key=self._key(key))

    def delete_old_versions(self, place: str) -> int:
        """Delete all versions of an object but the one that is there, or of all below a folder (with `/`); how many went.

        Marks that objects were deleted go with them. The bucket need not keep versions: then there are none.
        """
        top, is_folder = self._key(place.rstrip("/")), place.endswith("/")
        top = f"{top}/" if is_folder else top
        removed, marks = 0, list[dict[str, str]]()
        with self.errors(f"delete old versions of {self.uri(place)}"):
            for page in self.client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=top):
                found: list[Any] = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
                mine = [each for each in found if is_folder or each["Key"] == top]
                removed += self._delete_versions([_named(each) for each in mine if not each["IsLatest"]])
                # A mark that hides old versions goes last: killed before, none of them is back.
                marks += [_named(each) for each in mine if each["IsLatest"] and "Size" not in each]
            self._delete_versions(marks)
        return removed

    def _delete_versions(self, found: Sequence[Mapping[str, str]]) -> int:
        for start in range(0, len(found), _BATCH):
            these: Any = {"Objects": found[start : start + _BATCH], "Quiet": True}
            refused = self.client.delete_objects(Bucket=self.bucket, Delete=these).get("Errors", [])
            if refused:
                first = refused[0]
                told = (
                    f"{len(refused)} versions stay, as of {first.get('Key')}: {first.get('Code')} {first.get('Message', '')}"
                )
                raise PermanentError(f"the store refuses: {told}")
        return len(found)

    def uri(self, key: str) -> str:  # noqa: D102
        return f"s3://{self.bucket}/{self.prefix}{key}"

    def look(self) -> datetime | None:  # noqa: D102 - see BucketStore
        with self.errors(f"look for the bucket {self.bucket}"):
            answer: Any = self.client.head_bucket(Bucket=self.bucket)
        return server_time(answer["ResponseMetadata"]["HTTPHeaders"].get("date"))

    def create_bucket(self) -> None:  # noqa: D102
        region = self.address.region or self.client.meta.region_name
        with self.errors(f"create the bucket {self.bucket}"):
            if region in (None, "us-east-1", "aws-global"):
                self.client.create_bucket(Bucket=self.bucket)
            else:
                where: Any = {"LocationConstraint": region}
                self.client.create_bucket(Bucket=self.bucket, CreateBucketConfiguration=where)

    def delete_bucket(self) -> None:  # noqa: D102
        with self.errors(f"delete the bucket {self.bucket}"):
            self.client.delete_bucket(Bucket=self.bucket)

    def clear(self, keep: str) -> None:  # noqa: D102
        left = (found.key for found in list(self.list()) if not found.key.startswith(keep))
        with self.errors(f"empty {self.uri('')}"):
            while batch := [{"Key": self.prefix + key} for key in islice(left, _BATCH)]:
                these: Any = {"Objects": batch, "Quiet": True}
                self.client.delete_objects(Bucket=self.bucket, Delete=these)

    def holds_others(self, key: str) -> bool:  # noqa: D102
        with self.errors(f"list the bucket {self.bucket}"):
            found = self.client.list_objects_v2(Bucket=self.bucket, MaxKeys=2).get("Contents", [])
        return any(item["Key"] != self.prefix + key for item in found)

    def _key(self, key: str) -> str:
        return self.prefix + checked(key)

    def _put_where(self, key: str, data: bytes, **condition: str) -> bool:
        """Put on a condition. boto3 asks again where an answer is lost or is 503, and finds what the first time put there: the
        object tells who did it."""
        from botocore.exceptions import ClientError

        mark = uuid.uuid4().hex
        asked: Any = condition
        try:
            self.client.put_object(Bucket=self.bucket, Key=self._key(key), Body=data, Metadata={_PUT_BY: mark}, **asked)
            return True
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in ("PreconditionFailed", "412"):
                raise
            return error.response["ResponseMetadata"].get("RetryAttempts", 0) > 0 and self._mark_of(key) == mark

    def _mark_of(self, key: str) -> str:
        try:
            with self.errors(f"look for {self.uri(key)}"):
                return self.client.head_object(Bucket=self.bucket, Key=self._key(key))["Metadata"].get(_PUT_BY, "")
        except ObjectMissingError:
            return ""

    @contextmanager
    def errors(self, what: str) -> Iterator[None]:
        """Whatever S3 says no with while doing `what`, as one of our errors."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ProfileNotFound

        try:
            yield
        except ClientError as error:
            raise self._explained(error.response, what) from None
        except NoCredentialsError:
            fix = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            raise NoAccessError(f"cannot {what}: no AWS credentials; {fix}") from None
        except ProfileNotFound as error:
            raise NoAccessError(f"cannot {what}: {error}; write it, or correct AWS_PROFILE") from None
        except BotoCoreError as error:
            raise RetryableError(f"cannot {what}: {error}") from None

    def _explained(self, response: object, what: str) -> PermanentError | RetryableError:
        answer = response if isinstance(response, dict) else {}
        code = str(answer.get("Error", {}).get("Code", ""))
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code == "NoSuchBucket":
            return PermanentError(f"cannot {what}: there is no bucket {self.bucket}; create it, or correct its name")
        if code in ("NoSuchKey", "404", "NotFound"):
            return ObjectMissingError(f"cannot {what}: there is no such object")
        if status >= 500 or code in ("SlowDown", "RequestTimeout", "Throttling", "ConditionalRequestConflict"):
            return RetryableError(f"cannot {what}: the store answered {status} {code}")
        reason = answer.get("Error", {}).get("Message", "")
        return PermanentError(f"cannot {what}: the store answered {status} {code}: {reason}")


def _named(version: Mapping[str, Any]) -> dict[str, str]:
    return {"Key": version["Key"], "VersionId": version["VersionId"]}
