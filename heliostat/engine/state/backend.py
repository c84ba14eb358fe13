"""Stacks in a bucket, laid out as the official CLI's own ("DIY") backend, version 1 (`.pulumi/meta.yaml`)."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliostat.engine.stackerrors import NotFoundError, PassphraseError, StackError
from heliostat.engine.state import checkpoint, locks
from heliostat.engine.state.bucket import Bucket, FileBucket, open_bucket
from heliostat.engine.state.checkpoint import Document, Encoder, Opener, Openers
from heliostat.engine.state.secrets import Crypter, Keyring
from heliostat.engine.state.snapshot import Snapshot
from heliostat.engine.state.unreadable import stand_in
from heliostat.engine.state.urns import ROOT_STACK_TYPE

ORGANIZATION = "organization"
_META = ".pulumi/meta.yaml"
_NAME = re.compile(r"(?!\.+$)[A-Za-z0-9_.-]{1,100}")


@dataclass(frozen=True)
class StackRef:
    """A stack's project and name."""

    project: str
    name: str

    @property
    def full_name(self) -> str:
        """`organization/project/name`, as locks and checkpoints have it."""
        return f"{ORGANIZATION}/{self.project}/{self.name}"

    @property
    def file(self) -> str:
        """The key of its checkpoint."""
        return f".pulumi/stacks/{self.project}/{self.name}.json"

    @property
    def going_on(self) -> str:
        """The key of what is known of work that its updates left."""
        return f".heliostat/going-on/{self.project}/{self.name}.json"

    @classmethod
    def parse(cls, text: str, project: str) -> StackRef:
        """Reads `name`, `project/name` or `organization/project/name`; raises StackError for anything else."""
        parts = text.split("/")
        if len(parts) == 3 and parts[0] not in {ORGANIZATION, ""}:
            raise StackError(f"the stack {text!r} is of organization {parts[0]!r}; this backend only has {ORGANIZATION!r}")
        if not 1 <= len(parts) <= 3 or not all(_NAME.fullmatch(part) for part in parts):
            raise StackError(
                f"{text!r} is no stack name: it may have letters, digits, `-`, `_` and `.`, at most 100 of them; "
                f"a stack of another project is {ORGANIZATION}/PROJECT/NAME"
            )
        return cls(parts[-2] if len(parts) > 1 else project, parts[-1])


def backend_url(environment: Mapping[str, str], project_backend: str, home: Path) -> str:
    """Where state is: PULUMI_BACKEND_URL, the project's `backend.url`, what `pulumi login` chose, else the home directory."""
    if environment.get("PULUMI_BACKEND_URL"):
        return environment["PULUMI_BACKEND_URL"]
    if project_backend:
        return project_backend
    try:
        current = json.loads((home / "credentials.json").read_text())["current"]
    except (OSError, ValueError, KeyError, TypeError):
        current = ""
    return str(current) or "file://~"


def pulumi_home(environment: Mapping[str, str]) -> Path:
    """The CLI's own folder: PULUMI_HOME, or `.pulumi` in the home directory."""
    return Path(environment.get("PULUMI_HOME") or "~/.pulumi").expanduser()


class Backend:
    """The stacks that one backend URL keeps."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.advice: Callable[[StackRef], str] = _advice
        """What to do about a stack that is not here."""

    @classmethod
    def open(cls, url: str) -> Backend:
        """Opens the store; raises StackError where it has another layout than this engine's."""
        backend = cls(open_bucket(url))
        meta = backend.bucket.read(_META)
        if meta is not None and not re.fullmatch(rb"\s*version:\s*1\s*", meta):
            raise StackError(
                f"{backend.bucket.describe(_META)} says {meta.decode(errors='replace').strip()!r}; the embedded engine knows "
                "`version: 1`. `pulumi state upgrade` of the official CLI moves older state; newer needs that CLI"
            )
        old = [key for key in backend.bucket.list(".pulumi/stacks") if key.count("/") == 2] if meta is None else []
        if any(key.endswith(".json") for key in old):
            raise StackError(
                f"{url} holds stacks of the old layout without projects: `pulumi state upgrade` of the official CLI moves them"
            )
        return backend

    def exists(self, ref: StackRef) -> bool:
        """Whether the stack was initialised."""
        return self.bucket.read(ref.file) is not None

    def read(self, ref: StackRef) -> Document:
        """The stack's checkpoint; raises NotFoundError where there is none, StackError where it is damaged."""
        content = self.bucket.read(ref.file)
        if content is None:
            self._refuse_compressed(ref)
            raise NotFoundError(
                f"no stack named {ref.name!r} of project {ref.project!r} in {self.bucket.url}: {self.advice(ref)}"
            )
        return checkpoint.parse(content, self.bucket.describe(ref.file), self.bucket.describe(f"{ref.file}.bak"))

    def _refuse_compressed(self, ref: StackRef) -> None:
        for suffix in (".gz", ".zst"):
            if self.bucket.read(ref.file + suffix) is not None:
                raise StackError(
                    f"{self.bucket.describe(ref.file + suffix)} is compressed: unset PULUMI_DIY_BACKEND_GZIP and "
                    "PULUMI_DIY_BACKEND_ZSTD and run `pulumi up` of the official CLI once"
                )

    def create(self, ref: StackRef, crypter: Crypter | None) -> None:
        """Initialises a stack; raises StackError where it exists."""
        if self.exists(ref):
            raise StackError(f"the stack {ref.name!r} already exists in {self.bucket.url}")
        self._refuse_compressed(ref)
        if self.bucket.read(_META) is None:
            self.bucket.write(_META, b"version: 1\n")
        # Whoever renames or removes a stack by the official CLI leaves it, and it is none of this one's.
        self.bucket.delete(ref.going_on)
        encoder = Encoder(ref.full_name, crypter)
        self.bucket.write(ref.file, encoder.document(encoder.body(Snapshot()), checkpoint.manifest()))

    def write(self, ref: StackRef, content: bytes) -> None:
        """Replaces the checkpoint and leaves the one before it as `.bak`."""
        self.bucket.write(ref.file, content, keep=f"{ref.file}.bak")

    def remove(self, ref: StackRef) -> None:
        """Forgets a stack: its checkpoint becomes the backup, all else that is called after it goes, but for its locks."""
        content = self.bucket.read(ref.file)
        if content is not None:
            self.bucket.write(f"{ref.file}.bak", content)
            self.bucket.delete(ref.file)
        self.bucket.delete(ref.going_on)
        for key in self.bucket.list(f".pulumi/history/{ref.project}/{ref.name}"):
            self.bucket.delete(key)

    def remove_copies(self, ref: StackRef) -> None:
        """Deletes what is kept of a stack that is removed: its last checkpoint, and a backup of each operation."""
        for key in [f"{ref.file}.bak", *self.bucket.list(f".pulumi/backups/{ref.project}/{ref.name}")]:
            self.bucket.delete(key)
        if isinstance(self.bucket, FileBucket):
            for key in (ref.file, f"{ref.file}.bak"):
                self.bucket.remove_unfinished(key)
            of_stack = f"{ref.project}/{ref.name}"
            for folder in (f"backups/{of_stack}", f"history/{of_stack}", f"locks/{ref.full_name}"):
                self.bucket.remove_empty_folders(f".pulumi/{folder}")

    def stacks(self, project: str | None = None) -> list[StackRef]:
        """The stacks of a project, or all of them."""
        found = []
        for key in self.bucket.list(".pulumi/stacks"):
            parts = key.removeprefix(".pulumi/stacks/").split("/")
            if len(parts) == 2 and parts[1].endswith(".json") and project in {None, parts[0]}:
                found.append(StackRef(parts[0], parts[1].removesuffix(".json")))
        return found

    def keep_copies(self, ref: StackRef) -> None:
        """A backup of the checkpoint as an operation left it, as the CLI keeps one of each."""
        if os.environ.get("PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS", "").lower() not in {"1", "true"}:
            self.bucket.copy(ref.file, f".pulumi/backups/{ref.project}/{ref.name}/{ref.name}.{time.time_ns()}.json")

    def cancel(self, ref: StackRef) -> int:
        """Removes the stack's locks; tells how many there were."""
        return locks.release_all(self.bucket, ref.full_name)


def _advice(ref: StackRef) -> str:
    return f"make it with `heliostat stack init {ref.name}`, or list the stacks with `heliostat stack ls`"


class Checkpoints:
    """The engine's SnapshotSink: each snapshot of one stack, durably, and only where it says something new."""

    def __init__(self, backend: Backend, ref: StackRef, crypter: Crypter | None, before: Document) -> None:
        self._backend = backend
        self._ref = ref
        self._encoder = Encoder(ref.full_name, crypter, before.extra)
        self._plugins = list(((before.deployment or {}).get("manifest") or {}).get("plugins") or [])
        self._same_salt = before.deployment is not None and before.salt == (crypter.salt if crypter else "")
        self._written = ""

    def begin(self, snapshot: Snapshot) -> None:
        """Takes note of what is stored already, so that saving the same again writes nothing."""
        if self._same_salt:  # else everything is to be encrypted anew
            self._written = self._encoder.body(snapshot)

    def save(self, snapshot: Snapshot) -> None:
        """Writes the snapshot; raises StorageError where it cannot, and the one before it is intact."""
        body = self._encoder.body(snapshot)
        if body == self._written:
            return
        plugins = list(snapshot.manifest.get("plugins") or self._plugins)
        self._backend.write(self._ref, self._encoder.document(body, checkpoint.manifest(plugins)))
        self._written = body


class StackOutputs:
    """The engine's StackReader: what a StackReference of the program reads."""

    def __init__(self, backend: Backend, project: str, keyring: Keyring) -> None:
        self._backend = backend
        self._project = project
        self._keyring = keyring

    def outputs(self, stack_name: str) -> dict[str, Any]:
        """The outputs of `name` or `organization/project/name`, secrets wrapped; raises NotFoundError where it is none.

        What cannot be decrypted is an `unreadable.stand_in`: that stack may have another passphrase.
        """
        ref = StackRef.parse(stack_name, self._project)
        return stack_outputs(self._backend.read(ref), _OfAnother(self._keyring, ref.full_name))


@dataclass
class _OfAnother:
    """The openers of another stack's secrets; what none of them opens has a stand-in."""

    keyring: Keyring
    stack: str
    salt: str = ""
    closed: bool = False

    def of(self, salt: str) -> Opener:
        """The opener of `salt`; a stack has one."""
        self.salt = salt
        return self

    def decrypt(self, ciphertext: str, place: str = "") -> str:
        """The text of a ciphertext, or the JSON of a stand-in."""
        try:
            if not self.closed:
                return self.keyring.of(self.salt).decrypt(ciphertext, place)
        except PassphraseError:
            self.closed = True  # another try takes as long, and comes to the same
        except StackError:
            pass
        return json.dumps(stand_in(self.stack, place.partition(" outputs.")[2]))


def stack_outputs(document: Document, openers: Openers) -> dict[str, Any]:
    """What the program of a checkpoint exported, secrets wrapped; nothing else of it is decrypted."""
    resources = (document.deployment or {}).get("resources") or []
    roots = [r for r in resources if r["type"] == ROOT_STACK_TYPE and not r.get("parent")]
    if not roots:
        return {}
    kept = {"resources": roots, "secrets_providers": (document.deployment or {}).get("secrets_providers")}
    return checkpoint.decode(Document(document.stack, kept), openers).resources[0].outputs
