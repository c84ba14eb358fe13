"""What runs is what was tested: images by digest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .model import UNKNOWN, Resource, Settings, each, get, is_off

_BY_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")


def images_by_digest(resource: Resource, _: Settings) -> Iterator[str]:
    """A container's image is named by its digest, wherever a pod is described."""
    if not resource.type.startswith("kubernetes:"):
        return
    for container in containers(resource.props):
        image = get(container, "image")
        if image is not UNKNOWN and not _BY_DIGEST.fullmatch(str(image or "")):
            name = get(container, "name")
            yield f"container {name} has image {image}: name it as REPOSITORY@sha256:DIGEST, since a tag can be moved"


def containers(value: Any) -> Iterator[Any]:
    """Every container in a value: workloads nest pods in templates, and custom resources in groups of them."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in _CONTAINERS:
                yield from (one for one in each(inner) if isinstance(one, Mapping))
            else:
                yield from containers(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from containers(inner)


def tags_stay(resource: Resource, _: Settings) -> Iterator[str]:
    """A tag of a registry is never moved to another image."""
    if resource.type == "aws:ecr/repository:Repository":
        mutability = resource.props.get("imageTagMutability")
        if mutability not in ("IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION", UNKNOWN):
            yield f"imageTagMutability is {mutability or 'MUTABLE'}: set it to IMMUTABLE"
    is_docker = str(resource.props.get("format", "")).upper() == "DOCKER"
    is_docker = is_docker and resource.type == "gcp:artifactregistry/repository:Repository"
    if is_docker and is_off(get(resource.props, "dockerConfig", "immutableTags")):
        yield "dockerConfig.immutableTags is off: set it to true"
