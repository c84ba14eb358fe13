"""A stack's checkpoint as bytes, and back: the official CLI's format, version 3.

What a newer CLI wrote and this engine does not read is kept and written back: unknown fields of a resource in
`Resource.extra`, those of the deployment in `Document.extra`. Only resources that are new, by identity, are encoded anew.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Protocol

from heliostat.engine.stackerrors import StackError
from heliostat.engine.state.secrets import Crypter
from heliostat.engine.state.snapshot import OperationType, PendingOperation, Resource, Snapshot
from heliostat.engine.state.stored import Hide, Reveal, compact, decode_properties, decode_value, encode_value

VERSION = 3
ENGINE_VERSION = "v3.260.0+heliostat"
"""The CLI whose format this is, and who wrote it. The manifest's magic is its digest, which the CLI checks."""

# snake case here, the checkpoint's name there; all are left out where they are empty
_FIELDS = {
    "id": "id",
    "parent": "parent",
    "provider": "provider",
    "dependencies": "dependencies",
    "property_dependencies": "propertyDependencies",
    "protect": "protect",
    "external": "external",
    "delete": "delete",
    "pending_replacement": "pendingReplacement",
    "retain_on_delete": "retainOnDelete",
    "deleted_with": "deletedWith",
    "additional_secret_outputs": "additionalSecretOutputs",
    "aliases": "aliases",
    "init_errors": "initErrors",
    "custom_timeouts": "customTimeouts",
    "ignore_changes": "ignoreChanges",
    "replace_on_changes": "replaceOnChanges",
    "resource_hooks": "resourceHooks",
    "hide_diffs": "hideDiff",
    "created": "created",
    "modified": "modified",
    "source_position": "sourcePosition",
}
_TRIGGER = "replacementTrigger"
_READ = frozenset({*_FIELDS.values(), "urn", "type", "custom", "inputs", "outputs", _TRIGGER})
_DEPLOYMENT = frozenset({"manifest", "secrets_providers", "resources", "pending_operations", "metadata"})


@dataclass
class Document:
    """A checkpoint file, parsed and checked, its secrets still encrypted.

    `deployment` is the CLI's `latest`, or None where nothing was ever deployed.
    """

    stack: str
    deployment: dict[str, Any] | None
    version: int = VERSION

    @property
    def extra(self) -> dict[str, Any]:
        """The deployment's fields that nobody here reads."""
        return {name: value for name, value in (self.deployment or {}).items() if name not in _DEPLOYMENT}

    @property
    def salt(self) -> str:
        """The salt that its secrets are encrypted with; empty where it has none."""
        provider = (self.deployment or {}).get("secrets_providers") or {}
        return str((provider.get("state") or {}).get("salt", ""))


def parse(content: bytes, file: str, backup: str) -> Document:
    """Reads a checkpoint file; raises StackError, naming `file` and `backup`, where it is damaged or of another version."""
    hint = f"Nothing was changed. The checkpoint before it is {backup}."
    try:
        whole = json.loads(content)
        version, checkpoint = whole["version"], whole["checkpoint"]
        stack, latest = checkpoint["stack"], checkpoint.get("latest")
        if not isinstance(version, int) or not (latest is None or isinstance(latest, dict)):
            raise TypeError("`version` or `latest` has the wrong type")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise StackError(f"the state file {file} is damaged ({what}). {hint}") from error
    if latest is not None:
        check_deployment(latest, version, whole.get("features") or [], f"the state file {file}", hint)
    return Document(stack, latest, version)


def check_deployment(latest: dict[str, Any], version: int, features: list[str], what: str, hint: str) -> None:
    """Raises StackError where a deployment is of a version, or has secrets of a kind, that this engine does not speak."""
    if version != VERSION:
        newer = f"it is newer, or uses what this engine cannot do ({', '.join(features) or 'unknown features'})"
        raise StackError(
            f"{what} has version {version}; the embedded engine speaks version {VERSION}: "
            f"{newer if version > VERSION else 'it is older'}. Use the official Pulumi CLI for this stack. {hint}"
        )
    provider = latest.get("secrets_providers") or {}
    if provider.get("type", "passphrase") not in {"", "passphrase"}:
        raise StackError(
            f"{what} keeps its secrets with {provider['type']!r}; the embedded engine knows `passphrase`. "
            f"Use the official Pulumi CLI for this stack. {hint}"
        )
    resources = latest.get("resources") or []
    broken = [str(n) for n, r in enumerate(resources) if not isinstance(r, dict) or not r.get("urn") or not r.get("type")]
    if broken:
        raise StackError(f"{what} is damaged: resources without urn or type, number {', '.join(broken)}. {hint}")


# ---- reading


class Opener(Protocol):
    """Decrypts the secrets of one salt."""

    def decrypt(self, ciphertext: str, place: str = "") -> str:
        """The text of a ciphertext."""


class Openers(Protocol):
    """Finds the opener of a salt; a `Keyring` is one."""

    def of(self, salt: str) -> Opener:
        """The opener of `salt`."""


def decode(document: Document, openers: Openers) -> Snapshot:
    """The snapshot that a document holds, decrypted; secrets need a passphrase, and only secrets do."""
    latest = document.deployment
    if latest is None:
        return Snapshot()

    def reveal(ciphertext: str, place: str) -> str:
        if not document.salt:
            raise StackError(f"the secret at {place} cannot be decrypted: the state names no encryption salt")
        return openers.of(document.salt).decrypt(ciphertext, place)

    operations = [
        PendingOperation(_decode_resource(operation["resource"], reveal), OperationType(operation["type"]))
        for operation in latest.get("pending_operations") or []
    ]
    return Snapshot(
        resources=[_decode_resource(resource, reveal) for resource in latest.get("resources") or []],
        pending_operations=operations,
        manifest=dict(latest.get("manifest") or {}),
        metadata=dict(latest.get("metadata") or {}),
    )


def _decode_resource(stored: dict[str, Any], reveal: Reveal) -> Resource:
    urn = stored["urn"]
    known = {ours: stored[theirs] for ours, theirs in _FIELDS.items() if stored.get(theirs)}
    return Resource(
        urn=urn,
        type=stored["type"],
        custom=bool(stored.get("custom")),
        inputs=decode_properties(stored.get("inputs") or {}, reveal, f"{urn} inputs"),
        outputs=decode_properties(stored.get("outputs") or {}, reveal, f"{urn} outputs"),
        replacement_trigger=decode_value(stored.get(_TRIGGER), reveal, f"{urn} {_TRIGGER}"),
        extra={name: value for name, value in stored.items() if name not in _READ},
        **known,
    )


# ---- writing


def encode_resource(resource: Resource, hide: Hide) -> dict[str, Any]:
    """A resource as the checkpoint holds it."""
    stored: dict[str, Any] = {"urn": resource.urn, "custom": resource.custom, "type": resource.type}
    stored |= {theirs: value for ours, theirs in _FIELDS.items() if (value := getattr(resource, ours))}
    for name in ("inputs", "outputs"):
        properties = getattr(resource, name)
        if properties:
            stored[name] = encode_value(properties, hide, f"{resource.urn} {name}")
    if resource.replacement_trigger is not None:
        stored[_TRIGGER] = encode_value(resource.replacement_trigger, hide, f"{resource.urn} {_TRIGGER}")
    return stored | resource.extra


def manifest(plugins: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """What the CLI asks of every checkpoint: when, by which version, and that version's digest."""
    made = {
        "time": datetime.datetime.now().astimezone().isoformat(),
        "magic": hashlib.sha256(ENGINE_VERSION.encode()).hexdigest(),
        "version": ENGINE_VERSION,
    }
    return made | ({"plugins": plugins} if plugins else {})


class Encoder:
    """Turns one snapshot after another of the same stack into bytes, encoding only what is new.

    Not safe to use from two threads at once.
    """

    def __init__(self, stack: str, crypter: Crypter | None, extra: dict[str, Any] | None = None) -> None:
        """`stack` is `organization/project/name`; without a `crypter`, a secret is a StackError."""
        self._stack = stack
        self._crypter = crypter
        self._extra = extra or {}
        self._texts: dict[int, tuple[Resource, str]] = {}

    def body(self, snapshot: Snapshot) -> str:
        """Everything but the manifest: equal where two snapshots say the same."""
        texts: dict[int, tuple[Resource, str]] = {}
        resources = ",".join(self._text(resource, texts) for resource in snapshot.resources)
        operations = ",".join(
            f'{{"resource":{self._text(operation.resource, texts)},"type":"{operation.type}"}}'
            for operation in snapshot.pending_operations
        )
        self._texts = texts
        parts = []
        if self._crypter is not None:
            parts.append(f'"secrets_providers":{{"type":"passphrase","state":{{"salt":{compact(self._crypter.salt)}}}}}')
        parts += [f'"resources":[{resources}]'] if resources else []
        parts += [f'"pending_operations":[{operations}]'] if operations else []
        parts.append(f'"metadata":{compact(snapshot.metadata)}')
        parts += [f"{compact(name)}:{compact(value)}" for name, value in self._extra.items()]
        return ",".join(parts)

    def document(self, body: str, head: dict[str, Any]) -> bytes:
        """The whole file, of a body and a manifest."""
        latest = f'{{"manifest":{compact(head)},{body}}}'
        return f'{{"version":{VERSION},"checkpoint":{{"stack":{compact(self._stack)},"latest":{latest}}}}}\n'.encode()

    def _text(self, resource: Resource, texts: dict[int, tuple[Resource, str]]) -> str:
        known = self._texts.get(id(resource)) or texts.get(id(resource))
        if known is None or known[0] is not resource:
            known = (resource, compact(encode_resource(resource, self._hide)))
        texts[id(resource)] = known
        return known[1]

    def _hide(self, text: str, place: str) -> dict[str, str]:
        if self._crypter is None:
            raise StackError(f"the secret at {place} cannot be kept: the stack has no encryption salt")
        return {"ciphertext": self._crypter.encrypt(text, place)}
