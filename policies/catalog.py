"""All policies by their names: what they look at, how much they count, and what their config may say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from . import encryption, exposure, identity, images, limits, prices, retention, tagging
from .model import Resource, ResourceCheck, Settings, StackCheck
from .rules import ADVISORY, RULES, Rule

_TEXTS = {"type": "array", "items": {"type": "string"}}


@dataclass(frozen=True)
class Policy:
    """One policy; `schema` is a JSON Schema a property of its config. It has one of the two checks."""

    name: str
    of_resource: ResourceCheck | None = None
    of_stack: StackCheck | None = None
    level: Literal["advisory", "mandatory"] = "mandatory"
    schema: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""

    @property
    def description(self) -> str:
        """What it asks for, in a sentence."""
        check = self.of_resource or self.of_stack
        return self.about or (getattr(check, "__doc__", None) or self.name).splitlines()[0]


def _ours(name: str, kind: str, rule: Rule) -> Policy:
    def check(resource: Resource, _: Settings) -> Iterator[str]:
        violation = rule(resource.props) if resource.type == kind else None
        if violation:
            yield violation

    about = (rule.__doc__ or name).splitlines()[0]
    return Policy(name, check, level="advisory" if name in ADVISORY else "mandatory", about=about)


POLICIES = (
    *(_ours(name, kind, rule) for name, (kind, rule) in RULES.items()),
    Policy("no-public-bucket", exposure.no_public_bucket),
    Policy("bucket-access-blocked", of_stack=exposure.bucket_access_blocked),
    Policy("no-public-database", exposure.no_public_database),
    Policy("encrypted", encryption.encrypted, schema={"customerKeys": {"type": "boolean", "default": False}}),
    Policy("buckets-encrypted", of_stack=encryption.buckets_encrypted),
    Policy("no-iam-wildcard", identity.no_iam_wildcard),
    Policy("images-by-digest", images.images_by_digest),
    Policy("tags-stay", images.tags_stay),
    Policy("protected", retention.protected),
    Policy("backed-up", retention.backed_up, schema={"days": {"type": "number", "minimum": 1, "default": 7}}),
    Policy("buckets-versioned", of_stack=retention.buckets_versioned),
    Policy("tagged", tagging.tagged, schema={"names": {**_TEXTS, "default": list(tagging.NAMES)}}),
    Policy(
        "expires",
        tagging.expires,
        schema={"stacks": {**_TEXTS, "default": []}, "days": {"type": "number", "minimum": 1}},
    ),
    Policy("allowed-regions", limits.allowed_regions, schema={"regions": {**_TEXTS, "default": []}}),
    Policy(
        "accelerator-quota",
        of_stack=limits.accelerator_quota,
        schema={"most": {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}}},
    ),
    Policy("within-price", of_stack=prices.within_price, schema={"maxHourlyUsd": {"type": "number", "minimum": 0}}),
    Policy("price-known", of_stack=prices.price_known, level="advisory"),
)
"""In the order in which they are asked."""
