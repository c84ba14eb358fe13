"""A Google Cloud Storage in memory, over HTTP: the calls of its XML and JSON APIs that object stores make.

The servers that package indexes have speak the JSON API only, and most of what is done to objects goes through the other one.
Generations, preconditions and errors are as Google documents them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from hashlib import md5
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

PAGE = 3
"""Objects in one answer to a listing."""


@dataclass(frozen=True)
class Stored:
    data: bytes
    generation: int
    modified: float

    @property
    def headers(self) -> dict[str, str]:
        etag = f'"{md5(self.data).hexdigest()}"'
        return {
            "ETag": etag, "x-goog-generation": str(self.generation), "x-goog-metageneration": "1",
            "Last-Modified": formatdate(self.modified, usegmt=True),
        }  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """What the server answers in place of its next `times` answers; `late` once it did what was asked."""

    status: int
    code: str
    times: int = 1
    late: bool = False


@dataclass
class Cloud:
    buckets: dict[str, dict[str, Stored]] = field(default_factory=dict)
    made: list[dict[str, Any]] = field(default_factory=list)
    """The bodies and projects that buckets were asked for with."""
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and `Authorization` of each."""
    tokens: int = 0
    """How many were given, at `/token`."""
    failures: list[Failure] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    """Names of buckets that are somebody else's."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    generations: Iterator[int] = field(default_factory=lambda: count(1_700_000_000_000_001))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A head and a body in one packet each would wait for the other side's delayed acknowledgement.
    disable_nagle_algorithm = True
    cloud: Cloud

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        cloud = self.cloud
        with cloud.lock:
            cloud.requests.append((self.command, self.path, self.headers.get("Authorization", "")))
            failure = self._failure()
            if failure is None or failure.late:
                self._silent = failure is not None
                if parts.path == "/token":
                    cloud.tokens += 1
                    self._json(200, {"access_token": f"token-{cloud.tokens}", "expires_in": 3600, "token_type": "Bearer"})
                elif parts.path.startswith("/storage/v1/b"):
                    names = parts.path.removeprefix("/storage/v1/b").strip("/").split("/o/", 1)
                    self._json_api(names, query, body)
                else:
                    bucket, _, key = parts.path.lstrip("/").partition("/")
                    self._object(unquote(bucket), unquote(key), query, body)
            self._silent = False
            if failure is not None:
                self._error(failure.status, failure.code)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any
    _silent = False

    def _failure(self) -> Failure | None:
        if not self.cloud.failures:
            return None
        first = self.cloud.failures.pop(0)
        if first.times > 1:
            self.cloud.failures.insert(0, Failure(first.status, first.code, first.times - 1, first.late))
        return first

    def _json_api(self, names: list[str], query: dict[str, str], body: bytes) -> None:
        cloud, name = self.cloud, names[0].removesuffix("/o")
        if self.command == "POST":
            self._make(json.loads(body), query["project"])
        elif name in cloud.taken:
            self._json(403, {"error": {"code": 403, "message": "somebody does not have storage.objects.list access"}})
        elif name not in cloud.buckets:
            self._json(404, {"error": {"code": 404, "message": "The specified bucket does not exist."}})
        elif self.command == "GET" and len(names) > 1:
            self._describe(cloud.buckets[name], unquote(names[1]))
        elif self.command == "GET":
            self._list(cloud.buckets[name], query)
        elif len(names) > 1:
            gone = cloud.buckets[name].pop(unquote(names[1]), None)
            self._answer(204 if gone else 404, b"")
        elif cloud.buckets[name]:
            self._json(409, {"error": {"code": 409, "message": "The bucket you tried to delete is not empty."}})
        else:
            del cloud.buckets[name]
            self._answer(204, b"")

    def _make(self, asked: dict[str, Any], project: str) -> None:
        cloud = self.cloud
        if asked["name"] in cloud.buckets or asked["name"] in cloud.taken:
            self._json(409, {"error": {"code": 409, "message": "The requested bucket name is not available."}})
            return
        cloud.buckets[asked["name"]] = {}
        cloud.made.append({**asked, "project": project})
        self._json(200, asked)

    def _object(self, bucket: str, key: str, query: dict[str, str], body: bytes) -> None:
        objects = self.cloud.buckets.get(bucket)
        if objects is None:
            self._error(404, "NoSuchBucket")
        elif not key:
            self._list_in_xml(objects, query)
        elif "uploads" in query or "uploadId" in query:
            self._multipart(objects, key, query, body)
        elif self.command == "PUT":
            self._put(objects, key, body)
        elif key not in objects:
            self._error(404, "NoSuchKey")
        elif self.command == "DELETE":
            del objects[key]
            self._answer(204, b"")
        else:
            self._get(objects[key])

    def _put(self, objects: dict[str, Stored], key: str, body: bytes) -> None:
        wanted = self.headers.get("x-goog-if-generation-match")
        there = objects[key].generation if key in objects else 0
        if wanted is not None and int(wanted) != there:
            self._error(412, "PreconditionFailed")
            return
        if (source := self.headers.get("x-goog-copy-source")) is not None:
            bucket, _, name = unquote(source).lstrip("/").partition("/")
            if name not in self.cloud.buckets.get(bucket, {}):
                self._error(404, "NoSuchKey")
                return
            body = self.cloud.buckets[bucket][name].data
        objects[key] = Stored(body, next(self.cloud.generations), datetime.now(UTC).timestamp())
        self._answer(200, b"", objects[key].headers)

    def _get(self, stored: Stored) -> None:
        size = len(stored.data)
        if (asked := self.headers.get("Range")) is None:
            self._answer(200, stored.data, stored.headers)
            return
        begin, _, end = asked.removeprefix("bytes=").partition("-")
        first, last = int(begin), min(int(end or size - 1), size - 1)
        told = {**stored.headers, "Content-Range": f"bytes {first}-{last}/{size}"}
        self._answer(206, stored.data[first : last + 1], told)

    def _describe(self, objects: dict[str, Stored], key: str) -> None:
        if key in objects:
            self._json(200, _described(key, objects[key]))
        else:
            self._json(404, {"error": {"code": 404, "message": f"No such object: {key}"}})

    def _list(self, objects: dict[str, Stored], query: dict[str, str]) -> None:
        after = query.get("pageToken", "")
        keys = [key for key in sorted(objects, key=str.encode) if key.startswith(query.get("prefix", "")) and key > after]
        items = [_described(key, objects[key]) for key in keys[:PAGE]]
        self._json(200, {**({"items": items} if items else {}), **({"nextPageToken": keys[PAGE - 1]} if keys[PAGE:] else {})})

    def _list_in_xml(self, objects: dict[str, Stored], query: dict[str, str]) -> None:
        after = query.get("continuation-token", "")
        keys = [key for key in sorted(objects, key=str.encode) if key.startswith(query.get("prefix", "")) and key > after]
        page = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(one.data)}</Size><ETag>{escape(one.headers['ETag'])}</ETag>"
            f"<LastModified>{datetime.fromtimestamp(one.modified, UTC).isoformat()}</LastModified></Contents>"
            for key, one in ((key, objects[key]) for key in keys[:PAGE])
        )
        more = f"<NextContinuationToken>{escape(keys[PAGE - 1])}</NextContinuationToken>" if keys[PAGE:] else ""
        self._answer(200, f"<ListBucketResult>{more}{page}</ListBucketResult>".encode())

    def _multipart(self, objects: dict[str, Stored], key: str, query: dict[str, str], body: bytes) -> None:
        uploads, identifier = self.cloud.uploads, query.get("uploadId", "")
        if "uploads" in query:
            identifier = f"upload-{next(self.cloud.generations)}"
            uploads[identifier] = {}
            told = f"<InitiateMultipartUploadResult><UploadId>{identifier}</UploadId></InitiateMultipartUploadResult>"
            self._answer(200, told.encode())
        elif self.command == "PUT":
            uploads[identifier][int(query["partNumber"])] = body
            self._answer(200, b"", {"ETag": f'"{md5(body).hexdigest()}"'})
        elif self.command == "DELETE":
            del uploads[identifier]
            self._answer(204, b"")
        else:
            named = [int(part.findtext("{*}PartNumber") or 0) for part in ElementTree.fromstring(body).iter("{*}Part")]
            held = uploads.pop(identifier)
            whole = b"".join(held[number] for number in (named or sorted(held)))
            objects[key] = Stored(whole, next(self.cloud.generations), datetime.now(UTC).timestamp())
            etag = objects[key].headers["ETag"]
            told = f"<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>"
            self._answer(200, told.encode(), {"x-goog-generation": str(objects[key].generation)})

    def _json(self, status: int, told: dict[str, object]) -> None:
        self._answer(status, json.dumps(told).encode())

    def _error(self, status: int, code: str) -> None:
        phrase = HTTPStatus(status).phrase
        self._answer(status, f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{phrase}.</Message></Error>".encode())

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        if self._silent:
            return
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the test tells what it needs."""


def _described(key: str, stored: Stored) -> dict[str, str]:
    updated = datetime.fromtimestamp(stored.modified, UTC).isoformat().replace("+00:00", "Z")
    return {"name": key, "size": str(len(stored.data)), "generation": str(stored.generation), "updated": updated}


@contextmanager
def serving() -> Iterator[tuple[str, Cloud]]:
    """Its URL, and what is in it."""
    cloud = Cloud()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"cloud": cloud}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", cloud
    server.shutdown()
    server.server_close()
    thread.join()
