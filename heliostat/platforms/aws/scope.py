"""What the components of one platform share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pydantic.alias_generators import to_snake

from heliostat.platforms.aws.names import Names
from heliostat.spec.platforms.base import OnDestroy
from heliostat.spec.platforms.cluster import Tags


def tags_of(tags: Tags) -> dict[str, str]:
    """The tags of a config as AWS has them."""
    return {to_snake(key).replace("_", "-"): value for key, value in tags.model_dump(exclude_none=True).items()}


@dataclass(frozen=True)
class Scope:
    """Names, tags, and what becomes of data."""

    names: Names
    tags: Mapping[str, str]
    """On everything that takes tags."""
    on_destroy: OnDestroy

    @property
    def keeps(self) -> bool:
        """Whether what has data outlives `destroy`."""
        return self.on_destroy is OnDestroy.KEEP

    def tagged(self, name: str | None = None, **more: str) -> dict[str, str]:
        """The tags of something; the console shows what is called `Name`."""
        return {"Name": name or self.names.base, **self.tags, **more}

    def child(self, parent: pulumi.Resource, **options: object) -> pulumi.ResourceOptions:
        """Options of a part of a component."""
        return pulumi.ResourceOptions.merge(pulumi.ResourceOptions(parent=parent), pulumi.ResourceOptions(**options))  # type: ignore[arg-type]

    def kept(self, parent: pulumi.Resource, **options: object) -> pulumi.ResourceOptions:
        """Options of what data stands on, or is no use without."""
        return self.child(parent, retain_on_delete=self.keeps, **options)

    def protected(self, parent: pulumi.Resource, **options: object) -> pulumi.ResourceOptions:
        """Options of what has data, or what nobody reads it without: to delete it is refused before anything goes."""
        return self.kept(parent, protect=self.keeps, **options)
