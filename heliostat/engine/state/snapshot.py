"""What a stack's checkpoint says: resources, pending operations and the deployment that holds them.

The names and the JSON are those of the official CLI's checkpoint format (version 3), so that either engine can take
over from the other between two updates. Property values here are plain Python values; a secret is a `Secret` and an
unknown is `UNKNOWN`. How secrets become ciphertext on disk is the business of `heliostat.engine.state.secrets`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from heliostat.engine.state.urns import Urn

SECRET_SIGNATURE_KEY = "4dabf18193072939515e22adb298388d"  # noqa: S105 - marks secrets, is none
SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105
ASSET_SIGNATURE = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE_SIGNATURE = "0def7320c3a5731c473e5ecbe6d01bc7"
REFERENCE_SIGNATURE = "5cf8f73096256a8f31e491e813e4eb8e"
OUTPUT_SIGNATURE = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The string by which the protocol marks a value that only an update will know."""
watchers: list[Callable[[Any], None]] = []
"""Whoever is to be told the value of each `Secret` that is made (see `heliostat.engine.masking`)."""


@dataclass(frozen=True)
class Secret:
    """A property value that must never be shown or stored in clear."""

    value: Any

    def __post_init__(self) -> None:
        for watch in watchers:
            watch(self.value)

    def __repr__(self) -> str:
        return "[secret]"


class OperationType(StrEnum):
    """What was under way on a resource when a checkpoint was written."""

    CREATING = "creating"
    UPDATING = "updating"
    DELETING = "deleting"
    READING = "reading"
    IMPORTING = "importing"


@dataclass
class Resource:
    """One resource of a checkpoint; the fields are the checkpoint's, in snake case."""

    urn: Urn
    type: str
    custom: bool
    id: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    parent: Urn | None = None
    provider: str = ""
    dependencies: list[Urn] = field(default_factory=list)
    property_dependencies: dict[str, list[Urn]] = field(default_factory=dict)
    protect: bool = False
    external: bool = False
    delete: bool = False
    pending_replacement: bool = False
    retain_on_delete: bool = False
    deleted_with: Urn | None = None
    additional_secret_outputs: list[str] = field(default_factory=list)
    aliases: list[Urn] = field(default_factory=list)
    init_errors: list[str] = field(default_factory=list)
    custom_timeouts: dict[str, float] = field(default_factory=dict)
    ignore_changes: list[str] = field(default_factory=list)
    replace_on_changes: list[str] = field(default_factory=list)
    resource_hooks: dict[str, list[str]] = field(default_factory=dict)
    """The names of its hooks, by when they are called."""
    hide_diffs: list[str] = field(default_factory=list)
    replacement_trigger: Any = None
    """A value of the program's: where it changes, the resource is replaced."""
    created: str = ""
    modified: str = ""
    source_position: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    """Fields of a newer CLI that this engine does not read; they are written back as they came."""


@dataclass
class PendingOperation:
    """An operation that had begun, and not ended, when the checkpoint was written."""

    resource: Resource
    type: OperationType


@dataclass
class Snapshot:
    """A deployment: every resource in an order in which each stands after what it depends on."""

    resources: list[Resource] = field(default_factory=list)
    pending_operations: list[PendingOperation] = field(default_factory=list)
    manifest: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
